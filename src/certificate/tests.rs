//! Certificates for the tests of this and of other modules, made when they are needed: none is checked in, none expires.

use std::net::IpAddr;

use pkcs8::pkcs5::pbes2::{EncryptionScheme, Kdf, Parameters, Pbkdf2Params, ScryptParams};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;

use super::examination::{Finding, Trust, examine, named_roots};
use super::*;

/// 2026-11-25 00:00 UTC.
pub(crate) const NOW: WallTime = WallTime::from_unix_millis(1_795_564_800_000);

/// A root, and an authority between it and the servers.
pub(crate) struct Authorities {
    pub(crate) root: String,
    pub(crate) between: String,
    issuer: Issuer<'static, KeyPair>,
}

/// From so many days before [`NOW`] to so many after it.
pub(crate) type Days = (i64, i64);

/// What a certificate authority and its client agree on for most tests.
pub(crate) const GOOD: Days = (-10, 80);

fn params(name: &str, days: Days) -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).expect("no names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let day = |days: i64| {
        let away = Duration::from_secs(days.unsigned_abs() * 86_400);
        let now = rcgen::date_time_ymd(2026, 11, 25);
        if days < 0 { now - away } else { now + away }
    };
    params.not_before = day(days.0);
    params.not_after = day(days.1);
    params
}

impl Authorities {
    pub(crate) fn new(between: Days) -> Self {
        let authority = |name, days| {
            let mut params = params(name, days);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            (params, KeyPair::generate().expect("a key"))
        };
        let (root_params, root_key) = authority("Test Root", (-1000, 1000));
        let root = root_params.self_signed(&root_key).expect("signed").pem();
        let root_issuer = Issuer::new(root_params, root_key);
        let (params, key) = authority("Test Authority", between);
        let between = params.signed_by(&key, &root_issuer).expect("signed").pem();
        Self { root, between, issuer: Issuer::new(params, key) }
    }

    /// A certificate for `names`, and its key.
    pub(crate) fn issue(&self, names: &[&str], days: Days) -> (String, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(names.first().copied().unwrap_or("kms.example.net"), days);
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.parse::<IpAddr>() {
                Ok(address) => rcgen::SanType::IpAddress(address),
                Err(_) => rcgen::SanType::DnsName((*name).try_into().expect("ASCII")),
            })
            .collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.signed_by(&key, &self.issuer).expect("signed").pem(), key)
    }

    /// The certificate with what is between it and the root, and the key in PEM.
    pub(crate) fn files(&self, names: &[&str], days: Days) -> (String, String) {
        let (own, key) = self.issue(names, days);
        (format!("{own}{}", self.between), key.serialize_pem())
    }

    /// The same, read.
    pub(crate) fn pair(&self, names: &[&str], days: Days) -> Pair {
        let (chain, key) = self.files(names, days);
        pair(&chain, &key).expect("they fit")
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        named_roots(self.root.as_bytes()).expect("a root")
    }
}

pub(crate) fn secret(text: &str) -> SecretContents {
    SecretContents::read(text.as_bytes(), text.len()).expect("it is in memory")
}

fn pair(chain: &str, key: &str) -> Result<Pair, PairError> {
    Pair::parse(chain.as_bytes(), &secret(key), None)
}

pub(crate) fn server_name(name: &str) -> ServerName<'static> {
    ServerName::try_from(name.to_owned()).expect("a name")
}

#[test]
fn a_chain_and_its_key_are_read() {
    let pair = Authorities::new(GOOD).pair(&["kms.example.net", "192.0.2.1", "2001:db8::1"], GOOD);
    assert_eq!(pair.names(), ["kms.example.net", "192.0.2.1", "2001:db8::1"]);
    let [own, between] = pair.chain() else { panic!("{:?}", pair.chain()) };
    assert_eq!((&*own.subject, &*own.issuer), ("kms.example.net", "Test Authority"));
    assert_eq!((&*between.subject, &*between.issuer), ("Test Authority", "Test Root"));
    assert_eq!(expiry::days_left(pair.not_after(), NOW), 80);
    assert!(!format!("{pair:?}").contains("PRIVATE"));
}

#[test]
fn what_does_not_fit_is_named() {
    let authorities = Authorities::new(GOOD);
    let (own, key) = authorities.issue(&["kms.example.net"], GOOD);
    let (key, other) = (key.serialize_pem(), KeyPair::generate().expect("a key").serialize_pem());
    let swapped = format!("{}{own}", authorities.between);
    for (chain, key, expected) in [
        (&*own, &*other, "does not belong to the certificate of `kms.example.net`"),
        (&*swapped, &*key, "does not belong to the certificate of `Test Authority`"),
        ("", &*key, "no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &*key, "number 1 in the file is damaged"),
        (&*own, "", "no private key"),
        (&*own, &*own, "no private key"),
        (&*own, &key[..key.len() / 2], "damaged"),
        (&*own.repeat(9), &*key, "more than 8 certificates"),
    ] {
        let error = pair(chain, key).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.hint().is_empty());
    }
}

#[test]
fn every_cut_of_the_files_is_survived() {
    let (chain, key) = Authorities::new(GOOD).files(&["kms.example.net"], GOOD);
    for end in 0..key.len() {
        assert!(pair(&chain, key.get(..end).expect("ASCII")).is_err() || end + 1 == key.len(), "{end}");
    }
    for end in (0..chain.len()).step_by(7) {
        // A chain that is cut between two certificates is a shorter one.
        let _ = pair(chain.get(..end).expect("ASCII"), &key);
    }
}

/// The key in `pem`, encrypted with a passphrase.
fn encrypted(pem: &str, parameters: Parameters, passphrase: &str) -> String {
    let (_, document) = pkcs8::SecretDocument::from_pem(pem).expect("PEM");
    let encrypted = parameters.encrypt(passphrase, document.as_bytes()).expect("encrypted");
    encoded(parameters, encrypted)
}

fn encoded(parameters: Parameters, encrypted_data: Vec<u8>) -> String {
    let info = pkcs8::EncryptedPrivateKeyInfoOwned {
        encryption_algorithm: parameters.into(),
        encrypted_data: pkcs8::der::asn1::OctetString::new(encrypted_data).expect("short"),
    };
    let document = pkcs8::SecretDocument::try_from(info).expect("DER");
    document.to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF).expect("PEM").to_string()
}

fn parameters(kdf: Kdf) -> Parameters {
    Parameters { kdf, encryption: EncryptionScheme::Aes256Cbc { iv: [7; 16] } }
}

fn pbkdf2(rounds: u32) -> Parameters {
    parameters(Pbkdf2Params::hmac_sha256(rounds, b"saltsaltsaltsalt").expect("parameters").into())
}

fn scrypt(log_n: u8, passes: u32) -> Parameters {
    let cost = pkcs8::pkcs5::scrypt::Params::new(log_n, 8, passes).expect("parameters");
    parameters(ScryptParams::from_params_and_salt(cost, b"saltsaltsaltsalt").expect("parameters").into())
}

#[test]
fn a_key_opens_with_its_passphrase_alone() {
    let (chain, key) = Authorities::new(GOOD).files(&["kms.example.net"], GOOD);
    for parameters in [pbkdf2(1000), scrypt(4, 1)] {
        let encrypted = secret(&encrypted(&key, parameters, "correct horse"));
        let parse = |passphrase: Option<&str>| {
            Pair::parse(chain.as_bytes(), &encrypted, passphrase.map(secret).as_ref()).map(|_| ())
        };
        for right in ["correct horse", "correct horse\n", "correct horse\r\n"] {
            parse(Some(right)).expect("it opens");
        }
        assert!(matches!(parse(None), Err(PairError::Key(KeyError::NoPassphrase))));
        for wrong in ["correct horse\n\n", "Correct horse", "correct horse "] {
            assert!(matches!(parse(Some(wrong)), Err(PairError::Key(KeyError::WrongPassphrase))), "{wrong:?}");
        }
    }
}

#[test]
fn a_key_that_asks_for_too_much_work_is_refused_before_any_is_done() {
    let (chain, _) = Authorities::new(GOOD).files(&["kms.example.net"], GOOD);
    for (parameters, expected) in [
        (pbkdf2(5_000_001), KeyError::TooCostly),
        (pbkdf2(100_000_000), KeyError::TooCostly),
        (scrypt(17, 1), KeyError::TooCostly),
        (scrypt(14, 5), KeyError::TooCostly),
        (scrypt(14, 1), KeyError::WrongPassphrase),
    ] {
        let encrypted = secret(&encoded(parameters, vec![7; 64]));
        let error = Pair::parse(chain.as_bytes(), &encrypted, Some(&secret("x"))).expect_err("it is no key");
        assert!(matches!(error, PairError::Key(found) if found == expected), "{error}");
    }
}

#[test]
fn defects_are_those_of_names_and_dates() {
    let authorities = Authorities::new(GOOD);
    let names = [server_name("kms.example.net"), server_name("192.0.2.1")];
    let defects = |pair: &Pair| pair.defects(&names, NOW);
    assert_eq!(defects(&authorities.pair(&["kms.example.net", "192.0.2.1"], GOOD)), []);
    assert_eq!(
        defects(&authorities.pair(&["kms.example.net"], (-10, -1))),
        [Defect::Expired, Defect::NotFor("192.0.2.1".into())]
    );
    assert_eq!(
        defects(&authorities.pair(&["*.example.net", "192.0.2.1"], (1, 80))),
        [Defect::NotYetValid],
        "a wildcard is for one label"
    );
    let old = Authorities::new((-100, -1)).pair(&["kms.example.net", "192.0.2.1"], GOOD);
    assert_eq!(defects(&old), [Defect::Expired], "an authority that has expired counts as well");
}

/// As it was with a root that had signed a newer one: https://letsencrypt.org/docs/dst-root-ca-x3-expiration-september-2021/
#[test]
fn what_stands_behind_a_public_root_may_have_expired() {
    let mut isrg = params("ISRG Root X1", GOOD);
    isrg.distinguished_name = rcgen::DistinguishedName::new();
    let text = |text: &str| rcgen::DnValue::PrintableString(text.try_into().expect("printable"));
    isrg.distinguished_name.push(DnType::CountryName, text("US"));
    isrg.distinguished_name.push(DnType::OrganizationName, text("Internet Security Research Group"));
    isrg.distinguished_name.push(DnType::CommonName, text("ISRG Root X1"));
    let public = Issuer::new(isrg, KeyPair::generate().expect("a key"));
    let key = KeyPair::generate().expect("a key");
    let mut server = params("kms.example.net", GOOD);
    server.subject_alt_names = vec![rcgen::SanType::DnsName("kms.example.net".try_into().expect("ASCII"))];
    let own = server.signed_by(&key, &public).expect("signed").pem();
    let expired = Authorities::new((-100, -1)).between;
    let behind = pair(&format!("{own}{expired}"), &key.serialize_pem()).expect("they fit");
    assert_eq!(behind.chain().len(), 2);
    assert_eq!(behind.defects(&[server_name("kms.example.net")], NOW), []);
    assert_eq!(expiry::days_left(behind.not_after(), NOW), 80);
}

fn examined(
    pair: &Pair,
    names: &[&str],
    public: &RootCertStore,
    named: Option<&RootCertStore>,
) -> (Vec<Finding>, Trust) {
    let names: Vec<_> = names.iter().map(|name| server_name(name)).collect();
    examine(pair, &names, public, named, NOW)
}

fn wrong(findings: &[Finding]) -> Vec<(&str, &str)> {
    let wrong = findings.iter().filter(|finding| finding.to_do.is_some());
    wrong.map(|finding| (finding.subject, finding.found.as_str())).collect()
}

#[test]
fn public_roots_are_enough_for_everything_and_named_ones_are_told_apart() {
    let authorities = Authorities::new(GOOD);
    let pair = authorities.pair(&["kms.example.net"], GOOD);
    let (roots, none) = (authorities.roots(), RootCertStore::empty());
    let (findings, trust) = examined(&pair, &["kms.example.net"], &roots, None);
    assert_eq!((wrong(&findings), trust), (vec![], Trust::Public));
    let (findings, trust) = examined(&pair, &["kms.example.net"], &none, Some(&roots));
    assert_eq!((wrong(&findings), trust), (vec![], Trust::Named));
    let (findings, trust) = examined(&pair, &["kms.example.net"], &examination::public_roots(), None);
    assert_eq!(trust, Trust::None);
    assert_eq!(wrong(&findings), [("chain", "it ends at `Test Root`, which is no public root")]);
    let others = Authorities::new(GOOD).roots();
    let (findings, trust) = examined(&pair, &["kms.example.net"], &none, Some(&others));
    assert_eq!(trust, Trust::None);
    assert!(wrong(&findings)[0].1.contains("a root of the same name, has another key"), "{findings:?}");
    let (findings, _) = examined(&pair, &["kms.example.net"], &none, Some(&examination::public_roots()));
    assert!(wrong(&findings)[0].1.contains("neither"), "{findings:?}");
}

#[test]
fn what_nodes_refuse_is_found() {
    let authorities = Authorities::new(GOOD);
    let roots = authorities.roots();
    let (alone, key) = authorities.issue(&["kms.example.net"], GOOD);
    let alone = pair(&alone, &key.serialize_pem()).expect("they fit");
    let (findings, trust) = examined(&alone, &["kms.example.net"], &roots, None);
    assert_eq!(trust, Trust::None);
    assert_eq!(
        wrong(&findings),
        [(
            "chain",
            "the file has the server's own certificate alone, and `Test Authority`, which issued it, is no root"
        )]
    );

    let elsewhere = authorities.pair(&["kms.example.net"], GOOD);
    let (findings, _) = examined(&elsewhere, &["kms.example.org", "192.0.2.1"], &roots, None);
    assert_eq!(wrong(&findings), [("names", "not for kms.example.org, 192.0.2.1: it is for kms.example.net")]);

    let nameless = authorities.pair(&[], GOOD);
    assert_eq!(nameless.subject(), "kms.example.net", "its common name");
    let (findings, _) = examined(&nameless, &["kms.example.net"], &roots, None);
    assert!(wrong(&findings)[0].1.contains("the common name does not count"), "{findings:?}");

    let early = authorities.pair(&["kms.example.net"], (1, 90));
    let (findings, _) = examined(&early, &["kms.example.net"], &roots, None);
    assert_eq!(
        wrong(&findings),
        [
            ("dates", "`kms.example.net` is not valid before 2026-11-26"),
            ("chain", "one of the certificates is not valid yet")
        ]
    );

    let expired = authorities.pair(&["kms.example.net"], (-90, -1));
    let (findings, trust) = examined(&expired, &["kms.example.net"], &roots, None);
    assert_eq!(trust, Trust::None);
    assert_eq!(
        wrong(&findings),
        [("dates", "`kms.example.net` expired on 2026-11-24"), ("chain", "one of the certificates has expired")]
    );
}
