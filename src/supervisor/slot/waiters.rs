//! Who waits for a session, and what they are told once it has moved.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Slot;
use super::call::Outcome;
use crate::api::{Held, LoginBegun, LoginDone, Refusal, Rejected, Reply, Served, SessionStatus};
use crate::driver::LONGEST_LANDING;
use crate::secret::Secret;
use crate::session::account::Account;
use crate::session::answer::Request;
use crate::session::state::Health as TokenHealth;
use crate::session::view::{LoginWait, Promise, Publication};
use crate::supervisor::health::out_of_place_in_words;
use crate::time::{Instant, Now};
use crate::token::Published;

/// Somebody who waits for a session.
pub(super) struct Waiter {
    /// The answer is due at this moment at the latest.
    pub(super) until: Instant,
    pub(super) want: Want,
}

pub(in crate::supervisor) enum Want {
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
    pub(in crate::supervisor) fn is_gone(&self) -> bool {
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

impl Slot {
    /// Somebody waits until then at the longest.
    pub(in crate::supervisor) fn keep_waiting(&mut self, until: Instant, want: Want) {
        self.forget_the_gone();
        self.waiters.push(Waiter { until, want });
    }

    /// Keeps a reload's answer until the files are as it wants them.
    pub(in crate::supervisor) fn await_files_of_reload(&mut self, now: Instant) {
        let until = now.after(LONGEST_LANDING);
        self.waiters.push(Waiter {
            until,
            want: Want::Files,
        });
    }

    /// Whether a reload waits for its files.
    pub(in crate::supervisor) fn awaits_files_of_reload(&self) -> bool {
        let mut waiters = self.waiters.iter();
        waiters.any(|waiter| matches!(waiter.want, Want::Files))
    }

    /// Whether those who ordered calls may be told of them, as far as files are concerned.
    pub(in crate::supervisor) fn may_tell_outcomes(&self) -> bool {
        self.waiters.is_empty() || self.publication.has_landed()
    }

    /// Why a caller who reads the files cannot have the token.
    fn unpublished(&self) -> Option<Refusal> {
        let file = self.publication.out_of_place()?;
        Some(Refusal::Unpublished {
            name: self.name.to_string(),
            reason: out_of_place_in_words(&file),
        })
    }

    /// Answers everybody whose question can be answered now, or who has waited long enough.
    pub(in crate::supervisor) fn answer_waiters(&mut self, now: Now, account: &Account) {
        if self.waiters.is_empty() {
            return;
        }
        let mut waiters = std::mem::take(&mut self.waiters);
        waiters.retain_mut(|waiter| !self.answer(waiter, now, account));
        self.waiters = waiters;
    }

    /// What came of calls, for those who ordered them.
    pub(in crate::supervisor) fn tell_outcomes(&mut self, now: Now, account: &Account) {
        for outcome in self.call.take_outcomes() {
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
            Want::Files => {
                late || (self.record.is_level(now.boot) && self.publication.has_landed())
            }
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

    pub(in crate::supervisor) fn where_it_is_read(
        &self,
        served: Served,
        files: bool,
    ) -> Result<Served, Refusal> {
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
    pub(in crate::supervisor) fn has_good_for(&self, validity: Duration, now: Instant) -> bool {
        let good = self.session.promise(now).is_enough_for(validity);
        good && self.publication.is_shown() && self.session.publication(now) == Publication::Show
    }

    /// The token, where nothing has to be done or waited for.
    pub(in crate::supervisor) fn at_hand(
        &self,
        validity: Duration,
        now: Instant,
    ) -> Result<Option<Served>, Refusal> {
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
    pub(in crate::supervisor) fn generation_of(&self, which: &Rejected) -> Option<u64> {
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
