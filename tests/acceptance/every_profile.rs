//! Every profile that comes along, at a server that answers with the profile's own examples: what the daemon sends must
//! be a request that such a server would understand, and what it publishes must be the token of the example.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use toml::{Table, Value};

use crate::support::assertion::private_key_pem;
use crate::support::daemon::Lab;
use crate::support::wire::{Request, Response, read_request};
use crate::support::{SOON, random_hex, within};

/// Pings at hosts of their own, whatever the session's URL is.
const PINGS_ELSEWHERE: [&str; 1] = ["google-service-account"];

#[test]
fn every_profile_logs_in_publishes_the_token_and_pings() {
    let secret = random_hex(12);
    let needle = secret.clone();
    let mut lab = Lab::bare("http://127.0.0.1:1", move || vec![needle.clone()]);
    lab.request_timeout = "10s";
    lab.log_level = "debug";
    lab.secret("secret", &secret);
    lab.secret("key.pem", &private_key_pem());
    let sessions: Vec<Tried> = profiles().iter().flat_map(Tried::all).collect();
    assert!(sessions.len() > 50, "{} sessions", sessions.len());
    lab.configure_text(
        &sessions
            .iter()
            .map(|session| session.toml(&lab))
            .collect::<String>(),
    );
    lab.start();
    for session in &sessions {
        let published = within(SOON * 3, &format!("a token of {}", session.name), || {
            lab.token(&session.name)
        });
        assert_eq!(published, session.token, "{}", session.name);
        session.shows_secret(&secret);
    }
    for session in sessions.iter().filter(|session| session.pings()) {
        let before = session.server.asked().len();
        session
            .server
            .answer_with(&session.example("ping", "alive").unwrap());
        lab.succeeds(&["verify", &session.name]);
        assert_eq!(session.server.asked().len(), before + 1, "{}", session.name);
        let ping = session.server.asked().pop().unwrap();
        let sent = format!("{ping:?} {}", String::from_utf8_lossy(&ping.body));
        let escaped =
            url::form_urlencoded::byte_serialize(session.token.as_bytes()).collect::<String>();
        assert!(
            sent.contains(&session.token) || sent.contains(&escaped),
            "{}: {sent}",
            session.name
        );
    }
}

#[test]
fn every_profile_stops_where_its_login_is_refused() {
    let secret = random_hex(12);
    let needle = secret.clone();
    let mut lab = Lab::bare("http://127.0.0.1:1", move || vec![needle.clone()]);
    lab.request_timeout = "10s";
    lab.log_level = "debug";
    lab.secret("secret", &secret);
    lab.secret("key.pem", &private_key_pem());
    let sessions: Vec<Tried> = profiles().iter().flat_map(Tried::all).collect();
    for session in &sessions {
        // Whatever is asked, and however often.
        session
            .server
            .answer_only_with(&session.example("login", "refused").unwrap());
    }
    lab.configure_text(
        &sessions
            .iter()
            .map(|session| session.toml(&lab))
            .collect::<String>(),
    );
    lab.start();
    for session in &sessions {
        lab.await_state(&session.name, "needs_attention");
        assert_eq!(lab.token(&session.name), None, "{}", session.name);
    }
    std::thread::sleep(Duration::from_secs(2));
    for session in &sessions {
        let asked = session.server.asked().len();
        // A key may be tried once more, a password never.
        let most = if session.sends_a_password() { 1 } else { 2 };
        assert!(
            (1..=most).contains(&asked),
            "{}: {asked} logins",
            session.name
        );
    }
}

/// One profile and grant, as a session of its own at a server of its own.
struct Tried {
    profile: Table,
    grant: Option<String>,
    name: String,
    token: String,
    server: Replayer,
}

impl Tried {
    /// One for each grant by which nobody has to be present.
    fn all(profile: &Table) -> Vec<Self> {
        let login = profile.get("login").and_then(Value::as_table);
        let is_whole = login.is_some_and(|login| {
            ["path", "url", "step"]
                .iter()
                .any(|key| login.contains_key(*key))
        });
        let names = |table: Option<&Table>| {
            table.map_or_else(Vec::new, |table| table.keys().cloned().map(Some).collect())
        };
        let grants = match text(profile, "protocol").as_str() {
            "command" => Vec::new(),
            "http" if is_whole => vec![None],
            "http" => names(login),
            _ => names(profile.get("grant").and_then(Value::as_table)),
        };
        // A person's part in a login has tests of its own.
        let by_person = |grant: &Option<String>| {
            grant
                .as_deref()
                .is_some_and(|grant| ["authorization_code", "device_code"].contains(&grant))
        };
        grants
            .into_iter()
            .filter(|grant| !by_person(grant))
            .map(|grant| Self::new(profile, grant))
            .collect()
    }

    fn new(profile: &Table, grant: Option<String>) -> Self {
        let server = Replayer::start();
        let of_grant =
            |example: &&Table| example.get("grant").and_then(Value::as_str) == grant.as_deref();
        let all: Vec<&Table> = examples(profile, "login", "good").collect();
        let own: Vec<&Table> = all.iter().copied().filter(of_grant).collect();
        // Where the grant has no example of its own, another's will do: the answers are alike.
        let good = if own.is_empty() { all } else { own };
        let steps = profile
            .get("login")
            .and_then(|login| login.get("step"))
            .and_then(Value::as_array)
            .map_or(1, Vec::len);
        for example in good.iter().take(steps) {
            server.answer_with(example);
        }
        let last = good[..steps].last().unwrap();
        let token = last
            .get("yields")
            .and_then(|yields| yields.get("token"))
            .and_then(Value::as_str)
            .map(str::to_owned);
        let of_oauth = || {
            let body: serde_json::Value =
                serde_json::from_str(last["body"].as_str().unwrap()).unwrap();
            body["access_token"].as_str().unwrap().to_owned()
        };
        let name = format!(
            "{}-{}",
            text(profile, "name"),
            grant.as_deref().unwrap_or("login").replace('_', "-")
        );
        Self {
            token: token.unwrap_or_else(of_oauth),
            profile: profile.clone(),
            grant,
            name,
            server,
        }
    }

    fn example(&self, to: &str, verdict: &str) -> Option<Table> {
        examples(&self.profile, to, verdict).next().cloned()
    }

    fn sends_a_password(&self) -> bool {
        let grant = self.grant.as_deref().unwrap_or_default();
        let parameters = self.profile.get("parameters").and_then(Value::as_table);
        let declared = parameters
            .and_then(|parameters| parameters.get("password"))
            .and_then(Value::as_table);
        grant == "password" || declared.is_some_and(|password| takes(password, grant))
    }

    fn pings(&self) -> bool {
        let has = |key: &str| self.profile.contains_key(key);
        (has("ping") || has("pings"))
            && !PINGS_ELSEWHERE.contains(&text(&self.profile, "name").as_str())
    }

    /// Everything that the profile requires, and the server's address wherever a host can be given.
    fn toml(&self, lab: &Lab) -> String {
        let url = self.server.url();
        let (name, profile) = (&self.name, text(&self.profile, "name"));
        let mut toml = format!("[sessions.{name}]\nprovider = \"{profile}\"\nurl = \"{url}\"\n");
        if !self.profile.contains_key("ping")
            && let Some(pings) = self.profile.get("pings").and_then(Value::as_table)
        {
            let _ = writeln!(
                toml,
                "keepalive.ping = \"{}\"",
                pings.keys().next().unwrap()
            );
        }
        let _ = writeln!(toml, "[sessions.{name}.login]");
        if let Some(grant) = &self.grant {
            let _ = writeln!(toml, "grant = \"{grant}\"");
        }
        for (key, value) in self.values(lab) {
            let _ = writeln!(toml, "{key} = {value}");
        }
        toml
    }

    fn values(&self, lab: &Lab) -> Vec<(String, String)> {
        let grant = self.grant.as_deref().unwrap_or_default();
        let empty = Table::new();
        let own = self
            .profile
            .get("parameters")
            .and_then(Value::as_table)
            .unwrap_or(&empty);
        let is = |it: &Table, key: &str| it.get(key).and_then(Value::as_bool) == Some(true);
        let source = |key: &str| {
            if key == "private_key" {
                lab.source("key.pem")
            } else {
                lab.source("secret")
            }
        };
        let mut values: Vec<(String, String)> = Vec::new();
        for (key, it) in own
            .iter()
            .filter_map(|(key, it)| Some((key, it.as_table()?)))
            .filter(|(_, it)| takes(it, grant))
        {
            match key.as_str() {
                "login_url" | "token_url" => {
                    values.push((key.clone(), format!("\"{}\"", self.server.url())));
                }
                "ping_url" => values.push((key.clone(), "\"/ping\"".to_owned())),
                _ if !is(it, "required") => {}
                _ if is(it, "secret") => values.push((key.clone(), source(key))),
                "installation_id" | "realm_id" => values.push((key.clone(), "\"123\"".to_owned())),
                _ => values.push((key.clone(), "\"job@pve\"".to_owned())),
            }
        }
        let of_oauth: &[&str] = match (text(&self.profile, "protocol").as_str(), grant) {
            ("oauth2", "jwt_bearer") => &["client_id", "username", "private_key"],
            ("oauth2", "client_credentials") => &["client_id", "client_secret"],
            ("oauth2", "password") => &["client_id", "client_secret", "username", "password"],
            ("oauth2", "refresh_token") => &["client_id", "client_secret", "refresh_token"],
            _ => &[],
        };
        for key in of_oauth.iter().filter(|key| !own.contains_key(**key)) {
            let plain = ["client_id", "username"].contains(key);
            values.push((
                (*key).to_owned(),
                if plain {
                    "\"job\"".to_owned()
                } else {
                    source(key)
                },
            ));
        }
        values
    }

    /// A login that shows no secret would open no session; one by a key shows a signature instead.
    fn shows_secret(&self, secret: &str) {
        let sent: String = self.server.asked().iter().map(seen).collect();
        let signs = sent.contains("eyJ");
        assert!(sent.contains(secret) || signs, "{}: {sent}", self.name);
    }
}

/// Whether the grant has this parameter.
fn takes(parameter: &Table, grant: &str) -> bool {
    let grants = parameter.get("grants").and_then(Value::as_array);
    grants.is_none_or(|grants| grants.iter().any(|one| one.as_str() == Some(grant)))
}

/// A request in one text, with what its Basic header says.
fn seen(request: &Request) -> String {
    let basic = request
        .header("authorization")
        .strip_prefix("Basic ")
        .unwrap_or_default();
    let basic = STANDARD.decode(basic).unwrap_or_default();
    format!(
        "{request:?} {} {}\n",
        String::from_utf8_lossy(&request.body),
        String::from_utf8_lossy(&basic)
    )
}

/// Answers each request with the next example, and with 404 where there is none.
struct Replayer {
    listener: Arc<TcpListener>,
    answers: Arc<Mutex<VecDeque<Table>>>,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Replayer {
    fn start() -> Self {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let (answers, asked) = (Arc::default(), Arc::default());
        let server = Self {
            listener,
            answers,
            asked,
        };
        let (listener, answers, asked) = (
            Arc::clone(&server.listener),
            Arc::clone(&server.answers),
            Arc::clone(&server.asked),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &answers, &asked);
            }
        });
        server
    }

    fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }

    /// The API's own hosts are this server too.
    fn answer_with(&self, example: &Table) {
        let mut example = example.clone();
        let mut body = text(&example, "body");
        for host in [
            "www.zohoapis.com",
            "acme.pipedrive.com",
            "acme.my.salesforce.com",
        ] {
            body = body.replace(&format!("https://{host}"), &self.url());
        }
        example.insert("body".to_owned(), Value::String(body));
        self.answers.lock().unwrap().push_back(example);
    }

    fn answer_only_with(&self, example: &Table) {
        let mut answers = self.answers.lock().unwrap();
        answers.clear();
        answers.extend(std::iter::repeat_n(example.clone(), 20));
    }

    fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, answers: &Mutex<VecDeque<Table>>, asked: &Mutex<Vec<Request>>) {
    let Ok(copy) = stream.try_clone() else { return };
    let Some(request) = read_request(&mut BufReader::new(copy)) else {
        return;
    };
    let answer = answers.lock().unwrap().pop_front();
    asked.lock().unwrap().push(request);
    let response = answer.map_or_else(|| Response::json(404, "{}"), |example| response(&example));
    response.with("connection", "close").send(&mut stream);
}

fn response(example: &Table) -> Response {
    let status = example["status"]
        .as_integer()
        .and_then(|status| u16::try_from(status).ok())
        .unwrap();
    let mut response = Response::json(status, text(example, "body"));
    for (name, value) in example
        .get("headers")
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
    {
        if name.eq_ignore_ascii_case("content-type") {
            value
                .as_str()
                .unwrap()
                .clone_into(&mut response.content_type);
            continue;
        }
        let values = value
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![value.clone()]);
        for value in values {
            response = response.with(name, value.as_str().unwrap());
        }
    }
    response
}

fn profiles() -> Vec<Table> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/provider/profiles");
    let files = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .map(|path| std::fs::read_to_string(path).unwrap().parse().unwrap())
        .collect()
}

fn examples<'a>(
    profile: &'a Table,
    to: &'a str,
    verdict: &'a str,
) -> impl Iterator<Item = &'a Table> {
    let all = profile["example"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_table);
    all.filter(move |it| text(it, "to") == to && text(it, "verdict") == verdict)
}

fn text(table: &Table, key: &str) -> String {
    table
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
