//! Messages as text, and as a page that looks like a chat on a phone.

use std::fmt::Write as _;

use crate::message::{Button, Message};

/// What a lock screen shows of a message, in characters: less than most phones do.
const LOCK_SCREEN: usize = 100;

/// The messages as plain text, each below its caption, with their buttons.
#[must_use]
pub fn text(shown: &[(&str, Message)]) -> String {
    let mut out = String::new();
    for (caption, message) in shown {
        let _ = writeln!(out, "── {caption}\n{}", plain(&message.html));
        for row in &message.buttons {
            let labels: Vec<_> = row.iter().map(|button| format!("[ {} ]", button.label)).collect();
            let _ = writeln!(out, "{}", labels.join(" "));
        }
        out.push('\n');
    }
    out
}

/// The messages as one HTML page that needs nothing else, in light or dark as the reader's system is.
#[must_use]
pub fn html(shown: &[(&str, Message)]) -> String {
    let mut out = format!("{HEAD}<main>\n");
    for (caption, message) in shown {
        let _ = writeln!(out, "<section id=\"{}\">\n<h2>{}</h2>", name(caption), escaped(caption));
        if !message.buttons.is_empty() {
            let seen: String = plain(&message.html).chars().take(LOCK_SCREEN).collect();
            let _ = writeln!(out, "<div class=lock><b>nightlatch</b><span>now</span><p>{}</p></div>", escaped(&seen));
        }
        // Telegram's subset is HTML.
        let _ = writeln!(out, "<div class=bubble>{}</div>", message.html);
        message.buttons.iter().for_each(|row| buttons(row, &mut out));
        out.push_str("</section>\n");
    }
    out.push_str("</main>\n</html>\n");
    out
}

fn buttons(row: &[Button], out: &mut String) {
    out.push_str("<div class=row>");
    for button in row {
        let _ = write!(out, "<span>{}</span>", escaped(&button.label));
    }
    out.push_str("</div>\n");
}

/// The visible text of a message of ours: bold lines, and what page.rs of `render` escapes.
fn plain(html: &str) -> String {
    html.replace("<b>", "").replace("</b>", "").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// A caption as the name of its section, for who wants to see that one alone.
fn name(caption: &str) -> String {
    let words = caption.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>nightlatch-bot: what it writes</title>
<style>
:root { color-scheme: light dark; --back: #cfdbe3; --bubble: #fff; --text: #111; --dim: #5b6770; --row: #8aa3b4cc;
  --rowtext: #fff; --lock: #eef2f5 }
@media (prefers-color-scheme: dark) { :root { --back: #0e1621; --bubble: #182533; --text: #f2f4f5; --dim: #8296a5;
  --row: #2b3d4f; --rowtext: #f2f4f5; --lock: #24303d } }
body { margin: 0; background: var(--back); color: var(--text);
  font: 16px/1.35 system-ui, "Noto Sans", "DejaVu Sans", "Noto Color Emoji", sans-serif }
main { max-width: 23rem; margin: 0 auto; padding: .5rem }
section { margin: 0 0 1.4rem }
h2 { font-size: .8rem; font-weight: 500; color: var(--dim); text-align: center; margin: .3rem }
.bubble, .lock { background: var(--bubble); border-radius: .9rem .9rem .9rem .3rem; padding: .5rem .75rem;
  white-space: pre-wrap; overflow-wrap: anywhere }
.lock { background: var(--lock); border-radius: .9rem; margin-bottom: .4rem; font-size: .85rem; white-space: normal }
.lock b { font-size: .75rem } .lock span { float: right; font-size: .75rem; color: var(--dim) }
.lock p { margin: .1rem 0 0; display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; overflow: hidden;
  white-space: pre-line }
.row { display: flex; gap: .25rem; margin-top: .25rem }
.row span { flex: 1; text-align: center; background: var(--row); color: var(--rowtext); border-radius: .5rem;
  padding: .5rem .2rem; font-weight: 500; font-size: .95rem }
</style>
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::demo;
    use crate::render::markup::visible;

    /// What people read, to be read by who reviews it. Written anew with `nightlatch-bot demo > bot/src/demo/prompts.txt`.
    const PROMPTS: &str = include_str!("prompts.txt");

    #[test]
    fn what_people_read_is_what_was_looked_at() {
        let text = text(&demo());
        assert!(text == PROMPTS, "compare with bot/src/demo/prompts.txt:\n{text}");
    }

    #[test]
    fn every_message_of_the_demo_can_be_sent() {
        for (caption, message) in demo() {
            let visible = visible(&message).unwrap_or_else(|error| panic!("{caption}: {error}"));
            assert_eq!(visible, plain(&message.html), "{caption}");
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = html(&demo());
        assert!(!page.contains("://") && !page.contains("src=") && !page.contains("url("));
        assert_eq!(page.matches("<section id=").count(), demo().len());
    }
}
