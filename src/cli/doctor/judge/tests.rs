use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::audit::tail::Told;
use crate::cli::doctor::facts::{
    Accounts, Address, AuditEnd, BOT, BotCheck, Certificate, Complaint, Contents, Entry, File, Key, Keys, Kind,
    NoRecord, Opened, PASSPHRASE, Recorded, Room, SERVER, State, TALOS,
};
use crate::cli::doctor::finding::{Check, Unseen, Verdict};
use crate::cli::doctor::unit::{Credential, Unit};
use crate::clock::WallTime;
use crate::config::Config;
use crate::key::KeyId;
use crate::peer::standing::{Lock, LockedBy};

const NOW: WallTime = WallTime::from_unix_millis(1_795_642_400_000);
const DAY: i64 = 86_400_000;
const MANUAL: &str = include_str!("../../../../systemd/nightlatch.toml");
const TELEGRAM: &str = "\n[[channel]]\nname = \"telegram\"\npeople = \"telegram\"\nuid = 993\n";
const CLI: &str = "nightlatch-cli.socket";

const fn saved(saved: Option<u64>) -> Told {
    Told { saved, no_since: false }
}

fn days_ago(days: i64) -> WallTime {
    WallTime::from_unix_millis(NOW.unix_millis() - days * DAY)
}

fn entry(kind: Kind, mode: u32, uid: u32) -> Entry {
    Entry::There(File { kind, mode, uid, gid: 0, changed: days_ago(3) })
}

fn unit(id: &str, properties: &[(&str, &str)]) -> Unit {
    let unit = Unit::default().with("Id", id).with("LoadState", "loaded").with("Result", "success");
    properties.iter().fold(unit, |unit, (name, value)| unit.with(name, value))
}

fn socket(id: &str, listens: &str, descriptor: &str) -> Unit {
    let listens = format!("{listens} (Stream)");
    let state = [("ActiveState", "active"), ("SubState", "listening"), ("UnitFileState", "enabled")];
    unit(id, &state).with("Listen", &listens).with("FileDescriptorName", descriptor)
}

/// The manual, with somebody who answers through both channels.
fn manual() -> String {
    MANUAL.replace("\nuid = 1000\n", "\nuid = 1000\ntelegram_id = 7\n")
}

/// A host on which everything is as it should be, with a server that runs and a bot.
fn healthy() -> Host {
    let text = manual() + TELEGRAM;
    let mut server = unit(SERVER, &[("ActiveState", "active"), ("SubState", "running"), ("User", "nightlatch")])
        .with("StatusText", "1 node: nobody waits for an answer")
        .with("MainPID", "158")
        .with("ExecMainStartTimestamp", &format!("@{}", days_ago(1).unix_millis() / 1000))
        .with(
            "ExecStart",
            "{ path=/usr/bin/nightlatch ; argv[]=nightlatch serve --config=/etc/nightlatch/nightlatch.toml }",
        )
        .with("LimitMEMLOCK", "infinity");
    let credential = Credential {
        name: "nightlatch-key".into(),
        path: "/etc/credstore.encrypted/nightlatch-key".into(),
        encrypted: true,
    };
    server.credentials = vec![credential.clone()];
    let bot = unit(BOT, &[("ActiveState", "active"), ("UnitFileState", "enabled"), ("User", "nightlatch-bot")])
        .with("StatusText", "0 questions are open");
    let cli = socket(CLI, "/run/nightlatch/cli.sock", "approval-cli")
        .with("SocketUser", "root")
        .with("SocketGroup", "nightlatch-approvers")
        .with("SocketMode", "0660");
    let telegram = socket("nightlatch-telegram.socket", "/run/nightlatch/telegram.sock", "approval-telegram")
        .with("SocketUser", "nightlatch-bot")
        .with("SocketMode", "0600");
    let id = KeyId::from_bytes([7; 8]);
    Host {
        now: NOW,
        path: "/etc/nightlatch/nightlatch.toml".into(),
        configuration: Ok(Config::parse(&text, "nightlatch.toml").expect("it can be used")),
        configuration_file: entry(Kind::File, 0o644, 0),
        units: Ok(vec![server, bot, socket(TALOS, "[::]:4050", "talos"), cli, telegram]),
        programs: [SERVER, BOT].map(|id| (id.to_owned(), Ok(true))).into(),
        sockets: BTreeMap::from([
            ("/run/nightlatch/cli.sock".into(), entry(Kind::Socket, 0o660, 0)),
            ("/run/nightlatch/telegram.sock".into(), entry(Kind::Socket, 0o600, 993)),
        ]),
        ports: Ok(vec![22, 4050]),
        unfiltered: Ok(false),
        accounts: Ok(Accounts {
            users: [(0, "root", 0), (994, "nightlatch", 994), (993, "nightlatch-bot", 993), (1000, "alice", 1000)]
                .map(|(uid, name, gid)| (uid, (name.to_owned(), gid)))
                .into(),
            groups: [("nightlatch-approvers".to_owned(), (995, vec!["alice".to_owned()]))].into(),
        }),
        credentials: vec![Opened {
            unit: SERVER,
            credential,
            file: entry(Kind::File, 0o600, 0),
            opens: Some(Ok(Ok(Contents { length: 32, key: Some(id) }))),
        }],
        keys: Some(Keys {
            keys: vec![Key { name: "first".into(), id: Ok(id), golden_blob: Some(Ok(())) }],
            record: Ok(vec![Recorded { id, name: "first".into(), verified_at: Some(days_ago(10)) }]),
        }),
        clock_synchronised: Ok(true),
        built: Some(days_ago(30)),
        state: Some(State {
            path: "/var/lib/nightlatch".into(),
            directory: entry(Kind::Directory, 0o700, 994),
            state: Ok((4, None)),
            audit: Some(Ok(AuditEnd { last: 9, at: Some(days_ago(1)), torn: 0, damaged: 0, told: saved(Some(4)) })),
            holder: Some(158),
            room: Ok(Room { bytes: 1 << 30, files: Some(10_000), read_only: false }),
        }),
        certificate: Some(Ok(Certificate {
            findings: vec![("dates".into(), "40 days left".into(), None)],
            days_left: 40,
        })),
        names: BTreeMap::from([("kms.example.net".into(), Ok(vec![address(true)]))]),
        bot: Ok(BotCheck { warnings: vec![], error: None }),
        swaps: Ok(true),
    }
}

fn address(is_ours: bool) -> Address {
    Address { address: [192, 0, 2, 5].into(), is_ours }
}

impl Host {
    fn set(&mut self, id: &str, name: &str, value: &str) {
        let units = self.units.as_mut().expect("there are units");
        let unit = units.iter_mut().find(|unit| unit.id() == id).expect("there is such a unit");
        *unit = unit.clone().with(name, value);
    }

    fn state(&mut self) -> &mut State {
        self.state.as_mut().expect("there is one")
    }

    fn configured(&mut self, text: &str) {
        self.configuration = Ok(Config::parse(text, "nightlatch.toml").expect("it can be used"));
    }
}

/// What becomes of a healthy host after `change`: all that is not fine, which must be this one finding.
#[track_caller]
fn assert_found(change: impl FnOnce(&mut Host), check: Check, verdict: Verdict, found: &str, hint: &str) {
    let mut host = healthy();
    change(&mut host);
    let findings: Vec<Finding> = judge(&host).into_iter().filter(|finding| finding.verdict != Verdict::Ok).collect();
    let [finding] = &*findings else { panic!("not one finding: {findings:#?}") };
    assert_eq!((finding.check, finding.verdict), (check, verdict), "{finding:?}");
    assert!(finding.found.contains(found), "{finding:?}");
    assert!(finding.hint.as_deref().unwrap_or_default().contains(hint), "{finding:?}");
}

use Verdict::{NotLookedAt, Warning, Wrong};

fn complaint(error: &str) -> Complaint {
    Complaint { error: error.into(), hint: "do that".into(), unseen: None }
}

#[test]
fn a_healthy_host_has_nothing_but_fine_findings() {
    let findings = judge(&healthy());
    let other: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict != Verdict::Ok).collect();
    assert!(other.is_empty(), "{other:#?}");
    assert!(findings.len() > 20, "{findings:#?}");
}

#[test]
fn a_configuration_that_cannot_be_used_or_may_not_be_meant() {
    let mut host = healthy();
    host.configuration = Err("nightlatch.toml cannot be used\n\nnightlatch.toml:3:1: no".into());
    (host.state, host.keys, host.certificate) = (None, None, None);
    let findings = judge(&host);
    let wrong: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict == Wrong).collect();
    assert!(matches!(&*wrong, [only] if only.found == "nightlatch.toml:3:1: no"), "{wrong:#?}");
    let warned = |host: &mut Host| host.configured(&(manual().replace("[\"192.0.2.0/24\"]", "[]") + TELEGRAM));
    assert_found(warned, Check::Configuration, Warning, "nightlatch.toml:", "nightlatch check");
}

#[test]
fn a_configuration_that_the_server_does_not_use() {
    let refused = |host: &mut Host| {
        let status =
            "1 node: nobody waits for an answer; THE CHANGED CONFIGURATION IS NOT IN FORCE: restart to change `key`";
        host.set(SERVER, "StatusText", status);
    };
    assert_found(refused, Check::InForce, Wrong, "restart to change `key`", "systemctl restart nightlatch");
    let started = format!("@{}", days_ago(5).unix_millis() / 1000);
    assert_found(
        |host| host.set(SERVER, "ExecMainStartTimestamp", &started),
        Check::InForce,
        Warning,
        "the server read it at",
        "systemctl reload",
    );
    let mut reloaded = healthy();
    reloaded.set(SERVER, "ExecMainStartTimestamp", &started);
    reloaded.set(SERVER, "ExecReload", &format!("{{ start_time=[@{}] }}", days_ago(1).unix_millis() / 1000));
    assert!(judge(&reloaded).iter().all(|finding| finding.verdict == Verdict::Ok), "it was reloaded since");
}

#[test]
fn a_server_that_does_not_run() {
    let failed = |host: &mut Host| {
        for (name, value) in [("ActiveState", "failed"), ("Result", "exit-code"), ("ExecMainStatus", "78")] {
            host.set(SERVER, name, value);
        }
        host.state().holder = None;
    };
    assert_found(failed, Check::Server, Wrong, "it has failed: exit code 78", "journalctl");
    let credentials = |host: &mut Host| {
        for (name, value) in [("ActiveState", "activating"), ("SubState", "auto-restart"), ("ExecMainStatus", "243")] {
            host.set(SERVER, name, value);
        }
        host.set(SERVER, "Result", "exit-code");
        host.units.as_mut().expect("units")[0].last_error = Some("it does not open".into());
        host.state().holder = None;
    };
    assert_found(credentials, Check::Server, Wrong, "again and again: it does not open", "a credential did not open");
    let asleep = |host: &mut Host| {
        host.set(SERVER, "ActiveState", "inactive");
        host.state().holder = None;
    };
    let mut host = healthy();
    asleep(&mut host);
    assert!(judge(&host).iter().all(|finding| finding.verdict == Verdict::Ok), "its socket starts it");
    host.set(TALOS, "ActiveState", "inactive");
    let wrong = judge(&host).into_iter().filter(|finding| finding.verdict == Wrong).collect::<Vec<_>>();
    assert!(wrong[0].found.contains("no socket is there to start it"), "{wrong:#?}");
    assert_found(|host| host.set(SERVER, "LoadState", "masked"), Check::Server, Wrong, "masked", "systemctl unmask");
}

#[test]
fn a_server_that_runs_and_should_be_looked_at() {
    assert_found(|host| host.set(SERVER, "NRestarts", "3"), Check::Server, Warning, "3 times", "journalctl");
    let panicked = "1 node: nobody waits for an answer; 2 internal errors: see the journal";
    assert_found(
        |host| host.set(SERVER, "StatusText", panicked),
        Check::Server,
        Warning,
        "2 internal errors",
        "journalctl",
    );
    let old = |host: &mut Host| drop(host.programs.insert(SERVER.into(), Ok(false)));
    assert_found(old, Check::Program, Warning, "an older program", "systemctl restart nightlatch.service");
    let changed = |host: &mut Host| host.set(SERVER, "NeedDaemonReload", "yes");
    assert_found(changed, Check::Server, Warning, "its file changed", "daemon-reload");
    let mut host = healthy();
    host.set(SERVER, "DropInPaths", "/etc/a.conf");
    assert!(judge(&host).iter().any(|finding| finding.found.contains("changed by /etc/a.conf")));
}

#[test]
fn a_passphrase_that_nobody_would_be_asked_for() {
    let typed = |host: &mut Host, helper: &str| {
        let key = "source = \"passphrase\"\nask = \"systemd\"\nsalt = \"000102030405060708090a0b0c0d0e0f\"\n\
                   key_id = \"0011223344556677\"\ncredential = \"nightlatch-key\"";
        host.configured(&(manual().replace("\ncredential = \"nightlatch-key\"", &format!("\n{key}")) + TELEGRAM));
        let state = [("ActiveState", helper), ("UnitFileState", "enabled")];
        host.units.as_mut().expect("units").push(unit(PASSPHRASE, &state));
    };
    assert_found(
        |host| typed(host, "inactive"),
        Check::PassphraseHelper,
        Wrong,
        "without a passphrase",
        "systemctl enable",
    );
    let no_drop_in = |host: &mut Host| {
        typed(host, "active");
        host.units.as_mut().expect("units")[0].credentials.clear();
    };
    assert_found(no_drop_in, Check::Credential, Wrong, "does not hand it over", "nightlatch-passphrase.conf");
    let asleep = |host: &mut Host| {
        typed(host, "active");
        host.set(SERVER, "ActiveState", "inactive");
        host.state().holder = None;
    };
    assert_found(asleep, Check::Server, Wrong, "has to type its passphrase", "systemd-tty-ask-password-agent");
    let starting = |host: &mut Host| {
        typed(host, "active");
        host.set(SERVER, "ActiveState", "activating");
    };
    assert_found(starting, Check::Server, Warning, "it is starting", "systemd-tty-ask-password-agent");
}

#[test]
fn credentials_that_would_not_be_there_in_the_night() {
    let opened = |opens| move |host: &mut Host| host.credentials[0].opens = Some(opens);
    let gone = |host: &mut Host| {
        host.credentials[0].file = Entry::Missing;
        host.credentials[0].opens = None;
    };
    assert_found(gone, Check::Credential, Wrong, "is not there", "systemd-creds encrypt --name=nightlatch-key");
    let socket = |host: &mut Host| {
        gone(host);
        host.credentials[0].credential.path = "/run/nightlatch/passphrase.sock".into();
        host.credentials[0].credential.encrypted = false;
    };
    assert_found(
        socket,
        Check::Credential,
        Wrong,
        "is not there",
        "systemctl enable --now nightlatch-passphrase.socket",
    );
    let exposed = |host: &mut Host| host.credentials[0].file = entry(Kind::File, 0o666, 0);
    assert_found(exposed, Check::Credential, Warning, "mode 0666", "chmod");
    let refused = Ok(Err("Embedded credential name 'x' does not match".to_owned()));
    assert_found(opened(refused), Check::CredentialOpens, Wrong, "Embedded credential name", "BACKUP");
    let empty = Ok(Ok(Contents { length: 0, key: None }));
    assert_found(opened(empty), Check::CredentialOpens, Wrong, "is empty", "BACKUP");
    let long = Ok(Ok(Contents { length: 33, key: None }));
    assert_found(opened(long), Check::CredentialOpens, Wrong, "33 bytes", "BACKUP");
    let unseen = Err(Unseen::needs_root("it"));
    assert_found(opened(unseen), Check::CredentialOpens, NotLookedAt, "only root", "sudo nightlatch doctor");
    let unnamed = |host: &mut Host| host.units.as_mut().expect("units")[0].credentials.clear();
    assert_found(unnamed, Check::Credential, Wrong, "does not hand it over", "LoadCredentialEncrypted=nightlatch-key:");
}

#[test]
fn a_key_that_is_another_one_or_has_no_backup() {
    let keys = |change: fn(&mut Keys)| move |host: &mut Host| change(host.keys.as_mut().expect("keys"));
    let other = keys(|keys| keys.keys[0].id = Ok(KeyId::from_bytes([8; 8])));
    assert_found(
        other,
        Check::Key,
        Wrong,
        "this host was set up with 0707070707070707",
        "encrypt --name=nightlatch-key BACKUP",
    );
    let broken = keys(|keys| keys.keys[0].golden_blob = Some(Err("the golden blob does not open".into())));
    assert_found(broken, Check::GoldenBlob, Wrong, "does not open", "verify --backup FILE");
    let typed = keys(|keys| keys.keys[0].golden_blob = None);
    assert_found(typed, Check::GoldenBlob, NotLookedAt, "nobody is asked", "");
    let verified = |days| {
        move |host: &mut Host| {
            let Ok(record) = &mut host.keys.as_mut().expect("keys").record else { panic!("there is one") };
            record[0].verified_at = Some(days_ago(days));
        }
    };
    assert_found(verified(181), Check::Backup, Warning, "181 days ago", "nightlatch credentials verify --backup FILE");
    let mut host = healthy();
    verified(180)(&mut host);
    assert!(
        judge(&host).iter().any(|finding| finding.found == "it was verified 180 days ago" && finding.hint.is_none())
    );
    let never = keys(|keys| {
        if let Ok(record) = &mut keys.record {
            record[0].verified_at = None;
        }
    });
    assert_found(never, Check::Backup, Warning, "ever verified", "nightlatch credentials verify --backup FILE");
    let unknown = keys(|keys| keys.record = Ok(vec![]));
    assert_found(unknown, Check::Backup, Warning, "ever verified here", "verify --backup FILE");
    let absent = keys(|keys| keys.record = Err(NoRecord { absent: true, complaint: complaint("none") }));
    assert_found(absent, Check::Backup, Warning, "ever verified here", "verify --backup FILE");
    let damaged = keys(|keys| keys.record = Err(NoRecord { absent: false, complaint: complaint("damaged") }));
    assert_found(damaged, Check::Backup, Warning, "damaged", "do that");
    let file = keys(|keys| keys.keys[0].id = Err(Some(complaint("there is no file"))));
    assert_found(file, Check::Key, Wrong, "there is no file", "do that");
}

#[test]
fn memory_that_may_reach_the_disk() {
    assert_found(
        |host| host.set(SERVER, "LimitMEMLOCK", "8388608"),
        Check::Swap,
        Warning,
        "may not lock",
        "LimitMEMLOCK",
    );
}

#[test]
fn a_state_that_cannot_be_used() {
    let directory = |entry: Entry| move |host: &mut Host| host.state().directory = entry;
    assert_found(directory(Entry::Missing), Check::StateDirectory, Wrong, "is not there", "backup");
    let open = entry(Kind::Directory, 0o755, 994);
    assert_found(directory(open), Check::StateDirectory, Wrong, "0755", "chmod 0700 /var/lib/nightlatch");
    let shut = entry(Kind::Directory, 0o000, 994);
    assert_found(directory(shut), Check::StateDirectory, Wrong, "cannot write", "chmod 0700");
    let roots = entry(Kind::Directory, 0o700, 0);
    assert_found(directory(roots), Check::StateDirectory, Wrong, "belongs to root", "systemctl restart");
    let elsewhere = |host: &mut Host| {
        host.state().path = "/srv/state".into();
        host.state().directory = entry(Kind::Directory, 0o700, 0);
    };
    assert_found(elsewhere, Check::StateDirectory, Wrong, "belongs to root", "chown -R nightlatch: /srv/state");
    let mut host = healthy();
    host.state().directory = Entry::Missing;
    host.state().state = Err(complaint("there is no state"));
    let state = judge(&host).into_iter().find(|finding| finding.check == Check::State).expect("it is told");
    assert_eq!(state.verdict, NotLookedAt, "one mistake is told once: {state:?}");
    let damaged = |host: &mut Host| host.state().state = Err(complaint("the state is damaged"));
    assert_found(damaged, Check::State, Wrong, "damaged", "do that");
    assert_found(|host| host.state().holder = Some(77), Check::Lock, Wrong, "process 77", "ps -p 77");
}

#[test]
fn everything_that_is_locked_is_wrong_in_the_night() {
    let locked = |by: LockedBy| move |host: &mut Host| host.state().state = Ok((4, Some(Lock { by, at: days_ago(1) })));
    let alice = LockedBy::Person { approver: "alice".into(), channel: "cli".into() };
    assert_found(locked(alice), Check::Locked, Wrong, "locked by alice", "nightlatch unlock");
    assert_found(
        locked(LockedBy::OlderState),
        Check::Locked,
        Wrong,
        "locked by nightlatch itself",
        "nightlatch unlock",
    );
}

#[test]
fn a_state_that_is_older_than_the_audit_log_tells() {
    let tells = |saved, no_since| {
        move |host: &mut Host| {
            let told = Told { saved: Some(saved), no_since };
            let end = AuditEnd { last: 9, at: Some(days_ago(1)), torn: 0, damaged: 0, told };
            host.state().audit = Some(Ok(end));
        }
    };
    assert_found(tells(5, false), Check::State, Warning, "generation 4, and 5 was saved", "starts locked");
    assert_found(tells(4, true), Check::State, Warning, "somebody's no was recorded", "starts locked");
    assert_eq!(
        told(tells(3, true), Check::State)[0].verdict,
        Verdict::Ok,
        "a crash came before the record of the last save"
    );
}

#[test]
fn an_audit_log_with_a_bad_end() {
    let end = |torn, damaged| {
        move |host: &mut Host| {
            host.state().audit = Some(Ok(AuditEnd { last: 9, at: None, torn, damaged, told: Told::default() }));
        }
    };
    assert_found(end(0, 2), Check::AuditLog, Warning, "2 lines", "keep a copy");
    let mut running = healthy();
    end(20, 0)(&mut running);
    assert!(judge(&running).iter().all(|finding| finding.verdict == Verdict::Ok), "a server may be writing it");
    let crashed = |host: &mut Host| {
        end(20, 0)(host);
        host.set(SERVER, "ActiveState", "inactive");
        host.state().holder = None;
    };
    assert_found(crashed, Check::AuditLog, Warning, "last 20 bytes", "the next start");
    let none = |host: &mut Host| host.state().audit = Some(Err(complaint("it is not an audit log")));
    assert_found(none, Check::AuditLog, Wrong, "not an audit log", "do that");
}

#[test]
fn a_disk_that_is_full_or_cannot_be_written() {
    let room =
        |bytes, files, read_only| move |host: &mut Host| host.state().room = Ok(Room { bytes, files, read_only });
    assert_found(room(100 << 10, None, false), Check::DiskSpace, Wrong, "100 KiB free", "df -h");
    assert_found(room(50 << 20, None, false), Check::DiskSpace, Warning, "50 MiB free", "make room");
    assert_found(room(1 << 30, Some(3), false), Check::DiskSpace, Wrong, "3 files", "df -i");
    assert_found(room(1 << 30, Some(20), false), Check::DiskSpace, Warning, "20 files", "df -i");
    assert_found(room(1 << 30, Some(9_999), true), Check::DiskSpace, Wrong, "read-only", "remount");
}

#[test]
fn sockets_that_nobody_can_connect_to() {
    let down = |host: &mut Host| host.set(CLI, "ActiveState", "inactive");
    assert_found(down, Check::SocketUnit, Wrong, "does not listen", "systemctl restart nightlatch.service");
    let failed = |host: &mut Host| {
        host.set(CLI, "ActiveState", "failed");
        host.set(CLI, "Result", "trigger-limit-hit");
    };
    assert_found(failed, Check::SocketUnit, Wrong, "trigger-limit-hit", "systemctl reset-failed");
    assert_found(|host| host.set(TALOS, "UnitFileState", "disabled"), Check::SocketUnit, Wrong, "next boot", "enable");
    assert_found(|host| host.ports = Ok(vec![22]), Check::Port, Wrong, "no node can connect", "systemctl restart");
    let at_path =
        |entry: Entry| move |host: &mut Host| drop(host.sockets.insert("/run/nightlatch/cli.sock".into(), entry));
    assert_found(at_path(Entry::Missing), Check::SocketFile, Wrong, "the file is gone", "systemctl restart");
    assert_found(at_path(entry(Kind::File, 0o660, 0)), Check::SocketFile, Wrong, "no socket", "systemctl restart");
    assert_found(at_path(entry(Kind::Socket, 0o600, 0)), Check::SocketFile, Wrong, "0600", "systemctl restart");
    let open = |host: &mut Host| {
        at_path(entry(Kind::Socket, 0o666, 0))(host);
        host.set(CLI, "SocketMode", "0666");
    };
    assert_found(open, Check::SocketFile, Warning, "any user", "SocketMode=0660");
    let path = Path::new("/run/nightlatch/telegram.sock");
    let roots = |host: &mut Host| drop(host.sockets.insert(path.into(), entry(Kind::Socket, 0o600, 0)));
    assert_found(roots, Check::SocketFile, Wrong, "belongs to root", "SocketUser=");
}

#[test]
fn channels_without_sockets_and_sockets_without_channels() {
    let gone = |host: &mut Host| host.set(CLI, "LoadState", "not-found");
    assert_found(gone, Check::Channel, Wrong, "passes approval-cli", "FileDescriptorName=approval-cli");
    let more = |host: &mut Host| {
        let matrix = socket("nightlatch-matrix.socket", "/run/nightlatch/matrix.sock", "approval-matrix");
        host.units.as_mut().expect("units").push(matrix);
    };
    assert_found(
        more,
        Check::Channel,
        Wrong,
        "the server will not start",
        "systemctl disable --now nightlatch-matrix.socket",
    );
}

#[test]
fn a_filter_that_drops_nodes_or_is_none() {
    let filter = |allowed: &'static str| {
        move |host: &mut Host| {
            host.set(TALOS, "IPAddressDeny", "0.0.0.0/0 ::/0");
            host.set(TALOS, "IPAddressAllow", allowed);
        }
    };
    let elsewhere = filter("198.51.100.0/24");
    assert_found(elsewhere, Check::AddressFilter, Wrong, "nodes from 192.0.2.0/24", "IPAddressAllow=192.0.2.0/24");
    let unenforced = |host: &mut Host| {
        filter("192.0.0.0/16")(host);
        host.unfiltered = Ok(true);
    };
    assert_found(unenforced, Check::AddressFilter, Warning, "cannot enforce", "firewall");
    let unknown = |host: &mut Host| {
        filter("192.0.2.0/24")(host);
        host.unfiltered = Err(Unseen::because("journalctl is not installed here"));
    };
    assert_found(unknown, Check::AddressFilter, NotLookedAt, "whether it is enforced", "");
}

#[test]
fn people_who_could_not_answer() {
    let accounts = |change: fn(&mut Accounts)| move |host: &mut Host| change(host.accounts.as_mut().expect("accounts"));
    let gone = accounts(|accounts| drop(accounts.users.remove(&1000)));
    assert_found(gone, Check::Approver, Wrong, "nobody on this host has user id 1000", "id -u");
    let outside = accounts(|accounts| accounts.groups.values_mut().for_each(|(_, members)| members.clear()));
    assert_found(
        outside,
        Check::Approver,
        Wrong,
        "is not in the group",
        "usermod --append --groups nightlatch-approvers alice",
    );
    let no_group = accounts(|accounts| accounts.groups.clear());
    assert_found(no_group, Check::Approver, Wrong, "no group", "systemd-sysusers");
    let renumbered = accounts(|accounts| {
        accounts.users.remove(&993);
        accounts.users.insert(992, ("nightlatch-bot".into(), 992));
    });
    assert_found(renumbered, Check::BotUser, Wrong, "which is 992", "uid = 992");
}

#[test]
fn a_bot_that_would_not_ask() {
    assert_found(
        |host| host.set(BOT, "ActiveState", "inactive"),
        Check::Bot,
        Wrong,
        "does not run",
        "systemctl enable --now",
    );
    assert_found(
        |host| host.set(BOT, "UnitFileState", "disabled"),
        Check::Bot,
        Wrong,
        "after the next boot",
        "systemctl enable",
    );
    let status = |text: &'static str| move |host: &mut Host| host.set(BOT, "StatusText", text);
    let stolen = status("0 questions are open; SOMEBODY ELSE USES THIS BOT'S TOKEN");
    assert_found(stolen, Check::BotStatus, Wrong, "SOMEBODY ELSE", "revoke");
    let away = status("1 question is open; Telegram was not reached yet");
    assert_found(away, Check::BotStatus, Wrong, "not reached", "nightlatch-bot check");
    let mut asleep = healthy();
    status("0 questions are open; nightlatch sleeps until a node calls")(&mut asleep);
    assert!(judge(&asleep).iter().all(|finding| finding.verdict == Verdict::Ok), "a server may sleep");
    assert_found(
        status("1 question is open, 1 prompt waits to be sent"),
        Check::BotStatus,
        Warning,
        "1 prompt",
        "check",
    );
    assert_found(status(""), Check::BotStatus, NotLookedAt, "does not say", "");
    let warned = |host: &mut Host| host.bot = Ok(BotCheck { warnings: vec!["line 3: nobody".into()], error: None });
    assert_found(warned, Check::BotConfiguration, Warning, "line 3", "nightlatch-bot check --offline");
    let wrong = |host: &mut Host| host.bot = Ok(BotCheck { warnings: vec![], error: Some("unknown key".into()) });
    assert_found(wrong, Check::BotConfiguration, Wrong, "unknown key", "nightlatch-bot check --offline");
    let no_channel = |host: &mut Host| {
        host.configured(MANUAL);
        host.units.as_mut().expect("units").pop();
    };
    assert_found(no_channel, Check::Bot, Warning, "no channel", "[[channel]]");
}

#[test]
fn a_certificate_that_ends_or_is_refused() {
    let certificate = |days_left, to_do: Option<&'static str>| {
        move |host: &mut Host| {
            let findings = vec![("dates".into(), "it ends".into(), to_do.map(str::to_owned))];
            host.certificate = Some(Ok(Certificate { findings, days_left }));
        }
    };
    assert_found(certificate(21, None), Check::Certificate, Warning, "it ends", "renews");
    assert_found(certificate(0, Some("renew it")), Check::Certificate, Wrong, "it ends", "renew it");
    let unreadable = |host: &mut Host| host.certificate = Some(Err(complaint("there is no file")));
    assert_found(unreadable, Check::Certificate, Wrong, "there is no file", "do that");
}

#[test]
fn names_that_nodes_would_look_up_in_vain() {
    let name = |answer| move |host: &mut Host| drop(host.names.insert("kms.example.net".into(), answer));
    assert_found(name(Ok(vec![])), Check::Name, Warning, "no address", "getent");
    assert_found(name(Ok(vec![address(false)])), Check::Name, Warning, "192.0.2.5 is no address", "name server");
    assert_found(name(Err(complaint("no answer"))), Check::Name, Warning, "no answer", "do that");
}

#[test]
fn a_clock_that_is_wrong() {
    assert_found(|host| host.clock_synchronised = Ok(false), Check::ClockSynchronised, Warning, "nothing", "set-ntp");
    let built = |host: &mut Host| host.built = Some(days_ago(-1));
    assert_found(built, Check::Clock, Wrong, "before this program was built", "set the clock");
    let record = |host: &mut Host| {
        host.state().audit =
            Some(Ok(AuditEnd { last: 9, at: Some(days_ago(-1)), torn: 0, damaged: 0, told: Told::default() }));
    };
    assert_found(record, Check::Clock, Wrong, "before the last record", "set the clock");
}

#[test]
fn without_systemd_nothing_of_it_is_called_fine() {
    let mut host = healthy();
    let unseen = Unseen::because("systemctl is not installed here");
    host.units = Err(unseen);
    (host.programs, host.credentials) = (BTreeMap::new(), vec![]);
    let findings = judge(&host);
    let unseen: Vec<Check> =
        findings.iter().filter(|finding| finding.verdict == NotLookedAt).map(|finding| finding.check).collect();
    assert_eq!(unseen, [Check::Server, Check::SocketUnit]);
    assert!(findings.iter().any(|finding| finding.check == Check::Port && finding.about == "4050"));
}

#[test]
fn whatever_is_not_fine_says_what_to_do() {
    let mut host = healthy();
    host.units = Ok(vec![]);
    host.accounts = Ok(Accounts::default());
    (host.ports, host.swaps) = (Ok(vec![]), Ok(true));
    for finding in judge(&host) {
        let bad = matches!(finding.verdict, Warning | Wrong);
        assert_eq!(bad, finding.hint.is_some(), "{finding:?}");
    }
}

/// What a host has to say of one check after `change`.
fn told(change: impl FnOnce(&mut Host), check: Check) -> Vec<Finding> {
    let mut host = healthy();
    change(&mut host);
    judge(&host).into_iter().filter(|finding| finding.check == check).collect()
}

#[test]
fn a_hint_that_installs_a_backup_keeps_the_key_that_is_there() {
    const MOVED: &str = "mv --backup=numbered /etc/credstore.encrypted/nightlatch-key \
                         /etc/credstore.encrypted/nightlatch-key.before && systemd-creds encrypt";
    let other = |host: &mut Host| host.keys.as_mut().expect("keys").keys[0].id = Ok(KeyId::from_bytes([8; 8]));
    assert_found(other, Check::Key, Wrong, "this host was set up with 0707070707070707", MOVED);
    let refused = |host: &mut Host| host.credentials[0].opens = Some(Ok(Err("it was made elsewhere".into())));
    assert_found(refused, Check::CredentialOpens, Wrong, "it does not open", MOVED);
    for finding in told(other, Check::Key).into_iter().chain(told(refused, Check::CredentialOpens)) {
        let hint = finding.hint.expect("there is one");
        assert!(hint.contains("disks may be sealed under it: keep /etc/credstore.encrypted/nightlatch-key.before"));
        assert!(hint.len() <= 400, "a longer one is cut off: {hint}");
    }
    let gone = |host: &mut Host| (host.credentials[0].file, host.credentials[0].opens) = (Entry::Missing, None);
    let hint = told(gone, Check::Credential).remove(0).hint.expect("there is one");
    assert!(!hint.contains("mv "), "there is nothing to keep: {hint}");
}

#[test]
fn a_plain_credential_that_others_can_read() {
    let plain = |mode| {
        move |host: &mut Host| {
            host.credentials[0].credential.encrypted = false;
            host.credentials[0].file = entry(Kind::File, mode, 0);
        }
    };
    assert_found(plain(0o644), Check::Credential, Warning, "others can read it", "chmod go-rwx");
    assert_found(plain(0o640), Check::Credential, Warning, "others can read it", "chmod go-rwx");
    assert_eq!(told(plain(0o600), Check::Credential)[0].verdict, Verdict::Ok);
    let encrypted = |host: &mut Host| host.credentials[0].file = entry(Kind::File, 0o644, 0);
    assert_eq!(told(encrypted, Check::Credential)[0].verdict, Verdict::Ok, "only this host can open it");
    let certificate = |host: &mut Host| {
        let tls = "\n[tls]\nnames = [\"kms.example.net\"]\ncertificate_credential = \"chain\"\n\
                   key_credential = \"tls-key\"\n";
        let text = manual().replace("tls = \"off\"", "#tls = \"off\"");
        host.configured(&(text + TELEGRAM + tls));
        for name in ["chain", "tls-key"] {
            let credential = Credential { name: name.into(), path: format!("/etc/{name}"), encrypted: false };
            let file = entry(Kind::File, 0o644, 0);
            host.credentials.push(Opened { unit: SERVER, credential: credential.clone(), file, opens: None });
            host.units.as_mut().expect("units")[0].credentials.push(credential);
        }
    };
    let verdicts: Vec<_> =
        told(certificate, Check::Credential).into_iter().map(|finding| (finding.about, finding.verdict)).collect();
    assert!(verdicts.contains(&("chain".into(), Verdict::Ok)), "a certificate is no secret: {verdicts:?}");
    assert!(verdicts.contains(&("tls-key".into(), Warning)), "{verdicts:?}");
}

#[test]
fn a_key_in_a_credential_that_was_not_opened_is_not_passed_over() {
    let unread = |host: &mut Host| {
        host.credentials[0].credential.encrypted = false;
        host.credentials[0].opens = None;
        let key = &mut host.keys.as_mut().expect("keys").keys[0];
        (key.id, key.golden_blob) = (Err(None), None);
    };
    assert_eq!(told(unread, Check::Key)[0].verdict, NotLookedAt);
    assert_eq!(told(unread, Check::GoldenBlob)[0].verdict, NotLookedAt);
    let gone = |host: &mut Host| {
        unread(host);
        host.credentials[0].file = Entry::Missing;
    };
    assert_eq!(told(gone, Check::Key), [], "that it is not there is told once");
}

#[test]
fn a_backup_that_was_verified_in_the_future_is_not_fine() {
    let verified = |host: &mut Host| {
        let Ok(record) = &mut host.keys.as_mut().expect("keys").record else { panic!("there is one") };
        record[0].verified_at = Some(days_ago(-1));
    };
    assert_found(verified, Check::Backup, Warning, "in the future", "nightlatch credentials verify --backup FILE");
}

#[test]
fn an_audit_log_that_is_gone() {
    let gone = |host: &mut Host| host.state().audit = None;
    assert_found(gone, Check::AuditLog, Wrong, "the server runs", "/proc/158/fd");
    let asleep = |generation| {
        move |host: &mut Host| {
            gone(host);
            host.set(SERVER, "ActiveState", "inactive");
            (host.state().holder, host.state().state) = (None, Ok((generation, None)));
        }
    };
    assert_found(asleep(2), Check::AuditLog, Warning, "generation 2", "backup");
    assert_eq!(told(asleep(1), Check::AuditLog)[0].verdict, Verdict::Ok, "the first start begins it");
}
