//! Whatever happens to a list meanwhile, a press for all answers what that version of it showed.

use std::collections::BTreeSet;

use super::shared::{CHAT, home, of_list, warned};
use super::soak::Dice;
use super::*;
use crate::press::ListChoice;

/// What a version of a message shows as open, by its codes: those that a line without an end begins with a lock.
fn shown_open(message: &Message) -> BTreeSet<u8> {
    let open = message.html.lines().filter(|line| line.starts_with("🔒 cp-"));
    open.filter_map(|line| line.split("code K7Q").nth(1)?.split(' ').next()?.parse().ok()).collect()
}

#[test]
fn no_vote_for_all_names_what_its_version_did_not_show_or_what_is_closed_or_warned_of() {
    let mut votes = 0;
    for seed in 0..120 {
        let mut dice = Dice(seed, 0);
        let mut world = home();
        let (mut open, mut bad) = (BTreeSet::new(), BTreeSet::new());
        let mut seen: Vec<(i32, Message)> = vec![];
        let mut next = 0;
        for _ in 0..60 {
            match dice.below(8) {
                0..=2 if next < 200 => {
                    next += 1;
                    open.insert(next);
                    world.open(next);
                }
                3 => {
                    if let Some(number) = open.iter().nth(dice.below(open.len().max(1))).copied() {
                        open.remove(&number);
                        bad.insert(number);
                        world.event(Event::Closed(closed(number, v1::Outcome::Approved, "bob")));
                    }
                }
                4 if dice.below(3) == 0 => {
                    if let Some(number) = open.iter().nth(dice.below(open.len().max(1))).copied() {
                        bad.insert(number);
                        world.event(Event::Changed(warned(number)));
                    }
                }
                5 => world.wait(seconds(dice.below(20) as u64)),
                _ if !seen.is_empty() => {
                    // Any version that was ever on the phone, however old.
                    let (id, message) = seen[dice.below(seen.len())].clone();
                    let button =
                        message.buttons.iter().flatten().find(|button| of_list(button, ListChoice::ApproveAll));
                    world.press_data(ALICE, CHAT, id, &button.expect("one for all").data);
                    if let Some((ticket, _, numbers)) = world.all() {
                        votes += 1;
                        let showed = shown_open(&message);
                        let wanted: Vec<u8> = showed.iter().filter(|number| !bad.contains(number)).copied().collect();
                        assert_eq!(numbers, wanted, "seed {seed}: {}", message.html);
                        world.reply(ticket, Err(Status::unavailable("not now")));
                    }
                }
                _ => {}
            }
            for (id, shown) in world.chats.get(&CHAT).into_iter().flatten() {
                let has_all = shown.message.buttons.iter().flatten().any(|it| of_list(it, ListChoice::ApproveAll));
                if has_all && !seen.contains(&(*id, shown.message.clone())) {
                    seen.push((*id, shown.message.clone()));
                }
            }
        }
        // What is on the phone now is known, however much happened since.
        for (id, shown) in world.chats.get(&CHAT).cloned().into_iter().flatten() {
            if let Some(button) = shown.message.buttons.iter().flatten().find(|it| of_list(it, ListChoice::ApproveAll))
            {
                let data = button.data.clone();
                world.press_data(ALICE, CHAT, id, &data);
                let is_open = shown_open(&shown.message).iter().any(|number| !bad.contains(number));
                let vote = world.all();
                assert_eq!(vote.is_some(), is_open, "seed {seed}: {}", world.last_answer());
                if let Some((ticket, ..)) = vote {
                    world.reply(ticket, Err(Status::unavailable("not now")));
                }
            }
        }
    }
    assert!(votes > 500, "{votes} votes are too few to show anything");
}
