//! `MediaWiki`: a login of two steps, a session that calls extend in the second half of its time only, errors under status 200.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use tempfile::TempDir;

use super::super::recorder::free_port;
use super::super::wire::exchange;
use super::super::{SOON, random_hex, within};
use super::{FORM, Served, directory, dying_with_us, installed};

/// Sessions live in the database and idle out; nothing else needs a cache but the texts, for which Debian has a directory of root's.
const SETTINGS: &str = "\
$wgSessionCacheType = CACHE_DB;
$wgMainCacheType = CACHE_NONE;
$wgJobRunRate = 0;
";

pub(crate) struct MediaWiki {
    pub(crate) served: Served,
    _dir: TempDir,
    pub(crate) password: String,
}

impl MediaWiki {
    /// Starts one, with a database of its own, whose sessions idle out after so many seconds; the user is `Job`.
    pub(crate) fn start(idle_seconds: u32) -> Self {
        let program = installed("mediawiki/packages/usr/share/mediawiki");
        let (dir, address, password) = (directory(), free_port(), random_hex(12));
        let made = Command::new("php")
            .arg(format!("{program}/maintenance/install.php"))
            .args(["--dbtype", "sqlite", "--dbname", "wiki", "--dbpath"])
            .arg(dir.path())
            .arg("--confpath")
            .arg(dir.path())
            .args([
                "--server",
                &format!("http://{address}"),
                "--scriptpath",
                "",
                "--pass",
                &password,
                "Wiki",
                "Job",
            ])
            .output()
            .expect("php is installed: `make test` sees to it");
        assert!(made.status.success(), "{made:?}");
        let settings = dir.path().join("LocalSettings.php");
        let mut file = fs::OpenOptions::new().append(true).open(&settings).unwrap();
        writeln!(
            file,
            "{SETTINGS}$wgObjectCacheSessionExpiry = {idle_seconds};"
        )
        .unwrap();
        writeln!(file, "$wgCacheDirectory = '{}';", dir.path().display()).unwrap();
        let mut command = dying_with_us("php", false);
        command
            .args(["-S", &address.to_string(), "-t", &program])
            .env("MW_CONFIG_FILE", settings);
        let server = Self {
            served: Served::start(address, command),
            _dir: dir,
            password,
        };
        server.warm_up();
        server
    }

    pub(crate) fn start_again(&mut self) {
        self.served.start_again();
        self.warm_up();
    }

    /// What it reads for its first answers takes it longer than sessions live here.
    fn warm_up(&self) {
        let form = "action=login&format=json&lgname=Nobody&lgpassword=nothing&lgtoken=none";
        within(SOON, "an answer", || {
            exchange(
                "POST",
                &format!("{}/api.php", self.served.aside.url()),
                FORM,
                form,
            )
        });
        self.served.call(
            "GET",
            "/api.php?action=query&meta=userinfo%7Ctokens&assert=user&format=json",
            "",
            "",
        );
    }

    /// Calls that sent a password.
    pub(crate) fn logins(&self) -> usize {
        self.served
            .front
            .count(|passed| String::from_utf8_lossy(&passed.request.body).contains("action=login"))
    }

    pub(crate) fn pings(&self) -> usize {
        self.served
            .front
            .count(|passed| passed.request.path.contains("assert=user"))
    }

    /// Whether it would serve the bearer of this session; asking may extend it.
    pub(crate) fn serves(&self, session: &str) -> bool {
        let query = "/api.php?action=query&meta=userinfo&assert=user&format=json";
        self.served
            .call("GET", query, &cookies(session), "")
            .2
            .contains("\"name\":\"Job\"")
    }

    /// Ends the session, as another bearer of it could.
    pub(crate) fn end(&self, session: &str) {
        let query = "/api.php?action=query&meta=tokens&format=json";
        let (_, _, answer) = self.served.call("GET", query, &cookies(session), "");
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let token = answer["query"]["tokens"]["csrftoken"].as_str().unwrap();
        let form: String = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("action", "logout"), ("format", "json"), ("token", token)])
            .finish();
        let (_, _, answer) = self.served.call(
            "POST",
            "/api.php",
            &format!("{FORM}{}", cookies(session)),
            &form,
        );
        assert_eq!(answer, "{}");
    }
}

/// Of the first user that there is.
fn cookies(session: &str) -> String {
    format!("cookie: wiki_session={session}; wikiUserID=1\r\n")
}
