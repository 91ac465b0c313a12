//! What `nightlatch doctor` finds: one thing that was looked at, and what to do about it.

/// Each kind of thing that is looked at. docs/doctor.md lists them; names never change, so that scripts can rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Check {
    /// The configuration file, and each of its warnings.
    Configuration,
    /// Whether the running server uses it.
    InForce,
    /// nightlatch.service.
    Server,
    /// What asks for a passphrase at the start of the server.
    PassphraseHelper,
    /// Whether running programs are those that are installed.
    Program,
    /// The socket unit for nodes, and each of a channel.
    SocketUnit,
    /// A Unix socket: path, owner, mode.
    SocketFile,
    /// Whether each channel has a socket, and each socket a channel.
    Channel,
    /// The TCP port for nodes.
    Port,
    /// Which addresses the kernel lets through to it.
    AddressFilter,
    /// An encrypted credential: its file.
    Credential,
    /// Whether it opens under its name.
    CredentialOpens,
    /// Whether its key is the one that this host was set up with.
    Key,
    /// Whether what was sealed when this host was set up still opens.
    GoldenBlob,
    /// When a backup of the key was verified.
    Backup,
    /// Each person who may answer on this host.
    Approver,
    /// Whether the bot's channel is for the bot's user.
    BotUser,
    /// Whether something keeps the clock right.
    ClockSynchronised,
    /// Whether the clock can be right at all.
    Clock,
    /// The state directory: owner and mode.
    StateDirectory,
    /// Denials and blocks.
    State,
    /// Whether somebody locked everything.
    Locked,
    /// Who has the state locked.
    Lock,
    /// The end of the audit log.
    AuditLog,
    /// Room for the state and the audit log.
    DiskSpace,
    /// Each thing that a node looks at in the certificate.
    Certificate,
    /// Each host name that nodes call this host by.
    Name,
    /// nightlatch-bot.service.
    Bot,
    /// What the bot says of itself.
    BotStatus,
    /// nightlatch-bot.toml.
    BotConfiguration,
    /// Whether keys may reach swap.
    Swap,
}

impl Check {
    /// Its name in the output.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::InForce => "in-force",
            Self::Server => "server",
            Self::PassphraseHelper => "passphrase",
            Self::Program => "program",
            Self::SocketUnit => "socket-unit",
            Self::SocketFile => "socket-file",
            Self::Channel => "channel",
            Self::Port => "port",
            Self::AddressFilter => "address-filter",
            Self::Credential => "credential",
            Self::CredentialOpens => "credential-opens",
            Self::Key => "key",
            Self::GoldenBlob => "golden-blob",
            Self::Backup => "backup",
            Self::Approver => "approver",
            Self::BotUser => "bot-user",
            Self::ClockSynchronised => "clock-sync",
            Self::Clock => "clock",
            Self::StateDirectory => "state-directory",
            Self::State => "state",
            Self::Locked => "locked",
            Self::Lock => "lock",
            Self::AuditLog => "audit-log",
            Self::DiskSpace => "disk-space",
            Self::Certificate => "certificate",
            Self::Name => "dns",
            Self::Bot => "bot",
            Self::BotStatus => "bot-status",
            Self::BotConfiguration => "bot-configuration",
            Self::Swap => "swap",
        }
    }
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and may not be meant, or may not work for long.
    Warning,
    /// In the night in which it is needed it does not work.
    Wrong,
    /// Nobody knows: it was not looked at.
    NotLookedAt,
}

impl Verdict {
    /// Its name in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
            Self::NotLookedAt => "not-looked-at",
        }
    }
}

/// One thing that was looked at. Texts are in lower case and end without a full stop; what others wrote into them is made
/// harmless where they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// What kind of thing.
    pub(super) check: Check,
    /// Which one: a unit, a file, a name. Empty where there is only one.
    pub(super) about: String,
    /// How it is.
    pub(super) verdict: Verdict,
    /// What was found.
    pub(super) found: String,
    /// What to do: every warning and everything wrong has it.
    pub(super) hint: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: Check, about: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check, about: about.into(), verdict: Verdict::Ok, found: found.into(), hint: None }
    }

    pub(super) fn warning(
        check: Check,
        about: impl Into<String>,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { verdict: Verdict::Warning, hint: Some(hint.into()), ..Self::ok(check, about, found) }
    }

    pub(super) fn wrong(
        check: Check,
        about: impl Into<String>,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { verdict: Verdict::Wrong, hint: Some(hint.into()), ..Self::ok(check, about, found) }
    }

    pub(super) fn not_looked_at(check: Check, about: impl Into<String>, unseen: &Unseen) -> Self {
        let hint = unseen.needs_root.then(|| "sudo nightlatch doctor".to_owned());
        Self { verdict: Verdict::NotLookedAt, hint, ..Self::ok(check, about, unseen.why.clone()) }
    }
}

/// Why something was not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unseen {
    /// In words.
    pub(super) why: String,
    /// Whether root could have looked.
    pub(super) needs_root: bool,
}

impl Unseen {
    pub(super) fn because(why: impl Into<String>) -> Self {
        Self { why: why.into(), needs_root: false }
    }

    /// For what is open to root alone.
    pub(super) fn needs_root(what: &str) -> Self {
        Self { why: format!("only root may look at {what}"), needs_root: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every check, in the order of its definition.
    const ALL: &[Check] = &[
        Check::Configuration,
        Check::InForce,
        Check::Server,
        Check::PassphraseHelper,
        Check::Program,
        Check::SocketUnit,
        Check::SocketFile,
        Check::Channel,
        Check::Port,
        Check::AddressFilter,
        Check::Credential,
        Check::CredentialOpens,
        Check::Key,
        Check::GoldenBlob,
        Check::Backup,
        Check::Approver,
        Check::BotUser,
        Check::ClockSynchronised,
        Check::Clock,
        Check::StateDirectory,
        Check::State,
        Check::Locked,
        Check::Lock,
        Check::AuditLog,
        Check::DiskSpace,
        Check::Certificate,
        Check::Name,
        Check::Bot,
        Check::BotStatus,
        Check::BotConfiguration,
        Check::Swap,
    ];

    #[test]
    fn the_page_lists_every_check_and_no_other() {
        const PAGE: &str = include_str!("../../../docs/doctor.md");
        assert_eq!(ALL.len(), Check::Swap as usize + 1, "one is missing in this test");
        let table = PAGE.split_once("\n## What it looks at\n").expect("the page has that heading").1;
        let mut listed: Vec<&str> =
            table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name).collect();
        let mut names: Vec<&str> = ALL.iter().map(|check| check.name()).collect();
        listed.sort_unstable();
        names.sort_unstable();
        assert_eq!(listed, names);
    }
}
