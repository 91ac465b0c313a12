//! nightlatch: a key server for Talos Linux disks that asks a person first.

pub mod approval;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credential;
pub mod daemon;
pub mod key;
pub mod listen;
pub mod peer;
pub mod pipeline;
pub mod request;
pub mod seal;
pub mod secret;
pub mod state;
pub mod wire;
