//! How many connections there may be, and that one user's leave room for the others'.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::descriptors::allowed_descriptors;

/// Enough for every job of a large machine, little enough to be no burden.
const MOST: usize = 4096;

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

/// The connections that are open, by user.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    by_uid: Arc<Mutex<HashMap<u32, usize>>>,
}

/// One admitted connection's place; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    uid: u32,
    by_uid: Arc<Mutex<HashMap<u32, usize>>>,
}

impl Connections {
    /// As many as [`MOST`], or half of the descriptors this process may have: the rest is for files and servers.
    pub(super) fn new() -> Self {
        Self::at_most(MOST.min(allowed_descriptors() / 2))
    }

    fn at_most(most: usize) -> Self {
        Self { most, by_uid: Arc::default() }
    }

    /// A seat for one more connection of `uid`, unless the house is full for it.
    pub(super) fn admit(&mut self, uid: u32) -> Option<Seat> {
        let mut by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        let open = by_uid.values().sum::<usize>();
        let held = by_uid.entry(uid).or_default();
        if !has_room(self.most, open, *held) {
            return None;
        }
        *held += 1;
        Some(Seat { uid, by_uid: Arc::clone(&self.by_uid) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut by_uid = self.by_uid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = by_uid.get_mut(&self.uid) {
            *held -= 1;
            if *held == 0 {
                by_uid.remove(&self.uid);
            }
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
