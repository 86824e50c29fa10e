//! A session in the words of the socket: state, deadlines, what happens next and why, what went wrong.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Slot;
use crate::api::{
    Attention, Counts, FileStatus, GatewayStatus, Introspected, LastError, LoginBudget, Next,
    Recent, Refusal, SessionStatus, State, What,
};
use crate::publish::SinkStatus;
use crate::session::account::Account;
use crate::session::answer::Request;
use crate::session::plan::Why;
use crate::session::recent::{self, Happening};
use crate::session::state::{self, Doubt, Health};
use crate::session::view::{LoginWait, Phase};
use crate::supervisor::Supervisor;
use crate::supervisor::health::out_of_place_in_words;
use crate::supervisor::shown;
use crate::time::{Instant, Now};

/// So many sessions are named in the one line for systemd.
const NAMES_SHOWN: usize = 5;

impl Supervisor {
    pub(in crate::supervisor) fn status(&self, slot: &Slot) -> Result<SessionStatus, Refusal> {
        self.status_of(slot, self.now).ok_or(Refusal::Stopping)
    }

    pub(in crate::supervisor) fn status_of(&self, slot: &Slot, now: Now) -> Option<SessionStatus> {
        let account = self.accounts.get(&slot.account)?;
        Some(slot.status(now, &account.account))
    }

    /// What is the matter with a session that has no token to read.
    pub(in crate::supervisor) fn reason(&self, slot: &Slot) -> String {
        self.status(slot)
            .map_or_else(|_| "stopping".to_owned(), |status| status.reason)
    }

    /// All sessions in one line, for `systemctl status`.
    pub(in crate::supervisor) fn one_line(&self) -> String {
        let good = self
            .slots
            .values()
            .filter(|slot| slot.is_ready() && slot.publication.lacking().is_none())
            .count();
        let mut line = match self.slots.len() {
            0 => return "no session is configured".to_owned(),
            total => format!("{good} of {total} sessions good"),
        };
        let (needy, others): (Vec<&Slot>, Vec<&Slot>) = self
            .slots
            .values()
            .map(Box::as_ref)
            .partition(|slot| self.needs_person(slot));
        let (published, waiting): (Vec<&Slot>, Vec<&Slot>) = others
            .into_iter()
            .partition(|slot| slot.publication.is_shown());
        let fileless: Vec<&Slot> = published
            .into_iter()
            .filter(|slot| slot.publication.lacking().is_some())
            .collect();
        add_names(&mut line, "a person is needed for", &needy, |slot| {
            self.reason(slot)
        });
        add_names(&mut line, "no token of", &waiting, |slot| self.reason(slot));
        add_names(&mut line, "no token file of", &fileless, |slot| {
            slot.publication
                .lacking()
                .map(|file| out_of_place_in_words(&file))
                .unwrap_or_default()
        });
        line
    }

    fn needs_person(&self, slot: &Slot) -> bool {
        self.accounts
            .get(&slot.account)
            .is_some_and(|account| slot.session.attention(&account.account).is_some())
    }
}

impl Slot {
    /// The session as the socket shows it.
    pub(in crate::supervisor) fn status(&self, now: Now, account: &Account) -> SessionStatus {
        let state = self.session.state();
        let at = |moment: Option<Instant>| moment.map(|moment| now.wall_at(moment));
        let attention = self.attention(account);
        SessionStatus {
            session: self.name.to_string(),
            provider: self.config.remote.profile.name().to_owned(),
            url: self.config.remote.url.to_string(),
            grant: Some(self.config.remote.grant.to_string()),
            account: Some(self.config.remote.account()),
            state: state_word(self.phase(now.boot, account)),
            reason: self.reason(now, account),
            generation: state.token.as_ref().map(|_| state.generation),
            token_fingerprint: state
                .token
                .as_ref()
                .map(|token| token.access_token.fingerprint()),
            instance_url: state
                .token
                .as_ref()
                .and_then(|token| token.instance_url.clone()),
            published: self.publication.is_shown(),
            persisted: self.record.problem().is_none(),
            idle_timeout_seconds: self
                .session
                .idle_timeout()
                .map(|timeout| timeout.as_secs_f64()),
            idle_deadline: at(self
                .session
                .idle_deadline()
                .filter(|_| state.health == Health::Good)),
            token_issued_at: shown::issued_at(state, now),
            token_expires_at: at(state.expires),
            refresh_token_expires_at: at(self.session.refresh_deadline()),
            introspected: introspected(&state.introspected, now),
            max_lifetime_at: at(self.session.login_deadline()),
            logged_in_at: at(state.logged_in_at),
            last_activity_at: at(state.bounds.map(|bounds| bounds.hi)),
            next: self.next(now, account),
            scheduled: self.scheduled(),
            held_until: at(self.session.held_until(now.boot)),
            last_error: self.last_error(now),
            attention: attention.map(|needed| Attention {
                since: now.wall_at(
                    needed
                        .since
                        .or(self.told.needs_person_since())
                        .unwrap_or(now.boot),
                ),
                reason: needed.reason,
                remedy: needed.remedy,
            }),
            notice: self.session.notice(now.boot, account),
            warnings: self
                .warnings(now.boot)
                .into_iter()
                .filter(|(_, holds)| *holds)
                .map(|(word, _)| word.to_owned())
                .collect(),
            login_budget: self.session.can_login().then(|| login_budget(now, account)),
            quotas: self.session.record().quotas.clone(),
            counts: self.counts(),
            recent: self
                .session
                .record()
                .recent
                .iter()
                .map(|happening| recent(*happening, now))
                .collect(),
            files: self
                .publication
                .files()
                .into_iter()
                .map(file_status)
                .collect(),
            gateway: self.config.gateway.as_ref().map(|gateway| GatewayStatus {
                socket: gateway.socket.clone(),
                listen: gateway.listen,
                only: gateway.only,
                env_prefix: self.config.env_prefix.to_string(),
            }),
        }
    }

    /// Says, again at a slow pace, which files cannot be written.
    pub(in crate::supervisor) fn tell_sinks(&mut self, now: Instant) {
        let failing = self.publication.failing();
        if !self.told.may_repeat_unpublished(now, failing.is_empty()) {
            return;
        }
        for sink in failing {
            super::tell::sink_failed(&self.name, &sink);
        }
    }

    pub(in crate::supervisor) fn phase(&self, now: Instant, account: &Account) -> Phase {
        let phase = self.session.phase(now, account);
        let unsaid = phase == Phase::NeedsAttention && !self.account_is_stored;
        if unsaid { Phase::Recovering } else { phase }
    }

    pub(in crate::supervisor) fn reason(&self, now: Now, account: &Account) -> String {
        if let Some(needed) = self.attention(account) {
            return needed.reason;
        }
        let record = self.session.record();
        let failure = record
            .last_error
            .as_ref()
            .map(|failure| failure.detail.to_string());
        match self.session.state().health {
            _ if self.session.state().paused => "paused by an admin".to_owned(),
            Health::Good if record.failing || self.session.has_run_out(now.boot) => {
                failure.unwrap_or_else(|| "no call has confirmed the session in time".to_owned())
            }
            Health::Good => "the session is good".to_owned(),
            Health::Doubtful { why, .. } => doubt_in_words(why).to_owned(),
            Health::Dead { .. } | Health::Missing => self.without_token(failure, now, account),
        }
    }

    /// What is the matter while there is no token, though nobody need do anything.
    pub(in crate::supervisor) fn without_token(
        &self,
        failure: Option<String>,
        now: Now,
        account: &Account,
    ) -> String {
        let waits = match self.session.login_wait(now.boot, account) {
            Some(LoginWait::Budget) => Some(format!(
                "the login budget of the hour is spent: all {} logins; {}`keepfresh login {}` logs in at once",
                account.logins_an_hour(),
                self.next_login(now, account),
                self.name
            )),
            Some(LoginWait::Unanswered) => Some(format!(
                "two logins in a row had no answer, and a third wrong password may lock the user; if the password is right, run `keepfresh login {}`",
                self.name
            )),
            Some(LoginWait::Failures) => failure.clone().or_else(|| {
                Some("earlier logins failed; the daemon waits before the next one".to_owned())
            }),
            None => None,
        };
        let doing = if self.session.can_renew() {
            "renewing"
        } else {
            "logging in"
        };
        waits.or(failure).unwrap_or_else(|| doing.to_owned())
    }

    fn next_login(&self, now: Now, account: &Account) -> String {
        let next = self.session.next(now.boot, account);
        next.map(|next| {
            format!(
                "the next login leaves at {}; ",
                time_of_day(now.wall_at(next.at))
            )
        })
        .unwrap_or_default()
    }

    fn next(&self, now: Now, account: &Account) -> Option<Next> {
        let next = self.session.next(now.boot, account)?;
        let why = if next.why == Why::UnknownAge {
            self.confirmation()
        } else {
            why_in_words(next.why)
        };
        Some(Next {
            action: request_word(next.request).to_owned(),
            at: now.wall_at(next.at),
            why: why.to_owned(),
        })
    }

    /// What a ping is for that no deadline asks for.
    fn confirmation(&self) -> &'static str {
        let state = self.session.state();
        match (&state.forbidden, state.proven) {
            (Some(_), _) => "to see whether the server allows it now",
            (None, false) => "to confirm the new login",
            (None, true) => why_in_words(Why::UnknownAge),
        }
    }

    fn last_error(&self, now: Now) -> Option<LastError> {
        let failure = self.session.record().last_error.as_ref()?;
        Some(LastError {
            at: now.wall_at(failure.at),
            request: request_word(failure.request).to_owned(),
            verdict: failure.verdict.to_owned(),
            detail: failure.detail.to_string(),
        })
    }

    fn counts(&self) -> Counts {
        let counts = self.session.record().counts;
        Counts {
            pings: counts.pings,
            renewals: counts.renewals,
            logins: counts.logins,
            introspections: counts.introspections,
            failures: counts.failures,
        }
    }
}

/// One session with its reason; the first of several, since they may be thousands.
fn add_names(line: &mut String, what: &str, slots: &[&Slot], reason: impl Fn(&Slot) -> String) {
    let names: Vec<&str> = slots
        .iter()
        .take(NAMES_SHOWN)
        .map(|slot| &*slot.name)
        .collect();
    let _ = match (slots, slots.len().saturating_sub(NAMES_SHOWN)) {
        ([], _) => Ok(()),
        ([only], _) => write!(line, "; {what} {}: {}", only.name, reason(only)),
        (_, 0) => write!(line, "; {what} {}", names.join(", ")),
        (_, more) => write!(line, "; {what} {} and {more} more", names.join(", ")),
    };
}

fn login_budget(now: Now, account: &Account) -> LoginBudget {
    let (left, limit) = account.logins_left(now.boot);
    let next = account.login_ready(now.boot);
    LoginBudget {
        limit,
        left,
        next_at: (next > now.boot).then(|| now.wall_at(next)),
    }
}

fn recent(
    Happening {
        since,
        at,
        times,
        what,
    }: Happening,
    now: Now,
) -> Recent {
    let (what, outcome, success) = match what {
        recent::What::Call { request, outcome } => {
            (what_word(request), outcome.word(), outcome.is_success())
        }
        recent::What::Died => (What::Loss, "died", false),
        recent::What::Expired => (What::Loss, "expired", false),
    };
    Recent {
        what,
        outcome: outcome.to_owned(),
        success,
        at: now.wall_at(at),
        since: now.wall_at(since),
        times,
    }
}

fn what_word(request: Request) -> What {
    match request {
        Request::Ping => What::Ping,
        Request::Introspect => What::Introspect,
        Request::Renew => What::Renew,
        Request::Login => What::Login,
        Request::Logout => What::Logout,
    }
}

/// On the machine's own clock, in whole seconds and not too early.
fn time_of_day(at: Timestamp) -> String {
    let whole = Timestamp::from_second(at.as_second() + i64::from(at.subsec_nanosecond() > 0))
        .unwrap_or(at);
    whole
        .to_zoned(TimeZone::system())
        .strftime("%H:%M:%S %Z")
        .to_string()
}

fn file_status(sink: SinkStatus) -> FileStatus {
    FileStatus {
        path: sink.path.to_string_lossy().into_owned(),
        generation: sink.generation,
        error: sink.error,
    }
}

fn state_word(phase: Phase) -> State {
    match phase {
        Phase::Starting => State::Starting,
        Phase::Alive => State::Alive,
        Phase::Renewing => State::Renewing,
        Phase::Recovering => State::Recovering,
        Phase::NeedsAttention => State::NeedsAttention,
        Phase::Paused => State::Paused,
        Phase::Dormant => State::Dormant,
    }
}

pub(in crate::supervisor) fn request_word(request: Request) -> &'static str {
    match request {
        Request::Ping => "ping",
        Request::Introspect => "introspect",
        Request::Renew => "renew",
        Request::Login => "login",
        Request::Logout => "logout",
    }
}

fn why_in_words(why: Why) -> &'static str {
    match why {
        Why::Ordered => "ordered",
        Why::IdleTimeout => "idle timeout",
        Why::UnknownAge => "to confirm that the session is alive",
        Why::Expiry => "the token expires",
        Why::MaxLifetime => "the session reaches its longest life",
        Why::RefreshTokenIdle => "the refresh token must be used before it idles out",
        Why::NoToken => "there is no token",
        Why::Dead => "the token is dead",
        Why::Doubt(doubt) => doubt_in_words(doubt),
        Why::Introspection => "to learn the token's true end",
        Why::Forbidden => "the server forbids it, and may allow it again",
        Why::HostGone => "the token's host does not answer",
    }
}

pub(in crate::supervisor) fn doubt_in_words(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Absence => "the token may have ended while the daemon was away",
        Doubt::ClockJump => "the wall clock jumped",
        Doubt::Report => "a job reported the token",
        Doubt::Ambiguous => "an answer may have meant that the token is dead",
        Doubt::Renewal => "a renewal had no usable answer",
        Doubt::Introspection => "introspection says that the token is inactive",
        Doubt::Reissue => "the server called the token dead and hands it out again",
        Doubt::Youth => "the token is new, and may not be known everywhere yet",
        Doubt::Dormancy => "the token lapsed outside the active hours",
    }
}

fn introspected(seen: &state::Introspected, now: Now) -> Option<Introspected> {
    Some(Introspected {
        at: now.wall_at(seen.at?),
        ends_at: now.wall_at(seen.end?),
    })
}
