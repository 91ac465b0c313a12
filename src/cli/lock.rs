//! `nightlatch lock` and `nightlatch unlock`.

use std::fmt::Write as _;

use clap::Parser;
use nightlatch_approval_api::v1;
use serde_json::json;

use super::channel::text::{lock as shown, printable};
use super::channel::{Options, json as script};
use super::{Failure, exit};

/// Refuse everything, and wipe the keys from memory, until somebody unlocks on this host
///
/// For when something is wrong and you do not know what: a phone was stolen, a question came that nobody expects. Nodes
/// that run go on running; a node that boots waits. Every question is closed and every approval ended; denials and
/// blocks stay. It outlives a restart. nightlatch unlock ends it.
#[derive(Debug, Parser)]
pub struct Args {
    #[command(flatten)]
    channel: Options,
}

/// End the lock, and read the keys again
///
/// An approver or root may do it, and only on this host. It says of each key whether it is in memory, and if not, how it
/// comes back: a passphrase that somebody typed has to be typed again. Ends with 10 when a key is missing.
#[derive(Debug, Parser)]
pub struct UnlockArgs {
    #[command(flatten)]
    channel: Options,
}

/// Locks.
///
/// # Errors
/// When the server cannot be reached, or does not do it.
pub fn run(args: Args) -> Result<(), Failure> {
    args.channel.speak(async |session| {
        let answered = session.client.lock(v1::LockRequest { telegram_id: None }).await;
        let response = session.answer(answered)?;
        let lock = response.lock.unwrap_or_default();
        session.print(
            |now| locked(&lock, response.repeated, now),
            || json!({ "event": "locked", "lock": script::lock(&lock), "repeated": response.repeated }),
        )
    })
}

/// Unlocks.
///
/// # Errors
/// When the server cannot be reached or does not do it, and when a key is missing.
pub fn unlock(args: UnlockArgs) -> Result<(), Failure> {
    args.channel.speak(async |session| {
        let answered = session.client.unlock(v1::UnlockRequest {}).await;
        let response = session.answer(answered)?;
        session.print(
            |_| unlocked(&response),
            || {
                let keys: Vec<_> = response.keys.iter().map(script::key).collect();
                json!({ "event": "unlocked", "unlocked": response.unlocked, "keys": keys })
            },
        )?;
        match response.keys.iter().all(|key| key.present) {
            true => Ok(()),
            false => Err(Failure::already_told(exit::UNFINISHED)),
        }
    })
}

fn locked(lock: &v1::Lock, repeated: bool, now: i64) -> String {
    if repeated {
        return format!("it was locked before\n{}", shown(lock, now));
    }
    "LOCKED: nothing is released, no key is in memory, and every approval has ended\n\
     nodes that run go on running; those that boot wait\n\
     to end it, on this host: nightlatch unlock\n"
        .to_owned()
}

fn unlocked(response: &v1::UnlockResponse) -> String {
    let mut out = match response.unlocked {
        true => "unlocked: nodes that ask are answered again, by their rules\n".to_owned(),
        false => "it was not locked\n".to_owned(),
    };
    for key in &response.keys {
        let _ = writeln!(out, "{}", self::key(key));
    }
    out
}

/// Whether a key is there, and if not, how it comes back.
pub(super) fn key(key: &v1::Key) -> String {
    let name = printable(&key.name);
    let seals = if key.seals { ", seals new disks" } else { "" };
    if key.present {
        return format!("key {name} ({}{seals}): in memory", printable(&key.id));
    }
    let why = if key.absence.is_empty() { "the journal of nightlatch.service says why" } else { &key.absence };
    let seals = if key.seals { " (seals new disks)" } else { "" };
    format!("key {name}{seals}: NOT in memory: {}", printable(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlocking_says_of_each_key_whether_it_is_there_and_how_it_comes_back() {
        let present = v1::Key {
            name: "main".to_owned(),
            id: "0123456789abcdef".to_owned(),
            seals: true,
            present: true,
            absence: String::new(),
        };
        let absent = v1::Key {
            name: "typed".to_owned(),
            absence: "it was typed; restart and type it".to_owned(),
            ..v1::Key::default()
        };
        let response = v1::UnlockResponse { unlocked: true, keys: vec![present, absent] };
        assert_eq!(
            unlocked(&response),
            "unlocked: nodes that ask are answered again, by their rules\n\
             key main (0123456789abcdef, seals new disks): in memory\n\
             key typed: NOT in memory: it was typed; restart and type it\n"
        );
    }

    #[test]
    fn a_lock_from_before_is_said_to_be_that() {
        let lock = v1::Lock { by: "bob".to_owned(), channel: "telegram".to_owned(), ..v1::Lock::default() };
        let said = locked(&lock, true, 180_000);
        assert!(said.starts_with("it was locked before\nLOCKED by bob (channel telegram), 3 min ago"), "{said}");
    }
}
