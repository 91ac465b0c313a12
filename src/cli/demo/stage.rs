//! The server of the demo, its directory, and who tells what happens.

use std::cell::Cell;
use std::error::Error;
use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nightlatch_approval_api::notify::Manager;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cli::keygen::create_key;
use crate::cli::{Failure, exit};
use crate::clock::{Clock, HostClock, Moment};
use crate::config::Config;
use crate::daemon::asleep::Asleep;
use crate::daemon::{Order, ServeError, Server, Sockets, Surroundings};
use crate::state::Store;

/// The identifier of the pretend node.
pub(super) const NODE: &str = "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21";

/// Sealing is allowed without asking, so that the play begins with a node that is installed. A real server asks.
const CONFIG: &str = r#"
installation = "{installation}"
state_directory = "{directory}/state"
networks = ["127.0.0.0/8"]
tls = "off"
[[key]]
name = "throw-away"
file = "{directory}/key"
[rules]
seal = "allow"
unseal = "ask"
[[node]]
uuid = "{node}"
name = "cp-1"
addresses = ["127.0.0.1"]
[[approver]]
name = "you"
uid = {uid}
[[channel]]
name = "cli"
people = "uid"
socket = "{directory}/cli.sock"
"#;

/// A running server.
pub(super) struct Stage {
    directory: Directory,
    address: SocketAddr,
    stop: mpsc::Sender<Order>,
    running: JoinHandle<Result<(), ServeError>>,
}

/// A directory that is removed at the end, whichever way that comes.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        // Nothing in it is of use to anybody, and the next start of the host empties the place.
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

impl Stage {
    pub(super) fn set_up() -> Result<Self, Failure> {
        let cannot = |error: &dyn Error| {
            Failure::new(exit::CANNOT_CREATE, "cannot set up the demo")
                .because(error)
                .hint("it needs a writable directory for temporary files, and a free port on 127.0.0.1")
        };
        let mut random = [0; 24];
        getrandom::fill(&mut random).map_err(|error| cannot(&error))?;
        let (installation, name) = random.split_at(16);
        let installation = uuid::Builder::from_slice(installation)
            .map_err(|error| cannot(&error))?
            .with_version(uuid::Version::Random)
            .into_uuid();
        let suffix: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        let directory = Directory(std::env::temp_dir().join(format!("nightlatch-demo-{suffix}")));
        DirBuilder::new().mode(0o700).create(&directory.0).map_err(|error| cannot(&error))?;
        let text = CONFIG
            .replace("{installation}", &installation.to_string())
            .replace("{directory}", &directory.0.display().to_string())
            .replace("{node}", NODE)
            .replace("{uid}", &rustix::process::geteuid().as_raw().to_string());
        let (mut config, _) = Config::parse(&text, "demo").map_err(|error| cannot(&error))?;
        config.listen.talos = vec![(Ipv4Addr::LOCALHOST, 0).into()];
        create_key(&directory.0.join("key"), None)?;
        drop(Store::create(&config.state_directory, config.installation).map_err(|error| cannot(&error))?);
        let server = Server::open(&config, Arc::new(HostClock)).map_err(|error| cannot(&error))?;
        let sockets = Sockets::bind(&config).map_err(|error| cannot(&error))?;
        let address = *sockets
            .talos_addresses()
            .first()
            .ok_or_else(|| Failure::new(exit::SOFTWARE, "the demo's server listens nowhere"))?;
        let (stop, orders) = mpsc::channel(1);
        let around = Surroundings { orders, origin: None, manager: Manager::default(), asleep: Asleep::default() };
        let running = tokio::spawn(server.run(sockets, around));
        Ok(Self { directory, address, stop, running })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.directory.0.join("cli.sock")
    }

    /// Stops the server; the directory goes with the stage.
    pub(super) async fn take_down(self) -> Result<(), Failure> {
        // An error means that it has ended already, and the next line tells why.
        let _ended = self.stop.try_send(Order::Stop("end of the demo"));
        match self.running.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(broken("the server", &error)),
            Err(error) => Err(broken("the server", &error)),
        }
    }
}

pub(super) fn broken(what: &str, error: &dyn Error) -> Failure {
    Failure::new(exit::SOFTWARE, format!("{what} of the demo failed")).because(error)
}

const QUESTION: &str = "          approve or deny? [a/d] ";

/// Tells what happens, and when.
#[derive(Debug, Clone)]
pub(super) struct Narrator {
    began: Moment,
    /// Whether the question is on the screen and waits for an answer.
    asking: Rc<Cell<bool>>,
}

impl Narrator {
    pub(super) fn begin() -> Self {
        Self { began: HostClock.now().moment, asking: Rc::default() }
    }

    pub(super) fn elapsed(&self) -> Duration {
        HostClock.now().moment.since(self.began)
    }

    pub(super) fn server(&self, happens: &str) {
        self.line("server", happens);
    }

    pub(super) fn node(&self, happens: &str) {
        self.line("node", happens);
    }

    pub(super) fn you(&self, happens: &str) {
        self.line("you", happens);
    }

    fn line(&self, who: &str, happens: &str) {
        let line = format!("{:5.1} s  {who:<6}  {happens}\n", self.elapsed().as_secs_f64());
        if self.asking.get() {
            self.plain(&format!("\n{line}{QUESTION}"));
        } else {
            self.plain(&line);
        }
    }

    /// What a phone will show, in a frame.
    pub(super) fn prompt(&self, headline: &str) {
        let line = "─".repeat(headline.chars().count() + 4);
        self.plain(&format!(
            "\n          ┌{line}┐\n          │  {headline}  │\n          └{line}┘\n          the node's console shows the same \
             code, so that you know which one you answer\n\n"
        ));
    }

    pub(super) fn question(&self) {
        self.asking.set(true);
        self.plain(QUESTION);
    }

    pub(super) fn answered(&self) {
        if self.asking.replace(false) {
            self.plain("\n");
        }
    }

    pub(super) fn plain(&self, text: &str) {
        let mut stdout = io::stdout().lock();
        // Whoever closed the other end has seen enough.
        let _closed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }
}
