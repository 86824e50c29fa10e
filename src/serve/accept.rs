//! Accepting connections, for every listener alike: who accepts owns the tasks of the connections.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Sleep, sleep, timeout};

/// After `accept` failed: most likely out of descriptors, which passes only when some are closed.
const PAUSE: Duration = Duration::from_millis(100);

/// Where connections come in.
pub(crate) trait Port {
    /// One connection.
    type Connection;

    /// The next connection. Dropped before it is there, it loses none.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Connection>> + Send;
}

/// A port, and the tasks that serve its connections.
pub(crate) struct Acceptor<P> {
    port: P,
    connections: JoinSet<()>,
    /// Set after a failure.
    pause: Option<Pin<Box<Sleep>>>,
}

impl<P: Port> Acceptor<P> {
    /// Accepts nothing yet.
    pub(crate) fn new(port: P) -> Self {
        Self {
            port,
            connections: JoinSet::new(),
            pause: None,
        }
    }

    /// The next connection; after a failure not at once. Dropped before it is there, it loses none.
    ///
    /// # Errors
    /// Those of `accept(2)`.
    pub(crate) async fn next(&mut self) -> io::Result<P::Connection> {
        if let Some(pause) = &mut self.pause {
            pause.await;
            self.pause = None;
        }
        let accepted = loop {
            tokio::select! {
                accepted = self.port.accept() => break accepted,
                Some(_) = self.connections.join_next() => {}
            }
        };
        // A client that connects without end must not leave ever more ended tasks behind.
        while self.connections.try_join_next().is_some() {}
        if accepted.is_err() {
            self.pause = Some(Box::pin(sleep(PAUSE)));
        }
        accepted
    }

    /// Serves a connection in a task of its own.
    pub(crate) fn spawn(
        &mut self,
        connection: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        self.connections.spawn(connection)
    }

    /// The port.
    pub(crate) fn port_mut(&mut self) -> &mut P {
        &mut self.port
    }

    /// Closes the port, and leaves the connections.
    pub(crate) fn close(self) -> Connections {
        Connections(self.connections)
    }
}

/// The connections that are left when their port is closed.
pub(crate) struct Connections(JoinSet<()>);

impl Connections {
    /// Waits until they end, and ends those that take longer than `limit`.
    pub(crate) async fn drain(mut self, limit: Duration) {
        let all = async { while self.0.join_next().await.is_some() {} };
        if timeout(limit, all).await.is_err() {
            self.0.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Fails as often as it says, then gives numbers.
    struct Failing {
        left: usize,
        asked: Arc<AtomicUsize>,
    }

    impl Port for Failing {
        type Connection = usize;

        async fn accept(&mut self) -> io::Result<usize> {
            let asked = self.asked.fetch_add(1, Ordering::Relaxed);
            if asked < self.left {
                return Err(io::ErrorKind::Other.into());
            }
            Ok(asked)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_port_that_fails_is_asked_ten_times_a_second_and_no_more() {
        let asked = Arc::<AtomicUsize>::default();
        let mut acceptor = Acceptor::new(Failing {
            left: usize::MAX,
            asked: Arc::clone(&asked),
        });
        let accepting = async { while acceptor.next().await.is_err() {} };
        timeout(Duration::from_millis(1050), accepting)
            .await
            .unwrap_err();
        assert_eq!(asked.load(Ordering::Relaxed), 11);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_the_next_connection_that_is_dropped_in_a_pause_goes_on_later() {
        let mut acceptor = Acceptor::new(Failing {
            left: 1,
            asked: Arc::default(),
        });
        acceptor.next().await.unwrap_err();
        for _ in 0..3 {
            timeout(PAUSE / 4, acceptor.next()).await.unwrap_err();
        }
        assert_eq!(acceptor.next().await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_outlast_the_drain_are_ended() {
        let mut acceptor = Acceptor::new(Failing {
            left: 0,
            asked: Arc::default(),
        });
        let (short, long) = (Duration::from_secs(1), Duration::from_hours(1));
        for lasts in [short, long] {
            acceptor.spawn(sleep(lasts));
        }
        let drained = acceptor.close().drain(Duration::from_secs(2));
        timeout(Duration::from_secs(3), drained).await.unwrap();
    }
}
