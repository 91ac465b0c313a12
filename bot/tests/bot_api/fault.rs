//! What can go wrong between the bot and Telegram.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 429, with so many seconds to wait.
    Wait(u64),
    /// 409: another program asked for updates.
    Conflict,
    /// 401.
    Unauthorized,
    /// An error in Telegram's manner, with this code and description.
    Refuse(u16, String),
    /// An error in Telegram's manner that names the group's new id.
    Migrated(i64),
    /// Success, with this result, and nothing done.
    Result(Value),
    /// A page of HTML with this status, as proxies and hotels have it.
    Page(u16),
    /// A redirect to this address.
    Redirect(String),
    /// 200, and JSON that breaks off.
    Nonsense,
    /// 200, and JSON without an end.
    Endless,
    /// A byte every few milliseconds that says nothing, for ever.
    Slow,
    /// Nothing, for ever.
    Hang,
    /// The connection ends in the middle of the answer; nothing was done.
    Cut,
    /// It is done, and the connection ends in the middle of the answer.
    LostAnswer,
}

/// The faults of each method, by its name in lower case.
#[derive(Debug, Default)]
pub(super) struct Faults {
    once: HashMap<String, VecDeque<Fault>>,
    each: HashMap<String, Fault>,
}

impl Faults {
    pub(super) fn once(&mut self, method: &str, fault: Fault) {
        self.once.entry(method.to_ascii_lowercase()).or_default().push_back(fault);
    }

    pub(super) fn each(&mut self, method: &str, fault: Fault) {
        self.each.insert(method.to_ascii_lowercase(), fault);
    }

    pub(super) fn heal(&mut self) {
        *self = Self::default();
    }

    /// What happens to this call.
    pub(super) fn next(&mut self, method: &str) -> Option<Fault> {
        let names = [method, "*"];
        let once = names.iter().find_map(|name| self.once.get_mut(*name)?.pop_front());
        once.or_else(|| names.iter().find_map(|name| self.each.get(*name).cloned()))
    }
}
