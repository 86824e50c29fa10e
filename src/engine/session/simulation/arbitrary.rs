//! Whatever comes, in whatever order: nothing panics, nothing spins, and no more than one call is under way.

use std::time::Duration;

use jiff::Timestamp;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngAlgorithm, RngSeed, TestRng, TestRunner};

use crate::named::Named;
use crate::secret::Secret;
use crate::session::account::Account;
use crate::session::answer::{Answer, Grant, Refused, Request, Verdict};
use crate::session::policy::{LoginBy, Policy, WindowModel};
use crate::session::presented::Presented;
use crate::session::state::{Doubt, Health, State};
use crate::session::view::Publication;
use crate::session::{Action, Call, Input, Order, Session};
use crate::time::Instant;
use crate::token::{RefreshTokenError, Token};

/// No session asks more often, whatever the server says: a new token a second where its words are so short-lived, each
/// with one ping and one introspection.
const MOST_CALLS_PER_HOUR: usize = 3 * 3_600;

/// The same lives in every run, and others with `PROPTEST_RNG_SEED`; more of them with `PROPTEST_CASES`.
fn config() -> ProptestConfig {
    let default = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let rng_seed = match default.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    ProptestConfig {
        rng_seed,
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_order_of_inputs_breaks_a_session(policy in policies(), inputs in vec((0_u64..5_000_000, happenings()), 1..120)) {
        live(policy, inputs);
    }

    #[test]
    fn no_answers_make_a_session_call_in_a_loop(policy in policies(), verdicts in vec(verdicts(), 1..6), took in 0_u64..1_500) {
        let mut stage = Stage::new(policy);
        stage.step(Input::Tick);
        let hour = stage.now.after(Duration::from_hours(1));
        let mut verdicts = verdicts.into_iter().cycle();
        let mut calls = 0;
        while stage.now < hour {
            calls += usize::from(stage.call.is_some());
            prop_assert!(calls < MOST_CALLS_PER_HOUR, "{:#?}", stage.session);
            let Some(verdict) = stage.call.is_some().then(|| verdicts.next().unwrap()) else {
                let Some(wake) = stage.session.wake(stage.now, &stage.account) else { break };
                stage.now = wake;
                stage.step(Input::Tick);
                continue;
            };
            stage.now = stage.now.after(Duration::from_millis(took));
            stage.answer(verdict, took);
        }
    }

    #[test]
    fn what_is_stored_and_moved_to_another_boot_goes_on_alike(
        policy in policies(),
        inputs in vec((0_u64..5_000_000, happenings()), 1..60),
        shift in -1_000_000_000_i64..1_000_000_000,
    ) {
        let mut stage = Stage::new(policy.clone());
        for (wait, happening) in inputs {
            stage.now = stage.now.after(Duration::from_millis(wait));
            stage.happen(happening);
        }
        let state = stage.session.state().clone();
        let text = serde_json::to_string(&state).unwrap();
        let mut moved: State = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&moved, &state);
        moved.shift(shift);
        let mut account: Account = serde_json::from_str(&serde_json::to_string(&stage.account).unwrap()).unwrap();
        account.shift(shift);
        let there = stage.now.shifted(shift);
        stage.account.in_flight = None;
        let here = Session::restore("s", policy.clone(), state, stage.now, 1, true);
        let away = Session::restore("s", policy, moved, there, 1, true);
        let next = |session: &Session, now, account: &Account, by| {
            session.next(now, account).map(|next| (next.at.shifted(by), next.request, next.why))
        };
        account.sessions = stage.account.sessions;
        prop_assert_eq!(next(&here, stage.now, &stage.account, shift), next(&away, there, &account, 0));
        prop_assert_eq!(here.promise(stage.now), away.promise(there));
    }
}

#[test]
fn a_stored_state_that_calls_good_what_is_not_there_begins_with_a_login() {
    let now = Instant::from_millis(10_000_000);
    let policy = super::policy(WindowModel::HalfWindow, Duration::from_hours(2));
    let doubtful = Health::Doubtful {
        since: now,
        why: Doubt::Report,
    };
    for (health, certain) in [
        (Health::Good, true),
        (Health::Good, false),
        (doubtful, true),
    ] {
        let state = State {
            health: health.clone(),
            ..State::new(now, 7)
        };
        let session = Session::restore("s", policy.clone(), state, now, 1, certain);
        let next = session.next(now, &Account::new(now, 7)).unwrap();
        assert_eq!(
            (next.at, next.request),
            (now, Request::Login),
            "{health:?} {certain}"
        );
    }
}

/// A life that follows from `data`, for a fuzzer to find those that lead further.
pub fn fuzz(data: &[u8]) {
    let mut runner = TestRunner::new_with_rng(config(), chance(data));
    let life = (policies(), vec((0_u64..5_000_000, happenings()), 1..120)).new_tree(&mut runner);
    if let Ok(life) = life {
        let (policy, inputs) = life.current();
        live(policy, inputs);
    }
}

/// A source of chance that the first bytes of `data` seed.
fn chance(data: &[u8]) -> TestRng {
    let mut seed = [1; 16];
    seed.iter_mut()
        .zip(data)
        .for_each(|(place, byte)| *place = *byte);
    TestRng::from_seed(RngAlgorithm::XorShift, &seed)
}

/// A stored state of random content, taken up: it may be nonsense, but nothing panics and nothing spins.
///
/// # Panics
/// Where the session asks to be woken for nothing.
pub fn fuzz_stored(data: &[u8]) {
    let _ = serde_json::from_slice::<Account>(data);
    let Ok(state) = serde_json::from_slice::<State>(data) else {
        return;
    };
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), chance(data));
    let Ok(policy) = policies().new_tree(&mut runner) else {
        return;
    };
    let mut now = Instant::from_millis(10_000_000);
    let mut account = Account::new(now, 7);
    let mut session = Session::restore(
        "s",
        policy.current(),
        state,
        now,
        1,
        data.len().is_multiple_of(2),
    );
    for _ in 0..20 {
        session.step(Input::Tick, now, &mut account);
        let _ = (
            session.publication(now),
            session.promise(now),
            session.phase(now, &account),
            session.notice(now, &account),
        );
        let Some(wake) = session.wake(now, &account) else {
            return;
        };
        assert!(wake > now, "a wake that changes nothing: {session:#?}");
        now = wake;
    }
}

fn live(policy: Policy, inputs: Vec<(u64, Happening)>) {
    let mut stage = Stage::new(policy);
    for (wait, happening) in inputs {
        stage.now = stage.now.after(Duration::from_millis(wait));
        stage.happen(happening);
    }
}

struct Stage {
    now: Instant,
    session: Session,
    account: Account,
    call: Option<Call>,
}

/// One thing that may happen.
#[derive(Clone, Debug)]
enum Happening {
    Input(Input),
    Answer(Verdict, u64),
    WakeThenAnswer(Verdict, u64),
    Restart(bool),
}

impl Stage {
    fn new(policy: Policy) -> Self {
        let now = Instant::from_millis(0);
        Self {
            now,
            session: Session::new("s", policy, now, 1, 7),
            account: Account::new(now, 7),
            call: None,
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Input(input) => self.step(input),
            Happening::Answer(verdict, took) => self.answer(verdict, took),
            Happening::WakeThenAnswer(verdict, took) => {
                if let Some(wake) = self.session.wake(self.now, &self.account) {
                    self.now = self
                        .now
                        .max(wake.min(self.now.after(Duration::from_hours(24 * 400))));
                    self.step(Input::Tick);
                }
                self.answer(verdict, took);
            }
            Happening::Restart(certain) => {
                let (policy, state) = (self.session.policy().clone(), self.session.state().clone());
                self.account.release("s");
                self.session = Session::restore("s", policy, state, self.now, 1, certain);
                self.call = None;
                self.step(Input::Tick);
            }
        }
    }

    fn answer(&mut self, verdict: Verdict, took: u64) {
        let Some(call) = self.call.take() else { return };
        let odd = took.is_multiple_of(3);
        let sent = self.now.before(Duration::from_millis(took));
        let (received, detail) = (self.now, verdict.word().into());
        let counted = verdict != Verdict::Unavailable;
        let answer = Answer {
            call: call.id,
            sent,
            received,
            verdict,
            detail,
            remedy: None,
            counted,
            skew_millis: None,
            odd,
            quotas: vec![],
        };
        self.step(Input::Answered {
            answer,
            presented: Some(Presented::of("secret")),
        });
    }

    fn step(&mut self, input: Input) {
        let actions = self.session.step(input, self.now, &mut self.account);
        for action in actions {
            if let Action::Call(call) = action {
                assert!(self.call.is_none(), "two calls under way");
                self.call = Some(call);
            }
        }
        let wake = self.session.wake(self.now, &self.account);
        assert!(
            wake.is_none_or(|wake| wake > self.now),
            "a wake that changes nothing: {:#?}",
            self.session
        );
        assert_eq!(self.call.is_some(), self.session.under_way().is_some());
        if let Health::Dead { since, .. } = self.session.state().health {
            let late = self.now.since(since) > Duration::from_secs(5);
            assert!(!late || self.session.publication(self.now) == Publication::Withdraw);
        }
        let stuck = wake.is_none() && self.call.is_none();
        assert!(
            !stuck || self.may_rest(),
            "stuck: {:#?} {:#?}",
            self.session,
            self.account
        );
    }

    /// Nothing need ever happen by itself: a person must act, nothing ends the token, or no reader wants it.
    fn may_rest(&self) -> bool {
        let state = self.session.state();
        let explained = self.session.attention(&self.account).is_some()
            || state.paused
            || self.session.is_dormant();
        let waits_for_seed =
            state.health == Health::Missing && state.generation == 0 && !self.session.can_login();
        explained || waits_for_seed || state.health == Health::Good
    }
}

fn happenings() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (verdicts(), 0_u64..30_000).prop_map(|(verdict, took)| Happening::Answer(verdict, took)),
        4 => (verdicts(), 0_u64..30_000).prop_map(|(verdict, took)| Happening::WakeThenAnswer(verdict, took)),
        3 => inputs().prop_map(Happening::Input),
        1 => any::<bool>().prop_map(Happening::Restart),
    ]
}

fn inputs() -> impl Strategy<Value = Input> {
    prop_oneof![
        Just(Input::Tick),
        (0_u64..6).prop_map(|call| Input::Unwritten { call: 1_000 + call }),
        orders().prop_map(Input::Order),
        (0_u64..6, option::of(durations()))
            .prop_map(|(generation, age)| Input::Used { generation, age }),
        (0_u64..6).prop_map(|generation| Input::Rejected { generation }),
        durations().prop_map(|validity| Input::Wanted { validity }),
        option::of(durations()).prop_map(|lasting| Input::Held { lasting }),
        "[a-c]".prop_map(|token| Input::Seed(Ok(Secret::new(token)))),
        Just(Input::Seed(Err("it cannot be read".into()))),
        "[a-c]".prop_map(|secret| Input::SecretsAre(Presented::of(&secret))),
        Just(Input::ClockJumped),
        any::<bool>().prop_map(Input::Active),
        policies().prop_map(|policy| Input::Reconfigured(policy.into())),
    ]
}

fn orders() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(Order::Verify),
        Just(Order::Introspect),
        Just(Order::Renew),
        Just(Order::RenewWhenFree),
        Just(Order::Login),
        Just(Order::Logout),
        Just(Order::Pause),
        Just(Order::Resume),
    ]
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        4 => Just(Verdict::Alive),
        2 => any::<(bool, bool)>().prop_map(|(certain, for_good)| Verdict::Dead { certain, for_good }),
        6 => grants().prop_map(|grant| Verdict::Good(Box::new(grant))),
        1 => option::of("[a-c]").prop_map(|token| Verdict::Expired { refresh_token: token.map(Secret::new) }),
        1 => (any::<bool>(), refusals()).prop_map(|(confirm, what)| Verdict::Refused { confirm, what }),
        1 => Just(Verdict::GrantDead),
        1 => Just(Verdict::Declined),
        1 => option::of(durations()).prop_map(|retry_after| Verdict::Throttled { retry_after }),
        2 => Just(Verdict::Unavailable),
        1 => any::<bool>().prop_map(|certain| Verdict::Forbidden { certain }),
        1 => Just(Verdict::InDoubt),
        1 => Just(Verdict::Concurrent),
        1 => Just(Verdict::Skewed),
        1 => Just(Verdict::LoggedOut),
        3 => (any::<bool>(), option::of(durations())).prop_map(|(active, remaining)| Verdict::Introspected { active, remaining }),
    ]
}

fn refusals() -> impl Strategy<Value = Refused> {
    prop_oneof![
        Just(Refused::Credential),
        Just(Refused::Client),
        Just(Refused::User),
        Just(Refused::Request)
    ]
}

prop_compose! {
    fn grants()(
        token in "[a-f]",
        refresh_token in option::of("[a-c]"),
        is_odd in option::weighted(0.1, Just(RefreshTokenError::BadCharacter)),
        lifetime in option::of(durations()),
        refresh_lifetime in option::of(durations()),
        idle_timeout in option::weighted(0.2, durations()),
        max_lifetime in option::weighted(0.2, durations()),
        fixed in any::<bool>(),
        elsewhere in any::<bool>(),
    ) -> Grant {
        let token = Token {
            access_token: Secret::new(token),
            token_type: "Bearer".into(),
            instance_url: elsewhere.then(|| "https://elsewhere.example".into()),
            captures: Named::default(),
            issued_at: Timestamp::UNIX_EPOCH,
            expires_at: None,
        };
        let refresh_token = refresh_token.filter(|_| is_odd.is_none()).map(Secret::new);
        Grant { token, refresh_token, odd_refresh_token: is_odd, lifetime, refresh_lifetime, idle_timeout, max_lifetime, fixed }
    }
}

prop_compose! {
    fn policies()(
        model in prop_oneof![
            Just(WindowModel::HalfWindow), Just(WindowModel::Sliding), Just(WindowModel::Explicit), Just(WindowModel::Fixed),
        ],
        idle_timeout in option::weighted(0.8, 2_000_u64..100_000_000),
        (max_lifetime, token_lifetime, refresh_idle_timeout) in
            (option::weighted(0.2, durations()), option::weighted(0.2, durations()), option::weighted(0.3, durations())),
        renew_before in option::weighted(0.2, durations()),
        request_timeout in 1_000_u64..30_000,
        (shared, has_ping, login_may_reuse, introspect) in any::<(bool, bool, bool, bool)>(),
        (renew_by_profile, renewal_needs_life, renewal_needs_refresh_token) in any::<(bool, bool, bool)>(),
        login in prop_oneof![
            Just(LoginBy::Seed), Just(LoginBy::Person), Just(LoginBy::Daemon { confirm: true }), Just(LoginBy::Daemon { confirm: false }),
        ],
    ) -> Policy {
        let idle_timeout = idle_timeout.map(Duration::from_millis);
        Policy {
            origin: "https://acme.example".into(),
            model,
            idle_timeout,
            idle_timeouts: [1, 10, 900, 7_200].map(Duration::from_secs).into(),
            max_lifetime,
            token_lifetime,
            refresh_idle_timeout,
            renew_before,
            survive_outage: idle_timeout.unwrap_or(Duration::from_mins(10)) / 10,
            request_timeout: Duration::from_millis(request_timeout),
            shared,
            has_ping,
            login_may_reuse,
            renew_by_profile,
            renewal_needs_life,
            renewal_needs_refresh_token,
            renewal_kills: false,
            login,
            introspect,
        }
    }
}

/// From nothing to a century, with all that lies between.
fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        (1_u64..5_000).prop_map(Duration::from_millis),
        (1_u64..100_000).prop_map(Duration::from_secs),
        Just(Duration::from_hours(24 * 365 * 100)),
    ]
}
