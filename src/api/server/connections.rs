//! How many connections there may be, and that nobody's leave no room for the others'.
//!
//! Three pots: strangers, who may see nothing, have a small one of their own; readers and admins share the large one; and a
//! few seats are kept for admins, whoever else has come. In each, a user may fill half of what the others left.
//!
//! A user whose seats are all taken still gets one where another of his connections has asked for nothing, and answers that
//! last take only a part of his seats: a program of his that hoards them must not shut out his others.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::api::access::Standing;
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

/// What somebody reads who is turned away.
pub(super) const FULL_HOUSE: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\n",
    "content-type: application/problem+json\r\n",
    "content-length: 182\r\n",
    "retry-after: 1\r\n",
    "connection: close\r\n\r\n",
    r#"{"type":"too-many-connections","title":"too many connections","status":503,"#,
    r#""detail":"too many connections of this user, or of users who may see no session, are open","retry_after":1}"#,
);

/// Who connects has so long to begin a request before the seat may go to another.
const SILENT: Duration = Duration::from_millis(250);

/// The connections that are open.
#[derive(Debug)]
pub(super) struct Connections {
    book: Arc<Mutex<Book>>,
}

/// Which seats these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Shared,
    Kept,
    Strangers,
}

impl Place {
    /// Where whoever comes may sit, the first choice first.
    fn of(standing: Standing) -> &'static [Self] {
        match standing {
            Standing::Admin => &[Self::Shared, Self::Kept],
            Standing::Reader => &[Self::Shared],
            Standing::Stranger => &[Self::Strangers],
        }
    }
}

/// One connection: where it sits, whose it is, and how many came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    place: Place,
    user: u32,
    number: u64,
}

#[derive(Debug)]
struct Book {
    shared: Pot,
    kept: Pot,
    strangers: Pot,
    /// Those that have asked for nothing yet, by place, user and age.
    silent: BTreeMap<Key, (Instant, Arc<Bell>)>,
    admitted: u64,
}

/// Seats, and who has how many of them.
#[derive(Debug)]
struct Pot {
    most: usize,
    open: Counts,
    /// Of those, whose answers last.
    lasting: Counts,
}

/// How many of something each user has.
#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_user: HashMap<u32, usize>,
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
    key: Key,
    bell: Arc<Bell>,
    spoke: AtomicBool,
    book: Arc<Mutex<Book>>,
}

/// Leave for an answer that lasts; given back when dropped.
#[derive(Debug)]
pub(super) struct Lasting {
    key: Key,
    book: Arc<Mutex<Book>>,
}

impl Connections {
    /// As many as [`MOST`], or half of the descriptors that are left to this process: the rest is for files and servers.
    pub(super) fn new() -> Self {
        Self::at_most(MOST.min(allowed_descriptors().saturating_sub(IN_USE) / 2))
    }

    fn at_most(most: usize) -> Self {
        let most = most.max(LEAST);
        let small = (most / 16).clamp(1, SMALL_POT);
        let book = Book {
            shared: Pot::of(most - 2 * small),
            kept: Pot::of(small),
            strangers: Pot::of(small),
            silent: BTreeMap::new(),
            admitted: 0,
        };
        Self {
            book: Arc::new(Mutex::new(book)),
        }
    }

    /// A seat for one more connection of `user`, unless there is none for it.
    pub(super) fn admit(&mut self, user: u32, standing: Standing, now: Instant) -> Option<Seat> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let places = Place::of(standing);
        let free = places.iter().find(|place| book.pot(**place).has_room(user));
        let place = *free.or_else(|| places.iter().find(|place| book.evict(**place, user, now)))?;
        book.pot(place).open.add(user);
        book.admitted += 1;
        let (key, bell) = (
            Key {
                place,
                user,
                number: book.admitted,
            },
            Arc::new(Bell::default()),
        );
        book.silent.insert(key, (now, Arc::clone(&bell)));
        Some(Seat {
            key,
            bell,
            spoke: AtomicBool::new(false),
            book: Arc::clone(&self.book),
        })
    }
}

impl Book {
    fn pot(&mut self, place: Place) -> &mut Pot {
        match place {
            Place::Shared => &mut self.shared,
            Place::Kept => &mut self.kept,
            Place::Strangers => &mut self.strangers,
        }
    }

    /// Takes the seat of the user's connection that has been silent longest; false when none was for long enough.
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
        if let Some((_, bell)) = self.silent.remove(&key) {
            bell.rung.store(true, Ordering::Relaxed);
            bell.ears.notify_one();
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

    /// A user may fill half of what the others left free: the first gets half, the second a quarter, and nobody, however
    /// greedy, takes the last seat from those who hold none.
    fn share(&self, user: u32) -> usize {
        self.most
            .saturating_sub(self.open.all - self.open.of(user))
            .div_ceil(2)
    }

    fn has_room(&self, user: u32) -> bool {
        self.open.of(user) < self.share(user)
    }

    /// A quarter of a user's seats, and of all, is for questions that are answered at once.
    fn may_last(&self, user: u32) -> bool {
        self.lasting.of(user) < most_of(self.share(user)) && self.lasting.all < most_of(self.most)
    }
}

fn most_of(seats: usize) -> usize {
    (seats * 3 / 4).max(1)
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

impl Seat {
    /// A request came: from now on the seat is kept.
    pub(super) fn speaks(&self) {
        if !self.spoke.swap(true, Ordering::Relaxed) {
            self.book
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .silent
                .remove(&self.key);
        }
    }

    /// Leave for an answer that does not come at once, or does not end; none where too many of these are open.
    pub(super) fn lasts(&self) -> Option<Lasting> {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let pot = book.pot(self.key.place);
        pot.may_last(self.key.user).then(|| {
            pot.lasting.add(self.key.user);
            Lasting {
                key: self.key,
                book: Arc::clone(&self.book),
            }
        })
    }

    /// Resolves when the seat was given to another.
    pub(super) async fn lost(&self) {
        self.bell.ears.notified().await;
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.pot(self.key.place).lasting.take(self.key.user);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.silent.remove(&self.key);
        if !self.bell.rung.load(Ordering::Relaxed) {
            book.pot(self.key.place).open.take(self.key.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_gets_half_of_what_the_others_left() {
        let mut connections = Connections::at_most(18);
        let first = all(&mut connections, 1, Standing::Reader);
        let second = all(&mut connections, 2, Standing::Reader);
        let third = all(&mut connections, 3, Standing::Reader);
        assert_eq!((first.len(), second.len(), third.len()), (8, 4, 2));
        drop(first);
        assert_eq!(all(&mut connections, 4, Standing::Reader).len(), 5);
    }

    #[test]
    fn strangers_of_any_number_fill_their_own_pot_and_no_other() {
        let mut connections = Connections::at_most(4096);
        let strangers: Vec<Seat> = (100..200)
            .flat_map(|user| all(&mut connections, user, Standing::Stranger))
            .collect();
        assert_eq!(strangers.len(), 64);
        let readers: Vec<Seat> = (1000..1100)
            .flat_map(|user| all(&mut connections, user, Standing::Reader))
            .collect();
        assert_eq!(readers.len(), 4096 - 128, "the first of them had half");
        let root = all(&mut connections, 0, Standing::Admin);
        assert_eq!(root.len(), 32, "seats are kept for admins");
        assert_eq!(all(&mut connections, 900, Standing::Admin).len(), 16);
    }

    #[test]
    fn answers_that_last_leave_a_user_seats_for_short_questions_and_all_users_together_some() {
        let mut connections = Connections::at_most(1024);
        let mut held = Vec::new();
        let mut hoard = |connections: &mut Connections, user| {
            let mut lasting = 0;
            while let Some(seat) =
                connections.admit(user, Standing::Stranger, Instant::from_millis(0))
            {
                let Some(leave) = seat.lasts() else { break };
                held.push((seat, leave));
                lasting += 1;
            }
            lasting
        };
        assert_eq!(hoard(&mut connections, 1), 24);
        assert!(
            connections
                .admit(1, Standing::Stranger, Instant::from_millis(0))
                .is_some()
        );
        let others: usize = (2..50).map(|user| hoard(&mut connections, user)).sum();
        assert_eq!(others, 24, "three quarters in all");
        assert!(
            connections
                .admit(60, Standing::Stranger, Instant::from_millis(0))
                .is_some()
        );
        held.truncate(10);
        let seat = connections
            .admit(1, Standing::Stranger, Instant::from_millis(0))
            .unwrap();
        assert!(seat.lasts().is_some(), "given back");
    }

    #[tokio::test]
    async fn a_connection_that_asks_for_nothing_gives_its_seat_to_another_of_the_same_user_and_to_no_other()
     {
        let at = Instant::from_millis;
        let admit = |connections: &mut Connections, user, now| {
            connections.admit(user, Standing::Reader, at(now))
        };
        let mut connections = Connections::at_most(10);
        let seats: Vec<Seat> = std::iter::from_fn(|| admit(&mut connections, 1, 0)).collect();
        assert_eq!(seats.len(), 4);
        seats[0].speaks();
        assert!(
            admit(&mut connections, 1, 249).is_none(),
            "they may be about to speak"
        );
        let other = admit(&mut connections, 1, 250).unwrap();
        seats[1].lost().await;
        assert_eq!(
            seats
                .iter()
                .filter(|seat| seat.bell.rung.load(Ordering::Relaxed))
                .count(),
            1
        );
        drop(seats);
        assert_eq!(
            connections.book.lock().unwrap().shared.open.by_user,
            HashMap::from([(1, 1)])
        );
        drop(other);
        let others: Vec<Seat> = std::iter::from_fn(|| admit(&mut connections, 2, 300)).collect();
        assert_eq!(
            (others.len(), admit(&mut connections, 1, 900).is_some()),
            (4, true)
        );
        assert!(
            others
                .iter()
                .all(|seat| !seat.bell.rung.load(Ordering::Relaxed))
        );
        assert!(connections.book.lock().unwrap().silent.len() == 4);
    }

    #[test]
    fn a_seat_is_free_again_when_its_connection_ends() {
        let mut connections = Connections::at_most(4);
        let seats = all(&mut connections, 7, Standing::Admin);
        assert_eq!(
            seats.len(),
            2,
            "one of the two that are shared, and the one that is kept"
        );
        drop(seats);
        assert_eq!(all(&mut connections, 7, Standing::Reader).len(), 1);
        assert_eq!(all(&mut connections, 7, Standing::Stranger).len(), 1);
    }

    #[test]
    fn who_is_turned_away_reads_a_whole_problem_document() {
        let (head, body) = FULL_HOUSE.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
        let problem: crate::api::problem::Problem = serde_json::from_str(body).unwrap();
        assert_eq!(problem.kind, crate::api::problem::Kind::TooManyConnections);
    }

    /// As many as there are for this user.
    fn all(connections: &mut Connections, user: u32, standing: Standing) -> Vec<Seat> {
        std::iter::from_fn(|| connections.admit(user, standing, Instant::from_millis(0))).collect()
    }
}
