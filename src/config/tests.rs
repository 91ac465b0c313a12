use std::collections::BTreeSet;
use std::fs::Permissions;

use proptest::prelude::*;

use super::*;

const MINIMAL: &str = r#"
installation = "9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21"
networks = ["192.0.2.0/24", "2001:db8::/64"]
tls = "off"
[[key]]
name = "first"
credential = "nightlatch-key"
"#;

const PEOPLE: &str = r#"
[[approver]]
name = "alice"
uid = 1000
telegram_id = 111
[[approver]]
name = "bob"
telegram_id = 222
[[channel]]
name = "cli"
people = "uid"
[[channel]]
name = "telegram"
people = "telegram"
uid = 990
"#;

const CP_1: &str = r#"
[[node]]
uuid = "4c4c4544-0042-3510-8051-b4c04f4e3632"
name = "cp-1"
"#;

fn parse(text: &str) -> Result<(Config, Vec<Warning>), Error> {
    Config::parse(text, "nightlatch.toml")
}

/// `MINIMAL`, with `top` before its first table and `tables` at its end.
fn with(top: &str, tables: &str) -> String {
    format!("{top}\n{MINIMAL}{tables}\n")
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

#[track_caller]
fn assert_refused(text: &str, parts: &[&str]) {
    let error = error(text);
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in:\n{error}");
    }
}

#[track_caller]
fn assert_warned(text: &str, part: &str) {
    let warnings = warnings(text);
    assert!(warnings.iter().any(|warning| warning.contains(part)), "`{part}` is not in {warnings:?}");
}

fn node(rest: &str) -> String {
    with("", &format!("{PEOPLE}{CP_1}{rest}"))
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = config(MINIMAL);
    assert_eq!(config.state_directory, PathBuf::from("/var/lib/nightlatch"));
    assert_eq!(config.uuid_policy, UuidPolicy::default());
    assert_eq!(config.listen.talos, ["127.0.0.1:4050".parse().expect("an address")]);
    assert_eq!(config.timings, Timings::default());
    assert_eq!(config.log, Log { level: LogLevel::Info, libraries: LogLevel::Warn });
    assert_eq!(config.rules, Rules::default());
    assert!(config.keys[0].seals, "the only key seals");
}

#[test]
fn a_mistake_is_shown_with_its_place_and_what_to_do() {
    let text = with("", "[rules]\nquorun = 2");
    let line = text.lines().position(|line| line.starts_with("quorun")).expect("it is there") + 1;
    let expected = format!(
        "nightlatch.toml cannot be used\n\n\
         nightlatch.toml:{line}:1: unknown key `quorun`\n   |\n{line} | quorun = 2\n   | ^^^^^^\n   = did you mean `quorum`?"
    );
    assert_eq!(error(&text), expected);
}

#[test]
fn unknown_keys_and_values_name_the_nearest_or_all() {
    assert_refused(&with("nodes = 1", ""), &["unknown key `nodes`", "did you mean `node`?"]);
    assert_refused(&with("STATE_DIRECTORY = \"/\"", ""), &["did you mean `state_directory`?"]);
    assert_refused(&with("frobnicate = 1", ""), &["known here: installation, state_directory, networks"]);
    assert_refused(&with("", "[rules]\nseal = \"aks\""), &["unknown value `aks`", "did you mean `ask`?"]);
    assert_refused(&with(&format!("{} = 1", "k".repeat(100_000)), ""), &["kkk…`", "known here:"]);
    assert_refused(&tls("frobnicate = 1"), &["unknown key `frobnicate`", "known here: certificate, "]);
    for table in ["listen", "rules", "timings", "log"] {
        assert_refused(&with("", &format!("[{table}]\nfrobnicate = 1")), &["unknown key `frobnicate`"]);
    }
    for table in ["cluster", "node", "approver", "channel", "key"] {
        assert_refused(&with("", &format!("[[{table}]]\nfrobnicate = 1")), &["unknown key `frobnicate`"]);
    }
    assert_refused(&node("rules = { frobnicate = 1 }"), &["unknown key `frobnicate`"]);
}

#[test]
fn all_mistakes_are_told_up_to_a_number() {
    assert_refused(
        &with("state_directory = \"state\"", "[timings]\nhold = \"9s\""),
        &["this path is not absolute", "hold is out of range"],
    );
    let many = format!("networks = [{}]", "\"x\",".repeat(50));
    let Err(Error::Invalid(problems)) = parse(&many) else { panic!("accepted") };
    assert_eq!(problems.told().len(), 20);
    assert!(problems.to_string().ends_with("\n\nand 33 more"), "{problems}");
}

#[test]
fn excerpts_cannot_steer_a_terminal() {
    let error = error(&with("state_directory = \"\u{202e}moor\"", ""));
    assert!(error.contains("\u{fffd}moor") && !error.contains('\u{202e}'), "{error}");
    let error = self::error(&with("", "[[approver]]\nname = \"\\u001b[2J\"\nuid = 1"));
    for raw in ["state_directory = \"\u{1b}[2J\"", "\u{1b}[2J = 1", "uuid_policy = \"\\u001b[2J\""] {
        let error = self::error(&with(raw, ""));
        assert!(!error.contains('\u{1b}'), "{error}");
    }
    assert!(error.contains("this name cannot be used") && !error.contains('\u{1b}'), "{error}");
}

#[test]
fn installation_is_required_and_is_no_placeholder() {
    let without = MINIMAL.replace("installation", "#");
    assert_refused(&without, &["nightlatch.toml: installation is missing", "nightlatch credentials init"]);
    let nil = MINIMAL.replace("9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21", "00000000-0000-0000-0000-000000000000");
    assert_refused(&nil, &["this is no UUID of an installation"]);
}

#[test]
fn plaintext_must_be_said() {
    assert_refused(&MINIMAL.replace("tls", "#"), &["tls is missing", "tls = \"off\""]);
    assert_refused(&MINIMAL.replace("\"off\"", "\"on\""), &["tls is neither \"off\" nor a table", "[tls] with"]);
    assert_refused(&MINIMAL.replace("\"off\"", "1"), &["invalid type: integer `1`, expected \"off\" or a table"]);
    assert_eq!(config(MINIMAL).tls, Tls::Off);
}

/// `MINIMAL` with a table [tls] of `keys`.
fn tls(keys: &str) -> String {
    format!("{}\n[tls]\n{keys}", MINIMAL.replace("tls = \"off\"", ""))
}

const CERTIFICATE: &str = "certificate = \"/c.pem\"\nkey_credential = \"tls-key\"\n";

#[test]
fn a_certificate_is_in_files_or_credentials() {
    let name = |name: &str| rustls::pki_types::ServerName::try_from(name.to_owned()).expect("a name");
    let text = format!("{CERTIFICATE}key_passphrase_file = \"/p\"\nnames = [\"kms.example.net\", \"2001:db8::1\"]");
    let expected = Certificate {
        certificate: Place::File("/c.pem".into()),
        key: Place::Credential("tls-key".into()),
        key_passphrase: Some(Place::File("/p".into())),
        names: vec![name("kms.example.net"), name("2001:db8::1")],
    };
    assert_eq!(config(&tls(&text)).tls, Tls::On(expected));
}

#[test]
fn what_tls_lacks_or_has_twice_is_told() {
    let names = "names = [\"kms.example.net\"]";
    assert_refused(&tls(""), &["does not say where the certificate is", "where the key is", "what the nodes call"]);
    assert_refused(&tls(&format!("{CERTIFICATE}key = \"/k\"\n{names}")), &["the key is in a file and in a credential"]);
    assert_refused(&tls(&format!("{CERTIFICATE}key_passphrase_file = \"p\"\n{names}")), &["not absolute"]);
    assert_refused(
        &tls(&format!("{CERTIFICATE}key_passphrase_credential = \"a/b\"\n{names}")),
        &["this is no name of a credential"],
    );
    let named = |names: &str| tls(&format!("{CERTIFICATE}names = [{names}]"));
    assert_refused(&named(""), &["names must have 1 to 16 entries"]);
    assert_refused(&named(&"\"a\",".repeat(17)), &["names must have 1 to 16 entries"]);
    assert_refused(&named("\"a.example\", \"a.example\""), &["twice"]);
    for wrong in ["https://kms.example.net", "kms.example.net:4050", "[2001:db8::1]", "a b", "*.example.net", ""] {
        assert_refused(&named(&format!("\"{wrong}\"")), &["this is no name of a server", "without scheme, port"]);
    }
}

#[test]
fn networks_are_canonical_and_free_of_host_bits() {
    let networks = |list: &str| {
        let text = MINIMAL.replace("\"192.0.2.0/24\", \"2001:db8::/64\"", list);
        config(&text).networks.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(networks("\"::ffff:192.0.2.0/120\", \"::ffff:192.0.2.1\""), ["192.0.2.0/24", "192.0.2.1/32"]);
    assert_eq!(networks("\"2001:db8::1\", \"::/0\""), ["2001:db8::1/128", "::/0"]);
    let text = |network: &str| MINIMAL.replace("192.0.2.0/24", network);
    assert_refused(&text("192.0.2.7/24"), &["`192.0.2.7/24` has host bits set", "write 192.0.2.0/24 for the network"]);
    assert_refused(&text("::ffff:192.0.2.7/120"), &["write 192.0.2.0/24 for the network, or 192.0.2.7 for the one"]);
    assert_refused(&text("192.0.2"), &["neither an address nor a network"]);
}

#[test]
fn networks_that_are_everything_are_told() {
    let networks = |list: &str| MINIMAL.replace("\"192.0.2.0/24\", \"2001:db8::/64\"", list);
    for everything in ["0.0.0.0/0", "::/0"] {
        let expected = format!("nightlatch.toml:3: networks holds {everything}: every address there is may call");
        assert_warned(&networks(&format!("\"192.0.2.0/24\", \"{everything}\"")), &expected);
    }
    assert_warned(&networks("\"::ffff:0.0.0.0/96\""), "networks holds 0.0.0.0/0");
    assert!(!warnings(&networks("\"0.0.0.0/1\", \"::/1\"")).iter().any(|warning| warning.contains("every address")));
}

#[test]
fn empty_lists_admit_nobody_and_say_so() {
    assert_warned(
        &MINIMAL.replace("\"192.0.2.0/24\", \"2001:db8::/64\"", ""),
        "nightlatch.toml:3: no network is allowed",
    );
    assert_warned(&MINIMAL.replace("networks", "#"), "no network is allowed");
    assert_warned(MINIMAL, "there is no [[node]]");
    assert_warned(&with("", CP_1), "nobody can approve `cp-1`");
    assert_warned(&node("rules = { approvers = [] }"), "nobody can approve `cp-1`");
    assert!(warnings(&node("")).is_empty(), "{:?}", warnings(&node("")));
    assert!(warnings(&node("rules = { approvers = [], seal = \"deny\", unseal = \"deny\" }")).is_empty());
}

#[test]
fn exactly_one_key_seals() {
    let second = "[[key]]\nname = \"second\"\nfile = \"/key\"\n";
    assert_refused(&with("", second), &["exactly one key must seal", "add seals = true"]);
    let config = config(&with("", &format!("{second}seals = true\n")));
    assert_eq!(config.keys[1].source, KeySource::File("/key".into()));
    assert_eq!(config.keys.iter().map(|key| key.seals).collect::<Vec<_>>(), [false, true]);
    let both = format!("{MINIMAL}seals = true\n{second}seals = true\n");
    assert_refused(&both, &["exactly one key must seal", "in one [[key]] only"]);
    assert_refused(&format!("{MINIMAL}seals = false"), &["exactly one key must seal"]);
    let none = MINIMAL.split("[[key]]").next().expect("the top");
    assert_refused(none, &["there is no [[key]]", "nightlatch keygen"]);
}

#[test]
fn a_key_is_in_one_place() {
    assert_refused(&format!("{MINIMAL}file = \"/key\""), &["both credential and file"]);
    assert_refused(&MINIMAL.replace("credential", "#"), &["does not say where the key is"]);
    assert_refused(&MINIMAL.replace("nightlatch-key", "../key"), &["this is no name of a credential"]);
    assert_refused(&MINIMAL.replace("credential = \"nightlatch-key\"", "file = \"key\""), &["not absolute"]);
    assert_refused(&format!("{MINIMAL}source = \"transit\""), &["the key source `transit` is not built yet"]);
}

const PASSPHRASE: &str = r#"
[[key]]
name = "typed"
seals = false
source = "passphrase"
salt = "000102030405060708090a0B0C0D0E0F"
key_id = "0011223344556677"
"#;

fn passphrase(lines: &str) -> String {
    with("", &format!("seals = true\n{PASSPHRASE}{lines}"))
}

#[test]
fn a_passphrase_says_where_it_comes_from_and_how_it_is_stretched() {
    let source = |lines: &str| match config(&passphrase(lines)).keys.remove(1).source {
        KeySource::Passphrase(source) => source,
        other => panic!("{other:?}"),
    };
    let plain = source("credential = \"pass\"");
    assert_eq!(plain.salt, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    assert_eq!(plain.key_id, [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77]);
    assert_eq!((plain.memory, plain.passes, plain.lanes), (65_536, 3, 1));
    assert_eq!(plain.origin, PassphraseOrigin::Credential("pass".into()));
    assert_eq!(source("ask = \"no\"\ncredential = \"pass\"").origin, plain.origin);
    assert_eq!(source("file = \"/pass\"").origin, PassphraseOrigin::File("/pass".into()));
    assert_eq!(source("ask = \"terminal\"").origin, PassphraseOrigin::Terminal);
    let asked = source("ask = \"systemd\"\ncredential = \"pass\"");
    assert_eq!(asked.origin, PassphraseOrigin::AskedBySystemd("pass".into()));
    for (written, memory) in [("8KiB", 8), ("64MiB", 65_536), ("256 MiB", 262_144), ("1GiB", 1_048_576)] {
        assert_eq!(source(&format!("file = \"/p\"\nmemory = \"{written}\"\npasses = 16")).memory, memory);
    }
    assert!(warnings(&passphrase("file = \"/p\"\nmemory = \"18MiB\"")).iter().any(|text| text.contains("19MiB")));
}

#[test]
fn a_passphrase_without_its_settings_is_refused() {
    let file = "file = \"/p\"\n";
    for (lines, text) in [
        (String::new(), "does not say where the key is"),
        ("ask = \"systemd\"".into(), "does not say where the key is"),
        (format!("{file}ask = \"systemd\""), "is in no file"),
        (format!("{file}ask = \"terminal\""), "in no credential and in no file"),
        (format!("{file}ask = \"phone\""), "no way to ask"),
        (format!("{file}memory = \"64\""), "no amount of memory"),
        (format!("{file}memory = \"7KiB\""), "no amount of memory"),
        (format!("{file}memory = \"31KiB\"\nlanes = 4"), "no amount of memory"),
        (format!("{file}memory = \"1025MiB\""), "no amount of memory"),
        (format!("{file}memory = \"4294967295GiB\""), "no amount of memory"),
        (format!("{file}memory = \"-1MiB\""), "no amount of memory"),
        (format!("{file}passes = 0"), "passes is out of range"),
        (format!("{file}passes = 17"), "passes is out of range"),
        (format!("{file}lanes = -1"), "lanes is out of range"),
        (format!("{file}lanes = 257"), "lanes is out of range"),
    ] {
        assert_refused(&passphrase(&lines), &[text]);
    }
    let full = passphrase(file);
    assert_refused(&full.replace("salt", "#"), &["this passphrase has no salt"]);
    assert_refused(&full.replace("key_id", "#"), &["this passphrase has no key_id"]);
    assert_refused(&full.replace("0B0C", "0B0"), &["salt has 32 hexadecimal digits"]);
    assert_refused(&full.replace("6677", "66+7"), &["key_id has 16 hexadecimal digits"]);
    for line in
        ["salt = \"00\"", "key_id = \"00\"", "memory = \"1GiB\"", "passes = 3", "lanes = 1", "ask = \"terminal\""]
    {
        assert_refused(&format!("{MINIMAL}{line}"), &["belongs to a key that is a passphrase"]);
    }
}

#[test]
fn nobody_is_asked_for_a_passphrase_after_an_idle_exit() {
    for (lines, refused) in [
        ("ask = \"terminal\"", true),
        ("ask = \"systemd\"\ncredential = \"pass\"", true),
        ("credential = \"pass\"", false),
        ("file = \"/pass\"", false),
    ] {
        let stays = passphrase(lines);
        config(&stays);
        let ends = format!("exit_after_idle = \"10m\"\n{stays}");
        if refused {
            assert_refused(&ends, &["would be asked for at each start"]);
        } else {
            config(&ends);
        }
    }
}

#[test]
fn names_are_readable_and_unique() {
    assert_refused(&node(CP_1), &["a second [[node]] is called `cp-1`"]);
    assert_refused(&with("", "[[cluster]]\nname = \"a\"\n[[cluster]]\nname = \"a\""), &["a second [[cluster]]"]);
    assert_refused(&with("", "[[cluster]]\nname = \" a\""), &["this name cannot be used"]);
    assert_refused(&with("", "[[cluster]]"), &["this [[cluster]] has no name"]);
    assert_refused(&with("", "[[channel]]\nname = \"CLI\"\npeople = \"uid\""), &["small letters"]);
    let alice = "[[approver]]\nname = \"alice\"\nuid = 1";
    assert_refused(&with("", &format!("{alice}\n{alice}1")), &["a second [[approver]] is called `alice`"]);
}

#[test]
fn names_are_no_match_codes() {
    for name in ["K7Q2", "k7q2", "r1n1"] {
        let refused = [&*format!("`{name}` looks like the match code of an ask"), "make it longer"];
        assert_refused(&node("").replace("cp-1", name), &refused);
        assert_refused(&with("", &format!("[[cluster]]\nname = \"{name}\"")), &refused);
        assert!(parse(&with("", &format!("[[approver]]\nname = \"{name}\"\nuid = 1"))).is_ok());
    }
    for name in ["K7Q", "K7Q22", "7K2Q", "KQ72", "k7-2", "k7q\u{665}"] {
        assert!(parse(&node("").replace("cp-1", name)).is_ok(), "{name}");
    }
}

#[test]
fn one_machine_is_one_node() {
    let other = "[[node]]\nname = \"cp-2\"\n";
    for spelling in ["4C4C4544-0042-3510-8051-B4C04F4E3632", "4c4c4544004235108051b4c04f4e3632"] {
        assert_refused(&node(&format!("{other}uuid = \"{spelling}\"")), &["is listed twice (before as `4c4c4544-"]);
        assert_refused(&node(&format!("{other}uuid = \"x\"\nformerly = [\"{spelling}\"]")), &["is listed twice"]);
        assert_refused(&node(&format!("formerly = [\"{spelling}\"]")), &["is listed twice"]);
    }
    assert_refused(
        &node("[[node]]\nname = \"4c4c4544004235108051b4c04f4e3632\"\nuuid = \"x\""),
        &["also the UUID of a node"],
    );
    assert_refused(&node(other), &["this [[node]] has no uuid", "talosctl"]);
    assert_refused(&node(&format!("{other}uuid = \"a b\"")), &["this is no node UUID"]);
}

#[test]
fn identifiers_that_are_odd_are_told() {
    let odd = |uuid: &str| node("").replace("4c4c4544-0042-3510-8051-b4c04f4e3632", uuid);
    assert_warned(&odd("03000200-0400-0500-0006-000700080009"), "on many machines");
    assert_warned(&odd("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"), "on many machines");
    assert_warned(&odd("4c4c4544-0042-3510-8051-b4c04f4e363"), "is not a UUID");
    let strict = |top: &str| with(top, &format!("{PEOPLE}{CP_1}"));
    assert_refused(&strict("uuid_policy = \"v4\""), &["refuses this UUID", "loosen uuid_policy"]);
    assert!(parse(&strict("uuid_policy = \"rfc4122\"\nuuid_entropy_check = true")).is_ok());
}

#[test]
fn node_addresses_are_canonical_and_can_call() {
    let config = config(&node("addresses = [\"::ffff:192.0.2.11\", \"2001:db8::/64\", \"192.0.2.0/25\"]"));
    let addresses: Vec<_> = config.nodes[0].addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["192.0.2.11/32", "2001:db8::/64", "192.0.2.0/25"]);
    assert_refused(&node("addresses = [\"198.51.100.1\"]"), &["no call from 198.51.100.1/32 is admitted"]);
    assert_refused(&node("addresses = [\"192.0.2.11/24\"]"), &["host bits set", "or 192.0.2.11 for the one address"]);
}

#[test]
fn shared_addresses_are_told_once() {
    let nodes = |one: &str, two: &str| {
        node(&format!(
            "addresses = [{one}]\n[[node]]\nuuid = \"9f8b7c3e-2f4d-4a1b-8c6e-5d0f9a7b3c21\"\nname = \"w-2\"\naddresses = [{two}]"
        ))
    };
    let told = warnings(&nodes("\"192.0.2.11\"", "\"192.0.2.0/24\""));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("`w-2` and `cp-1` both list 192.0.2.11/32"), "{told:?}");
    assert!(warnings(&nodes("\"192.0.2.11\", \"192.0.2.0/28\"", "\"192.0.2.16\"")).is_empty());
}

#[test]
fn rules_name_what_there_is() {
    assert_refused(
        &node("rules = { approvers = [\"alise\"] }"),
        &["there is no approver `alise`", "did you mean `alice`?"],
    );
    assert_refused(&node("cluster = \"home\""), &["there is no cluster `home`", "there is no [[cluster]] yet"]);
    let config = config(&node("cluster = \"home\"\n[[cluster]]\nname = \"home\"\nrules = { seal = \"granted\" }"));
    assert_eq!(config.nodes[0].cluster.as_deref(), Some("home"));
    assert_eq!(config.clusters[0].rules.seal, Some(Action::Granted));
}

#[test]
fn votes_that_are_asked_for_can_come() {
    let rules = |rules: &str| node(&format!("rules = {{ {rules} }}"));
    assert_refused(&rules("quorum = 0"), &["quorum must be at least 1"]);
    assert_refused(&rules("quorum = -1"), &["quorum must be at least 1"]);
    assert_refused(&rules("from_channels = 0"), &["from_channels must be at least 1"]);
    assert_refused(&rules("quorum = 3"), &["quorum 3 can never be reached: 2 of these approvers can vote"]);
    assert_refused(&rules("from_channels = 3"), &["from_channels 3 can never be reached: these approvers can use 2"]);
    assert_refused(&rules("from_channels = 2, approvers = [\"bob\"]"), &["these approvers can use 1"]);
    assert_refused(&rules("approvers = [\"alice\", \"alice\"], quorum = 2"), &["quorum 2 can never be reached"]);
    assert!(parse(&rules("quorum = 2, from_channels = 2")).is_ok());
}

#[test]
fn channels_that_count_as_two_are_apart() {
    let second_bot = |uid| node(&format!("[[channel]]\nname = \"bot-2\"\npeople = \"telegram\"\nuid = {uid}"));
    assert_refused(&second_bot(990), &["uid 990 is that of the channel `telegram` as well", "a user of its own"]);
    assert!(parse(&second_bot(991)).is_ok());
    let second_uid = |rules: &str| {
        let channels = "[[channel]]\nname = \"cli-2\"\npeople = \"uid\"";
        node(&format!("rules = {{ {rules} }}\n{channels}"))
    };
    assert!(parse(&second_uid("quorum = 2")).is_ok());
    assert_refused(&second_uid("from_channels = 3"), &["these approvers can use 2", "count as one"]);
    assert_refused(&second_uid("from_channels = 2"), &["needs channels that are apart", "keep one [[channel]]"]);
}

#[test]
fn votes_are_checked_over_all_layers() {
    let inherited = with("", &format!("{PEOPLE}[rules]\nquorum = 2\n{CP_1}rules = {{ approvers = [\"bob\"] }}"));
    assert_refused(&inherited, &["quorum 2 can never be reached: 1 of", "rules = { approvers = [\"bob\"] }"]);
    assert_refused(&with("", "[rules]\nquorum = 1"), &["0 of these approvers can vote"]);
    let unreachable = PEOPLE
        .replace("\ntelegram_id = 222", "\nuid = 1001")
        .replace("\"cli\"\npeople = \"uid\"", "\"x\"\npeople = \"telegram\"\nuid = 991");
    assert_warned(&with("", &unreachable), "approver `bob` cannot vote");
    let unused = PEOPLE.replace("telegram_id = 111\n", "").replace("telegram_id = 222", "uid = 1001");
    assert_warned(&with("", &unused), "through the channel `telegram`: no [[approver]] has a telegram_id");
    assert_refused(&with("", &format!("{unreachable}[rules]\nquorum = 2")), &["1 of these approvers can vote"]);
}

#[test]
fn releasing_without_asking_is_told() {
    assert_warned(&node("rules = { unseal = \"allow\" }"), "releases disk keys and asks nobody");
    assert_warned(&node("rules = { other_address = \"ask\" }"), "other_address does nothing");
    for key in ["seal", "unseal"] {
        let expected = format!("{key} = \"granted\" asks nobody: ");
        assert_warned(&node(&format!("rules = {{ {key} = \"granted\" }}")), &expected);
        assert_warned(&with("", &format!("[rules]\n{key} = \"granted\"")), &expected);
    }
}

#[test]
fn people_are_known_by_ids_of_their_own() {
    let approver = |rest: &str| with("", &format!("{PEOPLE}[[approver]]\nname = \"carol\"\n{rest}"));
    assert_refused(&approver(""), &["nobody could tell that this approver is speaking"]);
    assert_refused(&approver("uid = 65534"), &["user id 65534 may be anybody"]);
    assert_refused(&approver("uid = -1"), &["this is no user id"]);
    assert_refused(&approver("uid = 4294967295"), &["this is no user id"]);
    assert_refused(&approver("uid = 1000"), &["this uid is listed twice"]);
    assert_refused(&approver("telegram_id = 222"), &["this telegram_id is listed twice"]);
    assert_refused(&approver("telegram_id = -100"), &["negative ones are groups"]);
    assert_refused(&approver("uid = 990"), &["uid 990 is that of the approver `carol`"]);
}

#[test]
fn channels_say_who_speaks() {
    let channel = |rest: &str| with("", &format!("[[channel]]\nname = \"x\"\n{rest}"));
    assert_refused(&channel(""), &["does not say who speaks through it"]);
    assert_refused(&channel("people = \"uid\"\nuid = 1"), &["has no uid of its own"]);
    assert_refused(&channel("people = \"telegram\""), &["needs a uid"]);
    assert_refused(&channel("people = \"telegram\"\nuid = 65534"), &["may be anybody"]);
    assert_refused(&channel("people = \"uid\"\nsocket = \"cli.sock\""), &["not absolute"]);
    assert_refused(&channel(&format!("people = \"uid\"\nsocket = \"/{}\"", "x".repeat(107))), &["too long"]);
    let config = config(&channel("people = \"telegram\"\nuid = 990\nsocket = \"/run/x.sock\""));
    assert_eq!(config.channels[0].people, People::Telegram { uid: 990 });
    assert_eq!(config.channels[0].descriptor_name(), "approval-x");
}

#[test]
fn timings_have_ranges() {
    let timings = |text: &str| with("", &format!("[timings]\n{text}"));
    for (good, bad) in [
        ("hold = \"8s\"\nrelease_margin = \"1s\"", "hold = \"8001ms\""),
        ("hold = \"0s\"", "release_margin = \"0s\""),
        ("lease = \"40s\"", "lease = \"39s\""),
        ("lease_max = \"24h\"", "lease_max = \"25h\""),
        ("uses = 1", "uses = 0"),
        ("uses = 1024", "uses = 1025"),
        ("deny_for = \"30days\"", "deny_for = \"59s\""),
        ("block_for = \"365days\"", "block_for = \"366days\""),
        ("poll_for = \"0s\"", "poll_for = \"61m\""),
        ("ask_ttl = \"1m\"", "ask_ttl = \"59s\""),
        ("seal_grant_for = \"30days\"", "seal_grant_for = \"31days\""),
        ("seal_grant_uses = 1", "seal_grant_uses = -1"),
    ] {
        assert!(parse(&timings(good)).is_ok(), "{good}");
        assert_refused(&timings(bad), &["is out of range", "the default is"]);
    }
    assert_refused(&timings("hold = 5"), &["a duration is text with a unit"]);
    assert_refused(&timings("hold = \"5 parsecs\""), &["a duration is text with a unit"]);
    assert_refused(&timings("lease = \"2h\""), &["lease is longer than lease_max", " | lease = "]);
    assert_refused(&timings("lease_max = \"1m\""), &["lease is longer than lease_max", " | lease_max = "]);
    assert_refused(
        &timings("seal_grant_for = \"4m\""),
        &["lease is longer than seal_grant_for", " | seal_grant_for = "],
    );
    assert!(parse(&timings("lease = \"1h\"\nseal_grant_for = \"1h\"")).is_ok());
    assert_warned(&timings("hold = \"6s\""), "exceed the 10s of a node");
    assert_eq!(config(&timings("lease = \"90s\"")).timings.lease, Duration::from_secs(90));
}

#[test]
fn lists_are_bounded() {
    let many = |table: &str, count: usize, row: &dyn Fn(usize) -> String| {
        with("", &(0..count).map(|i| format!("[[{table}]]\nname = \"n{i}\"\n{}\n", row(i))).collect::<String>())
    };
    let node = |i: usize| format!("uuid = \"u{i}\"");
    assert!(parse(&many("node", 4096, &node)).is_ok());
    assert_refused(&many("node", 4097, &node), &["more than 4096 nodes"]);
    assert_refused(&many("approver", 257, &|i| format!("uid = {i}")), &["more than 256 approvers"]);
    assert_refused(&many("channel", 17, &|_| "people = \"uid\"".into()), &["more than 16 channels"]);
    assert!(matches!(parse(&"#".repeat(MAX_FILE_LEN + 1)), Err(Error::TooLarge(_))));
}

#[test]
fn files_are_read_with_care() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("nightlatch.toml");
    assert!(matches!(Config::load(&path), Err(Error::Read { .. })));
    fs::write(&path, MINIMAL).expect("written");
    assert!(Config::load(&path).is_ok());
    fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("its mode is changed");
    assert!(matches!(Config::load(&path), Err(Error::WritableByAnyone(_))));
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("its mode is changed");
    fs::write(&path, b"\xff").expect("written");
    assert!(matches!(Config::load(&path), Err(Error::NotText(_))));
    fs::write(&path, "#".repeat(MAX_FILE_LEN + 1)).expect("written");
    assert!(matches!(Config::load(&path), Err(Error::TooLarge(_))));
    assert!(matches!(Config::load(directory.path()), Err(Error::NotAFile(_))));
    let pipe = directory.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    assert!(matches!(Config::load(&pipe), Err(Error::NotAFile(_))), "nobody writes into it: this must not wait");
}

#[test]
fn the_quiet_time_before_the_end_has_its_range() {
    assert_eq!(config(MINIMAL).exit_after_idle, None);
    for (written, seconds) in [("1m", 60), ("10m", 600), ("24h", 86_400)] {
        let text = with(&format!("exit_after_idle = \"{written}\""), "");
        assert_eq!(config(&text).exit_after_idle, Some(Duration::from_secs(seconds)));
    }
    for wrong in ["59s", "25h"] {
        let text = with(&format!("exit_after_idle = \"{wrong}\""), "");
        assert_refused(&text, &["exit_after_idle is out of range", "write 1m to 24h"]);
    }
}

const MANUAL: &str = include_str!("../../systemd/nightlatch.toml");

/// The manual with every commented key in force, and [tls] in place of none.
fn manual_in_full() -> String {
    let key = |line: &str| {
        line.split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|b| b == b'_' || b.is_ascii_lowercase()))
    };
    let lines = MANUAL.lines().filter(|line| *line != "tls = \"off\"").map(|line| match line.strip_prefix('#') {
        Some(commented) if key(commented) || commented.starts_with('[') => commented,
        _ => line,
    });
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_manual_is_a_configuration_that_shows_the_defaults() {
    let short = config(MANUAL);
    assert_eq!(short.timings, Timings::default());
    let full = config(&manual_in_full());
    assert_eq!(full.timings, Timings::default());
    assert_eq!(full.log, Log::default());
    assert_eq!(full.listen, Listen::default());
    assert_eq!(full.uuid_policy, UuidPolicy::default());
    assert_eq!(full.state_directory, PathBuf::from(DEFAULT_STATE_DIRECTORY));
    let rules = full.rules;
    assert_eq!((rules.seal, rules.unseal), (Some(Action::Ask), Some(Action::Ask)));
    assert_eq!((rules.other_address, rules.quorum, rules.from_channels), (Some(OtherAddress::Deny), Some(1), Some(1)));
    assert!(warnings(&manual_in_full()).is_empty(), "{:?}", warnings(&manual_in_full()));
}

#[test]
fn the_manual_mentions_every_key() {
    let mut mentioned: BTreeSet<(String, String)> = BTreeSet::new();
    let mut table = String::new();
    for line in manual_in_full().lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.split_once(" = ") {
            // Explained instead of shown: another way to say what the line above says.
            let key = key.strip_prefix("# ").unwrap_or(key);
            mentioned.insert((table.clone(), key.to_owned()));
        }
    }
    let tables = [
        "",
        "tls",
        "listen",
        "[key]",
        "rules",
        "[cluster]",
        "[node]",
        "enrolment",
        "[approver]",
        "[channel]",
        "timings",
        "log",
    ];
    for table in tables {
        let header = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
        let Err(error) = toml::from_str::<file::File>(&format!("{header}zzzzzzzzzzzzzzzz = 1")) else {
            panic!("an unknown key in [{table}] was accepted")
        };
        for key in error.message().split('`').skip(3).step_by(2) {
            let is_table = tables.iter().any(|table| table.trim_matches(['[', ']']) == key);
            let name = table.trim_matches(['[', ']']).to_owned();
            let found = mentioned.contains(&(name.clone(), key.to_owned())) || (name.is_empty() && is_table);
            assert!(found, "the manual does not mention `{key}` in [{table}]");
        }
    }
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
                "[[node]]", "[[key]]", "[tls]", "names", "[rules]", "[[approver]]", "[[channel]]", "[timings]", "\n", "=", "\"", "name",
                "uuid", "rules", "{", "}", "[", "]", "approvers", "quorum", "9", "-1", "hold", "\"5s\"", "\"::/0\"",
                "addresses", "uid", "\u{1f512}", ",", "'", "people", "\"telegram\"", "installation", "\"192.0.2.1/24\"",
            ]),
            0..60,
        )
    ) {
        let _ = parse(&words.join(" "));
        let _ = parse(&with("", &words.join(" ")));
    }

    #[test]
    fn every_cut_of_the_manual_is_survived(end in 0..MANUAL.len()) {
        let _ = parse(MANUAL.get(..end).unwrap_or_default());
    }
}
