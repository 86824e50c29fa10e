//! A login in a browser: on this machine it comes back by itself, from another its last address is pasted.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use url::{Host, Url};

use super::Login;
use super::desk::{Arrival, Browser, Desk};
use super::page::{self, Page};
use super::person::Person;
use crate::api::LoginDone;
use crate::api::client::ClientError;
use crate::api::problem::Kind;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::clock;

/// The daemon is asked so often whether the login is still its latest.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What the exchange of the code may take.
const EXCHANGE: Duration = Duration::from_mins(1);
/// Beyond the login's own time the daemon is waited for so long.
const GRACE: Duration = Duration::from_secs(10);
/// Where the browser that is opened here begins: the address itself would appear in the list of processes.
const OPENING: &str = "/open";

/// Leads through the login until the daemon has the token.
pub(super) fn lead(
    login: &Login<'_>,
    url: &str,
    redirect_uri: &str,
    ear: Option<TcpListener>,
    open: bool,
) -> Result<LoginDone, Failure> {
    let session = &login.begun.session;
    let opening = ear.as_ref().and_then(|ear| ear.local_addr().ok());
    let (ears, heard_here) = ears(redirect_uri, ear);
    let opened =
        open && opening.is_some_and(|at| open_browser(&format!("http://{at}{OPENING}")).is_some());
    output::complain(&instructions(
        session,
        url,
        redirect_uri,
        heard_here,
        opened,
    ));
    let opening = opening.filter(|_| opened).map(|at| Opening {
        host: at.to_string(),
        url,
    });
    let mut lead = Lead {
        login,
        redirect_uri,
        opening,
        desk: Desk::new(ears).map_err(Failure::Listen)?,
        person: Person::here(),
        warned: false,
    };
    Ok(lead.wait()?)
}

struct Lead<'a> {
    login: &'a Login<'a>,
    redirect_uri: &'a str,
    /// For the browser that was opened here.
    opening: Option<Opening<'a>>,
    desk: Desk,
    person: Person,
    /// Said that somebody else's browser came.
    warned: bool,
}

/// What the browser that is opened here asks for, and where it is sent.
struct Opening<'a> {
    /// As it is in the address that is opened: a page that has another name point here is known by that.
    host: String,
    url: &'a str,
}

impl Lead<'_> {
    fn wait(&mut self) -> Result<LoginDone, ClientError> {
        let ends = clock::boottime().after(self.login.lifetime() + GRACE);
        loop {
            let outcome = match self.desk.next(LOOK_EVERY) {
                Some(Arrival::Line(line)) => self.pasted(&line)?,
                Some(Arrival::Request(browser)) => self.visited(browser)?,
                None => self.login.outcome(Duration::ZERO)?,
            };
            if let Some(status) = outcome {
                return Ok(status);
            }
            if clock::boottime() >= ends {
                return Err(ClientError::Silent("its socket".into()));
            }
        }
    }

    fn pasted(&self, line: &str) -> Result<Option<LoginDone>, ClientError> {
        match self.login.hand_in(line, EXCHANGE) {
            Ok(status) => Ok(Some(status)),
            Err(error) if lives_on(&error) => {
                output::complain(&format!("keepfresh: {error}; still waiting"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn visited(&mut self, browser: Browser) -> Result<Option<LoginDone>, ClientError> {
        let session = &self.login.begun.session;
        let host = browser.host.as_deref().unwrap_or_default();
        if let Some(opening) = self
            .opening
            .as_ref()
            .filter(|opening| browser.target == OPENING && host == opening.host)
        {
            let is_the_person = self.person.may_be_told(browser.peer());
            let answer = if is_the_person {
                page::redirect(opening.url)
            } else {
                Page::Stranger.answer()
            };
            self.desk.answer(browser, answer);
            return Ok(None);
        }
        let came_by_name = is_named(self.redirect_uri, host);
        let Some(address) = returned(self.redirect_uri, &browser.target).filter(|_| came_by_name)
        else {
            self.desk.answer(browser, Page::NotFound.answer());
            return Ok(None);
        };
        if !self.person.may_return(browser.peer()) {
            if !std::mem::replace(&mut self.warned, true) {
                output::complain(
                    "keepfresh: keepfresh turned away a browser of another user; if it is yours, paste its address here",
                );
            }
            self.desk.answer(browser, Page::Stranger.answer());
            return Ok(None);
        }
        match self.login.hand_in(&address, EXCHANGE) {
            Ok(done) => {
                let (who, url) = (done.logged_in_as.as_deref(), &*done.status.url);
                let page = Page::LoggedIn { session, who, url };
                self.desk.answer(browser, page.answer());
                Ok(Some(done))
            }
            Err(error) => {
                let page = Page::Failed {
                    session,
                    reason: &error.to_string(),
                };
                self.desk.answer(browser, page.answer());
                if lives_on(&error) {
                    Ok(None)
                } else {
                    Err(error)
                }
            }
        }
    }
}

/// Whether what was handed in was merely the wrong thing, and the login goes on.
fn lives_on(error: &ClientError) -> bool {
    matches!(error, ClientError::Problem(problem) if matches!(problem.kind, Kind::BadRequest | Kind::Conflict))
}

/// Whether a browser that was sent to `redirect_uri` says that it came to `host`.
fn is_named(redirect_uri: &str, host: &str) -> bool {
    let Ok(expected) = Url::parse(redirect_uri) else {
        return false;
    };
    let port = expected
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    expected
        .host_str()
        .is_some_and(|name| host.eq_ignore_ascii_case(&format!("{name}{port}")))
}

/// The whole address of a request to where the browser is expected; none for any other.
fn returned(redirect_uri: &str, target: &str) -> Option<String> {
    let expected = Url::parse(redirect_uri).ok()?;
    let (path, query) = target.split_once('?')?;
    (path == expected.path()).then(|| {
        let origin = expected.origin().ascii_serialization();
        format!("{origin}{path}?{query}")
    })
}

/// Listens where the browser will be sent, and says whether that is on this machine.
fn ears(redirect_uri: &str, ear: Option<TcpListener>) -> (Vec<TcpListener>, bool) {
    let own = ear
        .as_ref()
        .and_then(|ear| ear.local_addr().ok())
        .map(|address| address.port());
    let mut ears: Vec<TcpListener> = ear.into_iter().collect();
    let mut heard_here = false;
    for address in loopback_addresses(redirect_uri) {
        if own == Some(address.port()) && address.ip() == Ipv4Addr::LOCALHOST {
            heard_here = true;
            continue;
        }
        match TcpListener::bind(address) {
            Ok(ear) => {
                ears.push(ear);
                heard_here = true;
            }
            // Another who listens there would be sent what was meant for here; a machine without IPv6 has nobody there.
            Err(error) if address.is_ipv6() && error.kind() != ErrorKind::AddrInUse => {}
            Err(error) => {
                let said = format!(
                    "keepfresh: cannot listen at {address} for the browser's return: {error}"
                );
                output::complain(&said);
            }
        }
    }
    (ears, heard_here)
}

/// Where a browser on this machine would go; nowhere for another scheme, which must be pasted.
fn loopback_addresses(redirect_uri: &str) -> Vec<SocketAddr> {
    let Some(url) = Url::parse(redirect_uri)
        .ok()
        .filter(|url| url.scheme() == "http")
    else {
        return Vec::new();
    };
    let port = url.port_or_known_default().unwrap_or(80);
    let (v4, v6) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    match url.host() {
        Some(Host::Domain("localhost")) => vec![(v4, port).into(), (v6, port).into()],
        Some(Host::Ipv4(address)) if address.is_loopback() => vec![(address, port).into()],
        Some(Host::Ipv6(address)) if address.is_loopback() => vec![(address, port).into()],
        Some(Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_)) | None => Vec::new(),
    }
}

/// Where there is a display, and somebody before it: root's browser would be another's.
fn open_browser(url: &str) -> Option<Child> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let displays = is_set("DISPLAY") || is_set("WAYLAND_DISPLAY");
    if !displays || is_set("SSH_CONNECTION") || rustix::process::geteuid().is_root() {
        return None;
    }
    let mut command = Command::new("xdg-open");
    command
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

fn instructions(
    session: &str,
    url: &str,
    redirect_uri: &str,
    heard_here: bool,
    opened: bool,
) -> String {
    let begin = if opened {
        format!("A browser opens for the login to {session}. If none does, open this address:")
    } else {
        format!("To log in to {session}, open this address in a browser:")
    };
    let paste = format!(
        "the browser ends at an address that begins with {redirect_uri} and cannot be shown there: \
         copy it from the address bar, paste it here, and press Enter."
    );
    let end = if heard_here {
        format!("On this machine the rest happens by itself. On another one {paste}")
    } else {
        format!("In the end {paste}")
    };
    format!("{begin}\n\n    {url}\n\n{end}\n")
}

/// Whoever finds the ear of a login, for `crate::fuzz`: nothing is handed in but the address that is expected.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(said: &[u8]) {
    let line = String::from_utf8_lossy(said);
    let target = line.split_ascii_whitespace().nth(1).unwrap_or_default();
    if let Some(address) = returned("http://127.0.0.1:81/callback", target) {
        let read = Url::parse(&address).ok();
        let at = read
            .as_ref()
            .map(|url| (url.host_str(), url.port(), url.path()));
        assert_eq!(
            at,
            Some((Some("127.0.0.1"), Some(81), "/callback")),
            "{address:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_expected_path_with_a_query_is_the_browsers_return() {
        for (redirect_uri, target, expected) in [
            (
                "http://127.0.0.1:81/callback",
                "/callback?code=1&state=2",
                Some("http://127.0.0.1:81/callback?code=1&state=2"),
            ),
            (
                "http://localhost:1717/OauthRedirect",
                "/OauthRedirect?x",
                Some("http://localhost:1717/OauthRedirect?x"),
            ),
            (
                "http://127.0.0.1:81",
                "/?code=1",
                Some("http://127.0.0.1:81/?code=1"),
            ),
            ("http://127.0.0.1:81/callback", "/callback", None),
            ("http://127.0.0.1:81/callback", "/favicon.ico", None),
            ("http://127.0.0.1:81/callback", "/callback/x?code=1", None),
            (
                "http://127.0.0.1:81/callback",
                "http://evil/callback?code=1",
                None,
            ),
        ] {
            assert_eq!(
                returned(redirect_uri, target).as_deref(),
                expected,
                "{redirect_uri} {target}"
            );
        }
    }

    #[test]
    fn a_browser_that_came_by_another_name_was_led_here_by_a_page() {
        for (redirect_uri, host, expected) in [
            ("http://127.0.0.1:81/callback", "127.0.0.1:81", true),
            ("http://localhost:1717/x", "LOCALHOST:1717", true),
            ("http://127.0.0.1/callback", "127.0.0.1", true),
            ("http://[::1]:81/", "[::1]:81", true),
            ("http://127.0.0.1:81/callback", "evil.example:81", false),
            ("http://127.0.0.1:81/callback", "127.0.0.1", false),
            ("http://127.0.0.1:81/callback", "", false),
        ] {
            assert_eq!(
                is_named(redirect_uri, host),
                expected,
                "{redirect_uri} {host}"
            );
        }
    }

    #[test]
    fn only_a_loopback_address_is_listened_at() {
        for (redirect_uri, expected) in [
            ("http://127.0.0.1:81/callback", &["127.0.0.1:81"][..]),
            ("http://127.0.0.1/callback", &["127.0.0.1:80"]),
            ("http://localhost:1717/x", &["127.0.0.1:1717", "[::1]:1717"]),
            ("http://[::1]:81/", &["[::1]:81"]),
            ("https://localhost/", &[]),
            ("http://192.0.2.1:81/", &[]),
            ("com.example.app:/back", &[]),
        ] {
            let addresses = loopback_addresses(redirect_uri)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>();
            assert_eq!(addresses, expected, "{redirect_uri}");
        }
    }
}
