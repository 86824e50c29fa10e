//! How many connections there may be, and that one user's leave room for the others'.
//!
//! A user whose seats are all taken still gets one where another of his connections has asked for nothing: a program of his that
//! hoards them must not shut out his others.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock;
use crate::descriptors::allowed_descriptors;
use crate::time::Instant;

/// Enough for every job of a large machine, little enough to be no burden.
const MOST: usize = 4096;

/// Descriptors that the daemon itself holds, with a few files that it writes.
const IN_USE: usize = 24;

/// What somebody reads who is turned away.
pub(super) const FULL_HOUSE: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\n",
    "content-type: application/problem+json\r\n",
    "content-length: 145\r\n",
    "retry-after: 1\r\n",
    "connection: close\r\n\r\n",
    r#"{"type":"too-many-connections","title":"too many connections","status":503,"#,
    r#""detail":"too many connections of this user are open","retry_after":1}"#,
);

/// Who connects has so long to begin a request before the seat may go to another.
const SILENT: Duration = Duration::from_millis(250);

/// The connections that are open.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    by_uid: HashMap<u32, usize>,
    /// Those that have asked for nothing yet, by user and age.
    silent: BTreeMap<(u32, u64), (Instant, Arc<Bell>)>,
    admitted: u64,
}

/// Rung when the seat was given to another.
#[derive(Debug, Default)]
struct Bell {
    rung: AtomicBool,
    ears: Notify,
}

/// One admitted connection's place; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    key: (u32, u64),
    bell: Arc<Bell>,
    spoke: AtomicBool,
    book: Arc<Mutex<Book>>,
}

impl Connections {
    /// As many as [`MOST`], or half of the descriptors that are left to this process: the rest is for files and servers.
    pub(super) fn new() -> Self {
        Self::at_most(MOST.min(allowed_descriptors().saturating_sub(IN_USE) / 2).max(2))
    }

    fn at_most(most: usize) -> Self {
        Self { most, book: Arc::default() }
    }

    /// A seat for one more connection of `uid`, unless the house is full for it.
    pub(super) fn admit(&mut self, uid: u32) -> Option<Seat> {
        self.admit_at(uid, clock::boottime())
    }

    fn admit_at(&mut self, uid: u32, now: Instant) -> Option<Seat> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        if !book.has_room(self.most, uid) && !book.evict(uid, now) {
            return None;
        }
        *book.by_uid.entry(uid).or_default() += 1;
        book.admitted += 1;
        let (key, bell) = ((uid, book.admitted), Arc::new(Bell::default()));
        book.silent.insert(key, (now, Arc::clone(&bell)));
        Some(Seat { key, bell, spoke: AtomicBool::new(false), book: Arc::clone(&self.book) })
    }
}

impl Book {
    fn has_room(&self, most: usize, uid: u32) -> bool {
        let held = self.by_uid.get(&uid).copied().unwrap_or_default();
        has_room(most, self.by_uid.values().sum(), held)
    }

    /// Takes the seat of the user's connection that has been silent longest; false when none was for long enough.
    fn evict(&mut self, uid: u32, now: Instant) -> bool {
        let oldest = self.silent.range((uid, 0)..=(uid, u64::MAX)).next();
        let Some(key) = oldest.filter(|(_, (since, _))| now.since(*since) >= SILENT).map(|(key, _)| *key) else {
            return false;
        };
        if let Some((_, bell)) = self.silent.remove(&key) {
            bell.rung.store(true, Ordering::Relaxed);
            bell.ears.notify_one();
        }
        self.give_back(uid);
        true
    }

    fn give_back(&mut self, uid: u32) {
        if let Some(held) = self.by_uid.get_mut(&uid) {
            *held -= 1;
            if *held == 0 {
                self.by_uid.remove(&uid);
            }
        }
    }
}

impl Seat {
    /// A request came: from now on the seat is kept.
    pub(super) fn speaks(&self) {
        if !self.spoke.swap(true, Ordering::Relaxed) {
            self.book.lock().unwrap_or_else(PoisonError::into_inner).silent.remove(&self.key);
        }
    }

    /// Resolves when the seat was given to another.
    pub(super) async fn lost(&self) {
        self.bell.ears.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.silent.remove(&self.key);
        if !self.bell.rung.load(Ordering::Relaxed) {
            book.give_back(self.key.0);
        }
    }
}

/// A user may fill half of what the others left free: the first gets half of the house, the second a quarter, and
/// nobody, however greedy, takes the last seat from those who hold none.
fn has_room(most: usize, open: usize, held: usize) -> bool {
    let free_for_this_user = most.saturating_sub(open - held);
    held < free_for_this_user.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_gets_half_of_what_the_others_left() {
        let mut connections = Connections::at_most(16);
        let take = |connections: &mut Connections, uid| -> Vec<Seat> {
            std::iter::from_fn(|| connections.admit(uid)).collect()
        };
        let first = take(&mut connections, 1);
        let second = take(&mut connections, 2);
        let third = take(&mut connections, 3);
        assert_eq!((first.len(), second.len(), third.len()), (8, 4, 2));
        drop(first);
        assert_eq!(take(&mut connections, 4).len(), 5);
    }

    #[tokio::test]
    async fn a_connection_that_asks_for_nothing_gives_its_seat_to_another_of_the_same_user_and_to_no_other() {
        let at = Instant::from_millis;
        let mut connections = Connections::at_most(8);
        let seats: Vec<Seat> = std::iter::from_fn(|| connections.admit_at(1, at(0))).collect();
        assert_eq!(seats.len(), 4);
        seats[0].speaks();
        assert!(connections.admit_at(1, at(249)).is_none(), "they may be about to speak");
        let other = connections.admit_at(1, at(250)).unwrap();
        seats[1].lost().await;
        assert_eq!(seats.iter().filter(|seat| seat.bell.rung.load(Ordering::Relaxed)).count(), 1);
        drop(seats);
        assert_eq!(connections.book.lock().unwrap().by_uid, HashMap::from([(1, 1)]));
        drop(other);
        let others: Vec<Seat> = std::iter::from_fn(|| connections.admit_at(2, at(300))).collect();
        assert_eq!((others.len(), connections.admit_at(1, at(900)).is_some()), (4, true));
        assert!(others.iter().all(|seat| !seat.bell.rung.load(Ordering::Relaxed)));
        assert!(connections.book.lock().unwrap().silent.len() == 4);
    }

    #[test]
    fn a_seat_is_free_again_when_its_connection_ends() {
        let mut connections = Connections::at_most(2);
        let seat = connections.admit(7);
        assert!(seat.is_some() && connections.admit(7).is_none());
        drop(seat);
        assert!(connections.admit(7).is_some());
    }

    #[test]
    fn who_is_turned_away_reads_a_whole_problem_document() {
        let (head, body) = FULL_HOUSE.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
        let problem: crate::api::problem::Problem = serde_json::from_str(body).unwrap();
        assert_eq!(problem.kind, crate::api::problem::Kind::TooManyConnections);
    }
}
