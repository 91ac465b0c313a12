//! What messages have in common: how a fact of the protocol is read, and how those are read that this version does not
//! know (docs/spec/approval-protocol.md, "Closed sets, and newer versions").

use nightlatch_approval_api::v1;

use super::Foreign;
use crate::texts;

/// A reason to look twice before answering, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    WrongAddress,
    TwoAddresses,
    Moved,
    Unknown,
}

impl Alarm {
    /// What the first line cries.
    pub(super) const fn cry(self) -> &'static str {
        match self {
            Self::WrongAddress => texts::prompt::WRONG_ADDRESS,
            Self::TwoAddresses => texts::prompt::TWO_ADDRESSES,
            Self::Moved => texts::prompt::MOVED,
            Self::Unknown => texts::prompt::UNKNOWN_WARNING,
        }
    }

    /// What the line under it says.
    pub(super) fn meaning(self, node: &Foreign, address: &Foreign) -> String {
        match self {
            Self::WrongAddress => texts::prompt::wrong_address(node, address),
            Self::TwoAddresses => texts::prompt::two_addresses(node),
            Self::Moved => texts::prompt::moved(node, address),
            Self::Unknown => texts::prompt::UNKNOWN_WARNING_MEANS.to_owned(),
        }
    }
}

/// The alarms of an ask, each once. An origin that this version does not know counts as another address.
pub(super) fn alarms(ask: &v1::Ask) -> Vec<Alarm> {
    let of_origin = match ask.origin() {
        v1::Origin::Listed | v1::Origin::PerAddress => None,
        v1::Origin::OtherAddress | v1::Origin::Unspecified => Some(Alarm::WrongAddress),
    };
    let of_warning = |warning: &i32| match v1::Warning::try_from(*warning) {
        Ok(v1::Warning::NewAddress) => None,
        Ok(v1::Warning::OtherAddress) => Some(Alarm::WrongAddress),
        Ok(v1::Warning::SecondAddress) => Some(Alarm::TwoAddresses),
        Ok(v1::Warning::Moved) => Some(Alarm::Moved),
        Ok(v1::Warning::Unspecified) | Err(_) => Some(Alarm::Unknown),
    };
    let mut alarms: Vec<_> = ask.warnings.iter().filter_map(of_warning).chain(of_origin).collect();
    alarms.sort_unstable();
    alarms.dedup();
    alarms
}

/// Whether `now` asks another question than `before`, or one with a reason more to say no: then a yes to `before` is none
/// to `now`. Of an ask that is not whole nothing but what is kept is looked at.
#[must_use]
pub fn asks_more(before: &v1::Ask, is_whole: bool, now: &v1::Ask) -> bool {
    let known = if is_whole { alarms(before) } else { vec![] };
    before.code != now.code
        || before.node != now.node
        || is_seal(before.operation) != is_seal(now.operation)
        || (is_whole && before.tls && !now.tls)
        || alarms(now).iter().any(|alarm| !known.contains(alarm))
}

/// Whether it is a seal; an operation that this version does not know is the wider one.
pub(super) fn is_enrolment(ask: &v1::Ask) -> bool {
    ask.purpose() == v1::Purpose::Enrolment
}

pub(super) fn is_seal(operation: i32) -> bool {
    v1::Operation::try_from(operation) == Ok(v1::Operation::Seal)
}

/// Whether it is a denial; a kind that this version does not know is shown as a block.
pub(super) fn is_block(refusal: &v1::Refusal) -> bool {
    refusal.kind() != v1::RefusalKind::Denial
}

/// What people call the node: its name, or its UUID if it has none.
pub(super) fn node_of(node: Option<&v1::Node>) -> Foreign {
    let names = node.into_iter().flat_map(|node| [&node.name, &node.uuid]).map(|name| Foreign::name(name));
    names.chain([Foreign::name(texts::A_NODE)]).find(|name| !name.is_empty()).unwrap_or_else(|| Foreign::name("?"))
}

/// An address as it was told; none is shown as such, so that no line lacks it unseen.
pub(super) fn address(address: &str) -> Foreign {
    Foreign::address(if address.is_empty() { "?" } else { address })
}

/// From where a denial or block binds.
pub(super) fn refused_from(refusal: Option<&v1::Refusal>) -> String {
    match refusal.map_or("", |refusal| &refusal.address) {
        "" => texts::EVERYWHERE.to_owned(),
        from => texts::from(&address(from)),
    }
}

/// Who did something.
pub(super) fn by(name: &str) -> Foreign {
    or(name, texts::SOMEBODY)
}

/// A name, or what is said where there is none.
pub(super) fn or(text: &str, empty: &str) -> Foreign {
    let shown = Foreign::name(text);
    if shown.is_empty() { Foreign::name(empty) } else { shown }
}

/// How many people and channels more it takes. One channel is no condition while nobody has voted: the first yes comes
/// through one anyway. Later it is: the yes must come through another than those before.
pub(super) const fn missing(ask: &v1::Ask) -> (u32, u32) {
    match (ask.votes_missing, ask.channels_missing) {
        (people, 1) if ask.voted.is_empty() => (people, 0),
        missing => missing,
    }
}

/// Several people: as many as one line bears.
pub(super) fn people(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut people: Vec<_> = names.iter().take(SHOWN).map(|name| by(name).to_string()).collect();
    if names.len() > SHOWN {
        people.push(texts::list::more(names.len() - SHOWN));
    }
    people.join(", ")
}
