//! Side by side with `oidc-agent`, as Debian packages it: the same issuer, the same refresh token, in turns.
//!
//! It keeps no session alive and watches nothing: it hands out the access token that it has and refreshes it when its
//! announced end comes. That is the comparison.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fleet::{self, all_fresh, mib, name, proportional, renewable, resident, ticks};
use crate::issuer::Issuer;
use crate::latency::{pair, processes};
use crate::recovery::reporting;
use crate::socket::{CLOSED, asked, timed};
use crate::support::daemon::Lab;
use crate::support::{poll, unix};
use crate::table::{Row, Table, shown};

/// Accounts, as many as the daemon beside it has sessions.
const ACCOUNTS: usize = 51;
/// What the issuer says of the life of a token, where that is waited for.
const LIFE: u64 = 15;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const RUNS: usize = 300;
const ASKS: usize = 3000;
const IDLE: Duration = Duration::from_secs(30);

pub(crate) fn measure(table: &mut Table) {
    if !Command::new("oidc-agent")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        table.not_measured(
            "side by side with oidc-agent",
            "it is not installed (Debian: oidc-agent-cli)",
        );
        return;
    }
    let issuer = Issuer::start(1);
    issuer.life(3600);
    let agent = Agent::start(&issuer);
    let mut lab = fleet::lab(&issuer);
    memory(table, &issuer, &agent, &mut lab);
    idle(table, &agent, &lab);
    speed(table, &agent, &lab);
    stalled(table, &agent, &lab);
    hanging(table, &issuer, &agent, &lab);
    revoked(table);
}

/// The agent in a home of its own.
struct Agent {
    home: TempDir,
    socket: PathBuf,
    /// The one that listens and the one that knows.
    processes: Vec<u32>,
}

impl Agent {
    fn start(issuer: &Issuer) -> Self {
        let home = tempfile::Builder::new()
            .prefix("keepfresh-")
            .tempdir()
            .unwrap();
        std::fs::create_dir(home.path().join(".oidc-agent")).unwrap();
        let started = Command::new("oidc-agent")
            .arg("--json")
            .env("HOME", home.path())
            .output()
            .unwrap();
        let told: Value =
            serde_json::from_slice(&started.stdout).expect("oidc-agent tells its socket");
        let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let pid = number(&told["dpid"])
            .or_else(|| number(&told["pid"]))
            .expect("oidc-agent tells its pid");
        let pid = u32::try_from(pid).unwrap();
        let socket = PathBuf::from(
            told["socket"]
                .as_str()
                .expect("oidc-agent tells its socket"),
        );
        let mut processes = vec![pid];
        processes.extend(children(pid));
        let agent = Self {
            home,
            socket,
            processes,
        };
        agent.add(issuer, 0);
        agent
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("HOME", self.home.path())
            .env("OIDC_SOCK", &self.socket)
            .stdin(Stdio::null());
        command
    }

    /// Makes an account out of a refresh token, which needs no person.
    fn add(&self, issuer: &Issuer, number: usize) {
        let mut command = self.command("oidc-gen");
        command.arg(name(number)).args([
            "--manual",
            "--pw-env",
            "--prompt=none",
            "--confirm-default",
            "--rt=5Aep861-first",
        ]);
        command
            .arg(format!("--iss={}/", issuer.urls[0]))
            .arg(format!("--client-id={}", name(number)));
        command.args(["--client-secret=secret", "--scope=openid offline_access"]);
        command
            .args(["--redirect-uri=http://localhost:4242"])
            .env("OIDC_ENCRYPTION_PW", "password");
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "oidc-gen: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }

    fn token(&self, number: usize) -> Command {
        let mut command = self.command("oidc-token");
        command.arg(name(number));
        command
    }

    fn ask(&self, number: usize, patience: Duration) -> Option<String> {
        ask(&self.socket, number, patience)
    }

    fn sum(&self, figure: impl Fn(u32) -> f64) -> f64 {
        self.processes.iter().map(|pid| figure(*pid)).sum()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        for pid in self.processes.iter().rev() {
            let _ = Pid::from_raw(pid.cast_signed()).map(|pid| kill_process(pid, Signal::KILL));
        }
        let _ = self.socket.parent().map(std::fs::remove_dir_all);
    }
}

fn children(parent: u32) -> Vec<u32> {
    let listed = Command::new("ps")
        .args(["-o", "pid=", "--ppid", &parent.to_string()])
        .output()
        .unwrap();
    String::from_utf8_lossy(&listed.stdout)
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// The token over the agent's socket, by its own protocol; none when it does not come in time.
fn ask(socket: &Path, number: usize, patience: Duration) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    let hint = "bench";
    let ask = json!({"request": "access_token", "account": name(number), "min_valid_period": 0, "application_hint": hint});
    stream.write_all(ask.to_string().as_bytes()).ok()?;
    let mut buffer = [0; 8192];
    let length = stream.read(&mut buffer).ok()?;
    let answer: Value = serde_json::from_slice(&buffer[..length]).ok()?;
    answer["access_token"].as_str().map(ToOwned::to_owned)
}

fn memory(table: &mut Table, issuer: &Arc<Issuer>, agent: &Agent, lab: &mut Lab) {
    let one = [agent.sum(resident), agent.sum(proportional)];
    (1..ACCOUNTS).for_each(|number| agent.add(issuer, number));
    let each = (agent.sum(proportional) - one[1]) / (ACCOUNTS - 1) as f64;
    let mut ours = Vec::new();
    for count in [1, ACCOUNTS] {
        lab.configure(
            &(0..count)
                .map(|number| renewable(lab, number))
                .collect::<Vec<_>>(),
        );
        lab.start();
        all_fresh(lab, issuer, count, Duration::from_mins(1));
        issuer.settled();
        // Files are read and written by threads that end after ten idle seconds.
        thread::sleep(Duration::from_secs(12));
        ours.push([resident(lab.pid()), proportional(lab.pid())]);
        if count == 1 {
            assert!(lab.stop().success());
        }
    }
    let shown = |[resident, proportional]: [f64; 2]| {
        format!("{}, Pss {}", mib(resident), mib(proportional))
    };
    let row = Row::of("beside oidc-agent: memory, one session", shown(ours[0]));
    table.add(row.beside(format!("oidc-agent: {}, in two processes", shown(one))));
    let own = (ours[1][1] - ours[0][1]) / (ACCOUNTS - 1) as f64;
    let row = Row::of(
        "beside oidc-agent: each further of 51 (Pss)",
        format!("{own:.1} KiB"),
    );
    table.add(row.beside(format!("oidc-agent: {each:.1} KiB")));
}

fn speed(table: &mut Table, agent: &Agent, lab: &Lab) {
    let (mut ours, mut theirs) =
        processes(RUNS, || lab.command(&["token", "s0"]), || agent.token(0));
    let row = Row::of(
        "beside oidc-agent: a token by its command, p50 / p99 of 300",
        pair(&mut ours),
    );
    table.add(row.beside(format!("`oidc-token`: {}", pair(&mut theirs))));
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) = (0..ASKS)
        .map(|_| {
            let own = timed(|| {
                assert!(asked(
                    &mut UnixStream::connect(lab.socket()).unwrap(),
                    CLOSED
                ));
            });
            (own, timed(|| assert!(agent.ask(0, PATIENCE).is_some())))
        })
        .unzip();
    let row = Row::of(
        "beside oidc-agent: a token by a new connection, p50 / p99 of 3,000",
        pair(&mut ours),
    );
    table.add(row.beside(format!("oidc-agent: {}", pair(&mut theirs))));
}

fn idle(table: &mut Table, agent: &Agent, lab: &Lab) {
    let now = || {
        (
            ticks(lab.pid()),
            agent.processes.iter().map(|pid| ticks(*pid)).sum::<u64>(),
        )
    };
    let before = now();
    thread::sleep(IDLE);
    let after = now();
    let row = Row::of(
        "beside oidc-agent: idle for 30 s, 51 sessions",
        format!("{} ticks", after.0 - before.0),
    );
    table.add(
        row.beside(format!("oidc-agent: {} ticks", after.1 - before.1))
            .budget("0", after.0 == before.0),
    );
}

/// In words, whether and when a token came.
fn came(took: Option<Duration>) -> String {
    took.map_or_else(
        || format!("no token within {}", shown(PATIENCE)),
        |took| format!("a token after {}", shown(took)),
    )
}

fn ours(lab: &Lab, number: usize) -> Option<Duration> {
    let began = Instant::now();
    let mut stream = UnixStream::connect(lab.socket()).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let ask = CLOSED.replace("/s0/", &format!("/{}/", name(number)));
    asked(&mut stream, &ask).then(|| began.elapsed())
}

fn theirs(agent: &Agent, number: usize) -> Option<Duration> {
    let began = Instant::now();
    agent.ask(number, PATIENCE).map(|_| began.elapsed())
}

/// One client sends half a request and nothing more; another wants a token.
fn stalled(table: &mut Table, agent: &Agent, lab: &Lab) {
    let stall = |socket: &Path, half: &str| {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.write_all(half.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(100));
        stream
    };
    let held = (
        stall(&lab.socket(), "GET /v1/se"),
        stall(&agent.socket, "{\"request\":"),
    );
    let came_to = (ours(lab, 0), theirs(agent, 0));
    let row = Row::of(
        "beside oidc-agent: while a client stalls in its request",
        came(came_to.0),
    );
    table.add(
        row.beside(format!("oidc-agent: {}", came(came_to.1)))
            .budget("a token", came_to.0.is_some()),
    );
    drop(held);
    let silent = (
        UnixStream::connect(lab.socket()).unwrap(),
        UnixStream::connect(&agent.socket).unwrap(),
    );
    thread::sleep(Duration::from_millis(100));
    let came_to = (ours(lab, 0), theirs(agent, 0));
    let row = Row::of(
        "beside oidc-agent: while a client has connected and says nothing",
        came(came_to.0),
    );
    table.add(
        row.beside(format!("oidc-agent: {}", came(came_to.1)))
            .budget("a token", came_to.0.is_some()),
    );
    drop(silent);
    poll(PATIENCE, || theirs(agent, 0)).expect("oidc-agent goes on");
}

/// One session needs its server, which hangs; another has a living token.
fn hanging(table: &mut Table, issuer: &Issuer, agent: &Agent, lab: &Lab) {
    issuer.hang("s1");
    let socket = lab.socket();
    let waiting = thread::spawn(move || {
        let renew = "/v1/sessions/s1/renew?wait=3s";
        unix::request(&socket, "POST", renew, "application/json", "")
    });
    let mut forced = Forced::start(agent);
    thread::sleep(Duration::from_millis(300));
    let came_to = (ours(lab, 0), theirs(agent, 0));
    forced.end();
    let _ = waiting.join();
    let row = Row::of(
        "beside oidc-agent: while another session's server hangs",
        came(came_to.0),
    );
    table.add(
        row.beside(format!("oidc-agent: {}", came(came_to.1)))
            .budget("a token", came_to.0.is_some()),
    );
}

/// `oidc-token --force-new`, for as long as its server lets it wait.
struct Forced(Child);

impl Forced {
    fn start(agent: &Agent) -> Self {
        let mut command = agent.token(1);
        Self(
            command
                .arg("--force-new")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server ends a session whose token, by what was said, lives for some time yet.
fn revoked(table: &mut Table) {
    let issuer = Issuer::start(1);
    issuer.life(LIFE);
    let agent = Agent::start(&issuer);
    let mut lab = fleet::lab(&issuer);
    lab.configure(&[renewable(&lab, 0)]);
    lab.start();
    all_fresh(&lab, &issuer, 1, Duration::from_mins(1));
    assert!(
        agent
            .token(0)
            .arg("--force-new")
            .output()
            .unwrap()
            .status
            .success()
    );
    // A token that dies within its first second, unused, is replaced when that second is over.
    thread::sleep(Duration::from_secs(2));
    let token = lab.token(&name(0)).unwrap();
    issuer.take_seen();
    issuer.revoke_all();
    let began = Instant::now();
    let report = reporting(&token);
    let answer = lab.post("/v1/sessions/s0/rejected?wait=5s", &report);
    assert!(
        answer.json()["access_token"]
            .as_str()
            .is_some_and(|token| issuer.lives(token)),
        "{}",
        answer.status
    );
    let own = began.elapsed();
    let living = || agent.ask(0, PATIENCE).filter(|token| issuer.lives(token));
    let limit = Duration::from_secs(LIFE + 15);
    let theirs = poll(limit, living).map(|_| began.elapsed());
    let their = theirs.map_or_else(|| format!("none within {}", shown(limit)), shown);
    let row = Row::of(
        "beside oidc-agent: token revoked at the server, the job knows: until it has a living one",
        shown(own),
    );
    let beside = format!(
        "oidc-agent: {their}: it hands out the revoked one until its announced end, here {LIFE} s, often an hour; \
         a job that asks for a new one (`--force-new`) has it in a round trip"
    );
    table.add(row.beside(beside));
}
