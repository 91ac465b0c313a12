//! What is wrong with a file, where, and what to do about it.

use std::fmt;
use std::ops::Range;

use super::{Config, Error};

/// Most problems, and most warnings, that are told about one file.
const MAX_TOLD: usize = 20;

/// Most characters of a line that are shown.
const MAX_EXCERPT: usize = 100;

/// The text of a file, and what messages call it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

/// A place in a file, ready to be shown. Nothing in it can steer a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
    excerpt: String,
    /// Where in the excerpt the marks begin, and how many there are.
    marks: (usize, usize),
}

impl Text<'_> {
    fn place(&self, span: &Range<usize>) -> Option<Place> {
        let before = self.text.get(..span.start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text.get(line_start..)?.lines().next().unwrap_or_default();
        let column = self.text.get(line_start..span.start)?.chars().count();
        let marked = self.text.get(span.clone())?.lines().next().unwrap_or_default().chars().count();
        let skipped = if line.chars().count() > MAX_EXCERPT { column.saturating_sub(MAX_EXCERPT / 2) } else { 0 };
        let excerpt: String = line.chars().skip(skipped).take(MAX_EXCERPT).map(printable).collect();
        let marks_start = column - skipped;
        let marks = marked.min(MAX_EXCERPT.saturating_sub(marks_start)).max(1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Some(Place { line, column: column + 1, excerpt, marks: (marks_start, marks) })
    }
}

fn printable(char: char) -> char {
    match char {
        '\t' => ' ',
        // Marks that change the direction of writing could make the excerpt read as something else.
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => '\u{fffd}',
        _ if char.is_control() => '\u{fffd}',
        _ => char,
    }
}

/// A mistake in the file. Shown over several lines: where it is, the line itself with marks under it, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    file: Box<str>,
    place: Option<Place>,
    text: String,
    hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, place, text, hint } = self;
        let Some(Place { line, column, excerpt, marks: (start, length) }) = place else {
            return write!(f, "{file}: {text}\n  = {hint}");
        };
        let number = line.to_string();
        let margin = number.len();
        writeln!(f, "{file}:{line}:{column}: {text}")?;
        writeln!(f, "{:margin$} |", "")?;
        writeln!(f, "{number} | {excerpt}")?;
        writeln!(f, "{:margin$} | {:start$}{:^<length$}", "", "", "")?;
        write!(f, "{:margin$} = {hint}", "")
    }
}

/// The mistakes in one file, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    file: Box<str>,
    told: Vec<Problem>,
    untold: usize,
}

impl Problems {
    /// The first twenty, in the order in which they were found.
    #[must_use]
    pub fn told(&self) -> &[Problem] {
        &self.told
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be used", self.file)?;
        self.told.iter().try_for_each(|problem| write!(f, "\n\n{problem}"))?;
        match self.untold {
            0 => Ok(()),
            untold => write!(f, "\n\nand {untold} more"),
        }
    }
}

/// Something in the file that is allowed, and may not be meant. Shown on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    file: Box<str>,
    line: Option<usize>,
    text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.text),
            None => write!(f, "{}: {}", self.file, self.text),
        }
    }
}

/// Collects what is found while a file is checked, so that all of it is told at once.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    text: Text<'a>,
    problems: Vec<Problem>,
    untold: usize,
    warnings: Vec<Warning>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(text: Text<'a>) -> Self {
        Self { text, problems: vec![], untold: 0, warnings: vec![] }
    }

    /// A mistake at `span`, or of the whole file; `hint` says what to do.
    pub(super) fn problem(
        &mut self,
        span: impl Into<Option<Range<usize>>>,
        text: impl Into<String>,
        hint: impl Into<String>,
    ) {
        // Finding a place costs time that grows with the file.
        if self.problems.len() >= MAX_TOLD {
            self.untold += 1;
            return;
        }
        let place = span.into().and_then(|span| self.text.place(&span));
        let text = text.into().chars().map(printable).collect();
        let hint = hint.into().chars().map(printable).collect();
        self.problems.push(Problem { file: self.text.name.into(), place, text, hint });
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Something that may not be meant, at `span`, or in the whole file.
    pub(super) fn warning(&mut self, span: impl Into<Option<Range<usize>>>, text: impl Into<String>) {
        if self.warnings.len() >= MAX_TOLD {
            return;
        }
        let line = span.into().and_then(|span| self.text.place(&span)).map(|place| place.line);
        let text = text.into().chars().map(printable).collect();
        self.warnings.push(Warning { file: self.text.name.into(), line, text });
    }

    /// The configuration, when nothing is wrong with it.
    pub(super) fn conclude(mut self, checked: Option<Config>) -> Result<(Config, Vec<Warning>), Error> {
        if self.problems.is_empty() {
            if let Some(config) = checked {
                return Ok((config, self.warnings));
            }
            self.problem(None, "the configuration is not complete", "see the commented nightlatch.toml");
        }
        Err(Error::Invalid(Problems { file: self.text.name.into(), told: self.problems, untold: self.untold }))
    }
}
