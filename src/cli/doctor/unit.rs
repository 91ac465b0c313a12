//! Units as `systemctl show` and `systemctl cat` describe them. Pure.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::clock::WallTime;

/// What is asked of each unit. Properties that a unit does not have are left out by systemctl.
pub(super) const PROPERTIES: &str = "Id,LoadState,UnitFileState,ActiveState,SubState,Result,NRestarts,StatusText,MainPID,\
    ExecMainStartTimestamp,ExecMainStatus,ExecStart,ExecReload,DropInPaths,NeedDaemonReload,TriggeredBy,Listen,\
    FileDescriptorName,SocketUser,SocketGroup,SocketMode,User,IPAddressAllow,IPAddressDeny,LimitMEMLOCK";

/// One unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Unit {
    properties: BTreeMap<String, String>,
    /// What its file and drop-ins say about credentials.
    pub(super) credentials: Vec<Credential>,
    /// The last line of its journal that says why something did not work.
    pub(super) last_error: Option<String>,
}

/// A credential that a unit is handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Credential {
    /// Its name.
    pub(super) name: String,
    /// Where it comes from: an absolute path, or a name in the directories of credentials.
    pub(super) path: String,
    /// Whether it is encrypted there.
    pub(super) encrypted: bool,
}

impl Unit {
    /// The units that `systemctl show` tells about: lines of `name=value`, a blank line between two units.
    pub(super) fn read_all(shown: &str) -> Vec<Self> {
        let unit = |block: &str| {
            let properties: BTreeMap<String, String> = block
                .lines()
                .filter_map(|line| line.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect();
            properties.contains_key("Id").then(|| Self { properties, ..Self::default() })
        };
        shown.split("\n\n").filter_map(unit).collect()
    }

    fn text(&self, name: &str) -> &str {
        self.properties.get(name).map_or("", String::as_str)
    }

    pub(super) fn id(&self) -> &str {
        self.text("Id")
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.text("LoadState") == "loaded"
    }

    /// `not-found`, `masked`, `bad-setting`, `error`.
    pub(super) fn load_state(&self) -> &str {
        self.text("LoadState")
    }

    /// Whether the next boot starts it. What is enabled below /run is forgotten by then; a link to a file, or another name,
    /// starts nothing.
    pub(super) fn is_enabled(&self) -> bool {
        matches!(self.text("UnitFileState"), "enabled" | "generated")
    }

    pub(super) fn active_state(&self) -> &str {
        self.text("ActiveState")
    }

    pub(super) fn is_active(&self) -> bool {
        matches!(self.text("ActiveState"), "active" | "reloading")
    }

    pub(super) fn sub_state(&self) -> &str {
        self.text("SubState")
    }

    /// `success`, or why it failed.
    pub(super) fn result(&self) -> &str {
        self.text("Result")
    }

    /// The exit code of its last process.
    pub(super) fn exit_status(&self) -> Option<u32> {
        self.text("ExecMainStatus").parse().ok()
    }

    /// How often systemd started it again by itself.
    pub(super) fn restarts(&self) -> u64 {
        self.text("NRestarts").parse().unwrap_or(0)
    }

    pub(super) fn status_text(&self) -> &str {
        self.text("StatusText")
    }

    pub(super) fn main_pid(&self) -> Option<u32> {
        self.text("MainPID").parse().ok().filter(|pid| *pid > 0)
    }

    /// The file that the unit runs.
    pub(super) fn program(&self) -> Option<&str> {
        self.text("ExecStart").split_once("path=")?.1.split(" ;").next()
    }

    /// The whole command, as systemd tells it.
    pub(super) fn command(&self) -> &str {
        self.text("ExecStart")
    }

    /// When its process read the configuration last: at its start, or when it was told to reload.
    pub(super) fn configured_at(&self) -> Option<WallTime> {
        let reloaded = self.text("ExecReload").split_once("start_time=[").and_then(|(_, rest)| rest.split(']').next());
        reloaded.and_then(unix_time).max(unix_time(self.text("ExecMainStartTimestamp")))
    }

    pub(super) fn drop_ins(&self) -> Vec<&str> {
        self.text("DropInPaths").split_whitespace().collect()
    }

    /// Whether its files changed since systemd read them.
    pub(super) fn needs_daemon_reload(&self) -> bool {
        self.text("NeedDaemonReload") == "yes"
    }

    /// The sockets that start it.
    pub(super) fn triggered_by(&self) -> Vec<&str> {
        self.text("TriggeredBy").split_whitespace().filter(|id| id.ends_with(".socket")).collect()
    }

    /// Where it listens: paths, or addresses with a port.
    pub(super) fn listens(&self) -> Vec<&str> {
        self.text("Listen").split(" (Stream)").map(str::trim).filter(|place| !place.is_empty()).collect()
    }

    /// The name under which the server gets its sockets.
    pub(super) fn descriptor_name(&self) -> &str {
        self.text("FileDescriptorName")
    }

    pub(super) fn socket_user(&self) -> &str {
        self.text("SocketUser")
    }

    pub(super) fn socket_group(&self) -> &str {
        self.text("SocketGroup")
    }

    /// Permission bits of its sockets.
    pub(super) fn socket_mode(&self) -> Option<u32> {
        u32::from_str_radix(self.text("SocketMode"), 8).ok()
    }

    /// The user that it runs as.
    pub(super) fn user(&self) -> &str {
        self.text("User")
    }

    pub(super) fn allowed(&self) -> Vec<IpNet> {
        networks(self.text("IPAddressAllow"))
    }

    pub(super) fn denied(&self) -> Vec<IpNet> {
        networks(self.text("IPAddressDeny"))
    }

    pub(super) fn may_lock_memory(&self) -> bool {
        self.text("LimitMEMLOCK") == "infinity"
    }

    #[cfg(test)]
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.properties.insert(name.into(), value.into());
        self
    }
}

/// What `--timestamp=unix` prints: `@` and seconds.
fn unix_time(text: &str) -> Option<WallTime> {
    let seconds: i64 = text.strip_prefix('@')?.parse().ok()?;
    Some(WallTime::from_unix_millis(seconds.saturating_mul(1000)))
}

fn networks(text: &str) -> Vec<IpNet> {
    text.split_whitespace().filter_map(|network| network.parse().ok()).collect()
}

/// The credentials that a unit's file and its drop-ins name, as `systemctl cat` prints them. An empty value takes back what
/// was named before (systemd.exec(5)).
pub(super) fn credentials(files: &str) -> Vec<Credential> {
    let mut found: Vec<Credential> = vec![];
    for line in files.lines().map(str::trim) {
        let (value, encrypted) = match line.split_once('=') {
            Some(("LoadCredential", value)) => (value.trim(), false),
            Some(("LoadCredentialEncrypted", value)) => (value.trim(), true),
            _ => continue,
        };
        if value.is_empty() {
            // Either of the two takes back what both named.
            found.clear();
            continue;
        }
        let (name, path) = value.split_once(':').unwrap_or((value, value));
        found.retain(|known| known.name != name);
        found.push(Credential { name: name.into(), path: path.into(), encrypted });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As systemd 252 prints it.
    const SHOWN: &str = "MainPID=158\nStatusText=1 node: nobody waits\nResult=success\nNRestarts=2\n\
        ExecMainStartTimestamp=@1795642370\nExecMainStatus=0\n\
        ExecStart={ path=/usr/bin/nightlatch ; argv[]=/usr/bin/nightlatch serve ; start_time=[@1795642370] ; pid=158 }\n\
        ExecReload={ path=/bin/kill ; argv[]=/bin/kill -HUP $MAINPID ; start_time=[@1795642400] ; stop_time=[n/a] }\n\
        IPAddressDeny=0.0.0.0/0 ::/0\nId=nightlatch.service\nTriggeredBy=a.path nightlatch.socket nightlatch-cli.socket\n\
        LoadState=loaded\nActiveState=active\nSubState=running\nDropInPaths=/etc/a.conf /etc/b.conf\n\
        UnitFileState=static\nLimitMEMLOCK=infinity\n\n\
        SocketMode=0660\nListen=/run/nightlatch/cli.sock (Stream)\nId=nightlatch-cli.socket\nUnitFileState=enabled\n\n\
        Listen=[::]:4050 (Stream) 192.0.2.5:4051 (Stream)\nId=nightlatch.socket\n\nnonsense\n";

    #[test]
    fn units_are_read_as_systemctl_shows_them() {
        let units = Unit::read_all(SHOWN);
        let [server, cli, talos] = &*units else { panic!("{units:?}") };
        assert_eq!((server.id(), server.main_pid(), server.restarts()), ("nightlatch.service", Some(158), 2));
        assert_eq!(server.program(), Some("/usr/bin/nightlatch"));
        assert_eq!(server.configured_at(), Some(WallTime::from_unix_millis(1_795_642_400_000)));
        assert_eq!(server.triggered_by(), ["nightlatch.socket", "nightlatch-cli.socket"]);
        assert_eq!(server.drop_ins(), ["/etc/a.conf", "/etc/b.conf"]);
        assert_eq!(server.denied().len(), 2);
        assert!(server.is_loaded() && server.is_active() && !server.is_enabled() && server.may_lock_memory());
        assert_eq!((cli.socket_mode(), cli.listens()), (Some(0o660), vec!["/run/nightlatch/cli.sock"]));
        assert!(cli.is_enabled() && cli.configured_at().is_none() && cli.main_pid().is_none());
        assert_eq!(talos.listens(), ["[::]:4050", "192.0.2.5:4051"]);
    }

    #[test]
    fn credentials_are_those_that_no_later_line_takes_back() {
        let named = |name: &str, path: &str, encrypted| Credential { name: name.into(), path: path.into(), encrypted };
        let unit =
            "[Service]\nLoadCredentialEncrypted=key:/etc/key\n#LoadCredential=no:/no\nLoadCredential=tls:/etc/tls\n";
        assert_eq!(credentials(unit), [named("key", "/etc/key", true), named("tls", "/etc/tls", false)]);
        let drop_in = format!("{unit}LoadCredentialEncrypted=\nLoadCredential=pass:/run/pass.sock\n");
        assert_eq!(credentials(&drop_in), [named("pass", "/run/pass.sock", false)]);
        assert_eq!(credentials(&format!("{unit}LoadCredentialEncrypted=key:/other\n"))[1].path, "/other");
    }

    #[test]
    fn a_unit_is_enabled_only_where_the_next_boot_starts_it() {
        let enabled = |state: &str| Unit::default().with("UnitFileState", state).is_enabled();
        assert!(enabled("enabled") && enabled("generated"));
        for state in ["enabled-runtime", "linked", "linked-runtime", "alias", "static", "disabled", "masked", ""] {
            assert!(!enabled(state), "{state}");
        }
    }
}
