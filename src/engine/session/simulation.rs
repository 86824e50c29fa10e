//! Half a year against a server as it is, in virtual time: what must never happen, whatever happens.

pub mod arbitrary;
pub mod mishaps;
pub mod model;
pub mod world;

use std::time::Duration;

use mishaps::Faults;
use model::{Rules, Tally};
use world::World;

use super::policy::{LoginBy, Policy, WindowModel};

const HALF_A_YEAR: Duration = Duration::from_hours(180 * 24);
const TIMEOUTS: [u64; 6] = [15, 30, 60, 120, 480, 1440];

#[test]
fn a_faultless_half_year_takes_one_login_and_thirty_pings_a_day() {
    let timeout = minutes(120);
    let world = live(
        &policy(WindowModel::HalfWindow, timeout),
        1,
        Rules::new(WindowModel::HalfWindow, timeout),
        Faults::default(),
        1,
    );
    let Tally {
        pings,
        logins,
        idle_deaths,
        ..
    } = world.server.tally;
    assert_eq!((logins, idle_deaths), (1, 0));
    assert!(pings <= 180 * 30, "{pings} pings");
}

#[test]
fn no_session_idles_out_while_the_server_is_up_and_others_use_the_token_unseen() {
    for (seed, minutes_of_timeout) in TIMEOUTS.into_iter().enumerate() {
        for share in [3, 10, 40] {
            for model in [
                WindowModel::HalfWindow,
                WindowModel::Sliding,
                WindowModel::Explicit,
            ] {
                let timeout = minutes(minutes_of_timeout);
                let faults = Faults {
                    hidden_uses: Some(timeout / share),
                    ..Faults::default()
                };
                let mut world = World::new(
                    &policy(model, timeout),
                    1,
                    Rules::new(model, timeout),
                    faults,
                    seed as u64,
                );
                world.run(timeout * 200);
                let Tally {
                    logins,
                    idle_deaths,
                    ..
                } = world.server.tally;
                assert_eq!(
                    (logins, idle_deaths),
                    (1, 0),
                    "{model:?}, T = {timeout:?}, uses {share} times in T"
                );
            }
        }
    }
}

#[test]
fn every_fault_at_once_is_survived_for_half_a_year() {
    for seed in 0..6_u32 {
        for model in [
            WindowModel::HalfWindow,
            WindowModel::Sliding,
            WindowModel::Explicit,
        ] {
            let timeout = minutes(TIMEOUTS[2 + (seed % 4) as usize]);
            let mut rules = Rules::new(model, timeout);
            rules.reuses = seed % 3 == 0;
            rules.max_lifetime = (seed % 4 == 1).then_some(Duration::from_hours(48));
            let mut policy = policy(model, timeout);
            policy.max_lifetime = rules.max_lifetime;
            policy.login_may_reuse = rules.reuses;
            live(
                &policy,
                1 + seed % 3,
                rules,
                everything(timeout),
                seed.into(),
            );
        }
    }
}

#[test]
fn rotation_survives_lost_answers_and_crashes_at_any_point() {
    for seed in 0..8 {
        let timeout = minutes(120);
        let mut rules = Rules::new(WindowModel::Sliding, timeout);
        rules.rotates = true;
        rules.token_life = (seed % 2 == 0).then_some(Duration::from_hours(1));
        let faults = Faults {
            crashes: 7,
            lost_answers: 11,
            ..everything(timeout)
        };
        let world = live(
            &policy(WindowModel::Sliding, timeout),
            1,
            rules,
            faults,
            seed,
        );
        assert_eq!(world.server.tally.reuses, 0);
        assert!(world.server.tally.renewals > 20, "{:?}", world.server.tally);
    }
}

#[test]
fn a_refresh_token_that_only_a_person_can_replace_is_never_presented_spent_while_the_token_lives() {
    for seed in 0..20 {
        let timeout = minutes(120);
        let mut rules = Rules::new(WindowModel::Sliding, timeout);
        rules.rotates = true;
        rules.token_life = (seed % 2 == 0).then_some(Duration::from_hours(1));
        let mut policy = policy(WindowModel::Sliding, timeout);
        policy.login = LoginBy::Seed;
        policy.refresh_idle_timeout = Some(Duration::from_hours(24));
        let faults = Faults {
            crashes: 40,
            lost_answers: 60,
            revocations: None,
            ..everything(timeout)
        };
        let mut world = World::new(&policy, 1, rules, faults, seed);
        world.give_refresh_token(0);
        world.run(HALF_A_YEAR / 6);
        assert!(world.server.tally.renewals > 1, "{:?}", world.server.tally);
    }
}

#[test]
fn a_token_that_is_held_most_of_the_time_is_replaced_before_its_end_all_the_same() {
    for seed in 0..6 {
        let mut rules = Rules::new(WindowModel::Fixed, minutes(120));
        rules.timeout = None;
        rules.token_life = Some(minutes(60));
        rules.rotates = seed % 2 == 0;
        rules.max_lifetime = (seed % 3 == 0).then_some(Duration::from_hours(48));
        let mut policy = policy(WindowModel::Fixed, minutes(60));
        policy.idle_timeout = None;
        policy.renewal_kills = true;
        policy.max_lifetime = rules.max_lifetime;
        // Without a refresh token a login each 50 minutes at most; with one, each 47 hours, or one for all.
        let logins = match (rules.rotates, rules.max_lifetime) {
            (false, _) => 5_256,
            (true, Some(_)) => 92,
            (true, None) => 1,
        };
        let faults = Faults {
            holds: Some(minutes(40)),
            ..Faults::default()
        };
        let world = live(&policy, 1, rules, faults, seed);
        let share = world.good.as_secs_f64() / world.run.as_secs_f64();
        assert!(
            share > 0.999_99,
            "a token that works was published for {share} of the time"
        );
        assert!(
            world.server.tally.logins <= logins,
            "{:?}",
            world.server.tally
        );
    }
}

#[test]
fn a_fixed_token_is_replaced_before_its_end() {
    for seed in 0..4 {
        let mut rules = Rules::new(WindowModel::Fixed, minutes(120));
        rules.timeout = None;
        rules.token_life = Some(minutes(60));
        rules.rotates = seed % 2 == 0;
        let mut policy = policy(WindowModel::Fixed, minutes(60));
        policy.idle_timeout = None;
        let world = live(&policy, 1, rules, Faults::default(), seed);
        let share = world.good.as_secs_f64() / world.run.as_secs_f64();
        assert!(
            share > 0.999_999,
            "a token that works was published for {share} of the time"
        );
    }
}

#[test]
fn a_wrong_password_costs_one_login_in_half_a_year_of_restarts() {
    for seed in 0..4_u32 {
        let mut policy = policy(WindowModel::HalfWindow, minutes(120));
        policy.login = LoginBy::Daemon { confirm: false };
        let mut rules = Rules::new(WindowModel::HalfWindow, minutes(120));
        rules.accepts = false;
        let faults = Faults {
            restarts: Some(Duration::from_hours(3)),
            jumps: Some(Duration::from_hours(5)),
            ..Faults::default()
        };
        let world = live(&policy, 1 + seed, rules, faults, seed.into());
        assert_eq!(world.server.tally.refusals, 1);
        assert!(world.session(0).attention(&world.account).is_some());
    }
}

fn live(policy: &Policy, sessions: u32, rules: Rules, faults: Faults, seed: u64) -> World {
    let mut world = World::new(policy, sessions, rules, faults, seed);
    world.run(HALF_A_YEAR);
    world
}

fn everything(timeout: Duration) -> Faults {
    Faults {
        lost_answers: 50,
        refused_calls: 40,
        crashes: 200,
        outages: Some(Duration::from_hours(60)),
        revocations: Some(Duration::from_hours(90)),
        restarts: Some(Duration::from_hours(30)),
        jumps: Some(Duration::from_hours(70)),
        hidden_uses: Some(timeout / 3),
        suspends: Some(Duration::from_hours(100)),
        holds: Some(Duration::from_hours(20)),
        throttling: 60,
    }
}

fn policy(model: WindowModel, timeout: Duration) -> Policy {
    Policy {
        origin: "https://acme.example".into(),
        model,
        idle_timeout: Some(timeout),
        idle_timeouts: TIMEOUTS.map(minutes).into(),
        max_lifetime: None,
        token_lifetime: None,
        refresh_idle_timeout: None,
        renew_before: None,
        survive_outage: timeout / 10,
        request_timeout: Duration::from_secs(20),
        shared: true,
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

fn minutes(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}
