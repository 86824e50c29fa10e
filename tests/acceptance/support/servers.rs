//! Session servers that others wrote, each a process of its own on loopback that ends with its test.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::poll;
use super::recorder::{Passed, Recorder, await_listener, free_port};
use super::wire::exchange;
use super::{SOON, random_hex};

/// The user `nobody`: some servers refuse to run as root.
const NOBODY: &str = "65534";

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

/// qBittorrent's Web UI: a cookie, an idle timeout that any request restarts.
pub(crate) struct Qbittorrent {
    child: Child,
    _dir: TempDir,
    pub(crate) password: &'static str,
    /// Where the daemon is sent.
    pub(crate) front: Recorder,
    /// Where the test itself asks, so that only the daemon's calls are counted in front.
    aside: Recorder,
}

impl Qbittorrent {
    /// Starts one whose sessions idle out after so many seconds.
    pub(crate) fn start(idle_seconds: u32) -> Self {
        let dir = directory();
        let address = free_port();
        let settings = dir.path().join("qBittorrent/config");
        fs::create_dir_all(&settings).unwrap();
        fs::write(settings.join("qBittorrent.conf"), qbittorrent_settings(address, idle_seconds)).unwrap();
        let child = dying_with_us("qbittorrent-nox", false)
            .arg(format!("--profile={}", dir.path().display()))
            .env("HOME", dir.path())
            .spawn()
            .expect("qbittorrent-nox is installed: `make test` sees to it");
        await_listener(address);
        // What the package sets when nothing else is set.
        Self {
            child,
            _dir: dir,
            password: "adminadmin",
            front: Recorder::before(address),
            aside: Recorder::before(address),
        }
    }

    pub(crate) fn logins(&self) -> usize {
        self.front.count(|passed| passed.request.path.ends_with("/auth/login"))
    }

    /// A session of somebody else.
    pub(crate) fn log_in(&self) -> String {
        let form = format!("username=admin&password={}", self.password);
        let (_, head) = self.call("POST", "auth/login", FORM, &form);
        let cookie = head.split("SID=").nth(1).and_then(|rest| rest.split(';').next());
        cookie.unwrap_or_else(|| panic!("no cookie in {head}")).to_owned()
    }

    /// Whether the server would serve the bearer of this token; asking extends the session.
    pub(crate) fn serves(&self, token: &str) -> bool {
        self.call("GET", "app/version", &format!("cookie: SID={token}\r\n"), "").0 == 200
    }

    /// Ends the session, as another bearer of the token could.
    pub(crate) fn end(&self, token: &str) {
        assert_eq!(self.call("POST", "auth/logout", &format!("{FORM}cookie: SID={token}\r\n"), "").0, 200);
    }

    fn call(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let url = format!("{}/api/v2/{path}", self.aside.url());
        let (status, head, _) = exchange(method, &url, headers, body).unwrap();
        (status, head)
    }
}

impl Drop for Qbittorrent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// No peers, no ports but the one on loopback.
fn qbittorrent_settings(address: SocketAddr, idle_seconds: u32) -> String {
    format!(
        "[LegalNotice]\nAccepted=true\n\
         [BitTorrent]\nSession\\Interface=lo\nSession\\InterfaceName=lo\nSession\\InterfaceAddress=127.0.0.1\n\
         Session\\Port=0\nSession\\DHTEnabled=false\nSession\\LSDEnabled=false\nSession\\PeXEnabled=false\n\
         [Network]\nPortForwardingEnabled=false\n\
         [Preferences]\nWebUI\\Address=127.0.0.1\nWebUI\\Port={}\nWebUI\\SessionTimeout={idle_seconds}\n\
         WebUI\\UseUPnP=false\n",
        address.port()
    )
}

/// Zabbix's API: JSON-RPC, errors under status 200, an idle timeout that any request restarts.
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
        assert!(Path::new(&packages).exists(), "{packages} is missing: `make test` sees to it");
        let dir = directory();
        let database = start_database(&dir);
        let here = dir.path().display().to_string();
        let filled =
            Command::new("sh").arg(format!("{files}/fill.sh")).arg(&here).arg(idle_seconds.to_string()).status();
        assert!(filled.unwrap().success(), "the database was not filled");
        let address = free_port();
        let frontend = dying_with_us("php", false)
            .args(["-d", &format!("auto_prepend_file={files}/prepend.php"), "-S", &address.to_string()])
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
        self.call("user.login", &user, None)["result"].as_str().unwrap().to_owned()
    }

    /// Whether the server would serve the bearer of this token; asking extends the session.
    pub(crate) fn serves(&self, token: &str) -> bool {
        let limit = serde_json::json!({ "output": ["userid"], "limit": 1 });
        self.call("user.get", &limit, Some(token))["result"].is_array()
    }

    /// Ends the session, as another bearer of the token could.
    pub(crate) fn end(&self, token: &str) {
        assert_eq!(self.call("user.logout", &serde_json::json!([]), Some(token))["result"], true);
    }

    fn call(&self, method: &str, params: &Value, token: Option<&str>) -> Value {
        let mut body = serde_json::json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 1 });
        if let Some(token) = token {
            body["auth"] = token.into();
        }
        let url = format!("{}/api_jsonrpc.php", self.aside.url());
        let (_, _, answer) = exchange("POST", &url, "content-type: application/json\r\n", &body.to_string()).unwrap();
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

/// `OpenBao`, of the same API as Vault: tokens that a renewal prolongs, up to an end.
pub(crate) struct OpenBao {
    child: Child,
    _dir: TempDir,
    root: String,
    pub(crate) password: String,
    pub(crate) front: Recorder,
    aside: Recorder,
}

impl OpenBao {
    /// Starts one whose tokens live for so many seconds, renewed for so many in all; the user is `job`.
    pub(crate) fn start(seconds: u32, in_all: u32) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openbao/.venv/bin/bao");
        assert!(Path::new(program).exists(), "{program} is missing: `make test` sees to it");
        let dir = directory();
        let address = free_port();
        let root = random_hex(16);
        let child = dying_with_us(program, false)
            .args(["server", "-dev", "-dev-no-store-token", "-dev-root-token-id", &root])
            .arg(format!("-dev-listen-address={address}"))
            .env("HOME", dir.path())
            .spawn()
            .unwrap();
        await_listener(address);
        let (front, aside) = (Recorder::before(address), Recorder::before(address));
        let server = Self { child, _dir: dir, root, password: random_hex(12), front, aside };
        poll(SOON, || (server.call("GET", "sys/health", &server.root, "").0 == 200).then_some(())).expect("it is up");
        assert_eq!(server.call("POST", "sys/auth/userpass", &server.root, r#"{"type":"userpass"}"#).0, 204);
        let user =
            format!(r#"{{"password":"{}","token_ttl":"{seconds}s","token_max_ttl":"{in_all}s"}}"#, server.password);
        assert_eq!(server.call("POST", "auth/userpass/users/job", &server.root, &user).0, 204);
        server
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.front.count(|passed| passed.request.path == format!("/v1/{path}"))
    }

    pub(crate) fn logins(&self) -> usize {
        self.count("auth/userpass/login/job")
    }

    /// Whether the server would serve the bearer of this token; asking extends nothing.
    pub(crate) fn serves(&self, token: &str) -> bool {
        self.call("GET", "auth/token/lookup-self", token, "").0 == 200
    }

    /// Ends the token, as an admin could.
    pub(crate) fn revoke(&self, token: &str) {
        let body = format!(r#"{{"token":"{token}"}}"#);
        assert_eq!(self.call("POST", "auth/token/revoke", &self.root, &body).0, 204);
    }

    fn call(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
        let url = format!("{}/v1/{path}", self.aside.url());
        let (status, _, body) = exchange(method, &url, &format!("x-vault-token: {token}\r\n"), body).unwrap();
        (status, body)
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
        .args(["--no-sync", "-A", "trust", "-U", "zabbix", "-E", "UTF8", "--locale=C", "-D", &data])
        .status();
    assert!(made.expect("postgresql is installed: `make test` sees to it").success(), "no database was made");
    let child = dying_with_us(&format!("{programs}/postgres"), true)
        .args(["-D", &data, "-k", &dir.path().display().to_string()])
        .args(["-c", "listen_addresses=", "-c", "fsync=off"])
        .spawn()
        .unwrap();
    poll(SOON, || dir.path().join(".s.PGSQL.5432").exists().then_some(())).expect("the database listens");
    child
}

/// Debian keeps them out of the path, below the newest version's number.
fn database_programs() -> String {
    let mut versions: Vec<_> =
        fs::read_dir("/usr/lib/postgresql").unwrap().flatten().map(|it| it.path().display().to_string()).collect();
    versions.sort();
    format!("{}/bin", versions.pop().expect("postgresql is installed: `make test` sees to it"))
}

/// A process that does not outlive the test's thread, however that ends; `humbly`: not as root.
fn dying_with_us(program: &str, humbly: bool) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if humbly && rustix::process::geteuid().is_root() {
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
    }
    command.arg(program);
    command
}

/// A directory that the user `nobody` may write.
fn directory() -> TempDir {
    let dir = tempfile::Builder::new().prefix("keepfresh-server-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    dir
}
