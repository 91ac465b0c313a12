//! Every word that people read on Telegram, in plain English. What stands in a text from elsewhere is a [`Foreign`] or a
//! time: nothing here is markup, and nothing here decides. One file, however long, so that all of it is read at once when
//! a word changes.

use crate::render::Foreign;

/// The commands and what they are for, as Telegram's menu shows them. Without the slash.
pub const COMMANDS: [(&str, &str); 11] = [
    ("pending", "What waits for an answer; it is asked again"),
    ("status", "Whether everything is well, and what is in force"),
    ("nodes", "All nodes, and when each was approved last"),
    ("history", "The questions that were closed last"),
    ("grant", "Approve ahead of a reboot: /grant NAME 30m 8, or /grant cluster NAME"),
    ("revoke", "End approvals: /revoke NAME, /revoke cluster NAME, /revoke all"),
    ("block", "Refuse a node from everywhere: /block NAME, or /block NAME 7d"),
    ("unblock", "End the denials and blocks of a node: /unblock NAME"),
    ("lock", "Refuse everything, and wipe the keys from memory"),
    ("unlock", "How to end that: on the server's host alone"),
    ("help", "How this works"),
];

pub(crate) mod buttons {
    pub(crate) const APPROVE: &str = "✅ Approve";
    pub(crate) const APPROVE_LONGER: &str = "✅ Approve 30 min";
    /// With a warning about the address: not the words that a thumb knows.
    pub(crate) const APPROVE_WARNED: &str = "⚠️ Approve anyway";
    pub(crate) const APPROVE_LONGER_WARNED: &str = "⚠️ Anyway, 30 min";
    pub(crate) const DENY: &str = "❌ Deny";
    pub(crate) const BLOCK: &str = "⛔ Block 24 h";
}

/// What a node without name and UUID is called.
pub(crate) const A_NODE: &str = "a node";
/// Who did it, when the server does not say.
pub(crate) const SOMEBODY: &str = "somebody";
pub(crate) const LISTED_ADDRESSES: &str = "its listed addresses";
pub(crate) const OTHER_ADDRESSES: &str = "other addresses";
pub(crate) const EVERYWHERE: &str = "from everywhere";

pub(crate) fn from(address: &Foreign) -> String {
    format!("from {address}")
}

/// One question.
pub(crate) mod prompt {
    use super::Foreign;

    pub(crate) fn wants(seal: bool) -> &'static str {
        if seal { "wants a key for a new disk" } else { "wants to unlock" }
    }

    pub(crate) fn wanted(seal: bool) -> &'static str {
        if seal { "wanted a key for a new disk" } else { "wanted to unlock" }
    }

    /// How a line about an open question begins: with the worst that there is to say of it.
    pub(crate) fn begins(alarm: Option<&str>, seal: bool) -> String {
        match (alarm, seal) {
            (Some(alarm), _) => format!("⚠️ {alarm}: "),
            (None, true) => "🆕 ".to_owned(),
            (None, false) => "🔒 ".to_owned(),
        }
    }

    pub(crate) fn headline(
        alarm: Option<&str>,
        seal: bool,
        node: &Foreign,
        address: &Foreign,
        code: &Foreign,
    ) -> String {
        let (begins, wants) = (begins(alarm, seal), wants(seal));
        format!("{begins}{node} {wants} · {address} · code {code}")
    }

    pub(crate) const WRONG_ADDRESS: &str = "WRONG ADDRESS";
    pub(crate) const TWO_ADDRESSES: &str = "TWO ADDRESSES";
    pub(crate) const MOVED: &str = "NEW ADDRESS";
    pub(crate) const UNKNOWN_WARNING: &str = "WARNING";

    pub(crate) fn wrong_address(node: &Foreign, address: &Foreign) -> String {
        format!(
            "⚠️ {address} is none of the addresses listed for {node}. It may be another machine that uses its name."
        )
    }

    pub(crate) fn two_addresses(node: &Foreign) -> String {
        format!(
            "⚠️ Two addresses use the name {node}, now or within the last hour. One of them may be another machine."
        )
    }

    pub(crate) fn moved(node: &Foreign, address: &Foreign) -> String {
        format!(
            "⚠️ {node} was approved before, but not from {address}. It has moved, or another machine uses its name."
        )
    }

    pub(crate) const UNKNOWN_WARNING_MEANS: &str =
        "⚠️ The server warns of something that this bot is too old to know. Look with: nightlatch approvals";

    pub(crate) const NEW_ADDRESS: &str = "❗ Never approved from there before";

    pub(crate) fn last_approved(at: &str, by: &Foreign) -> String {
        format!("Last approved from there: {at} by {by}")
    }

    pub(crate) const NOT_ENCRYPTED: &str = "Not encrypted (no TLS): whoever can read that network gets the key too";
    pub(crate) const SEAL_MEANS: &str = "A new disk or key slot. Nothing that exists is opened.";
    pub(crate) const COMPARE: &str =
        "Does the node's screen show this code? If not, or if you do not know why it starts: Deny.";

    pub(crate) fn full_name(name: &Foreign) -> String {
        format!("Full name: {name}")
    }

    pub(crate) fn cluster(cluster: &Foreign) -> String {
        format!("Cluster {cluster}")
    }

    pub(crate) fn first_asked(at: &str) -> String {
        format!("First asked {at}")
    }

    pub(crate) fn attempts(attempts: u32, last: &str) -> String {
        if attempts <= 1 { "one call".to_owned() } else { format!("{attempts} calls, last {last}") }
    }

    pub(crate) fn volumes(volumes: u32) -> String {
        format!("{volumes} volumes so far")
    }

    pub(crate) fn voted(by: &str) -> String {
        format!("👍 Approved so far by {by}")
    }

    pub(crate) fn missing(people: u32, channels: u32) -> String {
        let people = match people {
            0 => "it must be approved".to_owned(),
            1 => "1 more person must approve".to_owned(),
            people => format!("{people} more people must approve"),
        };
        match channels {
            0 => people,
            1 => format!("{people} through another channel, such as the command line"),
            channels => format!("{people} through {channels} channels, such as this and the command line"),
        }
    }

    pub(crate) const AWAY: &str = "⏸ The server is away. This cannot be answered now; the buttons come back with it.";

    pub(crate) fn asked_again(node: &Foreign, code: &Foreign) -> String {
        format!("⤵️ {node} is asked about again below · code {code}")
    }

    pub(crate) const ANSWER_BELOW: &str = "Answer the newer message.";

    pub(crate) fn forgotten(node: &Foreign, code: &Foreign) -> String {
        format!("⚪ {node}: not open any more · code {code}")
    }

    pub(crate) const FORGOTTEN_MEANS: &str = "The server was started anew, or this was closed long ago. Nothing is \
                                              approved by it now. If the node still needs its key, it asks again in a \
                                              new message.";

    pub(crate) fn reminder(node: &Foreign, address: &Foreign, code: &Foreign) -> String {
        format!("⏰ {node} still waits · {address} · code {code}")
    }

    pub(crate) const ANSWER_ABOVE: &str = "Answer the message above.";

    pub(crate) fn reminder_over(node: &Foreign, code: &Foreign) -> String {
        format!("☑️ {node} does not wait any more · code {code}")
    }
}

/// A machine that is not listed.
pub(crate) mod enrolment {
    use super::Foreign;

    pub(crate) const ADD: &str = "➕ Add it";
    pub(crate) const BLOCK: &str = "⛔ Block that address 24 h";
    pub(crate) const NOT_NOW: &str = "❌ Not now";
    pub(crate) const WANTED: &str = "wanted to be added";

    pub(crate) fn headline(address: &Foreign, code: &Foreign) -> String {
        format!("🆕 A machine that is NOT LISTED wants to be added · {address} · code {code}")
    }

    pub(crate) fn waits(code: &Foreign, node: &Foreign, address: &Foreign, at: &str) -> String {
        format!("🆕 {code} · {node}, not listed, wants to be added · {address} · {at}")
    }

    pub(crate) fn name(node: &Foreign, uuid: &Foreign) -> String {
        format!("It would be called {node}. UUID {uuid}")
    }

    pub(crate) const MEANS: &str =
        "Add it only if you have just set up this machine. From then on it may ask from this address, like the others.";
    pub(crate) const SEALS: &str = "It also asks for a key for a new disk: who adds it approves that too.";
    pub(crate) const UNLOCKS: &str =
        "It also asks to unlock a disk: that is asked about by itself, after it was added.";

    pub(crate) fn added(node: &Foreign, by: &Foreign, at: &str, code: &Foreign) -> String {
        format!("➕ {node} added by {by} · {at} · code {code}")
    }

    pub(crate) fn added_means(address: &Foreign) -> String {
        format!("It may ask from {address} from now on.")
    }

    pub(crate) fn forget(node: &Foreign) -> String {
        format!(
            "Another name, or a mistake? On the server's host: nightlatch nodes name {node} NEW, or nightlatch nodes forget {node}"
        )
    }

    pub(crate) fn added_now(node: &Foreign) -> String {
        format!("➕ Added: {node} is listed now.")
    }
}

/// What is about no single question.
pub(crate) mod beyond {
    use super::Foreign;

    fn times(uses: u32) -> String {
        if uses == 1 { "1 key".to_owned() } else { format!("{uses} keys") }
    }

    pub(crate) fn granted(node: &Foreign, by: &str) -> String {
        format!("⏩ {node} is approved ahead, by {by}")
    }

    pub(crate) fn given(from: &Foreign, until: &str, uses: u32) -> String {
        format!("Nobody is asked until {until}: up to {}, from {from}.", times(uses))
    }

    pub(crate) fn take_back(node: &Foreign) -> String {
        format!("To end that: /revoke {node}")
    }

    pub(crate) fn proposed(node: &Foreign, by: &str) -> String {
        format!("⏩ {by} wants to approve {node} ahead")
    }

    pub(crate) fn wanted(lasts: &str, uses: u32) -> String {
        format!("For {lasts} and up to {}.", times(uses))
    }

    /// An approval for less, or from elsewhere, would not be the same. `from` is empty for the listed addresses.
    pub(crate) fn say_the_same(node: &Foreign, lasts: &str, uses: u32, from: &str) -> String {
        let from = if from.is_empty() { String::new() } else { format!(" from {from}") };
        format!("If you agree, within 10 minutes: /grant {node} {lasts} {uses}{from}")
    }

    pub(crate) fn withdrawn(node: &Foreign, by: &Foreign) -> String {
        format!("⏹ {node}: {by} does not want it approved ahead any more")
    }

    pub(crate) const WITHDRAWN_MEANS: &str = "It was never in force, and the votes so far count no more.";

    pub(crate) fn revoked(node: &Foreign, by: &Foreign) -> String {
        format!("⏹ {node}: approval ended by {by}")
    }

    pub(crate) const REVOKED_MEANS: &str =
        "Keys that it got before, it has. If it still needs some, a new question comes.";

    /// Who locked, when it was no person.
    pub(crate) const ITSELF: &str = "nightlatch itself";

    pub(crate) fn locked(by: &str, at: &str) -> String {
        format!("🛑 EVERYTHING IS LOCKED by {by} · since {at}")
    }

    pub(crate) const LOCKED_MEANS: &str = "No node gets a key, and nothing can be approved, until somebody runs this on \
                                           the server's host: nightlatch unlock";
    pub(crate) const OLDER_STATE_MEANS: &str = "It was started with an older copy of its state, or ended before it saved \
                                                somebody's no, and does not know what was blocked, locked or used up \
                                                since. No node gets a key until somebody looks on the server's host, and \
                                                runs there: nightlatch unlock";

    pub(crate) fn unlocked(by: &Foreign) -> String {
        format!("🟢 Unlocked by {by}")
    }

    pub(crate) const UNLOCKED_MEANS: &str =
        "Nodes that still wait are asked about anew. What was approved before the lock has ended.";

    pub(crate) fn listed(node: &Foreign, by: &Foreign) -> String {
        format!("🖥 {node} is listed now, by {by}")
    }

    pub(crate) fn changed(node: &Foreign, by: &Foreign) -> String {
        format!("🖥 The entry of {node} was changed by {by}")
    }

    pub(crate) fn forgotten(node: &Foreign, by: &Foreign) -> String {
        format!("🖥 {node} is not listed any more: {by} took it out")
    }

    pub(crate) fn addresses(addresses: &str) -> String {
        if addresses.is_empty() {
            "It may call from any allowed address, and each is asked about by itself.".to_owned()
        } else {
            format!("It calls from {addresses}.")
        }
    }

    pub(crate) fn grants(given: usize, all: usize) -> String {
        match (given, all) {
            (0, _) => "⏸ Nothing is approved ahead yet".to_owned(),
            (1, 1) => "⏩ Approved ahead".to_owned(),
            (given, all) if given == all => format!("⏩ Approved ahead: {all} nodes"),
            (given, all) => format!("⏩ Approved ahead: {given} of {all} nodes"),
        }
    }

    pub(crate) fn result(node: &Foreign, given: &str) -> String {
        format!("⏩ {node}. {given}")
    }

    pub(crate) fn counted(node: &Foreign, missing: &str) -> String {
        format!("👍 {node}: your approval counts, {missing}, with the same command, within 10 minutes")
    }

    pub(crate) fn repeated(node: &Foreign, missing: &str) -> String {
        format!("👍 {node}: you have approved this already, {missing}, with the same command")
    }

    pub(crate) fn not_granted(node: &Foreign, why: &str) -> String {
        format!("❌ {node}: {why}")
    }

    pub(crate) const DENY_RULE: &str = "its rule is \"deny\", so that nothing would be released";
    pub(crate) fn no_address(node: &Foreign) -> String {
        format!(
            "it lists no addresses and was never approved, so say from where it will call: /grant {node} 30m 8 from \
             ADDRESS"
        )
    }
    pub(crate) const OTHER_ADDRESS: &str = "it may not call from that address";
    pub(crate) const UNKNOWN_OUTCOME: &str = "this bot is too old to know what became of it; see /status";

    pub(crate) fn refused(from: &str, until: &str, by: &Foreign) -> String {
        format!("denied or blocked {from} until {until}, by {by}; /unblock ends that")
    }

    pub(crate) fn ended(count: usize, withdrawn: usize) -> String {
        match (count, withdrawn) {
            (0, 0) => "Nothing was approved, so nothing was ended".to_owned(),
            (0, _) => "⏹ Ended before it was in force".to_owned(),
            (1, _) => "⏹ 1 approval ended".to_owned(),
            (count, _) => format!("⏹ {count} approvals ended"),
        }
    }

    pub(crate) fn withdrawn_line(node: &Foreign, by: &str) -> String {
        format!("{node} · wanted by {by}")
    }

    pub(crate) fn ended_line(node: &Foreign, code: &Foreign, by: &str) -> String {
        format!("{node} · code {code}, approved by {by}")
    }

    /// A line about an approval that was given ahead.
    pub(crate) fn ahead(line: &str) -> String {
        format!("⏩ ahead: {line}")
    }

    pub(crate) fn conflict(why: &Foreign) -> String {
        format!("⚠️ {why}")
    }

    pub(crate) const LOCK_ASKS: &str = "🛑 Lock everything?";
    pub(crate) const LOCK_HOW: &str = "No node gets a key then, and the keys are wiped from memory. Only somebody on the \
                                       server's host can end it. If you mean it, write: /lock now";
    pub(crate) const UNLOCK_ASKS: &str = "🔑 Unlocking is done on the server's host alone";
    pub(crate) const UNLOCK_HOW: &str = "Whoever has your phone must not be able to. Run there: nightlatch unlock";

    pub(crate) fn ahead_left(left: u32) -> String {
        match left {
            0 => "Under an approval that was given ahead; it is used up now.".to_owned(),
            left => format!("Under an approval that was given ahead; {left} more under it."),
        }
    }
}

/// What became of a question.
pub(crate) mod closed {
    use super::Foreign;

    pub(crate) fn approved(node: &Foreign, by: &Foreign, at: &str, code: &Foreign) -> String {
        format!("✅ {node} approved by {by} · {at} · code {code}")
    }

    pub(crate) fn denied(node: &Foreign, by: &Foreign, at: &str, code: &Foreign) -> String {
        format!("❌ {node} denied by {by} · {at} · code {code}")
    }

    pub(crate) fn blocked(node: &Foreign, by: &Foreign, at: &str, code: &Foreign) -> String {
        format!("⛔ {node} blocked by {by} · {at} · code {code}")
    }

    pub(crate) fn expired(node: &Foreign, at: &str, code: &Foreign) -> String {
        format!("⌛ {node} stopped asking · {at} · code {code}")
    }

    pub(crate) fn locked(node: &Foreign, by: &Foreign, at: &str, code: &Foreign) -> String {
        format!("🛑 {node} not answered: {by} locked everything · {at} · code {code}")
    }

    pub(crate) fn unknown(node: &Foreign, at: &str, code: &Foreign) -> String {
        format!("⚪ {node}: closed · {at} · code {code}")
    }

    pub(crate) fn wanted(seal: bool, address: &Foreign) -> String {
        let wanted = if seal { "Wanted a key for a new disk" } else { "Wanted to unlock" };
        format!("{wanted} · {address}")
    }

    pub(crate) fn took(opened: &str, took: &str) -> String {
        format!("Asked {opened}, answered after {took}")
    }

    pub(crate) fn lasted(opened: &str, took: &str) -> String {
        format!("Asked {opened}, open for {took}")
    }

    pub(crate) fn through(channel: &Foreign) -> String {
        format!("through {channel}")
    }

    pub(crate) fn votes(by: &str) -> String {
        format!("approved by {by}")
    }

    pub(crate) fn may_unlock(until: &str, lasts: &str) -> String {
        format!("May unlock until {until} ({lasts})")
    }

    pub(crate) fn may_seal(until: &str, lasts: &str) -> String {
        format!("May get keys for new disks until {until} ({lasts})")
    }

    pub(crate) fn collectable(until: &str, lasts: &str) -> String {
        format!("If it gets none by then, it may still get one until {until} ({lasts})")
    }

    pub(crate) fn refused_until(listed: bool, until: &str, lasts: &str) -> String {
        let from = if listed { "its listed addresses" } else { "there" };
        format!("It gets nothing from {from} until {until} ({lasts})")
    }

    pub(crate) fn take_back(node: &Foreign) -> String {
        format!("To end that: /unblock {node}")
    }

    pub(crate) fn mistake(node: &Foreign) -> String {
        format!("A mistake? /revoke {node}")
    }

    pub(crate) const NOBODY_DECIDED: &str =
        "It was not decided, and nothing was approved. If the node calls again, a new question comes.";
    pub(crate) const LOCKED_MEANS: &str = "No node gets a key, and nothing can be answered, until somebody runs this on \
                                           the server's host: nightlatch unlock. If the node still calls then, a new \
                                           question comes.";
    pub(crate) const UNKNOWN_MEANS: &str =
        "This bot is too old to know how. Nothing can be answered here. Look with: nightlatch approvals";
    pub(crate) const NOTHING_RELEASED: &str = "Nothing released yet. A node that waits calls every 30 s.";

    pub(crate) fn unlocked(keys: u32, address: &str, last: &str) -> String {
        let keys = if keys == 1 { "1 key".to_owned() } else { format!("{keys} keys") };
        format!("🔓 Released {keys} to {address}, last {last}")
    }

    pub(crate) fn sealed(keys: u32, address: &str, last: &str) -> String {
        let keys = if keys == 1 { "1 new key".to_owned() } else { format!("{keys} new keys") };
        format!("🔐 Sealed {keys} for {address}, last {last}")
    }

    pub(crate) fn first_after(took: &str) -> String {
        format!("The first came {took} after the approval")
    }
}

/// What is told without a question.
pub(crate) mod told {
    use super::Foreign;

    pub(crate) fn calls(count: u64) -> String {
        if count == 1 { "1 call".to_owned() } else { format!("{} calls", grouped(count)) }
    }

    /// With a comma after each three digits.
    fn grouped(count: u64) -> String {
        match (count / 1_000, count % 1_000) {
            (0, rest) => rest.to_string(),
            (thousands, rest) => format!("{},{rest:03}", grouped(thousands)),
        }
    }

    pub(crate) fn other_address(calls: &str, node: &Foreign, address: &Foreign) -> String {
        format!("⚠️ {calls} as {node} from a wrong address · {address}")
    }

    pub(crate) const OTHER_ADDRESS_MEANS: &str = "Refused; nobody needs to answer. If the node has moved, list its new \
                                                  address in the server's configuration. If not, another machine uses \
                                                  its name.";

    pub(crate) fn strangers(calls: &str, address: &Foreign) -> String {
        format!("🚷 {calls} from strangers refused · {address}")
    }

    pub(crate) fn too_often(calls: &str, node: &Foreign, address: &Foreign) -> String {
        format!("🚷 {calls} as {node} refused: too many at once · {address}")
    }

    pub(crate) const STRANGERS_MEANS: &str = "Machines that are not listed, or networks that are not allowed, or too \
                                              many calls at once. Nobody needs to answer.";
    pub(crate) const TOO_OFTEN_MEANS: &str = "Nobody needs to answer. The node may be starting over and over, or another \
                                              machine uses its name.";

    pub(crate) fn too_many_asks(calls: &str, address: &Foreign) -> String {
        format!("🚷 {calls} not asked about: too many questions are open · {address}")
    }

    pub(crate) const TOO_MANY_ASKS_MEANS: &str = "Answer what is open (/pending), then they are asked about.";

    pub(crate) fn too_many_enrolments(calls: &str, address: &Foreign) -> String {
        format!("🚷 {calls} from machines that are not listed, not asked about: too many wait already · {address}")
    }

    pub(crate) const TOO_MANY_ENROLMENTS_MEANS: &str =
        "Answer those that wait (/pending), then others are asked about.";

    pub(crate) fn locked(calls: &str, address: &Foreign) -> String {
        format!("🛑 {calls} refused: everything is locked · {address}")
    }

    pub(crate) const LOCKED_MEANS: &str =
        "No node gets a key until somebody runs this on the server's host: nightlatch unlock";

    pub(crate) fn unknown_notice(calls: &str, address: &Foreign) -> String {
        format!("⚠️ {calls} refused · {address}")
    }

    pub(crate) const UNKNOWN_NOTICE_MEANS: &str =
        "This bot is too old to know why. The server's journal does: journalctl -u nightlatch";

    pub(crate) fn one_address(at: &str) -> String {
        format!("Until {at}. The address is one example.")
    }

    pub(crate) fn released(node: &Foreign, approved: bool) -> String {
        if approved { format!("🔓 {node} got keys") } else { format!("🔓 {node} got keys without a question") }
    }

    pub(crate) const ALLOWED_MEANS: &str = "Nobody is asked: its rule in the server's configuration says \"allow\".";
    pub(crate) const APPROVED_ELSEWHERE: &str =
        "Somebody approved it: through another channel, or some time ago. See /history.";

    pub(crate) fn refused(blocked: bool, node: &Foreign, from: &str, by: &Foreign) -> String {
        if blocked {
            format!("⛔ {node} blocked by {by} · {from}")
        } else {
            format!("❌ {node} denied by {by} · {from}")
        }
    }

    pub(crate) fn gets_nothing(until: &str) -> String {
        format!("It gets nothing until {until}.")
    }

    pub(crate) fn lifted(node: &Foreign, from: &str) -> String {
        format!("🟢 {node} may ask again · {from}")
    }

    pub(crate) fn lifted_means(by: &Foreign) -> String {
        format!("{by} ended its denial or block. What was approved before that stays ended: it is asked about again.")
    }

    pub(crate) fn server_away(since: &str) -> String {
        format!("🔌 nightlatch is away since {since}")
    }

    pub(crate) const SERVER_AWAY_MEANS: &str = "No node gets a key and nothing can be answered until it is back. If \
                                                nobody stopped it, look on its host: systemctl status nightlatch";

    pub(crate) fn server_asleep(since: &str) -> String {
        format!("😴 nightlatch sleeps since {since}")
    }

    pub(crate) const SERVER_ASLEEP_MEANS: &str =
        "Nobody waits for an answer. It wakes up when a node calls: then it asks, unless that was approved ahead.";

    pub(crate) fn server_back(at: &str, after: &str) -> String {
        format!("🔌 nightlatch is back · {at}, after {after}")
    }

    pub(crate) const SERVER_BACK_MEANS: &str = "Nodes that still wait ask again by themselves.";

    pub(crate) fn telegram_back(from: &str, until: &str) -> String {
        format!("📶 Telegram could not be reached from {from} until {until}")
    }

    pub(crate) const TELEGRAM_BACK_MEANS: &str = "Presses of that time may be lost. /pending shows what is still open.";

    pub(crate) fn chat_closed(chat: i64) -> String {
        format!("📵 Chat {chat} cannot be written to")
    }

    pub(crate) const CHAT_CLOSED_MEANS: &str = "Nobody is asked there. The person has blocked this bot or never wrote to \
                                                it, or the group has put it out. To be asked again: open the chat with \
                                                this bot and press Start, or add it to the group.";

    pub(crate) const TEST: &str = "🔔 A test: nightlatch-bot can write here";
    pub(crate) const TEST_MEANS: &str = "Somebody ran nightlatch-bot check on its host. There is nothing to answer.";

    pub(crate) fn second_reader(since: &str) -> String {
        format!("🚨 ANOTHER PROGRAM USES THIS BOT'S TOKEN · since {since}")
    }

    pub(crate) const SECOND_READER_MEANS: &str = "Is a second nightlatch-bot running? Stop it. If not, the token is \
                                                  stolen: whoever has it gets your presses and writes in \
                                                  this bot's name, but cannot approve by itself.";
    pub(crate) const SECOND_READER_DO: &str = "Do now: @BotFather, /revoke, choose this bot, put the new token where the \
                                               old one was, restart nightlatch-bot. Until then answer with: nightlatch \
                                               approvals";

    pub(crate) fn second_reader_gone(at: &str) -> String {
        format!("🚨 No other program uses this bot's token since {at}")
    }

    pub(crate) const SECOND_READER_GONE_MEANS: &str =
        "If you do not know which it was, revoke the token all the same: @BotFather, /revoke.";
}

/// Answers to a press: at most 200 characters each.
pub(crate) mod answer {
    use super::Foreign;

    pub(crate) fn approved(seal: bool, node: &Foreign, until: &str) -> String {
        let may = if seal { "may get keys for new disks" } else { "may unlock" };
        format!("✅ Approved: {node} {may} until {until}.")
    }

    pub(crate) fn denied(node: &Foreign, until: &str) -> String {
        format!("❌ Denied: {node} gets nothing from there until {until}.")
    }

    pub(crate) fn blocked(node: &Foreign, until: &str) -> String {
        format!("⛔ Blocked: {node} gets nothing from there until {until}.")
    }

    pub(crate) const CLOSED_NOW: &str = "It is closed now.";
    pub(crate) const LOCKED_NOW: &str = "Nothing was approved: everything is locked.";

    pub(crate) fn counted(missing: &str) -> String {
        format!("👍 Your approval counts: {missing}.")
    }

    pub(crate) fn repeated(missing: &str) -> String {
        format!("You have approved this already: {missing}.")
    }

    pub(crate) fn too_late(how: &str) -> String {
        format!("Nothing was changed, it was closed before: {how}.")
    }

    pub(crate) fn stop_it(node: &Foreign) -> String {
        format!("To stop it now: /block {node}")
    }

    pub(crate) fn how(word: &str, by: &Foreign, at: &str) -> String {
        format!("{word} by {by}, {at}")
    }

    pub(crate) fn how_expired(at: &str) -> String {
        format!("the node stopped asking, {at}")
    }

    pub(crate) fn how_locked(by: &Foreign, at: &str) -> String {
        format!("{by} locked everything, {at}")
    }

    pub(crate) fn how_unknown(at: &str) -> String {
        format!("closed {at}")
    }

    pub(crate) const APPROVED: &str = "approved";
    pub(crate) const DENIED: &str = "denied";
    pub(crate) const BLOCKED: &str = "blocked";
    pub(crate) const UNKNOWN: &str =
        "Nothing was changed: this is not open any more. If the node still needs its key, it asks again.";

    pub(crate) fn not_an_approver(node: &Foreign) -> String {
        format!("Nothing was changed: you are not one of those who may answer for {node}.")
    }

    pub(crate) const NEWER_SERVER: &str =
        "The server answered what this bot is too old to know. See /pending for what is still open.";
    pub(crate) const OLDER_SERVER: &str = "Nothing was changed: the server is too old to know this. Upgrade nightlatch on its \
                                           host. Meanwhile use: nightlatch approvals";
    pub(crate) const NOT_LISTED: &str = "Nothing was changed: you are not one of those who may answer here.";
    pub(crate) const NO_APPROVER: &str =
        "Nothing was changed: the server has no approver with your number. It is the telegram_id in nightlatch.toml.";
    pub(crate) const OLD_MESSAGE: &str =
        "Nothing was changed: this message is old, or a copy. /pending shows what is open now.";
    pub(crate) const CHANGED: &str =
        "Nothing was changed: the message changed just before you pressed. Read it again, then answer.";
    pub(crate) const SERVER_AWAY: &str =
        "Nothing was changed: the server is away. Press again when it is back, or use: nightlatch approvals";
    pub(crate) const NO_ANSWER: &str =
        "Sent to the server, which has not answered yet. If the message does not change soon, press again.";

    pub(crate) fn refused(reason: &Foreign) -> String {
        format!("The server refused: {reason}")
    }
}

/// Answers to commands.
pub(crate) mod list {
    use super::Foreign;

    pub(crate) fn stranger(id: i64) -> String {
        format!("Your numeric id: {id}")
    }

    pub(crate) const WELCOME: &str = "👋 You are one of those who are asked here";
    pub(crate) const HELP: &str = "How this works";
    pub(crate) const HELP_LINES: [&str; 5] = [
        "When a node needs the key of its disks, a message with buttons comes. It changes when something happens, and \
         says what became of it.",
        "The code is the one on the node's screen. If it is another, or you do not know why the node starts: Deny.",
        "Approve: this node, from this address, for a few minutes. It covers all its disks.",
        "Deny: not now. Block: not for 24 hours. Both end what was approved for it there; /unblock ends them.",
        "No answer is no approval: the node waits and asks again.",
    ];

    pub(crate) fn command(name: &str, about: &str) -> String {
        format!("/{name} · {about}")
    }

    pub(crate) fn well(at: &str, open: usize) -> String {
        match open {
            0 => format!("🟢 All is well · {at}"),
            1 => format!("🟡 1 question waits · {at}"),
            open => format!("🟡 {open} questions wait · {at}"),
        }
    }

    pub(crate) fn connected(server: &Foreign, bot: &str, since: &str) -> String {
        format!("Server {server}, bot {bot}, connected since {since}")
    }

    pub(crate) fn open(count: usize) -> String {
        match count {
            0 => "No question is open".to_owned(),
            1 => "1 question is open: /pending".to_owned(),
            count => format!("{count} questions are open: /pending"),
        }
    }

    pub(crate) const APPROVED_NOW: &str = "Approved now";
    pub(crate) const REFUSED_NOW: &str = "Denied or blocked";

    pub(crate) fn grant(seal: bool, node: &Foreign, from: &Foreign, until: &str, uses: u32, by: &str) -> String {
        let may = if seal { "may get keys for new disks" } else { "may unlock" };
        format!("✅ {node} {may} from {from} until {until} ({uses} more keys), by {by}")
    }

    pub(crate) fn refusal(blocked: bool, node: &Foreign, from: &str, until: &str, by: &Foreign) -> String {
        let kind = if blocked { "⛔" } else { "❌" };
        format!("{kind} {node} · {from} · until {until}, by {by}")
    }

    pub(crate) fn more(rest: usize) -> String {
        format!("… and {rest} more")
    }

    pub(crate) const NOTHING_WAITS: &str = "☕ Nobody waits for an answer";

    pub(crate) fn wait(count: usize) -> String {
        if count == 1 { "❓ 1 question is open".to_owned() } else { format!("❓ {count} questions are open") }
    }

    /// The code comes first: prompts are told apart by it.
    pub(crate) fn waits(
        begins: &str,
        code: &Foreign,
        node: &Foreign,
        wants: &str,
        address: &Foreign,
        at: &str,
    ) -> String {
        format!("{begins}{code} · {node} {wants} · {address} · {at}")
    }

    pub(crate) const NO_NODES: &str = "No nodes are known: the server is away or asleep, or is too old to tell";

    pub(crate) fn nodes(count: usize) -> String {
        if count == 1 { "🖥 1 node".to_owned() } else { format!("🖥 {count} nodes") }
    }

    pub(crate) fn last_approved(at: &str, by: &Foreign) -> String {
        format!("approved {at} by {by}")
    }

    pub(crate) const WAITS: &str = "waits for an answer";
    pub(crate) const BLOCKED: &str = "blocked";
    pub(crate) const DENIED: &str = "denied";
    pub(crate) const NEVER_APPROVED: &str = "no approval known";
    pub(crate) const NO_HISTORY: &str = "🕘 Nothing was closed since the server started";
    pub(crate) const HISTORY: &str = "🕘 Closed last, newest first";

    pub(crate) fn unblocked(node: &Foreign, ended: u32) -> String {
        match ended {
            0 => format!("{node} was not denied or blocked. Nothing was changed."),
            1 => format!("🟢 {node} may ask again: 1 denial or block ended"),
            ended => format!("🟢 {node} may ask again: {ended} denials and blocks ended"),
        }
    }

    pub(crate) const WHICH_NODE: &str = "Which node? Write its name behind the command, such as: /block cp-1";
    pub(crate) const AWAY: &str = "🔌 The server is away. Nothing was changed.";
    pub(crate) const NO_ANSWER: &str = "The server has not answered yet. See /status for what is in force.";
    pub(crate) const UNKNOWN_COMMAND: &str = "This bot does not know that. /help shows what it knows.";
}

/// Several questions of one cluster in one message.
pub(crate) mod shared {
    use super::Foreign;
    use crate::render::Tally;

    pub(crate) const APPROVE_ALL: &str = "✅ Approve all";
    pub(crate) const DENY_ALL: &str = "❌ Deny all";
    pub(crate) const ONE_BY_ONE: &str = "↕️ One by one";

    /// The button of one line. Short, so that two stand beside each other.
    pub(crate) fn own(node: &Foreign, code: &Foreign) -> String {
        format!("✅ {node} · {code}")
    }

    fn nodes(count: usize, cluster: &Foreign) -> String {
        let nodes = if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") };
        if cluster.is_empty() { nodes } else { format!("{nodes} of {cluster}") }
    }

    /// What these want: to unlock, keys for new disks, or some this and some that.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Wanted {
        Unlock,
        Seal,
        Both,
    }

    pub(crate) fn headline(open: usize, over: usize, wanted: Wanted, cluster: &Foreign) -> String {
        let (sign, one, many) = match wanted {
            Wanted::Unlock => ("🔒", "wants to unlock", "want to unlock"),
            Wanted::Seal => ("🆕", "wants a key for a new disk", "want keys for new disks"),
            Wanted::Both => ("🔒", "wants a key", "want to unlock or to seal new disks"),
        };
        let (nodes, wants) = (nodes(open, cluster), if open == 1 { one } else { many });
        if over == 0 { format!("{sign} {nodes} {wants}") } else { format!("{sign} {nodes} still {wants}") }
    }

    pub(crate) fn all_over(count: usize, cluster: &Foreign) -> String {
        format!("☑️ {}: nothing waits here any more", nodes(count, cluster))
    }

    pub(crate) fn one(begins: &str, node: &Foreign, address: &Foreign, code: &Foreign, remarks: &[&str]) -> String {
        let mut line = format!("{begins}{node} · {address} · code {code}");
        for remark in remarks {
            line.push_str(" · ");
            line.push_str(remark);
        }
        line
    }

    pub(crate) const NEW_DISK: &str = "new disk";
    pub(crate) const NEW_ADDRESS: &str = "❗ never approved from there";
    pub(crate) const NOT_ENCRYPTED: &str = "no TLS";

    pub(crate) fn asked_alone(warned: bool, node: &Foreign, code: &Foreign) -> String {
        if warned {
            format!("⚠️ {node}: look closer, it has a message of its own below · code {code}")
        } else {
            format!("⤵️ {node} is asked about again below · code {code}")
        }
    }

    pub(crate) fn keys(count: u32) -> String {
        if count == 1 { " · 1 key released".to_owned() } else { format!(" · {count} keys released") }
    }

    pub(crate) fn more(count: usize) -> String {
        format!("… and {count} more, which no button but One by one covers; nightlatch approvals shows all")
    }

    pub(crate) const COMPARE: &str = "Does each node's screen show its code? Approve all answers the lines above that \
                                      wait, and nothing else. If you do not know why they start: Deny all.";
    pub(crate) const COMPARE_ONE: &str =
        "Does the node's screen show this code? If not, or if you do not know why it starts: Deny.";
    pub(crate) const MISTAKE: &str = "A mistake? /revoke and the name of the node";
    pub(crate) const OVER: &str = "⤵️ This list is not looked after any more";
    pub(crate) const OVER_MEANS: &str =
        "What still waits is asked in a newer message. /history tells what became of the rest.";

    pub(crate) fn reminder(open: usize, cluster: &Foreign) -> String {
        let waits = if open == 1 { "waits" } else { "wait" };
        format!("⏰ {} still {waits}", nodes(open, cluster))
    }

    pub(crate) fn reminder_over(cluster: &Foreign) -> String {
        if cluster.is_empty() {
            "☑️ No node of that list waits any more".to_owned()
        } else {
            format!("☑️ No node of {cluster} in that list waits any more")
        }
    }

    pub(crate) const NOTHING_LEFT: &str =
        "Nothing was changed: what that list showed is answered, over, or has changed since. Look at it again.";
    pub(crate) const ONE_BY_ONE_BELOW: &str = "What still waits is asked one by one below.";

    pub(crate) fn answered(deny: bool, tally: &Tally) -> String {
        let did = if deny { "❌ Denied" } else { "✅ Approved" };
        let mut said = vec![];
        if tally.decided > 0 || tally.counted == 0 {
            said.push(format!("{did}: {}.", tally.decided));
        }
        let mut say = |count: usize, what: &str| {
            if count > 0 {
                said.push(format!("{count} {what}."));
            }
        };
        say(tally.counted, "counted, and more people must approve");
        say(tally.too_late, "too late: answered or over before");
        say(tally.left_out, "left out: changed since, look at the message");
        say(tally.not_theirs, "not yours to answer");
        said.join(" ")
    }
}
