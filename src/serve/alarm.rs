//! The timer of one connection: a single alarm that is moved on when it rings too early.
//!
//! A busy client's every request has a deadline of its own, which the next bytes take back. To set and unset a timer for
//! each, and to wake the runtime for it, costs as much as the rest of an answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;

type Alarm = Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>;

/// For one connection, which waits for one deadline at a time.
#[derive(Clone, Default)]
pub(crate) struct AlarmTimer {
    alarm: Alarm,
}

/// Resolves once its moment is past. Dropped, it leaves the alarm set, for the next user of it to move on.
struct Deadline {
    at: Instant,
    alarm: Alarm,
}

impl Timer for AlarmTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Deadline {
            at,
            alarm: Arc::clone(&self.alarm),
        })
    }

    fn now(&self) -> Instant {
        TokioTimer::new().now()
    }
}

impl Sleep for Deadline {}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.at.into();
        let alarm = alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        let rings = alarm.as_mut().poll(cx).is_ready();
        if alarm.deadline() == at || (alarm.deadline() < at && !rings) {
            return if rings {
                Poll::Ready(())
            } else {
                Poll::Pending
            };
        }
        alarm.as_mut().reset(at);
        alarm.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_kept_though_the_alarm_was_set_for_an_earlier_or_a_later_one() {
        let timer = AlarmTimer::default();
        let began = timer.now();
        for (earlier, wanted) in [(2, 5), (5, 2), (3, 3)] {
            let began_here = timer.now();
            let dropped = timer.sleep(Duration::from_secs(earlier));
            assert_eq!(dropped.now_or_never(), None);
            timer.sleep(Duration::from_secs(wanted)).await;
            assert_eq!((timer.now() - began_here).as_secs(), wanted);
        }
        assert_eq!((timer.now() - began).as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_is_past_needs_no_alarm() {
        let timer = AlarmTimer::default();
        let long_ago = timer.now();
        tokio::time::advance(Duration::from_secs(9)).await;
        timer.sleep_until(long_ago).await;
        assert_eq!((timer.now() - long_ago).as_secs(), 9);
    }
}
