//! How many connections there may be: each holds a permit, and no user's connections leave the others without one.
//!
//! Three pots of permits: strangers, who may see nothing, have a small one of their own; readers and admins share the large
//! one; and a few permits are kept for admins, however many others have come. In each pot, a user may take half of what the others left.
//!
//! A user who has all the permits that the user may have still gets one, if another connection of the same user has asked for
//! nothing: that one is evicted. And answers that last take only a part of a user's permits. So a program that hoards
//! connections does not shut out the other programs of its user.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::descriptors::allowed_descriptors;
use crate::time::Instant;

/// Enough for every job of a large machine, little enough to be no burden.
const MOST: usize = 4096;

/// One for each pot, and two to share.
const LEAST: usize = 4;

/// Strangers ask whether the daemon lives, and are told so at once: more of them at a time are up to something. As many are
/// kept for admins. On a machine that gives few descriptors, each is a sixteenth of all.
const SMALL_POT: usize = 64;

/// Descriptors that the daemon itself holds, with a few files that it writes.
const IN_USE: usize = 24;

/// A client has so long to begin a request before its permit may go to another connection of its user.
const SILENT: Duration = Duration::from_millis(250);

/// What a caller is to the daemon, as far as room for connections goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// May do everything.
    Admin,
    /// May see a session at least.
    Reader,
    /// May see nothing.
    Stranger,
}

/// The permits of one listener.
#[derive(Debug)]
pub(crate) struct Permits {
    registry: Arc<Mutex<Registry>>,
}

/// Which pot a permit is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Shared,
    Kept,
    Strangers,
}

impl Place {
    /// The pots that a caller may take a permit of, the first choice first.
    fn of(standing: Standing) -> &'static [Self] {
        match standing {
            Standing::Admin => &[Self::Shared, Self::Kept],
            Standing::Reader => &[Self::Shared],
            Standing::Stranger => &[Self::Strangers],
        }
    }
}

/// One connection: its pot, its user, and how many came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    place: Place,
    user: u32,
    number: u64,
}

#[derive(Debug)]
struct Registry {
    shared: Pot,
    kept: Pot,
    strangers: Pot,
    /// Those that have asked for nothing yet, by place, user and age.
    silent: BTreeMap<Key, (Instant, Arc<Eviction>)>,
    granted: u64,
}

/// Permits, and how many of them each user has.
#[derive(Debug)]
struct Pot {
    most: usize,
    open: Counts,
    /// Those of them whose answers last.
    lasting: Counts,
}

/// How many of something each user has.
#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_user: HashMap<u32, usize>,
}

/// Tells a connection that its permit was given to another.
#[derive(Debug, Default)]
struct Eviction {
    given: AtomicBool,
    notice: Notify,
}

/// One connection's permit; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    key: Key,
    eviction: Arc<Eviction>,
    has_asked: AtomicBool,
    registry: Arc<Mutex<Registry>>,
}

/// Permission for an answer that lasts; given back when dropped.
#[derive(Debug)]
pub(super) struct Lasting {
    key: Key,
    registry: Arc<Mutex<Registry>>,
}

impl Permits {
    /// As many as [`MOST`], or half of the descriptors that are left to this process: the rest is for files and servers.
    pub(crate) fn new() -> Self {
        Self::at_most(MOST.min(allowed_descriptors().saturating_sub(IN_USE) / 2))
    }

    fn at_most(most: usize) -> Self {
        let most = most.max(LEAST);
        let small = (most / 16).clamp(1, SMALL_POT);
        let registry = Registry {
            shared: Pot::of(most - 2 * small),
            kept: Pot::of(small),
            strangers: Pot::of(small),
            silent: BTreeMap::new(),
            granted: 0,
        };
        Self {
            registry: Arc::new(Mutex::new(registry)),
        }
    }

    /// A permit for one more connection of `user`, unless there is none for it.
    pub(crate) fn acquire(
        &mut self,
        user: u32,
        standing: Standing,
        now: Instant,
    ) -> Option<Permit> {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let places = Place::of(standing);
        let free = places
            .iter()
            .find(|place| registry.pot(**place).has_room(user));
        let place = *free.or_else(|| {
            places
                .iter()
                .find(|place| registry.evict(**place, user, now))
        })?;
        registry.pot(place).open.add(user);
        registry.granted += 1;
        let (key, eviction) = (
            Key {
                place,
                user,
                number: registry.granted,
            },
            Arc::new(Eviction::default()),
        );
        registry.silent.insert(key, (now, Arc::clone(&eviction)));
        Some(Permit {
            key,
            eviction,
            has_asked: AtomicBool::new(false),
            registry: Arc::clone(&self.registry),
        })
    }
}

impl Registry {
    fn pot(&mut self, place: Place) -> &mut Pot {
        match place {
            Place::Shared => &mut self.shared,
            Place::Kept => &mut self.kept,
            Place::Strangers => &mut self.strangers,
        }
    }

    /// Takes the permit of the user's connection that has been silent longest; false when none was for long enough.
    fn evict(&mut self, place: Place, user: u32, now: Instant) -> bool {
        let [first, last] = [0, u64::MAX].map(|number| Key {
            place,
            user,
            number,
        });
        let oldest = self.silent.range(first..=last).next();
        let Some(key) = oldest
            .filter(|(_, (since, _))| now.since(*since) >= SILENT)
            .map(|(key, _)| *key)
        else {
            return false;
        };
        if let Some((_, eviction)) = self.silent.remove(&key) {
            eviction.given.store(true, Ordering::Relaxed);
            eviction.notice.notify_one();
        }
        self.pot(place).open.take(user);
        true
    }
}

impl Pot {
    fn of(most: usize) -> Self {
        Self {
            most,
            open: Counts::default(),
            lasting: Counts::default(),
        }
    }

    /// A user may take half of what the others left: the first gets half, the second a quarter, and no user, however
    /// greedy, takes the last permit from those who hold none.
    fn share(&self, user: u32) -> usize {
        self.most
            .saturating_sub(self.open.all - self.open.of(user))
            .div_ceil(2)
    }

    fn has_room(&self, user: u32) -> bool {
        self.open.of(user) < self.share(user)
    }

    /// A quarter of a user's permits, and of all, is for questions that are answered at once.
    fn may_last(&self, user: u32) -> bool {
        self.lasting.of(user) < most_of(self.share(user)) && self.lasting.all < most_of(self.most)
    }
}

fn most_of(permits: usize) -> usize {
    (permits * 3 / 4).max(1)
}

impl Counts {
    fn of(&self, user: u32) -> usize {
        self.by_user.get(&user).copied().unwrap_or_default()
    }

    fn add(&mut self, user: u32) {
        self.all += 1;
        *self.by_user.entry(user).or_default() += 1;
    }

    fn take(&mut self, user: u32) {
        if let Some(held) = self.by_user.get_mut(&user) {
            self.all -= 1;
            *held -= 1;
            if *held == 0 {
                self.by_user.remove(&user);
            }
        }
    }
}

impl Permit {
    /// A request came: from now on the permit is kept.
    pub(crate) fn asked(&self) {
        if !self.has_asked.swap(true, Ordering::Relaxed) {
            self.registry
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .silent
                .remove(&self.key);
        }
    }

    /// Permission for an answer that does not come at once, or does not end; none where too many of these are open.
    pub(super) fn acquire_lasting(&self) -> Option<Lasting> {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let pot = registry.pot(self.key.place);
        pot.may_last(self.key.user).then(|| {
            pot.lasting.add(self.key.user);
            Lasting {
                key: self.key,
                registry: Arc::clone(&self.registry),
            }
        })
    }

    /// Resolves when the permit was given to another connection.
    pub(crate) async fn evicted(&self) {
        self.eviction.notice.notified().await;
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.pot(self.key.place).lasting.take(self.key.user);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.silent.remove(&self.key);
        if !self.eviction.given.load(Ordering::Relaxed) {
            registry.pot(self.key.place).open.take(self.key.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_gets_half_of_what_the_others_left() {
        let mut connections = Permits::at_most(18);
        let first = all(&mut connections, 1, Standing::Reader);
        let second = all(&mut connections, 2, Standing::Reader);
        let third = all(&mut connections, 3, Standing::Reader);
        assert_eq!((first.len(), second.len(), third.len()), (8, 4, 2));
        drop(first);
        assert_eq!(all(&mut connections, 4, Standing::Reader).len(), 5);
    }

    #[test]
    fn strangers_of_any_number_fill_their_own_pot_and_no_other() {
        let mut connections = Permits::at_most(4096);
        let strangers: Vec<Permit> = (100..200)
            .flat_map(|user| all(&mut connections, user, Standing::Stranger))
            .collect();
        assert_eq!(strangers.len(), 64);
        let readers: Vec<Permit> = (1000..1100)
            .flat_map(|user| all(&mut connections, user, Standing::Reader))
            .collect();
        assert_eq!(readers.len(), 4096 - 128, "the first of them had half");
        let root = all(&mut connections, 0, Standing::Admin);
        assert_eq!(root.len(), 32, "permits are kept for admins");
        assert_eq!(all(&mut connections, 900, Standing::Admin).len(), 16);
    }

    #[test]
    fn answers_that_last_leave_a_user_seats_for_short_questions_and_all_users_together_some() {
        let mut connections = Permits::at_most(1024);
        let mut held = Vec::new();
        let mut hoard = |connections: &mut Permits, user| {
            let mut lasting = 0;
            while let Some(permit) =
                connections.acquire(user, Standing::Stranger, Instant::from_millis(0))
            {
                let Some(lasting_permit) = permit.acquire_lasting() else {
                    break;
                };
                held.push((permit, lasting_permit));
                lasting += 1;
            }
            lasting
        };
        assert_eq!(hoard(&mut connections, 1), 24);
        assert!(
            connections
                .acquire(1, Standing::Stranger, Instant::from_millis(0))
                .is_some()
        );
        let others: usize = (2..50).map(|user| hoard(&mut connections, user)).sum();
        assert_eq!(others, 24, "three quarters in all");
        assert!(
            connections
                .acquire(60, Standing::Stranger, Instant::from_millis(0))
                .is_some()
        );
        held.truncate(10);
        let permit = connections
            .acquire(1, Standing::Stranger, Instant::from_millis(0))
            .unwrap();
        assert!(permit.acquire_lasting().is_some(), "given back");
    }

    #[tokio::test]
    async fn a_connection_that_asks_for_nothing_gives_its_seat_to_another_of_the_same_user_and_to_no_other()
     {
        let at = Instant::from_millis;
        let acquire = |connections: &mut Permits, user, now| {
            connections.acquire(user, Standing::Reader, at(now))
        };
        let mut connections = Permits::at_most(10);
        let permits: Vec<Permit> = std::iter::from_fn(|| acquire(&mut connections, 1, 0)).collect();
        assert_eq!(permits.len(), 4);
        permits[0].asked();
        assert!(
            acquire(&mut connections, 1, 249).is_none(),
            "they may be about to speak"
        );
        let other = acquire(&mut connections, 1, 250).unwrap();
        permits[1].evicted().await;
        assert_eq!(
            permits
                .iter()
                .filter(|permit| permit.eviction.given.load(Ordering::Relaxed))
                .count(),
            1
        );
        drop(permits);
        assert_eq!(
            connections.registry.lock().unwrap().shared.open.by_user,
            HashMap::from([(1, 1)])
        );
        drop(other);
        let others: Vec<Permit> =
            std::iter::from_fn(|| acquire(&mut connections, 2, 300)).collect();
        assert_eq!(
            (others.len(), acquire(&mut connections, 1, 900).is_some()),
            (4, true)
        );
        assert!(
            others
                .iter()
                .all(|permit| !permit.eviction.given.load(Ordering::Relaxed))
        );
        assert!(connections.registry.lock().unwrap().silent.len() == 4);
    }

    #[test]
    fn a_seat_is_free_again_when_its_connection_ends() {
        let mut connections = Permits::at_most(4);
        let permits = all(&mut connections, 7, Standing::Admin);
        assert_eq!(
            permits.len(),
            2,
            "one of the two that are shared, and the one that is kept"
        );
        drop(permits);
        assert_eq!(all(&mut connections, 7, Standing::Reader).len(), 1);
        assert_eq!(all(&mut connections, 7, Standing::Stranger).len(), 1);
    }

    /// As many as there are for this user.
    fn all(connections: &mut Permits, user: u32, standing: Standing) -> Vec<Permit> {
        std::iter::from_fn(|| connections.acquire(user, standing, Instant::from_millis(0)))
            .collect()
    }
}
