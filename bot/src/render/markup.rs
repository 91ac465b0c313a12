//! A strict reader of what we write of Telegram's HTML, for tests: bold lines, and three entities. What Telegram would
//! forgive is an error here.

use crate::message::Message;

/// The visible text.
pub(crate) fn visible(message: &Message) -> Result<String, String> {
    let mut shown = Vec::new();
    for line in message.html.split('\n') {
        let inner = match line.strip_prefix("<b>") {
            Some(rest) => rest.strip_suffix("</b>").ok_or_else(|| format!("bold does not end: {line}"))?,
            None => line,
        };
        shown.push(text(inner)?);
    }
    let shown = shown.join("\n");
    let units = shown.encode_utf16().count();
    if !(1..=4_096).contains(&units) {
        return Err(format!("{units} UTF-16 code units"));
    }
    for button in message.buttons.iter().flatten() {
        if !(1..=64).contains(&button.data.len()) || button.label.is_empty() {
            return Err(format!("a button that Telegram refuses: {button:?}"));
        }
    }
    Ok(shown)
}

fn text(escaped: &str) -> Result<String, String> {
    let mut shown = String::new();
    let mut rest = escaped;
    while let Some(at) = rest.find(['<', '>', '&']) {
        let (before, from) = rest.split_at(at);
        shown.push_str(before);
        let known =
            [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&')].into_iter().find(|(entity, _)| from.starts_with(entity));
        let Some((entity, char)) = known else { return Err(format!("not escaped: {from}")) };
        shown.push(char);
        rest = &from[entity.len()..];
    }
    Ok(shown + rest)
}

#[test]
fn the_reader_refuses_what_is_no_markup_of_ours() {
    let read = |html: &str| visible(&Message { html: html.to_owned(), buttons: vec![] });
    assert_eq!(read("<b>a &lt;b&gt;</b>\n&amp;amp;").unwrap(), "a <b>\n&amp;");
    for html in ["<b>a", "a</b>", "a<b>b</b>", "<b>a\nb</b>", "<i>a</i>", "a & b", "&quot;", "&lt", "a > b", ""] {
        assert!(read(html).is_err(), "{html}");
    }
    assert!(read(&"x".repeat(4_097)).is_err());
}
