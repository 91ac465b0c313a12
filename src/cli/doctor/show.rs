//! Findings as text for a person, and as JSON for a program. docs/doctor.md describes both.

use serde_json::json;

use super::finding::{Finding, Verdict};

/// Most characters of a text that somebody else wrote into a finding.
const MAX_TEXT: usize = 400;

/// One line for each finding, what to do below it, and a summary.
pub(super) fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let (mark, before) = match finding.verdict {
            Verdict::Ok => ("ok", ""),
            Verdict::Warning => ("warning", ""),
            Verdict::Wrong => ("WRONG", ""),
            Verdict::NotLookedAt => ("?", "not looked at: "),
        };
        let about = if finding.about.is_empty() { String::new() } else { format!("{}: ", printable(&finding.about)) };
        let found = printable(&finding.found);
        text.push_str(&format!("{mark:<8} {:<17} {about}{before}{found}\n", finding.check.name()));
        if let Some(hint) = &finding.hint {
            text.push_str(&format!("{:<26} -> {}\n", "", printable(hint)));
        }
    }
    text.push('\n');
    text.push_str(&summary(findings));
    text
}

fn summary(findings: &[Finding]) -> String {
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (wrong, warnings) = (count(Verdict::Wrong), count(Verdict::Warning));
    let mut text = format!(
        "{wrong} wrong, {warnings} {}, {} not looked at, {} ok\n",
        if warnings == 1 { "warning" } else { "warnings" },
        count(Verdict::NotLookedAt),
        count(Verdict::Ok)
    );
    for finding in findings.iter().filter(|finding| finding.verdict == Verdict::Wrong) {
        let about = if finding.about.is_empty() { String::new() } else { format!(" {}", printable(&finding.about)) };
        text.push_str(&format!("WRONG: {}{about}\n", finding.check.name()));
    }
    text
}

/// One object for each finding, a line each.
pub(super) fn json(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, about, verdict, found, hint } in findings {
        let object = json!({
            "check": check.name(),
            "about": printable(about),
            "verdict": verdict.name(),
            "found": printable(found),
            "hint": hint.as_deref().map(printable),
        });
        text.push_str(&object.to_string());
        text.push('\n');
    }
    text
}

/// On one line, and with nothing that steers a terminal or turns the direction of writing: journals, names and files have
/// what others wrote.
fn printable(text: &str) -> String {
    let harmless = |char: char| match char {
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => '\u{fffd}',
        _ if char.is_control() => ' ',
        _ => char,
    };
    let mut shown: String = text.chars().take(MAX_TEXT).map(harmless).collect();
    if text.chars().nth(MAX_TEXT).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::{Check, Unseen};

    fn findings() -> Vec<Finding> {
        vec![
            Finding::ok(Check::Configuration, "", "it can be used"),
            Finding::warning(Check::DiskSpace, "/var/lib", "9 MiB free", "make room"),
            Finding::wrong(Check::Server, "nightlatch.service", "it has failed\u{1b}[31m", "systemctl restart it"),
            Finding::not_looked_at(Check::StateDirectory, "/var/lib/nightlatch", &Unseen::needs_root("it")),
        ]
    }

    #[test]
    fn what_is_wrong_is_seen_first_and_last() {
        assert_eq!(
            text(&findings()),
            "ok       configuration     it can be used\n\
             warning  disk-space        /var/lib: 9 MiB free\n\
             \x20                          -> make room\n\
             WRONG    server            nightlatch.service: it has failed [31m\n\
             \x20                          -> systemctl restart it\n\
             ?        state-directory   /var/lib/nightlatch: not looked at: only root may look at it\n\
             \x20                          -> sudo nightlatch doctor\n\
             \n\
             1 wrong, 1 warning, 1 not looked at, 1 ok\n\
             WRONG: server nightlatch.service\n"
        );
    }

    #[test]
    fn json_has_one_object_a_line() {
        let lines = json(&findings());
        let objects: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
        assert_eq!(
            objects[1],
            json!({ "check": "disk-space", "about": "/var/lib", "verdict": "warning", "found": "9 MiB free", "hint": "make room" })
        );
        assert_eq!(objects[0]["hint"], serde_json::Value::Null);
        assert_eq!(objects[3]["verdict"], "not-looked-at");
    }

    #[test]
    fn what_others_wrote_is_one_short_line() {
        assert_eq!(printable("a\nb\u{202e}"), "a b\u{fffd}");
        assert_eq!(printable(&"x".repeat(500)).chars().count(), 401);
    }
}
