//! A daemon in a directory of its own: configured, started, watched, killed; and searched for secrets when it is over.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::assertion::{AUDIENCE, private_key_pem};
use super::leaks::{self, Forms};
use super::namespaces::then_running;
use super::salesforce::Salesforce;
use super::unix::{self, Answer};
use super::{SOON, poll, within};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_keepfresh");

/// Long enough for a time-out on a busy machine, short enough for windows of some seconds.
const REQUEST_TIMEOUT: &str = "1s";

/// One `[sessions.NAME]` to be written.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    name: String,
    provider: String,
    url: String,
    idle_timeout: Option<String>,
    keys: Vec<String>,
    login: String,
    tables: Vec<String>,
}

impl Session {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A further line of `[sessions.NAME]`.
    pub(crate) fn key(mut self, line: &str) -> Self {
        self.keys.push(line.into());
        self
    }

    /// At another server than the lab's; "" leaves it to the issuer.
    pub(crate) fn url(mut self, url: &str) -> Self {
        self.url = url.into();
        self
    }

    /// Sets a text in its login.
    pub(crate) fn login_key(self, key: &str, value: &str) -> Self {
        self.without_login_key(key)
            .login_line(&format!("{key} = \"{value}\""))
    }

    /// A further line of its login.
    pub(crate) fn login_line(mut self, line: &str) -> Self {
        self.login = format!("{}\n{line}\n", self.login);
        self
    }

    pub(crate) fn without_login_key(mut self, key: &str) -> Self {
        let prefix = format!("{key} =");
        let kept: Vec<&str> = self
            .login
            .lines()
            .filter(|line| !line.starts_with(&prefix))
            .collect();
        self.login = kept.join("\n");
        self
    }

    /// Of another kind; its window is what its profile says.
    pub(crate) fn provider(mut self, provider: &str) -> Self {
        self.provider = provider.into();
        self.idle_timeout = None;
        self
    }

    pub(crate) fn idle_timeout(mut self, value: &str) -> Self {
        self.idle_timeout = Some(value.into());
        self
    }

    /// A table of its own, `keepalive` say, or `[publish]` in brackets for one of an array.
    pub(crate) fn table(mut self, table: &str, body: &str) -> Self {
        let header = match table.strip_prefix('[') {
            Some(array) => format!("[[sessions.{}.{array}]", self.name),
            None => format!("[sessions.{}.{table}]", self.name),
        };
        self.tables.push(format!("{header}\n{body}\n"));
        self
    }

    /// With the secret of another file.
    pub(crate) fn with_secret(mut self, name: &str, other: &str) -> Self {
        self.login = self
            .login
            .replace(&format!("/{name}\""), &format!("/{other}\""));
        self
    }

    pub(crate) fn publish(self, body: &str) -> Self {
        self.table("[publish]", body)
    }

    fn toml(&self) -> String {
        let Self {
            name,
            provider,
            url,
            idle_timeout,
            keys,
            login,
            tables,
        } = self;
        let window = idle_timeout
            .as_ref()
            .map(|value| format!("idle_timeout = \"{value}\"\n"))
            .unwrap_or_default();
        let url = if url.is_empty() {
            String::new()
        } else {
            format!("url = \"{url}\"\n")
        };
        let (keys, tables) = (keys.join("\n"), tables.join("\n"));
        format!(
            "[sessions.{name}]\nprovider = \"{provider}\"\n{url}{window}{keys}\n\
             [sessions.{name}.login]\n{login}\n{tables}\n"
        )
    }
}

/// A daemon's process, and the threads that take down what it says.
pub(crate) struct Running {
    child: Child,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    /// How it ended by itself, with all that it said taken down; none, and killed, when it did not in time.
    pub(crate) fn ended(mut self, limit: Duration) -> Option<ExitStatus> {
        let status = poll(limit, || self.child.try_wait().unwrap());
        self.kill();
        status
    }

    fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

/// A directory with a config, and the daemon that runs by it.
pub(crate) struct Lab {
    dir: TempDir,
    running: Option<Running>,
    /// All that any daemon or command of this directory has said, tokens asked for excepted.
    said: Arc<Mutex<String>>,
    /// Answers of the socket that need hold no token, and arguments of processes.
    seen: Mutex<BTreeSet<String>>,
    needles: Box<dyn Fn() -> Vec<String>>,
    url: String,
    /// What the daemon says: all, so that secrets have every chance to slip out.
    pub(crate) log_level: &'static str,
    pub(crate) request_timeout: &'static str,
    /// `daemon.log`.
    pub(crate) log_target: &'static str,
}

impl Lab {
    /// A directory for sessions at `server`, whose secrets lie in files beside the config.
    pub(crate) fn new(server: &Arc<Salesforce>) -> Self {
        let asked = Arc::clone(server);
        let lab = Self::bare(&server.url(), move || asked.needles());
        lab.secret("client-secret", &server.client_secret());
        lab.secret("password", &server.password());
        lab.secret("security-token", &server.security_token());
        lab.secret("key.pem", &private_key_pem());
        lab
    }

    /// A directory for sessions at `url`; `needles` says what must never be seen in the output.
    pub(crate) fn bare(url: &str, needles: impl Fn() -> Vec<String> + 'static) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("keepfresh-")
            .tempdir()
            .unwrap();
        // Other users must reach the socket and the published files below it.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            dir,
            running: None,
            said: Arc::default(),
            seen: Mutex::default(),
            needles: Box::new(needles),
            url: url.to_owned(),
            log_level: "trace",
            request_timeout: REQUEST_TIMEOUT,
            log_target: "text",
        }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// A path in here as a TOML string.
    pub(crate) fn quoted(&self, below: &str) -> String {
        format!("\"{}\"", self.path(below).display())
    }

    /// A secret of [`Lab::secret`], as the config names it.
    pub(crate) fn source(&self, name: &str) -> String {
        format!("{{ file = {} }}", self.quoted(name))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("run/keepfresh.sock")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("config.toml")
    }

    // Configuring.

    /// Writes a secret's file; only its owner may read it.
    pub(crate) fn secret(&self, name: &str, value: &str) {
        let path = self.path(name);
        let _ = fs::remove_file(&path);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .unwrap();
        std::io::Write::write_all(&mut file, value.as_bytes()).unwrap();
    }

    /// A session by client credentials; its client is its name.
    pub(crate) fn by_client(&self, name: &str) -> Session {
        let secret = self.source("client-secret");
        self.session(
            name,
            &format!(
                "grant = \"client_credentials\"\nclient_id = \"{name}\"\nclient_secret = {secret}\n"
            ),
        )
    }

    /// A session by JWT bearer; its client is its name, and so is its user.
    pub(crate) fn by_key(&self, name: &str) -> Session {
        let key = self.source("key.pem");
        self.session(
            name,
            &format!(
                "grant = \"jwt_bearer\"\nclient_id = \"{name}\"\nusername = \"{name}@acme.example\"\naudience = \"{AUDIENCE}\"\n\
                 private_key = {key}\n"
            ),
        )
    }

    /// A session by user name and password; the user is `user`.
    pub(crate) fn by_password(&self, name: &str, user: &str) -> Session {
        let secret = self.source("client-secret");
        let (password, token) = (self.source("password"), self.source("security-token"));
        self.session(
            name,
            &format!(
                "grant = \"password\"\nclient_id = \"{name}\"\nclient_secret = {secret}\n\
                 username = \"{user}\"\npassword = {password}\nsecurity_token = {token}\n"
            ),
        )
    }

    /// A session by a refresh token that a person obtained.
    pub(crate) fn by_refresh_token(&self, name: &str, refresh_token: &str) -> Session {
        self.secret("refresh-token", refresh_token);
        let (secret, token) = (self.source("client-secret"), self.source("refresh-token"));
        self.session(
            name,
            &format!(
                "grant = \"refresh_token\"\nclient_id = \"{name}\"\nclient_secret = {secret}\n\
                 refresh_token = {token}\n"
            ),
        )
    }

    pub(crate) fn session(&self, name: &str, login: &str) -> Session {
        Session {
            name: name.into(),
            provider: "salesforce".into(),
            url: self.url.clone(),
            idle_timeout: Some("2h".into()),
            keys: Vec::new(),
            login: login.into(),
            tables: Vec::new(),
        }
    }

    pub(crate) fn configure(&self, sessions: &[Session]) {
        self.configure_text(&sessions.iter().map(Session::toml).collect::<String>());
    }

    /// Everything but the directories, as it is.
    pub(crate) fn configure_text(&self, text: &str) {
        let (run, state) = (self.quoted("run"), self.quoted("state"));
        let daemon = format!(
            "[daemon]\nruntime_dir = {run}\nstate_dir = {state}\nlog = \"{}\"\n",
            self.log_target
        );
        let http = format!(
            "[http]\nconnect_timeout = \"1s\"\nrequest_timeout = \"{}\"\n",
            self.request_timeout
        );
        self.write_config(&format!("{daemon}{http}{text}"));
    }

    /// Adds `[metrics]` to the config.
    pub(crate) fn listen_for_scrapers(&self, listen: &str) {
        let config = fs::read_to_string(self.config()).unwrap();
        self.write_config(&format!("{config}\n[metrics]\nlisten = \"{listen}\"\n"));
    }

    pub(crate) fn write_config(&self, text: &str) {
        let fresh = self.path("config.toml.new");
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&fresh)
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .unwrap();
        fs::rename(fresh, self.config()).unwrap();
    }

    // Running.

    pub(crate) fn start(&mut self) {
        assert!(self.running.is_none(), "the daemon already runs");
        self.running = Some(self.spawn());
    }

    /// Starts a daemon that `stop`, `kill` and `Drop` do not know of.
    pub(crate) fn spawn(&self) -> Running {
        let mut command = self.daemon();
        command.stderr(Stdio::piped());
        self.spawn_by(command)
    }

    /// Starts the daemon by a command that was made of [`Lab::daemon`] and says where standard error goes.
    pub(crate) fn start_by(&mut self, command: Command) {
        assert!(self.running.is_none(), "the daemon already runs");
        self.running = Some(self.spawn_by(command));
    }

    /// The same, with something for standard input.
    pub(crate) fn start_with_stdin(&mut self, mut command: Command, stdin: Stdio) {
        assert!(self.running.is_none(), "the daemon already runs");
        command.stdin(stdin);
        self.running = Some(self.spawn_as_it_is(command));
    }

    fn spawn_by(&self, mut command: Command) -> Running {
        command.stdin(Stdio::null());
        self.spawn_as_it_is(command)
    }

    fn spawn_as_it_is(&self, mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut readers = vec![self.listen(child.stdout.take().unwrap())];
        readers.extend(child.stderr.take().map(|stderr| self.listen(stderr)));
        Running { child, readers }
    }

    /// The command that runs the daemon.
    pub(crate) fn daemon(&self) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(["run", "--config"])
            .arg(self.config())
            .env("KEEPFRESH_LOG", self.log_level);
        command
            .env("RUST_BACKTRACE", "0")
            .env_remove("NOTIFY_SOCKET")
            .env_remove("JOURNAL_STREAM");
        command
    }

    /// Starts the daemon under strace, which lets system calls fail, dawdle or kill it: `fsync:signal=KILL:when=3`, say.
    pub(crate) fn start_tampered(&mut self, injections: &[String]) {
        let mut command = Command::new("strace");
        // With -D the daemon is our child, and the tracer goes when it does.
        command.args(["-D", "-f", "-qqq", "--seccomp-bpf", "-o", "/dev/null"]);
        let calls: Vec<&str> = injections
            .iter()
            .filter_map(|it| it.split(':').next())
            .collect();
        command.arg("-e").arg(format!("trace={}", calls.join(",")));
        for injection in injections {
            command.arg("-e").arg(format!("inject={injection}"));
        }
        self.start_through(command);
    }

    /// Starts the daemon by a command that runs the command after its own arguments.
    pub(crate) fn start_through(&mut self, command: Command) {
        let mut command = then_running(command, &self.daemon());
        command.stderr(Stdio::piped());
        self.start_by(command);
    }

    /// How the daemon ended by itself, in time; none when it still runs.
    pub(crate) fn has_ended(&mut self, limit: Duration) -> bool {
        let ended = poll(limit, || (!self.runs()).then_some(())).is_some();
        if ended {
            self.kill();
        }
        ended
    }

    fn listen(&self, mut pipe: impl std::io::Read + Send + 'static) -> JoinHandle<()> {
        let said = Arc::clone(&self.said);
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                said.lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.as_ref().expect("the daemon runs").child.id()
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.running
            .as_mut()
            .is_some_and(|running| running.child.try_wait().unwrap().is_none())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid().cast_signed()).unwrap(), signal).unwrap();
    }

    /// `kill -9`, and the end of it.
    pub(crate) fn kill(&mut self) {
        self.running.take().expect("the daemon runs").kill();
    }

    /// SIGTERM; how it ended, within bounds.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Waits for the daemon to end by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.running
            .take()
            .expect("the daemon runs")
            .ended(SOON)
            .expect("the daemon ends")
    }

    /// SIGHUP.
    pub(crate) fn reload(&self) {
        self.signal(Signal::HUP);
    }

    // Watching.

    /// The token that the default file of a session holds now.
    pub(crate) fn token(&self, session: &str) -> Option<String> {
        fs::read_to_string(self.path(&format!("run/tokens/{session}"))).ok()
    }

    #[track_caller]
    pub(crate) fn await_token(&self, session: &str) -> String {
        within(SOON, &format!("a token of {session}"), || {
            self.token(session)
        })
    }

    #[track_caller]
    pub(crate) fn await_another_token(&self, session: &str, than: &str) -> String {
        within(SOON, &format!("another token of {session}"), || {
            self.token(session).filter(|token| token != than)
        })
    }

    #[track_caller]
    pub(crate) fn await_no_token(&self, session: &str) {
        within(
            SOON,
            &format!("the token of {session} to be withdrawn"),
            || self.token(session).is_none().then_some(()),
        );
    }

    #[track_caller]
    pub(crate) fn await_state(&self, session: &str, state: &str) -> Value {
        within(SOON, &format!("{session} to be {state}"), || {
            self.get(&format!("/v1/sessions/{session}"))
                .filter(|answer| answer.status == 200)
                .map(|answer| answer.json())
                .filter(|status| status["state"] == state)
        })
    }

    pub(crate) fn get(&self, path: &str) -> Option<Answer> {
        let answer = unix::request(&self.socket(), "GET", path, "application/json", "");
        self.see(path, answer.as_ref());
        answer
    }

    /// Keeps what anybody could see, for the search at the end.
    fn see(&self, path: &str, answer: Option<&Answer>) {
        let mut seen = self.seen.lock().unwrap();
        if let Some(answer) =
            answer.filter(|_| !path.contains("/token") && !path.contains("/rejected"))
        {
            seen.insert(format!("{path}: {:?} {}", answer.headers, answer.body));
        }
        if let Some(running) = &self.running {
            seen.extend(leaks::arguments(running.child.id()));
        }
    }

    /// Asks a daemon that still runs for all that it shows of its sessions.
    fn look_once_more(&self) {
        for path in ["/v1/sessions", "/v1/health", "/metrics"] {
            let asked =
                format!("GET {path} HTTP/1.1\r\nhost: keepfresh\r\nconnection: close\r\n\r\n");
            self.see(
                path,
                unix::hasty_exchange(&self.socket(), asked.as_bytes()).as_ref(),
            );
        }
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        let answer = unix::request(&self.socket(), "POST", path, "application/json", body);
        self.see(path, answer.as_ref());
        answer.unwrap_or_else(|| panic!("POST {path}: no answer"))
    }

    #[track_caller]
    pub(crate) fn status(&self, session: &str) -> Value {
        let answer = self
            .get(&format!("/v1/sessions/{session}"))
            .expect("the socket answers");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    // Commands.

    /// `keepfresh ARGS`, as a job beside this daemon would run it.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(args)
            .env("KEEPFRESH_SOCKET", self.socket())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        // An ordinary user has one after a login only.
        command.env("XDG_RUNTIME_DIR", self.path(""));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.heard(args, self.command(args))
    }

    /// The same, as the user `nobody`.
    pub(crate) fn run_as_nobody(&self, args: &[&str]) -> Output {
        let mut command = self.command(args);
        command.uid(65534).gid(65534).current_dir("/");
        self.heard(args, command)
    }

    fn heard(&self, args: &[&str], mut command: Command) -> Output {
        let output = command.output().unwrap();
        let mut said = self.said.lock().unwrap();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        let asks_for_token =
            args.contains(&"token") || args.contains(&"--print") || args.contains(&"exec");
        if !asks_for_token {
            said.push_str(&String::from_utf8_lossy(&output.stdout));
        }
        output
    }

    #[track_caller]
    pub(crate) fn code(&self, args: &[&str]) -> i32 {
        let output = self.run(args);
        output
            .status
            .code()
            .unwrap_or_else(|| panic!("{args:?} was killed: {output:?}"))
    }

    /// `keepfresh ARGS` must succeed.
    #[track_caller]
    pub(crate) fn succeeds(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    // Afterwards.

    /// All that was said so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// The longest that a call of the daemon took, by its own account.
    pub(crate) fn slowest_answer(&self) -> Duration {
        let said = self.said();
        let took = said
            .lines()
            .filter_map(|line| line.split("took_ms=").nth(1)?.trim().parse().ok());
        Duration::from_millis(took.max().unwrap_or(0))
    }

    /// Something that the daemon said elsewhere.
    pub(crate) fn also_said(&self, text: &str) {
        self.said.lock().unwrap().push_str(text);
    }

    /// The end of it, for a failing test's message.
    pub(crate) fn tail(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    fn hush(&mut self) {
        if self.running.is_some() {
            self.look_once_more();
            self.kill();
        }
    }

    /// Where secrets were found that should not be there.
    fn leaks(&self) -> Vec<String> {
        let forms = Forms::of(&(self.needles)());
        let said = forms
            .shown(&self.said())
            .into_iter()
            .map(|line| format!("said: {line}"));
        let seen = self.seen.lock().unwrap();
        let seen = seen
            .iter()
            .flat_map(|text| forms.shown(text))
            .map(|line| format!("seen: {line}"));
        let mut leaks: Vec<String> = said.chain(seen).collect();
        for file in readable_by_all(self.dir.path()) {
            if forms.are_in(&fs::read(&file).unwrap_or_default()) {
                leaks.push(format!("readable by all: {}", file.display()));
            }
        }
        if fs::read_to_string(self.config()).is_ok_and(|config| config.contains("\nstate_key =")) {
            let open = leaks::files(&self.path("state"))
                .into_iter()
                .filter(|(_, content)| forms.are_in(content));
            leaks.extend(open.map(|(path, _)| format!("not sealed: {}", path.display())));
        }
        leaks
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.hush();
        if std::thread::panicking() {
            eprintln!("the daemon's last words:\n{}", self.tail());
            return;
        }
        let leaks = self.leaks();
        assert!(
            leaks.is_empty(),
            "secrets were shown:\n{}",
            leaks.join("\n")
        );
        assert!(
            !self.said().contains("panicked at"),
            "something panicked:\n{}",
            self.tail()
        );
    }
}

/// Files below `dir` that every user of the machine could read.
fn readable_by_all(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Ok(metadata) = entry.path().symlink_metadata() else {
            continue;
        };
        if metadata.is_dir() && metadata.mode() & 0o001 != 0 {
            found.extend(readable_by_all(&entry.path()));
        } else if metadata.is_file() && metadata.mode() & 0o004 != 0 {
            found.push(entry.path());
        }
    }
    found
}
