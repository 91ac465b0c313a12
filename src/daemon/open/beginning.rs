//! With what the server begins: the state as it was found, or a lock when its audit log tells of a newer one.

use crate::audit::tail::Told;
use crate::clock::WallTime;
use crate::config::Channel;
use crate::peer::standing::{KeptVote, Standing};
use crate::state::{Error, Generation, Store};

/// What stands when the server begins, saved, and the generation of it that is to be recorded with the start, when the audit
/// log does not tell of it yet.
///
/// `told` is what the audit log tells of it.
///
/// # Errors
/// When a lock cannot be saved. Nothing is served then: the next start finds the same.
pub(super) fn begin(
    store: &mut Store,
    found: Standing,
    told: Told,
    now: WallTime,
) -> Result<(Standing, Option<Generation>), Error> {
    let generation = store.generation();
    let standing = standing_to_begin_with(found, generation, told, now);
    let recorded = told.saved;
    if told.is_newer_than(generation.get()) {
        let hint = "look through what it may have forgotten (docs/operations.md, \"Backup of the state\"), then unlock on this host";
        tracing::error!(%generation, recorded, told.no_since, hint, "older state: locked");
        // The lock and the generation that hides how old this state is reach the disk in one: whatever a crash leaves is
        // either still seen to be older, or locked.
        store.save_above(recorded.unwrap_or(0), &standing)?;
    }
    let generation = store.generation();
    // The first one of an installation was saved before there was a log, and no older one can be.
    let unrecorded = generation.get() > recorded.unwrap_or(1);
    Ok((standing, unrecorded.then_some(generation)))
}

/// What stands when the server begins with a state that was `found` with this generation.
fn standing_to_begin_with(found: Standing, generation: Generation, told: Told, now: WallTime) -> Standing {
    if told.is_newer_than(generation.get()) { found.of_an_older_state(now) } else { found }
}

/// What is left of `standing` where these are the channels. Who took a channel away, for one since it was broken into, does not
/// want its votes to count either; and channels change with a restart alone.
pub(super) fn with_votes_through(channels: &[Channel], standing: Standing) -> Standing {
    let is_left = |vote: &KeptVote| channels.iter().any(|channel| channel.name == vote.channel);
    let grants = standing.grants.into_iter().filter(|grant| grant.votes.iter().all(is_left)).collect();
    Standing { grants, ..standing }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use uuid::Uuid;

    use super::*;
    use crate::config::People;
    use crate::peer::Origin;
    use crate::peer::standing::{GrantAhead, Lock, LockedBy, Refusal, RefusalKind};
    use crate::request::NodeUuid;

    const HOME: Uuid = Uuid::from_u128(7);
    const NOW: WallTime = WallTime::from_unix_millis(1_795_419_608_123);

    fn node() -> NodeUuid {
        NodeUuid::parse("n1").expect("printable")
    }

    /// A block and a grant ahead.
    fn standing() -> Standing {
        let refusal = Refusal {
            node: node(),
            origin: None,
            kind: RefusalKind::Block,
            by: "alice".into(),
            channel: "cli".into(),
            at: NOW,
            until: NOW,
        };
        let vote = KeptVote { approver: "alice".into(), channel: "cli".into(), uid: Some(1000), telegram_id: None };
        let grant = GrantAhead {
            id: [1; 16],
            code: 1,
            node: node(),
            entry: [2; 16],
            origin: Origin::Listed,
            votes: vec![vote],
            at: NOW,
            until: NOW,
            uses_left: 8,
        };
        Standing { refusals: vec![refusal], grants: vec![grant], ..Standing::default() }
    }

    fn locked() -> Standing {
        let lock = Some(Lock { by: LockedBy::OlderState, at: NOW });
        Standing { lock, grants: vec![], ..standing() }
    }

    const fn saved(saved: Option<u64>) -> Told {
        Told { saved, no_since: false }
    }

    /// What a server begins with in `directory`, and the generation that it records.
    fn begun(directory: &Path, recorded: Option<u64>) -> (Standing, Option<u64>) {
        begun_when_told(directory, saved(recorded))
    }

    fn begun_when_told(directory: &Path, told: Told) -> (Standing, Option<u64>) {
        let (mut store, found) = Store::open(directory, HOME).expect("it is whole");
        let (standing, saved) = begin(&mut store, found, told, NOW).expect("the disk works");
        drop(store);
        let (_, on_disk) = Store::open(directory, HOME).expect("it is whole");
        assert_eq!(on_disk, standing, "what a server begins with is on the disk");
        (standing, saved.map(Generation::get))
    }

    #[test]
    fn an_older_state_is_locked_and_has_nothing_approved_ahead() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state");
        let (mut store, _) = Store::create(&path, HOME).expect("a new state");
        store.save(&standing()).expect("the disk works");
        drop(store);
        let bytes = fs::read(path.join("state")).expect("it is there");
        for recorded in [3, 17, 1 << 60] {
            fs::write(path.join("state"), &bytes).expect("restored");
            assert_eq!(begun(&path, Some(recorded)), (locked(), Some(recorded + 1)), "{recorded}");
            // A crash before the record of this save was made: the lock is still there, and nothing is saved again.
            assert_eq!(begun(&path, Some(recorded)), (locked(), Some(recorded + 1)), "{recorded}");
            assert_eq!(begun(&path, Some(recorded + 1)), (locked(), None), "{recorded}");
            // The log is moved away: what was locked stays so.
            assert_eq!(begun(&path, None), (locked(), Some(recorded + 1)), "{recorded}");
        }
        fs::write(path.join("state"), &bytes).expect("restored");
        assert_eq!(begun(&path, Some(20)), (locked(), Some(21)), "the same backup once more");
    }

    #[test]
    fn a_state_that_is_not_older_is_left_as_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state");
        let (mut store, _) = Store::create(&path, HOME).expect("a new state");
        assert_eq!(store.save(&standing()).expect("the disk works").get(), 2);
        drop(store);
        let bytes = fs::read(path.join("state")).expect("it is there");
        // The record of the last save is missing when a crash came before it, and all of them in a log that was begun anew.
        for (recorded, told) in [(Some(2), None), (Some(1), Some(2)), (None, Some(2))] {
            assert_eq!(begun(&path, recorded), (standing(), told), "{recorded:?}");
            assert_eq!(fs::read(path.join("state")).expect("it is there"), bytes, "{recorded:?}");
        }
    }

    /// A crash came between the record of a denial, a block, a revocation or a lock and its save.
    #[test]
    fn a_no_that_was_recorded_and_not_saved_is_not_forgotten() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state");
        drop(Store::create(&path, HOME).expect("a new state"));
        let at_the_beginning = Told { saved: None, no_since: true };
        let empty = Standing { lock: locked().lock, ..Standing::default() };
        assert_eq!(begun_when_told(&path, at_the_beginning), (empty.clone(), Some(2)));
        assert_eq!(begun_when_told(&path, at_the_beginning), (empty, Some(3)), "a crash before that is recorded");
        let (mut store, _) = Store::open(&path, HOME).expect("it is whole");
        assert_eq!(store.save(&standing()).expect("the disk works").get(), 4);
        drop(store);
        // Saved once more since: it has that no, and only the record of the save is missing.
        assert_eq!(begun_when_told(&path, Told { saved: Some(3), no_since: true }), (standing(), Some(4)));
        assert_eq!(begun_when_told(&path, Told { saved: Some(4), no_since: true }), (locked(), Some(5)));
        assert_eq!(begun_when_told(&path, Told { saved: Some(5), no_since: false }), (locked(), None));
    }

    #[test]
    fn a_new_installation_has_nothing_to_tell() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state");
        drop(Store::create(&path, HOME).expect("a new state"));
        assert_eq!(begun(&path, None), (Standing::default(), None));
    }

    #[test]
    fn a_lock_that_cannot_be_saved_keeps_the_server_from_starting() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state");
        let (mut store, found) = Store::create(&path, HOME).expect("a new state");
        let error = begin(&mut store, found, saved(Some(u64::MAX)), NOW).expect_err("no generation is higher");
        assert!(matches!(error, Error::Unwritable(_)), "{error:?}");
    }

    #[test]
    fn who_locked_before_does_not_hide_that_the_state_is_older() {
        let person = LockedBy::Person { approver: "alice".into(), channel: "cli".into() };
        let found = Standing { lock: Some(Lock { by: person, at: NOW }), ..standing() };
        let directory = tempfile::tempdir().expect("a directory");
        let (store, _) = Store::create(&directory.path().join("state"), HOME).expect("a new state");
        let at = WallTime::from_unix_millis(5);
        let standing = standing_to_begin_with(found.clone(), store.generation(), saved(Some(2)), at);
        assert_eq!(standing.lock, Some(Lock { by: LockedBy::OlderState, at }));
        assert_eq!(standing_to_begin_with(found.clone(), store.generation(), saved(Some(1)), at), found);
    }

    #[test]
    fn an_approval_ahead_ends_with_a_channel_of_its_votes() {
        let channel = |name: &str| Channel { name: name.into(), people: People::Uid, socket: None };
        let through =
            |name: &str| KeptVote { approver: "bob".into(), channel: name.into(), uid: None, telegram_id: Some(2) };
        let [mut phone, mut both] = [standing().grants.remove(0), standing().grants.remove(0)];
        phone.votes = vec![through("telegram")];
        both.votes.push(through("telegram"));
        let cli = standing().grants.remove(0);
        let given = Standing { grants: vec![phone, cli.clone(), both], ..standing() };
        let still = with_votes_through(&[channel("cli"), channel("telegram")], given.clone());
        assert_eq!(still, given);
        assert_eq!(with_votes_through(&[channel("cli")], given.clone()), Standing { grants: vec![cli], ..standing() });
        assert_eq!(with_votes_through(&[], given), standing().without_grants());
    }
}
