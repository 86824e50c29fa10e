//! A server as it is: windows, rotation with reuse detection, limits and locks, all by its own clock.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use crate::named::Named;
use crate::secret::Secret;
use crate::session::answer::{Grant, Refused, Verdict};
use crate::session::policy::WindowModel;
use crate::time::Instant;
use crate::token::Token;

/// What this server does.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What restarts the idle timer.
    pub model: WindowModel,
    /// The idle timeout; none when sessions never idle out.
    pub timeout: Option<Duration>,
    /// The absolute limit of one login.
    pub max_lifetime: Option<Duration>,
    /// The announced life of a token.
    pub token_life: Option<Duration>,
    /// Each renewal gives a new refresh token; presenting an old one revokes the family.
    pub rotates: bool,
    /// A login while a session lives hands out the same token.
    pub reuses: bool,
    /// The right password is sent.
    pub accepts: bool,
}

impl Rules {
    /// A server with an idle timeout and nothing else.
    pub fn new(model: WindowModel, timeout: Duration) -> Self {
        let timeout = Some(timeout);
        Self {
            model,
            timeout,
            max_lifetime: None,
            token_life: None,
            rotates: false,
            reuses: false,
            accepts: true,
        }
    }
}

/// What the server has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pings.
    pub pings: u64,
    /// Logins that it accepted.
    pub logins: u64,
    /// Logins that it refused.
    pub refusals: u64,
    /// Renewals, good or not.
    pub renewals: u64,
    /// Sessions that were found to have died of idleness.
    pub idle_deaths: u64,
    /// Spent refresh tokens that were presented.
    pub reuses: u64,
}

/// The server.
#[derive(Clone, Debug)]
pub struct Server {
    rules: Rules,
    sessions: HashMap<String, Held>,
    /// Refresh tokens by value: the family, and whether it is spent.
    refresh: BTreeMap<String, (u64, bool)>,
    latest: Option<String>,
    issued: u64,
    /// What it has seen.
    pub tally: Tally,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    restarted: Instant,
    born: Instant,
    ends: Option<Instant>,
    family: u64,
    revoked: bool,
}

impl Server {
    /// A server without a login yet.
    pub fn new(rules: Rules) -> Self {
        let (sessions, refresh) = (HashMap::new(), BTreeMap::new());
        Self {
            rules,
            sessions,
            refresh,
            latest: None,
            issued: 0,
            tally: Tally::default(),
        }
    }

    /// Whether `token` works at `now`.
    pub fn lives(&self, token: &str, now: Instant) -> bool {
        self.sessions
            .get(token)
            .is_some_and(|held| self.holds(held, now))
    }

    /// Whether presenting `refresh` would revoke its family.
    pub fn is_spent(&self, refresh: &str) -> bool {
        self.refresh.get(refresh).is_some_and(|(_, spent)| *spent)
    }

    /// A ping; true when the session lives, whose timer it may restart.
    pub fn ping(&mut self, token: &str, now: Instant) -> Verdict {
        self.tally.pings += 1;
        if self.touch(token, now, true) {
            return Verdict::Alive;
        }
        let idled_out = self
            .sessions
            .get(token)
            .is_some_and(|held| !held.revoked && self.idled_out(held, now));
        self.tally.idle_deaths += u64::from(idled_out);
        Verdict::Dead {
            certain: true,
            for_good: false,
        }
    }

    /// Another program uses the newest token unseen.
    pub fn hidden_use(&mut self, now: Instant) {
        if let Some(token) = self.latest.clone() {
            self.touch(&token, now, false);
        }
    }

    /// A full login.
    pub fn login(&mut self, now: Instant) -> Verdict {
        if !self.rules.accepts {
            self.tally.refusals += 1;
            return Verdict::Refused {
                confirm: false,
                what: Refused::Credential,
            };
        }
        self.tally.logins += 1;
        let reused = self
            .latest
            .clone()
            .filter(|token| self.rules.reuses && self.lives(token, now));
        if let Some(token) = reused {
            return self.grant(&token, None);
        }
        self.issued += 1;
        self.issue(self.issued, now)
    }

    /// A person went through the login; this is the refresh token that came of it.
    pub fn consent(&mut self) -> String {
        self.issued += 1;
        let refresh = format!("r{}", self.issued);
        self.refresh.insert(refresh.clone(), (self.issued, false));
        refresh
    }

    /// A renewal by `refresh`.
    pub fn renew(&mut self, refresh: &str, now: Instant) -> Verdict {
        self.tally.renewals += 1;
        let Some((family, spent)) = self.refresh.get(refresh).copied() else {
            return Verdict::GrantDead;
        };
        if spent {
            self.tally.reuses += 1;
            self.revoke_family(family);
            return Verdict::GrantDead;
        }
        if self.rules.rotates {
            self.refresh.insert(refresh.to_owned(), (family, true));
        }
        self.issue(family, now)
    }

    /// An admin ends every session; refresh tokens stay.
    pub fn revoke_sessions(&mut self) {
        self.sessions
            .values_mut()
            .for_each(|held| held.revoked = true);
    }

    fn revoke_family(&mut self, family: u64) {
        self.refresh.retain(|_, (of, _)| *of != family);
        self.sessions
            .values_mut()
            .filter(|held| held.family == family)
            .for_each(|held| held.revoked = true);
    }

    fn issue(&mut self, family: u64, now: Instant) -> Verdict {
        self.issued += 1;
        let token = format!("t{}", self.issued);
        let ends = self.rules.token_life.map(|life| now.after(life));
        self.sessions
            .retain(|_, held| now.since(held.born) < Duration::from_hours(96) || !held.revoked);
        self.sessions.insert(
            token.clone(),
            Held {
                restarted: now,
                born: now,
                ends,
                family,
                revoked: false,
            },
        );
        self.latest = Some(token.clone());
        let refresh = self.rules.rotates.then(|| format!("r{}", self.issued));
        if let Some(refresh) = &refresh {
            self.refresh.insert(refresh.clone(), (family, false));
        }
        self.grant(&token, refresh)
    }

    fn grant(&self, token: &str, refresh: Option<String>) -> Verdict {
        let token = Token {
            access_token: Secret::new(token),
            token_type: "Bearer".into(),
            instance_url: None,
            captures: Named::default(),
            issued_at: Timestamp::UNIX_EPOCH,
            expires_at: None,
        };
        Verdict::Good(Box::new(Grant {
            token,
            refresh_token: refresh.map(Secret::new),
            lifetime: self.rules.token_life,
            odd_refresh_token: None,
            refresh_lifetime: None,
            idle_timeout: None,
            max_lifetime: None,
            fixed: false,
        }))
    }

    /// True when the session lives; its timer restarts where the model says so.
    fn touch(&mut self, token: &str, now: Instant, ping: bool) -> bool {
        let Some(mut held) = self
            .sessions
            .get(token)
            .copied()
            .filter(|held| self.holds(held, now))
        else {
            return false;
        };
        let restarts = match self.rules.model {
            WindowModel::HalfWindow => self
                .rules
                .timeout
                .is_some_and(|timeout| now.since(held.restarted) >= timeout / 2),
            WindowModel::Sliding => true,
            WindowModel::Explicit => ping,
            WindowModel::Fixed => false,
        };
        if restarts {
            held.restarted = now;
            self.sessions.insert(token.to_owned(), held);
        }
        true
    }

    fn holds(&self, held: &Held, now: Instant) -> bool {
        let over = self
            .rules
            .max_lifetime
            .is_some_and(|limit| now.since(held.born) >= limit);
        !held.revoked
            && !over
            && held.ends.is_none_or(|end| now < end)
            && !self.idled_out(held, now)
    }

    fn idled_out(&self, held: &Held, now: Instant) -> bool {
        self.rules
            .timeout
            .is_some_and(|timeout| now.since(held.restarted) >= timeout)
    }
}
