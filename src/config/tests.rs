//! Configs in, errors or checked values out.

mod example;
mod mistakes;
mod places;
mod schema;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::publish::Format;
use crate::session::policy::{LoginBy, WindowModel};

/// The shortest config; `{}` in a case stands for what is added to it.
const SHORTEST: &str = r#"
[sessions.crm]
provider = "salesforce"
url = "https://acme.my.salesforce.com"
[sessions.crm.login]
grant = "jwt_bearer"
client_id = "id"
username = "me@acme.example"
private_key = { file = "/keys/crm.pem" }
"#;

#[test]
fn the_shortest_config_has_the_defaults_of_the_design() {
    let home = Home::of(SHORTEST);
    let config = home.load().unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.daemon.runtime_dir, PathBuf::from("/run/keepfresh"));
    assert_eq!(config.daemon.state_dir, PathBuf::from("/var/lib/keepfresh"));
    assert_eq!(config.daemon.providers_dir, home.path("providers"));
    assert_eq!(
        config.socket.path,
        PathBuf::from("/run/keepfresh/keepfresh.sock")
    );
    assert_eq!(config.socket.mode, 0o666);
    assert!((config.per_host_rate - 100.0).abs() < f64::EPSILON);
    let crm = &config.sessions["crm"];
    assert_eq!(crm.policy.model, WindowModel::HalfWindow);
    assert_eq!(crm.policy.idle_timeout, Some(Duration::from_hours(2)));
    assert!(crm.idle_timeout_assumed);
    assert_eq!(crm.policy.survive_outage, Duration::from_mins(12));
    assert_eq!(crm.policy.request_timeout, Duration::from_secs(20));
    assert_eq!(crm.policy.login, LoginBy::Daemon { confirm: true });
    assert_eq!(crm.publish.len(), 1);
    assert_eq!(
        crm.publish[0].path,
        PathBuf::from("/run/keepfresh/tokens/crm")
    );
    assert_eq!(
        (crm.publish[0].mode, &crm.publish[0].format),
        (0o640, &Format::Token)
    );
    assert_eq!(*crm.access, [Principal::User(0), Principal::Group(0)]);
    assert_eq!(&*crm.env_prefix, "CRM");
    assert!(crm.schedule.is_empty() && !crm.logout_on_removal && !crm.logout_on_stop);
}

#[test]
fn scrapers_are_served_where_the_config_says_and_nowhere_without() {
    let at = |listen: &str| {
        let home = Home::of(&format!("[metrics]\n{listen}\n{SHORTEST}"));
        home.load()
            .unwrap_or_else(|errors| panic!("{errors}"))
            .metrics
    };
    let address = |text: &str| {
        Some(MetricsListen::Address {
            address: text.parse().unwrap(),
            hosts: Vec::new(),
        })
    };
    assert_eq!(at("listen = \"127.0.0.1:9464\""), address("127.0.0.1:9464"));
    assert_eq!(at("listen = \"localhost:9464\""), address("127.0.0.1:9464"));
    assert_eq!(at("listen = \"[::1]:9464\""), address("[::1]:9464"));
    assert_eq!(
        at("allow_remote = true\nlisten = \"0.0.0.0:9464\""),
        address("0.0.0.0:9464")
    );
    assert_eq!(
        at("listen = \"unix:m.sock\""),
        Some(MetricsListen::Unix(PathBuf::from("/run/keepfresh/m.sock")))
    );
    let hosts = vec!["metrics.example".to_owned(), "keepfresh".to_owned()];
    let named = Some(MetricsListen::Address {
        address: "127.0.0.1:9464".parse().unwrap(),
        hosts,
    });
    assert_eq!(
        at("listen = \"127.0.0.1:9464\"\nhosts = [\"Metrics.Example.\", \"keepfresh\"]"),
        named
    );
    assert_eq!(Home::of(SHORTEST).load().unwrap().metrics, None);
}

#[test]
fn directories_come_from_systemd_then_the_user_then_xdg() {
    let home = Home::of(SHORTEST);
    let cases = [
        (
            [
                ("RUNTIME_DIRECTORY", "/run/kf:/run/other"),
                ("STATE_DIRECTORY", "/var/lib/kf"),
            ],
            7,
            "/run/kf",
            "/var/lib/kf",
        ),
        (
            [("HOME", "/root"), ("A", "")],
            0,
            "/run/keepfresh",
            "/var/lib/keepfresh",
        ),
        (
            [("XDG_RUNTIME_DIR", "/run/user/7"), ("XDG_STATE_HOME", "/s")],
            7,
            "/run/user/7/keepfresh",
            "/s/keepfresh",
        ),
        (
            [("XDG_RUNTIME_DIR", "/r"), ("HOME", "/home/a")],
            7,
            "/r/keepfresh",
            "/home/a/.local/state/keepfresh",
        ),
    ];
    for (variables, uid, runtime, state) in cases {
        let config = load_in(&home.main(), &Surroundings::made_up(&variables, uid, 7))
            .unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(config.daemon.runtime_dir, PathBuf::from(runtime));
        assert_eq!(config.daemon.state_dir, PathBuf::from(state));
    }
    let services_user = Surroundings::made_up(&[], 7, 7).of_the_machine();
    let daemon = load_in(&home.main(), &services_user).unwrap().daemon;
    assert_eq!(daemon.runtime_dir, PathBuf::from("/run/keepfresh"));
    assert_eq!(daemon.state_dir, PathBuf::from("/var/lib/keepfresh"));
    let errors = load_in(&home.main(), &Surroundings::made_up(&[], 7, 7))
        .err()
        .unwrap()
        .to_string();
    assert!(
        errors.contains("daemon.runtime_dir") && errors.contains("daemon.state_dir"),
        "{errors}"
    );
}

#[test]
fn where_no_directory_is_known_only_that_is_said() {
    let home = Home::of(SHORTEST);
    let told = |text: &str| {
        write(home.main(), text.as_bytes());
        let nowhere = Surroundings::made_up(&[], 1000, 1000);
        load_in(&home.main(), &nowhere).err().unwrap().to_string()
    };
    let missing = told("[daemon]\nlog = \"text\"\n");
    assert!(
        missing.contains("missing key `daemon.state_dir`"),
        "{missing}"
    );
    assert!(!missing.contains("runtime directory too"), "{missing}");
    let broken = told("[daemon\n");
    assert_eq!(broken.matches("error: ").count(), 1, "{broken}");
}

#[test]
fn files_that_cannot_be_read_as_text_are_errors() {
    let home = Home::of(SHORTEST);
    let told = |home: &Home| home.load().err().unwrap().to_string();
    write(home.main(), b"[daemon]\nlog = \"\xff\"\n");
    assert!(
        told(&home).contains("config.toml:2:") && told(&home).contains("UTF-8"),
        "{}",
        told(&home)
    );
    write(home.main(), vec![b'#'; 17 << 20]);
    assert!(told(&home).contains("larger than"), "{}", told(&home));
    fs::remove_file(home.main()).unwrap();
    assert!(
        told(&home).contains("config.toml:1:") && told(&home).contains("cannot be read"),
        "{}",
        told(&home)
    );
    assert!(!told(&home).contains("missing key"), "{}", told(&home));
    fs::create_dir(home.main()).unwrap();
    assert!(told(&home).contains("is a directory"), "{}", told(&home));
}

#[test]
fn fragments_add_sessions_and_nothing_else() {
    let home = Home::of(SHORTEST);
    home.fragment(
        "10-more.toml",
        &SHORTEST.replace("sessions.crm", "sessions.erp"),
    );
    home.fragment("notes.txt", "not a fragment");
    let config = home.load().unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(
        config
            .sessions
            .keys()
            .map(|name| &**name)
            .collect::<Vec<_>>(),
        ["crm", "erp"]
    );

    home.fragment("20-again.toml", SHORTEST);
    home.fragment("30-daemon.toml", "[daemon]\nlog = \"text\"\n");
    let errors = home.load().err().unwrap().to_string();
    assert!(
        errors.contains("20-again.toml:2:") && errors.contains("`sessions.crm` is defined twice"),
        "{errors}"
    );
    assert!(errors.contains("config.toml:2 already"), "{errors}");
    assert!(
        errors.contains("30-daemon.toml:1:") && errors.contains("does not belong in a fragment"),
        "{errors}"
    );
}

#[test]
fn sessions_may_not_share_files_or_prefixes() {
    let publish = |name: &str, file: &str| {
        let file = format!("[[sessions.{name}.publish]]\nfile = \"{file}\"\n");
        SHORTEST.replace("sessions.crm", &format!("sessions.{name}")) + &file
    };
    let cases = [
        (
            publish("a", "same") + &publish("b", "./same"),
            "is a file of the session `a` already",
        ),
        (
            publish("a", "/run/keepfresh/tokens/x") + &publish("b", "x"),
            "is a file of the session `a` already",
        ),
        (publish("a", "x/y") + &publish("b", "x"), "already"),
        (
            publish("a", "/run/keepfresh/keepfresh.sock"),
            "is the daemon's socket",
        ),
        (
            publish("a-b", "one") + &publish("a_b", "two"),
            "A_B is the prefix of the session `a-b` already",
        ),
    ];
    for (text, part) in cases {
        let errors = Home::of(&text)
            .load()
            .err()
            .unwrap_or_else(|| panic!("accepted:\n{text}"))
            .to_string();
        assert!(errors.contains(part), "no `{part}` in:\n{errors}");
    }
}

#[test]
fn a_session_without_files_and_one_that_never_idles_out_are_legal() {
    let text = SHORTEST.replace("url =", "publish = []\nidle_timeout = \"none\"\nurl =");
    let config = Home::of(&text)
        .load()
        .unwrap_or_else(|errors| panic!("{errors}"));
    let crm = &config.sessions["crm"];
    assert!(crm.publish.is_empty() && crm.access.is_empty());
    assert_eq!(
        (crm.policy.idle_timeout, crm.policy.survive_outage),
        (None, Duration::ZERO)
    );
}

#[test]
fn a_ping_period_is_a_margin_said_otherwise() {
    let with = |keepalive: &str| {
        let text = format!("{SHORTEST}[sessions.crm.keepalive]\n{keepalive}\n");
        Home::of(&text)
            .load()
            .unwrap_or_else(|errors| panic!("{errors}"))
            .sessions["crm"]
            .policy
            .survive_outage
    };
    assert_eq!(with("ping_every = \"48m\""), Duration::from_mins(12));
    assert_eq!(
        with("ping_every = \"90m\"\nshared = false"),
        Duration::from_mins(30)
    );
    assert_eq!(
        with("survive_outage = \"90m\"\nshared = false"),
        Duration::from_mins(90)
    );
}

#[test]
fn no_call_outlasts_half_of_a_short_window() {
    let text = SHORTEST.replace("url =", "idle_timeout = \"30s\"\nurl =");
    let config = Home::of(&text)
        .load()
        .unwrap_or_else(|errors| panic!("{errors}"));
    let policy = &config.sessions["crm"].policy;
    assert_eq!(policy.request_timeout, Duration::from_secs(15));
    let text = format!("[http]\nrequest_timeout = \"9s\"\n{text}");
    let config = Home::of(&text)
        .load()
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(
        config.sessions["crm"].policy.request_timeout,
        Duration::from_secs(9)
    );
}

#[test]
fn a_session_that_only_a_person_can_restore_may_not_lapse() {
    let text = "[sessions.crm]\nprovider = \"salesforce\"\nurl = \"https://acme.my.salesforce.com\"\n[sessions.crm.login]\n\
                grant = \"refresh_token\"\nclient_id = \"id\"\nrefresh_token = { file = \"/t\" }\n";
    let config = Home::of(text)
        .load()
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.sessions["crm"].policy.login, LoginBy::Seed);
    let lapsing = format!("{text}[sessions.crm.keepalive]\nactive = [\"* 6-21 * * *\"]\n");
    let errors = Home::of(&lapsing).load().err().unwrap().to_string();
    assert!(
        errors.contains("config.toml:9:") && errors.contains("active"),
        "{errors}"
    );
}

#[test]
fn a_duty_that_the_provider_cannot_do_is_an_error() {
    let text = |provider: &str, duty: &str| {
        format!(
            "[sessions.box]\nprovider = \"{provider}\"\nurl = \"https://box.example\"\n[sessions.box.keepalive]\n\
             {duty} = [\"0 3 * * *\"]\n[sessions.box.login]\nusername = \"u\"\npassword = {{ file = \"/p\" }}\n"
        )
    };
    for duty in ["verify_at", "renew_at"] {
        let errors = Home::of(&text("qbittorrent", duty))
            .load()
            .err()
            .map(|errors| errors.to_string());
        let said = errors
            .as_deref()
            .is_some_and(|text| text.contains(":5:") && text.contains("has no effect here"));
        assert_eq!(said, duty == "renew_at", "{duty}: {errors:?}");
    }
}

#[test]
fn a_reload_sees_what_changed_and_only_that() {
    let before = Home::of(SHORTEST)
        .load()
        .unwrap_or_else(|errors| panic!("{errors}"));
    let same = Home::of(&format!("# moved\n\n{SHORTEST}"))
        .load()
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert!(before.sessions["crm"] == same.sessions["crm"]);
    for (from, to) in [
        ("acme.my", "acme2.my"),
        ("\"id\"", "\"id2\""),
        ("crm.pem", "crm2.pem"),
        ("url =", "idle_timeout = \"1h\"\nurl ="),
        (
            "[sessions.crm.login]",
            "[sessions.crm.keepalive]\nverify_at = [\"5 * * * *\"]\n[sessions.crm.login]",
        ),
        (
            "[sessions.crm.login]",
            "[[sessions.crm.publish]]\nfile = \"other\"\n[sessions.crm.login]",
        ),
    ] {
        let after = Home::of(&SHORTEST.replacen(from, to, 1))
            .load()
            .unwrap_or_else(|errors| panic!("{errors}"));
        assert!(
            before.sessions["crm"] != after.sessions["crm"],
            "{from} → {to}"
        );
    }
}

fn write(path: PathBuf, text: impl AsRef<[u8]>) {
    use std::io::Write as _;
    fs::File::create(path)
        .unwrap()
        .write_all(text.as_ref())
        .unwrap();
}

/// A directory that holds a config.
struct Home(tempfile::TempDir);

impl Home {
    fn of(text: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        write(home.main(), text);
        home
    }

    fn main(&self) -> PathBuf {
        self.path("config.toml")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn fragment(&self, name: &str, text: &str) {
        let _ = fs::create_dir(self.path("conf.d"));
        write(self.path("conf.d").join(name), text);
    }

    fn load(&self) -> Result<Config, ConfigErrors> {
        let config = load_in(&self.main(), &Surroundings::made_up(&[], 0, 0))?;
        // Whatever is accepted in any of these tests, editors accept too.
        for file in &config.files {
            schema::assert_accepted(&fs::read_to_string(file).unwrap());
        }
        Ok(config)
    }
}
