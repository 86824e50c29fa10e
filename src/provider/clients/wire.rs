//! One connection to a server, whose answers have an end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

/// Taken at a time: an answer that never ends keeps the thread, and the memory, for a small piece only.
const PIECE: usize = 8 * 1024;

/// For one answer with all that may come before it and around it: interim answers, headers, the frames of chunks.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// Bytes both ways, encrypted or not.
pub(super) trait Stream: Read + Write + Send + Unpin {}

impl<S: Read + Write + Send + Unpin> Stream for S {}

/// A connection on which no answer is longer than [`LONGEST_ANSWER`], whatever it is made of.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    to_proxy: bool,
    /// Since something was sent.
    heard: usize,
}

impl Wire {
    /// Bounds `stream`; `to_proxy`: what it carries is meant for a proxy to read.
    pub(super) fn new(stream: impl Stream + 'static, to_proxy: bool) -> Self {
        Self { stream: Box::new(stream), to_proxy, heard: 0 }
    }
}

impl Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; PIECE];
        let room = into.remaining().min(PIECE);
        let mut piece = ReadBuf::new(space.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(&mut self.stream).poll_read(cx, piece.unfilled()))?;
        self.heard = self.heard.saturating_add(piece.filled().len());
        if self.heard > LONGEST_ANSWER {
            return Poll::Ready(Err(io::Error::other("the answer does not end")));
        }
        into.put_slice(piece.filled());
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.heard = 0;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.to_proxy)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use hyper::Request;
    use hyper::body::Bytes;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn interim_answers_without_end_are_cut_off_after_a_mebibyte() {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let flood = async move {
            let interim = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
            let mut sent = 0;
            theirs.read_exact(&mut [0; 4]).await.unwrap();
            while theirs.write_all(&interim).await.is_ok() {
                sent += interim.len();
            }
            sent
        };
        let ask = async {
            let wire = Wire::new(TokioIo::new(ours), false);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(wire).await.unwrap();
            let asked = sender.send_request(Request::new(Empty::<Bytes>::new()));
            tokio::join!(asked, connection).0.unwrap_err()
        };
        let (sent, error) = tokio::join!(flood, ask);
        assert!((LONGEST_ANSWER..2 * LONGEST_ANSWER).contains(&sent), "{sent}");
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("the answer does not end"));
    }
}
