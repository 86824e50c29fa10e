//! Storms: servers that speak out of turn, callers in crowds, files that strangers can write. One of them changes nothing
//! for the others, and no server gets more calls for it.

use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::daemon::Lab;
use crate::support::namespaces::is_root;
use crate::support::org::{Endpoint, Settings};
use crate::support::salesforce::Salesforce;
use crate::support::untried::can_as_root;
use crate::support::{SOON, within};

/// Somebody who has nothing to do with the daemon.
const STRANGER: u32 = 54_321;

/// What a server does with the connection once a request has come.
type Misbehaviour = fn(&mut TcpStream);

#[test]
fn no_answer_out_of_turn_is_taken_for_one_or_costs_more_than_a_few_logins() {
    let genuine = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&genuine);
    // Twenty servers in one program take their time on a machine that is busy.
    lab.request_timeout = "5s";
    let servers: Vec<_> = misbehaviours()
        .into_iter()
        .map(|(name, how)| (name, Rogue::start(how)))
        .collect();
    let mut sessions: Vec<_> = servers
        .iter()
        .map(|(name, rogue)| lab.by_key(name).url(&rogue.url()))
        .collect();
    sessions.push(lab.by_key("genuine").idle_timeout("10s"));
    lab.configure(&sessions);
    lab.start();
    let began = Instant::now();
    let token = lab.await_token("genuine");
    for (name, rogue) in &servers {
        within(SOON, name, || (rogue.calls() >= 2).then_some(()));
    }
    sleep(Duration::from_secs(5));
    for (name, rogue) in &servers {
        let calls = rogue.calls();
        // On a busy machine the waits above take longer.
        let most = 10 + began.elapsed().as_secs() / 10;
        assert!((2..=most).contains(&calls), "{name}: {calls} calls");
        let status = lab.status(name);
        // A person may be called to look at such a server after three of its answers; nothing is stopped by that.
        assert!(
            status["state"] == "recovering" || status["state"] == "needs_attention",
            "{name}: {status}"
        );
        assert_eq!(
            status["last_error"]["verdict"], "unavailable",
            "{name}: {status}"
        );
        assert!(!lab.path(&format!("run/tokens/{name}")).exists(), "{name}");
    }
    assert!(
        genuine.lives(&token),
        "the session beside them was kept alive"
    );
    assert_eq!(genuine.logins(), 1);
}

#[test]
fn servers_whose_interim_answers_never_end_cost_no_other_session_its_pings() {
    let genuine = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&genuine);
    let floods: Vec<_> = misbehaviours()
        .into_iter()
        .filter(|(name, _)| name.ends_with("s-without-end"))
        .collect();
    let servers: Vec<_> = floods
        .iter()
        .cycle()
        .take(8)
        .map(|(_, how)| Rogue::start(*how))
        .collect();
    let sessions = servers
        .iter()
        .enumerate()
        .map(|(number, rogue)| lab.by_key(&format!("bad{number}")).url(&rogue.url()));
    let mut sessions: Vec<_> = sessions.collect();
    sessions.push(lab.by_key("genuine").idle_timeout("4s"));
    lab.configure(&sessions);
    lab.start();
    lab.await_token("genuine");
    sleep(Duration::from_secs(9));
    assert!(
        genuine.lives(&lab.token("genuine").unwrap()),
        "a ping came late"
    );
    assert_eq!(genuine.logins(), 1, "no idle time-out was missed");
    let pings = genuine.count_of("genuine", Endpoint::Data);
    assert!((2..=20).contains(&pings), "{pings} pings");
    for (number, rogue) in servers.iter().enumerate() {
        assert!(
            (1..=40).contains(&rogue.calls()),
            "bad{number}: {} calls",
            rogue.calls()
        );
    }
}

#[test]
fn forty_servers_with_a_mebibyte_of_small_values_keep_a_sound_session_waiting_for_none_of_them() {
    let genuine = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&genuine);
    lab.log_level = "info";
    let many_values: Misbehaviour = |stream| {
        let body = format!("[{}1]", "1,".repeat(500_000));
        let head = format!(
            "HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let _ = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body.as_bytes()));
    };
    let servers: Vec<_> = (0..40).map(|_| Rogue::start(many_values)).collect();
    let sessions = servers
        .iter()
        .enumerate()
        .map(|(number, rogue)| lab.by_key(&format!("bad{number}")).url(&rogue.url()));
    let mut sessions: Vec<_> = sessions.collect();
    sessions.push(lab.by_key("genuine").idle_timeout("4s"));
    lab.configure(&sessions);
    lab.start();
    let token = lab.await_token("genuine");
    sleep(Duration::from_secs(6));
    assert!(genuine.lives(&token), "a ping came late");
    assert_eq!(genuine.logins(), 1, "no idle time-out was missed");
    assert!(resident_kibibytes(lab.pid()) < 256 * 1024);
    for (number, rogue) in servers.iter().enumerate() {
        assert!(
            (1..=12).contains(&rogue.calls()),
            "bad{number}: {} calls",
            rogue.calls()
        );
    }
}

fn misbehaviours() -> Vec<(&'static str, Misbehaviour)> {
    const JSON: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    const TOKEN: &str = r#"{"access_token":"00Dforged000000","instance_url":"http://127.0.0.1:1"}"#;
    fn say(stream: &mut TcpStream, text: &str) {
        let _ = stream.write_all(text.as_bytes());
    }
    fn without_end(stream: &mut TcpStream, text: &str) {
        let many = text.repeat(1000);
        while stream.write_all(many.as_bytes()).is_ok() {}
    }
    vec![
        ("continues-without-end", |it| {
            without_end(it, "HTTP/1.1 100 Continue\r\n\r\n");
        }),
        ("hints-without-end", |it| {
            without_end(it, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        }),
        ("headers-without-end", |it| {
            say(it, JSON);
            without_end(it, "X-More: and more\r\n");
        }),
        ("one-header-without-end", |it| {
            say(it, JSON);
            say(it, "X-Long: ");
            without_end(it, "aaaaaaaaaaaaaaaa");
        }),
        ("trailers-without-end", |it| {
            say(
                it,
                &format!(
                    "{JSON}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{TOKEN}\r\n0\r\n",
                    TOKEN.len()
                ),
            );
            without_end(it, "X-More: and more\r\n");
        }),
        ("negative-length", |it| {
            say(it, &format!("{JSON}Content-Length: -1\r\n\r\n{TOKEN}"));
        }),
        ("two-lengths", |it| {
            say(
                it,
                &format!("{JSON}Content-Length: 70\r\nContent-Length: 7\r\n\r\n{TOKEN}"),
            );
        }),
        ("longer-than-said", |it| {
            say(it, &format!("{JSON}Content-Length: 20\r\n\r\n{TOKEN}"));
        }),
        ("cut-short", |it| {
            let cut = TOKEN.trim_end_matches('}');
            say(
                it,
                &format!("{JSON}Content-Length: {}\r\n\r\n{cut}", TOKEN.len()),
            );
        }),
        ("bad-chunks", |it| {
            say(
                it,
                &format!("{JSON}Transfer-Encoding: chunked\r\n\r\nzz\r\n{TOKEN}\r\n0\r\n\r\n"),
            );
        }),
        ("huge-chunk", |it| {
            say(
                it,
                &format!("{JSON}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{TOKEN}"),
            );
        }),
        ("not-http", |it| say(it, "SSH-2.0-OpenSSH_9.9\r\n")),
        ("another-protocol", |it| {
            say(
                it,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            );
        }),
        ("captive-portal", |it| {
            say(
                it,
                "HTTP/1.1 511 Network Authentication Required\r\nContent-Length: 0\r\n\r\n",
            );
        }),
        ("unauthorised-proxy", |it| {
            say(it, "HTTP/1.1 407 Proxy\r\nContent-Length: 0\r\n\r\n");
        }),
        ("misdirected", |it| {
            say(
                it,
                "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n",
            );
        }),
        ("too-early", |it| {
            say(it, "HTTP/1.1 425 Too Early\r\nContent-Length: 0\r\n\r\n");
        }),
        ("nothing", |_| {}),
    ]
}

#[test]
fn ten_thousand_reports_of_dead_tokens_cost_a_few_pings() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.log_level = "info";
    lab.configure(&[lab.by_key("crm")]);
    lab.start();
    let token = lab.await_token("crm");
    let generation = lab.status("crm")["generation"].as_u64().unwrap();
    let reporters: Vec<_> = (0..8)
        .map(|_| {
            let socket = lab.socket();
            std::thread::spawn(move || {
                let mut stream = UnixStream::connect(socket).unwrap();
                stream.set_read_timeout(Some(SOON)).unwrap();
                for number in 0..1250 {
                    report(&mut stream, generation - number % 2);
                }
            })
        })
        .collect();
    for reporter in reporters {
        reporter.join().unwrap();
    }
    assert_eq!(lab.token("crm"), Some(token));
    let calls = server.calls().len();
    assert!((2..=12).contains(&calls), "{calls} calls");
    assert_eq!(server.logins(), 1);
}

/// One report on a connection that stays open; its answer is read and thrown away.
fn report(stream: &mut UnixStream, generation: u64) {
    let body = format!("{{\"generation\":{generation}}}");
    let head = "POST /v1/sessions/crm/rejected HTTP/1.1\r\nhost: x\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece).unwrap();
        assert!(
            read > 0,
            "the daemon closed after {}",
            String::from_utf8_lossy(&answer)
        );
        answer.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.to_ascii_lowercase();
        let length = length
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap();
        if body.len() >= length.parse().unwrap() {
            return;
        }
    }
}

#[test]
fn a_thousand_readers_of_one_user_are_served_at_once_whatever_the_shell_lets_a_program_open() {
    let (server, lab, token) = with_descriptors("1024:");
    let mut crowd: Vec<_> = (0..1000)
        .map(|_| UnixStream::connect(lab.socket()).unwrap())
        .collect();
    for stream in &mut crowd {
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
            .write_all(
                b"GET /v1/sessions/crm/token HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\n\r\n",
            )
            .unwrap();
    }
    for (reader, stream) in crowd.iter_mut().enumerate() {
        let mut answer = vec![];
        while !answer.ends_with(token.as_bytes()) {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).unwrap();
            assert!(
                count > 0,
                "reader {reader} got {}",
                String::from_utf8_lossy(&answer)
            );
            answer.extend(&bytes[..count]);
        }
    }
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_user_who_hoards_connections_shuts_out_none_of_his_own_readers() {
    let (server, lab, token) = with_descriptors("200:200");
    let hoard: Vec<_> = (0..120)
        .filter_map(|_| UnixStream::connect(lab.socket()).ok())
        .collect();
    assert_eq!(hoard.len(), 120);
    sleep(Duration::from_millis(500));
    for _ in 0..10 {
        assert_eq!(
            lab.succeeds(&["token", "crm", "--wait", "0s"]).trim(),
            token
        );
    }
    assert!(open_descriptors(lab.pid()) < 100);
    assert_eq!(server.logins(), 1);
}

#[test]
fn with_few_descriptors_that_is_said_and_who_comes_right_after_a_hoard_is_served() {
    let (server, lab, token) = with_descriptors("32:32");
    assert!(lab.said().contains("few_descriptors"), "{}", lab.said());
    for _ in 0..5 {
        let hoard: Vec<_> = (0..60)
            .filter_map(|_| UnixStream::connect(lab.socket()).ok())
            .collect();
        assert_eq!(hoard.len(), 60);
        drop(hoard);
        assert_eq!(lab.get("/v1/health?session=crm").unwrap().status, 200);
    }
    within(SOON, "a file", || {
        (lab.token("crm").as_ref() == Some(&token)).then_some(())
    });
    assert_eq!(server.logins(), 1);
}

#[test]
fn callers_who_only_connect_leave_no_descriptor_and_little_memory_behind() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.log_level = "info";
    lab.configure(&[lab.by_key("crm")]);
    lab.start();
    let token = lab.await_token("crm");
    let (descriptors, memory) = (open_descriptors(lab.pid()), resident_kibibytes(lab.pid()));
    for _ in 0..20 {
        let crowd: Vec<_> = (0..500)
            .filter_map(|_| UnixStream::connect(lab.socket()).ok())
            .collect();
        assert!(crowd.len() > 400);
    }
    assert_eq!(lab.token("crm"), Some(token));
    within(SOON, "descriptors given back", || {
        (open_descriptors(lab.pid()) <= descriptors + 4).then_some(())
    });
    let grown = resident_kibibytes(lab.pid()).saturating_sub(memory);
    assert!(grown < 32 * 1024, "{grown} KiB more");
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_config_that_strangers_can_write_is_refused_since_it_has_programs_run() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    lab.configure(&[lab.by_key("crm")]);
    let fragments = lab.path("conf.d");
    fs::create_dir(&fragments).unwrap();
    let fragment = fragments.join("more.toml");
    fs::write(&fragment, "").unwrap();
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    let refused = |because: &str| {
        let checked = lab.run(&["check", "--config", lab.config().to_str().unwrap()]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(
            checked.status.code(),
            Some(if because.is_empty() { 0 } else { 78 }),
            "{because}: {said}"
        );
        assert!(said.contains(because), "{because}: {said}");
    };
    mode(&fragment, 0o644);
    mode(&fragments, 0o755);
    refused("");
    mode(&lab.config(), 0o666);
    refused("can be changed by every user (mode 0666)");
    mode(&lab.config(), 0o664);
    refused("");
    mode(&fragment, 0o646);
    refused("can be changed by every user");
    mode(&fragment, 0o644);
    mode(&fragments, 0o777);
    refused("lies in a directory in which every user can write");
    mode(&fragments, 0o755);
    if can_as_root("give files away") {
        chown(&fragment, Some(STRANGER), None).unwrap();
        refused("belongs to the user 54321");
        chown(&fragment, Some(0), None).unwrap();
        chown(&fragments, Some(STRANGER), None).unwrap();
        refused("lies in a directory of another user");
        // Unless the daemon is that user, as the state that it left tells root.
        fs::create_dir(lab.path("state")).unwrap();
        mode(&lab.path("state"), 0o700);
        chown(lab.path("state"), Some(STRANGER), None).unwrap();
        refused("");
    }
    assert!(server.calls().is_empty());
}

#[test]
fn a_pipe_among_the_providers_or_certificates_is_refused_and_not_waited_for() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    let pipe = |path: &str| {
        let path = lab.path(path);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
    };
    fs::create_dir(lab.path("providers")).unwrap();
    pipe("providers/acme.toml");
    pipe("ca.pem");
    let ca_file = format!("ca_file = {}", lab.quoted("ca.pem"));
    for session in [
        lab.by_key("crm").provider("acme"),
        lab.by_key("crm").table("http", &ca_file),
    ] {
        lab.configure(&[session]);
        let checked = lab.run(&["check", "--config", lab.config().to_str().unwrap()]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.code(), Some(78), "{said}");
        assert!(said.contains("is not a regular file"), "{said}");
    }
    assert!(server.calls().is_empty());
}

/// None where this is not root: the process is closed to its own user.
fn open_descriptors(pid: u32) -> usize {
    if !is_root() {
        return 0;
    }
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

fn resident_kibibytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A server that reads a request's head and then does what it likes; it ends with the test's process.
struct Rogue {
    port: u16,
    calls: Arc<AtomicU64>,
}

impl Rogue {
    fn start(how: Misbehaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let calls = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&calls);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || {
                    let _ = stream.set_write_timeout(Some(Duration::from_secs(2)));
                    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
                    // The whole request, or an early close would be a reset.
                    while stream.read(&mut [0; 8192]).is_ok_and(|read| read > 0) {}
                    how(&mut stream);
                });
            }
        });
        Self { port, calls }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

/// A daemon that may have so many descriptors, as `prlimit` takes them; its server and its token.
fn with_descriptors(limit: &str) -> (Arc<Salesforce>, Lab, String) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.log_level = "info";
    lab.configure(&[lab.by_key("crm")]);
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--nofile={limit}"));
    lab.start_through(limited);
    let token = lab.await_token("crm");
    (server, lab, token)
}
