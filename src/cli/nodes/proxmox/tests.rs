use proptest::prelude::*;

use super::*;

const MANUAL: &str = include_str!("../../../../systemd/nightlatch.toml");
const LISTED: &str = "4c4c4544-0042-3510-8051-b4c04f4e3632";
const ONE: &str = "0d6f1a52-7c1e-4b57-9a3b-52f1c3b7e901";
const TWO: &str = "5be1c6a0-91d4-4e0c-8f60-0a9d3c47b2d2";

fn known() -> Known {
    let (config, _) = Config::parse(MANUAL, "nightlatch.toml").expect("the manual is valid");
    Known::from(&config)
}

fn machine(vmid: &str, name: &str, uuid: &str) -> Machine {
    Machine::parse(vmid, format!("name: {name}\nsmbios1: uuid={uuid}\n").as_bytes())
}

fn names(proposals: &Proposals) -> Vec<&str> {
    proposals.nodes.iter().map(|node| node.name.as_str()).collect()
}

#[test]
fn a_file_is_read_up_to_its_first_section() {
    let text = format!(
        "#name%3A from a comment\r\nboot: order=scsi0\r\nname: web\r\nsmbios1: base64=1,manufacturer=UUVNVQ==,uuid={ONE}\r\n\
         template: 0\r\nno line of ours\r\n[before-upgrade]\r\nname: old\r\nsmbios1: uuid={TWO}\r\ntemplate: 1\r\n"
    );
    let read = Machine::parse("100", text.as_bytes());
    let expected =
        Machine { vmid: "100".into(), name: Some("web".into()), uuid: Some(ONE.into()), ..Machine::default() };
    assert_eq!(read, expected);
}

#[test]
fn a_uuid_that_changes_with_the_next_start_is_told() {
    for (pending, changes) in [
        (format!("smbios1: uuid={TWO}"), true),
        ("delete: balloon,smbios1".to_owned(), true),
        (format!("smbios1: family=x,uuid={ONE}"), false),
        ("memory: 4096".to_owned(), false),
    ] {
        let text = format!("name: web\nsmbios1: uuid={ONE}\n\n[PENDING]\n{pending}\n");
        let machine = Machine::parse("100", text.as_bytes());
        assert_eq!(machine.changes, changes, "{pending}");
        let proposals = Proposals::new(&[machine], &known());
        assert_eq!((names(&proposals), proposals.findings.len()), (vec!["web"], usize::from(changes)));
    }
}

#[test]
fn machines_become_tables_that_the_configuration_takes() {
    let proposals = Proposals::new(&[machine("100", "web", ONE), machine("101", "db", TWO)], &known());
    assert_eq!(
        proposals.tables(None),
        format!("[[node]]\nuuid = \"{ONE}\"\nname = \"web\"\n\n[[node]]\nuuid = \"{TWO}\"\nname = \"db\"\n\n")
    );
    assert!(proposals.findings.is_empty(), "{:?}", proposals.findings);
    assert!(proposals.tables(Some("ho\"me")).contains("cluster = 'ho\"me'\n"), "{}", proposals.tables(Some("ho\"me")));
}

#[test]
fn copies_are_not_proposed_and_all_are_named() {
    let machines = [machine("100", "web", ONE), machine("200", "copy", ONE), machine("101", "db", TWO)];
    let proposals = Proposals::new(&machines, &known());
    assert_eq!(names(&proposals), ["db"]);
    let [finding] = proposals.findings.as_slice() else { panic!("{:?}", proposals.findings) };
    assert!(finding.starts_with("VM 100 (web), VM 200 (copy): left out: they have the same UUID"), "{finding}");
}

#[test]
fn what_has_no_uuid_of_its_own_is_left_out_and_said() {
    let arguments = format!("name: x\nsmbios1: uuid={TWO}\nargs: -smbios type=1,uuid={ONE}\n");
    let template = format!("name: x\nsmbios1: uuid={ONE}\ntemplate: 1\n");
    for (machine, why) in [
        (machine("100", "x", "00000000-0000-0000-0000-000000000000"), "is on many machines"),
        (machine("100", "x", "0d6f1a52"), "what stands as uuid in smbios1 is none"),
        (machine("100", "x", LISTED), "is listed already, as cp-1"),
        (machine("100", "x", &LISTED.to_uppercase()), "is listed already, as cp-1"),
        (Machine::parse("100", b"name: x\n"), "qm set 100 --smbios1 uuid="),
        (Machine::parse("100", b"name: x\nsmbios1: family=y\n"), "qm set 100 --smbios1 uuid="),
        (Machine::parse("100", arguments.as_bytes()), "its args may set another UUID"),
        (Machine::parse("100", template.as_bytes()), "it is a template"),
    ] {
        let proposals = Proposals::new(&[machine], &known());
        assert_eq!(proposals.nodes, []);
        let [finding] = proposals.findings.as_slice() else { panic!("{:?}", proposals.findings) };
        assert!(finding.starts_with("VM 100 (x): left out: ") && finding.contains(why), "{finding}");
    }
}

#[test]
fn the_policy_of_the_configuration_counts() {
    let (mut config, _) = Config::parse(MANUAL, "nightlatch.toml").expect("valid");
    config.uuid_policy.kind = crate::peer::admission::UuidKind::V4;
    let version_1 = machine("100", "x", "0d6f1a52-7c1e-1b57-9a3b-52f1c3b7e901");
    assert_eq!(Proposals::new(std::slice::from_ref(&version_1), &known()).nodes.len(), 1);
    assert_eq!(Proposals::new(&[version_1], &Known::from(&config)).nodes, []);
}

#[test]
fn a_name_that_cannot_be_used_gets_the_number_of_its_machine() {
    for (name, proposed, why) in [
        ("cp-1", "cp-1-100", "a listed node has its name"),
        ("k7q2", "k7q2-100", "looks like the match code"),
        ("a/b\u{202e}", "a-b-", "cannot be a node's"),
        (LISTED, "4c4c4544-0042-3510-8051-b4c04f4e3632-100", "is the UUID of one"),
    ] {
        let proposals = Proposals::new(&[machine("100", name, ONE)], &known());
        assert_eq!(names(&proposals), [proposed]);
        let [finding] = proposals.findings.as_slice() else { panic!("{:?}", proposals.findings) };
        assert!(finding.contains(why) && !finding.contains('\u{202e}'), "{finding}");
    }
    let twice = Proposals::new(&[machine("100", "web", ONE), machine("101", "web", TWO)], &known());
    assert_eq!(names(&twice), ["web-100", "web-101"]);
    assert_eq!(twice.findings.len(), 2);
    let nameless = Proposals::new(&[Machine::parse("100", format!("smbios1: uuid={ONE}\n").as_bytes())], &known());
    assert_eq!((names(&nameless), nameless.findings.len()), (vec!["vm-100"], 0));
}

fn line() -> impl Strategy<Value = String> {
    let uuid = prop_oneof![
        Just(ONE.to_owned()),
        Just(TWO.to_owned()),
        Just(LISTED.to_owned()),
        "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "\\PC{0,8}",
    ];
    prop_oneof![
        uuid.clone().prop_map(|uuid| format!("smbios1: uuid={uuid}")),
        uuid.prop_map(|uuid| format!("name: {uuid}")),
        "name: (web|cp-1|a1b2|\\PC{0,80})",
        "template: [01]",
        "\\[(PENDING|old)\\]",
        "\\PC{0,40}",
    ]
}

proptest! {
    /// Whatever the files say: what is proposed can be pasted, beside what is there, and nothing is lost in silence.
    #[test]
    fn proposals_can_always_be_pasted(
        files in prop::collection::vec(("[0-9]{1,3}", prop::collection::vec(line(), 0..6)), 0..6)
    ) {
        let machines: Vec<Machine> =
            files.iter().map(|(vmid, lines)| Machine::parse(vmid, lines.join("\n").as_bytes())).collect();
        let proposals = Proposals::new(&machines, &known());
        let pasted = format!("{MANUAL}\n{}", proposals.tables(None));
        let (config, _) = Config::parse(&pasted, "nightlatch.toml").map_err(|error| error.to_string()).expect("usable");
        prop_assert_eq!(config.nodes.len(), 1 + proposals.nodes.len());
        for machine in machines.iter().filter(|machine| !proposals.nodes.iter().any(|node| node.vmid == machine.vmid)) {
            let label = machine.label();
            prop_assert!(proposals.findings.iter().any(|finding| finding.contains(&label)), "{}", label);
        }
        prop_assert!(!proposals.findings.iter().any(|finding| finding.chars().any(char::is_control)));
    }
}
