//! The proxy that the environment names: obeyed as people write it, or complained of, and never passed by in silence.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::daemon::Lab;
use crate::support::wire::{Request, read_request};
use crate::support::{SOON, within};

#[test]
fn a_proxy_variable_in_quotes_with_blanks_or_a_slash_is_obeyed_and_the_proxys_own_answer_is_told() {
    let refusing = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
    for (name, value, answer, said) in [
        (
            "HTTPS_PROXY",
            "\"http://@\"",
            refusing,
            "refused the connection with 403",
        ),
        (
            "https_proxy",
            "@/",
            "HTTP/1.1 502 Bad Gateway\r\n\r\n",
            "refused the connection with 502",
        ),
        (
            "ALL_PROXY",
            " 'http://@/' ",
            "HTTP/1.1 503 Busy\r\n\r\n",
            "refused the connection with 503",
        ),
        (
            "HTTPS_PROXY",
            "http://@",
            "HTTP/1.1 407 Who\r\n\r\n",
            "refused the connection with 407: it wants a user name and a password",
        ),
        (
            "HTTPS_PROXY",
            "http://bob:p%40ss@@",
            "HTTP/1.1 407 Who\r\n\r\n",
            "refused the connection with 407: the user name or password",
        ),
        ("all_proxy", "http://@", "", "closed the connection"),
    ] {
        let proxy = Proxy::start(answer);
        let mut lab = lab();
        let value = value.replacen('@', "\u{0}", value.matches('@').count() - 1);
        let value = value
            .replace('@', &proxy.address.to_string())
            .replace('\u{0}', "@");
        let mut command = lab.daemon();
        command.env(name, &value);
        lab.start_by(command);
        within(SOON, "the socket", || lab.get("/v1/sessions/a"));
        let detail = within(SOON, "what the proxy did", || {
            lab.status("a")["last_error"]["detail"]
                .as_str()
                .map(str::to_owned)
        });
        assert!(
            detail.contains(&format!("the proxy http://{} {said}", proxy.address)),
            "{name}={value}: {detail}"
        );
        let asked = proxy.asked();
        assert!(
            asked
                .iter()
                .all(|request| request.path == "acme.invalid:443"),
            "{asked:?}"
        );
        if value.contains("bob") {
            assert_eq!(asked[0].header("proxy-authorization"), "Basic Ym9iOnBAc3M=");
        }
        // A refusal is asked for its status once.
        assert!(asked.len() <= 6, "{} connections", asked.len());
    }
}

#[test]
fn a_proxy_variable_that_names_no_proxy_is_an_error_at_start_and_in_check_with_its_name_and_without_its_password()
 {
    for value in [
        "socks5://bob:hunter2@127.0.0.1:1",
        "http//bob:hunter2@127.0.0.1:1",
        "http://bob:hunter2#@127.0.0.1:1",
    ] {
        let mut lab = lab();
        let mut check = lab.command(&["check", "--config", lab.config().to_str().unwrap()]);
        let output = check.env("HTTPS_PROXY", value).output().unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(78), "{value}: {said}");
        assert!(
            said.contains("HTTPS_PROXY") && said.contains("http://host:port"),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
        let mut command = lab.daemon();
        command.env("HTTPS_PROXY", value);
        lab.start_by(command);
        assert_eq!(lab.ended().code(), Some(78), "{value}");
        let mut check = lab.command(&["check", "--config", lab.config().to_str().unwrap()]);
        let output = check
            .env("HTTPS_PROXY", value)
            .env("NO_PROXY", "*.invalid")
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "what no call goes by is nobody's business: {output:?}"
        );
    }
}

fn lab() -> Lab {
    let needles = ["sssssecret", "hunter2", "p%40ss", "p@ss", "Ym9iOnBAc3M="]
        .map(str::to_owned)
        .to_vec();
    let lab = Lab::bare("https://acme.invalid", move || needles.clone());
    lab.secret("secret", "sssssecret");
    lab.configure_text(&format!(
        "[sessions.a]\nprovider = \"oauth2\"\nurl = \"https://acme.invalid\"\n[sessions.a.login]\n\
         grant = \"client_credentials\"\nclient_id = \"c\"\nclient_secret = {}\ntoken_url = \"/token\"\n",
        lab.source("secret")
    ));
    lab
}

/// Answers whatever it is asked with the same, and hangs up.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Proxy {
    fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (
            listener.local_addr().unwrap(),
            Arc::<Mutex<Vec<Request>>>::default(),
        );
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                refuse(stream, answer, &seen);
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

fn refuse(mut stream: TcpStream, answer: &str, seen: &Mutex<Vec<Request>>) {
    let copy = stream.try_clone().unwrap();
    if let Some(request) = read_request(&mut BufReader::new(copy)) {
        seen.lock().unwrap().push(request);
        let _ = stream.write_all(answer.as_bytes());
    }
}
