//! From a call to a yes: rules, asks, votes, grants, and the socket through which people answer.

pub mod gate;
pub mod policy;
