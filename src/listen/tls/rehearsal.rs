//! A handshake in memory between what the server offers and a client such as a node, to see what comes of it.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, PeerIncompatible, ServerConnection, SignatureScheme,
};

use super::{ALPN, server_config};
use crate::certificate::{Pair, provider};

/// Rounds of messages after which two ends that are not done never will be.
const MAX_ROUNDS: usize = 8;

/// What both ends agreed on, in the words of the standards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The version of TLS.
    pub version: String,
    /// The protocol inside.
    pub protocol: String,
    /// The key exchange.
    pub key_exchange: String,
}

/// Shakes hands with a client that calls the server by `name`, in the memory of this process. The client takes any
/// certificate, since whom nodes trust is judged elsewhere, but makes the server prove that it has the private key.
///
/// # Errors
/// Those of the library.
pub fn rehearse(pair: &Pair, name: ServerName<'static>) -> Result<Agreed, Error> {
    let mut server = ServerConnection::new(Arc::new(server_config(pair)?))?;
    let provider = Arc::new(provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAny(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let mut client = ClientConnection::new(Arc::new(config), name)?;
    for _ in 0..MAX_ROUNDS {
        let mut message = vec![];
        let broken = |error: std::io::Error| Error::General(error.to_string());
        while client.wants_write() {
            client.write_tls(&mut message).map_err(broken)?;
        }
        feed(&message, |bytes| server.read_tls(bytes)).map_err(broken)?;
        server.process_new_packets()?;
        message.clear();
        while server.wants_write() {
            server.write_tls(&mut message).map_err(broken)?;
        }
        feed(&message, |bytes| client.read_tls(bytes)).map_err(broken)?;
        client.process_new_packets()?;
        if !client.is_handshaking() && !server.is_handshaking() {
            break;
        }
    }
    let (Some(version), Some(group)) = (client.protocol_version(), client.negotiated_key_exchange_group()) else {
        return Err(Error::HandshakeNotComplete);
    };
    let version = match version {
        rustls::ProtocolVersion::TLSv1_3 => "TLS 1.3".to_owned(),
        other => format!("{other:?}"),
    };
    let protocol = client.alpn_protocol().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
    Ok(Agreed { version, protocol, key_exchange: format!("{:?}", group.name()) })
}

fn feed(message: &[u8], mut read: impl FnMut(&mut &[u8]) -> std::io::Result<usize>) -> std::io::Result<()> {
    let mut rest = message;
    while !rest.is_empty() {
        read(&mut rest)?;
    }
    Ok(())
}

/// Takes any certificate, and checks what it signs.
#[derive(Debug)]
struct TakesAny(Arc<CryptoProvider>);

impl ServerCertVerifier for TakesAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
