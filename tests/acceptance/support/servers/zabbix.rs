//! Zabbix's API: JSON-RPC, errors under status 200, an idle timeout that any request restarts.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};

use serde_json::Value;
use tempfile::TempDir;

use super::super::recorder::{Passed, Recorder, await_listener, free_port};
use super::super::wire::exchange;
use super::super::{SOON, poll};
use super::{directory, dying_with_us};

pub(crate) struct Zabbix {
    database: Child,
    frontend: Child,
    _dir: TempDir,
    pub(crate) password: &'static str,
    /// Where the daemon is sent.
    pub(crate) front: Recorder,
    /// Where the test itself asks, so that only the daemon's calls are counted in front.
    aside: Recorder,
}

impl Zabbix {
    /// Starts one, with a database of its own, that logs its user out after so many idle seconds.
    pub(crate) fn start(idle_seconds: u32) -> Self {
        let files = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zabbix");
        let packages = format!("{files}/packages");
        assert!(
            Path::new(&packages).exists(),
            "{packages} is missing: `make test` sees to it"
        );
        let dir = directory();
        let database = start_database(&dir);
        let here = dir.path().display().to_string();
        let filled = Command::new("sh")
            .arg(format!("{files}/fill.sh"))
            .arg(&here)
            .arg(idle_seconds.to_string())
            .status();
        assert!(filled.unwrap().success(), "the database was not filled");
        let address = free_port();
        let frontend = dying_with_us("php", false)
            .args([
                "-d",
                &format!("auto_prepend_file={files}/prepend.php"),
                "-S",
                &address.to_string(),
            ])
            .args(["-t", &format!("{packages}/usr/share/zabbix")])
            .env("ZABBIX_CONFIG", format!("{files}/zabbix.conf.php"))
            .env("ZABBIX_DATABASE", &here)
            .spawn()
            .expect("php is installed: `make test` sees to it");
        await_listener(address);
        // What a new Zabbix comes with.
        Self {
            database,
            frontend,
            _dir: dir,
            password: "zabbix",
            front: Recorder::before(address),
            aside: Recorder::before(address),
        }
    }

    pub(crate) fn logins(&self) -> usize {
        self.front.count(|passed| method(passed) == "user.login")
    }

    /// A session of somebody else.
    pub(crate) fn log_in(&self) -> String {
        let user = serde_json::json!({ "username": "Admin", "password": self.password });
        self.call("user.login", &user, None)["result"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Whether the server would serve the bearer of this token; asking extends the session.
    pub(crate) fn serves(&self, token: &str) -> bool {
        let limit = serde_json::json!({ "output": ["userid"], "limit": 1 });
        self.call("user.get", &limit, Some(token))["result"].is_array()
    }

    /// Ends the session, as another bearer of the token could.
    pub(crate) fn end(&self, token: &str) {
        assert_eq!(
            self.call("user.logout", &serde_json::json!([]), Some(token))["result"],
            true
        );
    }

    fn call(&self, method: &str, params: &Value, token: Option<&str>) -> Value {
        let mut body =
            serde_json::json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 1 });
        if let Some(token) = token {
            body["auth"] = token.into();
        }
        let url = format!("{}/api_jsonrpc.php", self.aside.url());
        let (_, _, answer) = exchange(
            "POST",
            &url,
            "content-type: application/json\r\n",
            &body.to_string(),
        )
        .unwrap();
        serde_json::from_str(&answer).unwrap()
    }
}

impl Drop for Zabbix {
    fn drop(&mut self) {
        let _ = self.frontend.kill();
        let _ = self.frontend.wait();
        // At once, but taking its shared memory with it.
        let pid = rustix::process::Pid::from_raw(self.database.id().cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        let _ = self.database.wait();
    }
}

/// The JSON-RPC method that was called.
pub(crate) fn method(passed: &Passed) -> String {
    let body: Value = serde_json::from_slice(&passed.request.body).unwrap_or_default();
    body["method"].as_str().unwrap_or_default().to_owned()
}

/// A database in `dir` that listens on a socket there.
fn start_database(dir: &TempDir) -> Child {
    let programs = database_programs();
    let data = dir.path().join("data").display().to_string();
    let made = dying_with_us(&format!("{programs}/initdb"), true)
        .args([
            "--no-sync",
            "-A",
            "trust",
            "-U",
            "zabbix",
            "-E",
            "UTF8",
            "--locale=C",
            "-D",
            &data,
        ])
        .status();
    assert!(
        made.expect("postgresql is installed: `make test` sees to it")
            .success(),
        "no database was made"
    );
    let child = dying_with_us(&format!("{programs}/postgres"), true)
        .args(["-D", &data, "-k", &dir.path().display().to_string()])
        .args(["-c", "listen_addresses=", "-c", "fsync=off"])
        .spawn()
        .unwrap();
    poll(SOON, || {
        dir.path().join(".s.PGSQL.5432").exists().then_some(())
    })
    .expect("the database listens");
    child
}

/// Debian keeps them out of the path, below the newest version's number.
fn database_programs() -> String {
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .unwrap()
        .flatten()
        .map(|it| it.path().display().to_string())
        .collect();
    versions.sort();
    format!(
        "{}/bin",
        versions
            .pop()
            .expect("postgresql is installed: `make test` sees to it")
    )
}
