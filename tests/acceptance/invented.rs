//! Servers that nobody has heard of, described by a file as docs/providers.md teaches it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use crate::support::acme::{Acme, PASSWORD, Rules};
use crate::support::daemon::{Lab, Session};
use crate::support::{SOON, within};

const RULES: Rules = Rules {
    idle: Duration::from_secs(3),
    longest: Duration::from_hours(1),
    ping_replaces: false,
};

#[test]
fn a_cookie_session_is_kept_alive_by_the_manuals_own_profile() {
    let server = Acme::start(RULES);
    let mut lab = lab(&server, &manual(), PASSWORD);
    lab.configure(&[tickets(&lab)
        .publish("file = \"tickets.headers\"\nformat = \"header\"\n")
        .publish("file = \"tickets\"\n")]);
    lab.start();
    let token = lab.await_token("tickets");
    watch(Duration::from_secs(8), || {
        assert_eq!(lab.token("tickets").as_deref(), Some(token.as_str()));
    });
    let headers = fs::read_to_string(lab.path("run/tokens/tickets.headers")).unwrap();
    assert!(
        headers.contains(&format!("Cookie: ACMESID={token}")),
        "curl -H @file carries the cookie"
    );
    assert!(
        headers.contains("X-CSRF: csrf-1-of-robot"),
        "and what writes need"
    );
    assert_eq!((server.calls("/api/login"), server.idle_deaths()), (1, 0));
    assert!(
        (2..=8).contains(&server.calls("/api/ping")),
        "{} pings",
        server.calls("/api/ping")
    );
}

#[test]
fn a_death_under_status_200_is_answered_by_one_login() {
    let server = Acme::start(RULES);
    let mut lab = lab(&server, &manual(), PASSWORD);
    lab.configure(&[tickets(&lab)]);
    lab.start();
    let first = lab.await_token("tickets");
    server.end_all_sessions();
    let told = lab.post(
        "/v1/sessions/tickets/rejected?wait=10s",
        &format!("{{\"token\":\"{first}\"}}"),
    );
    assert_eq!(told.status, 200, "{told:?}");
    assert_ne!(lab.await_another_token("tickets", &first), first);
    assert_eq!(
        (server.calls("/api/login"), server.calls("/api/ping")),
        (2, 1)
    );
}

#[test]
fn a_wrong_password_under_status_200_is_tried_once_and_a_mended_one_at_once() {
    let server = Acme::start(RULES);
    let mut lab = lab(&server, &manual(), "wrong");
    lab.configure(&[tickets(&lab)]);
    lab.start();
    let status = lab.await_state("tickets", "needs_attention");
    assert!(
        status.to_string().contains("BAD_LOGIN") || status.to_string().contains("200"),
        "{status}"
    );
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(server.calls("/api/login"), 1);
    lab.secret("tickets-password", PASSWORD);
    lab.reload();
    lab.await_token("tickets");
    assert_eq!(server.calls("/api/login"), 2);
}

#[test]
fn a_secret_that_no_header_can_carry_asks_for_a_person_and_calls_nobody() {
    let server = Acme::start(RULES);
    let profile = manual().replace(
        "[login]\n",
        "[login]\nheaders = { X-Password = \"{password}\" }\n",
    );
    let mut lab = lab(&server, &profile, "a\u{7}bell");
    lab.configure(&[tickets(&lab)]);
    lab.start();
    let status = lab.await_state("tickets", "needs_attention");
    assert!(
        status
            .to_string()
            .contains("the header `X-Password` cannot carry its value"),
        "{status}"
    );
    assert_eq!(server.calls("/api/login"), 0);
    lab.secret("tickets-password", PASSWORD);
    lab.reload();
    lab.await_token("tickets");
    assert_eq!(server.calls("/api/login"), 1);
}

#[test]
fn a_login_is_repeated_before_its_absolute_maximum() {
    let server = Acme::start(Rules {
        longest: Duration::from_secs(4),
        ..RULES
    });
    let mut lab = lab(&server, &manual(), PASSWORD);
    lab.configure(&[tickets(&lab).key("max_lifetime = \"4s\"")]);
    lab.start();
    lab.await_token("tickets");
    watch(Duration::from_secs(9), || {
        assert!(
            lab.token("tickets").is_some(),
            "a token is there at every moment"
        );
    });
    assert_eq!((server.late_deaths(), server.idle_deaths()), (0, 0));
    assert!(
        (3..=5).contains(&server.calls("/api/login")),
        "{} logins",
        server.calls("/api/login")
    );
}

#[test]
fn a_keepalive_that_replaces_the_cookie_is_published_at_once() {
    let server = Acme::start(Rules {
        ping_replaces: true,
        ..RULES
    });
    let profile = manual().replace(
        "[ping]\npath = \"/api/ping\"\n",
        "[ping]\npath = \"/api/ping\"\ncapture = { token = { cookie = \"ACMESID\" }, csrf = { json = \"/csrf\" } }\n",
    );
    let mut lab = lab(&server, &profile, PASSWORD);
    lab.configure(&[tickets(&lab)]);
    lab.start();
    let first = lab.await_token("tickets");
    let second = lab.await_another_token("tickets", &first);
    let third = lab.await_another_token("tickets", &second);
    within(SOON, "the file to hold the cookie that lives", || {
        (server.living() == [lab.token("tickets").unwrap_or_default()]).then_some(())
    });
    assert_eq!(
        (server.calls("/api/login"), server.idle_deaths()),
        (1, 0),
        "{third}"
    );
    assert!(server.calls("/api/ping") <= 6);
}

#[test]
fn a_renewal_that_kills_the_former_cookie_needs_no_second_login() {
    let server = Acme::start(RULES);
    let renew = "[renew]\npath = \"/api/renew\"\nmethod = \"POST\"\n\n[logout]";
    let lifetime = "expires_in = { json = \"/seconds\" }\nidle_timeout = { json = \"/minutes\"";
    let profile = manual()
        .replace("model = \"sliding\" ", "model = \"fixed\" ")
        .replace("[logout]", renew)
        .replace("idle_timeout = { json = \"/minutes\"", lifetime)
        .replace(r#""minutes": 30}"#, r#""minutes": 30, "seconds": 3}"#);
    let mut lab = lab(&server, &profile, PASSWORD);
    // A tenth of the life, as it is without this, is gone where the disk takes a third of a second for the intent.
    lab.configure(&[tickets(&lab).table("keepalive", "survive_outage = \"1s\"")]);
    lab.start();
    let first = lab.await_token("tickets");
    let second = lab.await_another_token("tickets", &first);
    lab.await_another_token("tickets", &second);
    assert_eq!((server.calls("/api/login"), server.idle_deaths()), (1, 0));
    assert!(
        (2..=4).contains(&server.calls("/api/renew")),
        "{} renewals",
        server.calls("/api/renew")
    );
}

#[test]
fn a_logout_carries_what_writes_need_and_ends_the_session_at_the_server() {
    let server = Acme::start(RULES);
    let mut lab = lab(&server, &manual(), PASSWORD);
    lab.configure(&[tickets(&lab)]);
    lab.start();
    lab.await_token("tickets");
    assert_eq!(
        lab.post("/v1/sessions/tickets/logout?wait=5s", "").status,
        200
    );
    lab.await_no_token("tickets");
    within(SOON, "the server to know of it", || {
        server.living().is_empty().then_some(())
    });
    assert_eq!(
        (server.calls("/api/login"), server.calls("/api/logout")),
        (1, 1)
    );
}

#[test]
fn calibrating_shows_by_the_pings_own_answers_that_it_moves_the_end() {
    let server = Acme::start(Rules {
        idle: Duration::from_secs(8),
        ping_replaces: true,
        ..RULES
    });
    let told = "capture = { token = { cookie = \"ACMESID\" }, csrf = { json = \"/csrf\" }, expires_in = { json = \"/seconds\" } }";
    let profile =
        manual().replace("[ping]\npath = \"/api/ping\"\n", &format!("[ping]\npath = \"/api/ping\"\n{told}\n")).replace(
            "csrf = { json = \"/csrf\" }\nidle",
            "csrf = { json = \"/csrf\" }\nexpires_in = { json = \"/seconds\", optional = true }\nidle",
        );
    let mut lab = lab(&server, &profile, PASSWORD);
    lab.configure(&[tickets(&lab).idle_timeout("8s")]);
    lab.start();
    lab.await_token("tickets");
    let said = lab.succeeds(&["calibrate", "tickets", "--after", "3s"]);
    assert!(said.contains("the ping counts as activity"), "{said}");
    assert!(
        (server.calls("/api/login"), server.calls("/api/ping")) <= (1, 2),
        "{said}"
    );
}

#[test]
fn a_program_that_prints_a_token_is_run_again_before_its_end() {
    let server = Acme::start(RULES);
    let mut lab = Lab::bare(server.url(), server.secrets());
    lab.secret("password", PASSWORD);
    fs::create_dir(lab.path("providers")).unwrap();
    fs::write(
        lab.path("providers/script.toml"),
        "name = \"script\"\ntitle = \"A script\"\nprotocol = \"command\"\n\
         [parameters]\npassword = { secret = true, required = true, about = \"its password\" }\n\
         program = { required = true, about = \"the script\" }\n\
         [window]\nmodel = \"fixed\"\nidle_timeout = \"none\"\n\
         [login]\ncommand = [\"{program}\", \"--print\"]\nenv = { SCRIPT_PASSWORD = \"{password}\" }\n",
    )
    .unwrap();
    let (script, runs) = (lab.path("script"), lab.path("runs"));
    let text = format!(
        "#!/bin/sh\n[ ${{#SCRIPT_PASSWORD}} = {length} ] && [ \"$*\" = --print ] || exit 3\necho run >>{runs}\n\
         echo grumbling >&2\nprintf '{{\"access_token\":\"token-%s\",\"expires_in\":3}}' \"$(wc -l <{runs} | tr -d ' ')\"\n",
        length = PASSWORD.len(),
        runs = runs.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let login = format!(
        "program = {}\npassword = {}\n",
        lab.quoted("script"),
        lab.source("password")
    );
    lab.configure(&[lab.session("job", &login).provider("script").url("")]);
    lab.start();
    assert_eq!(lab.await_token("job"), "token-1");
    lab.await_another_token("job", "token-1");
    lab.await_another_token("job", "token-2");
    let ran = fs::read_to_string(runs).unwrap().lines().count();
    assert!((3..=4).contains(&ran), "{ran} runs");
}

/// The profile that docs/providers.md teaches by.
fn manual() -> String {
    let page = include_str!("../../docs/providers.md");
    let (_, from) = page
        .split_once("```toml\nname = \"acme\"")
        .expect("the page shows a profile");
    let (text, _) = from.split_once("```").unwrap();
    format!("name = \"acme\"{text}")
}

fn lab(server: &Acme, profile: &str, password: &str) -> Lab {
    let lab = Lab::bare(server.url(), server.secrets());
    lab.secret("tickets-password", password);
    fs::create_dir(lab.path("providers")).unwrap();
    fs::write(lab.path("providers/acme.toml"), profile).unwrap();
    lab
}

fn tickets(lab: &Lab) -> Session {
    let login = format!(
        "user = \"robot\"\npassword = {}\n",
        lab.source("tickets-password")
    );
    lab.session("tickets", &login)
        .provider("acme")
        .idle_timeout("3s")
}

/// Looks at something that must hold all the time.
fn watch(lasting: Duration, mut holds: impl FnMut()) {
    let begun = Instant::now();
    while begun.elapsed() < lasting {
        holds();
        std::thread::sleep(Duration::from_millis(50));
    }
}
