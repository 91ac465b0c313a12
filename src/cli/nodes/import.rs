//! `nightlatch nodes import-proxmox`: reads the files, shows what they propose, and lists it when that is wanted.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use nightlatch_approval_api::v1;
use nightlatch_approval_api::v1::change_node_request::Change;
use serde_json::json;

use super::call::{self, Connection};
use super::proxmox::{Known, MAX_FILE_LEN, MAX_MACHINES, Machine, Proposals};
use super::{Import, print, text};
use crate::cli::channel::Options;
use crate::cli::channel::text::printable;
use crate::cli::{Failure, check, exit};
use crate::request::NodeUuid;

/// Where Proxmox VE keeps the machines of this host, and of every host of its cluster.
const OWN: &str = "/etc/pve/qemu-server";
const HOSTS: &str = "/etc/pve/nodes";

pub(super) fn run(args: &Import, server: &Options) -> Result<(), Failure> {
    let json = server.json;
    if args.add && !args.yes && (json || !io::stdin().is_terminal()) {
        return Err(Failure::usage("nobody can be asked here whether to list them").hint("add --yes"));
    }
    let machines = read_all(&files(&args.paths)?)?;
    let known = known(server)?;
    if !args.add {
        let proposals = Proposals::new(&machines, &known);
        return show(&proposals, args.cluster.as_deref(), json);
    }
    let socket = server.socket()?;
    call::runtime()?.block_on(async { add(args, &machines, known, Connection::new(socket), json).await })
}

/// What the configuration lists. Without the right to read the usual one, or where there is none, nothing is known.
fn known(server: &Options) -> Result<Known, Failure> {
    let path = server.config.clone().unwrap_or_else(|| crate::config::DEFAULT_PATH.into());
    if server.config.is_none() && File::open(&path).is_err() {
        tell(&format!("{} cannot be read: whether nodes are listed in it was not looked at", path.display()));
        return Ok(Known::default());
    }
    Ok(Known::from(&check::load(&path)?.0))
}

/// The files to read, each once: the directory of this host is one of those of the cluster.
fn files(paths: &[PathBuf]) -> Result<BTreeSet<PathBuf>, Failure> {
    let mut found = BTreeSet::new();
    if paths.is_empty() {
        let hosts = fs::read_dir(HOSTS).into_iter().flatten().flatten();
        let directories = hosts.map(|host| host.path().join("qemu-server")).chain([PathBuf::from(OWN)]);
        for directory in directories.filter(|directory| directory.is_dir()) {
            found.extend(directory_files(&directory)?);
        }
        if found.is_empty() {
            return Err(Failure::new(exit::NO_INPUT, format!("there are no machines in {OWN}")).hint(
                "run it on a host of Proxmox VE, or copy that directory here and name it: nightlatch nodes \
                 import-proxmox DIRECTORY",
            ));
        }
    }
    for path in paths {
        if path.is_dir() {
            found.extend(directory_files(path)?);
        } else {
            found.insert(path.canonicalize().map_err(|error| unreadable(path, &error))?);
        }
    }
    if found.len() > MAX_MACHINES {
        return Err(Failure::new(exit::DATA, format!("there are more than {MAX_MACHINES} machines"))
            .hint("name the files of those that are nodes"));
    }
    Ok(found)
}

fn directory_files(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
    let is_machine = |path: &PathBuf| {
        let is_number = path.file_stem().is_some_and(|stem| stem.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        is_number && path.extension().is_some_and(|extension| extension == "conf")
    };
    // One more than may be, so that it is noticed.
    let paths = entries.flatten().map(|entry| entry.path()).filter(is_machine).take(MAX_MACHINES + 1);
    paths.map(|path| path.canonicalize().map_err(|error| unreadable(&path, &error))).collect()
}

fn read_all(files: &BTreeSet<PathBuf>) -> Result<Vec<Machine>, Failure> {
    let mut machines = files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    machines.sort_by_key(|machine| (machine.vmid.parse::<u64>().unwrap_or(u64::MAX), machine.vmid.clone()));
    Ok(machines)
}

fn read(path: &Path) -> Result<Machine, Failure> {
    // A pipe would be waited for.
    if !path.is_file() {
        return Err(Failure::new(exit::NO_INPUT, format!("{} is no file", path.display()))
            .hint("name files such as 100.conf, or directories of them"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map(|file| file.take(MAX_FILE_LEN as u64 + 1));
    file.and_then(|mut file| file.read_to_end(&mut bytes)).map_err(|error| unreadable(path, &error))?;
    if bytes.len() > MAX_FILE_LEN {
        return Err(Failure::new(exit::DATA, format!("{} is longer than {MAX_FILE_LEN} bytes", path.display()))
            .hint("that is no configuration file of a virtual machine"));
    }
    let vmid = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Machine::parse(&vmid, &bytes))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(exit::NO_INPUT, format!("cannot read {}", path.display()))
        .because(error)
        .hint("on a host of Proxmox VE run it as root, or copy the files to where you may read them")
}

fn show(proposals: &Proposals, cluster: Option<&str>, json: bool) -> Result<(), Failure> {
    if json {
        let nodes = proposals.nodes.iter().map(
            |node| json!({ "uuid": node.uuid.as_str(), "name": node.name, "cluster": cluster, "vmid": node.vmid }),
        );
        let shown = json!({
            "event": "proposals",
            "nodes": nodes.collect::<Vec<_>>(),
            "findings": proposals.findings,
        });
        return print(&format!("{shown}\n"));
    }
    tell_all(proposals);
    print(&proposals.tables(cluster))
}

async fn add(
    args: &Import,
    machines: &[Machine],
    mut known: Known,
    mut server: Connection,
    json: bool,
) -> Result<(), Failure> {
    learn(&mut known, server.snapshot().await?);
    let proposals = Proposals::new(machines, &known);
    if !json {
        tell_all(&proposals);
    }
    if proposals.nodes.is_empty() {
        tell("there is nothing to list");
        return Ok(());
    }
    if !args.yes && !confirmed(&proposals)? {
        tell("nothing was changed");
        return Ok(());
    }
    list_all(&proposals, args.cluster.as_deref(), &mut server, |said, change| {
        let shown = match said {
            Ok(response) if json => format!("{}\n", super::json::changed(&response)),
            Ok(response) => text::changed(&change.0, &change.1, &response),
            Err(failure) => {
                tell(&format!("{}: {}", change.0, failure.error()));
                return Ok(());
            }
        };
        print(&shown)
    })
    .await
}

/// Lists them one by one, and says what became of each. One that is refused says nothing about the others; a server that
/// is away says it of all.
pub(super) async fn list_all(
    proposals: &Proposals,
    cluster: Option<&str>,
    server: &mut Connection,
    mut said: impl FnMut(Result<v1::ChangeNodeResponse, Failure>, (String, Change)) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut failed = 0;
    for node in &proposals.nodes {
        let (name, cluster) = (node.name.clone(), cluster.unwrap_or_default().to_owned());
        let change = Change::Add(v1::AddNode { name, cluster, addresses: vec![], formerly: vec![] });
        let answer = server.change(node.uuid.to_string(), change.clone()).await;
        match answer {
            Err(failure) if failure.code() != exit::DATA => return Err(failure),
            Err(_) => failed += 1,
            Ok(_) => {}
        }
        said(answer, (node.name.clone(), change))?;
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::new(exit::DATA, format!("{failed} of {} nodes were not listed", proposals.nodes.len()))
            .hint("above stands why; the others are as it says there")),
    }
}

/// Adds what the server lists.
pub(super) fn learn(known: &mut Known, snapshot: v1::Snapshot) {
    for status in snapshot.nodes {
        let node = status.node.unwrap_or_default();
        let uuids = std::iter::once(&node.uuid).chain(&status.formerly).filter_map(|uuid| NodeUuid::parse(uuid).ok());
        known.add(&node.name, uuids);
    }
}

fn confirmed(proposals: &Proposals) -> Result<bool, Failure> {
    let rows = proposals.nodes.iter().map(|node| [node.name.clone(), node.uuid.to_string(), printable(&node.vmid)]);
    let mut shown = String::new();
    check::table(&mut shown, ["NODE", "UUID", "VM"], rows.collect());
    let question = match proposals.nodes.len() {
        1 => "list this node, so that it may ask from anywhere within the allowed networks?".to_owned(),
        many => format!("list these {many} nodes, so that they may ask from anywhere within the allowed networks?"),
    };
    print(&format!("{}\n{question} [y/N] ", shown.trim_start_matches('\n')))?;
    let mut answer = String::new();
    let mut stdin = io::stdin().lock().take(64);
    stdin
        .read_line(&mut answer)
        .map_err(|error| Failure::new(exit::IO, "cannot read standard input").because(&error))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn tell_all(proposals: &Proposals) {
    proposals.findings.iter().for_each(|finding| tell(finding));
}

fn tell(text: &str) {
    // With standard error closed there is nobody left to tell.
    let _closed = writeln!(io::stderr(), "nightlatch: {text}");
}
