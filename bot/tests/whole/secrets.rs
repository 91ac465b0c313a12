//! Where the token and the proxy's password must not be.

use std::io::ErrorKind;
use std::path::Path;

use super::approvals::ask;
use super::bot_api::front::{Authority, Front};
use super::bot_api::{BotApi, Fault};
use super::house::{ALICE, House, WITH_ALICE, button};
use super::program::Program;
use super::proxy::{ENCODED, Kind, PASSWORD, Proxy, USER};
use super::search::Search;

/// A name that only the proxy knows.
const NAME: &str = "api.nightlatch.test";

/// Telegram behind TLS and a proxy with a password, and a bot that is told to log everything.
struct Fortress {
    house: House,
    _front: Front,
    proxy: Proxy,
}

impl Fortress {
    async fn new() -> Self {
        let house = House::new(WITH_ALICE).await;
        let authority = Authority::new();
        let front = Front::tls(house.api.address(), &authority, &[NAME]).await;
        let proxy = Proxy::start(Kind::Http, front.address()).await;
        let root = house.path("root.pem");
        std::fs::write(&root, authority.root()).expect("a file");
        let address = house.write_private("proxy", &format!("http://{USER}:{ENCODED}@{}\n", proxy.address));
        let telegram = format!(
            "api = \"https://{NAME}\"\napi_root = \"{}\"\nproxy_file = \"{}\"",
            root.display(),
            address.display()
        );
        house.configure(&telegram, WITH_ALICE, "trace");
        Self { house, _front: front, proxy }
    }

    fn secrets(&self) -> Search {
        let mut search = Search::default();
        search.add("token", secret_of(&self.house.api).as_bytes());
        search.add("password", PASSWORD.as_bytes());
        search.add("password in the address", ENCODED.as_bytes());
        search
    }
}

/// What stands behind the bot's number, which is no secret.
fn secret_of(api: &BotApi) -> String {
    api.token().split_once(':').expect("a token").1.to_owned()
}

/// What the kernel tells of a process, to whoever may know.
fn of_process(program: &Program, name: &str) -> Vec<u8> {
    match std::fs::read(format!("/proc/{}/{name}", program.id())) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => vec![],
        Err(error) => panic!("{name}: {error}"),
    }
}

/// Every file below a directory, with its text.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.map(|path| (path.display().to_string(), std::fs::read(&path).expect("a file"))).collect()
}

#[tokio::test]
async fn neither_token_nor_password_is_in_output_state_arguments_or_environment() {
    let fortress = Fortress::new().await;
    let (house, secrets) = (&fortress.house, fortress.secrets());
    let bot = house.start().await;
    for name in ["cmdline", "environ"] {
        assert_eq!(secrets.find(&of_process(&bot, name)), [] as [&str; 0], "{name}");
    }
    // Whatever Telegram writes into its refusals, and whatever breaks on the way.
    let echo = format!("Bad Request: /bot{}/sendMessage", house.api.token());
    house.api.fail("sendMessage", Fault::Refuse(400, echo));
    house.api.fail("getUpdates", Fault::Cut);
    house.server.open(ask(1));
    house.server.open(ask(2));
    let (first, second) = (house.prompt(ALICE, "K7Q1").await, house.prompt(ALICE, "K7Q2").await);
    house.press(ALICE, ALICE, &first, 'a').await;
    house.api.stop().await;
    house.api.press(ALICE, ALICE, second.id, &button(&second, 'd'));
    bot.wait_for_output("Telegram cannot be reached").await;
    house.api.start_again().await;
    house.says(ALICE, first.id, "approved by alice").await;
    house.says(ALICE, second.id, "denied by alice").await;
    house.api.fail_each("*", Fault::Unauthorized);
    // The poll that is open ends with this.
    house.api.say(ALICE, ALICE, "/help");
    bot.wait_for_output("does not accept the token").await;
    let output = bot.stop().await;

    assert!(output.contains("message refused"), "the echo was not told: {output}");
    assert_eq!(secrets.find(output.as_bytes()), [] as [&str; 0], "{output}");
    let kept = files(&house.state());
    assert!(kept.iter().any(|(name, _)| name.ends_with("prompts.json")), "{kept:?}");
    for (name, text) in kept {
        assert_eq!(secrets.find(&text), [] as [&str; 0], "{name}");
    }
    assert!(fortress.proxy.asked().iter().all(|asked| asked == &format!("{NAME}:443")));
    assert!(!fortress.proxy.asked().is_empty(), "it went another way");
}
