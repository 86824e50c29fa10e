//! Connections for which there is no permit: each is told so, and some are given the time to read it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

use crate::descriptors::allowed_descriptors;

/// So many at a time; each holds a descriptor.
const AT_A_TIME: usize = 16;

/// All of them together may take a sixteenth.
const DESCRIPTORS_EACH: usize = 16;

/// For sending a request that will not be read, and for reading the answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// A server that closes at once breaks its client's pipe: a client that is still sending never reads why.
#[derive(Debug)]
pub(crate) struct Rejection {
    places: Arc<Semaphore>,
}

impl Default for Rejection {
    fn default() -> Self {
        Self::at_most(AT_A_TIME.min(allowed_descriptors() / DESCRIPTORS_EACH))
    }
}

impl Rejection {
    fn at_most(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
        }
    }

    /// Answers with `answer`; gives what then takes, for a moment, what the client sends. In a great crowd, closes at once.
    pub(crate) fn tell(
        &self,
        mut stream: UnixStream,
        answer: &str,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        // Fits into the empty send buffer of a new connection; if it did not, closing would have to do.
        let _ = stream.try_write(answer.as_bytes());
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(async move {
            let _place = place;
            let _ = tokio::time::timeout(PATIENCE, async {
                let _ = stream.shutdown().await;
                let mut unread = [0; 1024];
                while stream.read(&mut unread).await.is_ok_and(|read| read > 0) {}
            })
            .await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_is_turned_away_while_it_sends_reads_why() {
        let rejection = Rejection::at_most(AT_A_TIME);
        let mut tasks = tokio::task::JoinSet::new();
        let mut clients = Vec::new();
        for _ in 0..=AT_A_TIME {
            let (ours, theirs) = UnixStream::pair().unwrap();
            if let Some(telling) = rejection.tell(ours, "HTTP/1.1 503 Service Unavailable\r\n\r\n")
            {
                tasks.spawn(telling);
            }
            clients.push(theirs);
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let sent = client
                .write_all(b"GET /v1/sessions HTTP/1.1\r\nhost: x\r\n\r\n")
                .await;
            assert_eq!(sent.is_ok(), number < AT_A_TIME, "{number}");
            let mut said = String::new();
            client.read_to_string(&mut said).await.unwrap();
            assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
        }
        drop(clients);
        while tasks.join_next().await.is_some() {}
    }
}
