//! `nightlatch seal` and `nightlatch unseal`: what a Talos node does, done by hand, against any server of the protocol.

pub(super) mod call;
mod tls;

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Failure, exit};
use crate::request::Operation;
use call::Endpoint;

/// Options of `nightlatch seal` and `nightlatch unseal`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server, as in the machine configuration: grpc://HOST:PORT, or https://HOST:PORT for TLS
    #[arg(long, value_name = "URL")]
    endpoint: Endpoint,
    /// Trust the root certificates in this PEM file as well, as nodes with TrustedRootsConfig do
    #[arg(long, value_name = "FILE")]
    roots: Option<PathBuf>,
    /// The UUID of the node, sent exactly as it is written here
    #[arg(long, value_name = "UUID")]
    node: String,
    /// Read the data from this file instead of standard input
    #[arg(long = "in", value_name = "FILE")]
    input: Option<PathBuf>,
    /// Write the answer to this new file, for its owner's eyes only, instead of standard output
    #[arg(long = "out", value_name = "FILE")]
    output: Option<PathBuf>,
    /// Read and write base64 text instead of raw bytes
    #[arg(long)]
    base64: bool,
    /// How long one call may take, connecting included; a node gives it 10 s
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// How long to go on asking while the server waits for an approval or cannot be reached
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    wait: Duration,
}

/// Longest data that is sent, in bytes. Servers allow less: which of it they take is for them to say.
const MAX_DATA_LEN: usize = 64 * 1024;

/// Has the server seal or unseal the data.
///
/// # Errors
/// [`Failure`] when the data cannot be read or written, or the server cannot be reached or refuses.
pub fn run(operation: Operation, args: Args) -> Result<(), Failure> {
    let sent = read_data(args.input.as_deref(), args.base64)?;
    check_output(args.output.as_deref(), args.base64)?;
    let encryption = tls::config(args.roots.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(exit::UNAVAILABLE, "cannot start").because(&error))?;
    let received = runtime.block_on(call::until_answered(
        args.wait,
        async || call::once(&args.endpoint, &encryption, operation, &args.node, &sent, args.timeout).await,
        |text| {
            // With standard error closed there is nobody left to tell.
            let _closed = writeln!(io::stderr(), "nightlatch: {text}");
        },
    ))?;
    write_data(args.output.as_deref(), args.base64, received)
}

fn read_data(file: Option<&Path>, base64: bool) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let data = match file {
        Some(path) => File::open(path).and_then(read_bounded).map_err(|error| {
            Failure::new(exit::NO_INPUT, format!("cannot read {}", path.display()))
                .because(&error)
                .hint("see that the file exists and that you may read it")
        })?,
        None if io::stdin().is_terminal() => {
            return Err(Failure::new(exit::NO_INPUT, "there is no data: standard input is a terminal")
                .hint("give the data with --in FILE or through a pipe"));
        }
        None => read_bounded(io::stdin().lock())
            .map_err(|error| Failure::new(exit::IO, "cannot read standard input").because(&error))?,
    };
    if data.len() > MAX_DATA_LEN {
        return Err(Failure::new(exit::DATA, format!("the data is longer than {MAX_DATA_LEN} bytes"))
            .hint("a node seals 32 bytes, and gets back a blob of less than 1024"));
    }
    if base64 { decode(&data) } else { Ok(data) }
}

/// Reads at most one byte more than is allowed, into one buffer that never moves: no copy of a secret stays behind.
fn read_bounded(source: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut data = Zeroizing::new(Vec::with_capacity(MAX_DATA_LEN + 64));
    source.take(MAX_DATA_LEN as u64 + 1).read_to_end(&mut data)?;
    Ok(data)
}

fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut digits = Zeroizing::new(Vec::with_capacity(text.len()));
    digits.extend(text.iter().filter(|byte| !byte.is_ascii_whitespace()));
    // The cause is left out: it quotes a byte of what may be a secret.
    STANDARD.decode(digits.as_slice()).map(Zeroizing::new).map_err(|_| {
        Failure::new(exit::DATA, "the data is not base64").hint("leave --base64 out when the data is raw bytes")
    })
}

/// Refuses, before anybody is asked to approve anything, what could not be written afterwards.
fn check_output(file: Option<&Path>, base64: bool) -> Result<(), Failure> {
    match file {
        Some(path) if path.symlink_metadata().is_ok() => {
            Err(Failure::new(exit::CANNOT_CREATE, format!("{} exists already", path.display()))
                .hint("name a new file, or move the old one away"))
        }
        None if !base64 && io::stdout().is_terminal() => {
            Err(Failure::usage("standard output is a terminal, and the answer would be raw bytes")
                .hint("add --base64, or --out FILE"))
        }
        _ => Ok(()),
    }
}

fn write_data(file: Option<&Path>, base64: bool, data: Zeroizing<Vec<u8>>) -> Result<(), Failure> {
    let data = if base64 {
        let mut text = Zeroizing::new(STANDARD.encode(data.as_slice()));
        text.reserve_exact(1);
        text.push('\n');
        Zeroizing::new(std::mem::take(&mut *text).into_bytes())
    } else {
        data
    };
    let (name, written) = match file {
        Some(path) => {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
                Failure::new(exit::CANNOT_CREATE, format!("cannot create {}", path.display()))
                    .because(&error)
                    .hint("name a new file in a directory that you may write to")
            })?;
            (path, file.write_all(&data).and_then(|()| file.sync_all()))
        }
        None => {
            let mut stdout = io::stdout().lock();
            (Path::new("standard output"), stdout.write_all(&data).and_then(|()| stdout.flush()))
        }
    };
    written.map_err(|error| Failure::new(exit::IO, format!("cannot write to {}", name.display())).because(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_may_be_wrapped() {
        let data = decode(b"aGVs\nbG8=\n").expect("valid");
        assert_eq!(data.as_slice(), b"hello");
    }

    #[test]
    fn what_is_not_base64_is_not_quoted() {
        for text in ["s3cret!", "aGVsbG8", "aGVsbG8=="] {
            let failure = decode(text.as_bytes()).expect_err("not base64");
            assert_eq!(failure.code(), exit::DATA);
            assert!(!failure.to_string().contains(text), "{failure}");
        }
    }
}
