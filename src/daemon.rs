//! The composition root: the only module that knows everyone.

pub mod assemble;
pub mod explain;
