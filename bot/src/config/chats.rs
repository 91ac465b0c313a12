//! Whom the bot asks: the chats, who may press in them, and in which turn they are asked.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;

use super::file::ChatTable;
use super::finding::Findings;
use super::{MAX_CHATS, MAX_PEOPLE};
use crate::message::{ChatId, UserId};
use crate::session::Chat;

/// Ids have at most 52 significant bits: core.telegram.org/bots/api, "User" and "Chat".
const MAX_ID: i64 = (1 << 52) - 1;

/// Most letters of a cluster's name, as the server's configuration has it.
const MAX_CLUSTER_LEN: usize = 64;

/// Accounts of Telegram's own: whatever is sent in their name may come from anybody.
const NOBODY: [(i64, &str); 3] = [
    (777_000, "Telegram itself, in whose name posts of linked channels arrive"),
    (136_817_688, "the bot in whose name people write as a channel"),
    (1_087_968_824, "the bot in whose name the anonymous admins of every group write"),
];

/// Checks the chats; on a mistake the list is shorter than what is written.
pub(super) fn check(tables: Vec<Spanned<ChatTable>>, findings: &mut Findings<'_>) -> Vec<Chat> {
    let hint = "add [[chat]] with id = … of a person: whoever writes /start to the bot is told theirs";
    if tables.is_empty() {
        findings.problem(None, "there is no [[chat]]: nobody would be asked", hint);
    }
    if let Some(first) = tables.get(MAX_CHATS) {
        findings.problem(first.span(), format!("more than {MAX_CHATS} chats"), "use groups for more people");
    }
    let written = tables.len();
    let mut chats: Vec<Chat> = Vec::new();
    for table in tables.into_iter().take(MAX_CHATS) {
        let span = table.span();
        let Some(chat) = chat(span.clone(), table.into_inner(), findings) else { continue };
        if chats.iter().any(|other| other.id == chat.id) {
            let hint = "write one [[chat]] for it, with all its clusters";
            findings.problem(span, format!("a second [[chat]] has the id {}", chat.id.0), hint);
            continue;
        }
        chats.push(chat);
    }
    let people: BTreeSet<UserId> = chats.iter().flat_map(|chat| chat.people.iter().copied()).collect();
    if people.len() > MAX_PEOPLE {
        let text = format!("{} people, and at most {MAX_PEOPLE} may answer", people.len());
        findings.problem(None, text, "the server knows no more approvers either");
    }
    // What follows from all of them together is told once each of them is right.
    if chats.len() == written && !chats.is_empty() {
        turns(&chats, findings);
    }
    chats
}

fn chat(span: Range<usize>, table: ChatTable, findings: &mut Findings<'_>) -> Option<Chat> {
    let Some(id) = table.id else {
        let hint = "add id = …: a person's number for a private chat, a group's, which is negative, for a group";
        findings.problem(span, "this [[chat]] has no id", hint);
        return None;
    };
    let (id_span, id) = (id.span(), id.into_inner());
    if id == 0 || id.unsigned_abs() > MAX_ID.unsigned_abs() {
        findings.problem(id_span, "this is no id of Telegram's", "copy the number that the bot says after /start");
        return None;
    }
    let (people, clusters) = (people(id_span.clone(), id, table.people, findings), clusters(table.clusters, findings));
    let turn = match table.turn {
        None => Some(1),
        Some(turn) => match u8::try_from(*turn.get_ref()).ok().filter(|turn| (1..=9).contains(turn)) {
            None => {
                let hint = "write 1 for who is asked at once, 2 for who is asked when those do not answer, and so on";
                findings.problem(turn.span(), "a turn is a number from 1 to 9", hint);
                None
            }
            turn => turn,
        },
    };
    Some(Chat { id: ChatId(id), people: people?, clusters: clusters?, turn: turn? })
}

fn people(
    id_span: Range<usize>,
    id: i64,
    written: Option<Spanned<Vec<Spanned<i64>>>>,
    findings: &mut Findings<'_>,
) -> Option<BTreeSet<UserId>> {
    let Some(written) = written else {
        if id > 0 {
            return is_somebody(id_span, id, findings).then(|| BTreeSet::from([UserId(id)]));
        }
        let hint = "add people = [1, 2] with the numbers of those who may answer: being in the group is not enough";
        findings.problem(id_span, "this group does not say who may answer in it", hint);
        return None;
    };
    let span = written.span();
    let mut people = BTreeSet::new();
    for person in written.into_inner() {
        let (span, person) = (person.span(), person.into_inner());
        if !is_somebody(span.clone(), person, findings) {
            return None;
        }
        if !people.insert(UserId(person)) {
            findings.problem(span, format!("{person} stands here twice"), "keep one of them");
            return None;
        }
    }
    if id > 0 && !people.iter().eq([&UserId(id)]) {
        let hint = format!("leave people out, or write people = [{id}]: a private chat has one person, who is its id");
        findings.problem(span, "this is not the person of this private chat", hint);
        return None;
    }
    if people.is_empty() {
        findings.problem(span, "nobody may answer in this group", "write who may: people = [1, 2]");
        return None;
    }
    Some(people)
}

/// Whether this can be a person; tells when it cannot.
fn is_somebody(span: Range<usize>, id: i64, findings: &mut Findings<'_>) -> bool {
    if let Some((_, who)) = NOBODY.iter().find(|(nobody, _)| *nobody == id) {
        findings.problem(span, format!("{id} is no person: it is {who}"), "write the person's own number");
        return false;
    }
    let is = (1..=MAX_ID).contains(&id);
    if !is {
        findings.problem(span, "this is no number of a person", "copy the number that the bot says after /start");
    }
    is
}

/// Outside, whether there was a mistake; inside, whether clusters are named.
fn clusters(
    written: Option<Spanned<Vec<Spanned<String>>>>,
    findings: &mut Findings<'_>,
) -> Option<Option<BTreeSet<String>>> {
    let Some(written) = written else { return Some(None) };
    let span = written.span();
    let mut clusters = BTreeSet::new();
    for cluster in written.into_inner() {
        let (span, cluster) = (cluster.span(), cluster.into_inner());
        if !is_a_cluster(&cluster) {
            let hint = "write it as nightlatch.toml does: 1 to 64 letters, digits, blanks, `.`, `_`, `-`";
            findings.problem(span, "this is no name of a cluster", hint);
            return None;
        }
        if !clusters.insert(cluster.clone()) {
            findings.problem(span, format!("`{cluster}` stands here twice"), "keep one of them");
            return None;
        }
    }
    if clusters.is_empty() {
        findings.problem(span, "this chat would never be asked", "name clusters, or leave the key out for all nodes");
        return None;
    }
    Some(Some(clusters))
}

fn is_a_cluster(name: &str) -> bool {
    let allowed = |char: char| char.is_alphanumeric() || matches!(char, ' ' | '.' | '_' | '-');
    !name.is_empty() && name.chars().count() <= MAX_CLUSTER_LEN && name.trim() == name && name.chars().all(allowed)
}

/// What is to be said about the turns: who is asked first, and who is asked by nobody.
fn turns(chats: &[Chat], findings: &mut Findings<'_>) {
    let at_once = || chats.iter().filter(|chat| chat.turn == 1);
    if at_once().next().is_none() {
        let hint = "write turn = 1 for those who are to be asked at once, or leave turn out";
        findings.problem(None, "no [[chat]] has turn 1: every prompt would come late", hint);
        return;
    }
    if at_once().any(|chat| chat.clusters.is_none()) {
        return;
    }
    let named = |chat: &Chat| chat.clusters.clone().unwrap_or_default();
    let covered: BTreeSet<String> = at_once().flat_map(named).collect();
    let later: BTreeSet<String> = chats.iter().flat_map(named).collect();
    for cluster in later.difference(&covered) {
        findings.warning(format!("nobody is asked at once about cluster `{cluster}`: no chat with turn 1 has it"));
    }
    findings.warning(if chats.iter().any(|chat| chat.clusters.is_none()) {
        "nobody is asked at once about nodes of other clusters, and of none"
    } else {
        "nobody is asked about nodes of other clusters, and of none: leave clusters out in one chat to have them"
    });
}
