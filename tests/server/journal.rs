//! Whoever should read what the server reports may stop to: no release may wait for that.

use std::io::{self, Write};
use std::process::Stdio;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::hostile::assert_serves;
use crate::installation::Installation;

/// The end of a pipe to write to, with no room left in it, and the other end, which nobody reads.
fn full_pipe() -> io::Result<(io::PipeReader, io::PipeWriter)> {
    let (reader, mut writer) = io::pipe()?;
    let flags = fcntl_getfl(&writer)?;
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK)?;
    let mut room = 64 * 1024;
    while room > 0 {
        match writer.write(&vec![b'x'; room]) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => room /= 2,
            Err(error) => return Err(error),
        }
    }
    fcntl_setfl(&writer, flags)?;
    Ok((reader, writer))
}

#[tokio::test]
async fn standard_error_that_nobody_reads() {
    let installation = Installation::new();
    let (reader, writer) = full_pipe().expect("a pipe");
    let server = installation.start_with(Stdio::from(writer));
    for _ in 0..5 {
        assert_serves(installation.address()).await;
    }
    drop((server, reader));
}

#[test]
fn end_of_the_server_waits_for_no_reader() {
    let installation = Installation::new();
    let (_reader, writer) = full_pipe().expect("a pipe");
    let mut server = installation.start_with(Stdio::from(writer));
    assert!(server.stop().success());
}
