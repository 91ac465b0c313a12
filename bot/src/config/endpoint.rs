//! The ways to Telegram: the Bot API's address, and a proxy.

use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::Url;
use toml::Spanned;

use super::finding::Findings;
use super::{DEFAULT_API, Proxy, absolute};

/// Schemes of proxies, as reqwest takes them.
const PROXY_SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

/// The address of the Bot API.
pub(super) fn api(written: Option<Spanned<String>>, findings: &mut Findings<'_>) -> Option<Url> {
    let (span, text) = match written {
        Some(written) => (written.span(), written.into_inner()),
        None => (0..0, DEFAULT_API.to_owned()),
    };
    match check_api(&text) {
        Ok(url) => Some(url),
        Err((text, hint)) => {
            findings.problem(span, text, hint);
            None
        }
    }
}

fn check_api(text: &str) -> Result<Url, (&'static str, &'static str)> {
    let url = Url::parse(text).map_err(|_| ("this is no address", "write one such as \"https://api.telegram.org\""))?;
    let whole = "write scheme, host, port and path alone, such as \"https://bot-api.example.net:8443\"";
    if !url.username().is_empty() || url.password().is_some() {
        return Err(("a user and a password have no place here", whole));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(("this address has something after its path", whole));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err((
            "the bot's token would cross the network in the clear",
            "write https://, or put TLS in front of your own server; http:// is for loopback alone",
        )),
        _ => Err(("the Bot API is reached by https", "write an address that begins with https://")),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The proxy, if there is one.
pub(super) fn proxy(
    written: Option<Spanned<String>>,
    file: Option<Spanned<PathBuf>>,
    api: Option<&Url>,
    findings: &mut Findings<'_>,
) -> Option<Proxy> {
    if let (Some(_), Some(file)) = (&written, &file) {
        findings.problem(file.span(), "there are both proxy and proxy_file", "keep one of the two");
        return None;
    }
    let at = written.as_ref().map(Spanned::span).or(file.as_ref().map(Spanned::span));
    if let (Some(at), Some("http")) = (at, api.map(Url::scheme)) {
        let hint = "leave the proxy out: the Bot API is on this host, and reached without TLS";
        findings.problem(at, "a proxy would see the token", hint);
        return None;
    }
    if let Some(file) = file {
        return absolute(file, findings).map(Proxy::File);
    }
    let written = written?;
    if written.get_ref() == "credential" {
        return Some(Proxy::Credential);
    }
    let hint = "write one such as \"socks5h://192.0.2.1:1080\" or \"http://proxy.example.net:3128\"";
    match proxy_url(written.get_ref()) {
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            let hint = "put the whole address into a file of mode 0600 that proxy_file names, or into the credential \
                        telegram-proxy, and write proxy = \"credential\"";
            findings.problem(written.span(), "the user and password of a proxy are secrets", hint);
            None
        }
        Some(url) => Some(Proxy::Url(url)),
        None => {
            findings.problem(written.span(), "this is no address of a proxy", hint);
            None
        }
    }
}

/// `text` as the address of a proxy: of a scheme that is spoken, with a host, and nothing after its port.
fn proxy_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let whole = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    (whole && url.has_host() && PROXY_SCHEMES.contains(&url.scheme())).then_some(url)
}
