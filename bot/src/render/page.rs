//! A message line by line. Lines are plain text until they are in it: markup goes around whole lines, and everything
//! between is escaped, so that no word, ours or foreign, can become markup, and nothing is cut inside of it.

use crate::message::{Button, Message};

/// Longest text of a message once parsed, in UTF-16 code units, which is how Telegram counts.
pub(crate) const MAX_LEN: usize = 4_096;
/// What a list leaves to what comes after it.
const AFTER_A_LIST: usize = 400;
/// Most entries of a list: what is more would be scrolled past.
const MAX_ENTRIES: usize = 40;

/// A message that is being written.
#[derive(Debug, Default)]
pub(crate) struct Page {
    html: String,
    len: usize,
}

impl Page {
    /// A page with its first line, which is what a lock screen shows.
    pub(crate) fn new(headline: &str) -> Self {
        let mut page = Self::default();
        page.strong(headline);
        page
    }

    /// A line that must not be overlooked.
    pub(crate) fn strong(&mut self, text: &str) {
        self.put("<b>", text, "</b>");
    }

    /// A line.
    pub(crate) fn line(&mut self, text: &str) {
        self.put("", text, "");
    }

    /// A line if there is one to say.
    pub(crate) fn maybe(&mut self, text: Option<String>) {
        if let Some(text) = text {
            self.line(&text);
        }
    }

    /// A line of several facts.
    pub(crate) fn facts(&mut self, facts: &[String]) {
        if !facts.is_empty() {
            self.line(&facts.join(" · "));
        }
    }

    /// An empty line.
    pub(crate) fn gap(&mut self) {
        self.put("", "", "");
    }

    /// As many entries as there is room for, each a line, and then what `more` says of the rest.
    pub(crate) fn list(&mut self, entries: impl ExactSizeIterator<Item = String>, more: impl Fn(usize) -> String) {
        let count = entries.len();
        for (at, entry) in entries.enumerate() {
            if at == MAX_ENTRIES || self.len + units(&entry) + AFTER_A_LIST > MAX_LEN {
                return self.line(&more(count - at));
            }
            self.line(&entry);
        }
    }

    /// Whether this line fits, and after it what comes after a list.
    pub(crate) fn has_room_for(&self, text: &str) -> bool {
        self.len + units(text) + AFTER_A_LIST <= MAX_LEN
    }

    /// The message, with these buttons.
    pub(crate) fn finish(self, buttons: Vec<Vec<Button>>) -> Message {
        Message { html: self.html, buttons }
    }

    fn put(&mut self, before: &str, text: &str, after: &str) {
        let newline = usize::from(!self.html.is_empty());
        let room = MAX_LEN.saturating_sub(self.len + newline);
        if room == 0 {
            return;
        }
        let text = shorten(text, room);
        if newline == 1 {
            self.html.push('\n');
        }
        self.html.push_str(before);
        escape(&text, &mut self.html);
        self.html.push_str(after);
        self.len += newline + units(&text);
    }
}

/// The text, or as much of it as has `max` UTF-16 code units, the last of them "…".
pub(crate) fn shorten(text: &str, max: usize) -> String {
    if units(text) <= max {
        return text.to_owned();
    }
    let mut room = max.saturating_sub(1);
    let fits = |char: &char| match room.checked_sub(char.len_utf16()) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    let kept: String = text.chars().take_while(fits).collect();
    if max == 0 { kept } else { kept + "…" }
}

fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The text as Telegram's HTML wants it: <https://core.telegram.org/bots/api#html-style>.
fn escape(text: &str, html: &mut String) {
    for char in text.chars() {
        match char {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            char => html.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let mut page = Page::new("<b>&amp;");
        page.line("</b> > &lt;");
        assert_eq!(page.finish(vec![]).html, "<b>&lt;b&gt;&amp;amp;</b>\n&lt;/b&gt; &gt; &amp;lt;");
    }

    #[test]
    fn a_page_ends_where_telegram_would_cut_it() {
        let mut page = Page::new("first");
        for _ in 0..10 {
            page.line(&"&".repeat(1_000));
        }
        assert_eq!(page.len, MAX_LEN);
        let html = page.finish(vec![]).html;
        assert!(html.ends_with("&amp;…"), "{}", html.split_at(html.len() - 40).1);
    }

    #[test]
    fn a_list_says_how_much_is_left_out() {
        let entries = vec!["an entry".to_owned(); 400];
        let mut page = Page::new("first");
        page.list(entries.into_iter(), |rest| format!("{rest} more"));
        let html = page.finish(vec![]).html;
        assert_eq!(html.matches("an entry").count(), MAX_ENTRIES);
        assert!(html.ends_with("\n360 more"), "{html}");

        let mut page = Page::new("first");
        page.list(vec!["x".repeat(1_000); 20].into_iter(), |rest| format!("{rest} more"));
        assert!(page.finish(vec![]).html.ends_with("\n17 more"));
    }

    #[test]
    fn what_is_shortened_says_so_and_splits_no_character() {
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("abcd", 3), "ab…");
        // Two code units each.
        assert_eq!(shorten("😀😀", 3), "😀…");
        assert_eq!(shorten("😀", 1), "…");
        assert_eq!(shorten("a", 0), "");
    }
}
