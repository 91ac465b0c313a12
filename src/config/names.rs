//! Names that people gave: present, readable, and each only once.

use std::collections::HashSet;
use std::ops::Range;

use toml::Spanned;

use super::finding::Findings;
use crate::peer::name::{MAX_NAME_LEN, is_readable, looks_like_a_code};

/// The names of one list.
#[derive(Debug)]
pub(super) struct Names {
    table: &'static str,
    taken: HashSet<Box<str>>,
    may_look_like_a_code: bool,
    well_formed: fn(&str) -> bool,
    form: &'static str,
}

impl Names {
    /// Names that people read in prompts and records.
    pub(super) fn of(table: &'static str) -> Self {
        let form = "a name has 1 to 64 letters, digits, blanks, `.`, `_`, `-`; no blank at either end";
        Self { table, taken: HashSet::new(), may_look_like_a_code: true, well_formed: is_readable, form }
    }

    /// Names that commands take in the place of an ask's match code.
    pub(super) fn beside_codes(table: &'static str) -> Self {
        Self { may_look_like_a_code: false, ..Self::of(table) }
    }

    /// Names that become part of the names of systemd's file descriptors.
    pub(super) fn of_channels() -> Self {
        let form = "a channel's name has 1 to 32 small letters, digits, `-`";
        let (taken, may_look_like_a_code) = (HashSet::new(), true);
        Self { table: "channel", taken, may_look_like_a_code, well_formed: is_channel_name, form }
    }

    /// Takes `name` of the table at `table`, or tells why it cannot be used.
    pub(super) fn take(
        &mut self,
        table: Range<usize>,
        name: Option<Spanned<String>>,
        findings: &mut Findings<'_>,
    ) -> Option<Box<str>> {
        let Some(name) = name else {
            findings.problem(table, format!("this [[{}]] has no name", self.table), "add a line such as name = \"…\"");
            return None;
        };
        let (span, name) = (name.span(), name.into_inner().into_boxed_str());
        if !(self.well_formed)(&name) {
            findings.problem(span, "this name cannot be used", self.form);
            return None;
        }
        if !self.may_look_like_a_code && looks_like_a_code(&name) {
            let hint =
                "make it longer: letter, digit, letter, digit is the form of the codes that `approvals block` takes";
            findings.problem(span, format!("`{name}` looks like the match code of an ask"), hint);
            return None;
        }
        if !self.taken.insert(name.clone()) {
            let text = format!("a second [[{}]] is called `{name}`", self.table);
            findings.problem(span, text, "give each its own name");
            return None;
        }
        Some(name)
    }

    /// Whether `name` was taken.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.taken.contains(name)
    }

    /// Tells that `name` is none of these.
    pub(super) fn tell_unknown(&self, span: Range<usize>, name: &str, findings: &mut Findings<'_>) {
        let mut known: Vec<&str> = self.taken.iter().map(|name| &**name).collect();
        known.sort_unstable();
        let nearest = known.iter().filter(|_| name.chars().count() <= MAX_NAME_LEN).find(|known| {
            strsim::damerau_levenshtein(name, known) <= 2
                || strsim::damerau_levenshtein(&name.to_lowercase(), known) <= 1
        });
        let hint = match (nearest, &*known) {
            (Some(nearest), _) => format!("did you mean `{nearest}`?"),
            (None, []) => format!("there is no [[{}]] yet: add one", self.table),
            (None, _) => format!("add a [[{}]] of that name, or correct it here", self.table),
        };
        findings.problem(span, format!("there is no {} `{name}`", self.table), hint);
    }
}

fn is_channel_name(name: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=32).contains(&name.len()) && name.bytes().all(allowed)
}
