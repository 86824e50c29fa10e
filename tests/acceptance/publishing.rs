//! Every format of a published file, read by the programs that it is made for.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use crate::support::daemon::Lab;
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;
use crate::support::untried::can_as_root;
use crate::support::wire::read_request;
use crate::support::{SOON, within};

/// A kind of server whose requests carry the token in a cookie.
const COOKIE_PROFILE: &str = r#"
name = "jar"
title = "Cookie server"
documentation = "https://jar.example"
protocol = "oauth2"
[endpoints]
token = "/services/oauth2/token"
[window]
model = "sliding"
idle_timeout = "2h"
[use]
headers = { Cookie = "sid={token}; theme=dark" }
[[example]]
to = "login"
grant = "client_credentials"
status = 401
body = '''{"error":"invalid_client"}'''
verdict = "refused"
"#;

#[test]
fn whoever_waited_or_ordered_a_token_finds_it_in_the_files_at_once() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab
        .by_client("crm")
        .publish("file = \"a\"")
        .publish("file = \"b\"")]);
    let told = |lab: &Lab| {
        let token = lab.succeeds(&["token", "crm"]).trim_end().to_owned();
        ["a", "b"].map(|file| {
            fs::read_to_string(lab.path("run/tokens").join(file)).ok() == Some(token.clone())
        })
    };
    // Each write takes a while, as on a disk that has much to do.
    lab.start_tampered(&["fsync:delay_exit=30000".to_owned()]);
    within(SOON, "ready", || {
        lab.run(&["health", "--ready"])
            .status
            .success()
            .then_some(())
    });
    assert_eq!(told(&lab), [true, true], "health");
    server.revoke_sessions();
    lab.succeeds(&["login", "crm"]);
    assert_eq!(told(&lab), [true, true], "login");
    server.revoke_sessions();
    lab.succeeds(&["rejected", "crm"]);
    assert_eq!(told(&lab), [true, true], "rejected");
    lab.succeeds(&["logout", "crm"]);
    assert!(
        !lab.path("run/tokens/a").exists() && !lab.path("run/tokens/b").exists(),
        "logout"
    );
    lab.post("/v1/sessions/crm/login", "");
    lab.succeeds(&["wait", "crm"]);
    assert_eq!(told(&lab), [true, true], "wait");
    assert!(server.logins() <= 4, "{}", server.logins());
}

#[test]
fn a_token_that_a_command_prints_is_in_the_files_already() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab
        .by_client("crm")
        .publish("file = \"a\"")
        .publish("file = \"b\"")]);
    lab.start_tampered(&["fsync:delay_exit=30000".to_owned()]);
    lab.succeeds(&["wait", "crm"]);
    let in_files = |printed: &str| {
        let files =
            ["a", "b"].map(|file| fs::read_to_string(lab.path("run/tokens").join(file)).unwrap());
        // A newer one may have come since.
        let age = |token: &str| server.issued().iter().position(|issued| issued == token);
        assert!(
            files.iter().all(|held| age(held) >= age(printed.trim())),
            "printed {printed}, in files {files:?}"
        );
    };
    for _ in 0..3 {
        server.revoke_sessions();
        in_files(&lab.succeeds(&["rejected", "crm", "--print"]));
        lab.post("/v1/sessions/crm/login?wait=0s", "");
        for _ in 0..5 {
            in_files(&lab.succeeds(&["token", "crm"]));
        }
    }
    assert!(server.logins() <= 7, "{} logins", server.logins());
}

#[test]
fn a_reload_is_over_when_the_files_are_where_it_wants_them() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[
        lab.by_client("crm").publish("file = \"a\""),
        lab.by_client("gone"),
    ]);
    lab.start_tampered(&["fsync:delay_exit=30000".to_owned()]);
    lab.succeeds(&["wait", "crm", "gone"]);
    for (file, before) in [("b", "a"), ("c", "b")] {
        lab.configure(&[lab.by_client("crm").publish(&format!("file = \"{file}\""))]);
        lab.succeeds(&["reload"]);
        let there = |name: &str| lab.path("run/tokens").join(name).exists();
        assert_eq!(
            (there(file), there(before), there("gone")),
            (true, false, false),
            "{file}"
        );
    }
    assert_eq!(server.logins(), 2);
}

#[test]
fn files_that_cannot_be_written_keep_nobody_waiting() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm").publish("file = \"a\"")]);
    fs::create_dir_all(lab.path("run/tokens/a/b")).unwrap();
    lab.start();
    assert_eq!(
        lab.run(&["wait", "crm", "--wait", "5s"]).status.code(),
        Some(79)
    );
    lab.succeeds(&["login", "crm", "--wait", "5s"]);
    lab.succeeds(&["token", "crm", "--wait", "5s"]);
    assert!(lab.status("crm")["files"][0]["error"].is_string());
    assert!(server.logins() <= 2, "{}", server.logins());
}

#[test]
fn curl_python_and_whoever_reads_lines_find_the_token_where_they_look() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    let crm = lab
        .by_client("crm")
        .publish("file = \"crm\"")
        .publish("file = \"crm.netrc\"\nformat = \"netrc\"\nlogin = \"oauth2\"")
        .publish("file = \"crm.ini\"\ntemplate = \"\"\"\n[{session}]\nurl = {instance_url}\nkey = {{{token}}}\n\"\"\"");
    lab.configure(&[crm]);
    lab.start();
    let token = lab.await_token("crm");
    let file = |name: &str| lab.path(&format!("run/tokens/{name}"));
    within(SOON, "every file", || {
        (file("crm.netrc").exists() && file("crm.ini").exists()).then_some(())
    });

    let ini = fs::read_to_string(file("crm.ini")).unwrap();
    assert_eq!(
        ini,
        format!("[crm]\nurl = {}\nkey = {{{token}}}\n", server.url())
    );
    assert_eq!(
        shown_to_server(
            &["--netrc-file", &shown(&file("crm.netrc"))],
            "authorization"
        ),
        format!("Basic {}", base64(&format!("oauth2:{token}")))
    );
    let script = "import netrc,sys; print(netrc.netrc(sys.argv[1]).authenticators('127.0.0.1'))";
    assert_eq!(
        python(script, &file("crm.netrc")),
        format!("('oauth2', '', '{token}')")
    );
    assert_eq!(server.logins(), 1);
}

#[test]
fn curl_and_python_send_a_published_cookie() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    fs::create_dir(lab.path("providers")).unwrap();
    fs::File::create(lab.path("providers/jar.toml"))
        .unwrap()
        .write_all(COOKIE_PROFILE.as_bytes())
        .unwrap();
    let jar = lab
        .by_client("jar")
        .provider("jar")
        .publish("file = \"jar\"\nformat = \"cookies\"");
    lab.configure(&[jar]);
    lab.start();
    lab.await_token("jar");
    let (token, file) = (server.issued()[0].clone(), lab.path("run/tokens/jar"));
    let sent = shown_to_server(&["-b", &shown(&file)], "cookie");
    let sent: BTreeSet<&str> = sent.split("; ").collect();
    assert_eq!(
        sent,
        BTreeSet::from([format!("sid={token}").as_str(), "theme=dark"])
    );
    let script = "import http.cookiejar,sys; jar = http.cookiejar.MozillaCookieJar(sys.argv[1]); \
                  jar.load(ignore_discard=True, ignore_expires=True); print([(c.domain, c.name, c.value) for c in jar])";
    assert_eq!(
        python(script, &file),
        format!("[('127.0.0.1', 'sid', '{token}'), ('127.0.0.1', 'theme', 'dark')]")
    );
    assert_eq!(
        lab.run(&["token", "jar", "--format", "cookies"]).stdout,
        fs::read(&file).unwrap()
    );
    assert_eq!(server.logins(), 1);
}

#[test]
fn each_file_has_its_own_owner_group_and_mode() {
    if !can_as_root("give files away") {
        return;
    }
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    let crm = lab
        .by_client("crm")
        .publish("file = \"crm\"")
        .publish("file = \"etl\"\nowner = 1234\ngroup = 1235\nmode = \"0440\"")
        .publish("file = \"web\"\nformat = \"json\"\ngroup = \"nogroup\"\nmode = \"0640\"");
    lab.configure(&[crm]);
    lab.start();
    lab.await_token("crm");
    let attributes = |name: &str| {
        let file = lab.path(&format!("run/tokens/{name}"));
        let found = within(SOON, name, || fs::metadata(&file).ok());
        (found.uid(), found.gid(), found.mode() & 0o7777)
    };
    assert_eq!(attributes("etl"), (1234, 1235, 0o440));
    assert_eq!(attributes("web"), (0, 65534, 0o640));
    assert_eq!(server.logins(), 1);
}

/// What curl, called with `options`, sends in this header to a server on loopback.
fn shown_to_server(options: &[&str], header: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_request(&mut BufReader::new(stream.try_clone().unwrap())).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
        request
    });
    let output = Command::new("curl")
        .args(["-sS", "--noproxy", "*", "-m", "10"])
        .args(options)
        .arg(&url)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    serving.join().unwrap().header(header).to_owned()
}

fn python(script: &str, file: &Path) -> String {
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}
