//! Telegram's HTML, as strict as Telegram: what it refuses to parse is refused here.

/// Tags that Telegram knows, with whether they may have attributes.
const TAGS: [(&str, bool); 16] = [
    ("a", true),
    ("b", false),
    ("blockquote", true),
    ("code", true),
    ("del", false),
    ("em", false),
    ("i", false),
    ("ins", false),
    ("pre", false),
    ("s", false),
    ("span", true),
    ("strike", false),
    ("strong", false),
    ("tg-spoiler", false),
    ("tg-time", true),
    ("u", false),
];

/// What people read, or why it cannot be parsed.
pub(super) fn plain(html: &str) -> Result<String, String> {
    let mut plain = String::new();
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(next) = rest.chars().next() {
        match next {
            '<' => {
                let (tag, after) = rest[1..].split_once('>').ok_or("Unclosed start tag")?;
                match tag.strip_prefix('/') {
                    Some(name) if open.pop() == Some(name.trim_end()) => {}
                    Some(name) => return Err(format!("Unexpected end tag \"{name}\"")),
                    None => open.push(start(tag)?),
                }
                rest = after;
            }
            '&' => {
                let (character, after) = entity(rest);
                plain.push(character);
                rest = after;
            }
            _ => {
                plain.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    match open.pop() {
        Some(name) => Err(format!("Can't find end tag corresponding to start tag \"{name}\"")),
        None => Ok(plain),
    }
}

fn start(tag: &str) -> Result<&str, String> {
    let name = tag.split([' ', '\n']).next().unwrap_or_default();
    let known = TAGS.iter().find(|(known, _)| *known == name);
    match known {
        Some((_, attributes)) if *attributes || name == tag => Ok(name),
        _ => Err(format!("Unsupported start tag \"{name}\"")),
    }
}

/// One entity; an ampersand that begins none is itself.
fn entity(text: &str) -> (char, &str) {
    let known = [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&'), ("&quot;", '"')];
    if let Some((entity, character)) = known.iter().find(|(entity, _)| text.starts_with(entity)) {
        return (*character, &text[entity.len()..]);
    }
    let number = text.strip_prefix("&#").and_then(|rest| rest.split_once(';'));
    let read = number.and_then(|(digits, after)| {
        let code = match digits.strip_prefix('x') {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => digits.parse().ok()?,
        };
        Some((char::from_u32(code)?, after))
    });
    read.unwrap_or(('&', &text[1..]))
}
