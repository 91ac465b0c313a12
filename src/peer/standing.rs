//! What is remembered about a node and where it calls from, beyond a restart: denials, blocks, who approved it last.

use super::{ListedNode, Origin};
use crate::clock::WallTime;
use crate::request::NodeUuid;

/// How a refusal came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalKind {
    /// One ask was denied; the node may ask again when the denial ends.
    Denial,
    /// The node was blocked.
    Block,
}

impl RefusalKind {
    /// The word for records and state.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denial => "denial",
            Self::Block => "block",
        }
    }
}

/// A person's no, which lasts until it ends or is lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whom it binds.
    pub node: NodeUuid,
    /// From where; `None` binds the whole node.
    pub origin: Option<Origin>,
    /// Denial or block.
    pub kind: RefusalKind,
    /// The approver who said no.
    pub by: Box<str>,
    /// The channel through which they did.
    pub channel: Box<str>,
    /// When they did.
    pub at: WallTime,
    /// When it ends.
    pub until: WallTime,
}

/// Who approved a node last, from one origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastApproval {
    /// Who was approved.
    pub node: NodeUuid,
    /// From where.
    pub origin: Origin,
    /// The approver whose vote decided.
    pub by: Box<str>,
    /// When they voted.
    pub at: WallTime,
}

/// Everything that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Denials and blocks.
    pub refusals: Vec<Refusal>,
    /// Last approvals, at most one for each node and origin.
    pub approvals: Vec<LastApproval>,
}

/// Most last approvals that are remembered; the oldest is forgotten first. It is only shown to people.
pub const MAX_APPROVALS: usize = 4096;

impl Refusal {
    /// Whether it binds calls of `node` from `origin`.
    #[must_use]
    pub fn binds(&self, node: &ListedNode, origin: Origin) -> bool {
        self.node == node.uuid && self.origin.is_none_or(|bound| bound == origin)
    }
}
