//! The data of a button: docs/spec/telegram.md, "Buttons".

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Names one prompt in one chat: 16 random bytes that never leave this process but on the buttons of that prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nonce(pub [u8; 16]);

/// What a button stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Yes, for as long as the server's configuration says.
    Approve,
    /// Yes, for 30 minutes.
    ApproveLonger,
    /// No, for as long as the server's configuration says.
    Deny,
    /// No, for 24 hours.
    Block,
}

impl Choice {
    /// Every choice, in the order of the buttons.
    pub const ALL: [Self; 4] = [Self::Approve, Self::Deny, Self::ApproveLonger, Self::Block];

    const fn letter(self) -> char {
        match self {
            Self::Approve => 'a',
            Self::ApproveLonger => 'l',
            Self::Deny => 'd',
            Self::Block => 'b',
        }
    }
}

/// One button's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Press {
    /// What the person chose.
    pub choice: Choice,
    /// Which prompt it was on.
    pub nonce: Nonce,
}

/// `1`, the choice's letter, the nonce as 22 characters of base64url: 24 bytes.
impl fmt::Display for Press {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1{}{}", self.choice.letter(), self.nonce)
    }
}

/// 22 characters of base64url (RFC 4648, section 5) without padding.
impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl Nonce {
    /// Reads what [`Display`](fmt::Display) wrote, in that spelling alone.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl Press {
    /// Reads a button's data; anything but what [`Display`](fmt::Display) writes is none of ours.
    #[must_use]
    pub fn parse(data: &str) -> Option<Self> {
        let mut characters = data.strip_prefix('1')?.chars();
        let letter = characters.next()?;
        let choice = Choice::ALL.into_iter().find(|choice| choice.letter() == letter)?;
        Some(Self { choice, nonce: Nonce::parse(characters.as_str())? })
    }
}

/// What a button of a shared message stands for that is none of one ask's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListChoice {
    /// Yes to all that this version of the message shows as open.
    ApproveAll,
    /// No to all of them.
    DenyAll,
    /// What is open is to be asked in messages of their own.
    OneByOne,
}

impl ListChoice {
    /// Every choice, in the order of the buttons.
    pub const ALL: [Self; 3] = [Self::ApproveAll, Self::DenyAll, Self::OneByOne];

    const fn letter(self) -> char {
        match self {
            Self::ApproveAll => 'A',
            Self::DenyAll => 'D',
            Self::OneByOne => 'O',
        }
    }
}

/// The data of such a button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPress {
    /// What the person chose.
    pub choice: ListChoice,
    /// Which version of which shared message it was on.
    pub nonce: Nonce,
}

/// As [`Press`].
impl fmt::Display for ListPress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1{}{}", self.choice.letter(), self.nonce)
    }
}

impl ListPress {
    /// Reads a button's data; anything but what [`Display`](fmt::Display) writes is none of these.
    #[must_use]
    pub fn parse(data: &str) -> Option<Self> {
        let mut characters = data.strip_prefix('1')?.chars();
        let letter = characters.next()?;
        let choice = ListChoice::ALL.into_iter().find(|choice| choice.letter() == letter)?;
        Some(Self { choice, nonce: Nonce::parse(characters.as_str())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_button_reads_as_the_specification_says() {
        let press = Press { choice: Choice::Approve, nonce: Nonce([0; 16]) };
        assert_eq!(press.to_string(), "1aAAAAAAAAAAAAAAAAAAAAAA");
        let press = Press { choice: Choice::Block, nonce: Nonce([0xff; 16]) };
        assert_eq!(press.to_string(), "1b_____________________w");
    }

    #[test]
    fn what_is_no_button_of_ours_is_none() {
        for data in [
            "",
            "1",
            "1a",
            "2aAAAAAAAAAAAAAAAAAAAAAA",
            "1xAAAAAAAAAAAAAAAAAAAAAA",
            "1aAAAAAAAAAAAAAAAAAAAAAB",
            "1aAAAAAAAAAAAAAAAAAAAAA",
            "1aAAAAAAAAAAAAAAAAAAAAAA=",
            "1aAAAAAAAAAAAAAAAAAAAAAA ",
            "1ä",
        ] {
            assert_eq!(Press::parse(data), None, "{data}");
        }
    }

    proptest! {
        #[test]
        fn every_button_is_read_back_and_fits(nonce in any::<[u8; 16]>()) {
            for choice in Choice::ALL {
                let press = Press { choice, nonce: Nonce(nonce) };
                prop_assert!(press.to_string().len() <= 64);
                prop_assert_eq!(Press::parse(&press.to_string()), Some(press));
            }
        }

        #[test]
        fn no_button_of_a_list_is_one_of_a_prompt(nonce in any::<[u8; 16]>()) {
            for choice in ListChoice::ALL {
                let press = ListPress { choice, nonce: Nonce(nonce) };
                prop_assert_eq!(Press::parse(&press.to_string()), None);
                prop_assert_eq!(ListPress::parse(&press.to_string()), Some(press));
            }
            for choice in Choice::ALL {
                prop_assert_eq!(ListPress::parse(&Press { choice, nonce: Nonce(nonce) }.to_string()), None);
            }
        }

        #[test]
        fn what_is_read_is_what_would_be_written(data in ".{0,80}") {
            if let Some(press) = Press::parse(&data) {
                prop_assert_eq!(press.to_string(), data);
            }
        }
    }
}
