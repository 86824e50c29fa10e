//! What a server locks and counts: the login budget, the stops after refusals and the single flight of one account.

mod stop;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::answer::Request;
use super::backoff::{Backoff, CEILING, Seed};
use super::presented::Presented;
use crate::time::Instant;
pub use stop::{Attempt, Refusal, Stop, Stops, Withheld};

/// Logins an hour that an account has at any rate; a session adds [`PER_SESSION`].
const BASE: u32 = 4;
const PER_SESSION: u32 = 2;
const HOUR: Duration = Duration::from_hours(1);
/// So many passwords in a row may have been refused without our knowing it.
const MOST_UNKNOWN: u32 = 2;
/// The shortest lock that servers set (docs/servers.md, "Locks of accounts"): by then they have forgotten.
const LOCKED_FOR: Duration = Duration::from_mins(15);
/// Between a refusal and the one try that confirms it.
const CONFIRM_AFTER: Duration = Duration::from_secs(5);

/// One account at one server, shared by its sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Set by refusals; each is ended by a changed secret, a changed config, a person or a success.
    #[serde(default, alias = "stop")]
    pub stops: Stops,
    /// The fingerprint's salt, so that stored fingerprints say nothing of a weak password.
    pub salt: u64,
    spent: f64,
    counted_at: Instant,
    /// As much of it went for logins that brought nothing, since the last that did.
    #[serde(default)]
    in_vain: f64,
    /// When a change last gave some of it back.
    #[serde(default)]
    eased_at: Option<Instant>,
    /// A login has left, and no answer to it has been stored.
    unanswered: bool,
    /// When the latest login left.
    left_at: Instant,
    /// For which session.
    #[serde(default)]
    left_for: Option<Box<str>>,
    /// Logins in a row of which it is unknown what the server said: no answer came, or the daemon was killed meanwhile.
    unknown: u32,
    /// The credential that the latest of them presented, by fingerprint.
    #[serde(default)]
    unknown_credential: Option<Box<str>>,
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
    /// More than one session's, or unknown: it is the account's matter, or its host's.
    #[default]
    Several,
    /// This session's alone: it may have a reason of its own.
    One(Box<str>),
    /// No session's.
    Nobody,
}

impl Account {
    /// An account with its whole budget.
    pub fn new(now: Instant, salt: u64) -> Self {
        let backoff = Backoff::default();
        Self {
            stops: Stops::default(),
            salt,
            spent: 0.0,
            counted_at: now,
            in_vain: 0.0,
            eased_at: None,
            unanswered: false,
            left_at: now,
            left_for: None,
            unknown: 0,
            unknown_credential: None,
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
        self.leaving(0.0, ready, now)
    }

    /// As [`Self::within_budget`], where only a report gives the reason: the other half of the budget is kept for deaths
    /// that are known.
    pub fn within_half_budget(&self, ready: Instant, now: Instant) -> Instant {
        self.leaving(self.budget() / 2.0, ready, now)
    }

    /// Not before `ready`, nor before the budget allows it and as much as `rest` is left.
    fn leaving(&self, rest: f64, ready: Instant, now: Instant) -> Instant {
        let missing = self.spent_by(now) + 1.0 + rest - self.budget();
        // Less than a thousandth of a login missing is rounding, not a reason to wait.
        if missing <= 0.001 {
            return ready;
        }
        ready.max(now.after(HOUR.mul_f64(missing / self.budget())))
    }

    /// How many automatic logins may leave at once as far as the budget goes, and of how many in an hour.
    pub fn logins_left(&self, now: Instant) -> (u32, u32) {
        let limit = BASE + PER_SESSION * self.sessions.max(1);
        // The same thousandth counts as rounding as where a login leaves.
        let left = (0..limit)
            .rev()
            .map(|spent| limit - spent)
            .filter(|left| self.spent_by(now) + f64::from(*left) - f64::from(limit) <= 0.001);
        (left.max().unwrap_or(0), limit)
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
        self.left_for = Some(session.into());
        self.in_flight = Some(session.into());
        self.unanswered = true;
    }

    /// It has come back, or never left.
    pub fn login_came_back(&mut self) {
        self.in_flight = None;
        self.unanswered = false;
    }

    /// The server said what it thinks of what the login presented.
    pub fn login_answered(&mut self) {
        self.unknown = 0;
        self.unknown_credential = None;
    }

    /// The login was sent, and no answer tells what the server thinks of it: it may have counted a wrong password.
    pub fn login_unanswered(&mut self, presented: Option<&Presented>) {
        self.unknown = self.unknown.saturating_add(1);
        self.unknown_credential = presented
            .and_then(|presented| presented.credential.as_deref())
            .map(Into::into);
    }

    /// The account as stored by a daemon that may have been killed while its login was under way.
    pub fn resumed(&mut self) {
        if std::mem::take(&mut self.unanswered) {
            self.login_unanswered(None);
        }
    }

    /// When a further password may be sent that could go at `ready`: servers lock accounts after three wrong ones.
    pub fn password_ready(&self, ready: Instant) -> Instant {
        if self.unknown < MOST_UNKNOWN {
            ready
        } else {
            ready.max(self.left_at.after(LOCKED_FOR))
        }
    }

    /// Whether a password of this session may have been refused so often that a further one waits.
    pub fn doubts_password_of(&self, session: &str) -> bool {
        self.unknown >= MOST_UNKNOWN && self.left_for.as_deref() == Some(session)
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

    /// A login that drew on the budget brought nothing.
    pub fn was_in_vain(&mut self) {
        self.in_vain += 1.0;
    }

    /// What was wrong may be over: half of the budget is there again. A secret that changes on and on must not do away with
    /// it, so that a change counts once an hour.
    pub fn ease(&mut self, now: Instant) {
        if self.eased_at.is_none_or(|at| now.since(at) >= HOUR) {
            self.eased_at = Some(now);
            self.succeeded_by_hand(now);
        }
    }

    /// A person has logged in: half of the budget is there again.
    pub fn succeeded_by_hand(&mut self, now: Instant) {
        self.spent = self.spent_by(now).min(self.budget() / 2.0);
        self.counted_at = now;
    }

    /// The server said no. True when this stops something: at once, or when the confirming try was refused too.
    pub fn refused(&mut self, now: Instant, refusal: Refusal, seed: &mut Seed) -> bool {
        if refusal.request == Request::Login {
            self.login_answered();
        }
        let stopped = self.stops.refused(now, refusal);
        if !stopped {
            self.backoff.failed(now, CEILING, seed);
            self.backoff.pause(now, CONFIRM_AFTER);
            self.failed_for_all();
        }
        stopped
    }

    /// A login or renewal that was sent then was accepted.
    pub fn accepted(&mut self, attempt: Attempt<'_>, sent: Instant, now: Instant) {
        self.stops.accepted(attempt, sent);
        // A renewal says nothing of logins that wait for a person, or for the try that confirms their no.
        if attempt.request == Request::Renew && !self.stops.is_empty() {
            return;
        }
        self.failing = Failing::Nobody;
        self.backoff.succeeded(now);
        if attempt.request == Request::Login {
            self.login_answered();
            // The failures before it were no sign of trouble with the account.
            let least = self.spent.min(1.0);
            self.spent = (self.spent - std::mem::take(&mut self.in_vain)).max(least);
        }
    }

    /// What the login of `session` presents, read anew. True when logins are allowed again that were not.
    pub fn presents(&mut self, session: &str, presented: &Presented, now: Instant) -> bool {
        let reopened = self.stops.presents(session, presented);
        let known = self.is_another_password(session, presented);
        if known {
            self.login_answered();
        }
        if reopened || known {
            self.backoff.lift();
            self.ease(now);
        }
        reopened || known
    }

    /// What a login asks for, or where, has changed: how the ones before it went says nothing of the next.
    pub fn reconfigured(&mut self) {
        self.backoff.lift_unless_asked();
    }

    /// Whether the password that got no answer has changed since; of one that a kill cut off, what is read first is it.
    fn is_another_password(&mut self, session: &str, presented: &Presented) -> bool {
        if !self.doubts_password_of(session) {
            return false;
        }
        let Some(credential) = presented.credential.as_deref() else {
            return false;
        };
        **self
            .unknown_credential
            .get_or_insert_with(|| credential.into())
            != *credential
    }

    /// A person, or another refresh token, ends what holds this attempt back.
    pub fn reopen(&mut self, attempt: Attempt<'_>) {
        self.stops.lift(attempt);
        self.backoff.lift();
    }

    /// Its sessions are those of which `is_member` says so, if there is `anybody` at all.
    pub fn belongs_to(&mut self, is_member: &dyn Fn(&str) -> bool, anybody: bool) {
        self.stops.belong_to(is_member, anybody);
    }

    /// Moves every moment by `millis`, to another boot's axis.
    pub fn shift(&mut self, millis: i64) {
        self.counted_at = self.counted_at.shifted(millis);
        self.left_at = self.left_at.shifted(millis);
        self.eased_at = self.eased_at.map(|at| at.shifted(millis));
        self.backoff.shift(millis);
        self.stops.shift(millis);
    }

    /// How many logins an hour the account may make by itself.
    pub fn logins_an_hour(&self) -> u32 {
        BASE + PER_SESSION * self.sessions.max(1)
    }

    fn budget(&self) -> f64 {
        f64::from(self.logins_an_hour())
    }

    fn spent_by(&self, now: Instant) -> f64 {
        let hours = now.since(self.counted_at).as_secs_f64() / HOUR.as_secs_f64();
        (self.spent - hours * self.budget()).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::answer::Refused;

    #[test]
    fn six_logins_in_an_hour_and_then_one_every_ten_minutes() {
        let now = Instant::from_millis(0);
        let mut account = Account::new(now, 1);
        for _ in 0..6 {
            assert_eq!(account.login_ready(now), now);
            account.count_login(now);
        }
        assert_eq!(account.logins_left(now), (0, 6));
        let ready = account.login_ready(now);
        assert_eq!(account.logins_left(ready), (1, 6));
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
        assert!(!account.presents("crm", &Presented::of("old"), now));
        assert!(account.presents("crm", &Presented::of("new"), now));
        assert!(account.stops.is_empty());
    }

    #[test]
    fn a_refusal_of_unknown_secrets_is_mended_only_by_a_change() {
        let now = Instant::from_millis(0);
        let mut account = Account::new(now, 1);
        account.refused(
            now,
            Refusal {
                presented: None,
                ..no(false)
            },
            &mut Seed(1),
        );
        assert!(!account.presents("crm", &Presented::of("old"), now));
        assert!(!account.presents("crm", &Presented::of("old"), now));
        assert!(account.presents("crm", &Presented::of("new"), now));
    }

    #[test]
    fn logins_in_vain_are_given_back_by_one_that_brings_a_token() {
        let now = Instant::from_millis(0);
        let mut account = Account::new(now, 1);
        for _ in 0..6 {
            account.count_login(now);
            account.was_in_vain();
        }
        assert!(account.is_spent(now));
        account.accepted(login_of("crm"), now, now);
        (0..5).for_each(|_| account.count_login(now));
        assert!(
            account.is_spent(now),
            "only those, and not what it costs itself"
        );
    }

    #[test]
    fn a_changed_secret_gives_half_of_the_budget_back_and_that_once_an_hour() {
        let now = Instant::from_millis(0);
        let mut account = Account::new(now, 1);
        (0..6).for_each(|_| account.count_login(now));
        for (secret, is_spent) in [("new", false), ("newer", true)] {
            account.refused(now, no(false), &mut Seed(1));
            assert!(account.presents("crm", &Presented::of(secret), now));
            assert_eq!(account.is_spent(now), is_spent, "{secret}");
            (0..3).for_each(|_| account.count_login(now));
        }
    }

    #[test]
    fn what_is_only_said_draws_on_half_of_the_budget() {
        let now = Instant::from_millis(0);
        let mut account = Account::new(now, 1);
        for _ in 0..3 {
            assert_eq!(account.within_half_budget(now, now), now);
            account.count_login(now);
        }
        assert!(account.within_half_budget(now, now) > now);
        assert_eq!(account.within_budget(now, now), now);
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
        assert!(
            !account.is_open_to("b"),
            "nothing has failed: nothing is to be passed over"
        );
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
        account.login_came_back();
        account.login_answered();
        account.resumed();
        assert_eq!(
            (account.password_ready(now), account.in_flight.as_deref()),
            (now, None)
        );
    }

    #[test]
    fn a_password_that_got_no_answer_is_doubted_until_it_is_another() {
        let now = Instant::from_millis(0);
        let mut account = Account::new(now, 1);
        for _ in 0..2 {
            account.login_leaves("a", now);
            account.login_came_back();
            account.login_unanswered(Some(&Presented::of("old")));
        }
        for (session, secret, ends) in
            [("a", "old", false), ("b", "new", false), ("a", "new", true)]
        {
            assert_eq!(
                account.presents(session, &Presented::of(secret), now),
                ends,
                "{session} {secret}"
            );
        }
        assert_eq!(account.password_ready(now), now);
    }

    #[test]
    fn every_moment_of_an_account_moves_to_another_boots_axis() {
        let (now, later) = (Instant::from_millis(1_000), Instant::from_millis(6_000));
        let mut account = Account::new(now, 1);
        account.login_leaves("a", now);
        account.count_login(now);
        account.refused(now, no(false), &mut Seed(1));
        account.ease(now);
        account.backoff.pause(now, CONFIRM_AFTER);
        account.shift(5_000);
        assert_eq!(account.eased_at, Some(later));
        assert_eq!((account.counted_at, account.left_at), (later, later));
        assert_eq!(account.stops.of("crm").map(|stop| stop.since), Some(later));
        assert_eq!(account.backoff.until, Some(later.after(CONFIRM_AFTER)));
    }

    fn no(confirm: bool) -> Refusal {
        let presented = Some(Presented::of("old"));
        let (request, what) = (Request::Login, Refused::Credential);
        Refusal {
            of: "crm".into(),
            request,
            what,
            reason: "invalid_grant".into(),
            remedy: None,
            confirm,
            presented,
        }
    }

    fn login_of(session: &str) -> Attempt<'_> {
        Attempt {
            session,
            request: Request::Login,
            presented: None,
        }
    }
}
