//! Answers `GET /metrics`, and nothing else, over HTTP/1.1: a connection is for one answer.

use std::convert::Infallible;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_util::net::Listener;

/// Connections of one socket. Whoever comes then waits until one of them has ended.
const MAX_CONNECTIONS: usize = 8;

/// How long a connection lasts at most, whatever its peer does.
const MAX_TIME: Duration = Duration::from_secs(5);

/// Longest line and headers of a request, in bytes: the least that the library can be told.
const MAX_REQUEST_LEN: usize = 8 * 1024;

/// After a failed accept (most often: no more descriptors) the listener rests this long, and then tries again.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers who connects to `listener` with what `text` says then. Its connections end with this future.
pub async fn serve<L>(mut listener: L, text: impl Fn() -> String + Clone + Send + Sync + 'static) -> Infallible
where
    L: Listener,
    L::Io: Send + Unpin + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((io, _)) => {
                    connections.spawn(answer(io, text.clone()));
                }
                Err(error) => {
                    tracing::debug!(%error, "connection for metrics not accepted");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            },
        }
    }
}

async fn answer(io: impl AsyncRead + AsyncWrite + Unpin, text: impl Fn() -> String) {
    let service = service_fn(|request| {
        let response = respond(&request, &text);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_REQUEST_LEN)
        // The whole connection has its time.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(io), service);
    // That a peer sent something else, or went away, is of no interest to anybody.
    drop(tokio::time::timeout(MAX_TIME, connection).await);
}

fn respond<B>(request: &Request<B>, text: impl Fn() -> String) -> Response<String> {
    let mut response = Response::new(String::new());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    } else {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
        *response.body_mut() = text();
    }
    response
}

#[cfg(test)]
mod tests;
