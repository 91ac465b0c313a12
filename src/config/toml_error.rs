//! Mistakes that the TOML parser finds, in the words of this program, with the nearest key that exists.

use super::finding::Findings;

/// Longest key for which a similar one is looked for, in bytes: the comparison takes quadratic time.
const MAX_COMPARED: usize = 64;

/// Tells `error`.
pub(super) fn report(error: &toml::de::Error, findings: &mut Findings<'_>) {
    let message = error.message();
    let (text, hint) = if let Some((key, known)) = unknown("unknown field `", message) {
        (format!("unknown key {}", quoted(key)), suggestion(key, &known))
    } else if let Some((value, known)) = unknown("unknown variant `", message) {
        (format!("unknown value {}", quoted(value)), suggestion(value, &known))
    } else if message.ends_with("expected a duration") {
        (shortened(message), "a duration is text with a unit, such as \"5s\", \"30m\", \"24h\"".to_owned())
    } else {
        (shortened(message), "the commented nightlatch.toml shows how each key is written".to_owned())
    };
    findings.problem(error.span(), text, hint);
}

/// Takes serde's messages apart: what was found, and what could have stood there.
fn unknown<'a>(prefix: &str, message: &'a str) -> Option<(&'a str, Vec<&'a str>)> {
    let (found, expected) = message.strip_prefix(prefix)?.rsplit_once("`, expected ")?;
    Some((found, expected.split('`').skip(1).step_by(2).collect()))
}

fn suggestion(found: &str, known: &[&str]) -> String {
    let allowed = (found.len() / 3).max(1);
    let nearest = known
        .iter()
        .filter(|_| found.len() <= MAX_COMPARED)
        .map(|known| (strsim::damerau_levenshtein(&found.to_lowercase(), known), known))
        .filter(|(distance, _)| *distance <= allowed)
        .min();
    match nearest {
        Some((_, nearest)) => format!("did you mean `{nearest}`?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

fn quoted(found: &str) -> String {
    format!("`{}`", shortened(found))
}

fn shortened(text: &str) -> String {
    const MAX: usize = 200;
    match text.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
