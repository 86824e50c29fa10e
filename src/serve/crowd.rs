//! Listeners whose callers are not told apart: one connection too many ends the oldest of its kind.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::{AbortHandle, yield_now};

use super::accept::{Acceptor, Port};

/// How many connections of each kind there may be. A flood of connections that ask for nothing ends none of those that have
/// asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// That have asked for nothing yet.
    pub(crate) silent: usize,
    /// That have asked.
    pub(crate) asking: usize,
}

/// Whether a connection's request was read; its task says so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked(Arc<AtomicBool>);

impl Asked {
    /// A request was read.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct Open {
    task: AbortHandle,
    asked: Asked,
}

/// Serves every connection of `port` with `serve_one`, without end; dropped, it ends them all.
pub(crate) async fn serve_crowd<P, F>(
    port: P,
    limits: Limits,
    mut serve_one: impl FnMut(P::Connection, Asked) -> F,
) where
    P: Port,
    F: Future<Output = ()> + Send + 'static,
{
    let mut acceptor = Acceptor::new(port);
    let mut open = VecDeque::new();
    loop {
        let Ok(connection) = acceptor.next().await else {
            continue;
        };
        make_room(&mut open, limits);
        let asked = Asked::default();
        let task = acceptor.spawn(serve_one(connection, asked.clone()));
        open.push_back(Open { task, asked });
        // A request that has come along must be read before the next caller can end the connection.
        yield_now().await;
    }
}

/// Ends the oldest connection of each kind that has no room for one more.
fn make_room(open: &mut VecDeque<Open>, limits: Limits) {
    open.retain(|connection| !connection.task.is_finished());
    for (asking, most) in [(false, limits.silent), (true, limits.asking)] {
        let of_kind = |connection: &Open| connection.asked.is_set() == asking;
        if open.iter().filter(|connection| of_kind(connection)).count() < most {
            continue;
        }
        if let Some(oldest) = open.iter().position(of_kind).and_then(|at| open.remove(at)) {
            oldest.task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::io;
    use std::sync::Mutex;

    use super::*;

    /// So many connections, then none.
    struct Numbers(std::ops::Range<usize>);

    impl Port for Numbers {
        type Connection = usize;

        async fn accept(&mut self) -> io::Result<usize> {
            match self.0.next() {
                Some(number) => Ok(number),
                None => pending().await,
            }
        }
    }

    /// Says that its connection has ended.
    struct Ending(usize, Arc<Mutex<Vec<usize>>>);

    impl Drop for Ending {
        fn drop(&mut self) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_of_its_kind_ends_for_one_connection_too_many_and_none_of_the_other_kind() {
        let ended = Arc::<Mutex<Vec<usize>>>::default();
        let limits = Limits {
            silent: 3,
            asking: 2,
        };
        // The first two ask, the others do not.
        let crowd = serve_crowd(Numbers(0..7), limits, |number, asked| {
            let ending = Ending(number, Arc::clone(&ended));
            async move {
                let _ending = ending;
                if number < 2 {
                    asked.set();
                }
                pending::<()>().await;
            }
        });
        tokio::time::timeout(std::time::Duration::from_secs(1), crowd)
            .await
            .unwrap_err();
        let ended = ended.lock().unwrap();
        assert_eq!(ended[..3], [0, 2, 3], "{ended:?}");
    }
}
