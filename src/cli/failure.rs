//! How a subcommand fails: an exit code for scripts, what happened and what to do for people.

use std::error::Error;
use std::fmt;

/// Exit codes: those of sysexits.h, and below them two for answers of people that have no effect, or none yet.
pub mod exit {
    /// It counts, and takes effect when people did more: others have to approve too, or something has to be typed.
    pub const UNFINISHED: u8 = 10;
    /// The server did not do all of it, and has said why.
    pub const DECLINED: u8 = 11;
    /// The command line is wrong.
    pub const USAGE: u8 = 64;
    /// Data that was handed in is damaged, or not what it should be.
    pub const DATA: u8 = 65;
    /// A file to read does not exist or cannot be opened.
    pub const NO_INPUT: u8 = 66;
    /// A server or a facility of the host is not there.
    pub const UNAVAILABLE: u8 = 69;
    /// A bug in nightlatch.
    pub const SOFTWARE: u8 = 70;
    /// A file cannot be created, or exists already.
    pub const CANNOT_CREATE: u8 = 73;
    /// Reading or writing failed half-way.
    pub const IO: u8 = 74;
    /// Not now: the same command may succeed later.
    pub const TEMPORARY: u8 = 75;
    /// Not allowed, here or by the other side.
    pub const NO_PERMISSION: u8 = 77;
    /// The configuration is wrong.
    pub const CONFIG: u8 = 78;
}

/// Why a subcommand did not do what was asked, in words for a person.
///
/// Texts are in lower case and end without a full stop.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: String,
    hint: Option<String>,
}

impl Failure {
    /// The failure `error`, which ends the program with `code`, one of [`exit`].
    #[must_use]
    pub fn new(code: u8, error: impl Into<String>) -> Self {
        Self { code, error: error.into(), hint: None }
    }

    /// An end with `code` of which everything was said on standard output already.
    #[must_use]
    pub fn already_told(code: u8) -> Self {
        Self::new(code, String::new())
    }

    /// Options that are each fine and make no sense together.
    #[must_use]
    pub fn usage(error: impl Into<String>) -> Self {
        Self::new(exit::USAGE, error)
    }

    /// Adds `cause`, and what caused that, to the error. A cause that only repeats the one before is left out.
    #[must_use]
    pub fn because(mut self, cause: &dyn Error) -> Self {
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
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what to do besides.
    #[must_use]
    pub fn also(mut self, hint: &str) -> Self {
        self.hint = Some(self.hint.map_or_else(|| hint.to_owned(), |first| format!("{first}; {hint}")));
        self
    }

    /// The code to exit with.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.code
    }

    /// What happened, without what to do about it.
    #[must_use]
    pub fn error(&self) -> &str {
        &self.error
    }

    /// Brings what clap has to say about a command line into this shape.
    ///
    /// Its text is the error, which may run over several lines, then paragraphs that begin with "tip:" or "Usage:".
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
        Self::usage(said.join(" ")).hint(tip)
    }
}

/// Two lines for standard error, one when there is nothing to be done, or none when everything was told.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.error.is_empty() {
            writeln!(f, "nightlatch: error: {}", self.error)?;
        }
        self.hint.iter().try_for_each(|hint| writeln!(f, "nightlatch: hint: {hint}"))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the key")]
    struct Outer(#[source] io::Error);

    #[test]
    fn shows_the_whole_chain_and_what_to_do() {
        let cause = Outer(io::Error::other("disk on fire"));
        let failure = Failure::new(exit::IO, "cannot start").because(&cause).hint("call the fire brigade");
        assert_eq!(failure.code(), 74);
        assert_eq!(
            failure.to_string(),
            "nightlatch: error: cannot start: cannot read the key: disk on fire\n\
             nightlatch: hint: call the fire brigade\n"
        );
    }

    #[test]
    fn without_a_hint_it_is_one_line() {
        assert_eq!(Failure::usage("no").to_string(), "nightlatch: error: no\n");
    }
}
