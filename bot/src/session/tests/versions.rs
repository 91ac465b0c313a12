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

/// A list, what became of its asks, and every version that was ever on the phone.
struct Play {
    world: World,
    dice: Dice,
    open: BTreeSet<u8>,
    /// Closed, or warned of.
    bad: BTreeSet<u8>,
    seen: Vec<(i32, Message)>,
    opened: u8,
    votes: usize,
}

impl Play {
    fn new(seed: u64) -> Self {
        let (open, bad) = (BTreeSet::new(), BTreeSet::new());
        Self { world: home(), dice: Dice(seed, 0), open, bad, seen: vec![], opened: 0, votes: 0 }
    }

    fn any_open(&mut self) -> Option<u8> {
        let at = self.dice.below(self.open.len().max(1));
        self.open.iter().nth(at).copied()
    }

    fn step(&mut self) {
        match self.dice.below(8) {
            0..=2 => {
                self.opened += 1;
                self.open.insert(self.opened);
                self.world.open(self.opened);
            }
            3 => {
                if let Some(number) = self.any_open() {
                    self.open.remove(&number);
                    self.bad.insert(number);
                    self.world.event(Event::Closed(closed(number, v1::Outcome::Approved, "bob")));
                }
            }
            4 if self.dice.below(3) == 0 => {
                if let Some(number) = self.any_open() {
                    self.bad.insert(number);
                    self.world.event(Event::Changed(warned(number)));
                }
            }
            5 => self.world.wait(seconds(self.dice.below(20) as u64)),
            _ => self.press_any_version(),
        }
        for (id, shown) in self.world.chats.get(&CHAT).into_iter().flatten() {
            let version = (*id, shown.message.clone());
            if approve_all(&shown.message).is_some() && !self.seen.contains(&version) {
                self.seen.push(version);
            }
        }
    }

    fn press_any_version(&mut self) {
        let at = self.dice.below(self.seen.len().max(1));
        let Some((id, message)) = self.seen.get(at).cloned() else { return };
        let data = approve_all(&message).expect("one for all");
        self.world.press_data(ALICE, CHAT, id, &data);
        if let Some((ticket, _, numbers)) = self.world.all() {
            self.votes += 1;
            let showed = shown_open(&message);
            let wanted: Vec<u8> = showed.difference(&self.bad).copied().collect();
            assert_eq!(numbers, wanted, "{}", message.html);
            self.world.reply(ticket, Err(Status::unavailable("not now")));
        }
    }

    /// What is on the phone now is known, however much happened since.
    fn press_what_is_shown(&mut self) {
        for (id, shown) in self.world.chats.get(&CHAT).cloned().into_iter().flatten() {
            let Some(data) = approve_all(&shown.message) else { continue };
            self.world.press_data(ALICE, CHAT, id, &data);
            let is_open = shown_open(&shown.message).difference(&self.bad).next().is_some();
            let vote = self.world.all();
            assert_eq!(vote.is_some(), is_open, "{}", self.world.last_answer());
            if let Some((ticket, ..)) = vote {
                self.world.reply(ticket, Err(Status::unavailable("not now")));
            }
        }
    }
}

fn approve_all(message: &Message) -> Option<String> {
    let mut buttons = message.buttons.iter().flatten();
    buttons.find(|button| of_list(button, ListChoice::ApproveAll)).map(|button| button.data.clone())
}

#[test]
fn no_vote_for_all_names_what_its_version_did_not_show_or_what_is_closed_or_warned_of() {
    let mut votes = 0;
    for seed in 0..120 {
        let mut play = Play::new(seed);
        (0..60).for_each(|_| play.step());
        play.press_what_is_shown();
        votes += play.votes;
    }
    assert!(votes > 500, "{votes} votes are too few to show anything");
}
