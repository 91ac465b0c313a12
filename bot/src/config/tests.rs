use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::message::{ChatId, UserId};

const MANUAL: &str = include_str!("../../../systemd/nightlatch-bot.toml");
const CHAT: &str = "[[chat]]\nid = 1\n";
/// The largest number that there can be, which the manual has for an example.
const NOBODY: i64 = (1 << 52) - 1;

fn parse(text: &str) -> Result<(Config, Vec<Warning>), Error> {
    Config::parse(text, "nightlatch-bot.toml", None)
}

fn config(text: &str) -> Config {
    match parse(text) {
        Ok((config, _)) => config,
        Err(error) => panic!("{error}"),
    }
}

fn error(text: &str) -> String {
    match parse(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => error.to_string(),
    }
}

fn warnings(text: &str) -> Vec<String> {
    match parse(text) {
        Ok((_, warnings)) => warnings.iter().map(ToString::to_string).collect(),
        Err(error) => panic!("{error}"),
    }
}

/// The manual with every commented key in force.
fn manual_in_full() -> String {
    let lines = MANUAL.lines().map(|line| line.strip_prefix('#').filter(|key| !key.starts_with(' ')).unwrap_or(line));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_manual_is_a_configuration_that_shows_the_defaults() {
    let (short, full) = (config(MANUAL), config(&manual_in_full()));
    for config in [&short, &full] {
        assert_eq!(config.socket, Path::new(DEFAULT_SOCKET));
        assert_eq!(config.state_directory, Path::new(DEFAULT_STATE_DIRECTORY));
        assert_eq!(config.api.as_str().trim_end_matches('/'), DEFAULT_API);
        assert_eq!(config.settings.remind_after, DEFAULT_REMIND_AFTER);
        assert_eq!(config.settings.escalate_after, DEFAULT_ESCALATE_AFTER);
        assert_eq!(config.settings.zone, Zone(TimeZone::UTC));
        assert_eq!(config.log, LogLevel::Info);
        let chat = &config.settings.chats[0];
        assert_eq!((chat.id, &chat.people, chat.turn), (ChatId(NOBODY), &BTreeSet::from([UserId(NOBODY)]), 1));
    }
    assert_eq!((short.token_file, short.api_root, short.proxy, short.settings.quiet), (None, None, None, None));
    assert_eq!(short.settings.chats[0].clusters, None);
    assert_eq!(full.settings.quiet, Some(Quiet { from: 22 * 60, until: 7 * 60 }));
    assert_eq!(full.settings.chats[0].clusters, Some(BTreeSet::from(["home".to_owned()])));
    assert!(matches!(full.proxy, Some(Proxy::Url(url)) if url.scheme() == "socks5h"));
    assert_eq!(warnings(MANUAL), [""; 0]);
}

#[test]
fn the_manual_mentions_every_key_and_no_other() {
    let mut mentioned: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut table = String::new();
    for line in manual_in_full().lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.trim_start_matches(['#', ' ']).split_once(" = ")
            && key.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
        {
            mentioned.entry(table.clone()).or_default().insert(key.to_owned());
        }
    }
    for (table, header) in [("", ""), ("chat", "[[chat]]\n"), ("log", "[log]\n")] {
        let Err(error) = toml::from_str::<File>(&format!("{header}zzzzzzzz = 1")) else { panic!("accepted") };
        let message = error.message().to_owned();
        let known: BTreeSet<String> = message.split('`').skip(3).step_by(2).map(str::to_owned).collect();
        let tables = BTreeSet::from(["chat".to_owned(), "log".to_owned()]);
        let known: BTreeSet<String> = if table.is_empty() { &known - &tables } else { known };
        assert!(!known.is_empty(), "{message}");
        assert_eq!(mentioned.get(table), Some(&known), "[{table}]");
    }
}

#[test]
fn the_state_is_where_the_file_says_or_else_where_systemd_does() {
    let at = |text: &str, systemd: Option<&str>| {
        Config::parse(text, "", systemd.map(Path::new)).expect("valid").0.state_directory
    };
    assert_eq!(at(CHAT, None), Path::new(DEFAULT_STATE_DIRECTORY));
    assert_eq!(at(CHAT, Some("/var/lib/private/x")), Path::new("/var/lib/private/x"));
    assert_eq!(at(&format!("state_directory = \"/srv\"\n{CHAT}"), Some("/var/lib/x")), Path::new("/srv"));
}

#[test]
fn mistakes_are_told_with_place_and_hint_and_all_at_once() {
    let text = "sockt = 1\n";
    assert!(
        error(text)
            .contains("nightlatch-bot.toml:1:1: unknown key `sockt`\n  |\n1 | sockt = 1\n  | ^^^^^\n  = known here: "),
        "{}",
        error(text)
    );
    let text = "socket = \"run\"\nremind_after = \"1s\"\napi = \"http://192.0.2.1\"\nquiet = \"8-9\"\n[[chat]]\nid = -5\n[[chat]]\n";
    let told = error(text);
    for place in [":1:10: ", ":2:16: ", ":3:7: ", ":4:9: ", ":6:6: ", ":7:1: "] {
        assert!(told.contains(&format!("nightlatch-bot.toml{place}")), "{place} is not in\n{told}");
    }
}

#[test]
fn each_mistake_is_refused_and_says_what_it_is() {
    for (top, chats, expected) in [
        ("", "", "there is no [[chat]]"),
        ("socket = \"telegram.sock\"", CHAT, "this path is not absolute"),
        ("state_directory = \"/a\\u0000\"", CHAT, "this path is not absolute"),
        ("token_file = \"token\"", CHAT, "this path is not absolute"),
        ("token = \"1:AAE\"", CHAT, "unknown key `token`"),
        ("api = \"api.telegram.org\"", CHAT, "this is no address"),
        ("api = \"ftp://api.telegram.org\"", CHAT, "the Bot API is reached by https"),
        ("api = \"http://api.telegram.org\"", CHAT, "in the clear"),
        ("api = \"http://127.0.0.1.example.net\"", CHAT, "in the clear"),
        ("api = \"http://localhost.example.net\"", CHAT, "in the clear"),
        ("api = \"https://user@api.telegram.org\"", CHAT, "a user and a password"),
        ("api = \"https://:pw@api.telegram.org\"", CHAT, "a user and a password"),
        ("api = \"https://api.telegram.org?x=1\"", CHAT, "after its path"),
        ("proxy = \"192.0.2.1:1080\"", CHAT, "this is no address of a proxy"),
        ("proxy = \"socks4://192.0.2.1:1080\"", CHAT, "this is no address of a proxy"),
        ("proxy = \"socks5:\"", CHAT, "this is no address of a proxy"),
        ("proxy = \"socks5h://u:p@192.0.2.1:1080\"", CHAT, "are secrets"),
        ("proxy = \"socks5h://192.0.2.1:1080\"\nproxy_file = \"/x\"", CHAT, "both proxy and proxy_file"),
        ("api = \"http://127.0.0.1:8081\"\nproxy = \"credential\"", CHAT, "a proxy would see the token"),
        ("api = \"http://127.0.0.1:8081\"\nproxy_file = \"/x\"", CHAT, "a proxy would see the token"),
        ("timezone = \"Europe/Nowhere\"", CHAT, "this host knows no time zone"),
        ("timezone = \"../../etc/passwd\"", CHAT, "this host knows no time zone"),
        ("remind_after = \"9s\"", CHAT, "not between 10s and 24h"),
        ("remind_after = 120", CHAT, "a duration is text with a unit"),
        ("escalate_after = \"25h\"", CHAT, "not between 10s and 24h"),
        ("quiet = \"22:00\"", CHAT, "these are no quiet hours"),
        ("quiet = \"22:00-22:00\"", CHAT, "these are no quiet hours"),
        ("quiet = \"22:00-24:00\"", CHAT, "these are no quiet hours"),
        ("quiet = \"22:60-07:00\"", CHAT, "these are no quiet hours"),
        ("quiet = \"22:00-+7:00\"", CHAT, "these are no quiet hours"),
        ("", "[[chat]]\n", "this [[chat]] has no id"),
        ("", "[[chat]]\nid = 0", "this is no id of Telegram's"),
        ("", "[[chat]]\nid = -9223372036854775808", "this is no id of Telegram's"),
        ("", "[[chat]]\nid = 777000", "777000 is no person"),
        ("", "[[chat]]\nid = -5", "this group does not say who may answer"),
        ("", "[[chat]]\nid = -5\npeople = []", "nobody may answer in this group"),
        ("", "[[chat]]\nid = -5\npeople = [1, 1]", "1 stands here twice"),
        ("", "[[chat]]\nid = -5\npeople = [-1]", "this is no number of a person"),
        ("", "[[chat]]\nid = -5\npeople = [1, 1087968824]", "1087968824 is no person"),
        ("", "[[chat]]\nid = -5\npeople = [1, 136817688]", "136817688 is no person"),
        ("", "[[chat]]\nid = 5\npeople = [6]", "not the person of this private chat"),
        ("", "[[chat]]\nid = 5\npeople = [5, 6]", "not the person of this private chat"),
        ("", "[[chat]]\nid = 5\npeople = []", "not the person of this private chat"),
        ("", "[[chat]]\nid = 5\nclusters = []", "this chat would never be asked"),
        ("", "[[chat]]\nid = 5\nclusters = [\"a\", \"a\"]", "`a` stands here twice"),
        ("", "[[chat]]\nid = 5\nclusters = [\" \"]", "this is no name of a cluster"),
        ("", "[[chat]]\nid = 5\nturn = 0", "a turn is a number from 1 to 9"),
        ("", "[[chat]]\nid = 5\nturn = 10", "a turn is a number from 1 to 9"),
        ("", "[[chat]]\nid = 5\nturn = 2", "no [[chat]] has turn 1"),
        ("", "[[chat]]\nid = 5\n[[chat]]\nid = 5", "a second [[chat]] has the id 5"),
        ("", "[[chat]]\nid = 5\n[log]\nlevel = \"loud\"", "unknown value `loud`"),
        ("", "[[chat]]\nid = 5\nname = \"x\"", "unknown key `name`"),
    ] {
        let told = error(&format!("{top}\n{chats}\n"));
        assert!(told.contains(expected), "{expected} is not in\n{told}");
        assert!(!told.contains("not complete"), "{told}");
    }
}

#[test]
fn what_is_allowed_is_taken() {
    for top in [
        "api = \"http://127.0.0.1:8081\"",
        "api = \"http://[::1]:8081/prefix\"",
        "api = \"http://localhost:8081\"",
        "api = \"https://bot-api.example.net/telegram\"",
        "proxy = \"http://proxy.example.net:3128\"",
        "proxy = \"credential\"",
        "proxy_file = \"/etc/nightlatch/telegram-proxy\"",
        "timezone = \"UTC\"",
        "remind_after = \"10s\"\nescalate_after = \"24h\"",
        "quiet = \"00:00-23:59\"",
    ] {
        config(&format!("{top}\n{CHAT}"));
    }
    let people = "[[chat]]\nid = -1001234567890\npeople = [7, 8]\nclusters = [\"lab 1\"]\nturn = 1\n[[chat]]\nid = 9\nturn = 2\n";
    let chats = config(people).settings.chats;
    assert_eq!(chats[0].people, BTreeSet::from([UserId(7), UserId(8)]));
    assert_eq!((chats[1].id, chats[1].turn), (ChatId(9), 2));
}

#[test]
fn there_are_at_most_64_chats_and_256_people() {
    let chats = |count: i64| (1..=count).map(|id| format!("[[chat]]\nid = {id}\n")).collect::<String>();
    assert_eq!(config(&chats(64)).settings.chats.len(), 64);
    assert!(error(&chats(65)).contains("more than 64 chats"));
    let group = |people: i64| format!("[[chat]]\nid = -5\npeople = {:?}\n", (1..=people).collect::<Vec<_>>());
    assert_eq!(config(&group(256)).settings.chats[0].people.len(), 256);
    assert!(error(&group(257)).contains("257 people"));
}

#[test]
fn nodes_that_nobody_is_asked_about_at_once_are_warned_of() {
    let with =
        |first: &str, second: &str| warnings(&format!("[[chat]]\nid = 1\n{first}\n[[chat]]\nid = 2\n{second}\n"));
    assert_eq!(with("", "clusters = [\"b\"]\nturn = 2"), [""; 0]);
    assert_eq!(with("clusters = [\"a\"]", ""), [""; 0]);
    let told = with("clusters = [\"a\"]", "clusters = [\"a\", \"b\"]\nturn = 2");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("nobody is asked at once about cluster `b`"), "{told:?}");
    assert!(told[1].contains("nobody is asked about nodes of other clusters"), "{told:?}");
    let told = with("clusters = [\"a\"]", "turn = 2");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("nobody is asked at once about nodes of other clusters"), "{told:?}");
}

#[test]
fn a_mistake_does_not_steer_the_terminal() {
    let told = error("timezone = \"\\u001b[2J\u{202e}x\"\n[[chat]]\nid = 1");
    assert!(!told.contains(['\u{1b}', '\u{202e}']), "{told:?}");
    let told = error(&format!("timezone = \"{}\"\n", "ä".repeat(10_000)));
    assert!(told.len() < 3_000, "{}", told.len());
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    let token = "123456789:AAExample_of-a-token-of-35-characters";
    for text in [
        format!("token = \"{token}\""),
        format!("proxy = \"{token}\""),
        format!("{token} = 1"),
        format!("remind_after = \"{token}\""),
        format!("[[chat]]\nid = \"{token}\""),
        format!("[log]\nlevel = \"{token}\""),
        format!("api = \"https://bot.example.net/bot{token}?\""),
        format!("timezone = \"{token}\" x"),
        "proxy = \"socks5h://user:AAExample@192.0.2.1:1080\"".to_owned(),
        "proxy = \"socks4://user:AAExample@192.0.2.1:1080\"".to_owned(),
        "proxy = \"user:AAExample@192.0.2.1:1080\"".to_owned(),
        "proxy = \"socks5h://user:AA/Example@x@192.0.2.1:1080\"".to_owned(),
        "api = \"https://user:AAExample@bot.example.net\"".to_owned(),
        "quiet = \"https://user:AAExample@bot.example.net\" = 1".to_owned(),
    ] {
        let told = error(&text);
        assert!(!told.contains("AA") && !told.contains("Example"), "{told}");
    }
    let told = error("proxy = \"socks4://192.0.2.1:1080\"\nquiet = \"22:00-24:00\"");
    assert!(
        told.contains("1 | proxy = \"socks4://192.0.2.1:1080\"") && told.contains("2 | quiet = \"22:00-24:00\""),
        "{told}"
    );
}

#[test]
fn a_file_that_anyone_may_change_is_refused_as_are_pipes_and_giants() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("bot.toml");
    std::fs::write(&path, CHAT).expect("a file");
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("our file");
    mode(0o644);
    assert!(Config::load(&path).is_ok());
    mode(0o646);
    assert!(matches!(Config::load(&path), Err(Error::WritableByAnyone(_))));
    mode(0o644);
    std::fs::write(&path, vec![b' '; MAX_FILE_LEN + 1]).expect("a file");
    assert!(matches!(Config::load(&path), Err(Error::TooLarge(_))));
    std::fs::write(&path, [0xff]).expect("a file");
    assert!(matches!(Config::load(&path), Err(Error::NotText(_))));
    assert!(matches!(Config::load(directory.path()), Err(Error::NotAFile(_))));
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    assert!(matches!(Config::load(&pipe), Err(Error::NotAFile(_))));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_words_of_its_own_make_it_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "[[chat]]", "[log]", "\n", "=", "\"", "id", "people", "clusters", "turn", "{", "}", "[", "]", "9", "-1",
                "\"5s\"", "quiet", "\"22:00-07:00\"", "api", "\"http://[::1\"", "proxy", "\"socks5://\"", "\u{1f512}", ",", "'",
            ]),
            0..60,
        )
    ) {
        let _ = parse(&words.join(" "));
    }

    #[test]
    fn every_cut_of_the_manual_is_survived(end in 0..MANUAL.len()) {
        let _ = parse(MANUAL.get(..end).unwrap_or_default());
    }

    #[test]
    fn quiet_hours_read_as_they_are_written(from in 0u16..1440, until in 0u16..1440) {
        let text = format!("{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60);
        prop_assert_eq!(parse_quiet(&text), (from != until).then_some(Quiet { from, until }));
    }
}
