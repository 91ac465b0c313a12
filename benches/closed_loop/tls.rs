//! TLS for both ends of the loop: one certificate for this run, which the client trusts and nobody else does.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use nightlatch::certificate::{Pair, provider};
use nightlatch::listen::tls::{ALPN, Encryption};
use nightlatch::secret::SecretContents;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// The name that the certificate is for.
pub const NAME: &str = "localhost";

/// Makes `certificate.pem` and `key.pem` in `directory`.
pub fn make(directory: &Path) -> Result<()> {
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()])?;
    fs::write(directory.join("certificate.pem"), made.cert.pem())?;
    let key = directory.join("key.pem");
    fs::write(&key, made.signing_key.serialize_pem())?;
    crate::house::only_for_us(&key)
}

fn certificate(directory: &Path) -> Result<CertificateDer<'static>> {
    let path = directory.join("certificate.pem");
    CertificateDer::from_pem_file(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The echo's end: what the server offers, by the server's own code.
pub fn encryption(directory: &Path) -> Result<Encryption> {
    let key = fs::read(directory.join("key.pem"))?;
    let key = SecretContents::read(key.as_slice(), key.len())?;
    let pair = Pair::parse(&fs::read(directory.join("certificate.pem"))?, &key, None)?;
    Ok(Encryption::new(&pair)?)
}

/// The client's end. Nothing is resumed: a node that boots has no ticket.
pub fn connector(directory: &Path) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(directory)?)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}
