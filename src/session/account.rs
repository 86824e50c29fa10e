//! What a server locks and counts: the login budget, the stop after a refusal and the single flight of one account.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backoff::{Backoff, CEILING, Seed};
use crate::time::Instant;

/// Logins an hour that an account has at any rate; a session adds [`PER_SESSION`].
const BASE: u32 = 4;
const PER_SESSION: u32 = 2;
const HOUR: Duration = Duration::from_hours(1);
/// So many passwords in a row may have been refused without our knowing it.
const MOST_UNKNOWN: u32 = 2;
/// The shortest lock that servers set (facts.md section 5): by then they have forgotten.
const LOCKED_FOR: Duration = Duration::from_mins(15);
/// Between a refusal and the one try that confirms it.
const CONFIRM_AFTER: Duration = Duration::from_secs(5);

/// One account at one server, shared by its sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Set by a refusal; ended by a changed secret, a changed config or a person.
    pub stop: Option<Box<Stop>>,
    /// The fingerprint's salt, so that stored fingerprints say nothing of a weak password.
    pub salt: u64,
    spent: f64,
    counted_at: Instant,
    refusals: u32,
    /// A login has left, and no answer to it has been stored.
    unanswered: bool,
    /// When the latest login left.
    left_at: Instant,
    /// Logins in a row of which nobody knows the answer, since the daemon was killed meanwhile.
    unknown: u32,
    /// Failures and waits of logins; what failed for more than one session holds back all of them.
    pub backoff: Backoff,
    /// Whose logins the back-off comes of.
    #[serde(skip)]
    failing: Failing,
    /// The session whose login is under way.
    #[serde(skip)]
    pub in_flight: Option<Box<str>>,
    /// How many sessions share this account.
    #[serde(skip)]
    pub sessions: u32,
}

/// Whose logins have failed since the last success, as far as this run knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Failing {
    /// More than one session's, or nobody knows: it is the account's matter, or its host's.
    #[default]
    Several,
    /// This session's alone: it may have a reason of its own.
    One(Box<str>),
    /// Nobody's.
    Nobody,
}

/// No more logins or renewals until something changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Since when.
    pub since: Instant,
    /// What the server said.
    pub reason: String,
    /// The session whose secrets were refused: sessions of one account may hold different ones.
    pub of: String,
    /// The secrets that were refused, by fingerprint; another fingerprint of the same session reopens the account.
    pub secrets: Option<String>,
}

impl Account {
    /// An account with its whole budget.
    pub fn new(now: Instant, salt: u64) -> Self {
        let backoff = Backoff::default();
        Self {
            stop: None,
            salt,
            spent: 0.0,
            counted_at: now,
            refusals: 0,
            unanswered: false,
            left_at: now,
            unknown: 0,
            backoff,
            failing: Failing::Nobody,
            in_flight: None,
            sessions: 1,
        }
    }

    /// When the next login may leave: the budget refills evenly over the hour.
    pub fn login_ready(&self, now: Instant) -> Instant {
        self.within_budget(self.backoff.ready(now), now)
    }

    /// The first failures of one session say nothing of the others: each of them may try once, at the same budget.
    pub fn is_open_to(&self, session: &str) -> bool {
        matches!(&self.failing, Failing::One(other) if **other != *session)
    }

    /// `session` failed to log in, for whatever reason.
    pub fn failed_for(&mut self, session: &str) {
        self.failing = match std::mem::take(&mut self.failing) {
            Failing::Nobody => Failing::One(session.into()),
            Failing::One(other) if *other == *session => Failing::One(other),
            Failing::One(_) | Failing::Several => Failing::Several,
        };
    }

    /// What made a login wait is everybody's matter.
    pub fn failed_for_all(&mut self) {
        self.failing = Failing::Several;
    }

    /// Not before `ready`, nor before the budget allows it.
    pub fn within_budget(&self, ready: Instant, now: Instant) -> Instant {
        let missing = self.spent_by(now) + 1.0 - self.budget();
        // Less than a thousandth of a login missing is rounding, not a reason to wait.
        if missing <= 0.001 {
            return ready;
        }
        ready.max(now.after(HOUR.mul_f64(missing / self.budget())))
    }

    /// Whether only the budget holds a login back.
    pub fn is_spent(&self, now: Instant) -> bool {
        self.within_budget(now, now) > self.backoff.ready(now)
    }

    /// A session is gone, or its call will never be answered: its login must not hold up the others.
    pub fn release(&mut self, session: &str) {
        self.in_flight.take_if(|under_way| **under_way == *session);
    }

    /// A login leaves on behalf of `session`.
    pub fn login_leaves(&mut self, session: &str, now: Instant) {
        self.left_at = now;
        self.in_flight = Some(session.into());
        self.unanswered = true;
    }

    /// Its answer is there.
    pub fn login_answered(&mut self) {
        self.in_flight = None;
        self.unanswered = false;
        self.unknown = 0;
    }

    /// The account as stored by a daemon that may have been killed while its login was under way.
    pub fn resumed(&mut self) {
        if std::mem::take(&mut self.unanswered) {
            self.unknown = self.unknown.saturating_add(1);
        }
    }

    /// When a further password may be sent that could go at `ready`: servers lock accounts after three wrong ones.
    pub fn password_ready(&self, ready: Instant) -> Instant {
        if self.unknown < MOST_UNKNOWN { ready } else { ready.max(self.left_at.after(LOCKED_FOR)) }
    }

    /// The login draws on the budget.
    pub fn count_login(&mut self, now: Instant) {
        self.spent = self.spent_by(now) + 1.0;
        self.counted_at = now;
    }

    /// The login surely never counted at the server.
    pub fn give_back(&mut self) {
        self.spent = (self.spent - 1.0).max(0.0);
    }

    /// The server said no. True when this stops the account: at once, or when the confirming try was refused too.
    pub fn refused(&mut self, now: Instant, refusal: Refusal, seed: &mut Seed) -> bool {
        self.refusals = self.refusals.saturating_add(1);
        if refusal.confirm && self.refusals < 2 {
            self.backoff.failed(now, CEILING, seed);
            self.backoff.pause(now, CONFIRM_AFTER);
            self.failed_for_all();
            return false;
        }
        let since = self.stop.as_ref().map_or(now, |stop| stop.since);
        self.stop = Some(Box::new(Stop { since, reason: refusal.reason, of: refusal.of, secrets: refusal.secrets }));
        true
    }

    /// A login or renewal was accepted.
    pub fn accepted(&mut self, now: Instant) {
        self.stop = None;
        self.refusals = 0;
        self.failing = Failing::Nobody;
        self.backoff.succeeded(now);
    }

    /// The secrets of `session` now read as `fingerprint`. True when that ends a stop.
    pub fn secrets_are(&mut self, session: &str, fingerprint: &str) -> bool {
        let Some(stop) = self.stop.as_mut().filter(|stop| stop.of == session) else { return false };
        // Where nobody knows what was refused, it is what can be read now: only a change from it is a mend.
        let mended = stop.secrets.get_or_insert_with(|| fingerprint.to_owned()) != fingerprint;
        if mended {
            self.reopen();
        }
        mended
    }

    /// A person, or a changed config, ends the stop.
    pub fn reopen(&mut self) {
        self.stop = None;
        self.refusals = 0;
        self.backoff.lift();
    }

    /// Moves every moment by `millis`, to another boot's axis.
    pub fn shift(&mut self, millis: i64) {
        self.counted_at = self.counted_at.shifted(millis);
        self.left_at = self.left_at.shifted(millis);
        self.backoff.shift(millis);
        if let Some(stop) = &mut self.stop {
            stop.since = stop.since.shifted(millis);
        }
    }

    fn budget(&self) -> f64 {
        f64::from(BASE + PER_SESSION * self.sessions.max(1))
    }

    fn spent_by(&self, now: Instant) -> f64 {
        let hours = now.since(self.counted_at).as_secs_f64() / HOUR.as_secs_f64();
        (self.spent - hours * self.budget()).max(0.0)
    }
}

/// A server's no.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The session that was refused.
    pub of: String,
    /// What it said, for people.
    pub reason: String,
    /// Whether one confirming try is harmless.
    pub confirm: bool,
    /// The secrets that were sent, by fingerprint.
    pub secrets: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_logins_in_an_hour_and_then_one_every_ten_minutes() {
        let now = Instant::from_millis(0);
        let mut account = Account::new(now, 1);
        for _ in 0..6 {
            assert_eq!(account.login_ready(now), now);
            account.count_login(now);
        }
        let ready = account.login_ready(now);
        assert_eq!(ready.since(now).as_secs(), 600);
        account.count_login(ready);
        assert_eq!(account.login_ready(ready).since(ready).as_secs(), 600);
    }

    #[test]
    fn a_login_that_never_arrived_is_given_back() {
        let now = Instant::from_millis(0);
        let mut account = Account::new(now, 1);
        for _ in 0..100 {
            account.count_login(now);
            account.give_back();
        }
        assert_eq!(account.login_ready(now), now);
    }

    #[test]
    fn a_refused_password_stops_at_once_and_another_secret_reopens() {
        let now = Instant::from_millis(0);
        let mut account = Account::new(now, 1);
        assert!(account.refused(now, no(false), &mut Seed(1)));
        assert!(!account.secrets_are("crm", "old"));
        assert!(account.secrets_are("crm", "new"));
        assert_eq!(account.stop, None);
    }

    #[test]
    fn a_refusal_of_unknown_secrets_is_mended_only_by_a_change() {
        let now = Instant::from_millis(0);
        let mut account = Account::new(now, 1);
        account.refused(now, Refusal { secrets: None, ..no(false) }, &mut Seed(1));
        assert!(!account.secrets_are("crm", "old"));
        assert!(!account.secrets_are("crm", "old"));
        assert!(account.secrets_are("crm", "new"));
    }

    #[test]
    fn only_the_session_that_logs_in_is_released() {
        let mut account = Account::new(Instant::from_millis(0), 1);
        account.in_flight = Some("a".into());
        account.release("b");
        assert_eq!(account.in_flight.as_deref(), Some("a"));
        account.release("a");
        assert_eq!(account.in_flight, None);
    }

    #[test]
    fn a_refusal_that_may_be_confirmed_stops_at_the_second() {
        let now = Instant::from_millis(0);
        let mut account = Account::new(now, 1);
        assert!(!account.refused(now, no(true), &mut Seed(1)));
        assert!(account.login_ready(now) >= now.after(CONFIRM_AFTER));
        assert!(account.refused(now, no(true), &mut Seed(1)));
    }

    #[test]
    fn failures_of_one_session_leave_the_others_their_try_until_another_fails_too() {
        let mut account = Account::new(Instant::from_millis(0), 1);
        assert!(!account.is_open_to("b"), "nothing has failed: nothing is to be passed over");
        account.failed_for("a");
        account.failed_for("a");
        assert!(account.is_open_to("b") && !account.is_open_to("a"));
        account.failed_for("b");
        assert!(!account.is_open_to("a") && !account.is_open_to("b") && !account.is_open_to("c"));
    }

    #[test]
    fn what_a_server_asked_of_one_session_is_asked_of_all() {
        let mut account = Account::new(Instant::from_millis(0), 1);
        account.failed_for("a");
        account.failed_for_all();
        assert!(!account.is_open_to("b"));
    }

    #[test]
    fn a_budget_is_spent_only_when_it_and_no_back_off_holds_a_login_back() {
        let now = Instant::from_millis(0);
        let mut account = Account::new(now, 1);
        assert!(!account.is_spent(now));
        (0..6).for_each(|_| account.count_login(now));
        assert!(account.is_spent(now));
        account.backoff.pause(now, Duration::from_mins(10));
        assert!(!account.is_spent(now), "the back-off is no shorter");
    }

    #[test]
    fn after_two_passwords_of_which_nobody_knows_the_answer_the_third_waits_for_the_lock_to_end() {
        let now = Instant::from_millis(60_000);
        let mut account = Account::new(Instant::from_millis(0), 1);
        for expected in [now, now, now.after(LOCKED_FOR), now.after(LOCKED_FOR)] {
            assert_eq!(account.password_ready(now), expected);
            account.login_leaves("a", now);
            account.resumed();
        }
        account.resumed();
        let late = now.after(LOCKED_FOR * 2);
        assert_eq!(account.password_ready(late), late);
        account.login_answered();
        account.resumed();
        assert_eq!((account.password_ready(now), account.in_flight.as_deref()), (now, None));
    }

    #[test]
    fn every_moment_of_an_account_moves_to_another_boots_axis() {
        let (now, later) = (Instant::from_millis(1_000), Instant::from_millis(6_000));
        let mut account = Account::new(now, 1);
        account.login_leaves("a", now);
        account.count_login(now);
        account.refused(now, no(false), &mut Seed(1));
        account.backoff.pause(now, CONFIRM_AFTER);
        account.shift(5_000);
        assert_eq!((account.counted_at, account.left_at), (later, later));
        assert_eq!(account.stop.as_ref().map(|stop| stop.since), Some(later));
        assert_eq!(account.backoff.until, Some(later.after(CONFIRM_AFTER)));
    }

    fn no(confirm: bool) -> Refusal {
        Refusal { of: "crm".into(), reason: "invalid_grant".into(), confirm, secrets: Some("old".into()) }
    }
}
