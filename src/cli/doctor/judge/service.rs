//! The configuration, the server and the bot.

use crate::cli::doctor::facts::{BOT, Entry, Host, PASSPHRASE, SERVER, TALOS};
use crate::cli::doctor::finding::{Check, Finding, Unseen};
use crate::cli::doctor::unit::Unit;
use crate::config::{KeySource, PassphraseOrigin, People};

/// The exit code of a service whose credentials could not be set up (systemd.exec(5), "Process Exit Codes").
const CREDENTIALS: u32 = 243;

/// The file of the configuration, and whether the running server uses it.
pub(super) fn configuration(host: &Host) -> Vec<Finding> {
    let path = host.path.display();
    let mut findings = match &host.configuration {
        Ok((_, warnings)) => {
            let fine = Finding::ok(Check::Configuration, "", format!("{path} can be used"));
            let warned = |warning: &_| {
                Finding::warning(Check::Configuration, "", format!("{warning}"), "nightlatch check says what it means")
            };
            std::iter::once(fine).chain(warnings.iter().map(warned)).collect()
        }
        Err(_) if matches!(&host.configuration_file, Entry::Unseen(_)) => {
            let Entry::Unseen(unseen) = &host.configuration_file else { return vec![] };
            vec![Finding::not_looked_at(Check::Configuration, "", unseen)]
        }
        Err(error) => {
            // The first mistake with its place, if that is what it is.
            let mut lines = error.lines().filter(|line| !line.is_empty());
            let first = lines.next().unwrap_or_default();
            let found = lines.next().unwrap_or(first);
            let hint = match &host.configuration_file {
                Entry::Missing => "nightlatch credentials init makes a first one, and a key".to_owned(),
                _ => format!("nightlatch check --config {path} shows each mistake"),
            };
            vec![Finding::wrong(Check::Configuration, "", found, hint)]
        }
    };
    findings.extend(host.unit(SERVER).filter(|unit| unit.is_active()).and_then(|unit| in_force(host, unit)));
    findings
}

fn in_force(host: &Host, server: &Unit) -> Option<Finding> {
    const RELOAD: &str = "nightlatch check && systemctl reload nightlatch.service";
    if !server.command().contains(&host.path.display().to_string()) {
        return None;
    }
    if let Some((_, refused)) = server.status_text().split_once("NOT IN FORCE: ") {
        let found = format!("the changed configuration is not in force: {refused}");
        let hint = if refused.starts_with("restart to change") {
            "nightlatch check && systemctl restart nightlatch.service (what was approved is forgotten by a restart)"
        } else {
            RELOAD
        };
        return Some(Finding::wrong(Check::InForce, "", found, hint));
    }
    let (Entry::There(file), Some(read)) = (&host.configuration_file, server.configured_at()) else { return None };
    // systemd tells whole seconds.
    if file.changed.unix_millis() / 1000 > read.unix_millis() / 1000 {
        let found = format!("the file changed at {}, and the server read it at {read}", file.changed);
        return Some(Finding::warning(Check::InForce, "", found, RELOAD));
    }
    Some(Finding::ok(Check::InForce, "", "the running server uses it as it is now"))
}

/// The server's unit, what it needs to start, and the program that it runs.
pub(super) fn server(host: &Host) -> Vec<Finding> {
    if let Err(unseen) = &host.units {
        return vec![Finding::not_looked_at(Check::Server, SERVER, unseen)];
    }
    let Some(unit) = host.unit(SERVER) else { return vec![] };
    let mut findings = match not_loaded(Check::Server, unit) {
        Some(finding) => vec![finding],
        None => running(host, unit),
    };
    findings.extend(passphrase(host));
    findings.extend(program(host, SERVER));
    findings
}

fn not_loaded(check: Check, unit: &Unit) -> Option<Finding> {
    let id = unit.id();
    if unit.is_loaded() {
        return None;
    }
    Some(match unit.load_state() {
        "masked" => {
            Finding::wrong(check, id, "it is masked, so that nothing can start it", format!("systemctl unmask {id}"))
        }
        "not-found" => Finding::wrong(check, id, "it is not installed", "apt install ./nightlatch_*.deb"),
        state => {
            Finding::wrong(check, id, format!("systemd cannot load it: {state}"), format!("systemctl status {id}"))
        }
    })
}

fn running(host: &Host, unit: &Unit) -> Vec<Finding> {
    let id = unit.id();
    let drop_ins = changed_by(unit);
    let mut findings = vec![match (unit.active_state(), unit.result()) {
        _ if unit.is_active() => up(Check::Server, unit, &drop_ins),
        ("activating", "success") => starting(host, unit),
        ("deactivating", _) => Finding::warning(Check::Server, id, "it is stopping", "look again in half a minute"),
        ("inactive", "success") => asleep(host, unit, &drop_ins),
        _ => down(Check::Server, unit),
    }];
    if unit.needs_daemon_reload() {
        let hint = format!("systemctl daemon-reload && systemctl restart {id}");
        findings.push(Finding::warning(Check::Server, id, "its file changed since systemd read it", hint));
    }
    findings
}

/// The drop-ins of a unit, if there are any: they are told, and not judged.
fn changed_by(unit: &Unit) -> String {
    match &*unit.drop_ins() {
        [] => String::new(),
        drop_ins => format!(" (changed by {})", drop_ins.join(", ")),
    }
}

/// A service that runs.
fn up(check: Check, unit: &Unit, drop_ins: &str) -> Finding {
    let id = unit.id();
    let journal = format!("journalctl --boot --unit={id}");
    if unit.status_text().contains("internal error") {
        return Finding::warning(
            check,
            id,
            format!("it runs: {}", unit.status_text()),
            format!("{journal} has the bug"),
        );
    }
    match unit.restarts() {
        // What the bot says of itself is judged apart.
        0 if check == Check::Bot => Finding::ok(check, id, format!("it runs{drop_ins}")),
        0 => Finding::ok(check, id, format!("it runs{drop_ins}: {}", unit.status_text())),
        restarts => {
            let times = if restarts == 1 { "once".to_owned() } else { format!("{restarts} times") };
            Finding::warning(check, id, format!("it runs, after systemd had to start it again {times}"), journal)
        }
    }
}

fn starting(host: &Host, unit: &Unit) -> Finding {
    if unit.sub_state() == "auto-restart" {
        return down(Check::Server, unit);
    }
    let hint = if asks_at_start(host).is_some() {
        "somebody has to type the passphrase: systemd-tty-ask-password-agent"
    } else {
        "look again in half a minute"
    };
    Finding::warning(Check::Server, unit.id(), "it is starting", hint)
}

/// A server that is not running, and did not fail: it ended idle, or nobody has connected yet.
fn asleep(host: &Host, unit: &Unit, drop_ins: &str) -> Finding {
    let id = unit.id();
    if !host.unit(TALOS).is_some_and(Unit::is_active) {
        let hint = "systemctl enable --now nightlatch.service";
        return Finding::wrong(Check::Server, id, "it does not run, and no socket is there to start it", hint);
    }
    if asks_at_start(host).is_some() {
        let hint = "systemctl start nightlatch.service & systemd-tty-ask-password-agent --watch";
        return Finding::wrong(
            Check::Server,
            id,
            "it does not run, and somebody has to type its passphrase first",
            hint,
        );
    }
    Finding::ok(Check::Server, id, format!("it does not run{drop_ins}: the next connection starts it"))
}

/// A service that failed, or fails again and again.
fn down(check: Check, unit: &Unit) -> Finding {
    let id = unit.id();
    let how = if unit.sub_state() == "auto-restart" { "it does not start, again and again" } else { "it has failed" };
    let code = unit.exit_status().filter(|code| *code != 0);
    let reason = unit.last_error.clone().or_else(|| code.map(|code| format!("exit code {code}")));
    let found = format!("{how}: {}", reason.unwrap_or_else(|| unit.result().to_owned()));
    let hint = if code == Some(CREDENTIALS) {
        format!("a credential did not open, see below; then systemctl restart {id}")
    } else {
        format!("journalctl --boot --unit={id} --lines=50; when that is put right: systemctl restart {id}")
    };
    Finding::wrong(check, id, found, hint)
}

/// The credential that systemd asks somebody for at each start, if there is one.
pub(super) fn asks_at_start(host: &Host) -> Option<&str> {
    host.config()?.keys.iter().find_map(|key| match &key.source {
        KeySource::Passphrase(passphrase) => match &passphrase.origin {
            PassphraseOrigin::AskedBySystemd(name) => Some(&**name),
            _ => None,
        },
        _ => None,
    })
}

fn passphrase(host: &Host) -> Option<Finding> {
    asks_at_start(host)?;
    let helper = host.unit(PASSPHRASE)?;
    if let Some(finding) = not_loaded(Check::PassphraseHelper, helper) {
        return Some(finding);
    }
    if helper.is_active() && helper.is_enabled() {
        return Some(Finding::ok(Check::PassphraseHelper, PASSPHRASE, "it asks for the passphrase at each start"));
    }
    let found = "it does not listen, or not after the next boot: the server would start without a passphrase";
    let hint = format!("systemctl enable --now {PASSPHRASE}");
    Some(Finding::wrong(Check::PassphraseHelper, PASSPHRASE, found, hint))
}

fn program(host: &Host, unit: &str) -> Option<Finding> {
    Some(match host.programs.get(unit)? {
        Ok(true) => Finding::ok(Check::Program, unit, "it runs the program that is installed"),
        Ok(false) => {
            let found = "it runs an older program than the one that is installed";
            let forgets = if unit == SERVER { " (what was approved is forgotten, nodes ask again)" } else { "" };
            Finding::warning(Check::Program, unit, found, format!("systemctl restart {unit}{forgets}"))
        }
        Err(unseen) => Finding::not_looked_at(Check::Program, unit, unseen),
    })
}

/// The bot's unit, its status and its configuration; nothing where there is no bot.
pub(super) fn bot(host: &Host) -> Vec<Finding> {
    let wanted = host
        .config()
        .is_some_and(|config| config.channels.iter().any(|channel| matches!(channel.people, People::Telegram { .. })));
    let Some(unit) = host.unit(BOT) else { return vec![] };
    if !wanted && !unit.is_enabled() && !unit.is_active() {
        return vec![];
    }
    let mut findings = vec![bot_unit(unit)];
    if !wanted && host.config().is_some() {
        let hint = "add the [[channel]] that docs/telegram.md shows, or systemctl disable --now nightlatch-bot.service";
        findings.push(Finding::warning(Check::Bot, BOT, "nightlatch.toml has no channel for it", hint));
    }
    findings.extend(unit.is_active().then(|| bot_status(unit.status_text())));
    findings.extend(program(host, BOT));
    findings.extend(bot_configuration(host));
    findings
}

fn bot_unit(unit: &Unit) -> Finding {
    if let Some(finding) = not_loaded(Check::Bot, unit) {
        return finding;
    }
    match (unit.active_state(), unit.result()) {
        _ if unit.is_active() && !unit.is_enabled() => {
            let found = "it runs, and is not started after the next boot";
            Finding::wrong(Check::Bot, BOT, found, format!("systemctl enable {BOT}"))
        }
        _ if unit.is_active() => up(Check::Bot, unit, &changed_by(unit)),
        ("inactive", "success") => Finding::wrong(
            Check::Bot,
            BOT,
            "it does not run: nobody is asked on the phone",
            format!("systemctl enable --now {BOT}"),
        ),
        ("activating", "success") if unit.sub_state() != "auto-restart" => {
            Finding::warning(Check::Bot, BOT, "it is starting", "look again in half a minute")
        }
        _ => down(Check::Bot, unit),
    }
}

/// What the bot says of itself: how many questions are open, and then what it misses.
fn bot_status(status: &str) -> Finding {
    const CHECK: &str = "systemd-run --quiet --wait --pipe --uid=nightlatch-bot -p LoadCredentialEncrypted=telegram-token:\
                         /etc/credstore.encrypted/telegram-token nightlatch-bot check";
    if status.is_empty() {
        return Finding::not_looked_at(Check::BotStatus, "", &Unseen::because("it does not say how it is yet"));
    }
    if status.contains("SOMEBODY ELSE USES") {
        let hint = "have @BotFather revoke the token, and make the new one a credential: docs/telegram.md";
        return Finding::wrong(Check::BotStatus, "", status, hint);
    }
    let missed = status.split("; ").skip(1).any(|part| part != "nightlatch sleeps until a node calls");
    match (missed, status.contains("to be sent")) {
        (true, _) => Finding::wrong(Check::BotStatus, "", status, CHECK),
        (false, true) => Finding::warning(Check::BotStatus, "", status, CHECK),
        (false, false) => Finding::ok(Check::BotStatus, "", status),
    }
}

fn bot_configuration(host: &Host) -> Vec<Finding> {
    const ABOUT: &str = "nightlatch-bot.toml";
    let check = match &host.bot {
        Ok(check) => check,
        Err(unseen) => return vec![Finding::not_looked_at(Check::BotConfiguration, ABOUT, unseen)],
    };
    let hint = "nightlatch-bot check --offline shows what and where";
    match &check.error {
        Some(error) => vec![Finding::wrong(Check::BotConfiguration, ABOUT, error, hint)],
        None if check.warnings.is_empty() => vec![Finding::ok(Check::BotConfiguration, ABOUT, "it can be used")],
        None => check.warnings.iter().map(|one| Finding::warning(Check::BotConfiguration, ABOUT, one, hint)).collect(),
    }
}
