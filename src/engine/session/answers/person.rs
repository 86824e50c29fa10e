//! What a person's login changes: it replaces whatever the session held.

use crate::session::account::Account;
use crate::session::answer::{Answer, Request, Verdict};
use crate::session::{Action, Session};
use crate::time::Instant;

impl Session {
    /// The old refresh token belongs to the login that this one replaces, and to the person who made that one.
    pub(in crate::session) fn person_logged_in(
        &mut self,
        answer: &Answer,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        let Verdict::Good(grant) = &answer.verdict else {
            return;
        };
        self.record.answered(Request::Login, answer, now);
        self.learn_skew(answer, actions);
        account.count_login(now);
        self.ordered = None;
        self.state.logged_out = false;
        self.state.learned = None;
        self.state.spent_seed = None;
        self.state.intent = false;
        self.state.in_doubt = false;
        self.state.refresh = None;
        self.state.grant_died = None;
        self.try_again();
        self.state.unrenewable = false;
        self.state.renew_backoff.lift();
        // Before the token is looked at: should the server hand out one that is dead, the refresh token brings another.
        self.exercised(grant, answer.sent);
        self.logged_in(grant, answer, None, now, account, actions);
        account.succeeded_by_hand(now);
        actions.extend([Action::Save, Action::SaveAccount]);
    }

    /// The call left before the person's login that has replaced what it was about: its answer changes nothing.
    pub(super) fn is_outrun(&self, answer: &Answer) -> bool {
        answer.sent < self.state.granted_at
    }
}
