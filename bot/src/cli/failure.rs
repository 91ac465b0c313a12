//! How a subcommand fails: an exit code for scripts, what happened and what to do for people.

use std::error::Error;
use std::fmt;

/// Exit codes, those of sysexits.h, as far as the bot has a use for them.
pub(super) mod exit {
    /// The command line is wrong.
    pub(in crate::cli) const USAGE: u8 = 64;
    /// A server or a facility of the host is not there.
    pub(in crate::cli) const UNAVAILABLE: u8 = 69;
    /// A bug of ours, or of a library.
    pub(in crate::cli) const SOFTWARE: u8 = 70;
    /// A file cannot be created.
    pub(in crate::cli) const CANNOT_CREATE: u8 = 73;
    /// Reading or writing failed half-way.
    pub(in crate::cli) const IO: u8 = 74;
    /// The server does not let this user in.
    pub(in crate::cli) const NO_PERMISSION: u8 = 77;
    /// The configuration is wrong, or a secret that it names.
    pub(in crate::cli) const CONFIG: u8 = 78;
}

/// Why a subcommand did not do what was asked, in words for a person: in lower case and without a full stop.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    error: String,
    hint: Option<String>,
}

impl Failure {
    /// The failure `error`, which ends the program with `code`, one of [`exit`].
    pub(super) fn new(code: u8, error: impl Into<String>) -> Self {
        Self { code, error: error.into(), hint: None }
    }

    /// Adds `cause`, and what caused that, to the error. A cause that only repeats the one before is left out.
    pub(super) fn because(mut self, cause: &dyn Error) -> Self {
        let mut next = Some(cause);
        while let Some(cause) = next {
            let text = cause.to_string();
            if !self.error.ends_with(&text) {
                self.error.push_str(": ");
                self.error.push_str(&text);
            }
            next = cause.source();
        }
        self
    }

    /// Adds what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The code to exit with.
    pub(super) const fn code(&self) -> u8 {
        self.code
    }

    /// Brings what clap has to say about a command line into this shape.
    pub(super) fn from_parser(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut said = Vec::new();
        let mut tip = "add --help to see what this command takes";
        for line in lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information")) {
            match line.strip_prefix("tip: ") {
                Some(advice) => tip = advice,
                None => said.push(line.strip_prefix("error: ").unwrap_or(line)),
            }
        }
        Self::new(exit::USAGE, said.join(" ")).hint(tip)
    }
}

/// Two lines for standard error, or one when there is nothing to be done.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "nightlatch-bot: error: {}", self.error)?;
        self.hint.iter().try_for_each(|hint| writeln!(f, "nightlatch-bot: hint: {hint}"))
    }
}
