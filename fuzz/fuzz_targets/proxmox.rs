//! Configuration files of Proxmox VE: whatever is in them, what they propose can be pasted beside the nodes that are listed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nightlatch::cli::nodes::proxmox::{Known, Machine, Proposals, is_node_name};
use nightlatch::config::Config;

const MANUAL: &str = include_str!("../../systemd/nightlatch.toml");

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let (config, _) = Config::parse(MANUAL, "nightlatch.toml").expect("the manual is valid");
    Known::from(&config)
});

// Files stand one behind another, with a byte of zeros between; each has the number of its place.
fuzz_target!(|input: &[u8]| {
    let files = input.split(|byte| *byte == 0).enumerate();
    let machines: Vec<Machine> = files.map(|(at, bytes)| Machine::parse(&at.to_string(), bytes)).collect();
    let proposals = Proposals::new(&machines, &KNOWN);
    assert!(proposals.nodes.iter().all(|node| is_node_name(&node.name)));
    assert!(!proposals.findings.iter().any(|finding| finding.chars().any(char::is_control)));
    if !proposals.nodes.is_empty() {
        let pasted = format!("{MANUAL}\n{}", proposals.tables(None));
        let (config, _) = Config::parse(&pasted, "nightlatch.toml").expect("it can be pasted");
        assert_eq!(config.nodes.len(), 1 + proposals.nodes.len());
    }
});
