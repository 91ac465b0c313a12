//! Looks for a secret in whatever a program said, in every form in which one is printed by mistake.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// So many bytes of a secret in a row are no accident.
const WINDOW: usize = 8;

/// No form of so many bytes is shorter than this.
const PREFIX: usize = 8;

/// Finds the pieces of several secrets.
#[derive(Default)]
pub struct Search {
    /// What the pieces look like, by how they begin, with the name of their secret and form.
    forms: HashMap<[u8; PREFIX], Vec<(Vec<u8>, String)>>,
}

impl Search {
    /// Looks for `secret` as well.
    pub fn add(&mut self, name: &str, secret: &[u8]) {
        assert!(secret.len() >= WINDOW, "{name} is too short to be told from anything else");
        for piece in secret.windows(WINDOW) {
            for (form, bytes) in forms(piece) {
                let start = *bytes.first_chunk().expect("no form is shorter");
                self.forms.entry(start).or_default().push((bytes, format!("{name}, {form}")));
            }
        }
    }

    /// What is found in `text`: each secret and form once.
    pub fn find(&self, text: &[u8]) -> Vec<&str> {
        let mut found: Vec<&str> = vec![];
        for (at, start) in text.windows(PREFIX).enumerate() {
            let start: [u8; PREFIX] = *start.first_chunk().expect("a window");
            let here = self.forms.get(&start).into_iter().flatten();
            found.extend(here.filter(|(form, _)| text[at..].starts_with(form)).map(|(_, name)| name.as_str()));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn forms(piece: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let join = |separator: &str, one: fn(&u8) -> String| {
        piece.iter().map(one).collect::<Vec<_>>().join(separator).into_bytes()
    };
    let mut forms = vec![
        ("raw", piece.to_vec()),
        ("hexadecimal", join("", |byte| format!("{byte:02x}"))),
        ("hexadecimal in capitals", join("", |byte| format!("{byte:02X}"))),
        ("hexadecimal with colons", join(":", |byte| format!("{byte:02x}"))),
        ("hexadecimal with blanks", join(" ", |byte| format!("{byte:02x}"))),
        ("list of hexadecimal", join(", ", |byte| format!("{byte:x}"))),
        ("list", join(", ", u8::to_string)),
        ("list without blanks", join(",", u8::to_string)),
        ("list over lines", join(",\n    ", u8::to_string)),
        ("escaped text", piece.escape_ascii().to_string().into_bytes()),
    ];
    // Where the piece begins in a group of three bytes decides which digits are its own.
    for before in 0..3 {
        let shifted = [&[0; 2][..before], piece].concat();
        let digits = (before * 8).div_ceil(6)..shifted.len() * 8 / 6;
        for (form, engine) in [("base64", &STANDARD_NO_PAD), ("base64 for URLs", &URL_SAFE_NO_PAD)] {
            forms.push((form, engine.encode(&shifted).as_bytes()[digits.clone()].to_vec()));
        }
    }
    forms
}

#[test]
fn a_secret_is_found_in_whatever_form_it_is_printed() {
    let secret: Vec<u8> = (0..32).map(|n| 251 - 7 * n).collect();
    let mut search = Search::default();
    search.add("key", &secret);
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let base64 = |skipped: usize| STANDARD_NO_PAD.encode([&vec![b'x'; skipped], &*secret].concat());
    for (form, said) in [
        ("list", format!("{secret:?}")),
        ("list over lines", format!("{secret:#?}")),
        ("list", format!("KeyBytes({:?})", &secret[5..20])),
        ("list without blanks", serde_json::to_string(&secret).expect("JSON")),
        ("list of hexadecimal", format!("{secret:x?}")),
        ("hexadecimal", format!("key={hex} and more")),
        ("hexadecimal", format!("key={}\u{2026}", &hex[..17])),
        ("hexadecimal in capitals", hex.to_uppercase()),
        ("base64", base64(0)),
        ("base64", base64(1)),
        ("base64", base64(2)),
        ("base64", base64(0)[3..20].to_owned()),
        ("base64 for URLs", URL_SAFE_NO_PAD.encode(&secret)),
        ("escaped text", format!("b\"{}\"", secret.escape_ascii())),
    ] {
        let found = search.find(format!("before {said} after").as_bytes());
        assert!(found.contains(&format!("key, {form}").as_str()), "{form}: {found:?}");
    }
    assert_eq!(search.find(&[b"before ".as_slice(), &secret[24..], b" after"].concat()), ["key, raw"]);
}

#[test]
fn what_is_no_secret_is_not_found() {
    let mut search = Search::default();
    search.add("key", &[0xA5; 32]);
    search.add("key", b"12345678abcdefgh");
    for said in ["", "short", "a5a5a5", "1234567 8abcdef gh", "[165, 165, 165]", "paWlpaU", &"x".repeat(10_000)] {
        assert!(search.find(said.as_bytes()).is_empty(), "{said}");
    }
}
