//! One call as a node makes it, and asking again until a person has approved.

use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use rustls::ClientConfig;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use zeroize::Zeroizing;

use super::MAX_DATA_LEN;
use super::tls::{self, ConnectError};
use crate::cli::{Failure, exit};
use crate::request::Operation;
use crate::wire::stubs::kms_service_client::KmsServiceClient;
use crate::wire::stubs::{Request as Question, Response as Answer};

/// Between two calls: the server holds each for some seconds, and a person who waits at a terminal wants the answer
/// soon.
const PAUSE: Duration = Duration::from_secs(1);

/// Longest text of a server that is shown, in characters.
const MAX_TEXT_LEN: usize = 300;

/// Where the server listens.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Endpoint {
    uri: Uri,
    is_tls: bool,
}

/// Why a URL is no endpoint that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum UnusableEndpoint {
    #[error("it is not a URL such as grpc://192.0.2.10:4050")]
    Malformed,
    #[error("it has no port; a node would call port 443, so write the port, such as grpc://192.0.2.10:4050")]
    NoPort,
}

impl FromStr for Endpoint {
    type Err = UnusableEndpoint;

    /// Reads a URL as Talos does: `grpc://`, or none, means no TLS, and any other scheme means TLS. Unlike Talos it
    /// wants a port, and refuses a path, a query and a user, which Talos ignores.
    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let (authority, is_tls) = match url.split_once("://") {
            None => (url, false),
            Some((scheme, rest)) => (rest, !scheme.eq_ignore_ascii_case("grpc")),
        };
        let uri = Uri::builder()
            .scheme("http")
            .authority(authority.strip_suffix('/').unwrap_or(authority))
            .path_and_query("/")
            .build()
            .map_err(|_| UnusableEndpoint::Malformed)?;
        if uri.host().is_none_or(str::is_empty) || authority.contains('@') {
            return Err(UnusableEndpoint::Malformed);
        }
        if uri.port_u16().is_none() {
            return Err(UnusableEndpoint::NoPort);
        }
        Ok(Self { uri, is_tls })
    }
}

impl Endpoint {
    /// Whether it is called inside TLS.
    pub(in crate::cli) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The host without the brackets of an IPv6 address.
    pub(in crate::cli) fn host(&self) -> &str {
        let host = self.uri.host().unwrap_or_default();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }
}

/// As a machine configuration has it.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.uri.authority().map_or("", http::uri::Authority::as_str);
        let scheme = if self.is_tls { "https" } else { "grpc" };
        write!(f, "{scheme}://{authority}")
    }
}

/// Asks once, over a connection of its own, as a node does.
///
/// # Errors
/// [`Failure`] with the exit code that the answer, or its absence, stands for.
pub(super) async fn once(
    endpoint: &Endpoint,
    encryption: &Arc<ClientConfig>,
    operation: Operation,
    node: &str,
    data: &[u8],
    timeout: Duration,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let asked = async {
        let channel = connect(endpoint, encryption).await.map_err(|error| {
            let failure = Failure::new(exit::UNAVAILABLE, format!("cannot reach {endpoint}")).because(&error);
            failure.hint(if ConnectError::is_tls(&error) {
                "a node would not get an answer either: run nightlatch check --tls on the server; --roots names a root of yours"
            } else {
                "see that the server runs there, and that no firewall is between"
            })
        })?;
        // What tonic encodes from and decodes into is not wiped.
        let mut client = KmsServiceClient::new(channel).max_decoding_message_size(MAX_DATA_LEN);
        let mut question = Request::new(Question { node_uuid: node.to_owned(), data: data.to_vec() });
        question.set_timeout(timeout);
        let answer = match operation {
            Operation::Seal => client.seal(question).await,
            Operation::Unseal => client.unseal(question).await,
        };
        answer.map_err(|status| refused(endpoint, &status))
    };
    let Answer { data } = match tokio::time::timeout(timeout, asked).await {
        Ok(answer) => answer?.into_inner(),
        Err(_) => return Err(no_answer(endpoint)),
    };
    if data.is_empty() {
        return Err(Failure::new(exit::DATA, format!("{endpoint} answered with no data"))
            .hint("a node would lock itself out with this answer: see the server's log"));
    }
    Ok(Zeroizing::new(data))
}

async fn connect(endpoint: &Endpoint, encryption: &Arc<ClientConfig>) -> Result<Channel, tonic::transport::Error> {
    let channel = Channel::builder(endpoint.uri.clone());
    if !endpoint.is_tls {
        return channel.connect().await;
    }
    let encryption = Arc::clone(encryption);
    channel.connect_with_connector(tower::service_fn(move |uri| tls::connect(Arc::clone(&encryption), uri))).await
}

/// Calls `once` again while it fails for a reason that may pass, for up to `patience`, telling each new reason.
///
/// # Errors
/// The last [`Failure`].
pub(super) async fn until_answered<T>(
    patience: Duration,
    mut once: impl AsyncFnMut() -> Result<T, Failure>,
    mut tell: impl FnMut(&str),
) -> Result<T, Failure> {
    let mut patience_ends = pin!(tokio::time::sleep(patience));
    let mut told = String::new();
    loop {
        let failure = match once().await {
            Err(failure) if [exit::TEMPORARY, exit::UNAVAILABLE].contains(&failure.code()) => failure,
            answered => return answered,
        };
        if !patience.is_zero() && told != without_counter(failure.error()) {
            without_counter(failure.error()).clone_into(&mut told);
            tell(&told);
        }
        tokio::select! {
            biased;
            () = &mut patience_ends => return Err(failure),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// A waiting text ends in a number that changes with every call: "waiting for approval K7Q2 (3)".
fn without_counter(text: &str) -> &str {
    let counted = text.strip_suffix(')').and_then(|text| text.rsplit_once(" ("));
    match counted {
        Some((text, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => text,
        _ => text,
    }
}

fn no_answer(endpoint: &Endpoint) -> Failure {
    Failure::new(exit::UNAVAILABLE, format!("{endpoint} did not answer in time"))
        .hint("see that a server of this protocol listens there; --timeout gives it longer")
}

fn refused(endpoint: &Endpoint, status: &Status) -> Failure {
    // A status that the client's own side made has a source; one that the server sent has none.
    if let Some(cause) = status.source() {
        return Failure::new(exit::UNAVAILABLE, format!("{endpoint} broke off the call"))
            .because(cause)
            .hint("see that a server of this protocol listens there, and its log");
    }
    let text = printable(status.message());
    match status.code() {
        Code::Unavailable => Failure::new(exit::TEMPORARY, text)
            .hint("approve it, or ask again later; --wait 5m goes on asking until somebody approves"),
        Code::ResourceExhausted => Failure::new(exit::TEMPORARY, text).hint("ask again in a minute"),
        Code::Cancelled | Code::DeadlineExceeded => no_answer(endpoint),
        Code::PermissionDenied if matches!(status.message(), "locked" | "denied" | "blocked") => {
            Failure::new(exit::NO_PERMISSION, text)
                .hint("a person said so: nightlatch status on the server's host says who, and until when")
        }
        Code::PermissionDenied | Code::Unauthenticated => Failure::new(exit::NO_PERMISSION, text)
            .hint("see the server's configuration for this node and this address, and its log"),
        Code::InvalidArgument => {
            Failure::new(exit::DATA, text).hint("see that the data and the node's UUID belong together")
        }
        Code::Unimplemented => Failure::new(exit::UNAVAILABLE, format!("{endpoint} is no key server"))
            .hint("see that the port is that of the key server"),
        code => Failure::new(exit::SOFTWARE, format!("the server failed with {code:?}: {text}"))
            .hint("see the server's log"),
    }
}

/// What a server says, on one line and without anything that could steer a terminal.
fn printable(text: &str) -> String {
    let text = if text.is_empty() { "the server gave no reason" } else { text };
    let mut shown = String::new();
    for character in text.chars().take(MAX_TEXT_LEN) {
        match character {
            ' '..='~' => shown.push(character),
            other => shown.extend(other.escape_unicode()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(text: &str) -> Result<u8, Failure> {
        Err(Failure::new(exit::TEMPORARY, text))
    }

    async fn play(patience: u64, script: Vec<Result<u8, Failure>>) -> (Result<u8, Failure>, Vec<String>, usize) {
        let mut script = script.into_iter();
        let mut told = vec![];
        let answer = until_answered(
            Duration::from_secs(patience),
            async || script.next().expect("a call that the script knows"),
            |text| told.push(text.to_owned()),
        )
        .await;
        (answer, told, script.len())
    }

    #[tokio::test(start_paused = true)]
    async fn asks_until_there_is_an_answer_and_tells_each_reason_once() {
        let (answer, told, left) = play(
            300,
            vec![
                Err(Failure::new(exit::UNAVAILABLE, "cannot reach it")),
                waiting("waiting for approval K7Q2 (1)"),
                waiting("waiting for approval K7Q2 (2)"),
                waiting("waiting for approval M3XA (1)"),
                Ok(7),
            ],
        )
        .await;
        assert_eq!(answer.expect("approved at last"), 7);
        assert_eq!(told, ["cannot reach it", "waiting for approval K7Q2", "waiting for approval M3XA"]);
        assert_eq!(left, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_ends_the_waiting() {
        let (answer, _, left) =
            play(300, vec![waiting("x"), Err(Failure::new(exit::NO_PERMISSION, "denied")), Ok(7)]).await;
        assert_eq!(answer.expect_err("denied").code(), exit::NO_PERMISSION);
        assert_eq!(left, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn without_patience_it_asks_once_and_tells_nothing() {
        let (answer, told, left) = play(0, vec![waiting("x"), Ok(7)]).await;
        assert_eq!(answer.expect_err("still waiting").code(), exit::TEMPORARY);
        assert_eq!((told.len(), left), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let (answer, _, left) = play(3, (0..60).map(|_| waiting("x")).collect()).await;
        assert_eq!(answer.expect_err("still waiting").code(), exit::TEMPORARY);
        assert!((54..=57).contains(&left), "{left}");
    }

    #[test]
    fn endpoints_are_read_as_talos_reads_them() {
        for good in ["grpc://192.0.2.10:4050", "192.0.2.10:4050", "GRPC://kms.example:1/", "grpc://[2001:db8::1]:4050"]
        {
            assert!(!good.parse::<Endpoint>().expect(good).is_tls, "{good}");
        }
        for tls in ["https://192.0.2.10:4050", "grpcs://192.0.2.10:4050", "tcp://192.0.2.10:4050"] {
            let endpoint = tls.parse::<Endpoint>().expect(tls);
            assert!(endpoint.is_tls);
            assert_eq!(endpoint.to_string(), "https://192.0.2.10:4050");
        }
        assert_eq!("grpc://kms.example".parse::<Endpoint>().err(), Some(UnusableEndpoint::NoPort));
        for bad in ["", "grpc://", "grpc://:4050", "grpc://a:4050/x", "grpc://me@a:4050", "grpc://a:99999", "a b:1"] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_server_says_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{202e}"), "a\\u{1b}[2Jb\\u{a}c\\u{202e}");
        assert!(printable(&"x".repeat(10_000)).len() <= MAX_TEXT_LEN);
    }

    #[test]
    fn counters_are_not_news() {
        assert_eq!(without_counter("waiting (3)"), "waiting");
        assert_eq!(without_counter("waiting (three)"), "waiting (three)");
        assert_eq!(without_counter("waiting"), "waiting");
    }
}
