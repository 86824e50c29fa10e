//! The org behind the server, by the documented rules: grants, sessions with their idle timer, refresh tokens that rotate
//! and punish reuse, users that get locked. Knows requests and answers, but no sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::assertion;
use super::wire::{Request, Response};
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
pub(crate) struct Session {
    pub(crate) client: String,
    pub(crate) family: String,
    pub(crate) written: Instant,
    pub(crate) ended: bool,
    pub(crate) idled_out: bool,
}

pub(crate) struct RefreshToken {
    pub(crate) client: String,
    pub(crate) family: String,
    pub(crate) spent: bool,
}
/// All that the org knows.
pub(crate) struct Org {
    pub(crate) settings: Settings,
    pub(crate) sessions: BTreeMap<String, Session>,
    /// Access tokens in the order in which they were issued.
    pub(crate) issued: Vec<String>,
    pub(crate) refresh: BTreeMap<String, RefreshToken>,
    pub(crate) revoked_families: BTreeSet<String>,
    /// Wrong passwords and secrets by user or client.
    pub(crate) wrong: BTreeMap<String, u32>,
    /// Everything secret that it was configured with or issued.
    pub(crate) needles: Vec<String>,
    pub(crate) instance_url: String,
    pub(crate) client_secret: String,
    pub(crate) password: String,
    pub(crate) security_token: String,
    pub(crate) reuse_detected: u32,
}

impl Org {
    pub(crate) fn new(settings: Settings, instance_url: String) -> Self {
        let client_secret = random_hex(24);
        let password = format!("Pa55-{}", random_hex(12));
        let security_token = random_hex(12);
        let mut needles = vec![
            client_secret.clone(),
            password.clone(),
            security_token.clone(),
        ];
        needles.extend(assertion::private_key_needles());
        Self {
            settings,
            sessions: BTreeMap::new(),
            issued: Vec::new(),
            refresh: BTreeMap::new(),
            revoked_families: BTreeSet::new(),
            wrong: BTreeMap::new(),
            needles,
            instance_url,
            client_secret,
            password,
            security_token,
            reuse_detected: 0,
        }
    }

    pub(crate) fn client_of(&self, request: &Request) -> String {
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
        self.sessions
            .get(request.bearer())
            .map(|session| session.client.clone())
            .unwrap_or_default()
    }

    /// What an honest server does and answers.
    pub(crate) fn duty(&mut self, request: &Request) -> Response {
        match endpoint(&request.path) {
            Endpoint::Token => self.token(request),
            Endpoint::Data => self.data(request),
            Endpoint::Versions => {
                Response::json(200, r#"[{"version":"65.0","url":"/services/data/v65.0"}]"#)
            }
            Endpoint::Userinfo => self.userinfo(request),
            Endpoint::Introspect => self.introspect(request),
            Endpoint::Revoke => self.revoke(request),
            Endpoint::Other => Response::html(404, "<html>URL No Longer Exists</html>"),
        }
    }

    fn data(&mut self, request: &Request) -> Response {
        // Records are written below `sobjects`; what a session calls by itself is only read.
        if request.method != "GET" && !request.path.contains("/sobjects/") {
            return Response::json(
                405,
                r#"[{"message":"HTTP Method not allowed","errorCode":"METHOD_NOT_ALLOWED"}]"#,
            );
        }
        if !self.touch(request.bearer(), Instant::now()) {
            return session_expired();
        }
        Response::json(200, r#"{"sobjects":"/services/data/v65.0/sobjects","limits":"/services/data/v65.0/limits"}"#)
            .with("Sforce-Limit-Info", "api-usage=18/15000")
    }

    fn userinfo(&mut self, request: &Request) -> Response {
        if self.touch(request.bearer(), Instant::now()) {
            Response::json(
                200,
                r#"{"user_id":"0055g0000042","organization_id":"00D5g0000042"}"#,
            )
        } else {
            Response::text(403, "Bad_OAuth_Token")
        }
    }

    fn introspect(&self, request: &Request) -> Response {
        let form = request.form();
        let secret = form
            .get("client_secret")
            .cloned()
            .or_else(|| basic(request).map(|(_, secret)| secret));
        if secret.as_ref() != Some(&self.client_secret) {
            return oauth_error("invalid_client", "invalid client credentials");
        }
        let token = form.get("token").map_or("", String::as_str);
        if self.sessions.get(token).is_none_or(|session| session.ended) {
            return Response::json(200, r#"{"active":false}"#);
        }
        let left = self
            .settings
            .idle
            .saturating_sub(self.sessions[token].written.elapsed())
            .as_secs();
        let now = unix_now().as_secs();
        Response::json(
            200,
            json!({"active": true, "exp": now + left, "iat": now, "scope": "api"}).to_string(),
        )
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
            // This grant never brings a refresh token.
            Ok(claims) => {
                let client = claims["iss"].as_str().unwrap_or_default();
                Response::json(200, self.issue(client, &random_hex(8)).to_string())
            }
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
        let locked = self
            .wrong
            .get(username)
            .is_some_and(|wrong| *wrong >= self.settings.lock_after);
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
            for session in self
                .sessions
                .values_mut()
                .filter(|session| session.family == family)
            {
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
        let secret = request
            .form()
            .get("client_secret")
            .cloned()
            .or_else(|| basic(request).map(|(_, secret)| secret));
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
            self.settings.reuses_sessions
                && self.sessions[token].client == client
                && self.lives(token, now)
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
        let session = Session {
            client: client.into(),
            family: family.into(),
            written: now,
            ended: false,
            idled_out: false,
        };
        self.needles.push(secret);
        self.issued.push(token.clone());
        self.sessions.insert(token.clone(), session);
        token
    }

    pub(crate) fn issue_refresh_token(&mut self, client: &str, family: &str) -> String {
        let secret = random_hex(24);
        let token = format!("5Aep861{secret}");
        self.needles.push(secret);
        self.refresh.insert(
            token.clone(),
            RefreshToken {
                client: client.into(),
                family: family.into(),
                spent: false,
            },
        );
        token
    }

    pub(crate) fn lives(&mut self, token: &str, now: Instant) -> bool {
        let idle = self.settings.idle;
        let Some(session) = self.sessions.get_mut(token) else {
            return false;
        };
        if !session.ended && now.saturating_duration_since(session.written) >= idle {
            session.ended = true;
            session.idled_out = true;
        }
        !session.ended && !self.revoked_families.contains(&session.family)
    }

    /// One use of the token; false when the session is dead.
    pub(crate) fn touch(&mut self, token: &str, now: Instant) -> bool {
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
pub(crate) fn endpoint(path: &str) -> Endpoint {
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
impl Response {
    fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// Salesforce's answer to a dead token.
pub(crate) fn session_expired() -> Response {
    Response::json(
        401,
        r#"[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]"#,
    )
}

/// An OAuth error as the token endpoint sends it.
pub(crate) fn oauth_error(error: &str, description: &str) -> Response {
    Response::json(
        400,
        json!({"error": error, "error_description": description}).to_string(),
    )
}

fn basic(request: &Request) -> Option<(String, String)> {
    use base64::Engine as _;
    let encoded = request.header("authorization").strip_prefix("Basic ")?;
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (client, secret) = decoded.split_once(':')?;
    Some((percent_decoded(client), percent_decoded(secret)))
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}
