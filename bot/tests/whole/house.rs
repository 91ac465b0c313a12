//! Everything that a bot needs: a Bot API, a server, a configuration, a token, and a directory for its state.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify;
use tokio::sync::oneshot;

use super::approvals::Server;
use super::bot_api::{BotApi, Sent};
use super::patiently;
use super::program::Program;

pub(crate) const ALICE: i64 = 101;
pub(crate) const BOB: i64 = 202;
pub(crate) const STRANGER: i64 = 666;
pub(crate) const GROUP: i64 = -9;

/// The private chat with Alice.
pub(crate) const WITH_ALICE: &str = "[[chat]]\nid = 101\n";
/// A group with Alice and Bob.
pub(crate) const WITH_BOTH: &str = "[[chat]]\nid = -9\npeople = [101, 202]\n";

/// What is around the bot. All of it ends when it is dropped.
pub(crate) struct House {
    pub(crate) api: BotApi,
    pub(crate) server: Server,
    directory: tempfile::TempDir,
}

impl House {
    /// With these chats, and with everybody and the group known to Telegram.
    pub(crate) async fn new(chats: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let api = BotApi::start().await;
        api.person(ALICE);
        api.person(BOB);
        api.group(GROUP, "the house");
        let server = Server::start(&directory.path().join("socket"));
        let house = Self { api, server, directory };
        house.write_private("token", &house.api.token());
        house.configure(&format!("api = \"{}\"", house.api.url()), chats, "info");
        house
    }

    /// Writes the configuration anew.
    pub(crate) fn configure(&self, telegram: &str, chats: &str, level: &str) {
        let [socket, state, token] = [self.path("socket"), self.state(), self.path("token")];
        let text = format!(
            "socket = \"{}\"\nstate_directory = \"{}\"\ntoken_file = \"{}\"\n{telegram}\nescalate_after = \"24h\"\n\
             {chats}\n[log]\nlevel = \"{level}\"\n",
            socket.display(),
            state.display(),
            token.display(),
        );
        std::fs::write(self.config(), text).expect("a configuration");
    }

    /// Writes a file that nobody else may read.
    pub(crate) fn write_private(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("our file");
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("nightlatch-bot.toml")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Waits until the bot has kept `part` for its next run.
    pub(crate) async fn wait_until_kept(&self, part: &'static str) {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).expect("a watch");
        inotify::add_watch(&watch, self.state(), inotify::WatchFlags::MOVED_TO).expect("the bot made it");
        let path = self.state().join("prompts.json");
        let (sender, receiver) = oneshot::channel();
        // Nobody waits for this thread: when it never comes, the test has failed before.
        std::thread::spawn(move || {
            while !std::fs::read_to_string(&path).unwrap_or_default().contains(part) {
                rustix::io::read(&watch, &mut [0; 4096]).expect("our watch");
            }
            sender.send(())
        });
        patiently("what is kept", receiver).await.expect("it was kept");
    }

    /// Starts the bot, and waits for nothing.
    pub(crate) fn spawn(&self) -> Program {
        Program::start(&self.config(), &[], [] as [(&str, &Path); 0])
    }

    /// Starts the bot, and waits until it follows the server and polls.
    pub(crate) async fn start(&self) -> Program {
        let polls = self.api.calls("getUpdates").len();
        let bot = self.spawn();
        self.server.wait_for_follower().await;
        self.api.wait_for_calls("getUpdates", polls + 1).await;
        bot
    }

    /// The open question with this code in a chat, once it can be answered there.
    pub(crate) async fn prompt(&self, chat: i64, code: &str) -> Sent {
        self.api.wait_for_message(chat, |sent| sent.plain.contains(code) && !sent.buttons.is_empty()).await
    }

    /// The message with this number, once it says `part`.
    pub(crate) async fn says(&self, chat: i64, id: i32, part: &str) -> Sent {
        self.api.wait_for_message(chat, |sent| sent.id == id && sent.plain.contains(part)).await
    }

    /// Somebody presses a button of this message, and is answered.
    pub(crate) async fn press(&self, from: i64, chat: i64, on: &Sent, letter: char) -> String {
        let press = self.api.press(from, chat, on.id, &button(on, letter));
        self.api.wait_for_answer(&press).await.text
    }
}

/// The data of the button with this letter: docs/spec/telegram.md, "Buttons".
pub(crate) fn button(on: &Sent, letter: char) -> String {
    let mut buttons = on.buttons.iter().flatten().map(|(_, data)| data);
    let found = buttons.find(|data| data.starts_with(&format!("1{letter}")));
    found.unwrap_or_else(|| panic!("no button {letter} on {on:?}")).clone()
}
