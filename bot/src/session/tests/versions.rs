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
fn what_has_no_line_for_lack_of_room_is_covered_by_no_button_but_one_by_one() {
    let mut world = home();
    let name = |number: u8| "𝕟".repeat(90) + &number.to_string();
    for number in 1..=20 {
        let node = v1::Node { name: name(number), ..node(number) };
        world.event(Event::Opened(v1::Ask { node: Some(node), ..ask(number) }));
    }
    world.wait(seconds(10));
    let message = world.shown(CHAT, 1).message.clone();
    let shown = message.html.lines().filter(|line| line.starts_with("🔒 𝕟")).count();
    assert!((5..20).contains(&shown), "{shown} lines");
    assert!(message.html.contains(&format!("… and {} more", 20 - shown)), "{}", message.html);
    world.press_data(ALICE, CHAT, 1, &approve_all(&message).expect("a button"));
    let (ticket, vote, _) = world.all().expect("a vote");
    assert_eq!(vote.ask_ids.len(), shown);
    world.reply(ticket, Err(Status::unavailable("not now")));
    let one_by_one = message.buttons.iter().flatten().find(|button| of_list(button, ListChoice::OneByOne));
    world.press_data(ALICE, CHAT, 1, &one_by_one.expect("a button").data);
    world.wait(seconds(30));
    assert_eq!(world.count(CHAT), 21);
}

#[test]
fn the_chats_of_the_next_turn_get_one_message_too() {
    let mut world = World::connected(settings(vec![chat(CHAT, &[ALICE], 1), chat(with(BOB), &[BOB], 2)]));
    (1..=3).for_each(|number| world.open(number));
    world.wait(seconds(310));
    assert_eq!(world.count(with(BOB)), 1);
    let message = world.shown(with(BOB), 1).message.clone();
    let bobs = approve_all(&message).expect("a button");
    world.press_data(ALICE, CHAT, 1, &bobs);
    assert_eq!(world.all(), None, "it stands in another chat");
    world.press_data(BOB, with(BOB), 1, &bobs);
    assert_eq!(world.all().expect("a vote").2, [1, 2, 3]);
}

#[test]
fn a_copy_of_a_list_loses_its_buttons() {
    let mut world = home();
    world.holding = Some(vec![]);
    (1..=3).for_each(|number| world.open(number));
    let held = world.holding.take().expect("calls");
    // All three are in the first message that is tried: it arrives, and nobody hears of that.
    world.failing.insert(CHAT, Failure::Away(String::new()));
    world.arrives = true;
    held.into_iter().for_each(|(ticket, call)| world.carry_out(ticket, call));
    world.wait(seconds(5));
    (world.arrives, world.failing) = (false, HashMap::new());
    world.take(Input::Polled(Ok(())));
    world.wait(seconds(70));
    let lists: Vec<(i32, Message)> =
        world.chats[&CHAT].iter().map(|(id, shown)| (*id, shown.message.clone())).collect();
    let lists: Vec<_> = lists.into_iter().filter(|(_, message)| approve_all(message).is_some()).collect();
    let (copy, real) = (lists.first().expect("a copy"), lists.last().expect("the list"));
    assert_ne!(copy.0, real.0);
    world.press_data(ALICE, CHAT, copy.0, &approve_all(&copy.1).expect("a button"));
    assert_eq!(world.all(), None);
    world.wait(seconds(10));
    assert!(!world.has_buttons(CHAT, copy.0) && world.has_buttons(CHAT, real.0));
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
