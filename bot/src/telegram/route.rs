//! The way to the Bot API: its address, who vouches for it, and what proxy is in between.

use std::time::Duration;

use reqwest::{Certificate, Client, Proxy, Url, redirect};
use zeroize::Zeroizing;

/// Where Telegram's own servers are.
const TELEGRAM: &str = "https://api.telegram.org";
/// How long an idle connection is kept for the next call.
const IDLE: Duration = Duration::from_secs(90);
/// Most idle connections that are kept: one polls, and a few calls go on at once.
const MAX_IDLE: usize = 4;
/// How often the kernel asks a silent connection whether it lives. Routers forget connections that say nothing.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How to reach the Bot API.
#[derive(Default)]
pub struct Route {
    /// Where it is.
    pub api: ApiUrl,
    /// The certificates, in PEM, of whoever vouches for it, instead of those that the host trusts. For a server of
    /// one's own.
    pub root: Option<Vec<u8>>,
    /// The proxy in between.
    pub proxy: Option<ProxyUrl>,
    /// How long it may take.
    pub patience: Patience,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until there is a connection, TLS included.
    pub connect: Duration,
    /// Until a call is answered, connecting included. The poll adds the time that it asks Telegram to wait for.
    pub call: Duration,
}

impl Default for Patience {
    /// A person who pressed a button sees it waiting for so long at most.
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), call: Duration::from_secs(15) }
    }
}

/// Why there is no way to the Bot API. No address is told: people write passwords into them.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The address of the Bot API is no URL, or one that may not be used.
    #[error("the Bot API's address cannot be used: {0}")]
    Api(&'static str),
    /// The address of the proxy is no URL, or one that may not be used.
    #[error("the proxy's address cannot be used: {0}")]
    Proxy(&'static str),
    /// What should vouch for the Bot API holds no certificate.
    #[error("there is no certificate in PEM in the file that should vouch for the Bot API")]
    Root,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] reqwest::Error),
}

/// The address of the Bot API: `https`, or `http` on this host. A path may come before the methods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiUrl(Box<str>);

impl ApiUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`Unusable::Api`]: it is no URL; it would carry the token in clear over a network; it has a user, a password,
    /// a query or a fragment.
    pub fn parse(text: &str) -> Result<Self, Unusable> {
        let url = Url::parse(text).map_err(|_| Unusable::Api("it is no URL"))?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(Unusable::Api("leave user, password, query and fragment out"));
        }
        match url.scheme() {
            "https" => Ok(Self(url.as_str().into())),
            "http" if is_this_host(&url) => Ok(Self(url.as_str().into())),
            "http" => Err(Unusable::Api("the token may cross a network by https alone; http is for this host")),
            _ => Err(Unusable::Api("it must begin with https://")),
        }
    }

    /// Where `method` is called with this token. teloxide-core writes methods with a capital; Telegram takes both.
    pub(super) fn method(&self, token: &str, method: &str) -> Option<Url> {
        let (first, rest) = method.split_at_checked(1)?;
        let base = self.0.trim_end_matches('/');
        let text = Zeroizing::new(format!("{base}/bot{token}/{}{rest}", first.to_ascii_lowercase()));
        Url::parse(&text).ok()
    }

    fn is_encrypted(&self) -> bool {
        self.0.starts_with("https:")
    }
}

impl Default for ApiUrl {
    /// Telegram's own.
    fn default() -> Self {
        Self(TELEGRAM.into())
    }
}

/// Whether the name or address of `url` means this host.
fn is_this_host(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The address of a proxy: `http`, `https`, `socks5` (names are looked up here) or `socks5h` (there). It may carry a
/// user and a password, so it is a secret as a whole.
pub struct ProxyUrl(Zeroizing<String>);

impl ProxyUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`Unusable::Proxy`], which does not repeat it.
    pub fn parse(text: &str) -> Result<Self, Unusable> {
        let url = Url::parse(text).map_err(|_| Unusable::Proxy("it is no URL"))?;
        if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") {
            return Err(Unusable::Proxy("it must begin with http://, https://, socks5:// or socks5h://"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(Unusable::Proxy("it names no host"));
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// What must not be told: all of it, and its password.
    pub(super) fn secrets(&self) -> Vec<Zeroizing<String>> {
        let password = Url::parse(&self.0).ok().and_then(|url| url.password().map(str::to_owned)).map(Zeroizing::new);
        [Some(self.0.clone()), password].into_iter().flatten().collect()
    }

    fn proxy(&self) -> Result<Proxy, Unusable> {
        Proxy::all(self.0.as_str()).map_err(|_| Unusable::Proxy("the HTTP client does not take it"))
    }
}

impl Route {
    /// The HTTP client for this way. It follows no redirect, as that would hand the token on, and asks no variable of
    /// the environment for a proxy.
    pub(super) fn client(&self) -> Result<Client, Unusable> {
        // Whoever came first has installed the same one: there is no other in this program.
        let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut builder = Client::builder()
            .connect_timeout(self.patience.connect)
            .timeout(self.patience.call)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .tcp_keepalive(KEEPALIVE)
            .tcp_nodelay(true)
            .https_only(self.api.is_encrypted())
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy();
        if let Some(proxy) = &self.proxy {
            if !self.api.is_encrypted() {
                return Err(Unusable::Proxy("the Bot API is on this host, by http: a proxy would see the token"));
            }
            builder = builder.proxy(proxy.proxy()?);
        }
        if let Some(pem) = &self.root {
            let roots = Certificate::from_pem_bundle(pem).map_err(|_| Unusable::Root)?;
            if roots.is_empty() {
                return Err(Unusable::Root);
            }
            builder = builder.tls_built_in_root_certs(false);
            for root in roots {
                builder = builder.add_root_certificate(root);
            }
        }
        builder.build().map_err(|error| Unusable::Tls(error.without_url()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telegrams_own_address_is_the_default() {
        assert_eq!(ApiUrl::default().method("1:x", "getMe").unwrap().as_str(), "https://api.telegram.org/bot1:x/getMe");
    }

    #[test]
    fn the_token_crosses_no_network_in_clear() {
        for address in ["http://127.0.0.1:8081", "http://[::1]:8081/", "http://localhost:1/x/", "https://192.0.2.1"] {
            assert!(ApiUrl::parse(address).is_ok(), "{address}");
        }
        for address in [
            "http://192.0.2.1:8081",
            "http://api.telegram.org",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "ftp://localhost",
            "localhost:8081",
            "https://alice@localhost",
            "https://alice:secret@localhost",
            "https://:secret@localhost",
            "https://localhost/?x",
            "https://localhost/#x",
            "",
        ] {
            let error = ApiUrl::parse(address).expect_err(address).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_path_comes_before_the_methods() {
        for address in ["http://localhost:1/x", "http://localhost:1/x/"] {
            let url = ApiUrl::parse(address).unwrap().method("1:x", "GetMe").unwrap();
            assert_eq!(url.as_str(), "http://localhost:1/x/bot1:x/getMe");
        }
    }

    #[test]
    fn proxies_of_four_kinds_are_taken() {
        for address in ["http://p:1", "https://p", "socks5://p:1", "socks5h://alice:secret@p:1"] {
            assert!(ProxyUrl::parse(address).is_ok_and(|url| url.proxy().is_ok()), "{address}");
        }
        for address in ["p:1", "socks4://p:1", "ftp://p", "http://", "//alice:secret@p"] {
            let error = ProxyUrl::parse(address).err().expect(address).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_way_that_cannot_be_right_is_refused() {
        let local = || ApiUrl::parse("http://127.0.0.1:1").unwrap();
        let proxy = ProxyUrl::parse("http://alice:secret@p:1").ok();
        let error = Route { api: local(), proxy, ..Route::default() }.client().unwrap_err();
        assert!(matches!(error, Unusable::Proxy(_)), "{error}");
        for pem in [&b""[..], b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let route = Route { root: Some(pem.to_vec()), ..Route::default() };
            assert!(route.client().is_err(), "{pem:?}");
        }
    }
}
