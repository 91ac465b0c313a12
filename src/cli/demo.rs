//! `nightlatch demo`: the whole of it on one machine, with nothing to set up and nothing kept.
//!
//! The server is the real one, on loopback and with a throw-away key. The node is a pretend one that keeps to what a
//! Talos node does: docs/spec/talos-kms.md tells its deadlines and retries.

mod node;
mod stage;

use std::io::{self, BufRead};
use std::time::Duration;

use clap::Parser;
use nightlatch_approval_api::v1::event::Event;
use nightlatch_approval_api::{Follow, Update, connect, v1};
use tokio::sync::mpsc;

use self::node::{Boot, Node};
use self::stage::{Narrator, Stage};
use super::channel::text;
use super::{Failure, exit};

/// Watch a node ask for its disk key, and answer it
#[derive(Debug, Parser)]
pub struct Args {
    /// Approve without asking, after a moment
    #[arg(long)]
    yes: bool,
}

/// How long `--yes` lets the node wait: long enough to see what its console shows meanwhile.
const MOMENT: Duration = Duration::from_secs(7);

/// How long the demo waits for an answer. Silence means no.
const PATIENCE: Duration = Duration::from_secs(300);

/// Plays the demo.
///
/// # Errors
/// When the stage cannot be set up, or the play does not go as it should.
pub fn run(args: Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(exit::SOFTWARE, "cannot start").because(&error))?;
    let played = runtime.block_on(play(args.yes));
    // A read of standard input may still be under way, and never end.
    runtime.shutdown_background();
    played
}

async fn play(yes: bool) -> Result<(), Failure> {
    let narrator = Narrator::begin();
    narrator.plain("nightlatch demo: a key server and a pretend Talos node on this machine. Nothing is kept.\n");
    let stage = Stage::set_up()?;
    narrator.server(&format!("listens on {} with a throw-away key", stage.address()));
    let node = Node::new(stage.address(), narrator.clone());
    let disks = node.install().await?;
    narrator.node("cp-1 was installed earlier; the keys of its three volumes were sealed by this server then");
    let person = Person { follow: Follow::new(&stage.socket()), narrator: narrator.clone(), yes };
    let socket = stage.socket();
    let boot = tokio::select! {
        // The stage is taken down also for who has seen enough.
        _ = tokio::signal::ctrl_c() => return Ok(()),
        boot = node.boot(&disks) => boot?,
        unanswered = person.answer(&socket) => return unanswered.map(|()| {
            narrator.plain("\nNobody answered. Silence means no: the disks stay closed, and the node goes on asking.\n");
        }),
    };
    narrator.plain(match boot {
        Boot::Opened => {
            "\nOne approval, three volumes: the node boots. Nothing was stored on it that opens its disks, and who \
             approved\nwas written down before a key left the server.\n"
        }
        Boot::Denied => {
            "\nThe disks stay closed. The node asks again every 30 s and is refused for an hour, without another prompt.\n"
        }
    });
    narrator.plain("Next: with a server and a key of your own, as README.md tells under Install.\n");
    stage.take_down().await
}

/// Who sits at the terminal.
struct Person {
    follow: Follow,
    narrator: Narrator,
    yes: bool,
}

impl Person {
    /// Answers what is asked until the node is done, which ends this future. Returns when nobody answers.
    async fn answer(mut self, socket: &std::path::Path) -> Result<(), Failure> {
        let mut lines = None;
        let mut open: Option<v1::Ask> = None;
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        loop {
            let line = tokio::select! {
                () = &mut patience => return Ok(()),
                update = self.follow.next() => {
                    let update = update.map_err(|status| stage::broken("the channel", &status))?;
                    if let Some(ask) = self.hear(update) {
                        open = Some(ask);
                        lines.get_or_insert_with(|| typed_lines(self.yes));
                    }
                    continue;
                }
                line = next_line(&mut lines), if open.is_some() => line,
            };
            let Some(ask) = &open else { continue };
            let verdict = match line.as_deref().map(str::trim) {
                None => return Ok(()),
                Some("a" | "approve" | "y" | "yes") => v1::Verdict::Approve,
                Some("d" | "deny" | "n" | "no") => v1::Verdict::Deny,
                Some(_) => {
                    self.narrator.question();
                    continue;
                }
            };
            self.narrator.answered();
            self.narrator.you(if verdict == v1::Verdict::Approve { "approve" } else { "deny" });
            let request = v1::VoteRequest {
                ask_id: ask.id.clone(),
                verdict: verdict.into(),
                telegram_id: None,
                for_seconds: None,
            };
            connect(socket).vote(request).await.map_err(|status| stage::broken("the vote", &status))?;
            open = None;
        }
    }

    /// Shows what the server tells its channels; gives the ask when there is a new one.
    fn hear(&self, update: Update) -> Option<v1::Ask> {
        let ask = match update {
            Update::Event(Event::Opened(ask)) => ask,
            Update::Connected(snapshot) => snapshot.asks.into_iter().next()?,
            Update::Event(_) | Update::Lost(_) | Update::Asleep => return None,
        };
        self.narrator.server("asks a person before it answers");
        self.narrator.prompt(&text::headline(&ask));
        if self.yes {
            self.narrator.plain("          (--yes: approved after 7 s)\n");
        } else {
            self.narrator.question();
        }
        Some(ask)
    }
}

/// Lines that are typed, or the one that `--yes` types.
fn typed_lines(yes: bool) -> mpsc::UnboundedReceiver<String> {
    let (sender, lines) = mpsc::unbounded_channel();
    if yes {
        tokio::spawn(async move {
            tokio::time::sleep(MOMENT).await;
            // The play may be over.
            let _over = sender.send("approve".to_owned());
            std::future::pending::<()>().await;
        });
    } else {
        // A thread of its own: nothing interrupts a read of a terminal.
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
    }
    lines
}

async fn next_line(lines: &mut Option<mpsc::UnboundedReceiver<String>>) -> Option<String> {
    match lines {
        Some(lines) => lines.recv().await,
        None => std::future::pending().await,
    }
}
