//! Everything that goes wrong, in any order; and then nothing does, and whoever should be asked is.

use std::collections::BTreeSet;

use super::*;

/// Numbers that look random, and are the same in each run.
pub(super) struct Dice(pub(super) u64, pub(super) u8);

impl Dice {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }
}

const CHATS: [ChatId; 3] = [with(ALICE), with(BOB), GROUP];

fn everybody() -> Settings {
    settings(vec![chat(with(ALICE), &[ALICE], 1), chat(with(BOB), &[BOB], 2), chat(GROUP, &[ALICE, BOB], 1)])
}

fn failure(dice: &mut Dice) -> Option<Failure> {
    let text = String::new;
    [
        None,
        Some(Failure::Wait(seconds(30))),
        Some(Failure::Away(text())),
        Some(Failure::Gone(text())),
        Some(Failure::Refused(text())),
        Some(Failure::ChatClosed(text())),
        Some(Failure::Token),
        Some(Failure::Migrated(GROUP)),
    ]
    .into_iter()
    .nth(dice.below(8))
    .flatten()
}

fn step(dice: &mut Dice, world: &mut World, open: &mut BTreeMap<u8, v1::Ask>) {
    let number = u8::try_from(1 + dice.below(3)).expect("small");
    match dice.below(10) {
        0 | 1 if !open.contains_key(&number) => {
            dice.1 += 1;
            let id = vec![dice.1; 16];
            let ask = v1::Ask { id, ..ask(number) };
            open.insert(number, ask.clone());
            world.event(Event::Opened(ask));
        }
        2 => {
            if let Some(ask) = open.remove(&number) {
                let closed = closed(number, v1::Outcome::Approved, "bob");
                world.event(Event::Closed(v1::Closed { ask: Some(ask), ..closed }));
            }
        }
        3 => {
            if let Some(ask) = open.get_mut(&number) {
                ask.attempts += 1;
                ask.warnings = vec![v1::Warning::SecondAddress.into()];
                world.event(Event::Changed(ask.clone()));
            }
        }
        4 => {
            let chat = CHATS[dice.below(3)];
            match failure(dice) {
                Some(failure) => world.failing.insert(chat, failure),
                None => world.failing.remove(&chat),
            };
        }
        5 => {
            world.arrives = dice.below(2) == 0;
            world.take(Input::Polled(Ok(())));
        }
        6 => world.lose_server(),
        7 => connect(world, open),
        8 => press(dice, world),
        _ => world.wait(seconds(dice.below(200) as u64)),
    }
}

fn connect(world: &mut World, open: &BTreeMap<u8, v1::Ask>) {
    let asks = open.values().cloned().collect();
    let snapshot = v1::Snapshot { asks, ..World::snapshot(&[]) };
    world.take(Input::Server(Box::new(Update::Connected(snapshot))));
}

fn press(dice: &mut Dice, world: &mut World) {
    let chat = CHATS[dice.below(3)];
    let ids: Vec<i32> = world.chats.get(&chat).into_iter().flat_map(BTreeMap::keys).copied().collect();
    if let Some(id) = ids.get(dice.below(ids.len().max(1))).filter(|id| world.has_buttons(chat, **id)) {
        world.press(if dice.below(2) == 0 { ALICE } else { BOB }, chat, *id, Choice::Approve);
    }
    while let Some((ticket, _)) = world.vote() {
        world.reply(ticket, Err(Status::deadline_exceeded("no word")));
    }
}

/// The asks for which a button in this chat makes a vote.
fn answerable(world: &mut World, person: UserId, chat: ChatId) -> BTreeSet<Vec<u8>> {
    let ids: Vec<i32> = world.chats.get(&chat).into_iter().flat_map(BTreeMap::keys).copied().collect();
    let yes = |data: &str| Press::parse(data).is_some_and(|press| press.choice == Choice::Approve);
    for id in ids {
        let buttons = world.shown(chat, id).message.buttons.clone();
        for button in buttons.iter().flatten().filter(|button| yes(&button.data)) {
            world.press_data(person, chat, id, &button.data);
        }
    }
    let mut asks = BTreeSet::new();
    while let Some((ticket, vote)) = world.vote() {
        asks.insert(vote.ask_id);
        world.reply(ticket, Err(Status::unavailable("not now")));
    }
    asks
}

#[test]
fn whatever_went_wrong_in_the_end_everybody_is_asked_about_all_that_is_open() {
    for seed in 0..80 {
        let mut dice = Dice(seed, 0);
        let mut world = World::connected(everybody());
        world.may_repeat = true;
        let mut open = BTreeMap::new();
        for _ in 0..80 {
            step(&mut dice, &mut world, &mut open);
            if dice.below(40) == 0 {
                world = world.restart(everybody());
                world.may_repeat = true;
                connect(&mut world, &open);
            }
        }
        world.failing.clear();
        world.arrives = false;
        connect(&mut world, &open);
        world.take(Input::Polled(Ok(())));
        world.wait(seconds(20 * 60));
        let wanted: BTreeSet<Vec<u8>> = open.values().map(|ask| ask.id.clone()).collect();
        for (person, chat) in [(ALICE, with(ALICE)), (BOB, with(BOB)), (BOB, GROUP)] {
            let can = answerable(&mut world, person, chat);
            assert_eq!(can, wanted, "seed {seed}, {chat:?}");
        }
        let looked_after = world.session.board.messages();
        assert!(looked_after < 200, "seed {seed}: {looked_after} messages");
    }
}
