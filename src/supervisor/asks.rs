//! Answers to the socket: what can be said at once is, and who must wait is answered when the session has moved.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Supervisor;
use super::effect::Effect;
use super::slot::{Outcome, Slot};
use crate::api::access::{self, Caller, Guests};
use crate::api::{
    About, Ask, Held, LoginBegun, LoginDone, Page, PageEnd, Refusal, Rejected, Reply, Served,
    SessionStatus, Via,
};
use crate::driver::LONGEST_LANDING;
use crate::gateway::{Opening, Openings};
use crate::secret::Secret;
use crate::session::Input;
use crate::session::account::Account;
use crate::session::answer::Request;
use crate::session::state::Health as TokenHealth;
use crate::session::view::{LoginWait, Promise, Publication};
use crate::time::{Instant, Now};
use crate::token::Published;

/// Sessions that are described in a fraction of a millisecond: whoever wants a token waits no longer for who lists them.
const ON_A_PAGE: usize = 32;

/// Somebody who waits for a session.
pub(super) struct Waiter {
    /// The answer is due at this moment at the latest.
    pub(super) until: Instant,
    pub(super) want: Want,
}

pub(super) enum Want {
    /// A token that is good for so long; in the files as well, where that is asked for.
    Token {
        validity: Duration,
        files: bool,
        reply: Option<Reply<Served>>,
    },
    /// The truth about a reported token, and the files too where those are read next.
    Verdict {
        files: bool,
        reply: Option<Reply<Served>>,
    },
    /// The files of a session as a reload changed them: the reload's answer waits for that.
    Files,
    /// A hold, once nothing replaces the token any more.
    Hold {
        held: Option<Held>,
        reply: Option<Reply<Held>>,
    },
    /// What came of an order: of the first call of these kinds after that number.
    Outcome {
        after: u64,
        of: &'static [Request],
        reply: Option<Reply<SessionStatus>>,
    },
    /// How a person goes on with the login of this name.
    LoginBegun {
        login: String,
        reply: Option<Reply<Option<LoginBegun>>>,
    },
    /// What came of the login of this name.
    LoginOver {
        login: String,
        reply: Option<Reply<LoginDone>>,
    },
}

impl Waiter {
    /// Whether the caller has hung up.
    pub(super) fn is_gone(&self) -> bool {
        match &self.want {
            Want::Token { reply, .. } | Want::Verdict { reply, .. } => is_closed(reply.as_ref()),
            Want::Outcome { reply, .. } => is_closed(reply.as_ref()),
            Want::LoginOver { reply, .. } => is_closed(reply.as_ref()),
            Want::LoginBegun { reply, .. } => is_closed(reply.as_ref()),
            Want::Hold { reply, .. } => is_closed(reply.as_ref()),
            Want::Files => false,
        }
    }
}

impl Supervisor {
    pub(super) fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Sessions {
                caller,
                after,
                reply,
            } => {
                let _ = reply.send(self.page(&caller, after));
            }
            Ask::Session { about, reply } => {
                let _ = reply.send(self.readable(&about).and_then(|slot| self.status(slot)));
            }
            Ask::Token {
                about,
                via,
                min_validity,
                files,
                wait,
                reply,
            } => match self.given_out(&about, via) {
                Ok(()) => self.token(&about, min_validity, files, wait, reply),
                Err(refusal) => drop(reply.send(Err(refusal))),
            },
            Ask::Used {
                about,
                generation,
                age,
                reply,
            } => {
                let _ = reply.send(self.used(&about, generation, age));
            }
            Ask::Hold {
                about,
                lasting,
                wait,
                reply,
            } => self.hold(&about, lasting, wait, reply),
            Ask::Events {
                caller,
                names,
                from,
                reply,
            } => {
                let _ = reply.send(self.follow(caller, names, from));
            }
            Ask::Rejected {
                about,
                via,
                which,
                files,
                wait,
                reply,
            } => match self.given_out(&about, via) {
                Ok(()) => self.rejected(&about, &which, files, wait, reply),
                Err(refusal) => drop(reply.send(Err(refusal))),
            },
            Ask::Prove {
                about,
                within,
                wait,
                reply,
            } => self.prove(&about, within, wait, reply),
            Ask::Order {
                about,
                order,
                wait,
                reply,
            } => self.order(&about, order, wait, reply),
            Ask::Login(ask) => self.ask_login(ask),
            Ask::Metrics {
                caller,
                after,
                reply,
            } => {
                let _ = reply.send(self.figures(caller.as_ref(), after));
            }
            Ask::Reload { caller, reply } if !self.is_admin(&caller) => {
                let _ = reply.send(Err(Refusal::NotAdmin));
            }
            Ask::Reload { reply, .. } => self.reload(Some(reply)),
            Ask::Health(ask) => self.ask_health(ask),
        }
    }

    fn page(&self, caller: &Caller, after: Option<PageEnd>) -> Page {
        let now = self.now;
        let (slots, end) = self.some_of(after);
        let seen = slots.into_iter().filter(|slot| self.may_read(caller, slot));
        Page {
            sessions: seen.filter_map(|slot| self.status_of(slot, now)).collect(),
            end,
        }
    }

    /// The sessions of one page, and where the next one goes on.
    pub(super) fn some_of(&self, after: Option<PageEnd>) -> (Vec<&Slot>, Option<PageEnd>) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let slots = self
            .slots
            .range((from, Bound::Unbounded))
            .map(|(_, slot)| &**slot);
        let slots: Vec<&Slot> = slots.take(ON_A_PAGE).collect();
        let end = slots
            .last()
            .filter(|_| slots.len() == ON_A_PAGE)
            .map(|slot| slot.name.clone());
        (slots, end)
    }

    /// A session that the caller may not read, and one that is not there, are one to it: who may read none must not find
    /// out their names.
    pub(super) fn readable(&self, about: &About) -> Result<&Slot, Refusal> {
        let known = self.known(&about.name);
        if known
            .as_ref()
            .is_ok_and(|slot| self.may_read(&about.caller, slot))
            || self.is_admin(&about.caller)
        {
            return known;
        }
        Err(Refusal::NotAllowed {
            name: about.name.clone(),
        })
    }

    pub(super) fn known(&self, name: &str) -> Result<&Slot, Refusal> {
        let slot = self
            .slots
            .get(name)
            .map(Box::as_ref)
            .filter(|slot| !slot.leaving);
        slot.ok_or_else(|| Refusal::NoSuchSession {
            name: name.to_owned(),
        })
    }

    pub(super) fn may_read(&self, caller: &Caller, slot: &Slot) -> bool {
        self.is_admin(caller) || access::may_read(caller, &slot.config.access)
    }

    pub(super) fn is_admin(&self, caller: &Caller) -> bool {
        access::is_admin(caller, self.uid, &self.config.socket.admins)
    }

    /// The gateways of all sessions, as they are now.
    pub(super) fn open_gateways(&mut self) {
        let openings = self.slots.values().filter_map(|slot| {
            let config = slot.config.gateway.clone().filter(|_| !slot.leaving)?;
            Some(Opening {
                session: slot.name.clone(),
                config,
                remote: slot.remote.clone(),
                traffic: self.traffic.get(&slot.name).cloned().unwrap_or_default(),
            })
        });
        let openings: Openings = openings.collect();
        if !openings.is_empty() || !self.traffic.is_empty() {
            let counted = |opening: &Opening| (opening.session.clone(), opening.traffic.clone());
            self.traffic = openings.iter().map(counted).collect();
            self.effects.push(Effect::OpenGateways(openings));
        }
    }

    /// The socket tells those whom the config knows from strangers.
    pub(super) fn tell_guests(&mut self) {
        let readers = self
            .config
            .sessions
            .values()
            .flat_map(|session| session.access.iter().copied());
        let guests = Guests::new(
            self.uid,
            &self.config.socket.admins,
            readers,
            &self.config.subordinates,
        );
        self.effects.push(Effect::Admit(Arc::new(guests)));
    }

    fn token(
        &mut self,
        about: &About,
        validity: Duration,
        files: bool,
        wait: Duration,
        reply: Reply<Served>,
    ) {
        let now = self.now.boot;
        let at_hand = self
            .readable(about)
            .and_then(|slot| slot.at_hand(validity, now));
        let in_files =
            files && matches!(at_hand, Ok(Some(_))) && self.look_anew(&about.name).is_some();
        if let Some(answer) = at_hand.transpose().filter(|_| !in_files) {
            let answer =
                answer.and_then(|served| self.known(&about.name)?.where_it_is_read(served, files));
            let _ = reply.send(answer);
            return;
        }
        let name = &about.name;
        if self
            .slots
            .get(&**name)
            .is_some_and(|slot| !slot.has_good_for(validity, now))
        {
            self.feed_engine(name, Input::Wanted { validity });
        }
        let wait = if in_files {
            wait.max(LONGEST_LANDING)
        } else {
            wait
        };
        self.wait(
            name,
            wait,
            Want::Token {
                validity,
                files,
                reply: Some(reply),
            },
        );
    }

    /// Whether the session's token may go there.
    fn given_out(&self, about: &About, via: Via) -> Result<(), Refusal> {
        let slot = self.readable(about)?;
        match (&slot.config.gateway, via) {
            (Some(gateway), Via::Socket) if gateway.only => Err(Refusal::OnlyByGateway {
                name: about.name.clone(),
                socket: gateway.socket.display().to_string(),
            }),
            (Some(_) | None, Via::Socket | Via::Gateway) => Ok(()),
        }
    }

    fn used(
        &mut self,
        about: &About,
        generation: u64,
        age: Option<Duration>,
    ) -> Result<SessionStatus, Refusal> {
        self.readable(about)?;
        self.step(&about.name, Input::Used { generation, age });
        self.status(self.readable(about)?)
    }

    fn rejected(
        &mut self,
        about: &About,
        which: &Rejected,
        files: bool,
        wait: Duration,
        reply: Reply<Served>,
    ) {
        let generation = match self.readable(about) {
            Ok(slot) => slot.generation_of(which),
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
                return;
            }
        };
        if let Some(generation) = generation {
            self.feed_engine(&about.name, Input::Rejected { generation });
        }
        self.wait(
            &about.name,
            wait,
            Want::Verdict {
                files,
                reply: Some(reply),
            },
        );
    }

    pub(super) fn wait(&mut self, name: &str, longest: Duration, want: Want) {
        let until = self.now.boot.after(longest);
        if let Some(slot) = self.slots.get_mut(name) {
            slot.forget_the_gone();
            slot.waiters.push(Waiter { until, want });
        }
        self.pump(name);
    }
}

impl Slot {
    /// Answers everybody whose question can be answered now, or who has waited long enough.
    pub(super) fn answer_waiters(&mut self, now: Now, account: &Account) {
        if self.waiters.is_empty() {
            return;
        }
        let mut waiters = std::mem::take(&mut self.waiters);
        waiters.retain_mut(|waiter| !self.answer(waiter, now, account));
        self.waiters = waiters;
    }

    /// What came of calls, for those who ordered them.
    pub(super) fn tell_outcomes(&mut self, now: Now, account: &Account) {
        for outcome in std::mem::take(&mut self.outcomes) {
            let ordered: Vec<Waiter> = self
                .waiters
                .extract_if(.., |waiter| waiter.ordered(&outcome))
                .collect();
            for waiter in ordered {
                let Want::Outcome {
                    reply: Some(reply), ..
                } = waiter.want
                else {
                    continue;
                };
                let _ = reply.send(match &outcome.problem {
                    None => Ok(self.status(now, account)),
                    Some(reason) => Err(Refusal::Failed {
                        name: self.name.to_string(),
                        reason: reason.clone(),
                        remedy: outcome
                            .remedy
                            .clone()
                            .or_else(|| self.attention(account).map(|needed| needed.remedy)),
                    }),
                });
            }
        }
    }

    /// True when the waiter was answered.
    fn answer(&self, waiter: &mut Waiter, now: Now, account: &Account) -> bool {
        let late = waiter.until <= now.boot;
        let over = late || self.comes_too_late(waiter.until, now.boot, account);
        match &mut waiter.want {
            Want::Token {
                validity,
                files,
                reply,
            } => {
                let answer = self.token_for(*validity, now, account, over);
                send(reply, self.once_in_files(answer, *files, late))
            }
            Want::Verdict { files, reply } => {
                let answer = self.verdict(now, account, over);
                send(reply, self.once_in_files(answer, *files, late))
            }
            Want::Hold { held, reply } => {
                let settled = late || !self.is_being_replaced();
                let held = settled.then(|| held.take()).flatten();
                let token = || self.at_hand(Duration::ZERO, now.boot).ok().flatten();
                let with_token = |held| Held {
                    token: token(),
                    ..held
                };
                send(reply, held.map(|held| Ok(with_token(held))))
            }
            Want::Files => late || (self.saver.is_level(now.boot) && self.publication.has_landed()),
            Want::Outcome { reply, .. } => {
                send(reply, late.then(|| Err(self.not_fresh(account, now))))
            }
            Want::LoginBegun { login, reply } => {
                send(reply, self.login_begun(login, now.boot, late))
            }
            Want::LoginOver { login, reply } => {
                send(reply, self.login_over(login, now, account, late))
            }
        }
    }

    /// Whether the login that alone brings a token is held back until the caller has gone: it is better told so at once.
    fn comes_too_late(&self, until: Instant, now: Instant, account: &Account) -> bool {
        let is_held_back = matches!(
            self.session.login_wait(now, account),
            Some(LoginWait::Budget | LoginWait::Unanswered)
        );
        is_held_back
            && self
                .session
                .next(now, account)
                .is_some_and(|next| next.at > until)
    }

    /// The answer, when the caller finds it where it reads.
    fn once_in_files(
        &self,
        answer: Option<Result<Served, Refusal>>,
        files: bool,
        late: bool,
    ) -> Option<Result<Served, Refusal>> {
        let answer = answer.filter(|answer| answer.is_err() || self.is_read_from(files, late))?;
        Some(answer.and_then(|served| self.where_it_is_read(served, files)))
    }

    fn where_it_is_read(&self, served: Served, files: bool) -> Result<Served, Refusal> {
        self.unpublished().filter(|_| files).map_or(Ok(served), Err)
    }

    fn token_for(
        &self,
        validity: Duration,
        now: Now,
        account: &Account,
        late: bool,
    ) -> Option<Result<Served, Refusal>> {
        let promise = self.session.promise(now.boot);
        let served = self
            .publication
            .served_alive()
            .filter(|_| self.session.publication(now.boot) == Publication::Show);
        match served {
            Some(served) if promise.is_enough_for(validity) && (late || self.is_latest(served)) => {
                Some(Ok(self.handed_out(served, promise.valid_for)))
            }
            None => self
                .needs_person(account)
                .map(Err)
                .or_else(|| late.then(|| Err(self.not_fresh(account, now)))),
            Some(_) => late.then(|| Err(self.not_fresh(account, now))),
        }
    }

    /// Whether a token that is good for so long can be handed out without a call.
    fn has_good_for(&self, validity: Duration, now: Instant) -> bool {
        let good = self.session.promise(now).is_enough_for(validity);
        good && self.publication.is_shown() && self.session.publication(now) == Publication::Show
    }

    /// The token, where nothing has to be done or waited for.
    fn at_hand(&self, validity: Duration, now: Instant) -> Result<Option<Served>, Refusal> {
        let promise = self.session.promise(now);
        self.can_promise(&promise, validity)?;
        let served = self
            .publication
            .served()
            .filter(|served| self.is_latest(served));
        let good =
            promise.is_enough_for(validity) && self.session.publication(now) == Publication::Show;
        Ok(served
            .filter(|_| good)
            .map(|served| self.handed_out(served, promise.valid_for)))
    }

    fn handed_out(&self, served: &Arc<Published>, valid_for: Option<Duration>) -> Served {
        Served {
            published: served.clone(),
            env_prefix: self.config.env_prefix.clone(),
            valid_for,
        }
    }

    fn verdict(&self, now: Now, account: &Account, late: bool) -> Option<Result<Served, Refusal>> {
        let good = self.session.state().health == TokenHealth::Good;
        if let Some(served) = self
            .publication
            .served()
            .filter(|served| good && self.is_latest(served))
        {
            let valid_for = self.session.promise(now.boot).valid_for;
            return Some(Ok(self.handed_out(served, valid_for)));
        }
        let lost = !self.publication.is_shown()
            || matches!(self.session.state().health, TokenHealth::Dead { .. });
        let hopeless = lost.then(|| self.needs_person(account)).flatten();
        hopeless
            .map(Err)
            .or_else(|| late.then(|| Err(self.not_fresh(account, now))))
    }

    /// What is served follows once the state that brought it is written; until then it may be the token that died.
    fn is_latest(&self, served: &Published) -> bool {
        served.generation == self.session.state().generation
    }

    fn needs_person(&self, account: &Account) -> Option<Refusal> {
        let needed = self.attention(account)?;
        Some(Refusal::NeedsAttention {
            name: self.name.to_string(),
            reason: needed.reason,
            remedy: needed.remedy,
        })
    }

    fn not_fresh(&self, account: &Account, now: Now) -> Refusal {
        let next = self
            .session
            .next(now.boot, account)
            .map(|next| next.at.since(now.boot));
        let failure = self
            .session
            .record()
            .last_error
            .as_ref()
            .map(|failure| failure.detail.to_string());
        let lost = matches!(
            self.session.state().health,
            TokenHealth::Dead { .. } | TokenHealth::Missing
        );
        let reason = match failure {
            _ if lost && self.session.login_wait(now.boot, account).is_some() => {
                self.without_token(failure, now, account)
            }
            Some(detail) => detail,
            None => "no answer from the server yet".to_owned(),
        };
        Refusal::NotFresh {
            name: self.name.to_string(),
            reason,
            retry_after: next,
        }
    }

    fn can_promise(&self, promise: &Promise, validity: Duration) -> Result<(), Refusal> {
        match promise.longest {
            Some(longest)
                if !promise.by_ping && longest < validity && self.publication.is_shown() =>
            {
                Err(Refusal::CannotPromise {
                    name: self.name.to_string(),
                    longest,
                })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The generation that is meant; none when it is not the current token's.
    fn generation_of(&self, which: &Rejected) -> Option<u64> {
        let state = self.session.state();
        let held = |value: &Secret| {
            state
                .token
                .as_ref()
                .is_some_and(|token| token.access_token == *value)
        };
        match which {
            Rejected::Generation(generation) => Some(*generation),
            Rejected::Token(value) => held(value).then_some(state.generation),
        }
    }
}

impl Waiter {
    fn ordered(&self, outcome: &Outcome) -> bool {
        matches!(self.want, Want::Outcome { after, of, .. } if outcome.call > after && of.contains(&outcome.request))
    }
}

fn is_closed<T>(reply: Option<&Reply<T>>) -> bool {
    reply.is_none_or(oneshot::Sender::is_closed)
}

/// Sends the answer, when there is one. True when the waiter need not wait any longer.
fn send<T>(reply: &mut Option<Reply<T>>, answer: Option<Result<T, Refusal>>) -> bool {
    let Some(answer) = answer else { return false };
    if let Some(reply) = reply.take() {
        // Whoever has hung up gets no answer.
        let _ = reply.send(answer);
    }
    true
}
