//! The token is part of every address that the bot calls, and libraries tell addresses at their lower levels.

#![expect(clippy::expect_used, reason = "a test that cannot be prepared has failed")]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{StatusCode, header};
use nightlatch_bot::config::LogLevel;
use nightlatch_bot::logging;
use teloxide_core::prelude::Requester;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

const TOKEN: &str = "123456789:AAExample_of-a-token-of-35-characters";

/// What was written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody panicked").clone()).expect("text")
    }
}

/// A server that sends a client elsewhere, on the same server, until it gives up: an error that has an address in it.
async fn sent_elsewhere() -> reqwest::Url {
    let elsewhere = |uri: axum::http::Uri| async move {
        let path = uri.path().to_owned();
        (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, format!("/again{path}"))])
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(elsewhere)).await });
    format!("http://{address}").parse().expect("an address")
}

#[tokio::test]
async fn the_token_is_in_no_line_at_any_level() {
    let (all, ours) = (Written::default(), Written::default());
    let (all_writer, our_writer) = (all.clone(), ours.clone());
    let everything = tracing_subscriber::fmt::layer().with_writer(move || all_writer.clone());
    let lines = logging::lines(LogLevel::Trace, move || our_writer.clone());
    tracing_subscriber::registry().with(everything).with(lines).init();

    let _set = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // What it adds is every byte that is sent, which is the most that a library can tell.
    let client = reqwest::Client::builder().no_proxy().connection_verbose(true).build().expect("a client");
    let bot = teloxide_core::Bot::with_client(TOKEN, client).set_api_url(sent_elsewhere().await);
    let error = bot.get_me().await.expect_err("redirected for ever");
    tracing::trace!(target: "nightlatch_bot::telegram", %error, "not told");
    tracing::warn!(target: "library", "heard");

    assert!(all.text().contains(TOKEN), "nothing told the token: this test cannot fail\n{}", all.text());
    assert!(!ours.text().contains("AAExample"), "{}", ours.text());
    for ours_and_loud in ["not told", "heard"] {
        assert!(ours.text().contains(ours_and_loud), "{ours_and_loud}: {}", ours.text());
    }
}
