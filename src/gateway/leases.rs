//! Tokens that requests have in use, each with the hold under which nothing replaces it without need.
//!
//! Requests of one caller that come close to each other share a lease, so that most of them ask the supervisor nothing. Where
//! the end of the token is near, the engine replaces it all the same.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::api::{Held, Served};
use crate::serve::Caller;
use crate::time::Instant;

/// A new request joins a lease for so long; a token that an admin has replaced meanwhile is found out by its answer.
const SHARED: Duration = Duration::from_secs(1);
/// Callers whose leases are kept.
const MOST: usize = 32;

/// A token in use.
pub(super) struct Lease {
    pub(super) served: Served,
    since: Instant,
    _hold: Held,
}

/// The latest lease of each caller.
#[derive(Default)]
pub(super) struct Leases(Mutex<Vec<(Caller, Arc<Lease>)>>);

impl Leases {
    /// The lease that a request of `caller` may join.
    pub(super) fn of(&self, caller: &Caller, now: Instant) -> Option<Arc<Lease>> {
        let leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |(of, lease): &&(Caller, Arc<Lease>)| {
            is_same(of, caller) && now.since(lease.since) < SHARED
        };
        leases.iter().find(fresh).map(|(_, lease)| lease.clone())
    }

    /// A new lease, which others may join.
    pub(super) fn begin(
        &self,
        caller: &Caller,
        served: Served,
        hold: Held,
        now: Instant,
    ) -> Arc<Lease> {
        let lease = Arc::new(Lease {
            served,
            since: now,
            _hold: hold,
        });
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leases.retain(|(of, _)| !is_same(of, caller));
        if leases.len() >= MOST {
            leases.remove(0);
        }
        leases.push((caller.clone(), lease.clone()));
        lease
    }

    /// Lets no more requests join leases of a token that died.
    pub(super) fn end(&self, generation: u64) {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leases.retain(|(_, lease)| lease.served.published.generation != generation);
    }

    /// Lets go of tokens that no request has used lately.
    pub(super) fn sweep(&self, now: Instant) {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leases.retain(|(_, lease)| now.since(lease.since) < SHARED);
    }
}

/// Whether two callers have the same rights, be they different processes.
fn is_same(one: &Caller, other: &Caller) -> bool {
    (one.uid, one.gid, &one.groups) == (other.uid, other.gid, &other.groups)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tokio::sync::oneshot;

    use super::*;
    use crate::named::Named;
    use crate::secret::Secret;
    use crate::token::{Published, Token};

    #[test]
    fn a_lease_is_shared_by_its_caller_for_a_second_and_let_go_when_the_last_request_ends() {
        let leases = Leases::default();
        let (guard, mut released) = oneshot::channel();
        let at = Instant::from_millis;
        let first = leases.begin(&caller(1000, 1), served(7), held(guard), at(0));
        assert!(
            leases.of(&caller(1000, 2), at(999)).is_some(),
            "another process of the same user"
        );
        assert!(leases.of(&caller(1001, 1), at(1)).is_none());
        assert!(leases.of(&caller(1000, 1), at(1000)).is_none());
        leases.sweep(at(1000));
        assert!(
            released
                .try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
        );
        drop(first);
        assert!(
            released
                .try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Closed)
        );
    }

    #[test]
    fn no_request_joins_a_lease_of_a_token_that_died() {
        let leases = Leases::default();
        let (guard, _released) = oneshot::channel();
        leases.begin(
            &caller(1000, 1),
            served(7),
            held(guard),
            Instant::from_millis(0),
        );
        leases.end(6);
        assert!(
            leases
                .of(&caller(1000, 1), Instant::from_millis(1))
                .is_some()
        );
        leases.end(7);
        assert!(
            leases
                .of(&caller(1000, 1), Instant::from_millis(1))
                .is_none()
        );
    }

    fn caller(uid: u32, pid: i32) -> Caller {
        Caller {
            uid,
            gid: uid,
            groups: vec![4],
            pid: Some(pid),
        }
    }

    fn held(guard: oneshot::Sender<()>) -> Held {
        Held {
            session: "crm".to_owned(),
            until: Timestamp::UNIX_EPOCH,
            token: None,
            guard,
        }
    }

    fn served(generation: u64) -> Served {
        Served {
            published: Arc::new(Published {
                session: "crm".into(),
                generation,
                token: Arc::new(Token {
                    access_token: Secret::new("t0ken"),
                    token_type: "Bearer".into(),
                    instance_url: None,
                    captures: Named::default(),
                    issued_at: Timestamp::UNIX_EPOCH,
                    expires_at: None,
                }),
                headers: Vec::new(),
                base: "https://crm.example".to_owned(),
            }),
            env_prefix: "CRM".into(),
            valid_for: None,
        }
    }
}
