//! Rules: each layer by itself, and whether the votes that they ask for can come.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;

use super::file::RulesTable;
use super::finding::Findings;
use super::names::Names;
use super::{Action, Approver, Channel, OtherAddress, People, Rules};

/// One layer, with the places of what decides about votes.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) rules: Rules,
    approvers_at: Option<Range<usize>>,
    quorum_at: Option<Range<usize>>,
    from_channels_at: Option<Range<usize>>,
}

impl Layer {
    /// Checks what one layer says by itself.
    pub(super) fn check(table: RulesTable, approvers: &Names, findings: &mut Findings<'_>) -> Self {
        if let Some(unseal) = table.unseal.as_ref().filter(|unseal| *unseal.get_ref() == Action::Allow) {
            findings.warning(unseal.span(), "unseal = \"allow\" releases disk keys and asks nobody");
        }
        for (key, action) in [("seal", table.seal.as_ref()), ("unseal", table.unseal.as_ref())] {
            if let Some(granted) = action.filter(|action| *action.get_ref() == Action::Granted) {
                let refused = "what was not approved before, as with nightlatch grant, is refused";
                findings.warning(granted.span(), format!("{key} = \"granted\" asks nobody: {refused}"));
            }
        }
        let approvers_at = table.approvers.as_ref().map(Spanned::span);
        let names = table.approvers.map(|names| {
            let mut known: Vec<Box<str>> = Vec::new();
            let mut seen = BTreeSet::new();
            for name in names.into_inner() {
                let (span, name) = (name.span(), name.into_inner().into_boxed_str());
                if !approvers.contains(&name) {
                    approvers.tell_unknown(span, &name, findings);
                } else if seen.insert(name.clone()) {
                    known.push(name);
                }
            }
            known
        });
        let hint = "a zero would let nobody decide: write 1 or more, or remove the line";
        let mut count = |key: &str, written: Option<&Spanned<i64>>| {
            let written = written?;
            let count = usize::try_from(*written.get_ref()).ok().filter(|count| *count > 0);
            if count.is_none() {
                findings.problem(written.span(), format!("{key} must be at least 1"), hint);
            }
            count
        };
        Self {
            approvers_at,
            quorum_at: table.quorum.as_ref().map(Spanned::span),
            from_channels_at: table.from_channels.as_ref().map(Spanned::span),
            rules: Rules {
                seal: table.seal.map(Spanned::into_inner),
                unseal: table.unseal.map(Spanned::into_inner),
                other_address: table.other_address.map(Spanned::into_inner),
                approvers: names,
                quorum: count("quorum", table.quorum.as_ref()),
                from_channels: count("from_channels", table.from_channels.as_ref()),
            },
        }
    }

    fn decides_about_votes(&self) -> bool {
        self.approvers_at.is_some() || self.quorum_at.is_some() || self.from_channels_at.is_some()
    }
}

/// The people and channels that there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Voters<'a> {
    pub(super) approvers: &'a [Approver],
    pub(super) channels: &'a [Channel],
}

impl Voters<'_> {
    /// Of the people that `layers` name (the most specific first): how many can vote, and through how many channels.
    /// All channels with people = "uid" are one: whoever has become a user of this host can use any of them.
    fn able(&self, layers: &[&Layer]) -> (usize, usize) {
        let named: Option<BTreeSet<&str>> = layers
            .iter()
            .find_map(|layer| layer.rules.approvers.as_ref())
            .map(|names| names.iter().map(|name| &**name).collect());
        let people: Vec<&Approver> = self
            .approvers
            .iter()
            .filter(|approver| named.as_ref().is_none_or(|named| named.contains(&*approver.name)))
            .collect();
        let able = people.iter().filter(|person| self.channels.iter().any(|channel| can_use(person, channel))).count();
        let usable = self.channels.iter().filter(|channel| people.iter().any(|person| can_use(person, channel)));
        let (by_uid, others): (Vec<_>, Vec<_>) = usable.partition(|channel| channel.people == People::Uid);
        (able, others.len() + by_uid.len().min(1))
    }

    /// Checks that the votes which `layers` (the most specific first) ask for can come.
    pub(super) fn check(&self, layers: &[&Layer], findings: &mut Findings<'_>) {
        let Some(own) = layers.first().filter(|own| own.decides_about_votes()) else {
            return;
        };
        let (able, usable) = self.able(layers);
        let deciding = |at: fn(&Layer) -> &Option<Range<usize>>| {
            at(own).clone().or_else(|| own.approvers_at.clone()).or_else(|| layers.iter().find_map(|l| at(l).clone()))
        };
        if let Some(quorum) = layers.iter().find_map(|layer| layer.rules.quorum).filter(|quorum| *quorum > able) {
            findings.problem(
                deciding(|layer| &layer.quorum_at),
                format!("quorum {quorum} can never be reached: {able} of these approvers can vote"),
                "lower the quorum, add approvers, or give them an id for a [[channel]] that there is",
            );
        }
        let from = layers.iter().find_map(|layer| layer.rules.from_channels).unwrap_or(0);
        if from > usable {
            findings.problem(
                deciding(|layer| &layer.from_channels_at),
                format!("from_channels {from} can never be reached: these approvers can use {usable}"),
                "lower it, or add a [[channel]] and ids for it: all channels with people = \"uid\" count as one",
            );
        } else if from > 1 && self.channels.iter().filter(|channel| channel.people == People::Uid).count() > 1 {
            // Votes are counted by the names of channels, so that there may be only one such name.
            findings.problem(
                deciding(|layer| &layer.from_channels_at),
                format!("from_channels {from} needs channels that are apart, and several have people = \"uid\""),
                "keep one [[channel]] with people = \"uid\": whoever is a user of this host can use all of them",
            );
        }
    }

    /// Whether `layers` (the most specific first) ask people, and none of them can answer.
    pub(super) fn ask_nobody(&self, layers: &[&Layer]) -> bool {
        let action = |pick: fn(&Rules) -> Option<Action>| {
            layers.iter().find_map(|layer| pick(&layer.rules)).unwrap_or(Action::Ask)
        };
        let other = layers.iter().find_map(|layer| layer.rules.other_address);
        let asks = [action(|rules| rules.seal), action(|rules| rules.unseal)].contains(&Action::Ask)
            || other == Some(OtherAddress::Ask);
        asks && self.able(layers).0 == 0
    }

    /// Whether under `layers` (the most specific first) nobody can answer anything.
    pub(super) fn can_nobody_answer(&self, layers: &[&Layer]) -> bool {
        self.able(layers).0 == 0
    }

    /// Warns of people who are listed and cannot vote, and of channels that nobody can vote through.
    pub(super) fn warn_of_unable(&self, findings: &mut Findings<'_>) {
        for person in self.approvers {
            if !self.channels.iter().any(|channel| can_use(person, channel)) {
                let text = format!("approver `{}` cannot vote: no [[channel]] knows people by such an id", person.name);
                findings.warning(None, text);
            }
        }
        for channel in self.channels {
            if !self.approvers.iter().any(|person| can_use(person, channel)) {
                let id = match channel.people {
                    People::Uid => "uid",
                    People::Telegram { .. } => "telegram_id",
                };
                let text =
                    format!("nobody can vote through the channel `{}`: no [[approver]] has a {id}", channel.name);
                findings.warning(None, text);
            }
        }
    }
}

fn can_use(person: &Approver, channel: &Channel) -> bool {
    match channel.people {
        People::Uid => person.uid.is_some(),
        People::Telegram { .. } => person.telegram_id.is_some(),
    }
}
