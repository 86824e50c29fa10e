//! Stops in the midst of a call: what would cost a session is waited for, whoever hurries.

use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, RefreshTokens, Settings};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::{SOON, poll, unix, within};

#[test]
fn a_stop_lets_a_renewal_finish_and_stores_its_answer() {
    stops_over_a_renewal(|_| ());
}

#[test]
fn a_second_signal_to_stop_cuts_no_renewal_off_that_would_spend_its_refresh_token() {
    stops_over_a_renewal(|lab| {
        for signal in [Signal::TERM, Signal::TERM, Signal::INT] {
            lab.signal(signal);
            sleep(Duration::from_millis(50));
        }
    });
}

#[test]
fn a_second_signal_to_stop_waits_for_no_login_that_hangs() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    server.once(Endpoint::Token, Instead::Hang);
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    within(SOON, "the login to arrive", || {
        (server.logins() == 1).then_some(())
    });
    lab.signal(Signal::TERM);
    assert!(
        !lab.has_ended(Duration::from_millis(300)),
        "one signal waits for a login"
    );
    lab.signal(Signal::TERM);
    assert!(lab.has_ended(SOON));
    assert_eq!(server.calls().len(), 1);
}

#[test]
fn no_signal_but_those_that_stop_it_ends_the_daemon_undrained() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let token = lab.await_token("crm");
    // All whose default ends the process, by their numbers on most architectures: from SIGUSR1 to SIGPWR, and the real-time ones.
    let stray = [10, 12, 13, 14, 16]
        .into_iter()
        .chain(24..=30)
        .chain(34..=64);
    for number in stray {
        let sent = Command::new("kill")
            .args([format!("-{number}"), lab.pid().to_string()])
            .status()
            .unwrap();
        assert!(sent.success(), "{number}");
        assert!(lab.runs(), "ended by the signal {number}");
    }
    sleep(Duration::from_millis(200));
    assert_eq!(lab.get("/v1/health").unwrap().status, 200, "{}", lab.said());
    assert_eq!(lab.token("crm"), Some(token));
    assert!(lab.stop().success());
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_run_in_the_foreground_ends_with_its_terminal_and_reloads_while_that_is_there() {
    // What runs the tests may have been started by `nohup` itself.
    let heeded = &["env", "--default-signal=HUP"][..];
    for (through, ends) in [(heeded, true), (&["nohup"], false)] {
        let server = Arc::new(Salesforce::start(Settings::default()));
        let lab = Lab::new(&server);
        lab.configure(&[lab.by_client("crm")]);
        let (master, mut daemon) = in_a_terminal(&lab, through);
        let token = lab.await_token("crm");
        let pid = Pid::from_child(&daemon);
        kill_process(pid, Signal::HUP).unwrap();
        sleep(Duration::from_millis(500));
        assert!(
            daemon.try_wait().unwrap().is_none(),
            "{through:?}: a reload"
        );
        drop(master);
        // An end comes as soon as the disk lets it; that none comes is believed after a while.
        let limit = if ends { SOON } else { Duration::from_secs(4) };
        let ended = poll(limit, || daemon.try_wait().unwrap());
        assert_eq!(ended.is_some(), ends, "{through:?}");
        if !ends {
            assert_eq!(lab.get("/v1/health").unwrap().status, 200);
            kill_process(pid, Signal::TERM).unwrap();
        }
        let status = within(SOON, "the end", || daemon.try_wait().unwrap());
        assert!(status.success(), "{through:?}: drained, {status:?}");
        assert_eq!(lab.token("crm"), Some(token), "the session lives on");
        assert_eq!(server.logins(), 1);
    }
}

/// Runs the daemon as a shell does: in a session whose terminal is gone with what is given back.
fn in_a_terminal(lab: &Lab, through: &[&str]) -> (OwnedFd, Child) {
    // A child of another test that held it on would keep the terminal there.
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let line = rustix::fs::open(
        ptsname(&master, Vec::new()).unwrap(),
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let line = line.unwrap();
    let end = || Stdio::from(line.try_clone().unwrap());
    let daemon = lab.daemon();
    let mut command = Command::new("setsid");
    command
        .arg("--ctty")
        .args(through)
        .arg(daemon.get_program())
        .args(daemon.get_args());
    command
        // Where nohup leaves what the daemon says.
        .current_dir(lab.path(""))
        .env("KEEPFRESH_LOG", "info")
        .env_remove("NOTIFY_SOCKET");
    let child = command
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .unwrap();
    (master, child)
}

fn stops_over_a_renewal(before: impl Fn(&Lab)) {
    let settings = Settings {
        refresh_tokens: RefreshTokens::Rotated,
        ..Settings::default()
    };
    let server = Arc::new(Salesforce::start(settings));
    let mut lab = Lab::new(&server);
    let approved = server.approve("crm");
    lab.configure(&[lab.by_refresh_token("crm", &approved)]);
    lab.start();
    let first = lab.await_token("crm");
    server.once(Endpoint::Token, Instead::Late(Duration::from_millis(500)));
    let socket = lab.socket();
    let order = std::thread::spawn(move || {
        unix::request(
            &socket,
            "POST",
            "/v1/sessions/crm/renew?wait=5s",
            "application/json",
            "",
        )
    });
    within(SOON, "the renewal to arrive", || {
        (server.refreshes() == 2).then_some(())
    });
    before(&lab);
    assert!(lab.stop().success());
    let _ = order.join();
    lab.start();
    lab.await_state("crm", "alive");
    let second = lab.await_another_token("crm", &first);
    assert_eq!(server.issued().last(), Some(&second));
    assert_eq!((server.refreshes(), server.reuse_detected()), (2, 0));
}
