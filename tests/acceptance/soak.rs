//! Everything at once: sessions of every grant under revocations, faults, kills, reloads and reports, then calm.
//!
//! One round of some seconds in every run of the tests, always the same; `make soak` goes on with others for ten minutes
//! (`KEEPFRESH_SOAK_SECONDS`). The sequence follows from the seed that is printed.

use std::fmt::Write as _;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, RefreshTokens, Settings};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::wire::Response;
use crate::support::{SOON, poll, within};

const SESSIONS: u32 = 12;

/// As many strikes as the hourly budget of logins forgives.
const ROUND: Duration = Duration::from_secs(8);

#[test]
fn soak_every_session_comes_through_chaos() {
    let lasting = std::env::var("KEEPFRESH_SOAK_SECONDS")
        .ok()
        .and_then(|it| it.parse().ok())
        .unwrap_or(0);
    let began = Instant::now();
    let first = if lasting == 0 {
        1
    } else {
        u64::from(std::process::id())
    };
    for seed in first.. {
        println!("seed {seed}");
        let mut chaos = Chaos::begin(seed);
        let struck = Instant::now();
        while struck.elapsed() < ROUND {
            chaos.strike();
            sleep(Duration::from_millis(chaos.below(400)));
        }
        chaos.calm();
        if began.elapsed() >= Duration::from_secs(lasting) {
            return;
        }
    }
}

struct Chaos {
    random: u64,
    server: Arc<Salesforce>,
    lab: Lab,
    began: Instant,
    strikes: usize,
}

impl Chaos {
    fn begin(seed: u64) -> Self {
        let settings = Settings {
            idle: Duration::from_secs(6),
            refresh_tokens: RefreshTokens::Rotated,
            ..Settings::default()
        };
        let server = Arc::new(Salesforce::start(settings));
        server.allow_calls(400);
        let mut lab = Lab::new(&server);
        let sessions: Vec<_> = (0..SESSIONS)
            .map(|number| match number % 3 {
                0 => lab.by_key(&name(number)),
                1 => lab.by_client(&name(number)),
                _ => lab.by_password(&name(number), &name(number)),
            })
            .map(|session| session.idle_timeout("6s"))
            .collect();
        lab.configure(&sessions);
        lab.start();
        Self {
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            server,
            lab,
            began: Instant::now(),
            strikes: 0,
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }

    fn strike(&mut self) {
        self.strikes += 1;
        let session = name(u32::try_from(self.below(u64::from(SESSIONS))).unwrap());
        let endpoint = if self.below(2) == 0 {
            Endpoint::Token
        } else {
            Endpoint::Data
        };
        match self.below(14) {
            0 => self.server.revoke_sessions(),
            1 => self.server.once(endpoint, Instead::Lose),
            2 => self.server.once(endpoint, Instead::Reset),
            3 => self.server.once(endpoint, Instead::Hang),
            4 => self.server.once(endpoint, Instead::Truncate),
            5 => self.server.once(endpoint, Instead::Endless),
            6 => self.server.once(endpoint, Instead::Drip),
            7 => self.server.once(
                endpoint,
                Instead::Say(Response::html(200, "<html>soon</html>")),
            ),
            8 => self.outage(),
            9 => self.restart(),
            10 => {
                self.await_listening();
                self.lab.signal(Signal::HUP);
            }
            11 => self.server.use_unseen(),
            12 => self.order(&session, "renew"),
            _ => self.order(&session, "verify"),
        }
    }

    fn outage(&mut self) {
        self.server.refuse();
        sleep(Duration::from_millis(self.below(1500)));
        self.server.accept_again();
    }

    fn restart(&mut self) {
        if self.below(2) == 0 {
            self.lab.kill();
        } else {
            self.await_listening();
            let ended = self.lab.stop();
            assert!(ended.success(), "{ended}");
        }
        self.lab.start();
    }

    /// A signal that comes before the program has even begun ends it by its default: that shows nothing.
    fn await_listening(&self) {
        within(SOON, "the daemon to listen", || self.lab.get("/v1/health"));
    }

    fn order(&self, session: &str, order: &str) {
        let path = format!("/v1/sessions/{session}/{order}?wait=0s");
        let socket = self.lab.socket();
        // A daemon that is just starting may not listen yet: no order, then.
        let _ = crate::support::unix::request(&socket, "POST", &path, "application/json", "");
    }

    /// The server behaves again: each session must be alive soon, by few calls, and nobody's refresh token presented twice.
    fn calm(mut self) {
        self.server.behave();
        assert!(self.lab.runs());
        for number in 0..SESSIONS {
            let name = name(number);
            let alive = poll(Duration::from_secs(40), || {
                self.lab.token(&name).filter(|it| self.server.lives(it))
            });
            assert!(
                alive.is_some(),
                "{name} is not alive: {}",
                self.lab.status(&name)
            );
        }
        assert_eq!(
            self.server.reuse_detected(),
            0,
            "a login was always at hand:\n{}",
            self.repeated()
        );
        assert!(!self.server.locked(), "the password was right");
        let (calls, bound) = (
            self.server.calls().len(),
            40 * SESSIONS as usize + 40 * self.strikes,
        );
        println!(
            "{calls} calls after {} strikes in {:?}",
            self.strikes,
            self.began.elapsed()
        );
        assert!(
            calls < bound,
            "{calls} calls after {} strikes",
            self.strikes
        );
    }
}

impl Chaos {
    /// What led to a refresh token's second presentation: the calls for tokens and the log of its session.
    fn repeated(&self) -> String {
        let calls = self.server.calls();
        let presented: Vec<_> = calls
            .iter()
            .filter_map(|call| Some((call, call.request.form().get("refresh_token")?.clone())))
            .collect();
        let again = presented
            .iter()
            .enumerate()
            .find(|(nth, (_, token))| presented[..*nth].iter().any(|(_, it)| it == token));
        let Some((_, (again, _))) = again else {
            return String::new();
        };
        let mut said = String::new();
        for call in calls.iter().filter(|it| it.client == again.client) {
            let token = call
                .request
                .form()
                .get("refresh_token")
                .map_or("", |it| &it[..8])
                .to_owned();
            let _ = writeln!(
                said,
                "{:?} {:?} {} {token}",
                call.at.duration_since(self.began),
                call.endpoint,
                call.grant()
            );
        }
        let session = format!("session=\"{}\"", again.client);
        self.lab
            .said()
            .lines()
            .filter(|it| it.contains(&session) || it.contains("ready") || it.contains("stopp"))
            .for_each(|line| {
                let _ = writeln!(said, "{line}");
            });
        said
    }
}

fn name(number: u32) -> String {
    format!("s{number}")
}
