//! `nightlatch check --tls`: whether a node would accept the certificate, thing by thing.

use std::path::Path;

use rustls::pki_types::ServerName;

use super::{Failure, exit, line, print_document};
use crate::certificate::examination::{Trust, WHY_STATE};
use crate::cli::serve::{certificate_code, key_code};
use crate::clock::{Clock, HostClock, WallTime};
use crate::config::{self, Config, Place, Tls};
use crate::credential::contents::ContentsError;
use crate::daemon::certificate::judgement::{Judgement, JudgementError, judge};

pub(super) fn run(config: &Config, roots: Option<&Path>) -> Result<(), Failure> {
    let places = match &config.tls {
        Tls::On(places) => places,
        Tls::Off => {
            return Err(Failure::new(exit::CONFIG, "the configuration says tls = \"off\": there is no certificate")
                .hint("add [tls] with certificate, key and names in its place"));
        }
    };
    let (text, accepted) = judged(places, roots, HostClock.now().wall)?;
    print_document(text.as_bytes())?;
    if accepted {
        return Ok(());
    }
    Err(Failure::new(exit::DATA, "a node would refuse this server, and could not unlock its disks")
        .hint("correct what is marked with NO above; the running server takes new files by itself within a minute"))
}

fn judged(places: &config::Certificate, roots: Option<&Path>, now: WallTime) -> Result<(String, bool), Failure> {
    let judgement = judge(places, roots, now).map_err(|error| {
        let code = match &error {
            JudgementError::Certificate(error) => certificate_code(error),
            JudgementError::Roots(ContentsError::Access(error)) => key_code(error),
            JudgementError::Roots(_) | JudgementError::NoRoots => exit::DATA,
        };
        Failure::new(code, error.to_string()).because(&error).hint(error.hint())
    })?;
    Ok((shown(places, &judgement), judgement.is_accepted()))
}

fn shown(places: &config::Certificate, judgement: &Judgement) -> String {
    let mut text = String::new();
    line(&mut text, &format!("certificate of `{}`, {}\n", judgement.subject, place(&places.certificate)));
    for finding in &judgement.findings {
        let mark = if finding.to_do.is_none() { "ok" } else { "NO" };
        line(&mut text, &format!("{mark}  {:<12} {}", finding.subject, finding.found));
        if let Some(to_do) = &finding.to_do {
            line(&mut text, &format!("    {:<12} -> {to_do}", ""));
        }
    }
    text.push('\n');
    let (state, others) = match (judgement.is_accepted(), judgement.trust) {
        (true, Trust::Public) => ("accepted", "accepted"),
        (true, _) => ("REFUSED", "accepted, by nodes that have the roots you named (TrustedRootsConfig)"),
        (false, _) => ("REFUSED", "REFUSED"),
    };
    line(&mut text, &format!("for STATE          {state}"));
    line(&mut text, &format!("for other volumes  {others}"));
    if judgement.is_accepted() && judgement.trust == Trust::Named {
        line(&mut text, &format!("\n{WHY_STATE}"));
    }
    text
}

/// Where a file is, in words.
pub(super) fn place(place: &Place) -> String {
    match place {
        Place::Credential(name) => format!("credential {name}"),
        Place::File(path) => format!("file {}", path.display()),
    }
}

/// Names, with blanks between them.
pub(super) fn names(names: &[ServerName<'_>]) -> String {
    names.iter().map(|name| name.to_str()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::certificate::examination::Finding;
    use crate::certificate::tests::{Authorities, GOOD, NOW, server_name};

    const NAMES: &[&str] = &["kms.example.net", "192.0.2.1"];

    /// What is printed about these files, without the directory that they are in, and whether a node would accept them.
    fn transcript(
        authorities: &Authorities,
        chain: &str,
        key: &str,
        with_roots: bool,
    ) -> Result<(String, bool), Failure> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        write(path("chain.pem"), chain).expect("written");
        write(path("roots.pem"), &authorities.root).expect("written");
        write(path("key.pem"), key).expect("written");
        set_permissions(path("key.pem"), Permissions::from_mode(0o640)).expect("set");
        let places = config::Certificate {
            certificate: Place::File(path("chain.pem")),
            key: Place::File(path("key.pem")),
            key_passphrase: None,
            names: NAMES.iter().map(|name| server_name(name)).collect(),
        };
        let roots = path("roots.pem");
        let (text, accepted) = judged(&places, with_roots.then_some(&*roots), NOW)?;
        Ok((text.replace(&format!("{}/", directory.path().display()), "/"), accepted))
    }

    #[track_caller]
    fn assert_transcript(said: Result<(String, bool), Failure>, accepted: bool, expected: &str) {
        let (text, found) = said.expect("it can be judged");
        assert_eq!(text, expected, "{text}");
        assert_eq!(found, accepted);
    }

    #[test]
    fn a_good_chain_of_an_authority_of_ones_own() {
        let authorities = Authorities::new(GOOD);
        let (chain, key) = authorities.files(NAMES, GOOD);
        assert_transcript(
            transcript(&authorities, &chain, &key, true),
            true,
            "certificate of `kms.example.net`, file /chain.pem\n\
             \n\
             ok  private key  belongs to the certificate (ECDSA, 256 bits)\n\
             ok  dates        2026-11-15 to 2027-02-13, 80 days left\n\
             ok  names        kms.example.net, 192.0.2.1\n\
             ok  chain        2 certificates, up to a root that you named: `Test Root` is no public one\n\
             ok  handshake    TLS 1.3, h2, key exchange X25519MLKEM768\n\
             \n\
             for STATE          REFUSED\n\
             for other volumes  accepted, by nodes that have the roots you named (TrustedRootsConfig)\n\
             \n\
             a node's configuration, and every root in it, is kept in STATE: until STATE is open the node trusts \
             Mozilla's roots alone\n",
        );
        let (text, accepted) = transcript(&authorities, &chain, &key, false).expect("it can be judged");
        assert!(!accepted && text.contains("for other volumes  REFUSED\n"), "{text}");
    }

    #[test]
    fn a_chain_without_its_middle() {
        let authorities = Authorities::new(GOOD);
        let (alone, key) = authorities.issue(NAMES, GOOD);
        assert_transcript(
            transcript(&authorities, &alone, &key.serialize_pem(), true),
            false,
            "certificate of `kms.example.net`, file /chain.pem\n\
             \n\
             ok  private key  belongs to the certificate (ECDSA, 256 bits)\n\
             ok  dates        2026-11-15 to 2027-02-13, 80 days left\n\
             ok  names        kms.example.net, 192.0.2.1\n\
             NO  chain        the file has the server's own certificate alone, and `Test Authority`, which issued it, is \
             no root\n\
             \x20                -> put the intermediate certificates behind it: ACME clients call that file fullchain.pem\n\
             ok  handshake    TLS 1.3, h2, key exchange X25519MLKEM768\n\
             \n\
             for STATE          REFUSED\n\
             for other volumes  REFUSED\n",
        );
    }

    #[test]
    fn a_wrong_name_and_an_end_that_has_come() {
        let authorities = Authorities::new(GOOD);
        let (chain, key) = authorities.files(&["kms.example.net"], (-90, -1));
        assert_transcript(
            transcript(&authorities, &chain, &key, true),
            false,
            "certificate of `kms.example.net`, file /chain.pem\n\
             \n\
             ok  private key  belongs to the certificate (ECDSA, 256 bits)\n\
             NO  dates        `kms.example.net` expired on 2026-11-24\n\
             \x20                -> renew it, and see why what renews it by itself did not: journal of certbot, lego, \
             acme.sh, …\n\
             NO  names        not for 192.0.2.1: it is for kms.example.net\n\
             \x20                -> get a certificate with these names; an address must be in it as an IP address, or \
             let the nodes' endpoint say a host name\n\
             NO  chain        one of the certificates has expired\n\
             \x20                -> see dates\n\
             ok  handshake    TLS 1.3, h2, key exchange X25519MLKEM768\n\
             \n\
             for STATE          REFUSED\n\
             for other volumes  REFUSED\n",
        );
    }

    #[test]
    fn a_key_of_another_certificate() {
        let authorities = Authorities::new(GOOD);
        let ((chain, _), (_, key)) = (authorities.files(NAMES, GOOD), authorities.files(NAMES, GOOD));
        let failure = transcript(&authorities, &chain, &key, true).expect_err("there is nothing to judge");
        assert_eq!(failure.code(), exit::DATA);
        assert!(failure.error().contains("does not belong to the certificate of `kms.example.net`"), "{failure}");
    }

    #[test]
    fn a_public_chain_is_good_for_every_volume() {
        let places = config::Certificate {
            certificate: Place::Credential("tls-certificate".into()),
            key: Place::Credential("tls-key".into()),
            key_passphrase: None,
            names: vec![server_name("kms.example.net")],
        };
        let findings = vec![Finding::fine("chain", "2 certificates, up to the public root of `ISRG Root X1`")];
        let judgement = Judgement { subject: "kms.example.net".into(), findings, trust: Trust::Public };
        assert_eq!(
            shown(&places, &judgement),
            "certificate of `kms.example.net`, credential tls-certificate\n\
             \n\
             ok  chain        2 certificates, up to the public root of `ISRG Root X1`\n\
             \n\
             for STATE          accepted\n\
             for other volumes  accepted\n",
        );
    }
}
