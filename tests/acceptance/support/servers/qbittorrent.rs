//! qBittorrent's Web UI: a cookie, an idle timeout that any request restarts.

use std::fs;
use std::net::SocketAddr;
use std::process::Child;

use tempfile::TempDir;

use super::super::recorder::{Recorder, await_listener, free_port};
use super::super::wire::exchange;
use super::{FORM, directory, dying_with_us};

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
        fs::write(
            settings.join("qBittorrent.conf"),
            qbittorrent_settings(address, idle_seconds),
        )
        .unwrap();
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
        self.front
            .count(|passed| passed.request.path.ends_with("/auth/login"))
    }

    /// A session of somebody else.
    pub(crate) fn log_in(&self) -> String {
        let form = format!("username=admin&password={}", self.password);
        let (_, head) = self.call("POST", "auth/login", FORM, &form);
        let cookie = head
            .split("SID=")
            .nth(1)
            .and_then(|rest| rest.split(';').next());
        cookie
            .unwrap_or_else(|| panic!("no cookie in {head}"))
            .to_owned()
    }

    /// Whether the server would serve the bearer of this token; asking extends the session.
    pub(crate) fn serves(&self, token: &str) -> bool {
        self.call(
            "GET",
            "app/version",
            &format!("cookie: SID={token}\r\n"),
            "",
        )
        .0 == 200
    }

    /// Ends the session, as another bearer of the token could.
    pub(crate) fn end(&self, token: &str) {
        assert_eq!(
            self.call(
                "POST",
                "auth/logout",
                &format!("{FORM}cookie: SID={token}\r\n"),
                ""
            )
            .0,
            200
        );
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
