//! How a subcommand fails.

use std::error::Error;

/// Exit codes, those of sysexits.h.
pub mod exit {
    /// The command line is wrong.
    pub const USAGE: u8 = 64;
    /// Data that was handed in is damaged, or not what it should be.
    pub const DATA: u8 = 65;
    /// A file to read does not exist or cannot be opened.
    pub const NO_INPUT: u8 = 66;
    /// A bug in nightlatch.
    pub const SOFTWARE: u8 = 70;
    /// A file cannot be created, or exists already.
    pub const CANNOT_CREATE: u8 = 73;
    /// Reading or writing failed half-way.
    pub const IO: u8 = 74;
    /// Not allowed, here or by the other side.
    pub const NO_PERMISSION: u8 = 77;
}

/// Why a subcommand did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: String,
    hint: Option<String>,
}

impl Failure {
    /// The failure `error`, which ends the program with `code`.
    #[must_use]
    pub fn new(code: u8, error: impl Into<String>) -> Self {
        Self { code, error: error.into(), hint: None }
    }

    /// Options that make no sense together.
    #[must_use]
    pub fn usage(error: impl Into<String>) -> Self {
        Self::new(exit::USAGE, error)
    }

    /// Adds `cause`, and what caused that, to the error.
    #[must_use]
    pub fn because(mut self, cause: &dyn Error) -> Self {
        let mut next = Some(cause);
        while let Some(cause) = next {
            self.error.push_str(": ");
            self.error.push_str(&cause.to_string());
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

    /// The code to exit with.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.code
    }

    /// What happened.
    #[must_use]
    pub fn error(&self) -> &str {
        &self.error
    }
}
