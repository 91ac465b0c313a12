//! Secrets in types that cannot be printed, cloned, compared or serialised.
//!
//! Every secret is boxed when it is made, so that moving it copies a pointer and not the bytes, and wiped when it is
//! dropped. The bytes come out through `expose` alone, which makes every use of them easy to find.

use std::fmt;
use std::io::{self, Read};

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What a node wants sealed, or gets back unsealed: 1 to 512 bytes, 32 from Talos.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Plaintext(Box<[u8]>);

/// Longest plaintext that is ever sealed, in bytes.
pub const MAX_PLAINTEXT_LEN: usize = 512;

/// The data is empty or longer than [`MAX_PLAINTEXT_LEN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the data to seal must be 1 to {MAX_PLAINTEXT_LEN} bytes")]
pub struct PlaintextLength;

impl Plaintext {
    /// Takes over `bytes`, and wipes them also when it refuses them.
    ///
    /// # Errors
    /// [`PlaintextLength`] when there are no bytes or more than [`MAX_PLAINTEXT_LEN`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, PlaintextLength> {
        let mut bytes = Zeroizing::new(bytes);
        if bytes.is_empty() || bytes.len() > MAX_PLAINTEXT_LEN {
            return Err(PlaintextLength);
        }
        // `into_boxed_slice` would reallocate a vector with spare room and leave the old one unwiped.
        let boxed: Box<[u8]> = bytes.as_slice().into();
        bytes.zeroize();
        Ok(Self(boxed))
    }

    /// The secret bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// What a person can type: 1 to 1,024 bytes of printable ASCII, the first and the last no blank.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Passphrase(Box<[u8]>);

/// Longest passphrase, in bytes.
pub const MAX_PASSPHRASE_LEN: usize = 1024;

/// Why something is no passphrase. It says nothing about what stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAPassphrase {
    /// A blank at the beginning or at the end is lost too easily.
    #[error("a passphrase does not begin or end with a blank")]
    Blank,
    /// There is nothing.
    #[error("the passphrase is empty")]
    Empty,
    /// There is a sign for which other keyboards and programs send other bytes, or a control character.
    #[error("a passphrase is one line of printable ASCII: letters without accents, digits, punctuation, blanks")]
    Unprintable,
    /// It is longer than [`MAX_PASSPHRASE_LEN`].
    #[error("a passphrase has at most {MAX_PASSPHRASE_LEN} bytes")]
    TooLong,
}

impl Passphrase {
    /// Takes over a line without its end, and wipes it also when it refuses it.
    ///
    /// # Errors
    /// [`NotAPassphrase`]
    pub fn new(line: Vec<u8>) -> Result<Self, NotAPassphrase> {
        let line = Zeroizing::new(line);
        if line.len() > MAX_PASSPHRASE_LEN {
            return Err(NotAPassphrase::TooLong);
        }
        if !line.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(NotAPassphrase::Unprintable);
        }
        match &**line {
            [] => Err(NotAPassphrase::Empty),
            [b' ', ..] | [.., b' '] => Err(NotAPassphrase::Blank),
            passphrase => Ok(Self(passphrase.into())),
        }
    }

    /// The secret bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// A 256-bit key: one from a credential, or one derived from it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct KeyBytes(Box<[u8; Self::LEN]>);

impl KeyBytes {
    /// Length of every key, in bytes.
    pub const LEN: usize = 32;

    /// Lets `fill` write the key into its final place.
    ///
    /// # Errors
    /// Whatever `fill` returns.
    pub fn try_fill<E>(fill: impl FnOnce(&mut [u8; Self::LEN]) -> Result<(), E>) -> Result<Self, E> {
        let mut key = Self(Box::new([0; Self::LEN]));
        fill(&mut key.0)?;
        Ok(key)
    }

    /// The secret bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// What stands in a file that is secret and has a form of its own: a private key in PEM, a passphrase.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SecretContents(Box<[u8]>);

impl SecretContents {
    /// Reads `source` to its end, and at most one byte more than `max`, so that a longer one is noticed.
    ///
    /// # Errors
    /// Those of `source`.
    pub fn read(source: impl Read, max: usize) -> io::Result<Self> {
        // One buffer that never moves: what it grew out of would not be wiped.
        let mut bytes = Zeroizing::new(Vec::with_capacity(max.saturating_add(64)));
        source.take(max as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Self(bytes.as_slice().into()))
    }

    /// The secret bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

macro_rules! redacted {
    ($($secret:ty),+) => {$(
        impl fmt::Debug for $secret {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($secret), "(redacted)"))
            }
        }
    )+};
}
redacted!(Plaintext, Passphrase, KeyBytes, SecretContents);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_of_plaintext_is_bounded() {
        assert!(Plaintext::new(vec![]).is_err());
        assert!(Plaintext::new(vec![7; MAX_PLAINTEXT_LEN]).is_ok());
        assert!(Plaintext::new(vec![7; MAX_PLAINTEXT_LEN + 1]).is_err());
    }

    #[test]
    fn a_passphrase_is_one_line_that_everybody_types_alike() {
        for good in ["x", "two words, and more", "~!", &"x".repeat(MAX_PASSPHRASE_LEN)] {
            assert_eq!(Passphrase::new(good.into()).expect("a passphrase").expose(), good.as_bytes());
        }
        for (bad, why) in [
            ("", NotAPassphrase::Empty),
            (" ", NotAPassphrase::Blank),
            (" x", NotAPassphrase::Blank),
            ("x ", NotAPassphrase::Blank),
            ("x\n", NotAPassphrase::Unprintable),
            ("x\ty", NotAPassphrase::Unprintable),
            ("x\u{7f}", NotAPassphrase::Unprintable),
            ("\u{fc}ber", NotAPassphrase::Unprintable),
            (&"x".repeat(MAX_PASSPHRASE_LEN + 1), NotAPassphrase::TooLong),
        ] {
            assert_eq!(Passphrase::new(bad.into()).map(|_| ()), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn debug_output_has_no_secret_in_it() {
        let secret = Plaintext::new(b"hunter2".to_vec()).expect("7 bytes are allowed");
        let key = KeyBytes::try_fill(|key| {
            key.fill(0xAB);
            Ok::<_, ()>(())
        })
        .expect("filling cannot fail");
        let passphrase = Passphrase::new(b"hunter2".to_vec()).expect("printable");
        assert_eq!(
            format!("{secret:?} {key:?} {passphrase:?}"),
            "Plaintext(redacted) KeyBytes(redacted) Passphrase(redacted)"
        );
    }
}
