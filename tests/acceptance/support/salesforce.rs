//! A server that behaves like Salesforce as far as a session goes, written from what is known of the real one and not
//! from the program under test: idle timeout with its half-window rule, grants, rotation with reuse detection, lock-out.
//!
//! Everything it was asked is recorded with its time; everything secret that it knows or issued is remembered, so that a
//! test can look for it where it must not be.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::assertion;
use super::wire::{Request, Response, read_request};
use super::{percent_decoded, random_hex};

/// What restarts the idle timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// Activity counts only once half of the timeout has passed.
    Half,
    /// Any activity.
    Sliding,
}

/// Whether logins bring refresh tokens, and what a refresh does to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefreshTokens {
    None,
    Kept,
    /// Each refresh brings a new one; the use of a spent one revokes the whole family.
    Rotated,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) idle: Duration,
    pub(crate) window: Window,
    pub(crate) refresh_tokens: RefreshTokens,
    /// Wrong passwords until the user is locked.
    pub(crate) lock_after: u32,
    /// A login while a session lives hands out that session again.
    pub(crate) reuses_sessions: bool,
    /// A refresh ends the access token that it replaces.
    pub(crate) refresh_kills: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            idle: Duration::from_hours(2),
            window: Window::Half,
            refresh_tokens: RefreshTokens::None,
            lock_after: 3,
            reuses_sessions: false,
            refresh_kills: false,
        }
    }
}

/// Which endpoint was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Token,
    /// `/services/data/vNN.0/…`
    Data,
    /// `/services/data/`: answers anybody.
    Versions,
    Userinfo,
    Introspect,
    Revoke,
    Other,
}

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
        self.request.form().get("grant_type").cloned().unwrap_or_default()
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

struct Session {
    client: String,
    family: String,
    written: Instant,
    ended: bool,
    idled_out: bool,
}

struct RefreshToken {
    client: String,
    family: String,
    spent: bool,
}

struct State {
    settings: Settings,
    sessions: BTreeMap<String, Session>,
    /// Access tokens in the order in which they were issued.
    issued: Vec<String>,
    refresh: BTreeMap<String, RefreshToken>,
    revoked_families: BTreeSet<String>,
    wrong: BTreeMap<String, u32>,
    calls: Vec<Call>,
    rules: Vec<Rule>,
    needles: Vec<String>,
    instance_url: String,
    client_secret: String,
    password: String,
    security_token: String,
    reuse_detected: u32,
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
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.lock().stopped
    }
}

/// The server; stops when dropped.
pub(crate) struct Salesforce {
    shared: Arc<Shared>,
    port: u16,
}

impl Salesforce {
    pub(crate) fn start(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client_secret = random_hex(24);
        let password = format!("Pa55-{}", random_hex(12));
        let security_token = random_hex(12);
        let mut needles = vec![client_secret.clone(), password.clone(), security_token.clone()];
        needles.extend(assertion::private_key_needles());
        let state = State {
            settings,
            sessions: BTreeMap::new(),
            issued: Vec::new(),
            refresh: BTreeMap::new(),
            revoked_families: BTreeSet::new(),
            wrong: BTreeMap::new(),
            calls: Vec::new(),
            rules: Vec::new(),
            needles,
            instance_url: format!("http://127.0.0.1:{port}"),
            client_secret,
            password,
            security_token,
            reuse_detected: 0,
            in_flight: BTreeMap::new(),
            max_in_flight: 0,
            endless_bytes: 0,
            streams: Vec::new(),
            refusing: false,
            stopped: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        accept(listener, &shared);
        Self { shared, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn client_secret(&self) -> String {
        self.shared.lock().client_secret.clone()
    }

    pub(crate) fn password(&self) -> String {
        self.shared.lock().password.clone()
    }

    pub(crate) fn security_token(&self) -> String {
        self.shared.lock().security_token.clone()
    }

    /// A refresh token as a person's approval would have brought it.
    pub(crate) fn approve(&self, client: &str) -> String {
        let mut state = self.shared.lock();
        let family = random_hex(8);
        state.issue_refresh_token(client, &family)
    }

    // What happens at the server without the daemon's doing.

    pub(crate) fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.shared.lock().settings);
    }

    /// Ends every session, as an admin might.
    pub(crate) fn revoke_sessions(&self) {
        for session in self.shared.lock().sessions.values_mut() {
            session.ended = true;
        }
    }

    /// Ends every refresh token and what came of it.
    pub(crate) fn revoke_refresh_tokens(&self) {
        let mut state = self.shared.lock();
        let families: Vec<String> = state.refresh.values().map(|token| token.family.clone()).collect();
        state.revoked_families.extend(families);
    }

    /// Somebody uses every living session once, unseen by the daemon.
    pub(crate) fn use_unseen(&self) {
        let mut state = self.shared.lock();
        let tokens: Vec<String> = state.issued.clone();
        for token in tokens {
            state.touch(&token, Instant::now());
        }
    }

    /// Consumers that use the token at moments of their own for so long.
    pub(crate) fn hidden_consumers(&self, seed: u64, lasting: Duration) -> thread::JoinHandle<()> {
        let server = Self { shared: Arc::clone(&self.shared), port: 0 };
        let idle = self.shared.lock().settings.idle;
        thread::spawn(move || {
            let started = Instant::now();
            let mut random = seed | 1;
            while started.elapsed() < lasting {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                thread::sleep(idle.mul_f64(0.05 + 0.4 * f64::from(u8::try_from(random % 251).unwrap_or(0)) / 251.0));
                server.use_unseen();
            }
        })
    }

    /// From now on logins and refreshes name another host (here: port) for API calls, which answers too.
    pub(crate) fn move_instance(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        accept(listener, &self.shared);
        self.shared.lock().instance_url.clone_from(&url);
        url
    }

    // What it does wrong on purpose.

    pub(crate) fn always(&self, endpoint: Endpoint, instead: Instead) {
        self.shared.lock().rules.push(Rule { endpoint, client: None, times: None, instead });
    }

    pub(crate) fn always_for(&self, client: &str, endpoint: Endpoint, instead: Instead) {
        self.shared.lock().rules.push(Rule { endpoint, client: Some(client.into()), times: None, instead });
    }

    pub(crate) fn once(&self, endpoint: Endpoint, instead: Instead) {
        self.shared.lock().rules.push(Rule { endpoint, client: None, times: Some(1), instead });
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
        self.calls().iter().filter(|call| call.endpoint == endpoint).count()
    }

    pub(crate) fn pings(&self) -> usize {
        self.count(Endpoint::Data)
    }

    /// Full logins, answered or not.
    pub(crate) fn logins(&self) -> usize {
        self.calls().iter().filter(|call| call.endpoint == Endpoint::Token && call.grant() != "refresh_token").count()
    }

    pub(crate) fn refreshes(&self) -> usize {
        self.calls().iter().filter(|call| call.endpoint == Endpoint::Token && call.grant() == "refresh_token").count()
    }

    /// Calls of one client at one endpoint.
    pub(crate) fn count_of(&self, client: &str, endpoint: Endpoint) -> usize {
        self.calls().iter().filter(|call| call.endpoint == endpoint && call.client == client).count()
    }

    /// Access tokens in the order in which they were issued.
    pub(crate) fn issued(&self) -> Vec<String> {
        self.shared.lock().issued.clone()
    }

    /// Whether a request with this token would be served now; asking is not activity.
    pub(crate) fn lives(&self, token: &str) -> bool {
        self.shared.lock().lives(token, Instant::now())
    }

    /// Sessions that ended because nobody used them in time.
    pub(crate) fn idle_deaths(&self) -> usize {
        let mut state = self.shared.lock();
        let tokens = state.issued.clone();
        for token in &tokens {
            state.lives(token, Instant::now());
        }
        state.sessions.values().filter(|session| session.idled_out).count()
    }

    /// How often a spent refresh token was presented.
    pub(crate) fn reuse_detected(&self) -> u32 {
        self.shared.lock().reuse_detected
    }

    /// The most calls that one client had under way at once.
    pub(crate) fn max_in_flight(&self) -> u32 {
        self.shared.lock().max_in_flight
    }

    /// Whether any user has met the lock.
    pub(crate) fn locked(&self) -> bool {
        let state = self.shared.lock();
        state.wrong.values().any(|wrong| *wrong >= state.settings.lock_after)
    }

    /// How much of endless bodies was taken.
    pub(crate) fn endless_bytes(&self) -> u64 {
        self.shared.lock().endless_bytes
    }

    /// Everything secret that it was configured with, issued or was sent.
    pub(crate) fn needles(&self) -> Vec<String> {
        self.shared.lock().needles.clone()
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
        drop(state);
        self.shared.changed.notify_all();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let address = listener.local_addr().unwrap();
        let mut listener = Some(listener);
        loop {
            let mut accepted = listener.as_ref().and_then(|listener| listener.accept().ok());
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
            let Some((stream, _)) = accepted else { continue };
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
    let duty = || shared.lock().duty(request);
    let rule = shared.lock().rule(endpoint(&request.path), client);
    match rule {
        None => duty().send(stream),
        Some(Instead::Say(response)) => response.send(stream),
        Some(Instead::SayAlive(response)) => {
            shared.lock().touch(request.bearer(), Instant::now());
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

fn endpoint(path: &str) -> Endpoint {
    let path = path.split('?').next().unwrap_or(path);
    match path {
        "/services/oauth2/token" => Endpoint::Token,
        "/services/oauth2/userinfo" => Endpoint::Userinfo,
        "/services/oauth2/introspect" => Endpoint::Introspect,
        "/services/oauth2/revoke" => Endpoint::Revoke,
        "/services/data/" | "/services/data" => Endpoint::Versions,
        _ if path.starts_with("/services/data/v") => Endpoint::Data,
        _ => Endpoint::Other,
    }
}

impl State {
    /// Records the request and says whose it is.
    fn arrived(&mut self, request: &Request) -> String {
        let client = self.client_of(request);
        let form = request.form();
        // Signed assertions and Basic headers are as good as the secrets that they are made of.
        if let Some(signature) = form.get("assertion").and_then(|it| it.rsplit('.').next()) {
            self.needles.push(signature.to_owned());
        }
        if let Some(basic) = request.header("authorization").strip_prefix("Basic ") {
            self.needles.push(basic.to_owned());
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

    fn client_of(&self, request: &Request) -> String {
        let form = request.form();
        if let Some(client) = form.get("client_id") {
            return client.clone();
        }
        if let Some((client, _)) = basic(request) {
            return client;
        }
        if let Some(claims) = form.get("assertion").and_then(|it| assertion::claims(it)) {
            return claims["iss"].as_str().unwrap_or_default().to_owned();
        }
        self.sessions.get(request.bearer()).map(|session| session.client.clone()).unwrap_or_default()
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

    /// What an honest server does and answers.
    fn duty(&mut self, request: &Request) -> Response {
        match endpoint(&request.path) {
            Endpoint::Token => self.token(request),
            Endpoint::Data => self.data(request),
            Endpoint::Versions => Response::json(200, r#"[{"version":"65.0","url":"/services/data/v65.0"}]"#),
            Endpoint::Userinfo => self.userinfo(request),
            Endpoint::Introspect => self.introspect(request),
            Endpoint::Revoke => self.revoke(request),
            Endpoint::Other => Response::html(404, "<html>URL No Longer Exists</html>"),
        }
    }

    fn data(&mut self, request: &Request) -> Response {
        if request.method != "GET" {
            return Response::json(405, r#"[{"message":"HTTP Method not allowed","errorCode":"METHOD_NOT_ALLOWED"}]"#);
        }
        if !self.touch(request.bearer(), Instant::now()) {
            return session_expired();
        }
        Response::json(200, r#"{"sobjects":"/services/data/v65.0/sobjects","limits":"/services/data/v65.0/limits"}"#)
            .with("Sforce-Limit-Info", "api-usage=18/15000")
    }

    fn userinfo(&mut self, request: &Request) -> Response {
        if self.touch(request.bearer(), Instant::now()) {
            Response::json(200, r#"{"user_id":"0055g0000042","organization_id":"00D5g0000042"}"#)
        } else {
            Response::text(403, "Bad_OAuth_Token")
        }
    }

    fn introspect(&self, request: &Request) -> Response {
        let form = request.form();
        let secret = form.get("client_secret").cloned().or_else(|| basic(request).map(|(_, secret)| secret));
        if secret.as_ref() != Some(&self.client_secret) {
            return oauth_error("invalid_client", "invalid client credentials");
        }
        let token = form.get("token").map_or("", String::as_str);
        if self.sessions.get(token).is_none_or(|session| session.ended) {
            return Response::json(200, r#"{"active":false}"#);
        }
        let left = self.settings.idle.saturating_sub(self.sessions[token].written.elapsed()).as_secs();
        let now = unix_now().as_secs();
        Response::json(200, json!({"active": true, "exp": now + left, "iat": now, "scope": "api"}).to_string())
    }

    fn revoke(&mut self, request: &Request) -> Response {
        let token = request.form().get("token").cloned().unwrap_or_default();
        if let Some(session) = self.sessions.get_mut(&token) {
            session.ended = true;
        }
        if let Some(refresh) = self.refresh.get(&token) {
            self.revoked_families.insert(refresh.family.clone());
        }
        Response::default().with_status(200)
    }

    fn token(&mut self, request: &Request) -> Response {
        let form = request.form();
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        match field("grant_type").as_str() {
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => self.by_assertion(&field("assertion")),
            "client_credentials" => self.by_client(request),
            "password" => self.by_password(request, &field("username"), &field("password")),
            "refresh_token" => self.by_refresh_token(request, &field("refresh_token")),
            _ => oauth_error("unsupported_grant_type", "grant type not supported"),
        }
    }

    fn by_assertion(&mut self, assertion: &str) -> Response {
        match assertion::verified(assertion) {
            Err(problem) => oauth_error("invalid_grant", problem),
            Ok(claims) => self.login(claims["iss"].as_str().unwrap_or_default()),
        }
    }

    fn by_client(&mut self, request: &Request) -> Response {
        let client = self.client_of(request);
        if self.client_is_genuine(request) {
            self.login(&client)
        } else {
            *self.wrong.entry(client).or_default() += 1;
            oauth_error("invalid_client", "invalid client credentials")
        }
    }

    fn by_password(&mut self, request: &Request, username: &str, password: &str) -> Response {
        let locked = self.wrong.get(username).is_some_and(|wrong| *wrong >= self.settings.lock_after);
        let right = format!("{}{}", self.password, self.security_token);
        if locked || password != right || !self.client_is_genuine(request) {
            *self.wrong.entry(username.to_owned()).or_default() += 1;
            return oauth_error("invalid_grant", "authentication failure");
        }
        let client = self.client_of(request);
        self.login(&client)
    }

    fn by_refresh_token(&mut self, request: &Request, presented: &str) -> Response {
        if !self.client_is_genuine(request) {
            return oauth_error("invalid_client", "invalid client credentials");
        }
        let Some(known) = self.refresh.get(presented) else {
            return oauth_error("invalid_grant", "expired access/refresh token");
        };
        let (client, family, spent) = (known.client.clone(), known.family.clone(), known.spent);
        if spent {
            self.reuse_detected += 1;
            self.revoked_families.insert(family.clone());
        }
        if self.revoked_families.contains(&family) {
            return oauth_error("invalid_grant", "expired access/refresh token");
        }
        if self.settings.refresh_kills {
            for session in self.sessions.values_mut().filter(|session| session.family == family) {
                session.ended = true;
            }
        }
        let mut body = self.issue(&client, &family);
        if self.settings.refresh_tokens == RefreshTokens::Rotated {
            if let Some(known) = self.refresh.get_mut(presented) {
                known.spent = true;
            }
            body["refresh_token"] = self.issue_refresh_token(&client, &family).into();
        }
        Response::json(200, body.to_string())
    }

    fn client_is_genuine(&self, request: &Request) -> bool {
        let secret = request.form().get("client_secret").cloned().or_else(|| basic(request).map(|(_, secret)| secret));
        secret.as_ref() == Some(&self.client_secret)
    }

    fn login(&mut self, client: &str) -> Response {
        let family = random_hex(8);
        let mut body = self.issue(client, &family);
        if self.settings.refresh_tokens != RefreshTokens::None {
            body["refresh_token"] = self.issue_refresh_token(client, &family).into();
        }
        Response::json(200, body.to_string())
    }

    fn issue(&mut self, client: &str, family: &str) -> Value {
        let now = Instant::now();
        let living = self.issued.clone().into_iter().rev().find(|token| {
            self.settings.reuses_sessions && self.sessions[token].client == client && self.lives(token, now)
        });
        let token = living.unwrap_or_else(|| self.new_session(client, family, now));
        json!({
            "access_token": token,
            "instance_url": self.instance_url,
            "id": format!("{}/id/00D5g0000042/0055g0000042", self.instance_url),
            "token_type": "Bearer",
            "issued_at": unix_now().as_millis().to_string(),
            "signature": "c2lnbmF0dXJl",
            "scope": "api",
        })
    }

    fn new_session(&mut self, client: &str, family: &str, now: Instant) -> String {
        let secret = random_hex(24);
        let token = format!("00D5g0000042abc!AQ{secret}");
        let session =
            Session { client: client.into(), family: family.into(), written: now, ended: false, idled_out: false };
        self.needles.push(secret);
        self.issued.push(token.clone());
        self.sessions.insert(token.clone(), session);
        token
    }

    fn issue_refresh_token(&mut self, client: &str, family: &str) -> String {
        let secret = random_hex(24);
        let token = format!("5Aep861{secret}");
        self.needles.push(secret);
        self.refresh.insert(token.clone(), RefreshToken { client: client.into(), family: family.into(), spent: false });
        token
    }

    fn lives(&mut self, token: &str, now: Instant) -> bool {
        let idle = self.settings.idle;
        let Some(session) = self.sessions.get_mut(token) else { return false };
        if !session.ended && now.saturating_duration_since(session.written) >= idle {
            session.ended = true;
            session.idled_out = true;
        }
        !session.ended && !self.revoked_families.contains(&session.family)
    }

    /// One use of the token; false when the session is dead.
    fn touch(&mut self, token: &str, now: Instant) -> bool {
        if !self.lives(token, now) {
            return false;
        }
        let half = match self.settings.window {
            Window::Half => self.settings.idle / 2,
            Window::Sliding => Duration::ZERO,
        };
        if let Some(session) = self.sessions.get_mut(token)
            && now.saturating_duration_since(session.written) >= half
        {
            session.written = now;
        }
        true
    }
}

impl Response {
    fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// Salesforce's answer to a dead token.
pub(crate) fn session_expired() -> Response {
    Response::json(401, r#"[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]"#)
}

/// An OAuth error as the token endpoint sends it.
pub(crate) fn oauth_error(error: &str, description: &str) -> Response {
    Response::json(400, json!({"error": error, "error_description": description}).to_string())
}

fn basic(request: &Request) -> Option<(String, String)> {
    use base64::Engine as _;
    let encoded = request.header("authorization").strip_prefix("Basic ")?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (client, secret) = decoded.split_once(':')?;
    Some((percent_decoded(client), percent_decoded(secret)))
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}
