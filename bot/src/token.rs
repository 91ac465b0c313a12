//! The bot's token. Whoever has it is the bot: reads every press, and can send messages that look like ours. `credential`
//! reads it, and it leaves this module only through [`Token::expose`].

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A token as BotFather gives it: the bot's number, a colon, and a secret of about 35 letters, digits, `-` and `_`.
/// Boxed, so that moving it copies no bytes, and wiped when it is dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Token(Box<str>);

impl Token {
    /// The token in `text`, which is that and nothing else. `None` when it does not look like one.
    #[must_use]
    pub fn parse(text: &Zeroizing<String>) -> Option<Self> {
        let (number, secret) = text.split_once(':')?;
        let is_number = (3..=16).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        let is_secret = (30..=64).contains(&secret.len())
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        (is_number && is_secret).then(|| Self(text.as_str().into()))
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
