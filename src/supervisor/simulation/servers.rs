//! The servers of a simulation, each with faults of its own, and the network to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::menu::{NAMES, host_of};
use crate::driver::Errand;
use crate::provider::Secrets;
use crate::secret::Secret;
use crate::secret_source::SecretSource;
use crate::session::answer::{Answer, Refused, Request, Verdict};
use crate::session::backoff::Seed;
use crate::session::policy::WindowModel;
use crate::session::presented::Presented;
use crate::session::simulation::model::{Rules, Server};
use crate::time::Instant;

/// What is wrong with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// No connection.
    Down,
    /// Connections, and no answers.
    Hangs,
    /// Answers in pages.
    Sick,
}

/// One server.
pub(super) struct SimulatedServer {
    /// Its tokens begin with it: no two servers hand out the same.
    host: String,
    server: Server,
    pub(super) trouble: Trouble,
    /// The password that the secret holds is the right one.
    pub(super) accepts: bool,
    /// Rises each time that somebody corrects the secret.
    pub(super) secret: u64,
    /// What a person's consent brought, for sessions that begin with a refresh token.
    pub(super) consent: Secret,
    /// Logins that it refused for their password, since the secret was changed last.
    pub(super) refusals: u32,
    pub(super) rotates: bool,
    /// Every refresh token that was presented and is spent.
    presented: BTreeSet<String>,
}

/// What came of a call: the answer, and when it arrives.
pub(super) struct Travelled {
    pub(super) answer: Answer,
    pub(super) presented: Option<Presented>,
    pub(super) took: Duration,
    /// A refresh token was presented that the server had taken before.
    pub(super) spent_again: bool,
}

impl SimulatedServer {
    pub(super) fn new(host: &str, seed: &mut Seed) -> Self {
        let is_seeded = host.starts_with("seeded");
        let fixed = ["app", "feed", "seeded"]
            .iter()
            .any(|name| host.starts_with(name));
        let mut rules = Rules::new(WindowModel::HalfWindow, Duration::from_mins(15));
        if fixed {
            rules.timeout = None;
            rules.token_life = Some(Duration::from_mins(15));
        }
        rules.rotates = is_seeded || seed.draw().is_multiple_of(2);
        let rotates = rules.rotates;
        let mut server = Server::new(rules);
        let consent = Secret::new(format!("{host}-{}", server.consent()));
        Self {
            host: host.to_owned(),
            server,
            trouble: Trouble::None,
            accepts: true,
            secret: 0,
            consent,
            refusals: 0,
            rotates,
            presented: BTreeSet::new(),
        }
    }

    /// Whether a token works.
    pub(super) fn lives(&self, token: &Secret, now: Instant) -> bool {
        self.server.lives(self.own(token.expose()), now)
    }

    /// An admin ends all sessions.
    pub(super) fn revoke_sessions(&mut self) {
        self.server.revoke_sessions();
    }

    fn own<'a>(&self, token: &'a str) -> &'a str {
        let own = token.strip_prefix(&self.host);
        own.map_or("", |token| token.trim_start_matches('-'))
    }

    fn named(&self, mut verdict: Verdict) -> Verdict {
        if let Verdict::Good(grant) = &mut verdict {
            let token = self.name(&grant.token.access_token);
            grant.token.access_token = token;
            grant.refresh_token = grant.refresh_token.as_ref().map(|token| self.name(token));
        }
        verdict
    }

    fn name(&self, token: &Secret) -> Secret {
        Secret::new(format!("{}-{}", self.host, token.expose()))
    }

    /// Somebody puts the right secret, and a consent that is new, where the daemon reads them.
    pub(super) fn correct(&mut self) {
        self.accepts = true;
        self.secret += 1;
        self.refusals = 0;
        let consent = self.server.consent();
        self.consent = Secret::new(format!("{}-{consent}", self.host));
    }

    /// Somebody changes the password at the server, and not in the secret.
    pub(super) fn change_password(&mut self) {
        self.accepts = false;
        self.secret += 1;
        self.refusals = 0;
    }

    pub(super) fn secrets(&self, named: &[(String, SecretSource)]) -> Secrets {
        let value = |name: &str| match name {
            "refresh_token" => self.consent.clone(),
            _ => Secret::new(format!("secret {}", self.secret)),
        };
        let named = named.iter().map(|(name, _)| (name.clone(), value(name)));
        named.collect()
    }

    /// A call leaves at `sent`, as the daemon's clock has it, and at `now` of the server's.
    pub(super) fn travel(
        &mut self,
        errand: &Errand,
        (sent, now): (Instant, Instant),
        lost: bool,
        seed: &mut Seed,
    ) -> Travelled {
        let call = &errand.call;
        let latency = seed.between(Duration::from_millis(20), Duration::from_millis(900));
        let secrets = self.secrets(&errand.secrets);
        let presented = matches!(call.request, Request::Login | Request::Renew)
            .then(|| errand.remote.presented(&secrets, errand.salt));
        let withheld = presented.as_ref().and_then(|presented| {
            let mut all = call.withheld.iter();
            all.find(|withheld| withheld.is_in(presented))
        });
        let mut spent_again = false;
        let (verdict, took, counted) = if let Some(withheld) = withheld {
            let what = withheld.what;
            let confirm = false;
            (Verdict::Refused { confirm, what }, Duration::ZERO, false)
        } else {
            match self.trouble {
                Trouble::Down => (Verdict::Unavailable, latency, false),
                Trouble::Hangs => (unanswered(call.request), call.timeout, true),
                Trouble::Sick => (unanswered(call.request), latency, true),
                Trouble::None => {
                    let (verdict, again) = self.take(errand, &secrets, now);
                    spent_again = again;
                    if lost {
                        (unanswered(call.request), call.timeout, true)
                    } else {
                        (verdict, latency, true)
                    }
                }
            }
        };
        let answer = Answer {
            call: call.id,
            sent,
            received: sent.after(took),
            detail: verdict.word().into(),
            remedy: None,
            verdict,
            counted,
            skew_millis: None,
            odd: self.trouble == Trouble::Sick,
            quotas: Vec::new(),
        };
        Travelled {
            answer,
            presented,
            took,
            spent_again,
        }
    }

    /// The server takes a request in; also says whether a refresh token came that was spent.
    fn take(&mut self, errand: &Errand, secrets: &Secrets, now: Instant) -> (Verdict, bool) {
        let token = errand.token.as_ref();
        let token = token.map_or("", |token| self.own(token.access_token.expose()));
        let seed = secrets.get("refresh_token");
        match errand.call.request {
            Request::Ping => (self.server.ping(token, now), false),
            Request::Introspect => {
                let active = self.server.lives(token, now);
                let remaining = None;
                (Verdict::Introspected { active, remaining }, false)
            }
            Request::Logout => (Verdict::LoggedOut, false),
            Request::Login if seed.is_none() && !self.accepts => {
                self.refusals += 1;
                let (confirm, what) = (false, Refused::Credential);
                (Verdict::Refused { confirm, what }, false)
            }
            Request::Login if seed.is_none() => {
                let verdict = self.server.login(now);
                (self.named(verdict), false)
            }
            Request::Login | Request::Renew => {
                let held = errand.refresh_token.as_ref().or(seed);
                let held = self.own(held.map_or("", Secret::expose)).to_owned();
                let again = self.rotates && !self.presented.insert(held.clone());
                let verdict = self.server.renew(&held, now);
                (self.named(verdict), again)
            }
        }
    }
}

/// All of them, by host.
pub(super) fn servers(seed: &mut Seed) -> BTreeMap<String, SimulatedServer> {
    let hosts: BTreeSet<String> = NAMES.into_iter().map(host_of).collect();
    hosts
        .into_iter()
        .map(|host| {
            let server = SimulatedServer::new(&host, seed);
            (host, server)
        })
        .collect()
}

fn unanswered(request: Request) -> Verdict {
    if request == Request::Renew {
        Verdict::InDoubt
    } else {
        Verdict::Unavailable
    }
}
