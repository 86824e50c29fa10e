//! What others see of a session: what is published, what can be promised, its state and what a person must do.

use std::time::Duration;

use super::Session;
use super::account::Account;
use super::answer::{Answer, Quota, Request};
use super::policy::LoginBy;
use super::recent::{Recent, What};
use super::state::{Doubt, Fruitless, Health};
use crate::blotted::Blotted;
use crate::time::Instant;

/// What readers should find; follows from the state alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// The current token.
    Show,
    /// Whatever is there: only a ping decides.
    Hold,
    /// Nothing.
    Withdraw,
}

/// For how long the token is good, as far as is known without a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// From now; none when nothing ends it.
    pub valid_for: Option<Duration>,
    /// The most that one ping or renewal can prove; none when nothing ends it.
    pub longest: Option<Duration>,
    /// A ping raises the promise; otherwise only a new token does.
    pub by_ping: bool,
}

impl Promise {
    /// Whether a token that must be good for `validity` can be handed out without a call: no call proves more than `longest`.
    pub fn is_enough_for(&self, validity: Duration) -> bool {
        let wanted = self
            .longest
            .map_or(validity, |longest| validity.min(longest));
        wanted.is_zero() || self.valid_for.is_none_or(|valid| valid >= wanted)
    }
}

/// What a person must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    /// Since when, where known.
    pub since: Option<Instant>,
    /// What is the matter.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

/// The session in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No token yet, and nothing has failed.
    Starting,
    /// The token is good.
    Alive,
    /// The token is good and is being replaced.
    Renewing,
    /// The token is dead or doubtful and is being replaced or proven.
    Recovering,
    /// A person must act.
    NeedsAttention,
    /// An admin paused it.
    Paused,
    /// Outside the active hours.
    Dormant,
}

/// Why a login that is due waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginWait {
    /// The budget of the hour is spent.
    Budget,
    /// It is unknown what became of several passwords: one more that is wrong may lock the user.
    Unanswered,
    /// Earlier ones failed, or the server asked for it.
    Failures,
}

/// What happened in this run, for status only; nothing is decided by it.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Calls made, by kind, and failures.
    pub counts: Counts,
    /// The latest failure.
    pub last_error: Option<Box<Failure>>,
    /// Quotas as the server told them last.
    pub quotas: Vec<Quota>,
    /// That the login budget is spent was told.
    pub budget_spent: bool,
    /// A failure was told that no success has ended yet.
    pub failing: bool,
    /// The latest calls and losses.
    pub recent: Recent,
}

/// Calls answered in this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pings.
    pub pings: u64,
    /// Renewals.
    pub renewals: u64,
    /// Logins.
    pub logins: u64,
    /// Introspections.
    pub introspections: u64,
    /// Answers that brought no success.
    pub failures: u64,
}

/// A call that brought no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: Instant,
    /// Which call.
    pub request: Request,
    /// Its verdict's word.
    pub verdict: &'static str,
    /// What the server said.
    pub detail: Blotted,
}

impl Record {
    pub(super) fn answered(&mut self, request: Request, answer: &Answer, now: Instant) {
        match request {
            Request::Ping => self.counts.pings += 1,
            Request::Renew => self.counts.renewals += 1,
            Request::Login => self.counts.logins += 1,
            Request::Introspect => self.counts.introspections += 1,
            Request::Logout => {}
        }
        self.recent.add(
            now,
            What::Call {
                request,
                outcome: answer.verdict.outcome(),
            },
        );
        if !answer.quotas.is_empty() {
            self.quotas.clone_from(&answer.quotas);
        }
        if !answer.verdict.is_success() {
            self.counts.failures += 1;
            let (verdict, detail) = (answer.verdict.word(), answer.detail.clone());
            self.last_error = Some(Box::new(Failure {
                at: now,
                request,
                verdict,
                detail,
            }));
        } else if self
            .last_error
            .as_ref()
            .is_some_and(|failure| settles(request, failure.request))
        {
            self.last_error = None;
        }
    }
}

/// Whether the success of one call leaves nothing of another's failure: a new token settles everything.
fn settles(success: Request, failed: Request) -> bool {
    match success {
        Request::Login | Request::Renew => true,
        Request::Ping => matches!(failed, Request::Ping | Request::Introspect),
        Request::Introspect | Request::Logout => failed == success,
    }
}

impl Session {
    /// What happened in this run.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Whether a call with the token, or the one that brought it, succeeded so lately.
    pub fn was_alive_within(&self, within: Duration, now: Instant) -> bool {
        self.state.health == Health::Good
            && self
                .record
                .recent
                .last_success()
                .is_some_and(|at| now.since(at) < within)
    }

    /// The request under way.
    pub fn under_way(&self) -> Option<Request> {
        self.in_flight.as_ref().map(|call| call.request)
    }

    /// What readers should find now.
    pub fn publication(&self, now: Instant) -> Publication {
        if self.state.logged_out {
            return Publication::Withdraw;
        }
        match self.state.health {
            Health::Doubtful {
                why: Doubt::Dormancy,
                ..
            } if self.is_dormant() => Publication::Withdraw,
            Health::Missing
            | Health::Doubtful {
                why: Doubt::Reissue,
                ..
            } => Publication::Withdraw,
            Health::Doubtful {
                why: Doubt::Absence | Doubt::Dormancy,
                ..
            } => Publication::Hold,
            Health::Good | Health::Doubtful { .. } => Publication::Show,
            Health::Dead { withdrawn, .. } if withdrawn => Publication::Withdraw,
            Health::Dead { .. } if self.withdraw_at().is_some_and(|at| at <= now) => {
                Publication::Withdraw
            }
            Health::Dead { .. } => Publication::Hold,
        }
    }

    /// What readers should find now may be shown before the state that says so is written.
    pub fn may_show_unwritten(&self) -> bool {
        self.replaceable == Some(self.state.generation)
    }

    /// For how long the token is good, and how much more a call could prove.
    pub fn promise(&self, now: Instant) -> Promise {
        let ends = [
            self.idle_deadline(),
            self.state.expires,
            self.login_deadline(),
        ];
        let end = ends.into_iter().flatten().min();
        // A reader may ask for no more than leaves a tenth of a life between two renewals.
        let life = self
            .state
            .expires
            .map(|end| end.since(self.state.granted_at) / 10 * 9);
        // A ping takes time: what it proves is counted from when it was sent.
        let proof = self
            .window()
            .map(|window| window.least_proof().saturating_sub(self.survive_outage()));
        let longest = [life, proof, self.login_deadline().map(|end| end.since(now))]
            .into_iter()
            .flatten()
            .min();
        let unknown = self.window().is_some() && self.state.bounds.is_none();
        let valid_for = match end {
            _ if self.state.health != Health::Good || unknown => Some(Duration::ZERO),
            Some(end) => Some(end.since(now)),
            None => None,
        };
        Promise {
            valid_for,
            longest,
            by_ping: self.state.expires.is_none(),
        }
    }

    /// The session in one word.
    pub fn phase(&self, now: Instant, account: &Account) -> Phase {
        if self.state.paused {
            return Phase::Paused;
        }
        if self.attention(account).is_some() {
            return Phase::NeedsAttention;
        }
        if self.is_dormant() && self.state.health != Health::Good {
            return Phase::Dormant;
        }
        match self.state.health {
            Health::Good if matches!(self.under_way(), Some(Request::Renew | Request::Login)) => {
                Phase::Renewing
            }
            Health::Good if self.has_run_out(now) => Phase::Recovering,
            Health::Good => Phase::Alive,
            Health::Missing if self.state.generation == 0 && self.record.last_error.is_none() => {
                Phase::Starting
            }
            Health::Missing | Health::Dead { .. } | Health::Doubtful { .. } => Phase::Recovering,
        }
    }

    /// What a person must do, if anything.
    pub fn attention(&self, account: &Account) -> Option<Attention> {
        let login = format!("keepfresh login {}", self.name);
        if self.state.logged_out {
            let reason = "logged out".to_owned();
            return Some(Attention {
                since: None,
                reason,
                remedy: format!("run `{login}`"),
            });
        }
        if let Some(stopped) = self.stopped(account) {
            return Some(stopped);
        }
        if let Some(fruitless) = self.calls_a_person() {
            return Some(self.attention_to(fruitless));
        }
        if let Some(reason) = self.stranded() {
            let remedy = match self.policy.login {
                LoginBy::Person => format!("run `{login}`"),
                LoginBy::Seed | LoginBy::Daemon { .. } => {
                    format!(
                        "put a new refresh token into its secret (the daemon notices within a minute), or run `{login}`"
                    )
                }
            };
            return Some(Attention {
                since: None,
                reason,
                remedy,
            });
        }
        let forbidden = self
            .state
            .forbidden
            .as_ref()
            .filter(|forbidden| !forbidden.tentative)?;
        let remedy = "allow it at the server, or set another ping; if this is how the server answers an expired token, a \
                      rule of the profile must say so (docs/providers.md); the daemon keeps the session and goes on pinging";
        Some(Attention {
            since: Some(forbidden.since),
            reason: forbidden.detail.to_string(),
            remedy: remedy.to_owned(),
        })
    }

    /// What was refused under an unknown name, or answered by an unknown server.
    fn attention_to(&self, fruitless: &Fruitless) -> Attention {
        let login = format!("`keepfresh login {}`", self.name);
        let remedy = match self.policy.login {
            _ if !self.renewal_is_declined() => format!(
                "find out what answers there: the URL may be wrong, or a proxy or portal answers instead of the server; the daemon keeps trying, and {login} tries at once"
            ),
            LoginBy::Person => format!("fix it at the server, then run {login}"),
            LoginBy::Seed | LoginBy::Daemon { .. } => format!(
                "fix it at the server, then run {login}, which presents the refresh token again; or put a new refresh token into its secret (the daemon notices within a minute)"
            ),
        };
        Attention {
            since: Some(fruitless.since),
            reason: fruitless.detail.clone(),
            remedy,
        }
    }

    /// No token, and no way to one that the daemon could go by itself.
    fn stranded(&self) -> Option<String> {
        let lost = matches!(self.state.health, Health::Missing | Health::Dead { .. });
        let spent = self.state.spent_seed.is_some();
        if !(lost || spent) || self.can_renew() {
            return None;
        }
        match self.policy.login {
            LoginBy::Daemon { .. } => None,
            LoginBy::Person if self.state.generation == 0 => {
                Some("no person has logged in yet".to_owned())
            }
            LoginBy::Person => Some(self.with_the_servers_words(
                "the login has ended, and there is no refresh token to renew it by",
            )),
            LoginBy::Seed if spent => {
                Some(self.with_the_servers_words("the refresh token is expired, revoked or spent"))
            }
            LoginBy::Seed => {
                let awaited = self.seed_problem.is_some() || self.state.generation > 0;
                awaited.then(|| {
                    self.seed_problem
                        .clone()
                        .unwrap_or_else(|| "there is no refresh token".to_owned())
                })
            }
        }
    }

    fn with_the_servers_words(&self, reason: &str) -> String {
        self.state
            .grant_died
            .as_ref()
            .map_or_else(|| reason.to_owned(), |detail| format!("{reason}: {detail}"))
    }

    /// What a person should know though nothing is wrong: the login may end, and nothing but a person could replace it.
    pub fn notice(&self, now: Instant, account: &Account) -> Option<String> {
        let name = &self.name;
        if self.login_wait(now, account) == Some(LoginWait::Unanswered) {
            return Some(format!(
                "two logins in a row had no answer, and one more wrong password may lock the user: the daemon sends the next one only when a lock would have ended; if the password is right, run `keepfresh login {name}`, else correct it"
            ));
        }
        let held = self.token_may_live() && !self.state.logged_out;
        if !held || self.can_login() {
            return None;
        }
        if self.state.in_doubt && self.can_renew() {
            return Some(format!(
                "a renewal had no usable answer, and its refresh token may be spent: the daemon presents it once more when the token has ended; if the server refuses it, a person must run `keepfresh login {name}`"
            ));
        }
        let ends = self.policy.login == LoginBy::Person && !self.can_renew();
        ends.then(|| {
            let how = if self.state.expires.is_some() { "its token ends" } else { "the server ends it" };
            format!("the server gave no refresh token: when {how}, a person must run `keepfresh login {name}`")
        })
    }

    /// Why the session is without a token though no person need act: its login waits.
    pub fn login_wait(&self, now: Instant, account: &Account) -> Option<LoginWait> {
        let lost = matches!(self.state.health, Health::Missing | Health::Dead { .. });
        self.next(now, account)
            .filter(|next| lost && next.request == Request::Login && next.at > now)?;
        if self.sends_password() && account.password_ready(now) > account.login_ready(now) {
            return Some(LoginWait::Unanswered);
        }
        Some(if account.is_spent(now) {
            LoginWait::Budget
        } else {
            LoginWait::Failures
        })
    }

    /// Nothing proves any more that the session lives.
    pub fn has_run_out(&self, now: Instant) -> bool {
        self.idle_deadline().is_some_and(|deadline| deadline <= now)
    }
}
