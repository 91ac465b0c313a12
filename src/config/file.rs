//! The file as it is written: nearly everything may be missing, and values know where they stand, so that the checks
//! can say in full what is wrong and where. `systemd/nightlatch.toml` says what each key means.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::tls::TlsWritten;
use super::{Action, LogLevel, OtherAddress};
use crate::peer::admission::UuidKind;

/// A duration with its unit, such as "90s".
pub(super) type Span = Spanned<humantime_serde::Serde<Duration>>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) installation: Option<Spanned<String>>,
    pub(super) state_directory: Option<Spanned<PathBuf>>,
    pub(super) networks: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) uuid_policy: Option<UuidPolicyWord>,
    pub(super) uuid_entropy_check: Option<bool>,
    pub(super) tls: Option<Spanned<TlsWritten>>,
    pub(super) exit_after_idle: Option<Span>,
    pub(super) listen: Option<ListenTable>,
    #[serde(default)]
    pub(super) key: Vec<Spanned<KeyTable>>,
    #[serde(default)]
    pub(super) rules: RulesTable,
    #[serde(default)]
    pub(super) cluster: Vec<Spanned<ClusterTable>>,
    #[serde(default)]
    pub(super) node: Vec<Spanned<NodeTable>>,
    #[serde(default)]
    pub(super) enrolment: EnrolmentTable,
    #[serde(default)]
    pub(super) approver: Vec<Spanned<ApproverTable>>,
    #[serde(default)]
    pub(super) channel: Vec<Spanned<ChannelTable>>,
    #[serde(default)]
    pub(super) timings: TimingsTable,
    #[serde(default)]
    pub(super) log: LogTable,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum UuidPolicyWord {
    Any,
    Rfc4122,
    V4,
}

impl From<UuidPolicyWord> for UuidKind {
    fn from(word: UuidPolicyWord) -> Self {
        match word {
            UuidPolicyWord::Any => Self::Any,
            UuidPolicyWord::Rfc4122 => Self::Rfc4122,
            UuidPolicyWord::V4 => Self::V4,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenTable {
    pub(super) talos: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyTable {
    pub(super) name: Option<Spanned<String>>,
    pub(super) source: Option<Spanned<String>>,
    pub(super) credential: Option<Spanned<String>>,
    pub(super) file: Option<Spanned<PathBuf>>,
    pub(super) ask: Option<Spanned<String>>,
    pub(super) salt: Option<Spanned<String>>,
    pub(super) key_id: Option<Spanned<String>>,
    pub(super) memory: Option<Spanned<String>>,
    pub(super) passes: Option<Spanned<i64>>,
    pub(super) lanes: Option<Spanned<i64>>,
    pub(super) seals: Option<Spanned<bool>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RulesTable {
    pub(super) seal: Option<Spanned<Action>>,
    pub(super) unseal: Option<Spanned<Action>>,
    pub(super) other_address: Option<Spanned<OtherAddress>>,
    pub(super) approvers: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) quorum: Option<Spanned<i64>>,
    pub(super) from_channels: Option<Spanned<i64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterTable {
    pub(super) name: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) rules: RulesTable,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeTable {
    pub(super) uuid: Option<Spanned<String>>,
    pub(super) name: Option<Spanned<String>>,
    pub(super) cluster: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) addresses: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) formerly: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) bind_address: bool,
    #[serde(default)]
    pub(super) rules: RulesTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnrolmentTable {
    pub(super) unknown_nodes: Option<UnknownNodesWord>,
    pub(super) networks: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) cluster: Option<Spanned<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum UnknownNodesWord {
    Deny,
    Ask,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApproverTable {
    pub(super) name: Option<Spanned<String>>,
    pub(super) uid: Option<Spanned<i64>>,
    pub(super) telegram_id: Option<Spanned<i64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChannelTable {
    pub(super) name: Option<Spanned<String>>,
    pub(super) people: Option<Spanned<PeopleWord>>,
    pub(super) uid: Option<Spanned<i64>>,
    pub(super) socket: Option<Spanned<PathBuf>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PeopleWord {
    Uid,
    Telegram,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimingsTable {
    pub(super) hold: Option<Span>,
    pub(super) release_margin: Option<Span>,
    pub(super) lease: Option<Span>,
    pub(super) lease_max: Option<Span>,
    pub(super) uses: Option<Spanned<i64>>,
    pub(super) deny_for: Option<Span>,
    pub(super) block_for: Option<Span>,
    pub(super) poll_for: Option<Span>,
    pub(super) ask_ttl: Option<Span>,
    pub(super) seal_grant_for: Option<Span>,
    pub(super) seal_grant_uses: Option<Spanned<i64>>,
    pub(super) grant_for: Option<Span>,
    pub(super) grant_max: Option<Span>,
    pub(super) grant_uses: Option<Spanned<i64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogTable {
    pub(super) level: Option<LogLevel>,
    pub(super) libraries: Option<LogLevel>,
}
