//! An admin's orders: whether they make sense now, and what becomes of them.

use std::time::Duration;

use super::Supervisor;
use super::slot::Slot;
use super::slot::Want;
use crate::api::{self, About, Refusal, Reply, SessionStatus};
use crate::session::account::Account;
use crate::session::answer::Request;
use crate::session::state::Health as TokenHealth;
use crate::session::{Input, Order};

impl Supervisor {
    /// Carries out what an admin wants. Without a wait the answer is that it is being done.
    pub(super) fn order(
        &mut self,
        about: &About,
        order: api::Order,
        wait: Duration,
        reply: Reply<SessionStatus>,
    ) {
        let (after, calls) = match self.orderable(about, order) {
            Ok(slot) => (slot.calls_before(order), slot.calls_for(order)),
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
                return;
            }
        };
        self.name_the_others_of_a_token(&about.name, order);
        self.feed_engine(&about.name, Input::Order(engine_order(order)));
        if calls.is_empty() || wait.is_zero() {
            self.pump(&about.name);
            let _ = reply.send(self.known(&about.name).and_then(|slot| self.status(slot)));
        } else {
            self.wait(&about.name, wait, outcome(after, calls, reply));
        }
    }

    /// Pings for a caller who is about to send what cannot be sent twice, unless the token was seen alive within `within`.
    pub(super) fn prove(
        &mut self,
        about: &About,
        within: Duration,
        wait: Duration,
        reply: Reply<SessionStatus>,
    ) {
        let (verify, now) = (api::Order::Verify, self.now.boot);
        let slot = match self.readable(about) {
            Ok(slot) if slot.session().was_alive_within(within, now) => {
                let _ = reply.send(self.status(slot));
                return;
            }
            readable => readable.and_then(|slot| slot.can_order(verify, None).map(|()| slot)),
        };
        let (after, calls) = match slot {
            Ok(slot) => (slot.calls_before(verify), slot.calls_for(verify)),
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
                return;
            }
        };
        self.feed_engine(&about.name, Input::Order(engine_order(verify)));
        self.wait(&about.name, wait, outcome(after, calls, reply));
    }

    fn orderable(&self, about: &About, order: api::Order) -> Result<&Slot, Refusal> {
        let slot = self.administered(about)?;
        let account = self
            .accounts
            .get(slot.account())
            .map(|account| &account.account);
        slot.can_order(order, account).map(|()| slot)
    }

    /// A logout ends the token for every session that holds the same one.
    fn name_the_others_of_a_token(&self, name: &str, order: api::Order) {
        let token = |slot: &Slot| {
            slot.session()
                .state()
                .token
                .as_ref()
                .map(|token| token.access_token.clone())
        };
        let Some(held) = self
            .slots
            .get(name)
            .and_then(|slot| token(slot))
            .filter(|_| order == api::Order::Logout)
        else {
            return;
        };
        let others = self
            .slots
            .values()
            .filter(|slot| &**slot.name() != name && token(slot).as_ref() == Some(&held));
        for other in others {
            tracing::warn!(
                session = &**other.name(),
                event = "token_shared",
                logged_out = name,
                "holds the token that is being logged out"
            );
        }
    }
}

impl Slot {
    /// What the engine would let pass unheeded is refused with its reason.
    fn can_order(&self, order: api::Order, account: Option<&Account>) -> Result<(), Refusal> {
        let (session, state) = (self.session(), self.session().state());
        let is_dead = matches!(state.health, TokenHealth::Dead { .. });
        let has_none = state.token.is_none() || state.health == TokenHealth::Missing;
        let is_stopped = account.is_some_and(|account| session.is_stopped(Request::Renew, account));
        let reason = match order {
            api::Order::Verify | api::Order::Renew if state.logged_out => {
                "it is logged out; run `keepfresh login`"
            }
            api::Order::Verify if has_none => "there is no token to verify",
            api::Order::Verify if is_dead => "the token is dead; `status` says when it is replaced",
            api::Order::Verify if !session.policy().has_ping => {
                "this session has no ping to verify the token with"
            }
            api::Order::Introspect if has_none || is_dead => {
                "there is no living token to ask about"
            }
            api::Order::Introspect if !self.config().remote.can_introspect() => {
                "this session cannot introspect: the provider has no introspection, or the client has no secret or key"
            }
            api::Order::Renew if session.renewal_is_declined() => {
                "the server refuses to renew; `login` tries again"
            }
            api::Order::Renew if !session.can_renew() => {
                "there is no refresh token; `login` authenticates anew"
            }
            api::Order::Renew if is_stopped => {
                "renewals are stopped until a person acts; `login` tries again"
            }
            api::Order::Renew if state.in_doubt => {
                "the refresh token may be spent; `login` authenticates anew"
            }
            api::Order::Verify | api::Order::Renew if !session.takes_duties() => {
                "another order is under way; try again when it is done"
            }
            api::Order::Login if !session.can_login() && !session.has_renewal() => {
                "this grant needs a new refresh token in its secret"
            }
            api::Order::Verify
            | api::Order::Introspect
            | api::Order::Renew
            | api::Order::Login
            | api::Order::Logout
            | api::Order::Pause
            | api::Order::Resume => return Ok(()),
        };
        Err(Refusal::Conflict {
            name: self.name().to_string(),
            reason: reason.to_owned(),
        })
    }

    /// The number of the last call that the order's outcome cannot be: a login or renewal under way is joined.
    fn calls_before(&self, order: api::Order) -> u64 {
        let ordered = self.calls_for(order).first();
        let joins = ordered.is_some_and(|request| self.session().is_under_way(*request));
        self.session().last_call() - u64::from(joins)
    }

    /// The calls that the order can end with; none when it is done at once.
    fn calls_for(&self, order: api::Order) -> &'static [Request] {
        match order {
            api::Order::Verify => &[Request::Ping],
            api::Order::Introspect => &[Request::Introspect],
            api::Order::Renew => &[Request::Renew],
            api::Order::Login => &[Request::Login, Request::Renew],
            api::Order::Logout if self.session().state().token.is_some() => &[Request::Logout],
            api::Order::Logout | api::Order::Pause | api::Order::Resume => &[],
        }
    }
}

/// What came of the first of these calls after that number.
fn outcome(after: u64, of: &'static [Request], reply: Reply<SessionStatus>) -> Want {
    Want::Outcome {
        after,
        of,
        reply: Some(reply),
    }
}

fn engine_order(order: api::Order) -> Order {
    match order {
        api::Order::Verify => Order::Verify,
        api::Order::Introspect => Order::Introspect,
        api::Order::Renew => Order::Renew,
        api::Order::Login => Order::Login,
        api::Order::Logout => Order::Logout,
        api::Order::Pause => Order::Pause,
        api::Order::Resume => Order::Resume,
    }
}
