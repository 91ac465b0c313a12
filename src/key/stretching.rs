//! From a passphrase to keys: Argon2id as docs/spec/sealed-blob.md, "Passphrase, node key and key id", uses it.
//!
//! The only place that calls Argon2. The memory that it fills is wiped before it is given back.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroize;

use super::KeyId;
use super::derivation::{self, PROTOCOL, length_prefixed};
use crate::request::NodeUuid;
use crate::secret::{KeyBytes, Passphrase};

/// What it takes, beside the passphrase, to derive keys from it. It stands in every blob and is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretching {
    salt: [u8; Self::SALT_LEN],
    memory: u32,
    passes: u8,
    lanes: u8,
}

/// A parameter is outside the range that any reader accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Argon2id takes 8 KiB for each lane to {} KiB of memory, 1 to {} passes, 1 to {} lanes",
    Stretching::MAX_MEMORY,
    Stretching::MAX_PASSES,
    Stretching::MAX_LANES
)]
pub struct OutOfRange;

impl Stretching {
    /// Length of the installation salt, in bytes.
    pub const SALT_LEN: usize = 16;
    /// Length of all of it in a blob, in bytes.
    pub const LEN: usize = 4 + 1 + 1 + Self::SALT_LEN;
    /// Least memory for each lane, in KiB.
    pub const MIN_MEMORY_PER_LANE: u32 = 8;
    /// Most memory, in KiB: 1 GiB.
    pub const MAX_MEMORY: u32 = 1024 * 1024;
    /// Most passes over the memory.
    pub const MAX_PASSES: u8 = 16;
    /// Most lanes.
    pub const MAX_LANES: u8 = 16;
    /// Memory where nothing else is said, in KiB: 64 MiB.
    pub const DEFAULT_MEMORY: u32 = 64 * 1024;
    /// Passes where nothing else is said.
    pub const DEFAULT_PASSES: u8 = 3;
    /// Lanes where nothing else is said.
    pub const DEFAULT_LANES: u8 = 1;

    /// With this installation salt, memory in KiB, passes and lanes.
    ///
    /// # Errors
    /// [`OutOfRange`]
    pub fn new(salt: [u8; Self::SALT_LEN], memory: u32, passes: u8, lanes: u8) -> Result<Self, OutOfRange> {
        let in_range = (1..=Self::MAX_PASSES).contains(&passes)
            && (1..=Self::MAX_LANES).contains(&lanes)
            && (Self::MIN_MEMORY_PER_LANE * u32::from(lanes)..=Self::MAX_MEMORY).contains(&memory);
        if in_range { Ok(Self { salt, memory, passes, lanes }) } else { Err(OutOfRange) }
    }

    /// With this installation salt, and the parameters where nothing else is said.
    #[must_use]
    pub const fn with_defaults(salt: [u8; Self::SALT_LEN]) -> Self {
        Self { salt, memory: Self::DEFAULT_MEMORY, passes: Self::DEFAULT_PASSES, lanes: Self::DEFAULT_LANES }
    }

    /// As it stands in a blob.
    ///
    /// # Errors
    /// [`OutOfRange`]
    pub(crate) fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, OutOfRange> {
        let [m0, m1, m2, m3, passes, lanes, salt @ ..] = *bytes;
        Self::new(salt, u32::from_be_bytes([m0, m1, m2, m3]), passes, lanes)
    }

    /// As it stands in a blob.
    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (memory, rest) = bytes.split_at_mut(4);
        memory.copy_from_slice(&self.memory.to_be_bytes());
        let (parameters, salt) = rest.split_at_mut(2);
        parameters.copy_from_slice(&[self.passes, self.lanes]);
        salt.copy_from_slice(&self.salt);
        bytes
    }

    /// The installation salt.
    #[must_use]
    pub const fn salt(&self) -> &[u8; Self::SALT_LEN] {
        &self.salt
    }

    /// Memory, in KiB.
    #[must_use]
    pub const fn memory(&self) -> u32 {
        self.memory
    }

    /// Passes over the memory.
    #[must_use]
    pub const fn passes(&self) -> u8 {
        self.passes
    }

    /// Lanes.
    #[must_use]
    pub const fn lanes(&self) -> u8 {
        self.lanes
    }
}

/// Why a passphrase could not be stretched. It says nothing about the passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StretchError {
    /// The system gives no such amount of memory, in KiB.
    #[error("the system does not give the {0} KiB of memory that Argon2id takes")]
    Memory(u32),
    /// Argon2 refused parameters or lengths, which no input brings about.
    #[error("Argon2id refused: {0}")]
    Refused(argon2::Error),
}

/// The id of the key that `passphrase` and `stretching` are. Takes as long as Argon2id does.
///
/// # Errors
/// [`StretchError`]
pub fn key_id(passphrase: &Passphrase, stretching: &Stretching) -> Result<KeyId, StretchError> {
    const LABEL: &str = "nightlatch passphrase 1: key id";
    let salt = [&length_prefixed(LABEL.as_bytes()), &stretching.salt[..]].concat();
    let id_key = argon2id(passphrase, stretching, &salt)?;
    Ok(KeyId::from_bytes(derivation::public(&id_key, LABEL, &[])))
}

/// The key of `node` under `passphrase`, from which its KEK is derived. Takes as long as Argon2id does.
pub(super) fn node_key(
    passphrase: &Passphrase,
    stretching: &Stretching,
    node: &NodeUuid,
) -> Result<KeyBytes, StretchError> {
    let label = length_prefixed(b"nightlatch passphrase 1: node key");
    argon2id(passphrase, stretching, &[&label[..], &stretching.salt, &whose(node)].concat())
}

/// The KEK of `node` from its node key.
pub(super) fn kek(node_key: &KeyBytes, node: &NodeUuid) -> KeyBytes {
    derivation::secret(node_key, "nightlatch passphrase 1: KEK", &whose(node))
}

fn whose(node: &NodeUuid) -> Vec<u8> {
    [length_prefixed(PROTOCOL.as_bytes()), length_prefixed(node.as_str().as_bytes())].concat()
}

/// The memory that Argon2 fills, wiped when it is dropped.
struct Memory(Vec<Block>);

impl Drop for Memory {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Zeroize::zeroize);
    }
}

fn argon2id(passphrase: &Passphrase, stretching: &Stretching, salt: &[u8]) -> Result<KeyBytes, StretchError> {
    let Stretching { memory, passes, lanes, .. } = *stretching;
    let parameters = Params::new(memory, passes.into(), lanes.into(), Some(KeyBytes::LEN));
    let parameters = parameters.map_err(StretchError::Refused)?;
    let blocks = parameters.block_count();
    // Asked for by hand: where memory is short, an allocation that fails would end the process.
    let mut filled = Memory(Vec::new());
    filled.0.try_reserve_exact(blocks).map_err(|_| StretchError::Memory(memory))?;
    filled.0.resize(blocks, Block::new());
    KeyBytes::try_fill(|key| {
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into_with_memory(passphrase.expose(), salt, key, &mut filled.0)
            .map_err(StretchError::Refused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_have_bounds() {
        let made = |memory, passes, lanes| Stretching::new([0; 16], memory, passes, lanes).is_ok();
        assert!(made(8, 1, 1) && made(128, 16, 16) && made(1_048_576, 16, 16));
        for (memory, passes, lanes) in
            [(7, 1, 1), (127, 1, 16), (1_048_577, 1, 1), (64, 0, 1), (64, 17, 1), (64, 1, 0), (u32::MAX, 255, 255)]
        {
            assert!(!made(memory, passes, lanes), "{memory} {passes} {lanes}");
        }
        let defaults = Stretching::with_defaults([1; 16]);
        assert_eq!(Stretching::new([1; 16], 65_536, 3, 1), Ok(defaults));
    }

    #[test]
    fn bytes_are_those_of_the_specification() {
        let salt = *b"0123456789abcdef";
        let stretching = Stretching::new(salt, 0x0001_0203, 4, 5).expect("in range");
        let bytes = stretching.to_bytes();
        assert_eq!(bytes, *b"\x00\x01\x02\x03\x04\x050123456789abcdef");
        assert_eq!(Stretching::from_bytes(&bytes), Ok(stretching));
    }
}
