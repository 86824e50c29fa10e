//! The org: users, one app, approvals and sessions, and the rules by which they live and end. No clock, no I/O.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;

use super::credentials::Credentials;
use super::refusal::Refusal;
use super::settings::{Model, Settings};
use crate::time::{Instant, Now};

const HOUR: Duration = Duration::from_hours(1);

/// The org's whole state.
pub(super) struct Org {
    /// What an admin set.
    pub settings: Settings,
    /// Who may log in, and with what.
    pub credentials: Credentials,
    /// The sandbox's own URL, which tokens carry as `instance_url` unless the settings name another.
    pub url: String,
    /// What a reset returns to.
    started: (Settings, Credentials),
    users: BTreeMap<String, User>,
    sessions: Vec<Session>,
    approvals: Vec<Approval>,
    used_requests: u64,
    minted: u64,
}

#[derive(Clone, Debug, Default)]
struct User {
    wrong_passwords: u32,
    locked_until: Option<Locked>,
    logins: VecDeque<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Locked {
    Until(Instant),
    UntilUnlocked,
}

/// One access token and its idle timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// The access token.
    pub token: String,
    /// Whose it is.
    pub username: String,
    /// The approval it was refreshed from, if any.
    pub approval: Option<u64>,
    /// When it was handed out.
    pub created: Instant,
    /// When the idle timer was last restarted.
    pub restarted: Instant,
    /// Revoked, or ended by an admin.
    pub ended: bool,
}

/// A user's approval of the app: a line of refresh tokens of which the last is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Approval {
    id: u64,
    username: String,
    refresh_token: String,
    spent: Vec<String>,
    used: Instant,
    ended: bool,
}

/// What `GET /sandbox/sessions` shows of one session.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionView {
    /// The access token; it opens nothing but this sandbox.
    pub access_token: String,
    /// The fingerprint that keepfresh shows for it.
    pub fingerprint: String,
    /// Whose it is.
    pub username: String,
    /// Whether it works now.
    pub alive: bool,
    /// Seconds since the login.
    pub age_seconds: f64,
    /// Seconds until it idles out, zero when it is dead.
    pub seconds_left: f64,
}

impl Session {
    /// When it ends unless it is used.
    pub(super) fn end(&self, settings: &Settings) -> Instant {
        let idle = match settings.model {
            Model::HalfWindow | Model::Sliding => self.restarted.after(settings.idle_timeout),
            Model::Fixed => self.created.after(settings.idle_timeout),
        };
        settings
            .max_lifetime
            .map_or(idle, |life| idle.min(self.created.after(life)))
    }

    fn alive(&self, settings: &Settings, at: Instant) -> bool {
        !self.ended && at < self.end(settings)
    }

    /// Use restarts the timer, under half window only once half of it has passed (docs/servers.md, "The session's timeout").
    fn touch(&mut self, settings: &Settings, at: Instant) {
        let counts = match settings.model {
            Model::HalfWindow => at >= self.restarted.after(settings.idle_timeout / 2),
            Model::Sliding => true,
            Model::Fixed => false,
        };
        if counts {
            self.restarted = at;
        }
    }
}

impl Org {
    /// An org in which no person has logged in yet, but the first user has approved the app once.
    pub(super) fn new(
        settings: Settings,
        credentials: Credentials,
        url: String,
        at: Instant,
    ) -> Self {
        let mut org = Self {
            started: (settings.clone(), credentials.clone()),
            settings,
            credentials,
            url,
            users: BTreeMap::new(),
            sessions: Vec::new(),
            approvals: Vec::new(),
            used_requests: 0,
            minted: 0,
        };
        org.approve_first(at);
        org
    }

    /// Everything as at the start, but no token is ever handed out twice.
    pub(super) fn reset(&mut self, at: Instant) {
        (self.settings, self.credentials) = self.started.clone();
        self.users.clear();
        self.sessions.clear();
        self.approvals.clear();
        self.used_requests = 0;
        self.approve_first(at);
    }

    fn approve_first(&mut self, at: Instant) {
        let Credentials {
            username,
            refresh_token,
            ..
        } = self.credentials.clone();
        self.approvals.push(Approval {
            id: 0,
            username,
            refresh_token,
            spent: Vec::new(),
            used: at,
            ended: false,
        });
    }

    /// A login: hands out a session for `username`, which proved who it is.
    ///
    /// # Errors
    /// When the user logged in too often within the hour.
    pub(super) fn login(&mut self, username: &str, at: Instant) -> Result<Session, Refusal> {
        let limit = self.settings.logins_per_hour;
        let user = self.users.entry(username.to_owned()).or_default();
        while user
            .logins
            .front()
            .is_some_and(|login| at.since(*login) >= HOUR)
        {
            user.logins.pop_front();
        }
        if user.logins.len() >= limit {
            return Err(Refusal::RateLimited);
        }
        user.logins.push_back(at);
        Ok(self.session(username, None, at))
    }

    /// Whether this password (with the security token behind it) opens the user's door; counts failures and locks.
    ///
    /// # Errors
    /// One answer for a wrong name, a wrong password and a locked user, as at Salesforce.
    pub(super) fn check_password(
        &mut self,
        username: &str,
        password: &str,
        at: Instant,
    ) -> Result<(), Refusal> {
        let right = self.is_user(username) && password == self.credentials.password_with_token();
        let (limit, lockout) = (self.settings.lock_after, self.settings.lockout);
        let user = self.users.entry(username.to_owned()).or_default();
        user.locked_until
            .take_if(|locked| matches!(locked, Locked::Until(until) if at >= *until));
        if user.locked_until.is_some() {
            return Err(Refusal::AuthenticationFailure);
        }
        if right {
            user.wrong_passwords = 0;
            return Ok(());
        }
        user.wrong_passwords = user.wrong_passwords.saturating_add(1);
        if limit > 0 && user.wrong_passwords >= limit {
            user.locked_until = Some(lockout.map_or(Locked::UntilUnlocked, |length| {
                Locked::Until(at.after(length))
            }));
            user.wrong_passwords = 0;
        }
        Err(Refusal::AuthenticationFailure)
    }

    /// The first user, or one of any number of others that a bench may need: `NAME+anything@…`.
    pub(super) fn is_user(&self, username: &str) -> bool {
        let Some((name, domain)) = self.credentials.username.split_once('@') else {
            return false;
        };
        let Some((asked, asked_domain)) = username.split_once('@') else {
            return false;
        };
        domain == asked_domain && asked.split('+').next() == Some(name)
    }

    /// Locks the first user, or unlocks it.
    pub(super) fn lock(&mut self, locked: bool) {
        let user = self
            .users
            .entry(self.credentials.username.clone())
            .or_default();
        user.locked_until = locked.then_some(Locked::UntilUnlocked);
        user.wrong_passwords = 0;
    }

    /// The user approves the app (once more): a new refresh token; beyond the limit the oldest approval ends.
    pub(super) fn approve(&mut self, username: &str, at: Instant) -> String {
        let refresh_token = self.mint("5Aep861");
        let approval = Approval {
            id: self.minted,
            username: username.to_owned(),
            refresh_token: refresh_token.clone(),
            spent: Vec::new(),
            used: at,
            ended: false,
        };
        self.approvals.push(approval);
        let of_user = |approval: &&Approval| approval.username == username && !approval.ended;
        let excess = self
            .approvals
            .iter()
            .filter(of_user)
            .count()
            .saturating_sub(self.settings.max_approvals);
        let oldest: Vec<_> = self
            .approvals
            .iter()
            .filter(of_user)
            .take(excess)
            .map(|approval| approval.id)
            .collect();
        for id in oldest {
            self.end_approval(id);
        }
        refresh_token
    }

    /// A refresh: a session, and under rotation the next refresh token.
    ///
    /// # Errors
    /// When the token is unknown, idle for too long or ended; a spent one ends its whole line (docs/servers.md, "Refresh tokens").
    pub(super) fn refresh(
        &mut self,
        presented: &str,
        at: Instant,
    ) -> Result<(Session, Option<String>), Refusal> {
        let next = self.settings.rotation.then(|| self.mint("5Aep861"));
        let idle = self.settings.refresh_idle_timeout;
        let reused = self
            .approvals
            .iter()
            .find(|approval| approval.spent.iter().any(|spent| spent == presented));
        if let Some(id) = reused.map(|approval| approval.id) {
            self.end_approval(id);
            return Err(Refusal::ExpiredToken);
        }
        let approval = self
            .approvals
            .iter_mut()
            .find(|approval| approval.refresh_token == presented && !approval.ended)
            .filter(|approval| idle.is_none_or(|idle| at < approval.used.after(idle)))
            .ok_or(Refusal::ExpiredToken)?;
        approval.used = at;
        if let Some(next) = &next {
            approval
                .spent
                .push(std::mem::replace(&mut approval.refresh_token, next.clone()));
        }
        let (id, username) = (approval.id, approval.username.clone());
        if self.settings.refresh_ends_earlier {
            self.end_sessions(|session| session.approval == Some(id));
        }
        Ok((self.session(&username, Some(id), at), next))
    }

    /// The living session that this access token opens.
    pub(super) fn find(&self, token: &str, at: Instant) -> Option<&Session> {
        self.sessions
            .iter()
            .find(|session| session.token == token && session.alive(&self.settings, at))
    }

    /// Whether this refresh token would work.
    pub(super) fn knows_refresh_token(&self, token: &str) -> bool {
        self.approvals
            .iter()
            .any(|approval| approval.refresh_token == token && !approval.ended)
    }

    /// A request with this access token; whether it works. `counts`: it is activity.
    pub(super) fn use_token(&mut self, token: &str, counts: bool, at: Instant) -> bool {
        let settings = &self.settings;
        let living = |session: &&mut Session| session.token == token && session.alive(settings, at);
        let Some(session) = self.sessions.iter_mut().find(living) else {
            return false;
        };
        if counts {
            session.touch(settings, at);
        }
        true
    }

    /// Counts one API request; the number used so far, and whether it is within the limit.
    pub(super) fn count_request(&mut self) -> (u64, bool) {
        self.used_requests = self.used_requests.saturating_add(1);
        (
            self.used_requests,
            self.used_requests <= self.settings.api_requests,
        )
    }

    /// Ends what this token opens: a session, or an approval with its sessions. Whether there was anything.
    pub(super) fn revoke(&mut self, token: &str, at: Instant) -> bool {
        if let Some(id) = self
            .approvals
            .iter()
            .find(|one| one.refresh_token == token && !one.ended)
            .map(|one| one.id)
        {
            self.end_approval(id);
            return true;
        }
        let known = self.find(token, at).is_some();
        self.end_sessions(|session| session.token == token);
        known
    }

    /// Ends every session.
    pub(super) fn revoke_sessions(&mut self) {
        self.end_sessions(|_| true);
    }

    /// Ends every approval with its sessions.
    pub(super) fn revoke_approvals(&mut self) {
        let ids: Vec<_> = self.approvals.iter().map(|approval| approval.id).collect();
        for id in ids {
            self.end_approval(id);
        }
    }

    /// All sessions that were ever handed out, the newest last.
    pub(super) fn sessions(&self, at: Instant) -> Vec<SessionView> {
        let view = |session: &Session| {
            let alive = session.alive(&self.settings, at);
            let left = if alive {
                session.end(&self.settings).since(at)
            } else {
                Duration::ZERO
            };
            SessionView {
                access_token: session.token.clone(),
                fingerprint: crate::secret::fingerprint(session.token.as_bytes()),
                username: session.username.clone(),
                alive,
                age_seconds: at.since(session.created).as_secs_f64(),
                seconds_left: left.as_secs_f64(),
            }
        };
        self.sessions.iter().map(view).collect()
    }

    /// The server's idea of the wall clock, in milliseconds since the epoch.
    pub(super) fn wall_millis(&self, now: &Now) -> i64 {
        now.wall
            .as_millisecond()
            .saturating_add(self.settings.skew_millis)
    }

    fn session(&mut self, username: &str, approval: Option<u64>, at: Instant) -> Session {
        let again = |session: &&Session| {
            session.username == username
                && session.approval == approval
                && session.alive(&self.settings, at)
        };
        if self.settings.same_token
            && let Some(session) = self.sessions.iter().find(again)
        {
            return session.clone();
        }
        let secret_part = self.mint("AQ");
        let token = format!("{}!{secret_part}", self.credentials.organization);
        let username = username.to_owned();
        let session = Session {
            token,
            username,
            approval,
            created: at,
            restarted: at,
            ended: false,
        };
        self.sessions.push(session.clone());
        session
    }

    fn end_approval(&mut self, id: u64) {
        for approval in self
            .approvals
            .iter_mut()
            .filter(|approval| approval.id == id)
        {
            approval.ended = true;
        }
        self.end_sessions(|session| session.approval == Some(id));
    }

    fn end_sessions(&mut self, which: impl Fn(&Session) -> bool) {
        for session in self.sessions.iter_mut().filter(|session| which(session)) {
            session.ended = true;
        }
    }

    /// The next of an endless line of values that cannot be guessed: a digest over a secret and a counter.
    fn mint(&mut self, prefix: &str) -> String {
        self.minted = self.minted.saturating_add(1);
        format!(
            "{prefix}{}",
            self.credentials.derive(&self.minted.to_string())
        )
    }
}

#[cfg(test)]
mod tests;
