//! A client's stream whose writes must get on: a client that does not take its answer is let go.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::Stream;

/// Passes everything through, and shows `seen` what is read; a write that makes no progress for `patience` fails with
/// `TimedOut`.
pub(crate) struct StallGuard<'a, S> {
    stream: &'a Stream,
    seen: S,
    patience: Duration,
    /// Set while a write waits.
    giving_up: Option<Pin<Box<Sleep>>>,
}

impl<'a, S> StallGuard<'a, S> {
    pub(crate) fn new(stream: &'a Stream, patience: Duration, seen: S) -> Self {
        Self {
            stream,
            seen,
            patience,
            giving_up: None,
        }
    }

    /// Writes with `write` as soon as the socket takes something, and gives up when it takes nothing for too long.
    fn poll_with(
        &mut self,
        cx: &mut Context<'_>,
        write: impl Fn(&Stream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        while self.stream.poll_write_ready(cx)?.is_ready() {
            match write(self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                progress => {
                    self.giving_up = None;
                    return Poll::Ready(progress);
                }
            }
        }
        let patience = self.patience;
        let giving_up = self
            .giving_up
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        giving_up
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: FnMut(&[u8]) + Unpin> AsyncRead for StallGuard<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    (self.seen)(buffer.filled().get(before..).unwrap_or_default());
                    return Poll::Ready(read.map(|_| ()));
                }
            }
        }
    }
}

impl<S: Unpin> AsyncWrite for StallGuard<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(cx, |stream| stream.try_write_vectored(buffers))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(
            rustix::net::shutdown(self.stream, rustix::net::Shutdown::Write)
                .map_err(io::Error::from),
        )
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_takes_ends() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let ours = Stream::Unix(ours);
        let mut guarded = StallGuard::new(&ours, Duration::from_secs(5), |_: &[u8]| ());
        let error = guarded
            .write_all(&vec![b'x'; MORE_THAN_FITS])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_that_gets_on_is_served_to_the_end() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let ours = Stream::Unix(ours);
        let mut guarded = StallGuard::new(&ours, Duration::from_secs(5), |_: &[u8]| ());
        let read = async {
            let mut taken = 0;
            let mut part = vec![0; MORE_THAN_FITS];
            while taken < MORE_THAN_FITS {
                tokio::time::sleep(Duration::from_secs(4)).await;
                taken += theirs.read(&mut part).await?;
            }
            Ok(())
        };
        let much = vec![b'x'; MORE_THAN_FITS];
        tokio::try_join!(guarded.write_all(&much), read).unwrap();
    }

    #[tokio::test]
    async fn both_directions_and_the_end_pass_through() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let ours = Stream::Unix(ours);
        let mut guarded = StallGuard::new(&ours, Duration::from_secs(5), |_: &[u8]| ());
        theirs.write_all(b"question").await.unwrap();
        theirs.shutdown().await.unwrap();
        let (mut asked, mut answered) = (String::new(), String::new());
        guarded.read_to_string(&mut asked).await.unwrap();
        assert_eq!(
            guarded
                .write_vectored(&[io::IoSlice::new(b"ans"), io::IoSlice::new(b"wer")])
                .await
                .unwrap(),
            6
        );
        guarded.shutdown().await.unwrap();
        theirs.read_to_string(&mut answered).await.unwrap();
        assert_eq!((asked.as_str(), answered.as_str()), ("question", "answer"));
    }

    /// A unix socket takes some 200 KiB before it says that it is full.
    const MORE_THAN_FITS: usize = 1024 * 1024;
}
