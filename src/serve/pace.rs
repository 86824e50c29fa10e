//! How often strangers may knock: each of them so many times a second, and all of them together.

use std::collections::HashMap;
use std::time::Duration;

use crate::time::Instant;

/// A stranger has nothing to ask but whether the daemon lives: a hundred times a second is more than that takes.
const BETWEEN_TWO: Duration = Duration::from_millis(10);

/// All together: what they cost stays a small part of one processor.
const BETWEEN_ANY: Duration = Duration::from_millis(3);

/// So much may come at once.
const BURST: Duration = Duration::from_secs(1);

/// Users that are told apart; one more waits while all of them have just been here.
const MOST_USERS: usize = 256;

/// When each may knock again without having knocked too often.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    any: Option<Instant>,
    by_user: HashMap<u32, Instant>,
}

impl Pace {
    /// Whether `user` keeps to it with one more.
    pub(crate) fn allows(&mut self, user: u32, now: Instant) -> bool {
        if self.by_user.len() >= MOST_USERS {
            self.by_user.retain(|_, due| *due > now);
        }
        let known = self.by_user.get(&user).copied();
        let room = known.is_some() || self.by_user.len() < MOST_USERS;
        let (Some(own), Some(any), true) = (
            next(known, BETWEEN_TWO, now),
            next(self.any, BETWEEN_ANY, now),
            room,
        ) else {
            return false;
        };
        self.any = Some(any);
        self.by_user.insert(user, own);
        true
    }
}

/// The moment after one more; none when the burst is used up.
fn next(due: Option<Instant>, gap: Duration, now: Instant) -> Option<Instant> {
    let due = due.map_or(now, |due| due.max(now));
    (due.since(now) < BURST).then(|| due.after(gap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_who_knocks_without_end_is_heard_a_hundred_times_a_second_and_leaves_room_for_others()
     {
        let mut pace = Pace::default();
        let heard = |pace: &mut Pace, user, from: i64, to: i64| {
            (from..to)
                .filter(|millis| pace.allows(user, Instant::from_millis(*millis)))
                .count()
        };
        assert_eq!(
            heard(&mut pace, 1, 0, 1000),
            200,
            "a burst and a second's worth"
        );
        assert_eq!(heard(&mut pace, 1, 1000, 2000), 100);
        assert!(pace.allows(2, Instant::from_millis(2000)));
        let many: usize = (10..2000)
            .map(|user| heard(&mut pace, user, 3000, 3010))
            .sum();
        assert!(many < 340, "{many} of all together");
        assert!(pace.allows(3, Instant::from_millis(9000)));
    }
}
