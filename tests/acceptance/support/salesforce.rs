//! A server that behaves like Salesforce as far as a session goes, written from what is known of the real one and not
//! from the program under test: idle timeout with its half-window rule, grants, rotation with reuse detection, lock-out.
//!
//! Everything it was asked is recorded with its time; everything secret that it knows or issued is remembered, so that a
//! test can look for it where it must not be.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::org::{Endpoint, Org, Settings, endpoint};
use super::random_hex;
use super::wire::{Request, Response, read_request};

/// One request that the server received.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) at: Instant,
    pub(crate) endpoint: Endpoint,
    pub(crate) request: Request,
    /// Of the form, the Basic header, the assertion, or the session that the token belongs to.
    pub(crate) client: String,
}

impl Call {
    /// `refresh_token`, `password`, …; empty elsewhere than at the token endpoint.
    pub(crate) fn grant(&self) -> String {
        self.request
            .form()
            .get("grant_type")
            .cloned()
            .unwrap_or_default()
    }
}

/// What the server does instead of its duty.
#[derive(Clone)]
pub(crate) enum Instead {
    /// Answers this; the request does not count as activity and changes nothing.
    Say(Response),
    /// Answers this, though the request does count as activity where the token is good.
    SayAlive(Response),
    /// Does its duty and answers what this makes of the answer's JSON.
    Alter(Arc<dyn Fn(Value) -> Response + Send + Sync>),
    /// Does its duty, then answers after so long.
    Late(Duration),
    /// Does its duty and drops the connection in place of the answer.
    Lose,
    /// Drops the connection with a reset, nothing done.
    Reset,
    /// Never answers.
    Hang,
    /// A byte now and then.
    Drip,
    /// An answer without end.
    Endless,
    /// Half of the answer.
    Truncate,
}

struct Rule {
    endpoint: Endpoint,
    client: Option<String>,
    /// How often it still applies; for ever when absent.
    times: Option<u32>,
    instead: Instead,
}

struct State {
    org: Org,
    calls: Vec<Call>,
    /// What a test may cost its server at most, unless it says more.
    most_calls: usize,
    rules: Vec<Rule>,
    in_flight: BTreeMap<String, u32>,
    max_in_flight: u32,
    endless_bytes: u64,
    streams: Vec<TcpStream>,
    refusing: bool,
    stopped: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.lock().stopped
    }
}

/// The server; stops when dropped, and then complains of a test that cost it more calls than were allowed.
pub(crate) struct Salesforce {
    shared: Arc<Shared>,
    port: u16,
}

impl Salesforce {
    pub(crate) fn start(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State {
            org: Org::new(settings, format!("http://127.0.0.1:{port}")),
            calls: Vec::new(),
            most_calls: 100,
            rules: Vec::new(),
            in_flight: BTreeMap::new(),
            max_in_flight: 0,
            endless_bytes: 0,
            streams: Vec::new(),
            refusing: false,
            stopped: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        accept(listener, &shared);
        Self { shared, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn client_secret(&self) -> String {
        self.shared.lock().org.client_secret.clone()
    }

    pub(crate) fn password(&self) -> String {
        self.shared.lock().org.password.clone()
    }

    pub(crate) fn security_token(&self) -> String {
        self.shared.lock().org.security_token.clone()
    }

    /// A refresh token as a person's approval would have brought it.
    pub(crate) fn approve(&self, client: &str) -> String {
        let mut state = self.shared.lock();
        let family = random_hex(8);
        state.org.issue_refresh_token(client, &family)
    }

    /// This test asks for more calls than others may make.
    pub(crate) fn allow_calls(&self, most: usize) {
        self.shared.lock().most_calls = most;
    }

    // What happens at the server without the daemon's doing.

    pub(crate) fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.shared.lock().org.settings);
    }

    /// Ends every session, as an admin might.
    pub(crate) fn revoke_sessions(&self) {
        for session in self.shared.lock().org.sessions.values_mut() {
            session.ended = true;
        }
    }

    /// Ends every refresh token and what came of it.
    pub(crate) fn revoke_refresh_tokens(&self) {
        let mut state = self.shared.lock();
        let families: Vec<String> = state
            .org
            .refresh
            .values()
            .map(|token| token.family.clone())
            .collect();
        state.org.revoked_families.extend(families);
    }

    /// Somebody uses every living session once, unseen by the daemon.
    pub(crate) fn use_unseen(&self) {
        let mut state = self.shared.lock();
        let tokens: Vec<String> = state.org.issued.clone();
        for token in tokens {
            state.org.touch(&token, Instant::now());
        }
    }

    /// Consumers that use the token at moments of their own for so long.
    pub(crate) fn hidden_consumers(&self, seed: u64, lasting: Duration) -> thread::JoinHandle<()> {
        let server = Self {
            shared: Arc::clone(&self.shared),
            port: 0,
        };
        let idle = self.shared.lock().org.settings.idle;
        thread::spawn(move || {
            let started = Instant::now();
            let mut random = seed | 1;
            while started.elapsed() < lasting {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                thread::sleep(idle.mul_f64(
                    0.05 + 0.4 * f64::from(u8::try_from(random % 251).unwrap_or(0)) / 251.0,
                ));
                server.use_unseen();
            }
        })
    }

    /// From now on logins and refreshes name another host (here: port) for API calls, which answers too.
    pub(crate) fn move_instance(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        accept(listener, &self.shared);
        self.shared.lock().org.instance_url.clone_from(&url);
        url
    }

    // What it does wrong on purpose.

    pub(crate) fn always(&self, endpoint: Endpoint, instead: Instead) {
        self.shared.lock().rules.push(Rule {
            endpoint,
            client: None,
            times: None,
            instead,
        });
    }

    pub(crate) fn always_for(&self, client: &str, endpoint: Endpoint, instead: Instead) {
        self.shared.lock().rules.push(Rule {
            endpoint,
            client: Some(client.into()),
            times: None,
            instead,
        });
    }

    pub(crate) fn once(&self, endpoint: Endpoint, instead: Instead) {
        self.shared.lock().rules.push(Rule {
            endpoint,
            client: None,
            times: Some(1),
            instead,
        });
    }

    /// Back to its duty.
    pub(crate) fn behave(&self) {
        self.shared.lock().rules.clear();
    }

    /// Refuses connections, and drops those that it has.
    pub(crate) fn refuse(&self) {
        let mut state = self.shared.lock();
        state.refusing = true;
        for stream in state.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn accept_again(&self) {
        self.shared.lock().refusing = false;
        self.shared.changed.notify_all();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    // What it saw.

    /// Waits until the daemon has asked all it wants to know for now, and says how many calls that took.
    pub(crate) fn settled(&self) -> usize {
        loop {
            let before = self.calls().len();
            thread::sleep(Duration::from_millis(400));
            if self.calls().len() == before {
                return before;
            }
        }
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.lock().calls.clone()
    }

    pub(crate) fn count(&self, endpoint: Endpoint) -> usize {
        self.calls()
            .iter()
            .filter(|call| call.endpoint == endpoint)
            .count()
    }

    pub(crate) fn pings(&self) -> usize {
        self.count(Endpoint::Data)
    }

    /// Full logins, answered or not.
    pub(crate) fn logins(&self) -> usize {
        self.calls()
            .iter()
            .filter(|call| call.endpoint == Endpoint::Token && call.grant() != "refresh_token")
            .count()
    }

    pub(crate) fn refreshes(&self) -> usize {
        self.calls()
            .iter()
            .filter(|call| call.endpoint == Endpoint::Token && call.grant() == "refresh_token")
            .count()
    }

    /// Calls of one client at one endpoint.
    pub(crate) fn count_of(&self, client: &str, endpoint: Endpoint) -> usize {
        self.calls()
            .iter()
            .filter(|call| call.endpoint == endpoint && call.client == client)
            .count()
    }

    /// Access tokens in the order in which they were issued.
    pub(crate) fn issued(&self) -> Vec<String> {
        self.shared.lock().org.issued.clone()
    }

    /// Whether a request with this token would be served now; asking is not activity.
    pub(crate) fn lives(&self, token: &str) -> bool {
        self.shared.lock().org.lives(token, Instant::now())
    }

    /// Sessions that ended because nobody used them in time.
    pub(crate) fn idle_deaths(&self) -> usize {
        let mut state = self.shared.lock();
        let tokens = state.org.issued.clone();
        for token in &tokens {
            state.org.lives(token, Instant::now());
        }
        state
            .org
            .sessions
            .values()
            .filter(|session| session.idled_out)
            .count()
    }

    /// How often a spent refresh token was presented.
    pub(crate) fn reuse_detected(&self) -> u32 {
        self.shared.lock().org.reuse_detected
    }

    /// The most calls that one client had under way at once.
    pub(crate) fn max_in_flight(&self) -> u32 {
        self.shared.lock().max_in_flight
    }

    /// Whether any user has met the lock.
    pub(crate) fn locked(&self) -> bool {
        let state = self.shared.lock();
        state
            .org
            .wrong
            .values()
            .any(|wrong| *wrong >= state.org.settings.lock_after)
    }

    /// How much of endless bodies was taken.
    pub(crate) fn endless_bytes(&self) -> u64 {
        self.shared.lock().endless_bytes
    }

    /// Everything secret that it was configured with, issued or was sent.
    pub(crate) fn needles(&self) -> Vec<String> {
        self.shared.lock().org.needles.clone()
    }
}

impl Drop for Salesforce {
    fn drop(&mut self) {
        if self.port == 0 {
            return;
        }
        let mut state = self.shared.lock();
        state.stopped = true;
        for stream in state.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let (calls, most) = (state.calls.len(), state.most_calls);
        drop(state);
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        assert!(
            calls <= most || thread::panicking(),
            "the server received {calls} calls, more than {most}"
        );
    }
}

fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let address = listener.local_addr().unwrap();
        let mut listener = Some(listener);
        loop {
            let mut accepted = listener
                .as_ref()
                .and_then(|listener| listener.accept().ok());
            let mut state = shared.lock();
            if state.refusing {
                drop((accepted.take(), listener.take()));
                while state.refusing && !state.stopped {
                    state = shared.changed.wait(state).unwrap();
                }
            }
            if state.stopped {
                return;
            }
            if listener.is_none() {
                drop(state);
                listener = TcpListener::bind(address).ok();
                continue;
            }
            let Some((stream, _)) = accepted else {
                continue;
            };
            state.streams.extend(stream.try_clone());
            drop(state);
            let shared = Arc::clone(&shared);
            thread::spawn(move || serve(stream, &shared));
        }
    });
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read_request(&mut reader) {
        let client = shared.lock().arrived(&request);
        let keep = answer(&mut stream, shared, &request, &client);
        shared.lock().left(&client);
        if !keep || request.header("connection") == "close" {
            break;
        }
    }
    // The clone that an outage would cut must not keep the connection open.
    let _ = stream.shutdown(Shutdown::Both);
}

/// Answers one request; false when the connection is to be dropped.
fn answer(stream: &mut TcpStream, shared: &Shared, request: &Request, client: &str) -> bool {
    let duty = || shared.lock().org.duty(request);
    let rule = shared.lock().rule(endpoint(&request.path), client);
    match rule {
        None => duty().send(stream),
        Some(Instead::Say(response)) => response.send(stream),
        Some(Instead::SayAlive(response)) => {
            shared.lock().org.touch(request.bearer(), Instant::now());
            response.send(stream)
        }
        Some(Instead::Alter(alter)) => {
            let genuine = serde_json::from_slice(&duty().body).unwrap_or(Value::Null);
            alter(genuine).send(stream)
        }
        Some(Instead::Late(delay)) => {
            let response = duty();
            thread::sleep(delay);
            response.send(stream)
        }
        Some(Instead::Lose) => {
            duty();
            false
        }
        Some(Instead::Reset) => {
            let _ = rustix::net::sockopt::set_socket_linger(&*stream, Some(Duration::ZERO));
            false
        }
        Some(Instead::Hang) => {
            while !shared.stopped() {
                thread::sleep(Duration::from_millis(20));
            }
            false
        }
        Some(Instead::Drip) => {
            duty().send_dripping(stream, || shared.stopped());
            false
        }
        Some(Instead::Endless) => {
            let taken = duty().send_endless(stream, || shared.stopped());
            shared.lock().endless_bytes += taken;
            false
        }
        Some(Instead::Truncate) => {
            duty().send_truncated(stream);
            false
        }
    }
}
impl State {
    /// Records the request and says whose it is.
    fn arrived(&mut self, request: &Request) -> String {
        let client = self.org.client_of(request);
        let form = request.form();
        // Signed assertions and Basic headers are as good as the secrets that they are made of.
        if let Some(signature) = form.get("assertion").and_then(|it| it.rsplit('.').next()) {
            self.org.needles.push(signature.to_owned());
        }
        if let Some(basic) = request.header("authorization").strip_prefix("Basic ") {
            self.org.needles.push(basic.to_owned());
        }
        let call = Call {
            at: Instant::now(),
            endpoint: endpoint(&request.path),
            request: request.clone(),
            client: client.clone(),
        };
        self.calls.push(call);
        let flying = self.in_flight.entry(client.clone()).or_default();
        *flying += 1;
        self.max_in_flight = self.max_in_flight.max(*flying);
        client
    }

    fn left(&mut self, client: &str) {
        if let Some(flying) = self.in_flight.get_mut(client) {
            *flying -= 1;
        }
    }

    fn rule(&mut self, endpoint: Endpoint, client: &str) -> Option<Instead> {
        let index = self.rules.iter().position(|rule| {
            rule.endpoint == endpoint
                && rule.client.as_deref().is_none_or(|wanted| wanted == client)
                && rule.times != Some(0)
        })?;
        let rule = &mut self.rules[index];
        rule.times = rule.times.map(|times| times - 1);
        Some(rule.instead.clone())
    }
}
