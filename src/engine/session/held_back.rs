//! What the account's stops hold back of this session, and what a person should know of it.

use super::Session;
use super::account::{Account, Attempt, Stop};
use super::answer::{Refused, Request};
use super::policy::LoginBy;
use super::presented::Presented;
use super::view::Attention;

impl Session {
    /// The call, whatever it would present.
    pub(super) fn attempt(&self, request: Request) -> Attempt<'_> {
        self.attempted(request, None)
    }

    /// The call, with what it presented as far as that was read.
    pub(super) fn attempted<'a>(
        &'a self,
        request: Request,
        presented: Option<&'a Presented>,
    ) -> Attempt<'a> {
        Attempt {
            session: &self.name,
            request,
            presented,
        }
    }

    /// Whether a refusal holds such calls back: nothing is sent again that would get the same no.
    pub fn is_stopped(&self, request: Request, account: &Account) -> bool {
        account.stops.holding(self.attempt(request)).is_some()
    }

    /// The daemon can log in by itself, and no refusal holds that back.
    pub(super) fn may_login(&self, account: &Account) -> bool {
        self.can_login() && !self.is_stopped(Request::Login, account)
    }

    /// Whether another secret could help: there is none that works, or only the budget or a doubt holds a login back.
    pub fn could_use_another_secret(&self, account: &Account) -> bool {
        let stranded = self.policy.login == LoginBy::Seed && !self.can_renew();
        let stopped = account.stops.of(&self.name).is_some() || self.barred_by(account).is_some();
        stranded || stopped || account.doubts_password_of(&self.name) || self.record.budget_spent
    }

    /// What only a person can end: the session's own refusal, or another's that leaves it no way to a token.
    pub(super) fn stopped(&self, account: &Account) -> Option<Attention> {
        let stop = account
            .stops
            .of(&self.name)
            .or_else(|| self.barred_by(account))?;
        let reason = if stop.of == *self.name {
            stop.reason.clone()
        } else {
            others_reason(stop)
        };
        Some(Attention {
            since: Some(stop.since),
            reason,
            remedy: self.remedy(stop),
        })
    }

    /// Another session's refusal that is in the way of all that this one could do.
    fn barred_by<'a>(&self, account: &'a Account) -> Option<&'a Stop> {
        let holding = |request| account.stops.holding(self.attempt(request));
        let renewal = self.can_renew().then(|| holding(Request::Renew));
        let login = self.can_login().then(|| holding(Request::Login));
        match (renewal, login) {
            (Some(None), _) | (None, None) => None,
            (_, Some(login)) => login,
            (Some(renewal), None) => renewal,
        }
    }

    fn remedy(&self, stop: &Stop) -> String {
        const NOTICED: &str = "the daemon notices a changed secret within a minute, a changed config at `keepfresh reload` or a restart";
        let login = format!("`keepfresh login {}`", self.name);
        if let Some(remedy) = &stop.remedy {
            return format!(
                "{remedy}; the daemon then logs in within a minute, or at once by {login}"
            );
        }
        match stop.what {
            Some(Refused::Credential) | None => {
                format!(
                    "fix the cause above (in the secret, in the config or at the server), then run {login} ({NOTICED})"
                )
            }
            Some(Refused::Client) => format!(
                "compare client_id, the client's secret or key, client_auth (form or Basic) and scope with what the server has registered, and correct what differs ({NOTICED}), or run {login}"
            ),
            Some(Refused::User) => {
                format!(
                    "at the server, unlock or allow the user or this machine's address, as the cause above says, then run {login}"
                )
            }
            Some(Refused::Request) => format!(
                "correct what the session asks for (scope, grant, client_id, client_auth and URLs in the config, or a secret that cannot be used: {NOTICED}), or allow it at the server and run {login}"
            ),
        }
    }
}

/// Another session's refusal is said as what it is, and never as this session's own.
fn others_reason(stop: &Stop) -> String {
    let Stop { of, reason, .. } = stop;
    match stop.what {
        Some(Refused::User) => {
            format!("its user was refused at the login of session {of}: {reason}")
        }
        Some(Refused::Credential | Refused::Client | Refused::Request) | None => {
            format!("session {of} of the same account was refused: {reason}")
        }
    }
}
