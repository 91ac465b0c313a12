//! nightlatch: a key server for Talos Linux disks that asks a person first.

pub mod approval;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credential;
pub mod key;
pub mod peer;
pub mod request;
pub mod seal;
pub mod secret;
pub mod state;
