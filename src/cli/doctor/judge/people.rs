//! Whether those who may answer can.

use crate::cli::APPROVERS_GROUP;
use crate::cli::doctor::facts::{Accounts, BOT, Host};
use crate::cli::doctor::finding::{Check, Finding};
use crate::cli::doctor::unit::Unit;
use crate::config::{Approver, Config, People};

/// The people and the bot.
pub(super) fn people(host: &Host) -> Vec<Finding> {
    let Some(config) = host.config() else { return vec![] };
    let accounts = match &host.accounts {
        Ok(accounts) => accounts,
        Err(unseen) => return vec![Finding::not_looked_at(Check::Approver, "", unseen)],
    };
    let mut findings: Vec<Finding> = config
        .approvers
        .iter()
        .filter_map(|approver| Some(approver_on_host(host, config, accounts, approver, approver.uid?)))
        .collect();
    for channel in &config.channels {
        if let People::Telegram { uid } = channel.people {
            findings.push(bot_user(host, accounts, &channel.name, uid));
        }
    }
    findings
}

fn approver_on_host(host: &Host, config: &Config, accounts: &Accounts, approver: &Approver, uid: u32) -> Finding {
    let name = &*approver.name;
    let Some((user, first_group)) = accounts.users.get(&uid) else {
        let found = format!("nobody on this host has user id {uid}");
        return Finding::wrong(Check::Approver, name, found, "correct uid in nightlatch.toml: id -u says one's own");
    };
    let Some(channel) = config.channels.iter().find(|channel| channel.people == People::Uid) else {
        let hint = "add a [[channel]] with people = \"uid\", and enable nightlatch-cli.socket";
        return Finding::warning(Check::Approver, name, "there is no channel for people on this host", hint);
    };
    let unit = host.units.as_deref().unwrap_or_default();
    let unit = unit.iter().find(|unit| unit.descriptor_name() == channel.descriptor_name());
    let group = unit.map(Unit::socket_group).filter(|group| !group.is_empty()).unwrap_or(APPROVERS_GROUP);
    let Some((gid, members)) = accounts.groups.get(group) else {
        let found = format!("there is no group {group}: nobody but root can connect to answer");
        return Finding::wrong(Check::Approver, name, found, "systemd-sysusers");
    };
    let owner = unit.is_some_and(|unit| unit.socket_user() == user);
    if uid == 0 || owner || first_group == gid || members.contains(user) {
        return Finding::ok(
            Check::Approver,
            name,
            format!("user {user} can connect to the channel `{}`", channel.name),
        );
    }
    let found = format!("user {user} is not in the group {group}, and cannot connect to answer");
    Finding::wrong(Check::Approver, name, found, format!("usermod --append --groups {group} {user}; then log in anew"))
}

fn bot_user(host: &Host, accounts: &Accounts, channel: &str, uid: u32) -> Finding {
    let user = host.unit(BOT).map(Unit::user).filter(|user| !user.is_empty()).unwrap_or("nightlatch-bot");
    match accounts.uid_of(user) {
        Some(id) if id == uid => {
            Finding::ok(Check::BotUser, channel, format!("it is for {user}, as which the bot runs"))
        }
        Some(id) => {
            let found =
                format!("it is for user id {uid}, and the bot runs as {user}, which is {id}: the server turns it away");
            let hint =
                format!("write uid = {id} in the [[channel]] in nightlatch.toml, and restart nightlatch.service");
            Finding::wrong(Check::BotUser, channel, found, hint)
        }
        None => Finding::wrong(Check::BotUser, channel, format!("there is no user {user}"), "systemd-sysusers"),
    }
}
