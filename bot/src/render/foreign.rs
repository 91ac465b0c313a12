//! Text from elsewhere (names, addresses, UUIDs), made harmless before it stands between words of ours. What Telegram's
//! HTML needs is page.rs' matter.

use std::fmt;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Most characters of a name where it has to be read at a glance. Server's names have 64 at the most.
const GLANCE: usize = 24;
/// Most characters of an address: 43 are the longest IPv6 network.
const ADDRESS: usize = 45;
/// Most characters of anything else.
const FULL: usize = 100;
/// What is looked at of a text: what comes after it is cut unseen.
const READ: usize = 1_024;
/// Most marks that one character carries. A flood of them would cover the lines above and below.
const MAX_MARKS: usize = 2;
/// Shown for what cannot be shown.
const REPLACEMENT: char = '\u{fffd}';

/// Text from elsewhere that can stand in a line of ours: one line, nothing invisible, nothing that turns the line around,
/// of bounded length. Text with right-to-left letters is isolated (UAX #9: FSI … PDI), so that it orders itself alone, and
/// what stands after it stays after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Foreign(String);

impl Foreign {
    /// A name at a glance. The middle of a long one is left out: names of machines differ at their ends.
    pub(crate) fn name(text: &str) -> Self {
        Self::new(text, GLANCE)
    }

    /// An address or network.
    pub(crate) fn address(text: &str) -> Self {
        Self::new(text, ADDRESS)
    }

    /// A text in full, or as good as.
    pub(crate) fn full(text: &str) -> Self {
        Self::new(text, FULL)
    }

    fn new(text: &str, max: usize) -> Self {
        let shown = cut(&harmless(text), max);
        if shown.chars().any(is_right_to_left) { Self(format!("\u{2068}{shown}\u{2069}")) } else { Self(shown) }
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text without blanks at its ends, and with everything replaced that would not be seen, or not stay where it is.
fn harmless(text: &str) -> Vec<char> {
    let mut shown = Vec::new();
    // A mark at the beginning would sit on what comes before.
    let mut marks = MAX_MARKS;
    for char in text.trim().chars().take(READ) {
        match seen(char) {
            Seen::Mark if marks >= MAX_MARKS => {}
            Seen::Mark => {
                marks += 1;
                shown.push(char);
            }
            Seen::As(char) => {
                marks = 0;
                shown.push(char);
            }
        }
    }
    shown
}

enum Seen {
    /// As this character, which takes room of its own.
    As(char),
    /// On the character before it.
    Mark,
}

fn seen(char: char) -> Seen {
    use GeneralCategory as Category;
    match char.general_category() {
        Category::NonspacingMark | Category::EnclosingMark => Seen::Mark,
        Category::SpaceSeparator => Seen::As(' '),
        // Format has the bidi controls, the zero-width characters and the tags.
        Category::Control
        | Category::Format
        | Category::LineSeparator
        | Category::ParagraphSeparator
        | Category::PrivateUse
        | Category::Surrogate
        | Category::Unassigned => Seen::As(REPLACEMENT),
        _ if is_blank(char) => Seen::As(REPLACEMENT),
        _ => Seen::As(char),
    }
}

/// Letters and symbols that show nothing: Hangul fillers, and the Braille pattern without a dot.
const fn is_blank(char: char) -> bool {
    matches!(char, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{2800}')
}

/// Whether it is in a block whose characters are right-to-left by default (UAX #9, table 4, and DerivedBidiClass.txt).
const fn is_right_to_left(char: char) -> bool {
    matches!(char,
        '\u{0590}'..='\u{08ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}

fn cut(shown: &[char], max: usize) -> String {
    if shown.len() <= max {
        return shown.iter().collect();
    }
    let end = (max - 1) / 2;
    let start = max - 1 - end;
    let last = shown.iter().skip(shown.len() - end);
    shown.iter().take(start).chain(&['…']).chain(last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> String {
        Foreign::name(text).to_string()
    }

    #[test]
    fn what_is_harmless_stays_as_it_is() {
        for text in ["cp-1", "192.0.2.11", "2001:db8::/64", "küche_2", "узел", "節点", "<b>&amp;", "क्षेत्र"]
        {
            assert_eq!(name(text), text);
        }
    }

    #[test]
    fn what_would_not_be_seen_is_seen() {
        assert_eq!(name("cp\u{202e}1-pc"), "cp\u{fffd}1-pc");
        assert_eq!(name("c\u{200b}p\u{feff}-\u{ad}1"), "c\u{fffd}p\u{fffd}-\u{fffd}1");
        assert_eq!(name("cp-1\n\u{2028}code\t\u{1b}[2JA1B2"), "cp-1\u{fffd}\u{fffd}code\u{fffd}\u{fffd}[2JA1B2");
        assert_eq!(name("\u{3164}\u{2800}\u{e000}\u{e0041}"), "\u{fffd}".repeat(4));
        assert_eq!(name("  a\u{a0}b\u{3000}c  "), "a b c");
    }

    #[test]
    fn marks_do_not_pile_up_nor_reach_back() {
        assert_eq!(name(&format!("e{}x", "\u{301}".repeat(200))), "e\u{301}\u{301}x");
        assert_eq!(name("\u{301}x"), "x");
    }

    #[test]
    fn right_to_left_text_is_isolated_from_the_line() {
        assert_eq!(name("שרת-1"), "\u{2068}שרת-1\u{2069}");
        // An end of the isolation that was sent along is none.
        assert_eq!(name("א\u{2069}ב"), "\u{2068}א\u{fffd}ב\u{2069}");
    }

    #[test]
    fn long_names_keep_their_ends() {
        assert_eq!(name("rack-12-control-plane-node-number-0001"), "rack-12-cont…number-0001");
        assert_eq!(name(&"x".repeat(GLANCE)), "x".repeat(GLANCE));
        assert_eq!(name(&"x".repeat(1_000_000)).chars().count(), GLANCE);
        assert_eq!(Foreign::full(&"x".repeat(300)).to_string().chars().count(), FULL);
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_short_visible_line(text in any::<String>()) {
            let shown = name(&text);
            let inner = shown.strip_prefix('\u{2068}').and_then(|rest| rest.strip_suffix('\u{2069}')).unwrap_or(&shown);
            prop_assert!(inner.chars().count() <= GLANCE);
            for char in inner.chars() {
                prop_assert!(!matches!(
                    char.general_category(),
                    GeneralCategory::Control | GeneralCategory::Format | GeneralCategory::LineSeparator
                ), "{char:?}");
            }
        }
    }
}
