//! What is measured of one session.

use super::Slot;
use crate::metrics::{Moments, SessionFigures};
use crate::session::account::Account;
use crate::session::answer::Request;
use crate::session::state::Health;
use crate::supervisor::shown;
use crate::time::{Instant, Now};

/// Answers of one session by request and verdict.
#[derive(Debug, Default)]
pub(super) struct Tally(Vec<(Request, &'static str, u64)>);

impl Tally {
    pub(in crate::supervisor) fn count(&mut self, request: Request, verdict: &'static str) {
        if let Some((_, _, count)) = self
            .0
            .iter_mut()
            .find(|(of, word, _)| (*of, *word) == (request, verdict))
        {
            *count += 1;
            return;
        }
        // A few, which come one by one and stay.
        self.0.reserve_exact(1);
        self.0.push((request, verdict, 1));
    }

    /// What was counted, and zero for successes that have not come yet: a first one is an increase, too.
    fn figures(&self) -> Vec<(Request, &'static str, u64)> {
        let mut figures = self.0.clone();
        for (request, verdict) in [
            (Request::Ping, "alive"),
            (Request::Renew, "good"),
            (Request::Login, "good"),
        ] {
            if !figures
                .iter()
                .any(|(of, word, _)| (*of, *word) == (request, verdict))
            {
                figures.push((request, verdict, 0));
            }
        }
        figures
    }
}

impl Slot {
    pub(in crate::supervisor) fn figures(&self, now: Now, account: &Account) -> SessionFigures {
        let state = self.session.state();
        let lifetime = state.refresh.as_ref().zip(self.session.refresh_deadline());
        #[expect(
            clippy::cast_precision_loss,
            reason = "clocks that differ by millennia may lose a millisecond"
        )]
        let skew = state.skew_millis as f64 / 1000.0;
        SessionFigures {
            name: self.name.clone(),
            phase: self.phase(now.boot, account),
            ready: self.is_ready(),
            generation: state.token.as_ref().map(|_| state.generation),
            moments: self.moments(now, account),
            idle_timeout_seconds: self
                .session
                .idle_timeout()
                .map(|timeout| timeout.as_secs_f64()),
            refresh_token_lifetime_seconds: lifetime
                .map(|(it, end)| end.since(it.exercised).as_secs_f64()),
            persisted: self.record.problem().is_none(),
            files_failing: self.publication.failing().len(),
            clock_skew_seconds: skew,
            calls: self.tally.figures(),
            publications: self.publication.count(),
            gateway: None,
            hook_runs: (!self.config.hooks.is_empty()).then(|| self.hook_runs.runs()),
            quotas: self.session.record().quotas.clone(),
            warnings: self.warnings(now.boot),
            broken: self.broken,
            owner: self.config.owner.clone(),
            runbook: self.config.runbook.clone(),
        }
    }

    fn moments(&self, now: Now, account: &Account) -> Moments {
        let state = self.session.state();
        let at = |moment: Option<Instant>| moment.map(|moment| now.wall_at(moment));
        Moments {
            idle_deadline: at(self
                .session
                .idle_deadline()
                .filter(|_| state.health == Health::Good)),
            token_expiry: at(state.expires),
            refresh_token_expiry: at(self.session.refresh_deadline()),
            login_expiry: at(self.session.login_deadline()),
            next_action: at(self.session.next(now.boot, account).map(|next| next.at)),
            token_issued: shown::issued_at(state, now),
            login: at(state.logged_in_at),
            activity: at(state.bounds.map(|bounds| bounds.hi)),
        }
    }

    /// Whether a token is out that a job can use; one that may not even ping is of no use.
    pub(in crate::supervisor) fn is_ready(&self) -> bool {
        let forbidden = self
            .session
            .state()
            .forbidden
            .as_ref()
            .is_some_and(|forbidden| !forbidden.tentative);
        self.publication.is_shown() && !forbidden
    }
}
