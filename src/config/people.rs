//! Who may answer, and through what.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use toml::Spanned;

use super::file::{ApproverTable, ChannelTable, PeopleWord};
use super::finding::Findings;
use super::keys::is_absolute;
use super::names::Names;
use super::{Approver, Channel, People};
use crate::peer::OVERFLOW_UID;

/// Most people. Every open ask remembers who voted.
const MAX_APPROVERS: usize = 256;

/// Most channels. Each one is a socket, and a copy of every event.
const MAX_CHANNELS: usize = 16;

/// Longest path of a Unix socket, in bytes (`sun_path`, without the byte that ends it).
const MAX_SOCKET_PATH: usize = 107;

/// Checks the approvers; on a mistake the list is shorter than what is written.
pub(super) fn approvers(tables: Vec<Spanned<ApproverTable>>, findings: &mut Findings<'_>) -> (Vec<Approver>, Names) {
    if let Some(extra) = tables.get(MAX_APPROVERS) {
        findings.problem(extra.span(), "there are more than 256 approvers", "keep the people who do answer");
    }
    let mut names = Names::of("approver");
    let (mut uids, mut telegram_ids) = (HashSet::new(), HashSet::new());
    let mut approvers = Vec::new();
    for table in tables.into_iter().take(MAX_APPROVERS) {
        let span = table.span();
        let table = table.into_inner();
        if table.uid.is_none() && table.telegram_id.is_none() {
            let hint = "add uid = … (see id -u) for the command line, telegram_id = … for the bot, or both";
            findings.problem(span.clone(), "nobody could tell that this approver is speaking", hint);
        }
        let name = names.take(span, table.name, findings);
        let uid = table.uid.and_then(|written| {
            let uid = user(&written, findings)?;
            once(&mut uids, uid, written.span(), "uid", findings)
        });
        let telegram_id = table.telegram_id.and_then(|written| {
            let id = *written.get_ref();
            if id <= 0 {
                let hint = "write the person's numeric id, a positive number; negative ones are groups";
                findings.problem(written.span(), format!("{id} is no Telegram id of a person"), hint);
                return None;
            }
            once(&mut telegram_ids, id, written.span(), "telegram_id", findings)
        });
        if let Some(name) = name {
            approvers.push(Approver { name, uid, telegram_id });
        }
    }
    (approvers, names)
}

/// Checks the channels; on a mistake the list is shorter than what is written.
pub(super) fn channels(
    tables: Vec<Spanned<ChannelTable>>,
    approvers: &[Approver],
    findings: &mut Findings<'_>,
) -> Vec<Channel> {
    if let Some(extra) = tables.get(MAX_CHANNELS) {
        findings.problem(extra.span(), "there are more than 16 channels", "keep those that are in use");
    }
    let by_uid: HashMap<u32, &str> =
        approvers.iter().filter_map(|approver| Some((approver.uid?, &*approver.name))).collect();
    let mut names = Names::of_channels();
    let (mut sockets, mut bots) = (HashSet::new(), HashMap::new());
    let mut channels: Vec<Channel> = Vec::new();
    for table in tables.into_iter().take(MAX_CHANNELS) {
        let span = table.span();
        let table = table.into_inner();
        let name = names.take(span.clone(), table.name, findings);
        let uid_at = table.uid.as_ref().map(Spanned::span);
        let people = people(span, table.people, table.uid, &by_uid, findings);
        let socket = table.socket.filter(|path| is_absolute(path, path.span(), findings)).and_then(|path| {
            let span = path.span();
            if path.get_ref().as_os_str().len() > MAX_SOCKET_PATH {
                findings.problem(
                    span,
                    "this path is too long for a socket",
                    "107 bytes are the most: use a shorter one",
                );
                return None;
            }
            once(&mut sockets, path.into_inner(), span, "socket", findings)
        });
        if let (Some(name), Some(people)) = (name, people) {
            if let People::Telegram { uid } = people
                && let Some(other) = bots.insert(uid, name.clone())
            {
                let hint = "run each bot as a user of its own: one bot would count as two channels for from_channels";
                findings.problem(uid_at, format!("uid {uid} is that of the channel `{other}` as well"), hint);
            }
            channels.push(Channel { name, people, socket });
        }
    }
    channels
}

fn people(
    span: Range<usize>,
    people: Option<Spanned<PeopleWord>>,
    uid: Option<Spanned<i64>>,
    approvers: &HashMap<u32, &str>,
    findings: &mut Findings<'_>,
) -> Option<People> {
    let Some(people) = people else {
        let hint = "add people = \"uid\" (the person is the user of the process) or people = \"telegram\" (the bot)";
        findings.problem(span, "this [[channel]] does not say who speaks through it", hint);
        return None;
    };
    match (people.get_ref(), uid) {
        (PeopleWord::Uid, None) => Some(People::Uid),
        (PeopleWord::Uid, Some(uid)) => {
            let hint = "remove it here: each [[approver]] has its own uid";
            findings.problem(uid.span(), "a channel with people = \"uid\" has no uid of its own", hint);
            None
        }
        (PeopleWord::Telegram, None) => {
            let hint = "add uid = … of the bot's user (id -u nightlatch-bot): nobody else may connect";
            findings.problem(people.span(), "a channel with people = \"telegram\" needs a uid", hint);
            None
        }
        (PeopleWord::Telegram, Some(written)) => {
            let uid = user(&written, findings)?;
            if let Some(name) = approvers.get(&uid) {
                let hint = "run the bot as a user of its own: as this one it could vote as that person";
                findings.problem(written.span(), format!("uid {uid} is that of the approver `{name}`"), hint);
            }
            Some(People::Telegram { uid })
        }
    }
}

fn user(written: &Spanned<i64>, findings: &mut Findings<'_>) -> Option<u32> {
    // The largest value is the kernel's word for "no user".
    match u32::try_from(*written.get_ref()).ok().filter(|uid| *uid != u32::MAX) {
        None => {
            findings.problem(written.span(), "this is no user id", "write what id -u prints: 0 to 4294967294");
            None
        }
        Some(OVERFLOW_UID) => {
            let hint = "use another user: this id stands for everybody whom a user namespace does not know";
            findings.problem(written.span(), "user id 65534 may be anybody", hint);
            None
        }
        uid => uid,
    }
}

fn once<T: Eq + std::hash::Hash + Clone>(
    taken: &mut HashSet<T>,
    value: T,
    span: Range<usize>,
    key: &str,
    findings: &mut Findings<'_>,
) -> Option<T> {
    if taken.insert(value.clone()) {
        return Some(value);
    }
    findings.problem(span, format!("this {key} is listed twice"), "one person, or one channel, is one entry");
    None
}
