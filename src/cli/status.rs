//! `nightlatch status`: how things stand, at a glance.

mod page;
mod watch;

use clap::Parser;
use nightlatch_approval_api::v1;
use serde_json::{Value, json};
use tonic::Code;

use super::Failure;
use super::approvals::snapshot_as_json;
use super::channel::{Options, Session, json as script};

/// See how things stand, at a glance
///
/// Most urgent first: the lock, warnings, questions, what is approved, denied or blocked, the nodes, the last releases, the
/// channels, the certificate and the keys.
///
/// Ends with 0 when the server answered, whatever it said, and with 69 when it cannot be reached.
#[derive(Debug, Parser)]
pub struct Args {
    /// Go on showing it, anew whenever something happens, until interrupted
    #[arg(long)]
    watch: bool,
    /// Shorten no list
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    channel: Options,
}

/// What was looked at.
struct Look {
    snapshot: v1::Snapshot,
    /// None: the server is too old for it.
    overview: Option<v1::OverviewResponse>,
}

/// Shows it.
///
/// # Errors
/// When the server cannot be reached, or refuses.
pub fn run(args: Args) -> Result<(), Failure> {
    let all = args.all;
    if args.watch {
        return args.channel.stay(async |session| watch::run(session, all).await);
    }
    args.channel.speak(async |session| {
        let look = look(session).await?;
        session.print(|now| page::page(&look, now, all), || as_json(&look))
    })
}

async fn look(session: &mut Session) -> Result<Look, Failure> {
    let snapshot = session.snapshot().await?;
    let overview = match session.client.overview(v1::OverviewRequest {}).await {
        Err(status) if status.code() == Code::Unimplemented => None,
        answered => Some(session.answer(answered)?),
    };
    Ok(Look { snapshot, overview })
}

fn as_json(look: &Look) -> Value {
    json!({
        "event": "status",
        "now": snapshot_as_json(&look.snapshot),
        "overview": look.overview.as_ref().map(|overview| json!({
            "started_at": script::time(overview.started_at_ms),
            "keys": overview.keys.iter().map(script::key).collect::<Vec<_>>(),
            "channels": overview.channels.iter().map(|channel| {
                json!({ "name": channel.name, "attached": channel.attached })
            }).collect::<Vec<_>>(),
            "tls": overview.tls,
            "certificate_not_after": overview.tls.then(|| script::time(overview.certificate_not_after_ms)),
            "last_releases": overview.last_releases.iter().map(script::release).collect::<Vec<_>>(),
            "warnings": overview.warnings,
            "calls_held": overview.calls_held,
            "state_generation": overview.state_generation,
        })),
    })
}
