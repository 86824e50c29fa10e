//! Answers as the world's servers give them, under names that no rule knows, or with a page in the place of a body.

use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use crate::support::daemon::Lab;
use crate::support::wire::{Request, Response, read_request};
use crate::support::{SOON, within};

const NGINX: &str = "<html>\r\n<head><title>401 Authorization Required</title></head>\r\n<body>\r\n<center><h1>401 \
                     Authorization Required</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";
const REFRESH_TOKEN: &str = "refresh-token-of-a-person";

#[test]
fn a_renewal_that_is_declined_under_any_name_calls_a_person_after_two_presentations() {
    let declined = [
        (
            "app",
            400,
            r#"{"error":"app_not_found","error_description":"the app is not installed"}"#,
            "not installed",
        ),
        (
            "access",
            403,
            r#"{"error":"access_denied","error_description":"consent was withdrawn"}"#,
            "withdrawn",
        ),
        (
            "token",
            401,
            r#"{"error":"invalid_token","error_description":"it has expired"}"#,
            "has expired",
        ),
        (
            "strava",
            400,
            r#"{"message":"Bad Request","errors":[{"field":"refresh_token"}]}"#,
            "Bad Request",
        ),
        (
            "github",
            200,
            r#"{"error":"bad_refresh_token","error_description":"it is incorrect"}"#,
            "is incorrect",
        ),
    ];
    at_once(declined, |(name, status, body, words)| {
        let (server, mut lab) = by_refresh_token();
        lab.start();
        lab.await_token("api");
        server.answer_tokens(Some(Response::json(status, body)));
        let before = server.logins();
        let told = lab.await_state("api", "needs_attention");
        assert!(
            told["attention"]["reason"]
                .as_str()
                .unwrap()
                .contains(words),
            "{name}: {told}"
        );
        sleep(Duration::from_secs(7));
        let presented = server.logins() - before;
        assert!(
            (1..=2).contains(&presented),
            "{name}: {presented} presentations"
        );
    });
}

#[test]
fn a_renewal_that_was_declined_is_tried_again_by_a_login_or_a_reload_once_it_is_mended_at_the_server()
 {
    at_once(["login", "reload"], |mend| {
        let (server, mut lab) = by_refresh_token();
        lab.start();
        lab.await_token("api");
        server.answer_tokens(Some(Response::json(400, r#"{"error":"app_not_found"}"#)));
        lab.await_state("api", "needs_attention");
        within(SOON, "the token's end", || {
            lab.token("api").is_none().then_some(())
        });
        server.answer_tokens(None);
        let before = server.logins();
        if mend == "login" {
            lab.succeeds(&["login", "api"]);
        } else {
            lab.reload();
        }
        lab.await_token("api");
        lab.await_state("api", "alive");
        assert!(server.logins() - before <= 2, "{mend}");
        assert!(
            server
                .forms()
                .iter()
                .all(|form| form.contains(REFRESH_TOKEN)),
            "it is the same that was kept"
        );
    });
}

#[test]
fn a_token_that_comes_labelled_as_a_page_is_taken_and_renewed() {
    let (server, mut lab) = by_refresh_token();
    server.label_tokens("text/html; charset=UTF-8");
    lab.start();
    let first = lab.await_token("api");
    lab.await_another_token("api", &first);
    assert!(server.logins() <= 4, "{} calls", server.logins());
}

#[test]
fn a_dead_token_that_the_servers_front_answers_with_a_page_or_half_a_body_is_replaced() {
    let fronts = [
        ("nginx", Response::html(401, NGINX)),
        (
            "challenge",
            Response::html(401, NGINX).with("WWW-Authenticate", "Bearer error=\"invalid_token\""),
        ),
        (
            "two challenges",
            Response::text(401, "no")
                .with("WWW-Authenticate", "Basic")
                .with("WWW-Authenticate", "Bearer"),
        ),
        (
            "half a body",
            Response::json(401, "{\"a\"").with("Content-Length", "100"),
        ),
    ];
    at_once(fronts, |(name, dead)| {
        for by_report in [true, false] {
            let (server, mut lab) = by_client();
            lab.start();
            let first = lab.await_token("api");
            lab.succeeds(&["verify", "api"]);
            server.answer_dead_tokens(dead.clone());
            server.end_all_tokens();
            if by_report {
                lab.post(
                    "/v1/sessions/api/rejected?wait=6s",
                    &format!("{{\"token\":\"{first}\"}}"),
                );
            } else {
                lab.run(&["verify", "api"]);
            }
            let second = lab.await_another_token("api", &first);
            assert!(server.lives(&second), "{name}");
            assert_eq!(server.logins(), 2, "{name}");
            assert!(server.pings() <= 5, "{name}: {} pings", server.pings());
        }
    });
}

#[test]
fn a_captive_portal_costs_no_token_and_no_login() {
    let portals = [
        Response::html(401, "<html>please log in to our wireless network</html>"),
        Response::html(403, "<html>blocked</html>"),
        Response::html(200, "<html>please log in</html>"),
        Response {
            status: 302,
            ..Response::default()
        }
        .with("Location", "http://portal.example/?from=you"),
    ];
    at_once(portals, |portal| {
        let (server, mut lab) = by_client();
        lab.start();
        let token = lab.await_token("api");
        let status = portal.status;
        server.answer_all(Some(portal.clone()));
        for _ in 0..4 {
            lab.run(&["verify", "api"]);
            sleep(Duration::from_secs(1));
        }
        assert_eq!(
            lab.token("api").as_ref(),
            Some(&token),
            "{status}: it stays published"
        );
        assert_eq!(
            server.issued(),
            1,
            "{status}: behind it nobody was logged in"
        );
        assert!(server.seen() <= 20, "{status}: {} calls", server.seen());
        // The login that follows a ping at once meets the portal as the ping did, also where the portal ends in between.
        server.answer_tokens(Some(portal));
        server.answer_all(None);
        within(SOON, "a ping to leave that proves the token", || {
            let verified = lab.run(&["verify", "api"]);
            verified.status.success().then_some(())
        });
        lab.await_state("api", "alive");
        assert_eq!(
            (lab.token("api"), server.issued()),
            (Some(token), 1),
            "{status}"
        );
    });
}

#[test]
fn an_expired_token_that_is_answered_with_another_status_is_replaced_once_a_job_reports_it() {
    let answers = [
        Response {
            status: 403,
            ..Response::default()
        },
        Response::json(400, r#"{"message":"token expired"}"#),
        Response::json(404, r#"{"message":"Not Found"}"#),
        Response::html(403, "<html>403</html>"),
        Response {
            status: 302,
            ..Response::default()
        }
        .with("Location", "/login"),
    ];
    at_once(answers, |dead| {
        let (server, mut lab) = by_client();
        lab.start();
        let first = lab.await_token("api");
        lab.succeeds(&["verify", "api"]);
        let status = dead.status;
        server.answer_dead_tokens(dead);
        server.end_all_tokens();
        let told = lab.post(
            "/v1/sessions/api/rejected?wait=8s",
            &format!("{{\"token\":\"{first}\"}}"),
        );
        assert_eq!(told.status, 200, "{status}: {told:?}");
        assert!(
            server.lives(&lab.await_another_token("api", &first)),
            "{status}"
        );
        assert_eq!(server.logins(), 2, "{status}");
        assert!(server.pings() <= 4, "{status}: {} pings", server.pings());
    });
}

#[test]
fn a_token_that_may_not_ping_is_replaced_once_and_then_a_person_is_told_how_to_teach_the_status() {
    let (server, mut lab) = by_client();
    server.answer_dead_tokens(Response::json(403, r#"{"message":"not allowed"}"#));
    server.let_tokens_be_born_dead();
    lab.start();
    lab.await_token("api");
    for _ in 0..4 {
        let generation = lab.status("api")["generation"].clone();
        lab.post(
            "/v1/sessions/api/rejected?wait=4s",
            &format!("{{\"generation\":{generation}}}"),
        );
    }
    let told = lab.await_state("api", "needs_attention");
    assert!(
        told["attention"]["reason"]
            .as_str()
            .unwrap()
            .contains("not allowed"),
        "{told}"
    );
    assert!(
        told["attention"]["remedy"]
            .as_str()
            .unwrap()
            .contains("a rule of the profile"),
        "{told}"
    );
    assert_eq!(server.logins(), 2);
    assert!(server.pings() <= 8, "{} pings", server.pings());
}

#[test]
fn pages_of_a_token_endpoint_call_a_person_and_stop_nothing() {
    let pages = [
        Response::html(401, NGINX),
        Response::html(403, "<html>403</html>"),
        Response {
            status: 301,
            ..Response::default()
        }
        .with("Location", "https://new.acme.example/token?a=hidden"),
    ];
    at_once(pages, |page| {
        let (server, mut lab) = by_client();
        let status = page.status;
        server.answer_tokens(Some(page));
        lab.start();
        let told = lab.await_state("api", "needs_attention");
        assert!(
            told["attention"]["remedy"]
                .as_str()
                .unwrap()
                .contains("proxy or portal"),
            "{told}"
        );
        assert_eq!(
            told.to_string().contains("https://new.acme.example/token"),
            status == 301,
            "{told}"
        );
        assert!(!told.to_string().contains("hidden"), "{told}");
        assert!(server.logins() <= 4, "{status}: {} logins", server.logins());
        server.answer_tokens(None);
        lab.succeeds(&["login", "api"]);
        lab.await_token("api");
    });
}

/// Each case has a server and a daemon of its own.
fn at_once<T: Send, const N: usize>(cases: [T; N], test: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| test(case));
        }
    });
}

/// A token endpoint and an API, on loopback.
struct Server {
    state: Arc<Mutex<State>>,
    url: String,
}

#[derive(Default)]
struct State {
    /// In the place of every answer.
    all: Option<Response>,
    /// In the place of the token endpoint's answers.
    tokens: Option<Response>,
    /// What a ping with a dead token meets.
    dead: Response,
    label: Option<String>,
    born_dead: bool,
    lifetime: u64,
    living: Vec<String>,
    issued: usize,
    forms: Vec<String>,
    pings: usize,
    seen: usize,
}

impl Server {
    fn start(lifetime: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            lifetime,
            ..State::default()
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

    fn with<T>(&self, of: impl FnOnce(&mut State) -> T) -> T {
        of(&mut self.state.lock().unwrap())
    }

    fn answer_all(&self, response: Option<Response>) {
        self.with(|state| (state.all, state.seen) = (response, 0));
    }

    fn answer_tokens(&self, response: Option<Response>) {
        self.with(|state| state.tokens = response);
    }

    fn answer_dead_tokens(&self, response: Response) {
        self.with(|state| state.dead = response);
    }

    fn let_tokens_be_born_dead(&self) {
        self.with(|state| state.born_dead = true);
    }

    fn label_tokens(&self, content_type: &str) {
        self.with(|state| state.label = Some(content_type.to_owned()));
    }

    fn end_all_tokens(&self) {
        self.with(|state| state.living.clear());
    }

    fn lives(&self, token: &str) -> bool {
        self.with(|state| state.living.iter().any(|living| living == token))
    }

    fn logins(&self) -> usize {
        self.with(|state| state.forms.len())
    }

    fn forms(&self) -> Vec<String> {
        self.with(|state| state.forms.clone())
    }

    fn issued(&self) -> usize {
        self.with(|state| state.issued)
    }

    fn pings(&self) -> usize {
        self.with(|state| state.pings)
    }

    /// Calls since [`Self::answer_all`].
    fn seen(&self) -> usize {
        self.with(|state| state.seen)
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        let answer = state.lock().unwrap().answer(&request);
        // One that promises more than it has ends there.
        let breaks_off = answer
            .headers
            .iter()
            .any(|(name, _)| name == "Content-Length");
        if breaks_off {
            use std::io::Write as _;
            let head = format!(
                "HTTP/1.1 {} Test\r\nContent-Length: 100\r\n\r\n",
                answer.status
            );
            let _ = writer.write_all(&[head.as_bytes(), &answer.body].concat());
            return;
        }
        if !answer.send(&mut writer) {
            return;
        }
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Response {
        self.seen += 1;
        if let Some(response) = &self.all {
            return response.clone();
        }
        if request.path == "/token" {
            self.forms
                .push(String::from_utf8_lossy(&request.body).into_owned());
            return self.tokens.clone().unwrap_or_else(|| self.issue());
        }
        self.pings += 1;
        if self.living.iter().any(|living| living == request.bearer()) {
            return Response::json(200, r#"{"ok":true}"#);
        }
        self.dead.clone()
    }

    fn issue(&mut self) -> Response {
        self.issued += 1;
        let token = format!("token-number-{}-of-this-server", self.issued);
        if !self.born_dead {
            self.living.push(token.clone());
        }
        let lifetime = self.lifetime;
        let body = format!(
            r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{lifetime}}}"#
        );
        let mut response = Response::json(200, body);
        if let Some(label) = &self.label {
            response.content_type.clone_from(label);
        }
        response
    }
}

/// A session by client credentials, whose token lives for an hour and can be pinged.
fn by_client() -> (Server, Lab) {
    let server = Server::start(3600);
    let lab = Lab::bare(&server.url, || vec!["the-clients-secret".to_owned()]);
    lab.secret("secret", "the-clients-secret");
    let (url, secret) = (&server.url, lab.source("secret"));
    lab.configure_text(&format!(
        "[sessions.api]\nprovider = \"oauth2\"\nurl = \"{url}\"\n[sessions.api.login]\ngrant = \"client_credentials\"\n\
         client_id = \"c\"\nclient_secret = {secret}\ntoken_url = \"/token\"\nping_url = \"/ping\"\n"
    ));
    (server, lab)
}

/// A session by a refresh token, whose token lives for some seconds.
fn by_refresh_token() -> (Server, Lab) {
    let server = Server::start(6);
    let lab = Lab::bare(&server.url, || vec![REFRESH_TOKEN.to_owned()]);
    lab.secret("refresh", REFRESH_TOKEN);
    let (url, secret) = (&server.url, lab.source("refresh"));
    lab.configure_text(&format!(
        "[sessions.api]\nprovider = \"oauth2\"\nurl = \"{url}\"\n[sessions.api.login]\ngrant = \"refresh_token\"\n\
         client_id = \"c\"\nrefresh_token = {secret}\ntoken_url = \"/token\"\n"
    ));
    (server, lab)
}
