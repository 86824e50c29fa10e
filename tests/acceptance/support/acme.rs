//! The server of docs/providers.md, and two like it: what their manuals say is all that a profile knows.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::wire::{Request, Response, read_request};

pub(crate) const PASSWORD: &str = "correct horse";

/// How the server behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) idle: Duration,
    pub(crate) longest: Duration,
    /// Every ping sets another cookie, and the former one is dead.
    pub(crate) ping_replaces: bool,
}

/// One who has logged in.
struct Session {
    csrf: String,
    born: Instant,
    used: Instant,
}

struct State {
    rules: Rules,
    sessions: BTreeMap<String, Session>,
    calls: BTreeMap<String, usize>,
    idle_deaths: usize,
    late_deaths: usize,
    handed_out: usize,
}

/// A server on loopback, until it is dropped.
pub(crate) struct Acme {
    state: Arc<Mutex<State>>,
    url: String,
}

impl Acme {
    pub(crate) fn start(rules: Rules) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            rules,
            sessions: BTreeMap::new(),
            calls: BTreeMap::new(),
            idle_deaths: 0,
            late_deaths: 0,
            handed_out: 0,
        }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { state, url }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn calls(&self, path: &str) -> usize {
        self.state
            .lock()
            .unwrap()
            .calls
            .get(path)
            .copied()
            .unwrap_or(0)
    }

    /// Sessions that nobody used in time.
    pub(crate) fn idle_deaths(&self) -> usize {
        self.state.lock().unwrap().idle_deaths
    }

    /// Requests with sessions that were older than any may be.
    pub(crate) fn late_deaths(&self) -> usize {
        self.state.lock().unwrap().late_deaths
    }

    pub(crate) fn living(&self) -> Vec<String> {
        self.state
            .lock()
            .unwrap()
            .sessions
            .keys()
            .cloned()
            .collect()
    }

    pub(crate) fn end_all_sessions(&self) {
        self.state.lock().unwrap().sessions.clear();
    }

    /// Everything that must never be seen in what the daemon says.
    pub(crate) fn secrets(&self) -> impl Fn() -> Vec<String> + 'static {
        let state = Arc::clone(&self.state);
        move || {
            let state = state.lock().unwrap();
            let csrf = state.sessions.values().map(|session| session.csrf.clone());
            state
                .sessions
                .keys()
                .cloned()
                .chain(csrf)
                .chain([PASSWORD.to_owned()])
                .collect()
        }
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        let answer = state.lock().unwrap().answer(&request);
        if !answer.send(&mut writer) {
            return;
        }
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Response {
        *self.calls.entry(request.path.clone()).or_default() += 1;
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/api/login") => self.login(request),
            ("GET", "/api/ping") => self.ping(request),
            ("POST", "/api/renew") => self.renew(request),
            ("POST", "/api/logout") => self.logout(request),
            _ => Response::json(404, "{}"),
        }
    }

    fn login(&mut self, request: &Request) -> Response {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if body != json!({ "user": "robot", "password": PASSWORD }) {
            return Response::json(200, r#"{"ok": false, "error": "BAD_LOGIN"}"#);
        }
        self.hand_out(Instant::now())
    }

    /// Another cookie, for a login that happened at `born`.
    fn hand_out(&mut self, born: Instant) -> Response {
        self.handed_out += 1;
        let (cookie, csrf) = (
            format!("cookie-{}-of-robot", self.handed_out),
            format!("csrf-{}-of-robot", self.handed_out),
        );
        let body = json!({ "ok": true, "csrf": csrf, "seconds": self.rules.idle.as_secs() });
        self.sessions.insert(
            cookie.clone(),
            Session {
                csrf,
                born,
                used: Instant::now(),
            },
        );
        Response::json(200, body.to_string())
            .with("Set-Cookie", &format!("ACMESID={cookie}; Path=/; HttpOnly"))
    }

    /// The cookie of a session that lives; a request restarts its timer.
    fn used(&mut self, request: &Request) -> Option<String> {
        let cookie = request
            .header("cookie")
            .strip_prefix("ACMESID=")?
            .to_owned();
        let session = self.sessions.get_mut(&cookie)?;
        let idle = session.used.elapsed() > self.rules.idle;
        let late = session.born.elapsed() > self.rules.longest;
        self.idle_deaths += usize::from(idle);
        self.late_deaths += usize::from(late);
        if idle || late {
            self.sessions.remove(&cookie);
            return None;
        }
        session.used = Instant::now();
        Some(cookie)
    }

    fn ping(&mut self, request: &Request) -> Response {
        match self.used(request) {
            Some(cookie) if self.rules.ping_replaces => self.replace(&cookie),
            Some(_) => Response::json(200, r#"{"ok": true}"#),
            None => Response::json(200, r#"{"ok": false, "error": "NO_SESSION"}"#),
        }
    }

    fn replace(&mut self, cookie: &str) -> Response {
        let born = self
            .sessions
            .remove(cookie)
            .map_or_else(Instant::now, |session| session.born);
        self.hand_out(born)
    }

    /// Needs the CSRF value, as everything does that changes something.
    fn renew(&mut self, request: &Request) -> Response {
        let Some(cookie) = self.used(request) else {
            return Response::json(200, r#"{"ok": false, "error": "NO_SESSION"}"#);
        };
        if self
            .sessions
            .get(&cookie)
            .is_none_or(|session| session.csrf != request.header("x-csrf"))
        {
            return Response::json(403, r#"{"ok": false, "error": "NO_CSRF"}"#);
        }
        self.replace(&cookie)
    }

    fn logout(&mut self, request: &Request) -> Response {
        let cookie = self.used(request).unwrap_or_default();
        match self.sessions.get(&cookie) {
            Some(session) if session.csrf == request.header("x-csrf") => {
                self.sessions.remove(&cookie);
                Response::json(200, r#"{"ok": true}"#)
            }
            Some(_) | None => Response::json(403, r#"{"ok": false, "error": "NO_CSRF"}"#),
        }
    }
}
