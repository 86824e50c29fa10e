//! Configs in, errors or checked values out.

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
    assert_eq!(config.socket.path, PathBuf::from("/run/keepfresh/keepfresh.sock"));
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
    assert_eq!(crm.publish[0].path, PathBuf::from("/run/keepfresh/tokens/crm"));
    assert_eq!((crm.publish[0].mode, &crm.publish[0].format), (0o640, &Format::Token));
    assert_eq!(crm.access, [Principal::User(0), Principal::Group(0)]);
    assert_eq!(crm.env_prefix, "CRM");
    assert!(crm.schedule.is_empty() && !crm.logout_on_removal && !crm.logout_on_stop);
}

#[test]
fn scrapers_are_served_where_the_config_says_and_nowhere_without() {
    let at = |listen: &str| {
        let home = Home::of(&format!("[metrics]\n{listen}\n{SHORTEST}"));
        home.load().unwrap_or_else(|errors| panic!("{errors}")).metrics
    };
    let address = |text: &str| Some(MetricsListen::Address(text.parse().unwrap()));
    assert_eq!(at("listen = \"127.0.0.1:9464\""), address("127.0.0.1:9464"));
    assert_eq!(at("listen = \"localhost:9464\""), address("127.0.0.1:9464"));
    assert_eq!(at("listen = \"[::1]:9464\""), address("[::1]:9464"));
    assert_eq!(at("allow_remote = true\nlisten = \"0.0.0.0:9464\""), address("0.0.0.0:9464"));
    assert_eq!(at("listen = \"unix:m.sock\""), Some(MetricsListen::Unix(PathBuf::from("/run/keepfresh/m.sock"))));
    assert_eq!(Home::of(SHORTEST).load().unwrap().metrics, None);
}

#[test]
fn directories_come_from_systemd_then_the_user_then_xdg() {
    let home = Home::of(SHORTEST);
    let cases = [
        (
            [("RUNTIME_DIRECTORY", "/run/kf:/run/other"), ("STATE_DIRECTORY", "/var/lib/kf")],
            7,
            "/run/kf",
            "/var/lib/kf",
        ),
        ([("HOME", "/root"), ("A", "")], 0, "/run/keepfresh", "/var/lib/keepfresh"),
        ([("XDG_RUNTIME_DIR", "/run/user/7"), ("XDG_STATE_HOME", "/s")], 7, "/run/user/7/keepfresh", "/s/keepfresh"),
        ([("XDG_RUNTIME_DIR", "/r"), ("HOME", "/home/a")], 7, "/r/keepfresh", "/home/a/.local/state/keepfresh"),
    ];
    for (variables, uid, runtime, state) in cases {
        let config =
            load_in(&home.main(), &Surroundings::made_up(&variables, uid, 7)).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(config.daemon.runtime_dir, PathBuf::from(runtime));
        assert_eq!(config.daemon.state_dir, PathBuf::from(state));
    }
    let errors = load_in(&home.main(), &Surroundings::made_up(&[], 7, 7)).err().unwrap().to_string();
    assert!(errors.contains("daemon.runtime_dir") && errors.contains("daemon.state_dir"), "{errors}");
}

/// What is changed in the shortest config, and what the error must then say; `:4:` stands for the line.
const MISTAKES: &[(&str, &str, &[&str])] = &[
    ("url =", "colour = \"red\"\nurl =", &[":4:", "unknown key `sessions.crm.colour`"]),
    ("url =", "idle_timout = \"2h\"\nurl =", &[":4:", "did you mean `idle_timeout`"]),
    ("url =", "idle_timeout = 7200\nurl =", &[":4:", "has no unit", "7200s"]),
    ("url =", "idle_timeout = \"soon\"\nurl =", &["`sessions.crm.idle_timeout` is no duration"]),
    ("url =", "idle_timeout = \"0s\"\nurl =", &["is zero"]),
    ("url =", "idle_timeout = \"20y\"\nurl =", &["idle_timeout"]),
    ("url =", "idle_timeout = true\nurl =", &["wrong type: boolean", "a string"]),
    ("url =", "login = 5\nurl =", &[":6:", "duplicate key"]),
    ("salesforce\"", "salesfroce\"", &[":3:", "did you mean \"salesforce\""]),
    ("provider = \"salesforce\"", "", &[":2:", "missing key `sessions.crm.provider`"]),
    ("url = \"https://acme.my.salesforce.com\"", "", &["missing key `sessions.crm.url`"]),
    ("https://acme", "http://acme", &[":4:", "plain http", "allow_plain_http"]),
    ("https://acme", "acme", &[":4:", "is no URL"]),
    ("grant = \"jwt_bearer\"", "", &["missing key `sessions.crm.login.grant`", "jwt_bearer"]),
    ("jwt_bearer", "jwt-bearer", &[":6:", "did you mean \"jwt_bearer\""]),
    ("client_id = \"id\"", "client_id = 5", &[":7:", "wrong type: integer"]),
    ("client_id = \"id\"", "", &["missing key `sessions.crm.login.client_id`"]),
    (
        "private_key = {",
        "privat_key = {",
        &["did you mean `private_key`", "missing key `sessions.crm.login.private_key`"],
    ),
    ("{ file = \"/keys/crm.pem\" }", "\"hunter2\"", &[":9:", "must not be written in the config"]),
    ("{ file = \"/keys/crm.pem\" }", "{ file = \"/a\", env = \"B\" }", &["names several sources"]),
    ("{ file = \"/keys/crm.pem\" }", "{ insecure_mode = true }", &["does not say where the secret is"]),
    ("{ file = \"/keys/crm.pem\" }", "{ command = \"pass crm\" }", &["an array of strings"]),
    ("{ file = \"/keys/crm.pem\" }", "{ command = [] }", &["`sessions.crm.login.private_key.command` is empty"]),
    ("{ file = \"/keys/crm.pem\" }", "{ credential = \"../x\" }", &["is no name of a credential"]),
    ("{ file = \"/keys/crm.pem\" }", "{ env = \"p w\" }", &["is no name of an environment variable"]),
    ("{ file = \"/keys/crm.pem\" }", "{ file = \"~/key\" }", &["only a shell"]),
    (
        "[sessions.crm.login]",
        "[sessions.crm.keepalive]\nsurvive_outage = \"1h\"\n[sessions.crm.login]",
        &[":6:", "impossible", "less than 1h"],
    ),
    (
        "[sessions.crm.login]",
        "[sessions.crm.keepalive]\nping_every = \"1h\"\n[sessions.crm.login]",
        &["lose the session"],
    ),
    (
        "[sessions.crm.login]",
        "[sessions.crm.keepalive]\nping_every = \"9m\"\nsurvive_outage = \"9m\"\n[sessions.crm.login]",
        &["both given"],
    ),
    (
        "[sessions.crm.login]",
        "[sessions.crm.keepalive]\nverify_at = [\"61 * * * *\"]\n[sessions.crm.login]",
        &[":6:", "`sessions.crm.keepalive.verify_at`", "is no cron line"],
    ),
    (
        "[sessions.crm.login]",
        "[sessions.crm.keepalive]\nrenew_at = \"0 3 * * *\"\n[sessions.crm.login]",
        &["array of strings"],
    ),
    (
        "[sessions.crm.login]",
        "[sessions.crm.keepalive]\nactive = [\"0 0 30 2 *\"]\n[sessions.crm.login]",
        &["never falls due"],
    ),
    (
        "[sessions.crm.login]",
        "[sessions.crm.keepalive]\nping = \"nope\"\n[sessions.crm.login]",
        &[":6:", "nope", "userinfo"],
    ),
    (
        "[sessions.crm.login]",
        "[sessions.crm.keepalive]\nintrospect = true\n[sessions.crm.login]",
        &[":6:", "client_secret"],
    ),
    ("[sessions.crm.login]", "[[sessions.crm.publish]]\nfile = \"../crm\"\n[sessions.crm.login]", &[":6:", "\"..\""]),
    ("[sessions.crm.login]", "[[sessions.crm.publish]]\nfile = \"/a/\"\n[sessions.crm.login]", &["names a directory"]),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.publish]]\nmode = \"0640\"\n[sessions.crm.login]",
        &["missing key `sessions.crm.publish.file`"],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.publish]]\nfile = \"a\"\nmode = \"0666\"\n[sessions.crm.login]",
        &[":7:", "0640"],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.publish]]\nfile = \"a\"\nmode = 640\n[sessions.crm.login]",
        &["is a number", "mode = \"0640\""],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.publish]]\nfile = \"a\"\nformat = \"yaml\"\n[sessions.crm.login]",
        &["token\", \"json"],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.publish]]\nfile = \"a\"\nformat = \"cookies\"\n[sessions.crm.login]",
        &[":7:", "not in a cookie", "format = \"header\""],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.publish]]\nfile = \"a\"\nformat = \"netrc\"\nlogin = \"two words\"\n[sessions.crm.login]",
        &[":8:", "cannot stand in a netrc line"],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.publish]]\nfile = \"a\"\nlogin = \"oauth2\"\n[sessions.crm.login]",
        &[":7:", "goes with format = \"netrc\" only"],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.publish]]\nfile = \"a\"\ntemplate = \"{tokn}\"\n[sessions.crm.login]",
        &[":7:", "asks for {tokn}", "{token}, {instance_url}", "{id}"],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.publish]]\nfile = \"a\"\ntemplate = \"{ \\\"a\\\": 1 }\"\n[sessions.crm.login]",
        &[":7:", "is no template", "double the braces"],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.publish]]\nfile = \"a\"\nformat = \"json\"\ntemplate = \"{token}\"\n[sessions.crm.login]",
        &[":7:", "exclude each other"],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.hook]]\ncommand = [\"/bin/true\"]\n[sessions.crm.login]",
        &["missing key `sessions.crm.hook.on`"],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.hook]]\non = [\"lost\"]\ncommand = [\"/bin/true\"]\n[sessions.crm.login]",
        &[":6:", "\"lost\" is no event", "recovered"],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.hook]]\non = []\ncommand = [\"/bin/true\"]\n[sessions.crm.login]",
        &[":6:", "would never run"],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.hook]]\non = [\"change\"]\ncommand = []\n[sessions.crm.login]",
        &[":7:", "is empty", "no shell"],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.hook]]\non = [\"change\"]\ncommand = [\"bin/notify\"]\n[sessions.crm.login]",
        &[":7:", "absolute path"],
    ),
    ("[sessions.crm.login]", "[alerts]\nafter = \"15m\"\n[sessions.crm.login]", &["missing key `alerts.on_attention`"]),
    (
        "[sessions.crm.login]",
        "[alerts]\non_attention = [\"/bin/page\"]\n[sessions.crm.login]",
        &[":6:", "each an array"],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.publish]]\nfile = \"a\"\nowner = \"nobody-here\"\n[sessions.crm.login]",
        &[":7:", "there is no user `nobody-here`"],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.publish]]\nfile = \"a\"\ngroup = -1\n[sessions.crm.login]",
        &["there is no group"],
    ),
    (
        "[sessions.crm.login]",
        "[sessions.crm.publish]\nfile = \"a\"\n[sessions.crm.login]",
        &["[[sessions.crm.publish]]"],
    ),
    (
        "[sessions.crm.login]",
        "[sessions.crm.access]\nallow = [\"alice\"]\n[sessions.crm.login]",
        &["neither a user nor a group"],
    ),
    ("[sessions.crm.login]", "[sessions.crm.http]\nclient_cert = \"/c\"\n[sessions.crm.login]", &["client_key"]),
    ("[sessions.crm.login]", "[sessions.crm.http]\npin_sha256 = \"abc\"\n[sessions.crm.login]", &["no SHA-256"]),
    ("[sessions.crm.login]", "[sessions.crm.http]\nproxy = \"ftp://p\"\n[sessions.crm.login]", &["no proxy"]),
    (
        "[sessions.crm.login]",
        "[metrcs]\nlisten = \"127.0.0.1:9464\"\n[sessions.crm.login]",
        &["unknown key `metrcs`", "did you mean `metrics`"],
    ),
    ("[sessions.crm.login]", "[sessions.CRM]\n[sessions.crm.login]", &["`sessions.CRM` is no session name"]),
    ("[sessions.crm.login]", "[daemon]\ntimezone = \"Europe/Wien\"\n[sessions.crm.login]", &["is no time zone"]),
    ("[sessions.crm.login]", "[daemon]\nlog = \"syslog\"\n[sessions.crm.login]", &["journald"]),
    (
        "[sessions.crm.login]",
        "[daemon]\nstate_key = \"00ff\"\n[sessions.crm.login]",
        &[":6:", "must not be written in the config"],
    ),
    ("[sessions.crm.login]", "[http]\nper_host_rate = \"fast\"\n[sessions.crm.login]", &["is no rate"]),
    (
        "[sessions.crm.login]",
        "[socket]\nadmins = [\"group:no-such\"]\n[sessions.crm.login]",
        &["there is no group `no-such`"],
    ),
    ("[sessions.crm.login]", "[socket]\nmode = \"rw\"\n[sessions.crm.login]", &["is no file mode"]),
    (
        "[sessions.crm.login]",
        "[metrics]\nlisten = \"192.0.2.1:9464\"\n[sessions.crm.login]",
        &[":6:", "can be reached from other machines", "allow_remote = true"],
    ),
    (
        "[sessions.crm.login]",
        "[metrics]\nlisten = \"9464\"\n[sessions.crm.login]",
        &["is no address", "127.0.0.1:9464"],
    ),
    ("[sessions.crm.login]", "[metrics]\nlisten = \"[::1]:0\"\n[sessions.crm.login]", &["port to chance"]),
    ("[sessions.crm.login]", "[metrics]\nlisten = \"unix:../m\"\n[sessions.crm.login]", &["holds \"..\""]),
    ("[sessions.crm.login]", "[metrics]\nallow_remote = true\n[sessions.crm.login]", &["missing key `metrics.listen`"]),
    ("[sessions.crm.login]", "this is no toml\n[sessions.crm.login]", &[":5:", "not valid TOML"]),
];

#[test]
fn every_mistake_names_its_line_its_key_and_a_remedy() {
    for (from, to, parts) in MISTAKES {
        let text = SHORTEST.replacen(from, to, 1);
        assert_ne!(text, SHORTEST, "{from} is not in the config");
        let home = Home::of(&text);
        let errors = home.load().err().unwrap_or_else(|| panic!("accepted:\n{text}")).to_string();
        let place = format!("{}:", home.main().display());
        for part in parts.iter().copied().chain([place.as_str(), "help: "]) {
            let part = if part.starts_with(':') { format!("config.toml{part}") } else { part.to_owned() };
            assert!(errors.contains(&part), "no `{part}` in:\n{errors}\n\nfor:\n{text}");
        }
    }
}

#[test]
fn all_errors_come_at_once_in_the_order_of_their_lines() {
    let text = "[daemon]\nlogg = \"x\"\n[http]\nconnect_timeout = 5\nrequest_timeout = \"x\"\n[sessions.crm]\n\
                provider = \"salesforce\"\nidle_timeout = \"-1s\"\n[sessions.Other]\nbroken line\n";
    let list = Home::of(text).load().err().unwrap().list();
    let lines: Vec<usize> = list.iter().map(|error| error.line).collect();
    // Line 10 is no TOML; what is missing in its file may only be unread, so nothing is called missing.
    assert_eq!(lines, [2, 4, 5, 8, 9, 10], "{list:#?}");
}

#[test]
fn a_broken_login_hides_no_other_error() {
    let text = "[sessions.a]\nprovider = \"x\"\nurl = \"http://acme.example\"\npublish = [{ file = \"same\" }]\n\
                [sessions.b]\nprovider = \"salesforce\"\nidle_timeout = \"1h\"\npublish = [{ file = \"same\" }]\n\
                [sessions.b.keepalive]\nping_every = \"31m\"\n";
    let lines: Vec<usize> = Home::of(text).load().err().unwrap().list().iter().map(|error| error.line).collect();
    // Unknown provider, plain http; missing url and login, the shared file, the long period.
    assert_eq!(lines, [2, 3, 5, 5, 8, 10]);
}

#[test]
fn no_error_shows_what_may_be_a_secret() {
    let cases = [
        ("{ file = \"/keys/crm.pem\" }", "\"hunter2\""),
        ("{ file = \"/keys/crm.pem\" }", "hunter2"),
        ("{ file = \"/keys/crm.pem\" }", "\"hunter2"),
        ("{ file = \"/keys/crm.pem\" }", "\"\"\"-----BEGIN\nhunter2\n-----END\"\"\""),
        ("{ file = \"/keys/crm.pem\" }", "-----BEGIN\nhunter2==\nhunter2\n"),
        ("{ file = \"/keys/crm.pem\" }", "{ value = \"hunter2\" }"),
        ("{ file = \"/keys/crm.pem\" }", "{ env = \"hunter2-\" }"),
        ("private_key = {", "pasword = \"hunter2\"\nprivate_key = {"),
        ("private_key = {", "pasword = [\"hunter2\"]\nprivate_key = {"),
        ("[sessions.crm.login]", "client_secret = \"hunter2\"\n[sessions.crm.login]"),
        ("https://acme", "https://me:hunter2@acme"),
        ("https://acme", "http://me:hunter2@acme"),
        ("[sessions.crm]", "[http]\nproxy = \"http://me:hunter2@proxy\"\n[sessions.crm]"),
        (
            "[sessions.crm.login]",
            "[sessions.x]\nlogin = { grant = \"nope\", password = \"hunter2\" }\n[sessions.crm.login]",
        ),
        (
            "[sessions.crm.login]",
            "[sessions.x]\nlogin = { grant = \"nope\", password = \"hunter2\"\n[sessions.crm.login]",
        ),
    ];
    for (from, to) in cases {
        let text = SHORTEST.replacen(from, to, 1);
        let errors = Home::of(&text).load().err().unwrap_or_else(|| panic!("accepted:\n{text}"));
        let told = format!("{errors}\n{}", serde_json::to_string(&errors.list()).unwrap());
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn files_that_cannot_be_read_as_text_are_errors() {
    let home = Home::of(SHORTEST);
    let told = |home: &Home| home.load().err().unwrap().to_string();
    write(home.main(), b"[daemon]\nlog = \"\xff\"\n");
    assert!(told(&home).contains("config.toml:2:") && told(&home).contains("UTF-8"), "{}", told(&home));
    write(home.main(), vec![b'#'; 17 << 20]);
    assert!(told(&home).contains("larger than"), "{}", told(&home));
    fs::remove_file(home.main()).unwrap();
    assert!(told(&home).contains("config.toml:1:") && told(&home).contains("cannot be read"), "{}", told(&home));
    fs::create_dir(home.main()).unwrap();
    assert!(told(&home).contains("is a directory"), "{}", told(&home));
}

#[test]
fn fragments_add_sessions_and_nothing_else() {
    let home = Home::of(SHORTEST);
    home.fragment("10-more.toml", &SHORTEST.replace("sessions.crm", "sessions.erp"));
    home.fragment("notes.txt", "not a fragment");
    let config = home.load().unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.sessions.keys().collect::<Vec<_>>(), ["crm", "erp"]);

    home.fragment("20-again.toml", SHORTEST);
    home.fragment("30-daemon.toml", "[daemon]\nlog = \"text\"\n");
    let errors = home.load().err().unwrap().to_string();
    assert!(errors.contains("20-again.toml:2:") && errors.contains("`sessions.crm` is defined twice"), "{errors}");
    assert!(errors.contains("config.toml:2 already"), "{errors}");
    assert!(errors.contains("30-daemon.toml:1:") && errors.contains("does not belong in a fragment"), "{errors}");
}

#[test]
fn sessions_may_not_share_files_or_prefixes() {
    let publish = |name: &str, file: &str| {
        let file = format!("[[sessions.{name}.publish]]\nfile = \"{file}\"\n");
        SHORTEST.replace("sessions.crm", &format!("sessions.{name}")) + &file
    };
    let cases = [
        (publish("a", "same") + &publish("b", "./same"), "is a file of the session `a` already"),
        (publish("a", "/run/keepfresh/tokens/x") + &publish("b", "x"), "is a file of the session `a` already"),
        (publish("a", "x/y") + &publish("b", "x"), "already"),
        (publish("a", "/run/keepfresh/keepfresh.sock"), "is the daemon's socket"),
        (publish("a-b", "one") + &publish("a_b", "two"), "A_B is the prefix of the session `a-b` already"),
    ];
    for (text, part) in cases {
        let errors = Home::of(&text).load().err().unwrap_or_else(|| panic!("accepted:\n{text}")).to_string();
        assert!(errors.contains(part), "no `{part}` in:\n{errors}");
    }
}

#[test]
fn a_session_without_files_and_one_that_never_idles_out_are_legal() {
    let text = SHORTEST.replace("url =", "publish = []\nidle_timeout = \"none\"\nurl =");
    let config = Home::of(&text).load().unwrap_or_else(|errors| panic!("{errors}"));
    let crm = &config.sessions["crm"];
    assert!(crm.publish.is_empty() && crm.access.is_empty());
    assert_eq!((crm.policy.idle_timeout, crm.policy.survive_outage), (None, Duration::ZERO));
}

#[test]
fn a_ping_period_is_a_margin_said_otherwise() {
    let with = |keepalive: &str| {
        let text = format!("{SHORTEST}[sessions.crm.keepalive]\n{keepalive}\n");
        Home::of(&text).load().unwrap_or_else(|errors| panic!("{errors}")).sessions["crm"].policy.survive_outage
    };
    assert_eq!(with("ping_every = \"48m\""), Duration::from_mins(12));
    assert_eq!(with("ping_every = \"90m\"\nshared = false"), Duration::from_mins(30));
    assert_eq!(with("survive_outage = \"90m\"\nshared = false"), Duration::from_mins(90));
}

#[test]
fn no_call_outlasts_half_of_a_short_window() {
    let text = SHORTEST.replace("url =", "idle_timeout = \"30s\"\nurl =");
    let config = Home::of(&text).load().unwrap_or_else(|errors| panic!("{errors}"));
    let policy = &config.sessions["crm"].policy;
    assert_eq!(policy.request_timeout, Duration::from_secs(15));
    let text = format!("[http]\nrequest_timeout = \"9s\"\n{text}");
    let config = Home::of(&text).load().unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.sessions["crm"].policy.request_timeout, Duration::from_secs(9));
}

#[test]
fn a_session_that_only_a_person_can_restore_may_not_lapse() {
    let text = "[sessions.crm]\nprovider = \"salesforce\"\nurl = \"https://acme.my.salesforce.com\"\n[sessions.crm.login]\n\
                grant = \"refresh_token\"\nclient_id = \"id\"\nrefresh_token = { file = \"/t\" }\n";
    let config = Home::of(text).load().unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.sessions["crm"].policy.login, LoginBy::Seed);
    let lapsing = format!("{text}[sessions.crm.keepalive]\nactive = [\"* 6-21 * * *\"]\n");
    let errors = Home::of(&lapsing).load().err().unwrap().to_string();
    assert!(errors.contains("config.toml:9:") && errors.contains("active"), "{errors}");
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
        let errors = Home::of(&text("qbittorrent", duty)).load().err().map(|errors| errors.to_string());
        let said = errors.as_deref().is_some_and(|text| text.contains(":5:") && text.contains("has no effect here"));
        assert_eq!(said, duty == "renew_at", "{duty}: {errors:?}");
    }
}

#[test]
fn a_reload_sees_what_changed_and_only_that() {
    let before = Home::of(SHORTEST).load().unwrap_or_else(|errors| panic!("{errors}"));
    let same = Home::of(&format!("# moved\n\n{SHORTEST}")).load().unwrap_or_else(|errors| panic!("{errors}"));
    assert!(before.sessions["crm"] == same.sessions["crm"]);
    for (from, to) in [
        ("acme.my", "acme2.my"),
        ("\"id\"", "\"id2\""),
        ("crm.pem", "crm2.pem"),
        ("url =", "idle_timeout = \"1h\"\nurl ="),
        ("[sessions.crm.login]", "[sessions.crm.keepalive]\nverify_at = [\"5 * * * *\"]\n[sessions.crm.login]"),
        ("[sessions.crm.login]", "[[sessions.crm.publish]]\nfile = \"other\"\n[sessions.crm.login]"),
    ] {
        let after = Home::of(&SHORTEST.replacen(from, to, 1)).load().unwrap_or_else(|errors| panic!("{errors}"));
        assert!(before.sessions["crm"] != after.sessions["crm"], "{from} → {to}");
    }
}

#[test]
fn the_example_is_a_good_config_that_names_every_key() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml")).unwrap();
    let config = Home::of(&text).load().unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.warnings, Vec::<String>::new());
    let tables =
        [keys::DAEMON, keys::SOCKET, keys::HTTP, keys::KEEPALIVE, keys::PUBLISH, keys::SESSION_HTTP, keys::ACCESS];
    for key in tables.into_iter().flatten() {
        assert!(text.lines().any(|line| names(line, key)), "`{key}` is not in config.example.toml");
    }
    for key in keys::SESSION {
        let table = [format!("[sessions.crm.{key}]"), format!("[[sessions.crm.{key}]]")];
        let shown = text.lines().any(|line| names(line, key)) || table.iter().any(|table| text.contains(table));
        assert!(shown, "`{key}` is not in config.example.toml");
    }
    for key in keys::SECRET {
        assert!(text.contains(&format!("{key} = ")), "`{key}` is not in config.example.toml");
    }
}

#[test]
fn every_commented_key_of_the_example_is_known() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml")).unwrap();
    let alternatives = [
        "ping_every",
        "owner",
        "group",
        "ca_file",
        "allow",
        "password",
        "security_token",
        "refresh_token",
        "redirect_uri",
        "authorization_query",
    ];
    let uncommented: String = text
        .lines()
        .filter(|line| !alternatives.iter().any(|key| line.starts_with(&format!("# {key} "))))
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if is_key_line(rest) => format!("{rest}\n"),
            Some(_) | None => format!("{line}\n"),
        })
        .collect();
    let uncommented =
        uncommented.replacen("private_key = { file = \"/run/secrets/key\", insecure_mode = true }", "", 1);
    Home::of(&uncommented).load().unwrap_or_else(|errors| panic!("{errors}"));
}

fn is_key_line(line: &str) -> bool {
    line.split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        && !line.contains("takes")
}

fn names(line: &str, key: &str) -> bool {
    line.trim_start_matches("# ").starts_with(&format!("{key} = "))
}

fn write(path: PathBuf, text: impl AsRef<[u8]>) {
    use std::io::Write as _;
    fs::File::create(path).unwrap().write_all(text.as_ref()).unwrap();
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
        load_in(&self.main(), &Surroundings::made_up(&[], 0, 0))
    }
}

#[test]
fn a_file_that_lies_in_the_place_of_something_else_is_refused() {
    let long = "a".repeat(256);
    for (file, expected) in [
        ("/x/state/sessions/crm.json", "lies in the state directory"),
        ("/x/state/token", "lies in the state directory"),
        ("/x/state", "lies in the state directory"),
        ("/x", "is a directory of the daemon"),
        ("/x/run/tokens", "is a directory of the daemon"),
        ("/x/run/metrics.sock", "is the socket for scrapers"),
        ("/x/key", "holds a secret"),
        ("/etc/keepfresh/config.toml", "is a file of the config"),
        ("/etc/keepfresh/providers/acme.toml", "lies among the provider profiles"),
        ("/dev/null", "where the kernel shows devices"),
        ("/proc/self/token", "where the kernel shows devices"),
        ("/dev/shm/token", ""),
        ("/y/state/token", ""),
        (&long, "too long a name"),
        ("a\nb", "holds a control character"),
        ("$HOME/token", "begins with `$`"),
    ] {
        let text = format!(
            "[daemon]\nruntime_dir = \"/x/run\"\nstate_dir = \"/x/state\"\n[metrics]\nlisten = \"unix:metrics.sock\"\n\
             [sessions.crm]\nprovider = \"oauth2\"\nurl = \"https://acme.example\"\npublish = [{{ file = {file:?} }}]\n\
             [sessions.crm.login]\ngrant = \"client_credentials\"\ntoken_url = \"/t\"\nclient_id = \"x\"\n\
             client_secret = {{ file = \"/x/key\" }}\n"
        );
        let said = told(&text);
        assert_eq!(said.is_empty(), expected.is_empty(), "{file}: {said}");
        assert!(said.contains(expected) && (said.is_empty() || said.contains(":9:")), "{file}: {said}");
    }
}

#[test]
fn one_sessions_token_may_be_what_another_logs_in_with() {
    for (key, file, refused) in [
        ("subject_token", "/y/post", false),
        ("actor_token", "/y/post", false),
        ("client_secret", "/x/run/tokens/post", false),
        ("client_secret", "/y/post", true),
    ] {
        let others = ["subject_token", "client_secret"].into_iter().filter(|other| *other != key);
        let others: Vec<String> = others.map(|other| format!("{other} = {{ file = \"/x/{other}\" }}\n")).collect();
        let others = others.concat();
        let said = told(&format!(
            "[daemon]\nruntime_dir = \"/x/run\"\n\
             [sessions.post]\nprovider = \"oauth2\"\nurl = \"https://acme.example\"\npublish = [{{ file = {file:?} }}]\n\
             [sessions.post.login]\ngrant = \"client_credentials\"\ntoken_url = \"/t\"\nclient_id = \"x\"\n\
             client_secret = {{ file = \"/x/key\" }}\n\
             [sessions.exchange]\nprovider = \"oauth2\"\nurl = \"https://acme.example\"\n\
             [sessions.exchange.login]\ngrant = \"token_exchange\"\ntoken_url = \"/t\"\nclient_id = \"x\"\n\
             {key} = {{ file = {file:?} }}\n{others}"
        ));
        assert_eq!(said.contains("holds a secret"), refused, "{key} {file}: {said}");
        assert_eq!(said.is_empty(), !refused, "{key} {file}: {said}");
    }
}

#[test]
fn sockets_and_directories_do_not_get_into_each_others_way() {
    for (tables, expected) in [
        ("[socket]\npath = \"tokens\"\n", "`socket.path`"),
        ("[metrics]\nlisten = \"unix:keepfresh.sock\"\n", "`metrics.listen`"),
        ("[metrics]\nlisten = \"unix:tokens\"\n", "`metrics.listen`"),
        ("[metrics]\nlisten = \"unix:m.sock\"\n", ""),
        ("state_dir = \"/proc/keepfresh\"\n", "`daemon.state_dir`"),
    ] {
        let said = told(&format!("[daemon]\nruntime_dir = \"/x/run\"\n{tables}"));
        assert_eq!(said.is_empty(), expected.is_empty(), "{tables}: {said}");
        assert!(said.contains(expected), "{tables}: {said}");
    }
}

/// Everything that is wrong with a main file of this text.
fn told(text: &str) -> String {
    let file = Path::new("/etc/keepfresh/config.toml");
    let found = [super::document::Found::decoded(file, text.as_bytes().to_vec())];
    let surroundings = Surroundings::made_up(&[], 0, 0);
    super::read_found(file, &found, &surroundings).err().map(|errors| errors.to_string()).unwrap_or_default()
}
