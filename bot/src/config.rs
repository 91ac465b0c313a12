//! The bot's configuration: where the server's channel is, how Telegram is reached, and which chats belong to whom. No
//! secret stands in it: `credential` reads those from where it says they are.
//!
//! Pure but for [`Config::load`], and for the time zone, which comes from the host's database.

mod chats;
mod endpoint;
mod file;
mod finding;

use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use reqwest::Url;
use serde::Deserialize;
use toml::Spanned;

use self::file::{File, Span};
use self::finding::Findings;
pub use self::finding::{Problems, Warning};
use crate::session::{Quiet, Settings};
use crate::zone::Zone;

/// Where the configuration is, unless the command line says otherwise.
pub const DEFAULT_PATH: &str = "/etc/nightlatch/nightlatch-bot.toml";
/// Where the channel's socket is, as nightlatch-telegram.socket makes it.
pub const DEFAULT_SOCKET: &str = "/run/nightlatch/telegram.sock";
/// Where the bot keeps what outlives a restart, unless systemd or the file says otherwise.
pub const DEFAULT_STATE_DIRECTORY: &str = "/var/lib/nightlatch-bot";
/// Telegram's own Bot API.
pub const DEFAULT_API: &str = "https://api.telegram.org";
/// How long after an unanswered prompt its chat is reminded, unless the file says otherwise.
pub const DEFAULT_REMIND_AFTER: Duration = Duration::from_secs(120);
/// How long after an unanswered prompt the next turn is asked, unless the file says otherwise.
pub const DEFAULT_ESCALATE_AFTER: Duration = Duration::from_secs(300);
/// Longest file that is read, in bytes.
pub const MAX_FILE_LEN: usize = 1024 * 1024;
/// Most chats.
pub const MAX_CHATS: usize = 64;
/// Most people in all chats together: as many as the server has approvers.
pub const MAX_PEOPLE: usize = 256;

/// What remind_after and escalate_after can be.
const WAITING: std::ops::RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(24 * 3600);

/// What the file says.
#[derive(Debug, Clone)]
pub struct Config {
    /// The channel's socket.
    pub socket: PathBuf,
    /// Where what outlives a restart is kept.
    pub state_directory: PathBuf,
    /// The file that holds the bot's token; none: the credential `telegram-token`.
    pub token_file: Option<PathBuf>,
    /// The address of the Bot API. By https, or by http to loopback.
    pub api: Url,
    /// Certificates in PEM that the Bot API's server may be certified by, instead of those that the host trusts.
    pub api_root: Option<PathBuf>,
    /// The way to the Bot API; none: directly.
    pub proxy: Option<Proxy>,
    /// The least severe event of the bot that is logged.
    pub log: LogLevel,
    /// What the session goes by.
    pub settings: Settings,
}

/// Where the address of the proxy stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// In the configuration: it has no password.
    Url(Url),
    /// In this file, which only its owner may read.
    File(PathBuf),
    /// In the credential `telegram-proxy`.
    Credential,
}

/// Severities, and none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What stops the service.
    Error,
    /// What someone should look at.
    Warn,
    /// What happened.
    #[default]
    Info,
    /// What helps to find out why.
    Debug,
    /// Everything.
    Trace,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file says something that cannot be meant.
    #[error("{0}")]
    Invalid(Problems),
    /// The file is not text.
    #[error("{} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// There is something else at that path: a directory, a pipe.
    #[error("{} is not a file", .0.display())]
    NotAFile(PathBuf),
    /// The file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than [`MAX_FILE_LEN`].
    #[error("{} is larger than 1 MiB", .0.display())]
    TooLarge(PathBuf),
    /// Any user may change the file, and with it who may approve.
    #[error("{} may be changed by any user: run chmod o-w on it", .0.display())]
    WritableByAnyone(PathBuf),
}

impl Config {
    /// Reads and checks the file at `path`. The state is where the file says, else where systemd does
    /// (`STATE_DIRECTORY`), else in [`DEFAULT_STATE_DIRECTORY`].
    ///
    /// # Errors
    /// [`Error`], whose text shows each mistake with its place and what to do.
    pub fn load(path: &Path) -> Result<(Self, Vec<Warning>), Error> {
        let read = |source| Error::Read { path: path.into(), source };
        // Opening a pipe would otherwise wait for somebody who writes into it.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(read)?;
        let metadata = file.metadata().map_err(read)?;
        if !metadata.is_file() {
            return Err(Error::NotAFile(path.into()));
        }
        if metadata.permissions().mode() & 0o002 != 0 {
            return Err(Error::WritableByAnyone(path.into()));
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE_LEN as u64 + 1).read_to_end(&mut bytes).map_err(read)?;
        if bytes.len() > MAX_FILE_LEN {
            return Err(Error::TooLarge(path.into()));
        }
        let text = String::from_utf8(bytes).map_err(|_| Error::NotText(path.into()))?;
        Self::parse(&text, &path.display().to_string(), state_directory_of_systemd().as_deref())
    }

    /// Checks `text`, which messages call `name`. `state_directory` is where the state is when the text does not say.
    ///
    /// # Errors
    /// [`Error::Invalid`], or [`Error::TooLarge`] past [`MAX_FILE_LEN`].
    pub fn parse(text: &str, name: &str, state_directory: Option<&Path>) -> Result<(Self, Vec<Warning>), Error> {
        if text.len() > MAX_FILE_LEN {
            return Err(Error::TooLarge(name.into()));
        }
        let mut findings = Findings::new(name, text);
        let checked = match toml::from_str(text) {
            Ok(file) => check(file, state_directory, &mut findings),
            Err(error) => {
                not_toml(&error, &mut findings);
                None
            }
        };
        findings.conclude(checked).map_err(Error::Invalid)
    }
}

/// The directory that `StateDirectory=` of the unit made.
fn state_directory_of_systemd() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "systemd.exec(5): this is how systemd says it")]
    let named = std::env::var("STATE_DIRECTORY").ok()?;
    named.split(':').next().filter(|path| path.starts_with('/')).map(PathBuf::from)
}

fn check(file: File, state_directory: Option<&Path>, findings: &mut Findings<'_>) -> Option<Config> {
    let or = |written: Option<Spanned<PathBuf>>, default: &Path, findings: &mut Findings<'_>| match written {
        Some(written) => absolute(written, findings),
        None => Some(default.to_owned()),
    };
    let optional = |written: Option<Spanned<PathBuf>>, findings: &mut Findings<'_>| {
        written.and_then(|written| absolute(written, findings))
    };
    let socket = or(file.socket, Path::new(DEFAULT_SOCKET), findings);
    let state_directory = state_directory.unwrap_or(Path::new(DEFAULT_STATE_DIRECTORY));
    let state_directory = or(file.state_directory, state_directory, findings);
    let (token_file, api_root) = (optional(file.token_file, findings), optional(file.api_root, findings));
    let api = endpoint::api(file.api, findings);
    let proxy = endpoint::proxy(file.proxy, file.proxy_file, api.as_ref(), findings);
    let zone = zone(file.timezone, findings);
    let remind_after = waiting(file.remind_after, DEFAULT_REMIND_AFTER, findings);
    let escalate_after = waiting(file.escalate_after, DEFAULT_ESCALATE_AFTER, findings);
    let quiet = quiet(file.quiet, findings);
    let settings =
        Settings { chats: chats::check(file.chat, findings), remind_after, escalate_after, quiet, zone: zone? };
    let log = file.log.level.unwrap_or_default();
    Some(Config {
        socket: socket?,
        state_directory: state_directory?,
        token_file,
        api: api?,
        api_root,
        proxy,
        log,
        settings,
    })
}

/// The path, when it is absolute; tells when it is not.
fn absolute(path: Spanned<PathBuf>, findings: &mut Findings<'_>) -> Option<PathBuf> {
    let span = path.span();
    let path = path.into_inner();
    let absolute = path.is_absolute() && !path.as_os_str().as_encoded_bytes().contains(&0);
    if !absolute {
        findings.problem(
            span,
            "this path is not absolute",
            "begin it with /: the service runs in no directory of yours",
        );
    }
    absolute.then_some(path)
}

fn zone(written: Option<Spanned<String>>, findings: &mut Findings<'_>) -> Option<Zone> {
    let Some(written) = written else { return Some(Zone(TimeZone::UTC)) };
    // It needs no database.
    if written.get_ref() == "UTC" {
        return Some(Zone(TimeZone::UTC));
    }
    let found = TimeZone::get(written.get_ref()).ok();
    if found.is_none() {
        let text = format!("this host knows no time zone `{}`", written.get_ref());
        let hint =
            "write one of `timedatectl list-timezones`, such as \"Europe/Berlin\"; where there is none, install tzdata";
        findings.problem(written.span(), text, hint);
    }
    found.map(Zone)
}

/// The duration, or `default` also after a mistake, which is told.
fn waiting(written: Option<Span>, default: Duration, findings: &mut Findings<'_>) -> Duration {
    let Some(written) = written else { return default };
    let duration = **written.get_ref();
    if !WAITING.contains(&duration) {
        findings.problem(written.span(), "this is not between 10s and 24h", "write a duration such as \"2m\"");
    }
    duration
}

fn quiet(written: Option<Spanned<String>>, findings: &mut Findings<'_>) -> Option<Quiet> {
    let written = written?;
    let quiet = parse_quiet(written.get_ref());
    if quiet.is_none() {
        let hint = "write two different times of 24 hours, such as \"22:00-07:00\"; leave it out for none";
        findings.problem(written.span(), "these are no quiet hours", hint);
    }
    quiet
}

/// "22:00-07:00": two different times of day.
fn parse_quiet(text: &str) -> Option<Quiet> {
    let minute = |time: &str| {
        let (hours, minutes) = time.split_once(':')?;
        let number = |digits: &str, most: u16| {
            let two = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|number| two && *number <= most)
        };
        Some(number(hours, 23)? * 60 + number(minutes, 59)?)
    };
    let (from, until) = text.split_once('-')?;
    let (from, until) = (minute(from)?, minute(until)?);
    (from != until).then_some(Quiet { from, until })
}

/// Tells a mistake that the TOML parser found, in the words of this program.
fn not_toml(error: &toml::de::Error, findings: &mut Findings<'_>) {
    let span: Option<Range<usize>> = error.span();
    let known = |prefix: &str| {
        let (found, expected) = error.message().strip_prefix(prefix)?.rsplit_once("`, expected ")?;
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        Some((found, format!("known here: {}", known.join(", "))))
    };
    if let Some((key, hint)) = known("unknown field `") {
        findings.problem(span, format!("unknown key `{key}`"), hint);
    } else if let Some((value, hint)) = known("unknown variant `") {
        findings.problem(span, format!("unknown value `{value}`"), hint);
    } else if error.message().ends_with("expected a duration") {
        findings.problem(span, error.message(), "a duration is text with a unit, such as \"30s\", \"2m\", \"24h\"");
    } else {
        findings.problem(span, error.message(), "the commented nightlatch-bot.toml shows how each key is written");
    }
}

#[cfg(test)]
mod tests;
