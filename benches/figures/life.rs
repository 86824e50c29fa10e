//! One engine, fed by hand: what the daemon would do for it, without the daemon.

use std::time::Duration;

use jiff::Timestamp;

use keepfresh::blotted::Blotted;
use keepfresh::named::Named;
use keepfresh::secret::Secret;
use keepfresh::session::account::Account;
use keepfresh::session::answer::{Answer, Grant, Request, Verdict};
use keepfresh::session::policy::{LoginBy, Policy, WindowModel};
use keepfresh::session::{Action, Call, Input, Session};
use keepfresh::time::Instant;
use keepfresh::token::Token;

/// A session that has logged in.
pub(crate) struct Life {
    pub(crate) session: Session,
    account: Account,
    now: Instant,
    issued: u64,
    renewable: bool,
}

impl Life {
    pub(crate) fn begun(renewable: bool) -> Self {
        let now = Instant::from_millis(0);
        let policy = policy(Duration::from_hours(2), true);
        let (session, account) = (Session::new("crm", policy, now, 1, 1), Account::new(now, 1));
        let mut life = Self {
            session,
            account,
            now,
            issued: 0,
            renewable,
        };
        let login = life.feed(Input::Tick);
        life.granted(login, Request::Login);
        life
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// Until it wants something.
    pub(crate) fn wake(&mut self) {
        self.now = self.session.wake(self.now, &self.account).unwrap();
    }

    /// One step, and the look at the clock that follows it.
    pub(crate) fn feed(&mut self, input: Input) -> Option<Call> {
        let actions = self.session.step(input, self.now, &mut self.account);
        std::hint::black_box(self.session.wake(self.now, &self.account));
        actions.into_iter().find_map(|action| match action {
            Action::Call(call) => Some(call),
            Action::Save | Action::SaveAccount | Action::Tell(_) => None,
        })
    }

    /// Answers a call, which must be `request`, after 50 ms; gives the call that follows.
    pub(crate) fn answer(
        &mut self,
        call: Option<Call>,
        request: Request,
        verdict: Verdict,
    ) -> Option<Call> {
        let call = call.expect("a call");
        assert_eq!(call.request, request);
        let sent = self.now;
        self.pass(Duration::from_millis(50));
        let (received, detail) = (self.now, Blotted::default());
        let answer = Answer {
            call: call.id,
            sent,
            received,
            verdict,
            detail,
            remedy: None,
            counted: true,
            skew_millis: None,
            odd: false,
            quotas: vec![],
        };
        self.feed(Input::Answered {
            answer,
            presented: None,
        })
    }

    /// The same with a new token.
    pub(crate) fn granted(&mut self, call: Option<Call>, request: Request) {
        self.issued += 1;
        let token = Token {
            access_token: Secret::new(format!("00D5g0000042abc!AQ{:048}", self.issued)),
            token_type: "Bearer".into(),
            instance_url: Some("https://acme.example".into()),
            captures: Named::default(),
            issued_at: Timestamp::UNIX_EPOCH,
            expires_at: None,
        };
        let refresh_token = self
            .renewable
            .then(|| Secret::new(format!("5Aep861{:048}", self.issued)));
        let verdict = Verdict::Good(Box::new(Grant {
            token,
            refresh_token,
            lifetime: None,
            odd_refresh_token: None,
            refresh_lifetime: None,
            idle_timeout: None,
            max_lifetime: None,
            fixed: false,
        }));
        let more = self.answer(call, request, verdict);
        assert!(more.is_none(), "{more:?}");
    }
}

/// As a session at Salesforce.
pub(crate) fn policy(timeout: Duration, shared: bool) -> Policy {
    Policy {
        origin: "https://acme.example".into(),
        model: WindowModel::HalfWindow,
        idle_timeout: Some(timeout),
        idle_timeouts: [15, 30, 60, 120, 240, 480, 720, 1440]
            .map(Duration::from_mins)
            .into(),
        max_lifetime: None,
        token_lifetime: None,
        refresh_idle_timeout: None,
        renew_before: None,
        survive_outage: timeout / 10,
        request_timeout: Duration::from_secs(20),
        shared,
        has_ping: true,
        login_may_reuse: false,
        renew_by_profile: false,
        renewal_needs_life: false,
        renewal_needs_refresh_token: false,
        renewal_kills: false,
        login: LoginBy::Daemon { confirm: true },
        introspect: false,
    }
}
