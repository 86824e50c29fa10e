//! Names of hosts, looked up by the system's resolver: one lookup for a name at a time, however many calls ask for it.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, ready};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

/// Lookups at a time, as many as calls can be in flight: names of a zone whose servers hang must not keep others from being
/// looked up. There are more threads than that, since secrets must not wait for them either.
const LOOKUPS: usize = 256;

type Found = Result<Vec<SocketAddr>, Arc<io::Error>>;
type Lookup = Shared<BoxFuture<'static, Found>>;

/// The system's resolver. It cannot be interrupted and may take half a minute, so that a call which was given up leaves a
/// thread behind; the next call for the same name joins that lookup rather than leave another.
#[derive(Clone)]
pub(super) struct Names {
    under_way: Arc<Mutex<HashMap<String, Lookup>>>,
    permits: Arc<Semaphore>,
    look_up: fn(&str) -> io::Result<Vec<SocketAddr>>,
}

impl Default for Names {
    fn default() -> Self {
        Self::by(|name| (name, 0).to_socket_addrs().map(Iterator::collect))
    }
}

impl Names {
    fn by(look_up: fn(&str) -> io::Result<Vec<SocketAddr>>) -> Self {
        Self {
            under_way: Arc::default(),
            permits: Arc::new(Semaphore::new(LOOKUPS)),
            look_up,
        }
    }

    /// The addresses of `name`.
    pub(super) async fn look_up(&self, name: &str) -> Found {
        self.lookup(name.to_owned()).await
    }

    /// Joins the lookup of `name` that is under way, or begins one.
    fn lookup(&self, name: String) -> Lookup {
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(lookup) = under_way.get(&name) {
            return lookup.clone();
        }
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            let error = Err(Arc::new(io::Error::other("the resolver does not answer")));
            return ready(error).boxed().shared();
        };
        let lookup = self.begin(name.clone(), permit);
        under_way.insert(name, lookup.clone());
        lookup
    }

    fn begin(&self, name: String, permit: OwnedSemaphorePermit) -> Lookup {
        let Self {
            under_way, look_up, ..
        } = self.clone();
        let way = UnderWay {
            name,
            all: under_way,
            _permit: permit,
        };
        let looking = async move {
            let ended = spawn_blocking(move || look_up(&way.name).map_err(Arc::new)).await;
            ended.unwrap_or_else(|error| Err(Arc::new(io::Error::other(error))))
        };
        looking.boxed().shared()
    }
}

/// A lookup's place among those under way, given back when it is over, and when it could not begin: answers are not kept,
/// that is the resolver's business.
struct UnderWay {
    name: String,
    all: Arc<Mutex<HashMap<String, Lookup>>>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let _own = self
            .all
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.name);
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.lookup(name.as_str().to_owned());
        Box::pin(async move {
            let found = lookup.await?;
            Ok::<Addrs, _>(Box::new(found.into_iter()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_resolver_that_hangs_keeps_one_thread_for_a_name_however_often_its_calls_are_given_up()
     {
        static LOOKUPS: AtomicUsize = AtomicUsize::new(0);
        let names = Names::by(|_| {
            LOOKUPS.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(300));
            Ok(vec![SocketAddr::from(([192, 0, 2, 1], 0))])
        });
        for _ in 0..5 {
            let given_up = tokio::time::timeout(
                Duration::from_millis(10),
                names.lookup("dead.example".into()),
            )
            .await;
            assert!(given_up.is_err());
        }
        assert_eq!(names.lookup("dead.example".into()).await.unwrap().len(), 1);
        assert_eq!(LOOKUPS.load(Ordering::Relaxed), 1);
        assert_eq!(names.lookup("dead.example".into()).await.unwrap().len(), 1);
        assert_eq!(
            LOOKUPS.load(Ordering::Relaxed),
            2,
            "an answer is asked for anew"
        );
    }

    #[test]
    fn a_lookup_whose_thread_ends_before_it_begins_is_not_waited_for_by_the_next_call() {
        let names = Names::by(|_| Ok(vec![SocketAddr::from(([192, 0, 2, 1], 0))]));
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .max_blocking_threads(1)
                .enable_time()
                .build()
                .unwrap()
        };
        let ends = runtime();
        let (let_go, busy) = std::sync::mpsc::channel::<()>();
        ends.spawn_blocking(move || busy.recv());
        let mut lookup = names.lookup("late.example".into());
        ends.block_on(async { assert!((&mut lookup).now_or_never().is_none()) });
        ends.shutdown_background();
        let_go.send(()).unwrap();
        let joined = runtime()
            .block_on(async { tokio::time::timeout(Duration::from_secs(30), lookup).await });
        assert!(joined.is_ok(), "it ended without an answer");
        assert_eq!(
            runtime()
                .block_on(names.lookup("late.example".into()))
                .unwrap()
                .len(),
            1
        );
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_looked_up_again_by_the_next_call() {
        let names = Names::by(|_| Err(io::ErrorKind::NotFound.into()));
        for _ in 0..2 {
            assert_eq!(
                names
                    .lookup("nowhere.example".into())
                    .await
                    .unwrap_err()
                    .kind(),
                io::ErrorKind::NotFound
            );
        }
        assert!(names.under_way.lock().unwrap().is_empty());
    }
}
