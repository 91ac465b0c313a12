//! The asks of a server, followed across its restarts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::{Code, Status, Streaming};

use crate::v1::event::Event;
use crate::v1::{self, Snapshot};
use crate::{Client, connect};

/// Shortest time between two attempts to connect.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// Longest time between two attempts to connect.
const LAST_RETRY: Duration = Duration::from_secs(5);

/// How often it is looked whether a server that sleeps has been woken. A held call waits for its answer meanwhile.
const LOOK: Duration = Duration::from_millis(250);

/// The file that is there while the server sleeps: docs/spec/approval-protocol.md, "Sleep".
#[must_use]
pub fn asleep_file(socket: &Path) -> PathBuf {
    socket.with_file_name("server").join("asleep")
}

/// What there is to know.
#[derive(Debug)]
pub enum Update {
    /// Connected, for the first time or again, or the server has begun anew because it was reloaded or we were too slow:
    /// this is all that is open now. What was open before and is not in it was closed or forgotten meanwhile.
    Connected(Snapshot),
    /// Something happened.
    Event(Event),
    /// The connection is lost, or was not to be had. It is tried again.
    Lost(Status),
    /// The server ended because nothing happened for long: nothing is open. It is not connected to before somebody else has
    /// woken it.
    Asleep,
}

/// Follows the asks of one server for ever.
#[derive(Debug)]
pub struct Follow {
    client: Client,
    socket: PathBuf,
    asleep: PathBuf,
    events: Option<Streaming<v1::Event>>,
    retry: Duration,
    told: Told,
}

/// What was told since the server was there last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Lost,
    Asleep,
}

impl Follow {
    /// Follows the server on `socket`.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self {
            client: connect(socket),
            socket: socket.into(),
            asleep: asleep_file(socket),
            events: None,
            retry: FIRST_RETRY,
            told: Told::Nothing,
        }
    }

    /// Waits for the next update. While the server is away there is one [`Update::Lost`], while it sleeps one
    /// [`Update::Asleep`], and then silence until it is back. A stream that the server ends in peace is no loss unless the
    /// next one ends before anything came. Cancel safe: an update that was not returned comes with the next call.
    ///
    /// # Errors
    /// When the server refuses this process for good.
    pub async fn next(&mut self) -> Result<Update, Status> {
        loop {
            // A look at a file in memory, which no task has to wait for.
            if self.events.is_none() && self.sleeps() {
                if self.told != Told::Asleep {
                    self.told = Told::Asleep;
                    return Ok(Update::Asleep);
                }
                tokio::time::sleep(LOOK).await;
                self.retry = FIRST_RETRY;
                continue;
            }
            let lost = match self.advance().await {
                Ok(Some(update)) => {
                    self.retry = FIRST_RETRY;
                    self.told = Told::Nothing;
                    return Ok(update);
                }
                Ok(None) if self.retry == FIRST_RETRY => None,
                Ok(None) => Some(Status::unavailable("the server ended the stream")),
                Err(status) if is_final(&status) => return Err(status),
                Err(status) => Some(status),
            };
            self.events = None;
            if let Some(lost) = lost
                && self.told != Told::Lost
                && !self.sleeps()
            {
                self.told = Told::Lost;
                return Ok(Update::Lost(lost));
            }
            tokio::time::sleep(self.retry).await;
            self.retry = (self.retry * 2).min(LAST_RETRY);
        }
    }

    /// Whether somebody who calls would wake the server. Without its socket nobody can: it was stopped.
    fn sleeps(&self) -> bool {
        self.asleep.exists() && self.socket.exists()
    }

    /// The next update, or `None` when the server has ended the stream in peace.
    async fn advance(&mut self) -> Result<Option<Update>, Status> {
        let events = match &mut self.events {
            Some(events) => events,
            None => {
                let events = self.client.subscribe(v1::SubscribeRequest {}).await?.into_inner();
                self.events.insert(events)
            }
        };
        loop {
            match events.message().await? {
                Some(v1::Event { event: Some(Event::Snapshot(snapshot)) }) => {
                    return Ok(Some(Update::Connected(snapshot)));
                }
                Some(v1::Event { event: Some(event) }) => return Ok(Some(Update::Event(event))),
                // An event that only a newer version knows.
                Some(v1::Event { event: None }) => {}
                None => return Ok(None),
            }
        }
    }
}

/// Whether trying again cannot help.
fn is_final(status: &Status) -> bool {
    matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented)
}
