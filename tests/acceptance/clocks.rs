//! A wall clock that is set while the daemon runs: by hours, by years, from the first of January 1970. libfaketime shows
//! the daemon such a clock; the machine's own is left alone, and so is the one that durations run on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::support::daemon::Lab;
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;
use crate::support::{SOON, within};

#[test]
fn a_clock_that_is_set_costs_a_ping_and_no_login_and_moves_the_ends_that_readers_see() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    let json = "file = \"crm.json\"\nformat = \"json\"\n";
    let shown = [json, "file = \"crm\"\n"];
    let session = lab.by_client("crm").key("token_lifetime = \"1h\"");
    lab.configure(&[shown
        .iter()
        .fold(session, |session, publish| session.publish(publish))]);
    let clock = Clock::beside(&lab, Set::To("1970-01-01 00:01:00"));
    start_by(&mut lab, &clock);
    let token = lab.await_token("crm");
    let came = SystemTime::now();
    let generation = lab.status("crm")["generation"].clone();
    for (steps, set) in (1..).zip([
        Set::By(0),
        Set::By(7200),
        Set::By(-7200),
        Set::By(365 * 86_400),
        Set::By(-365 * 86_400),
        Set::By(0),
    ]) {
        clock.set(set);
        let expected = set.wall() + SignedDuration::from_hours(1)
            - SignedDuration::try_from(came.elapsed().unwrap()).unwrap();
        within(SOON, "the end by the new clock", || {
            near(&end_in_file(&lab)?, expected).then_some(())
        });
        let told = lab.get("/v1/sessions/crm/token").unwrap().json();
        let status = lab.status("crm");
        for (end, whose) in [
            (&told["expires_at"], "token"),
            (&status["token_expires_at"], "status"),
        ] {
            assert!(
                near(end, expected),
                "{whose} under {set:?}: {end}, not {expected}"
            );
        }
        assert_eq!(lab.token("crm").as_deref(), Some(token.as_str()), "{set:?}");
        within(Duration::from_secs(40), "the token to be proven", || {
            (lab.status("crm")["state"] == "alive").then_some(())
        });
        assert!(
            server.pings() <= steps,
            "{} pings after {steps} steps",
            server.pings()
        );
    }
    assert_eq!(
        (server.logins(), lab.status("crm")["generation"].clone()),
        (1, generation)
    );
}

#[test]
fn a_clock_that_runs_sixty_times_too_fast_costs_a_few_pings_and_keeps_no_reader_waiting() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm").key("token_lifetime = \"1h\"")]);
    let clock = Clock::beside(&lab, Set::Fast(60));
    start_by(&mut lab, &clock);
    let token = lab.await_token("crm");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(15) {
        within(SOON, "a token that is proven", || {
            lab.get("/v1/sessions/crm/token?min_validity=10m&wait=10s")
                .filter(|answer| answer.status == 200)
        });
        sleep(Duration::from_millis(100));
    }
    assert_eq!((server.logins(), lab.token("crm")), (1, Some(token)));
    assert!(
        (1..=8).contains(&server.pings()),
        "{} pings",
        server.pings()
    );
}

/// What a clock is set to.
#[derive(Clone, Copy, Debug)]
enum Set {
    /// So many seconds from the true time.
    By(i64),
    To(&'static str),
    /// So many times as fast as it should.
    Fast(u32),
}

impl Set {
    fn wall(self) -> Timestamp {
        match self {
            Self::By(seconds) => Timestamp::now() + SignedDuration::from_secs(seconds),
            Self::To(_) | Self::Fast(_) => Timestamp::UNIX_EPOCH,
        }
    }

    fn words(self) -> String {
        match self {
            Self::By(seconds) => format!("{seconds:+}"),
            Self::To(moment) => format!("@{moment}"),
            Self::Fast(times) => format!("+0 x{times}"),
        }
    }
}

/// The wall clock of one daemon.
struct Clock(PathBuf);

impl Clock {
    fn beside(lab: &Lab, set: Set) -> Self {
        let clock = Self(lab.path("clock"));
        clock.set(set);
        clock
    }

    /// Whole or not at all: the daemon reads it at any time.
    fn set(&self, set: Set) {
        let fresh = self.0.with_extension("new");
        fs::write(&fresh, set.words()).unwrap();
        fs::rename(fresh, &self.0).unwrap();
    }
}

fn start_by(lab: &mut Lab, clock: &Clock) {
    let mut command = lab.daemon();
    command
        .env("LD_PRELOAD", libfaketime())
        .env("FAKETIME_TIMESTAMP_FILE", &clock.0)
        .env("TZ", "UTC");
    for name in [
        "FAKETIME_NO_CACHE",
        "FAKETIME_DONT_FAKE_MONOTONIC",
        "NO_FAKE_STAT",
    ] {
        command.env(name, "1");
    }
    command.stderr(Stdio::piped());
    lab.start_by(command);
}

/// Below the directory of the machine's own architecture.
fn libfaketime() -> PathBuf {
    let libraries = fs::read_dir("/usr/lib")
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    let mut places = libraries.map(|place| place.join("faketime/libfaketimeMT.so.1"));
    places
        .find(|place| Path::exists(place))
        .expect("libfaketime is installed: `make test` sees to it")
}

fn end_in_file(lab: &Lab) -> Option<Value> {
    let text = fs::read_to_string(lab.path("run/tokens/crm.json")).ok()?;
    lab.get("/v1/health");
    serde_json::from_str::<Value>(&text)
        .ok()
        .map(|shown| shown["expires_at"].clone())
}

fn near(told: &Value, expected: Timestamp) -> bool {
    let told = told
        .as_str()
        .and_then(|told| told.parse::<Timestamp>().ok());
    told.is_some_and(|told| told.duration_since(expected).unsigned_abs() < Duration::from_secs(8))
}
