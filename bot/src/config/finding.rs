//! What is wrong with a file, where, and what to do about it: a small sibling of the server's.

use std::fmt;
use std::ops::Range;

/// Most mistakes, and most warnings, that are told about one file.
const MAX_TOLD: usize = 20;

/// Most characters of a line, or of a text that quotes the file, that are shown.
const MAX_EXCERPT: usize = 200;

/// A mistake in the file: where it is, the line itself with marks under it, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    place: Option<Place>,
    text: String,
    hint: String,
}

/// A place in the file. Nothing in it can steer a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
    excerpt: String,
    /// Characters to mark, from the column on, as far as the excerpt goes.
    marks: usize,
}

/// The mistakes in one file, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    file: String,
    told: Vec<Problem>,
    untold: usize,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = &self.file;
        write!(f, "{file} cannot be used")?;
        for Problem { place, text, hint } in &self.told {
            let Some(Place { line, column, excerpt, marks }) = place else {
                write!(f, "\n\n{file}: {text}\n  = {hint}")?;
                continue;
            };
            let number = line.to_string();
            let margin = " ".repeat(number.len());
            write!(f, "\n\n{file}:{line}:{column}: {text}\n{margin} |\n{number} | {excerpt}\n")?;
            if *column <= MAX_EXCERPT {
                writeln!(f, "{margin} | {}{}", " ".repeat(column - 1), "^".repeat(*marks))?;
            }
            write!(f, "{margin} = {hint}")?;
        }
        match self.untold {
            0 => Ok(()),
            untold => write!(f, "\n\nand {untold} more"),
        }
    }
}

/// Something in the file that is allowed, and may not be meant. Shown on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Collects what is found while a file is checked, so that all of it is told at once.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    name: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
    untold: usize,
    warnings: Vec<Warning>,
}

impl<'a> Findings<'a> {
    /// Of the file `text`, which messages call `name`.
    pub(super) const fn new(name: &'a str, text: &'a str) -> Self {
        Self { name, text, problems: vec![], untold: 0, warnings: vec![] }
    }

    /// A mistake at `span`, or of the whole file; `hint` says what to do.
    pub(super) fn problem(
        &mut self,
        span: impl Into<Option<Range<usize>>>,
        text: impl AsRef<str>,
        hint: impl AsRef<str>,
    ) {
        // Finding a place costs time that grows with the file.
        if self.problems.len() >= MAX_TOLD {
            self.untold += 1;
            return;
        }
        let place = span.into().and_then(|span| self.place(&span));
        let problem = Problem { place, text: printable(text.as_ref()), hint: printable(hint.as_ref()) };
        self.problems.push(problem);
    }

    /// Something that may not be meant.
    pub(super) fn warning(&mut self, text: impl AsRef<str>) {
        if self.warnings.len() < MAX_TOLD {
            self.warnings.push(Warning(format!("{}: {}", self.name, printable(text.as_ref()))));
        }
    }

    /// `found`, when nothing is wrong.
    pub(super) fn conclude<T>(mut self, found: Option<T>) -> Result<(T, Vec<Warning>), Problems> {
        if self.problems.is_empty() {
            if let Some(found) = found {
                return Ok((found, self.warnings));
            }
            self.problem(None, "the configuration is not complete", "see the commented nightlatch-bot.toml");
        }
        Err(Problems { file: printable(self.name), told: self.problems, untold: self.untold })
    }

    fn place(&self, span: &Range<usize>) -> Option<Place> {
        let before = self.text.get(..span.start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let excerpt = printable(self.text.get(line_start..)?.lines().next().unwrap_or_default());
        let column = self.text.get(line_start..span.start)?.chars().count() + 1;
        let marked = self.text.get(span.clone())?.lines().next().unwrap_or_default().chars().count();
        let marks = marked.min((MAX_EXCERPT + 1).saturating_sub(column)).max(1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Some(Place { line, column, excerpt, marks })
    }
}

/// `text` without what could steer a terminal or make it read as something else, with what may be a secret masked, and
/// not too long. A character stays one character, so that marks still point at it.
fn printable(text: &str) -> String {
    let printable = |char: char| match char {
        '\t' => ' ',
        // Marks that change the direction of writing.
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => '\u{fffd}',
        _ if char.is_control() => '\u{fffd}',
        _ => char,
    };
    let mut characters: Vec<char> = text.chars().map(printable).collect();
    mask_users(&mut characters);
    mask_tokens(&mut characters);
    characters.into_iter().take(MAX_EXCERPT).collect()
}

/// Masks what stands before the last `@`, back to `//` or a quotation mark: a user and a password do not belong into the
/// file, and whoever put them there need not read them in a log.
fn mask_users(text: &mut [char]) {
    let Some(first) = text.iter().position(|char| *char == '@') else { return };
    let last = text.iter().rposition(|char| *char == '@').unwrap_or(first);
    let before = text.get(..first).unwrap_or_default();
    let quoted = before.iter().rposition(|char| matches!(char, '"' | '\'' | '`'));
    let slashes = before.windows(2).rposition(|two| two == ['/', '/']).map(|at| at + 1);
    let start = quoted.max(slashes).map_or(0, |at| at + 1);
    text.iter_mut().take(last).skip(start).for_each(|char| *char = '*');
}

/// Masks what follows digits and a colon as in a bot's token.
fn mask_tokens(text: &mut [char]) {
    /// A token has 35 such characters, a time of day and a port far fewer.
    const LEAST: usize = 10;
    let mut after_colon = None;
    for at in 0..=text.len() {
        let char = text.get(at).copied();
        if char.is_some_and(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-')) {
            continue;
        }
        if let Some(start) = after_colon.take().filter(|start| at - start >= LEAST) {
            text.iter_mut().take(at).skip(start).for_each(|char| *char = '*');
        }
        let digit = at.checked_sub(1).and_then(|before| text.get(before)).is_some_and(char::is_ascii_digit);
        after_colon = (char == Some(':') && digit).then_some(at + 1);
    }
}
