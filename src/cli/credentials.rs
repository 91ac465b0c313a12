//! `nightlatch credentials`: the key of a new installation as a credential of systemd, and the backups of keys.

pub mod golden;
pub mod systemd_creds;
