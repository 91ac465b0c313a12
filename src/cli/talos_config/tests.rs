use clap::Parser as _;

use super::*;

const MANUAL: &str = include_str!("../../../systemd/nightlatch.toml");
const TLS: &str =
    "[tls]\ncertificate = \"/x/chain.pem\"\nkey = \"/x/key.pem\"\nnames = [\"192.0.2.5\", \"kms.example.net\"]\n";

#[derive(clap::Parser)]
struct Parsed {
    #[command(flatten)]
    args: Args,
}

fn args(more: &[&str]) -> Args {
    let words = ["talos-config", "cp-1"].iter().chain(more).copied();
    Parsed::try_parse_from(words).map_err(|error| error.to_string()).expect("fine").args
}

fn config(with_tls: bool) -> Config {
    let text = match with_tls {
        true => format!("{}\n{TLS}", MANUAL.replacen("\ntls = \"off\"\n", "\n", 1)),
        false => MANUAL.to_owned(),
    };
    Config::parse(&text, "nightlatch.toml").map_err(|error| error.to_string()).expect("valid").0
}

fn patch(more: &[&str]) -> String {
    let args = args(more);
    let config = config(false);
    let node = node(&args, Some(&config)).expect("listed");
    let endpoint = endpoint(&args, Some(&config)).expect("said");
    let volumes = volumes(&args).expect("fine");
    Patch { node, endpoint, version: args.talos, spare: args.spare.clone(), volumes }.to_string()
}

/// Without comments.
fn plain(patch: &str) -> String {
    let is_content = |line: &&str| !line.trim_start().starts_with('#');
    patch.lines().filter(is_content).map(|line| format!("{line}\n")).collect()
}

const SERVER: [&str; 2] = ["--endpoint", "grpc://192.0.2.5:4050"];

#[test]
fn each_volume_has_a_document_and_the_spare_is_a_comment() {
    let text = patch(&[SERVER[0], SERVER[1], "--swap-volume", "swap1"]);
    let document = |kind: &str, name: &str| {
        format!(
            "apiVersion: v1alpha1\nkind: {kind}\nname: {name}\nencryption:\n  provider: luks2\n  keys:\n    - slot: 0\n      \
             kms:\n        endpoint: grpc://192.0.2.5:4050\n"
        )
    };
    let documents = [
        document("VolumeConfig", "STATE"),
        document("VolumeConfig", "EPHEMERAL"),
        document("SwapVolumeConfig", "swap1"),
    ];
    assert_eq!(plain(&text), documents.join("---\n"));
    assert!(text.starts_with("# Disk encryption of cp-1 (4c4c4544-0042-3510-8051-b4c04f4e3632) "), "{text}");
    assert_eq!(text.matches("    # - slot: 1\n").count(), 3, "{text}");
    assert_eq!(text.lines().map(str::len).max().map(|longest| longest <= 120), Some(true), "{text}");
}

#[test]
fn old_versions_have_the_system_volumes_below_machine() {
    let text = patch(&[SERVER[0], SERVER[1], "--talos", "v1.10.3", "--spare", "tpm", "--user-volume", "data"]);
    let slots = |indent: &str| {
        format!(
            "{indent}provider: luks2\n{indent}keys:\n{indent}  - slot: 0\n{indent}    kms:\n{indent}      endpoint: \
             grpc://192.0.2.5:4050\n{indent}  - slot: 1\n{indent}    tpm: {{}}\n"
        )
    };
    let system = slots("      ");
    let expected = format!(
        "machine:\n  systemDiskEncryption:\n    state:\n{system}    ephemeral:\n{system}---\napiVersion: v1alpha1\nkind: \
         UserVolumeConfig\nname: data\nencryption:\n{}",
        slots("  ")
    );
    assert_eq!(plain(&text), expected);
}

#[test]
fn a_static_spare_is_no_mapping_and_never_for_state() {
    for version in ["1.7", "1.14"] {
        let text = plain(&patch(&[SERVER[0], SERVER[1], "--talos", version, "--spare", "static"]));
        assert_eq!(text.matches("static: TO-BE-REPLACED\n").count(), 1, "{text}");
        assert!(!text.contains("passphrase"), "{text}");
        let state = text.to_lowercase().split("ephemeral").next().map(str::to_owned).expect("there is STATE");
        assert!(state.contains("slot: 0") && !state.contains("static"), "{text}");
    }
}

#[test]
fn what_a_version_does_not_encrypt_is_refused() {
    for (more, why) in [
        (["--talos", "1.9", "--user-volume", "data"], "Talos 1.9 encrypts no user volumes"),
        (["--talos", "1.10", "--raw-volume", "data"], "Talos 1.10 encrypts no raw volumes"),
        (["--user-volume", "data", "--user-volume", "data"], "a volume is named twice"),
    ] {
        assert_eq!(volumes(&args(&more)).expect_err("refused").error(), why);
    }
    for wrong in ["1.4", "1.15", "2.7", "1", "x", ""] {
        assert!(wrong.parse::<Version>().is_err(), "{wrong}");
    }
}

#[test]
fn the_endpoint_is_the_first_name_of_the_certificate() {
    let said = endpoint(&args(&[]), Some(&config(true))).expect("said");
    assert_eq!(said.to_string(), "https://kms.example.net:4050");
    assert!(endpoint(&args(&[]), Some(&config(false))).is_err(), "no address is written there");
    assert!(endpoint(&args(&[]), None).is_err());
}

/// What [`checked`] says about this endpoint.
fn said(with_tls: bool, public: Option<bool>, more: &[&str]) -> Result<Vec<String>, String> {
    let (args, config) = (args(more), config(with_tls));
    let endpoint = endpoint(&args, Some(&config)).expect("said");
    checked(&args, Some(&config), &endpoint, public).map_err(|failure| failure.error().to_owned())
}

#[test]
fn a_certificate_that_locks_state_out_is_refused() {
    let locked_out = said(true, Some(false), &[]).expect_err("refused");
    assert!(locked_out.contains("locked out at its second boot"), "{locked_out}");
    let others = said(true, Some(false), &["--without-state"]).expect("the others may");
    assert!(others.iter().any(|note| note.contains("TrustedRootsConfig")), "{others:?}");
    let old = said(true, Some(false), &["--without-state", "--talos", "1.7"]).expect_err("refused");
    assert!(old.contains("Talos before 1.8 trusts no other"), "{old}");
    let public = said(true, Some(true), &[]).expect("fine");
    assert!(public.iter().all(|note| note.contains("name server")), "{public:?}");
    let unknown = said(true, None, &[]).expect("it is said");
    assert!(unknown.iter().any(|note| note.contains("nightlatch check --tls")), "{unknown:?}");
}

#[test]
fn an_endpoint_that_contradicts_the_configuration_is_refused() {
    for (with_tls, url) in [
        (false, "https://kms.example.net:4050"),
        (true, "grpc://192.0.2.5:4050"),
        (false, "grpc://127.0.0.1:4050"),
        (false, "grpc://[::]:4050"),
        (false, "grpc://localhost:4050"),
    ] {
        assert!(said(with_tls, Some(true), &["--endpoint", url]).is_err(), "{url}");
    }
    let unknown = said(true, Some(true), &["--endpoint", "https://other.example.net:4050"]).expect("it is said");
    assert!(unknown.iter().any(|note| note.contains("not in names of [tls]")), "{unknown:?}");
}
