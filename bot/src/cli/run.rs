//! `nightlatch-bot run`: asks people, and takes their answers, until it is told to stop.

use nightlatch_approval_api::notify::Manager;
use zeroize::Zeroizing;

use super::failure::{Failure, exit};
use crate::config::{Config, Warning};
use crate::kept::Store;
use crate::run::{self, Parts, Stopped};
use crate::telegram::{ApiUrl, Patience, ProxyUrl, Route, Telegram};
use crate::token::Token;
use crate::{credential, logging};

/// Runs the bot.
pub(super) fn run(config: &Config, warnings: &[Warning]) -> Result<(), Failure> {
    logging::start(config.log);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let telegram = telegram(config)?;
    let (store, kept, put_aside) = Store::open(&config.state_directory).map_err(|error| {
        Failure::new(exit::UNAVAILABLE, "the state directory cannot be used").because(&error)
    })?;
    if let Some(put_aside) = put_aside {
        tracing::warn!("{put_aside}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(exit::SOFTWARE, "cannot start").because(&error))?;
    let parts = Parts {
        socket: config.socket.clone(),
        settings: config.settings.clone(),
        telegram,
        store,
        kept,
        manager: Manager::from_environment(),
    };
    runtime.block_on(run::run(parts)).map_err(|stopped| match stopped {
        Stopped::Refused(_) => Failure::new(exit::NO_PERMISSION, stopped.to_string())
            .hint("the server's configuration needs a [[channel]] with people = \"telegram\" and this user's uid"),
        Stopped::Signals(_) => Failure::new(exit::SOFTWARE, stopped.to_string()).because(&stopped),
    })
}

/// The way to Telegram that the configuration describes.
pub(super) fn telegram(config: &Config) -> Result<Telegram, Failure> {
    let secret = |error: credential::Error| {
        Failure::new(exit::CONFIG, "a secret cannot be used").because(&error).hint(error.hint())
    };
    let token = credential::token(config.token_file.as_deref()).map_err(secret)?;
    let proxy = config.proxy.as_ref().map(credential::proxy).transpose().map_err(secret)?;
    let unusable = |error| Failure::new(exit::CONFIG, "Telegram cannot be reached as configured").because(&error);
    let token = Token::parse(&Zeroizing::new(token.expose().to_owned()))
        .ok_or_else(|| Failure::new(exit::CONFIG, "this is no token"))?;
    let root = match &config.api_root {
        None => None,
        Some(path) => Some(std::fs::read(path).map_err(|error| {
            Failure::new(exit::CONFIG, format!("cannot read {}", path.display())).because(&error)
        })?),
    };
    let route = Route {
        api: ApiUrl::parse(config.api.as_str()).map_err(unusable)?,
        root,
        proxy: proxy.map(|proxy| ProxyUrl::parse(proxy.expose().as_str())).transpose().map_err(unusable)?,
        patience: Patience::default(),
    };
    Telegram::new(token, route).map_err(unusable)
}
