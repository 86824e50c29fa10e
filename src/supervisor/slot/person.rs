//! A person's login: begun over the socket, kept here until the person is back, its token handed to the engine.
//!
//! What keeps it apart from a forgery (state, verifier, nonce, device code) never leaves the daemon. It lives in memory
//! only: after a restart a person begins again.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;

use super::Slot;
use super::waiters::Want;
use crate::api::{About, LoginAsk, LoginBegun, LoginDone, LoginHow, Refusal, Reply};
use crate::driver::{PersonDone, PersonErrand, PersonStep, Ticket};
use crate::provider::{BrowserLogin, DeviceLogin, PersonGrant, Polled, RedirectProblem};
use crate::secret::{Secret, hex};
use crate::session::Input;
use crate::session::account::Account;
use crate::session::answer::{Answer, Request};
use crate::supervisor::Supervisor;
use crate::supervisor::call_queues::QueuedCall;
use crate::supervisor::effect::Effect;
use crate::time::{Instant, Now};

/// A person has so long from the address to the code.
const BROWSER_LOGIN: Duration = Duration::from_mins(10);
/// A server that asks to slow down wants so much more between two polls (RFC 8628 section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// However often a server does not answer, it is asked again after so long.
const SLOWEST: Duration = Duration::from_mins(1);

/// The logins by a person of one session: the latest, and nothing of those before.
#[derive(Default)]
pub(in crate::supervisor) struct PersonLogins {
    latest: Option<Box<Login>>,
    /// The host in whose queue a step waits.
    queued: Option<String>,
}

struct Login {
    id: String,
    /// The user who began it.
    by: u32,
    ends: Instant,
    stage: Stage,
    /// What is to be done next, not begun yet.
    step: Option<PersonStep>,
}

enum Stage {
    /// Being begun.
    Beginning,
    /// The browser is with the person.
    Browser(Arc<BrowserLogin>),
    /// The code is being exchanged.
    Redeeming,
    /// The code is with the person; the next poll is due, or under way.
    Device {
        login: Arc<DeviceLogin>,
        interval: Duration,
        poll_at: Option<Instant>,
    },
    /// The token is in the engine's state, or there is none and this is why.
    Over(Result<LoggedIn, String>),
}

/// Names logins so that only who began one can name it: 128 bits each, drawn from a random key.
pub(in crate::supervisor) struct LoginIds {
    key: Option<hmac::Key>,
    named: u64,
}

/// Who logged in, where the server tells.
type LoggedIn = Option<String>;

impl Supervisor {
    pub(in crate::supervisor) fn ask_login(&mut self, ask: LoginAsk) {
        match ask {
            LoginAsk::Begin {
                about,
                port,
                wait,
                reply,
            } => self.begin_login(&about, port, wait, reply),
            LoginAsk::Complete {
                about,
                login,
                redirected,
                wait,
                reply,
            } => {
                if let Err(refusal) = self.complete_login(&about, &login, &redirected) {
                    let _ = reply.send(Err(refusal));
                    return;
                }
                self.await_login(&about.name, login, wait, reply);
            }
            LoginAsk::Outcome {
                about,
                login,
                wait,
                reply,
            } => {
                if let Err(refusal) = self.administered(&about) {
                    let _ = reply.send(Err(refusal));
                    return;
                }
                self.await_login(&about.name, login, wait, reply);
            }
        }
    }

    /// The session, for an admin.
    pub(in crate::supervisor) fn administered(&self, about: &About) -> Result<&Slot, Refusal> {
        if !self.is_admin(&about.caller) {
            return Err(Refusal::NotOrdered {
                name: about.name.clone(),
            });
        }
        self.known(&about.name)
    }

    fn begin_login(
        &mut self,
        about: &About,
        port: Option<u16>,
        wait: Duration,
        reply: Reply<Option<LoginBegun>>,
    ) {
        let now = self.now.boot;
        match self.administered(about) {
            Ok(slot) if slot.remote.by_person().is_none() => {
                let _ = reply.send(Ok(None));
                return;
            }
            Ok(_) => {}
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
                return;
            }
        }
        let Some(slot) = self.slots.get_mut(&*about.name) else {
            return;
        };
        let Some(id) = self.login_ids.next() else {
            let reason = "the system gives no random bytes".to_owned();
            let _ = reply.send(Err(Refusal::Failed {
                name: about.name.clone(),
                reason,
                remedy: None,
            }));
            return;
        };
        tracing::info!(
            session = &*about.name,
            event = "login_begun",
            uid = about.caller.uid,
            "interactive login begun"
        );
        let ends = now.after(BROWSER_LOGIN);
        let step = Some(PersonStep::Begin(port));
        slot.person.latest = Some(Box::new(Login {
            id: id.clone(),
            by: about.caller.uid,
            ends,
            stage: Stage::Beginning,
            step,
        }));
        self.wait(
            &about.name,
            wait,
            Want::LoginBegun {
                login: id,
                reply: Some(reply),
            },
        );
    }

    fn complete_login(
        &mut self,
        about: &About,
        login: &str,
        redirected: &Secret,
    ) -> Result<(), Refusal> {
        self.administered(about)?;
        let now = self.now.boot;
        let name = about.name.clone();
        let slot = self
            .slots
            .get_mut(&*name)
            .ok_or_else(|| Refusal::NoSuchSession { name: name.clone() })?;
        slot.end_late_login(now);
        slot.person.begun_by(login, &name, about.caller.uid)?;
        slot.hand_in(login, redirected)
    }

    fn await_login(&mut self, name: &str, login: String, wait: Duration, reply: Reply<LoginDone>) {
        self.wait(
            name,
            wait,
            Want::LoginOver {
                login,
                reply: Some(reply),
            },
        );
    }

    /// Lets a call leave, whoever wants it.
    pub(in crate::supervisor) fn launch(&mut self, call: &QueuedCall) {
        match call {
            QueuedCall::Engine(name) => self.launch_call(name),
            QueuedCall::Person(name) => self.launch_person(name),
        }
    }

    /// The step that waited for its queue leaves now.
    fn launch_person(&mut self, name: &str) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let Some(host) = slot.person.queued.take() else {
            return;
        };
        match slot.person_errand(&host) {
            Some(errand) => self.effects.push(Effect::Person(Box::new(errand))),
            None => self.queues.completed(&host),
        }
    }

    /// A step came to its end.
    pub(in crate::supervisor) fn person_done(
        &mut self,
        of: &Ticket,
        login: &str,
        host: &str,
        came: PersonDone,
    ) {
        self.queues.completed(host);
        let now = self.now.boot;
        let Some(slot) = self.current(of).filter(|slot| !slot.leaving) else {
            return;
        };
        let Some(latest) = slot
            .person
            .latest
            .as_mut()
            .filter(|latest| latest.id == login)
        else {
            return;
        };
        match came {
            PersonDone::Browser(login) => latest.stage = Stage::Browser(Arc::new(login)),
            PersonDone::Device(login) => latest.wait_for_device(login, now),
            PersonDone::Polled(polled) => latest.polled(&polled, now),
            PersonDone::Failed(error) => latest.over(&of.name, Err(error.to_string())),
            PersonDone::Granted(granted) => {
                let PersonGrant { answer, who } = *granted;
                let who = who.map(|who| who.to_string());
                tracing::info!(
                    session = &*of.name,
                    event = "person_logged_in",
                    who,
                    "a person has logged in"
                );
                latest.over(&of.name, Ok(who));
                self.hand_over(&of.name, answer);
                return;
            }
        }
        self.pump(&of.name);
    }

    /// Whatever waits to leave was meant for what this login replaces.
    fn hand_over(&mut self, name: &str, answer: Answer) {
        let held = self
            .slots
            .get_mut(name)
            .and_then(|slot| slot.call.drop_pending());
        if let Some(call) = held {
            self.queues.forget(name);
            self.feed_engine(name, Input::Unwritten { call });
        }
        self.step(name, Input::PersonLoggedIn(answer));
    }

    /// Puts the next step of a person's login into its host's queue; says when the session must be looked at again.
    pub(in crate::supervisor) fn queue_person(
        &mut self,
        name: &str,
        now: Instant,
    ) -> Option<Instant> {
        let slot = self.slots.get_mut(name)?;
        if let Some(latest) = slot.person.latest.as_mut() {
            latest.poll_if_due(now);
        }
        if slot.person.queued.is_none() && slot.person.has_step() {
            let host = slot.remote.host(Request::Login, None);
            self.queues
                .enqueue(&host, now, QueuedCall::Person(name.to_owned()));
            slot.person.queued = Some(host);
        }
        slot.wake(now, &self.accounts.get(&slot.account)?.account)
    }
}

impl LoginIds {
    /// Without a key there are none.
    pub(in crate::supervisor) fn of(key: Option<[u8; 32]>) -> Self {
        Self {
            key: key.map(|key| hmac::Key::new(hmac::HMAC_SHA256, &key)),
            named: 0,
        }
    }

    fn next(&mut self) -> Option<String> {
        let key = self.key.as_ref()?;
        self.named += 1;
        let tag = hmac::sign(key, &self.named.to_be_bytes());
        Some(hex(tag.as_ref().get(..16)?))
    }
}

impl Login {
    fn wait_for_device(&mut self, login: DeviceLogin, now: Instant) {
        self.ends = now.after(login.expires_in);
        let interval = login.interval;
        self.stage = Stage::Device {
            login: Arc::new(login),
            interval,
            poll_at: Some(now.after(interval)),
        };
    }

    fn poll_if_due(&mut self, now: Instant) {
        if let Stage::Device { login, poll_at, .. } = &mut self.stage
            && poll_at.take_if(|at| *at <= now).is_some()
        {
            self.step = Some(PersonStep::Poll(login.clone()));
        }
    }

    fn polled(&mut self, polled: &Polled, now: Instant) {
        let Stage::Device {
            interval, poll_at, ..
        } = &mut self.stage
        else {
            return;
        };
        match polled {
            Polled::SlowDown => *interval += SLOWER,
            Polled::Silent => *interval = interval.saturating_mul(2).min((*interval).max(SLOWEST)),
            Polled::Pending | Polled::Granted(_) | Polled::Over(_) => {}
        }
        *poll_at = Some(now.after(*interval));
    }

    fn over(&mut self, session: &str, outcome: Result<LoggedIn, String>) {
        if let Err(reason) = &outcome {
            tracing::info!(
                session,
                event = "login_failed",
                reason,
                "interactive login failed"
            );
        }
        self.step = None;
        self.stage = Stage::Over(outcome);
    }

    fn begun(&self, session: &str, now: Instant) -> Option<LoginBegun> {
        let how = match &self.stage {
            Stage::Browser(login) => LoginHow::AuthorizationCode {
                url: login.url.clone(),
                redirect_uri: login.redirect_uri.clone(),
            },
            Stage::Device { login, .. } => LoginHow::DeviceCode {
                user_code: login.user_code.to_string(),
                verification_uri: login.verification_uri.clone(),
                verification_uri_complete: login.verification_uri_complete.clone(),
            },
            Stage::Beginning | Stage::Redeeming | Stage::Over(_) => return None,
        };
        let foreign_host = match &self.stage {
            Stage::Browser(login) => login.foreign_host.clone(),
            Stage::Device { login, .. } => login.foreign_host.clone(),
            Stage::Beginning | Stage::Redeeming | Stage::Over(_) => None,
        };
        let expires_in = self.ends.since(now).as_secs();
        Some(LoginBegun {
            session: session.to_owned(),
            login: self.id.clone(),
            how,
            foreign_host,
            expires_in,
        })
    }

    fn wake(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Over(_) => None,
            Stage::Device { poll_at, .. } => {
                Some(poll_at.map_or(self.ends, |at| at.min(self.ends)))
            }
            Stage::Beginning | Stage::Browser(_) | Stage::Redeeming => Some(self.ends),
        }
    }
}

impl PersonLogins {
    /// When a poll is due, or the person's time is over.
    pub(in crate::supervisor) fn wake(&self) -> Option<Instant> {
        self.latest.as_ref()?.wake()
    }

    /// A code is being exchanged: what it brings must be stored.
    pub(in crate::supervisor) fn is_redeeming(&self) -> bool {
        self.latest
            .as_ref()
            .is_some_and(|login| matches!(login.stage, Stage::Redeeming))
    }

    /// Ends a login that was begun under another config.
    pub(in crate::supervisor) fn forget(&mut self) {
        self.latest = None;
    }

    fn has_step(&self) -> bool {
        self.latest
            .as_ref()
            .is_some_and(|login| login.step.is_some())
    }

    /// Who began a login brings it to its end; so may root.
    fn begun_by(&self, id: &str, session: &str, uid: u32) -> Result<(), Refusal> {
        let by = self.named(id, session)?.by;
        let reason =
            format!("the user {by} began this login and must finish it; or begin your own");
        let conflict = Refusal::Conflict {
            name: session.to_owned(),
            reason,
        };
        if uid == by || uid == 0 {
            Ok(())
        } else {
            Err(conflict)
        }
    }

    fn named(&self, id: &str, session: &str) -> Result<&Login, Refusal> {
        let reason = match &self.latest {
            Some(latest) if latest.id == id => return Ok(latest),
            Some(_) => "a newer login has replaced this one",
            None => {
                "the daemon does not know this login: it was restarted, or its config has changed"
            }
        };
        Err(Refusal::NoSuchLogin {
            name: session.to_owned(),
            reason: reason.to_owned(),
        })
    }
}

impl Slot {
    /// The next step of the person's login, if one is still to be made.
    fn person_errand(&mut self, host: &str) -> Option<PersonErrand> {
        let login = self.person.latest.as_mut()?;
        let step = login.step.take()?;
        Some(PersonErrand {
            of: Ticket {
                name: self.name.clone(),
                epoch: self.epoch,
            },
            login: login.id.clone(),
            step,
            remote: self.remote.clone(),
            host: host.to_owned(),
            secrets: self.config.remote.login_secrets(),
            skew_millis: self.session.state().skew_millis,
            timeout: self.session.policy().request_timeout,
        })
    }

    /// A person who has not come in time need not be waited for.
    pub(in crate::supervisor) fn end_late_login(&mut self, now: Instant) {
        let name = self.name.clone();
        if let Some(login) = self
            .person
            .latest
            .as_mut()
            .filter(|login| login.ends <= now)
        {
            let waits = matches!(
                login.stage,
                Stage::Beginning | Stage::Browser(_) | Stage::Device { .. }
            );
            if waits {
                login.over(
                    &name,
                    Err(format!(
                        "too late: begin again with `keepfresh login {name}`"
                    )),
                );
            }
        }
    }

    fn hand_in(&mut self, login: &str, redirected: &Secret) -> Result<(), Refusal> {
        let name = self.name.to_string();
        let conflict = |reason: &str| Refusal::Conflict {
            name: name.clone(),
            reason: reason.to_owned(),
        };
        self.person.named(login, &name)?;
        let Some(latest) = self.person.latest.as_mut() else {
            return Ok(());
        };
        let browser = match &latest.stage {
            Stage::Browser(browser) => browser.clone(),
            Stage::Over(Err(reason)) => {
                return Err(Refusal::Failed {
                    name,
                    reason: reason.clone(),
                    remedy: None,
                });
            }
            Stage::Over(Ok(_)) | Stage::Redeeming => {
                return Err(conflict("this login already has its code"));
            }
            Stage::Beginning | Stage::Device { .. } => {
                return Err(conflict("this login does not wait for a browser"));
            }
        };
        match browser.code(redirected.expose()) {
            Ok(code) => {
                latest.stage = Stage::Redeeming;
                latest.step = Some(PersonStep::Redeem(browser, code));
                Ok(())
            }
            Err(problem @ RedirectProblem::NotAnAddress) => Err(Refusal::NotUnderstood {
                name,
                reason: problem.to_string(),
            }),
            Err(problem) if problem.ends_the_login() => {
                latest.over(&name, Err(problem.to_string()));
                Err(Refusal::Failed {
                    name,
                    reason: problem.to_string(),
                    remedy: None,
                })
            }
            Err(problem) => Err(conflict(&problem.to_string())),
        }
    }

    /// What a login that was begun looks like; none while that is not known, unless it is `late`.
    pub(in crate::supervisor) fn login_begun(
        &self,
        id: &str,
        now: Instant,
        late: bool,
    ) -> Option<Result<Option<LoginBegun>, Refusal>> {
        match self.person.named(id, &self.name) {
            Err(refusal) => Some(Err(refusal)),
            Ok(Login {
                stage: Stage::Over(Err(reason)),
                ..
            }) => Some(Err(self.login_failed(reason))),
            Ok(login) => {
                let begun = login.begun(&self.name, now).map(|begun| Ok(Some(begun)));
                begun.or_else(|| {
                    late.then(|| Err(self.login_pending("the server has not begun the login yet")))
                })
            }
        }
    }

    /// What the login came to: a token only once it is on disk, as far as the disk allows.
    pub(in crate::supervisor) fn login_over(
        &self,
        id: &str,
        now: Now,
        account: &Account,
        late: bool,
    ) -> Option<Result<LoginDone, Refusal>> {
        match self.person.named(id, &self.name) {
            Err(refusal) => Some(Err(refusal)),
            Ok(Login {
                stage: Stage::Over(Ok(who)),
                ..
            }) => {
                let done = self.record.is_level(now.boot) && self.publication.has_landed();
                let over = || LoginDone {
                    status: self.status(now, account),
                    logged_in_as: who.clone(),
                };
                let stored = done.then(|| Ok(over()));
                stored.or_else(|| {
                    late.then(|| Err(self.login_pending("the token is not on disk yet")))
                })
            }
            Ok(Login {
                stage: Stage::Over(Err(reason)),
                ..
            }) => Some(Err(self.login_failed(reason))),
            Ok(_) => {
                late.then(|| Err(self.login_pending("the person has not finished the login yet")))
            }
        }
    }

    fn login_failed(&self, reason: &str) -> Refusal {
        Refusal::Failed {
            name: self.name.to_string(),
            reason: reason.to_owned(),
            remedy: None,
        }
    }

    fn login_pending(&self, reason: &str) -> Refusal {
        Refusal::NotFresh {
            name: self.name.to_string(),
            reason: reason.to_owned(),
            retry_after: None,
        }
    }
}
