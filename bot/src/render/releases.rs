//! What was released to a node, summed up.

use std::collections::BTreeMap;

use nightlatch_approval_api::v1;

use super::When;
use super::facts::{address, is_seal};
use super::page::Page;
use crate::texts::{self, closed};
use crate::zone::span;

/// Most addresses that are told apart. An IPv6 origin is a /64, in which a node may have any number.
const MAX_ADDRESSES: usize = 8;

/// What was released to a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Releases {
    /// By the address it went to. `""` is the sum of those beyond the eighth.
    pub to: BTreeMap<String, Released>,
    /// Milliseconds from the deciding vote to the first of them.
    pub first_after_vote_ms: Option<u64>,
    /// Whether any of them rests on an ask that somebody approved.
    pub approved: bool,
    /// Whether any of them rests on the rule "allow".
    pub allowed: bool,
    /// Those that the approval ahead still allows which the last of them rests on.
    pub ahead_left: Option<u32>,
}

/// The releases to one address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Released {
    /// Existing disks: keys that were handed out.
    pub unsealed: Keys,
    /// New disks: keys that were sealed.
    pub sealed: Keys,
}

/// Releases of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keys {
    /// How many.
    pub count: u32,
    /// When the last of them was, in milliseconds since 1970-01-01 00:00 UTC.
    pub last_at_ms: i64,
}

impl Releases {
    /// Whether nothing was released.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.to.is_empty()
    }

    /// Counts one more.
    pub fn add(&mut self, release: &v1::Release) {
        let known = self.to.contains_key(&release.address) || self.to.len() < MAX_ADDRESSES;
        let address = if known { release.address.as_str() } else { "" };
        let to = self.to.entry(address.to_owned()).or_default();
        let keys = if is_seal(release.operation) { &mut to.sealed } else { &mut to.unsealed };
        keys.count = keys.count.saturating_add(1);
        keys.last_at_ms = keys.last_at_ms.max(release.at_ms);
        if let Some(left) = release.ahead_uses_left {
            self.ahead_left = Some(left);
        } else if release.ask_id.is_empty() {
            self.allowed = true;
        } else {
            self.approved = true;
        }
        self.first_after_vote_ms = match (self.first_after_vote_ms, release.after_vote_ms) {
            (Some(before), Some(now)) => Some(before.min(now)),
            (before, now) => before.or(now),
        };
    }
}

/// What was released, and how fast; that nothing was, if that is expected to change.
pub(super) fn lines(releases: &Releases, expected: bool, when: When<'_>, page: &mut Page) {
    if releases.is_empty() && expected {
        page.line(closed::NOTHING_RELEASED);
    }
    for (to, released) in &releases.to {
        let to = if to.is_empty() { texts::OTHER_ADDRESSES.to_owned() } else { address(to).to_string() };
        let Released { unsealed, sealed } = released;
        let last = |keys: &Keys| when.at(keys.last_at_ms);
        page.maybe((unsealed.count > 0).then(|| closed::unlocked(unsealed.count, &to, &last(unsealed))));
        page.maybe((sealed.count > 0).then(|| closed::sealed(sealed.count, &to, &last(sealed))));
    }
    page.maybe(releases.first_after_vote_ms.map(|millis| closed::first_after(&span(millis))));
}
