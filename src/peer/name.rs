//! What people may call a node, a cluster or each other.

/// Longest name, in characters.
pub const MAX_NAME_LEN: usize = 64;

/// Whether `name` has 1 to 64 letters, digits, blanks, `.`, `_`, `-`, and no blank at either end.
#[must_use]
pub fn is_readable(name: &str) -> bool {
    let allowed = |char: char| char.is_alphanumeric() || matches!(char, ' ' | '.' | '_' | '-');
    !name.is_empty() && name.chars().count() <= MAX_NAME_LEN && name.trim() == name && name.chars().all(allowed)
}

/// Whether commands could take `name` for the match code of an ask. Codes have fewer letters and digits than these, but a
/// rule that can be remembered is worth more than `b1o0`.
#[must_use]
pub fn looks_like_a_code(name: &str) -> bool {
    match name.as_bytes() {
        [one, two, three, four] => {
            one.is_ascii_alphabetic() && two.is_ascii_digit() && three.is_ascii_alphabetic() && four.is_ascii_digit()
        }
        _ => false,
    }
}
