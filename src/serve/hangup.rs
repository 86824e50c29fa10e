//! When a client has gone: it closed both its sides. One that only sends no more (`nc -N`) still waits for its answer.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;

use super::Stream;

/// How soon it is noticed that a client that had closed its sending side closed the other one too.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Resolves when what is written to `stream` can no longer be read.
pub(crate) async fn hung_up(stream: &Stream) {
    // What the runtime tells apart of a socket's ends is the reading side alone: it comes with urgent data, of which a
    // unix socket has none.
    if stream.ready(Interest::PRIORITY).await.is_err() {
        return;
    }
    while !is_hung_up(stream) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn is_hung_up(stream: &Stream) -> bool {
    let mut looked_at = [PollFd::new(stream, PollFlags::empty())];
    let found = poll(&mut looked_at, Some(&Timespec::default()));
    found.is_err()
        || looked_at
            .iter()
            .any(|one| one.revents().intersects(PollFlags::HUP | PollFlags::ERR))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream, UnixStream};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_closes_only_the_sending_side_is_still_there() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let ours = Stream::Unix(ours);
        theirs.shutdown().await.unwrap();
        tokio::time::timeout(LOOK_EVERY * 20, hung_up(&ours))
            .await
            .unwrap_err();
        drop(theirs);
        tokio::time::timeout(LOOK_EVERY * 2, hung_up(&ours))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn who_closes_both_sides_has_gone_whatever_was_left_unread() {
        for unread in [&b""[..], b"{}"] {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            ours.write_all(unread).await.unwrap();
            drop(theirs);
            let ours = Stream::Unix(ours);
            tokio::time::timeout(Duration::from_secs(5), hung_up(&ours))
                .await
                .unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_has_not_gone() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let ours = Stream::Unix(ours);
        tokio::time::timeout(Duration::from_hours(1), hung_up(&ours))
            .await
            .unwrap_err();
    }

    #[tokio::test]
    async fn a_connection_by_tcp_that_was_cut_has_gone_and_one_half_closed_has_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut theirs = TcpStream::connect(address).await.unwrap();
        let ours = Stream::Tcp(listener.accept().await.unwrap().0);
        theirs.shutdown().await.unwrap();
        tokio::time::timeout(LOOK_EVERY * 4, hung_up(&ours))
            .await
            .unwrap_err();
        theirs.set_zero_linger().unwrap();
        drop(theirs);
        tokio::time::timeout(Duration::from_secs(5), hung_up(&ours))
            .await
            .unwrap();
    }
}
