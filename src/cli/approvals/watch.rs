//! `nightlatch approvals watch`: follows what happens.

use std::collections::HashMap;

use nightlatch_approval_api::v1::event::Event;
use nightlatch_approval_api::{Follow, Update, v1};

use super::{json, text};
use crate::cli::Failure;
use crate::cli::channel::{Session, refused};

pub(super) async fn run(session: &mut Session) -> Result<(), Failure> {
    let mut follow = Follow::new(&session.socket);
    let mut seen = Seen::default();
    loop {
        let update = tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            update = follow.next() => update.map_err(|status| refused(&session.socket, &status))?,
        };
        match update {
            Update::Connected(snapshot) => {
                for ask in snapshot.asks.iter().chain(&snapshot.enrolments) {
                    seen.is_news(ask);
                }
                session.print(|now| text::snapshot(&snapshot, now), || json::snapshot(&snapshot))?;
            }
            // One more attempt is nothing to scroll the terminal for, a new warning or vote is; scripts get everything.
            Update::Event(Event::Changed(ask) | Event::EnrolmentChanged(ask))
                if !session.json && !seen.is_news(&ask) => {}
            Update::Event(event) => {
                if let Event::Opened(ask) | Event::EnrolmentOpened(ask) = &event {
                    seen.is_news(ask);
                }
                session.print(|now| text::event(&event, now), || json::event(&event))?;
            }
            Update::Lost(status) => {
                session.print(|_| text::lost(&session.socket), || json::lost(&status))?;
            }
            Update::Asleep => session.print(|_| text::asleep(), json::asleep)?,
        }
    }
}

/// How many warnings and votes of each ask were shown.
#[derive(Default)]
struct Seen(HashMap<Vec<u8>, (usize, usize)>);

impl Seen {
    fn is_news(&mut self, ask: &v1::Ask) -> bool {
        // More asks than can be open at once were seen: old ones are among them.
        if self.0.len() > 10_000 {
            self.0.clear();
        }
        let shown = (ask.warnings.len(), ask.voted.len());
        self.0.insert(ask.id.clone(), shown).is_none_or(|before| before != shown)
    }
}
