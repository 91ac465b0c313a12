//! `nightlatch status --watch`: the page, anew whenever something happens; in place on a terminal.

use std::io::{self, IsTerminal};
use std::time::Duration;

use nightlatch_approval_api::{Follow, Update};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use super::{Look, as_json, look, page};
use crate::cli::channel::text::time;
use crate::cli::channel::{Session, in_time, now, print, refused};
use crate::cli::{Failure, exit};

/// How often it looks and draws at most, since many things happen at once; and at least on a terminal, since times go on.
const PACE: Duration = Duration::from_secs(1);

/// What of the server is shown.
enum Server {
    Awaited,
    Seen(Box<Look>),
    Asleep,
    Lost(String),
}

/// Goes on until it is interrupted.
pub(super) async fn run(session: &mut Session, all: bool) -> Result<(), Failure> {
    let on =
        |kind| signal(kind).map_err(|error| Failure::new(exit::SOFTWARE, "cannot wait for signals").because(&error));
    let (mut interrupted, mut terminated) = (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
    let mut hung_up = on(SignalKind::hangup())?;
    let screen = (!session.json && io::stdout().is_terminal()).then(Screen::enter).transpose()?;
    let mut follow = Follow::new(&session.socket);
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut server, mut is_old, mut is_changed) = (Server::Awaited, false, true);
    loop {
        tokio::select! {
            _ = interrupted.recv() => return Ok(()),
            _ = terminated.recv() => return Ok(()),
            _ = hung_up.recv() => return Ok(()),
            update = follow.next() => match update.map_err(|status| refused(&session.socket, &status))? {
                Update::Connected(_) => {
                    is_old = true;
                    // Only then: a server may end its streams as often as it likes.
                    if matches!(server, Server::Awaited) {
                        ticks.reset_immediately();
                    }
                }
                Update::Event(_) => is_old = true,
                Update::Asleep => (server, is_old, is_changed) = (Server::Asleep, false, true),
                Update::Lost(status) => {
                    (server, is_old, is_changed) = (Server::Lost(status.message().to_owned()), false, true);
                }
            },
            _ = ticks.tick() => {
                // It may have gone just now, which is told next.
                if std::mem::take(&mut is_old) && let Ok(look) = in_time(look(session)).await {
                    (server, is_changed) = (Server::Seen(Box::new(look)), true);
                }
                match &screen {
                    Some(screen) => screen.draw(&server.page(session, all))?,
                    None if is_changed => print(&server.appended(session, all))?,
                    None => {}
                }
                is_changed = false;
            }
        }
    }
}

impl Server {
    fn page(&self, session: &Session, all: bool) -> String {
        match self {
            Self::Awaited => "asking the server …\n".to_owned(),
            Self::Seen(look) => page::page(look, now(), all),
            Self::Asleep => "the server sleeps, since nothing has called for long: nothing is open; what was approved ahead stays so\n\
                             waiting for a call to wake it; nightlatch status without --watch wakes it too\n"
                .to_owned(),
            Self::Lost(_) => format!(
                "the server on {} is away; waiting for it\n\
                 systemctl status nightlatch.service nightlatch-cli.socket says more\n",
                session.socket.display()
            ),
        }
    }

    /// What is written where there is no screen to draw on.
    fn appended(&self, session: &Session, all: bool) -> String {
        let line = |value| format!("{value}\n");
        match self {
            Self::Awaited => String::new(),
            Self::Seen(look) if session.json => line(as_json(look)),
            Self::Asleep if session.json => line(json!({ "event": "asleep" })),
            Self::Lost(why) if session.json => line(json!({ "event": "lost", "reason": why })),
            _ => format!("---- {} ----\n{}\n", time(now()), self.page(session, all)),
        }
    }
}

/// The second screen of the terminal. Leaving it brings back what was there before.
struct Screen;

impl Screen {
    fn enter() -> Result<Self, Failure> {
        print("\x1b[?1049h\x1b[?25l")?;
        Ok(Self)
    }

    /// Draws over what is there: no flicker, and nothing of before stays.
    #[expect(clippy::unused_self, reason = "who draws has entered")]
    fn draw(&self, page: &str) -> Result<(), Failure> {
        let rows = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_row));
        // A terminal that does not know its size says 0.
        let rows = if rows == 0 { 24 } else { rows };
        print(&format!("\x1b[H{}\x1b[J", fitted(page, rows).replace('\n', "\x1b[K\r\n")))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _gone = print("\x1b[?25h\x1b[?1049l");
    }
}

/// The first lines of `page`, which are the urgent ones, as many as there are `rows` for.
fn fitted(page: &str, rows: usize) -> String {
    // The cursor waits in a row of its own.
    let room = rows.saturating_sub(1).max(2);
    let count = page.lines().count();
    if count <= room {
        return page.to_owned();
    }
    let shown: String = page.lines().take(room - 1).flat_map(|line| [line, "\n"]).collect();
    format!("{shown}… {} more lines: make the window higher, or leave out --watch\n", count - (room - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_urgent_stays_on_a_small_screen() {
        assert_eq!(fitted("a\nb\nc\n", 4), "a\nb\nc\n");
        assert_eq!(fitted("a\nb\nc\nd\n", 4), "a\nb\n… 2 more lines: make the window higher, or leave out --watch\n");
        assert!(fitted("a\nb\nc\nd\n", 0).starts_with("a\n"));
    }
}
