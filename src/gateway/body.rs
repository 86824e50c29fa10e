//! Bodies on their way through: nothing is kept of them but what a second try or a look at the answer needs, and a silence that
//! lasts too long ends them.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// How long either side may send nothing while its body is under way.
const SILENCE: Duration = Duration::from_mins(10);
/// A job that sends a small body does so at once.
const SMALL_SILENCE: Duration = Duration::from_secs(30);

/// The next data of a body; none at its end. Trailers are left out.
pub(super) async fn next_data<B: Body<Data = Bytes> + Unpin>(
    body: &mut B,
) -> Option<Result<Bytes, B::Error>> {
    loop {
        match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await? {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}

/// All of a small body.
///
/// # Errors
/// When it breaks off, or nothing comes for too long.
pub(super) async fn collected<B>(mut body: B, announced: usize) -> Result<Bytes, io::Error>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut all = Vec::with_capacity(announced);
    loop {
        let next = tokio::time::timeout(SMALL_SILENCE, next_data(&mut body)).await;
        match next.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))? {
            Some(Ok(data)) => all.extend_from_slice(&data),
            Some(Err(error)) => return Err(io::Error::other(error)),
            None => return Ok(all.into()),
        }
    }
}

/// A body that passes through; `along` lives as long as it.
pub(super) struct Passing<B, A> {
    /// What was looked at already, passed on first.
    first: Option<Bytes>,
    inner: B,
    /// What the whole is to be, where that is known.
    size: SizeHint,
    silence: Option<Pin<Box<Sleep>>>,
    along: A,
}

/// Told of what passes.
pub(super) trait Along: Unpin {
    /// So many bytes passed.
    fn passed(&mut self, bytes: usize);
}

impl<B: Body<Data = Bytes> + Unpin, A: Along> Passing<B, A> {
    pub(super) fn new(first: Bytes, inner: B, size: SizeHint, along: A) -> Self {
        Self {
            first: (!first.is_empty()).then_some(first),
            inner,
            size,
            silence: None,
            along,
        }
    }

    /// Set anew by each byte.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(SILENCE)));
        silence.as_mut().poll(cx)
    }
}

impl<B, A> Body for Passing<B, A>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    A: Along,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(first) = self.first.take() {
            self.along.passed(first.len());
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        loop {
            let polled = Pin::new(&mut self.inner).poll_frame(cx);
            if polled.is_pending() {
                ready!(self.poll_silence(cx));
                return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
            }
            self.silence = None;
            match ready!(polled) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.along.passed(data.len());
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_body_and_minutes_of_it_do_not() {
        for (pause, expected) in [
            (Duration::from_mins(9), true),
            (Duration::from_mins(11), false),
        ] {
            let parts = VecDeque::from([(pause, "a"), (pause, "b")]);
            let mut passing = Passing::new(
                Bytes::from_static(b"first "),
                Slow::new(parts),
                SizeHint::default(),
                Count(0),
            );
            let mut seen = Vec::new();
            let ended = loop {
                match next_data(&mut passing).await {
                    Some(Ok(data)) => seen.extend_from_slice(&data),
                    Some(Err(error)) => break Err(error.kind()),
                    None => break Ok(()),
                }
            };
            if expected {
                assert_eq!((ended, &seen[..]), (Ok(()), &b"first ab"[..]));
                assert_eq!(passing.along.0, 8);
            } else {
                assert_eq!(
                    (ended, &seen[..]),
                    (Err(io::ErrorKind::TimedOut), &b"first "[..])
                );
            }
        }
    }

    #[derive(Debug)]
    struct Count(usize);

    impl Along for Count {
        fn passed(&mut self, bytes: usize) {
            self.0 += bytes;
        }
    }

    /// Each part after its pause.
    struct Slow {
        parts: VecDeque<(Duration, &'static str)>,
        pause: Option<Pin<Box<Sleep>>>,
    }

    impl Slow {
        fn new(parts: VecDeque<(Duration, &'static str)>) -> Self {
            Self { parts, pause: None }
        }
    }

    impl Body for Slow {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            let Some((pause, part)) = self.parts.front().copied() else {
                return Poll::Ready(None);
            };
            ready!(
                self.pause
                    .get_or_insert_with(|| Box::pin(sleep(pause)))
                    .as_mut()
                    .poll(cx)
            );
            self.pause = None;
            self.parts.pop_front();
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(part.as_bytes())))))
        }
    }
}
