//! From a call to a yes: rules, asks, votes, grants, and the socket through which people answer.

pub mod ask;
pub mod channel;
pub mod gate;
pub mod ledger;
pub mod notices;
pub mod policy;
