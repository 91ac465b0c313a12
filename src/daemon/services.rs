//! The tasks that a running server consists of. None of them ends by itself: a server that goes on without one looks
//! alive and does half of its work.

use tokio::task::{JoinError, JoinSet};

/// The running tasks, by what they are for; all end when this is dropped. What fails in them, they log.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// Accept connections.
    pub(super) listeners: JoinSet<()>,
    /// Serves nodes.
    pub(super) nodes: JoinSet<()>,
    /// Serve the approval channels.
    pub(super) channels: JoinSet<()>,
    /// Does what is due.
    pub(super) clockwork: JoinSet<()>,
}

/// A task that never ends has ended.
#[derive(Debug, thiserror::Error)]
#[error("{task} {}", if *.panicked { "panicked" } else { "ended unasked" })]
pub struct Ended {
    task: &'static str,
    panicked: bool,
}

impl Services {
    /// Waits for `stop`, and passes on what it says.
    ///
    /// # Errors
    /// [`Ended`] when a task ends before that.
    pub(super) async fn until<T>(&mut self, stop: impl Future<Output = T>) -> Result<T, Ended> {
        let (task, ended) = tokio::select! {
            biased;
            stopped = stop => return Ok(stopped),
            // A set without tasks is not waited for. `stop` always is.
            Some(ended) = self.listeners.join_next() => ("a listener", ended),
            Some(ended) = self.nodes.join_next() => ("the service for nodes", ended),
            Some(ended) = self.channels.join_next() => ("the service of a channel", ended),
            Some(ended) = self.clockwork.join_next() => ("the clockwork", ended),
        };
        Err(Ended { task, panicked: ended.is_err_and(|error: JoinError| error.is_panic()) })
    }

    /// Waits for the service for nodes, which ends when its last connection does.
    pub(super) async fn drain_nodes(&mut self) {
        while self.nodes.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn running() -> Services {
        let mut services = Services::default();
        let Services { listeners, nodes, channels, clockwork } = &mut services;
        for tasks in [listeners, nodes, channels, clockwork] {
            tasks.spawn(pending());
        }
        services
    }

    fn tasks<'a>(services: &'a mut Services, task: &str) -> &'a mut JoinSet<()> {
        match task {
            "a listener" => &mut services.listeners,
            "the service for nodes" => &mut services.nodes,
            "the service of a channel" => &mut services.channels,
            _ => &mut services.clockwork,
        }
    }

    #[tokio::test]
    async fn a_stop_is_passed_on() {
        assert_eq!(running().until(ready("SIGTERM")).await.expect("asked"), "SIGTERM");
    }

    #[tokio::test]
    async fn each_end_is_noticed() {
        for task in ["a listener", "the service for nodes", "the service of a channel", "the clockwork"] {
            let mut services = running();
            tasks(&mut services, task).spawn(ready(()));
            let ended = services.until(pending::<()>()).await.expect_err("it ended");
            assert_eq!(ended.to_string(), format!("{task} ended unasked"));

            let mut services = running();
            tasks(&mut services, task).spawn(async { panic!("on purpose") });
            let ended = services.until(pending::<()>()).await.expect_err("it panicked");
            assert_eq!(ended.to_string(), format!("{task} panicked"));
        }
    }
}
