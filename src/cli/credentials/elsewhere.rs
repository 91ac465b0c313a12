//! How somebody shows that a backup is on another machine: by the beginning of its SHA-256, typed from there.
//!
//! The digits are shown nowhere on this host. They tell nothing about a key of 256 random bits, and are not kept.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::cli::{Failure, exit};
use crate::credential::terminal;

/// Fewest digits that count. Nobody types eight right ones by chance.
const DIGITS: usize = 8;

/// How often somebody may mistype them.
const ATTEMPTS: usize = 3;

/// Somebody who can be asked.
pub(super) trait Person {
    /// Whether there is anybody.
    fn is_there(&self) -> bool;

    /// Asks, and waits for one line.
    fn ask(&mut self, question: &str) -> Result<String, terminal::Error>;
}

/// Whoever sits at the terminal of this process.
#[derive(Debug)]
pub(super) struct AtTheTerminal;

impl Person for AtTheTerminal {
    fn is_there(&self) -> bool {
        terminal::is_there()
    }

    fn ask(&mut self, question: &str) -> Result<String, terminal::Error> {
        terminal::question(question)
    }
}

/// Asks for the digits of one of `backups`, and says of which they are.
///
/// # Errors
/// [`exit::NO_INPUT`] when nobody answers, [`exit::DATA`] after three wrong answers.
pub(super) fn confirm(person: &mut dyn Person, explanation: &str, backups: &[&[u8]]) -> Result<usize, Failure> {
    let mut prompt = format!("{explanation}\nFirst {DIGITS} digits that sha256sum shows there: ");
    for _ in 0..ATTEMPTS {
        let typed = person.ask(&prompt).map_err(|error| {
            Failure::new(exit::NO_INPUT, "nobody showed that the backup is on another machine").because(&error)
        })?;
        if let Some(known) = backups.iter().position(|backup| begins(&typed, backup)) {
            return Ok(known);
        }
        prompt = format!("These are not its digits. At least the first {DIGITS}, once more: ");
    }
    Err(Failure::new(exit::DATA, format!("{ATTEMPTS} times these were not the digits of the backup"))
        .hint("the copy may be damaged: copy it again, in a way that changes no byte (scp, not copy and paste)"))
}

/// Whether `typed` is the beginning of the SHA-256 of `backup`, or a whole line of sha256sum.
fn begins(typed: &str, backup: &[u8]) -> bool {
    let typed = typed.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    let digest = Sha256::digest(backup).iter().fold(String::with_capacity(64), |mut digits, byte| {
        let _cannot_fail = write!(digits, "{byte:02x}");
        digits
    });
    let beginning = digest.as_bytes().get(..typed.len()).unwrap_or_default();
    typed.len() >= DIGITS && bool::from(beginning.ct_eq(typed.as_bytes()))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::VecDeque;
    use std::io;

    use super::*;

    /// Somebody who gives these answers.
    #[derive(Debug, Default)]
    pub(in crate::cli::credentials) struct Answers {
        pub(in crate::cli::credentials) answers: VecDeque<String>,
        pub(in crate::cli::credentials) asked: Vec<String>,
    }

    impl Answers {
        pub(in crate::cli::credentials) fn new(answers: &[&str]) -> Self {
            Self { answers: answers.iter().map(|answer| (*answer).into()).collect(), asked: vec![] }
        }
    }

    impl Person for Answers {
        fn is_there(&self) -> bool {
            !self.answers.is_empty()
        }

        fn ask(&mut self, question: &str) -> Result<String, terminal::Error> {
            self.asked.push(question.into());
            self.answers.pop_front().ok_or_else(|| terminal::Error::NoTerminal(io::Error::other("nobody")))
        }
    }

    /// The SHA-256 of `abc`, FIPS 180-4.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn eight_digits_or_more_count_and_no_wrong_one() {
        for right in ["ba7816bf", "BA7816BF", " ba7816bf8f01 ", ABC, &format!("{ABC}  nightlatch-backup.key\n")] {
            assert!(begins(right, b"abc"), "{right}");
        }
        for wrong in ["", "ba7816b", "ba7816be", "xba7816bf", &format!("{ABC}00"), &format!("{}0", &ABC[..63])] {
            assert!(!begins(wrong, b"abc"), "{wrong}");
        }
    }

    #[test]
    fn three_tries_and_no_more() {
        let mut person = Answers::new(&["what?", "", "ba7816bf"]);
        assert_eq!(confirm(&mut person, "explained", &[b"x", b"abc"]).expect("the third"), 1);
        assert_eq!(person.asked.iter().filter(|asked| asked.contains("explained")).count(), 1);
        let mut person = Answers::new(&["1", "2", "3", "ba7816bf"]);
        assert_eq!(confirm(&mut person, "explained", &[b"abc"]).expect_err("too late").code(), exit::DATA);
        let mut nobody = Answers::default();
        assert_eq!(confirm(&mut nobody, "explained", &[b"abc"]).expect_err("nobody").code(), exit::NO_INPUT);
    }

    #[test]
    fn the_digits_are_not_shown() {
        let mut person = Answers::new(&["1", "2", "3"]);
        let failure = confirm(&mut person, "explained", &[b"abc"]).expect_err("wrong");
        assert!(!format!("{failure}{:?}", person.asked).contains("ba78"));
    }
}
