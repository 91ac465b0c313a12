//! The bytes of the key record, version 1. Frozen: a later version gets a file of its own and reads this one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{KeyRecord, MAX_PLACE_LEN, RecordedKey, Verification, VerifiedBackup};
use crate::clock::WallTime;
use crate::key::{KeyId, SourceNumber};
use crate::request::SealedBlob;

/// Longest key record, in bytes.
pub const MAX_LEN: usize = 64 * 1024;

/// Most keys.
pub const MAX_KEYS: usize = 64;

/// Longest name of a key, in bytes.
const MAX_NAME_LEN: usize = 256;

const VERSION: u32 = 1;

/// The last millisecond of the year 9999: every time of a record can be shown.
const LAST_TIME: i64 = 253_402_300_799_999;

/// Why bytes are no key record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// They are none.
    #[error("it is no key record: {0}")]
    Damaged(&'static str),
    /// A newer nightlatch wrote them.
    #[error("the key record has version {version}, which this nightlatch does not know")]
    Newer {
        /// Their version.
        version: u32,
    },
}

/// Why a key record cannot be written: it could not be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// It could not be put into words: a bug.
    #[error("the key record could not be encoded")]
    Encode,
    /// The name of a key is empty, too long, or has control characters.
    #[error("the name of a key has 1 to {MAX_NAME_LEN} bytes and no control characters")]
    Name,
    /// A time lies before 1970 or after 9999.
    #[error("a time in the key record is not between 1970 and 9999")]
    Time,
    /// All in all it is too long.
    #[error("the key record would be longer than 64 KiB")]
    TooLong,
    /// There are too many keys.
    #[error("there are more than {MAX_KEYS} keys")]
    TooManyKeys,
}

/// What every version has.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    keys: Vec<Key>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    id: String,
    source: Source,
    name: String,
    // Named here, so that a missing field is an error and not `None`.
    #[serde(deserialize_with = "Option::deserialize")]
    made_at: Option<WallTime>,
    golden_blob: String,
    #[serde(deserialize_with = "Option::deserialize")]
    backup: Option<Backup>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Backup {
    verified_at: WallTime,
    by: By,
    place: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Source {
    Credential,
    Passphrase,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum By {
    Read,
    Digest,
}

/// Reads a key record.
///
/// # Errors
/// [`Unreadable`] unless `bytes` keep to docs/spec/key-record.md.
pub fn parse(bytes: &[u8]) -> Result<KeyRecord, Unreadable> {
    if bytes.len() > MAX_LEN {
        return Err(Unreadable::Damaged("it is longer than 64 KiB"));
    }
    let AnyVersion { version } =
        serde_json::from_slice(bytes).map_err(|_| Unreadable::Damaged("it is not JSON with one version"))?;
    match version {
        VERSION => {}
        0 => return Err(Unreadable::Damaged("there is no version 0")),
        version => return Err(Unreadable::Newer { version }),
    }
    let file: File = serde_json::from_slice(bytes).map_err(|_| Unreadable::Damaged("it is not of version 1"))?;
    if file.keys.len() > MAX_KEYS {
        return Err(Unreadable::Damaged("it has more than 64 keys"));
    }
    let mut record = KeyRecord::default();
    for key in file.keys {
        let key = RecordedKey::try_from(key)?;
        if record.find(key.source, key.id).is_some() {
            return Err(Unreadable::Damaged("a key stands in it twice"));
        }
        record.put(key);
    }
    Ok(record)
}

/// Writes a key record.
pub(super) fn write(record: &KeyRecord) -> Result<Vec<u8>, Unwritable> {
    if record.keys().len() > MAX_KEYS {
        return Err(Unwritable::TooManyKeys);
    }
    let keys = record.keys().iter().map(Key::try_from).collect::<Result<_, _>>()?;
    let mut bytes = serde_json::to_vec(&File { version: VERSION, keys }).map_err(|_| Unwritable::Encode)?;
    bytes.push(b'\n');
    if bytes.len() > MAX_LEN { Err(Unwritable::TooLong) } else { Ok(bytes) }
}

impl TryFrom<Key> for RecordedKey {
    type Error = Unreadable;

    fn try_from(key: Key) -> Result<Self, Unreadable> {
        let times = key.made_at.iter().chain(key.backup.iter().map(|backup| &backup.verified_at));
        if !times.copied().all(is_time) {
            return Err(Unreadable::Damaged("a time is not between 1970 and 9999"));
        }
        if !is_text(&key.name, MAX_NAME_LEN) {
            return Err(Unreadable::Damaged("a name is not one"));
        }
        if !key.backup.iter().all(|backup| is_text(&backup.place, MAX_PLACE_LEN)) {
            return Err(Unreadable::Damaged("a place is not one"));
        }
        let golden_blob = STANDARD.decode(&key.golden_blob).ok().and_then(|bytes| SealedBlob::new(bytes).ok());
        Ok(Self {
            id: key_id(&key.id).ok_or(Unreadable::Damaged("a key id is not one"))?,
            source: match key.source {
                Source::Credential => SourceNumber::Credential,
                Source::Passphrase => SourceNumber::Passphrase,
            },
            name: key.name.into(),
            made_at: key.made_at,
            golden_blob: golden_blob.ok_or(Unreadable::Damaged("a golden blob is not one"))?,
            backup: key.backup.map(Into::into),
        })
    }
}

impl From<Backup> for VerifiedBackup {
    fn from(backup: Backup) -> Self {
        let by = match backup.by {
            By::Read => Verification::Read,
            By::Digest => Verification::Digest,
        };
        Self::new(backup.verified_at, by, &backup.place)
    }
}

impl TryFrom<&RecordedKey> for Key {
    type Error = Unwritable;

    fn try_from(key: &RecordedKey) -> Result<Self, Unwritable> {
        let times = key.made_at.into_iter().chain(key.backup.as_ref().map(VerifiedBackup::at));
        if !times.into_iter().all(is_time) {
            return Err(Unwritable::Time);
        }
        if !is_text(&key.name, MAX_NAME_LEN) {
            return Err(Unwritable::Name);
        }
        Ok(Self {
            id: key.id.to_string(),
            source: match key.source {
                SourceNumber::Credential => Source::Credential,
                SourceNumber::Passphrase => Source::Passphrase,
            },
            name: (*key.name).into(),
            made_at: key.made_at,
            golden_blob: STANDARD.encode(key.golden_blob.as_bytes()),
            backup: key.backup.as_ref().map(Into::into),
        })
    }
}

impl From<&VerifiedBackup> for Backup {
    fn from(backup: &VerifiedBackup) -> Self {
        let by = match backup.by() {
            Verification::Read => By::Read,
            Verification::Digest => By::Digest,
        };
        Self { verified_at: backup.at(), by, place: backup.place().into() }
    }
}

/// 16 hexadecimal digits in lower case.
fn key_id(digits: &str) -> Option<KeyId> {
    let id = KeyId::from_bytes(u64::from_str_radix(digits, 16).ok()?.to_be_bytes());
    (id.to_string() == digits).then_some(id)
}

fn is_time(time: WallTime) -> bool {
    (0..=LAST_TIME).contains(&time.unix_millis())
}

fn is_text(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && !text.chars().any(char::is_control)
}
