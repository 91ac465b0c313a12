//! A passphrase that somebody types at the terminal, which is not shown, and other questions.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::secret::{MAX_PASSPHRASE_LEN, NotAPassphrase, Passphrase};

/// What the terminal sends for Ctrl-C and Ctrl-\. While nothing is shown these end the line and not the program, which
/// would leave behind a terminal that shows nothing.
const CTRL_C: u8 = 0x03;
const CTRL_BACKSLASH: u8 = 0x1c;

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody would rather not.
    #[error("nothing was typed")]
    Cancelled,
    /// The terminal cannot be used.
    #[error("cannot use the terminal")]
    Io(#[source] io::Error),
    /// What was typed is none.
    #[error("this is no passphrase")]
    NotAPassphrase(#[source] NotAPassphrase),
    /// There is no terminal to ask at.
    #[error("there is no terminal to ask at")]
    NoTerminal(#[source] io::Error),
}

/// Asks at the terminal of this process, whatever standard input and output are, without showing the answer.
///
/// # Errors
/// [`Error`]
pub fn ask(prompt: &str) -> Result<Passphrase, Error> {
    let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(Error::NoTerminal)?;
    // All the room at once, with a byte more than a line end, so that a longer line is noticed.
    let mut line = Zeroizing::new([0; MAX_PASSPHRASE_LEN + 2]);
    let read = {
        let _silent = Silent::new(&terminal)?;
        (&terminal).write_all(prompt.as_bytes()).and_then(|()| read_line(&terminal, &mut *line))
    };
    let _only_looks = (&terminal).write_all(b"\n");
    match line.get(..read.map_err(Error::Io)?).unwrap_or_default() {
        [] | [.., CTRL_C | CTRL_BACKSLASH] => Err(Error::Cancelled),
        line => super::passphrase_in(line).map_err(Error::NotAPassphrase),
    }
}

/// Longest answer to a question that is no secret, in bytes.
const MAX_ANSWER_LEN: usize = 1024;

/// Whether this process has a terminal at which somebody can be asked.
#[must_use]
pub fn is_there() -> bool {
    File::options().read(true).write(true).open("/dev/tty").is_ok()
}

/// Asks at the terminal of this process, and gives the line that is typed, which is shown as it is typed. Ctrl-C ends the
/// program, as anywhere.
///
/// # Errors
/// [`Error::NoTerminal`], [`Error::Io`]; [`Error::Cancelled`] when the terminal is gone or Ctrl-D is typed.
pub fn question(text: &str) -> Result<String, Error> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty").map_err(Error::NoTerminal)?;
    terminal.write_all(text.as_bytes()).map_err(Error::Io)?;
    let mut line = [0; MAX_ANSWER_LEN];
    let length = read_line(&terminal, &mut line).map_err(Error::Io)?;
    match line.get(..length).unwrap_or_default() {
        [] => Err(Error::Cancelled),
        line => Ok(String::from_utf8_lossy(line).into_owned()),
    }
}

/// Shows `text` at the terminal of this process, which is not where standard output may go.
///
/// # Errors
/// [`Error`]
pub fn show(text: &[u8]) -> Result<(), Error> {
    let mut terminal = File::options().write(true).open("/dev/tty").map_err(Error::NoTerminal)?;
    terminal.write_all(text).map_err(Error::Io)
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn new(terminal: &'a File) -> Result<Self, Error> {
        let before = tcgetattr(terminal).map_err(|error| Error::Io(error.into()))?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ISIG);
        silent.local_modes.insert(LocalModes::ICANON);
        silent.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        silent.special_codes[SpecialCodeIndex::VEOL2] = CTRL_BACKSLASH;
        // What was typed before the question is no answer to it.
        tcsetattr(terminal, OptionalActions::Flush, &silent).map_err(|error| Error::Io(error.into()))?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        let _nobody_to_tell = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// Reads up to the end of a line, or until `line` is full.
fn read_line(mut terminal: &File, line: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(room @ [_, ..]) = line.get_mut(length..) {
        match terminal.read(room) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if let Some(b'\n' | &CTRL_C | &CTRL_BACKSLASH) = line.get(..length).and_then(<[u8]>::last) {
            break;
        }
    }
    Ok(length)
}
