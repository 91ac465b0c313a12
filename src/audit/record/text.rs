//! Strings of a record: bounded, and of printable ASCII once they are written.

use std::fmt;
use std::io;

use serde::{Deserialize, Deserializer, Serialize};

/// What stands at the end of a string that was cut.
const CUT_MARK: char = '\u{2026}';

/// Bytes of [`CUT_MARK`] once it is escaped.
const CUT_MARK_LEN: usize = 6;

/// Text that takes at most `LIMIT` bytes between its quotes, escapes and all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Text<const LIMIT: usize>(Box<str>);

/// A name, an identifier, a word: at most 128 bytes as it is written.
pub type Name = Text<128>;

/// A sentence: at most 512 bytes as it is written.
pub type Detail = Text<512>;

impl<const LIMIT: usize> Text<LIMIT> {
    /// Takes `text`, and cuts it where it would become too long.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.len() <= LIMIT && !text.contains(|character| written_len(character) > 1) {
            return Self(text.into());
        }
        let (mut written, mut cut_at) = (0, 0);
        for (at, character) in text.char_indices() {
            if written + CUT_MARK_LEN <= LIMIT {
                cut_at = at;
            }
            written += written_len(character);
            if written > LIMIT {
                let kept = text.get(..cut_at).unwrap_or_default();
                return Self(format!("{kept}{CUT_MARK}").into());
            }
        }
        Self(text.into())
    }

    /// Takes what `value` displays as.
    #[must_use]
    pub fn shown(value: &impl fmt::Display) -> Self {
        Self::new(&value.to_string())
    }

    /// The text, which may hold any character.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const LIMIT: usize> From<&str> for Text<LIMIT> {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// The text as it is safe to show: escaped as in a record.
impl<const LIMIT: usize> fmt::Display for Text<LIMIT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (plain, other) in pieces(&self.0, |character| written_len(character) == 1) {
            f.write_str(plain)?;
            match other {
                None => {}
                Some(character @ ('"' | '\\')) => write!(f, "\\{character}")?,
                Some(character) => {
                    character.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(f, "\\u{unit:04x}"))?;
                }
            }
        }
        Ok(())
    }
}

impl<'de, const LIMIT: usize> Deserialize<'de> for Text<LIMIT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

/// The text in order, as what is plain, and the character behind that which is not: most of it in one piece.
fn pieces(text: &str, is_plain: fn(char) -> bool) -> impl Iterator<Item = (&str, Option<char>)> {
    text.split_inclusive(move |character| !is_plain(character)).map(move |piece| {
        let mut plain = piece.chars();
        match plain.next_back() {
            Some(last) if !is_plain(last) => (plain.as_str(), Some(last)),
            _ => (piece, None),
        }
    })
}

/// The most bytes that `character` takes in a record.
fn written_len(character: char) -> usize {
    match character {
        '"' | '\\' => 2,
        ' '..='~' => 1,
        _ => 6 * character.len_utf16(),
    }
}

/// Most names that are told one by one.
const MAX_NAMES: usize = 8;

/// Names, of which at most eight are told, and then how many more there were.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Names(Vec<Name>);

impl<S: AsRef<str>> FromIterator<S> for Names {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut names = names.into_iter();
        let mut told: Vec<Name> = names.by_ref().take(MAX_NAMES).map(|name| Name::new(name.as_ref())).collect();
        let more = names.count();
        if more > 0 {
            told.push(Name::new(&format!("{CUT_MARK} {more} more")));
        }
        Self(told)
    }
}

/// The names with commas between them, as they are safe to show.
impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name}")?;
        }
        Ok(())
    }
}

/// Writes JSON of printable ASCII: everything else in strings is escaped.
pub(super) struct Ascii;

impl serde_json::ser::Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // serde_json escapes quotes, backslashes and all below the blank before it comes here.
        for (plain, other) in pieces(fragment, |character| matches!(character, ' '..='~')) {
            writer.write_all(plain.as_bytes())?;
            if let Some(character) = other {
                character.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_at_a_character_and_marked() {
        assert_eq!(Text::<10>::new("0123456789").as_str(), "0123456789");
        assert_eq!(Text::<10>::new("0123456789a").as_str(), "0123\u{2026}");
        assert_eq!(Text::<13>::new("\u{e4}\u{e4}").as_str(), "\u{e4}\u{e4}");
        assert_eq!(Text::<13>::new("\u{e4}\u{e4}\u{e4}").as_str(), "\u{e4}\u{2026}");
        assert_eq!(Text::<13>::new("\u{1F512}\u{1F512}").as_str(), "\u{2026}");
    }

    #[test]
    fn what_was_cut_stays_as_it_is() {
        for text in ["x".repeat(1000), "\u{202e}".repeat(1000), "\"".repeat(1000), "\u{1F512}\n".repeat(99)] {
            let cut = Name::new(&text);
            assert!(cut.to_string().len() <= 128, "{}", cut.to_string().len());
            assert_eq!(Name::new(cut.as_str()), cut);
        }
    }

    #[test]
    fn more_than_eight_names_are_counted() {
        let names = |count| (1..=count).map(|number| format!("n{number}")).collect::<Names>();
        assert_eq!(names(8).to_string(), "n1, n2, n3, n4, n5, n6, n7, n8");
        assert_eq!(names(20).0.len(), 9);
        assert!(names(20).to_string().ends_with(", n8, \\u2026 12 more"));
    }
}
