//! The protocols that peers speak.

pub mod stubs;
