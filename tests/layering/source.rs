//! Reads Rust just far enough: words and punctuation, without comments, texts and what is compiled for tests alone.

use std::fs;
use std::path::Path;

/// A word or one piece of punctuation; `::` is one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// One file of src/.
#[derive(Debug)]
pub struct Source {
    /// Its path below src/, such as `key/kek.rs`.
    pub path: String,
    pub lines: usize,
    /// Everything in it.
    pub tokens: Vec<Token>,
    /// What is compiled into the program.
    pub program: Vec<Token>,
}

/// A path that is used, such as `key::KeyId`, behind the word it began with.
#[derive(Debug)]
pub struct Use {
    pub path: Vec<String>,
    pub line: usize,
}

impl Source {
    /// Every file below `directory`, in the order of their paths.
    pub fn read_all(directory: &Path) -> Vec<Self> {
        let mut sources = vec![];
        visit(directory, directory, &mut sources);
        sources.sort_by(|one, other| one.path.cmp(&other.path));
        sources
    }

    pub fn parse(path: &str, text: &str) -> Self {
        let tokens = tokens(text);
        let is_test =
            Path::new(path).components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")));
        let program = if is_test { vec![] } else { without_tests(&tokens) };
        Self { path: path.to_owned(), lines: text.lines().count(), tokens, program }
    }

    /// The modules that lead to it: `key`, `kek`.
    pub fn module(&self) -> Vec<&str> {
        self.path.trim_end_matches(".rs").split('/').collect()
    }

    /// The paths of the program that begin with `root`, groups taken apart.
    pub fn uses(&self, root: &str) -> Vec<Use> {
        let mut uses = vec![];
        for (at, token) in self.program.iter().enumerate() {
            let begins = at == 0 || self.text(at - 1) != "::";
            if token.text == root && begins && self.text(at + 1) == "::" {
                let mut paths = vec![];
                read_path(&self.program, at + 2, &[], &mut paths);
                uses.extend(paths.into_iter().map(|path| Use { path, line: token.line }));
            }
        }
        uses
    }

    /// Where the program has `word`, followed by `next`, and not as the end of a path.
    pub fn lines_of(&self, word: &str, next: &str, not_after: &[&str]) -> Vec<usize> {
        let hits = self.program.iter().enumerate().filter(|(at, token)| {
            let before = at.checked_sub(1).map_or("", |before| self.text(before));
            token.text == word && (next.is_empty() || self.text(at + 1) == next) && !not_after.contains(&before)
        });
        hits.map(|(_, token)| token.line).collect()
    }

    /// Name, first line and number of lines of every function, those of tests included.
    pub fn functions(&self) -> Vec<(String, usize, usize)> {
        let mut functions = vec![];
        for (at, token) in self.tokens.iter().enumerate().filter(|(_, token)| token.text == "fn") {
            let Some(name) = self.tokens.get(at + 1).filter(|name| is_word(&name.text)) else { continue };
            let end = end_of_item(&self.tokens, at);
            if let Some(last) = self.tokens.get(end - 1).filter(|last| last.text == "}") {
                functions.push((name.text.clone(), token.line, last.line - token.line + 1));
            }
        }
        functions
    }

    fn text(&self, at: usize) -> &str {
        self.program.get(at).map_or("", |token| &token.text)
    }
}

fn visit(root: &Path, directory: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            visit(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("below it").to_str().expect("ASCII");
            sources.push(Source::parse(name, &fs::read_to_string(&path).expect("text")));
        }
    }
}

/// Reads what follows `crate::`: one path, or a group of them.
fn read_path(tokens: &[Token], mut at: usize, before: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    loop {
        match tokens.get(at).map(|token| token.text.as_str()) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.text != "}") {
                    let next = read_path(tokens, at, &path, paths);
                    at = next.max(at + 1);
                    while tokens.get(at).is_some_and(|token| token.text != "," && token.text != "}") {
                        at += 1;
                    }
                    at += usize::from(tokens.get(at).is_some_and(|token| token.text == ","));
                }
                return at + 1;
            }
            Some(word) if is_word(word) || word == "*" => {
                path.push(word.to_owned());
                at += 1;
            }
            _ => break,
        }
        match tokens.get(at) {
            Some(token) if token.text == "::" => at += 1,
            _ => break,
        }
    }
    paths.push(path);
    at
}

/// Takes out every item under `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = vec![];
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let marked = tokens.get(at..at + MARK.len()).is_some_and(|next| next.iter().map(|token| &token.text).eq(MARK));
        if marked {
            at = end_of_item(tokens, at);
        } else {
            kept.push(token.clone());
            at += 1;
        }
    }
    kept
}

/// Where the item that begins at `at` has ended: behind its `;`, or the brace that closes it.
fn end_of_item(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" if depth <= 1 => return index + 1,
            "}" => depth -= 1,
            ";" if depth == 0 => return index + 1,
            _ => {}
        }
    }
    tokens.len()
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphanumeric() || first == '_')
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = vec![];
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let skipped = skipped(rest);
        let length = if skipped > 0 {
            skipped
        } else if is_word(rest) {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        if skipped == 0 && !first.is_whitespace() {
            tokens.push(Token { text: token.to_owned(), line });
        }
        line += token.matches('\n').count();
        rest = after;
    }
    tokens
}

/// How many bytes at the beginning are a comment, a text, a character or a lifetime.
fn skipped(rest: &str) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return comment(rest);
    }
    if !rest.starts_with(['b', 'c', 'r', '"', '\'']) {
        return 0;
    }
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        let behind = rest.strip_prefix(prefix).unwrap_or_default().trim_start_matches('#');
        behind.starts_with('"') && (prefix.ends_with('r') || !rest.trim_start_matches(prefix).starts_with('#'))
    });
    if let Some(prefix) = prefix {
        let hashes = rest.bytes().skip(prefix.len()).take_while(|byte| *byte == b'#').count();
        let from = prefix.len() + hashes + 1;
        if prefix.ends_with('r') {
            let end = format!("\"{}", "#".repeat(hashes));
            return rest.get(from..).and_then(|text| text.find(&end)).map_or(rest.len(), |at| from + at + end.len());
        }
        return from + quoted(rest.get(from..).unwrap_or_default(), '"');
    }
    let Some(quote) = rest.strip_prefix("b'").or_else(|| rest.strip_prefix('\'')) else { return 0 };
    let mut chars = quote.chars();
    match (chars.next(), chars.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => rest.len() - quote.len() + quoted(quote, '\''),
        _ => quote.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(quote.len()) + 1,
    }
}

/// How many bytes there are up to and with the closing quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Block comments nest.
fn comment(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, pair) in text.as_bytes().windows(2).enumerate() {
        match pair {
            b"/*" => depth += 1,
            b"*/" if depth <= 1 => return at + 2,
            b"*/" => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn paths_are_found_wherever_they_stand() {
    let text = r##"
        // use crate::comment::X;
        /* use crate::block::X; /* nested */ use crate::block::Y; */
        use crate::{one::A, two::{self, b::B as C}, three};
        const TEXT: &str = "crate::text::X \" crate::text::Y";
        const RAW: &str = r#"crate::raw::X " crate::raw::Y"#;
        fn f<'a>(x: &'a u8) -> crate::four::T { if x == &b'"' || 'c' == '\'' { crate::five::g(x) } }
        pub(crate) fn h() {}
        #[cfg(test)]
        #[expect(unused, reason = "}")]
        mod tests { use crate::test::X; fn f() { {} } }
        #[cfg(test)]
        use crate::test::Y;
        impl S { #[cfg(test)] pub(crate) fn for_test(a: [u8; 2]) -> Self { crate::test::z() } fn i() { crate::six::j() } }
    "##;
    let source = Source::parse("a/b.rs", text);
    let found: Vec<String> = source.uses("crate").iter().map(|found| found.path.join("::")).collect();
    let expected = ["one::A", "two::self", "two::b::B", "three", "four::T", "five::g", "six::j"];
    assert_eq!(found, expected);
    assert_eq!(source.uses("crate")[0].line, 4);
    assert_eq!(source.module(), ["a", "b"]);
}

#[test]
fn functions_have_their_lengths() {
    let source =
        Source::parse("a.rs", "fn one() {}\nfn two(f: fn(u8) -> u8)\n{\n  f(1);\n}\ntrait T { fn three(); }\n");
    let found: Vec<_> =
        source.functions().into_iter().map(|(name, line, lines)| format!("{name} {line} {lines}")).collect();
    assert_eq!(found, ["one 1 1", "two 2 4"]);
}

#[test]
fn files_of_tests_are_no_part_of_the_program() {
    for path in ["a/tests.rs", "a/tests/property.rs"] {
        assert!(Source::parse(path, "use crate::b::C;").uses("crate").is_empty(), "{path}");
    }
}
