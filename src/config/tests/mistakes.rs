//! Mistakes, and what is said of them.

use super::*;

/// What is changed in the shortest config, and what the error must then say; `:4:` stands for the line.
pub(super) const MISTAKES: &[(&str, &str, &[&str])] = &[
    (
        "url =",
        "colour = \"red\"\nurl =",
        &[":4:", "unknown key `sessions.crm.colour`"],
    ),
    (
        "url =",
        "idle_timout = \"2h\"\nurl =",
        &[":4:", "did you mean `idle_timeout`"],
    ),
    (
        "url =",
        "idle_timeout = 7200\nurl =",
        &[":4:", "has no unit", "7200s"],
    ),
    (
        "url =",
        "idle_timeout = \"soon\"\nurl =",
        &["`sessions.crm.idle_timeout` is no duration"],
    ),
    ("url =", "idle_timeout = \"0s\"\nurl =", &["is zero"]),
    ("url =", "idle_timeout = \"20y\"\nurl =", &["idle_timeout"]),
    (
        "url =",
        "idle_timeout = true\nurl =",
        &["wrong type: boolean", "a string"],
    ),
    ("url =", "login = 5\nurl =", &[":6:", "duplicate key"]),
    (
        "salesforce\"",
        "salesfroce\"",
        &[":3:", "did you mean \"salesforce\""],
    ),
    (
        "provider = \"salesforce\"",
        "",
        &[":2:", "missing key `sessions.crm.provider`"],
    ),
    (
        "url = \"https://acme.my.salesforce.com\"",
        "",
        &["missing key `sessions.crm.url`"],
    ),
    (
        "https://acme",
        "http://acme",
        &[":4:", "plain http", "allow_plain_http"],
    ),
    ("https://acme", "acme", &[":4:", "is no URL"]),
    (
        "grant = \"jwt_bearer\"",
        "",
        &["missing key `sessions.crm.login.grant`", "jwt_bearer"],
    ),
    (
        "jwt_bearer",
        "jwt-bearer",
        &[":6:", "did you mean \"jwt_bearer\""],
    ),
    (
        "client_id = \"id\"",
        "client_id = 5",
        &[":7:", "wrong type: integer"],
    ),
    (
        "client_id = \"id\"",
        "",
        &["missing key `sessions.crm.login.client_id`"],
    ),
    (
        "private_key = {",
        "privat_key = {",
        &[
            "did you mean `private_key`",
            "missing key `sessions.crm.login.private_key`",
        ],
    ),
    (
        "{ file = \"/keys/crm.pem\" }",
        "\"hunter2\"",
        &[":9:", "must not be written in the config"],
    ),
    (
        "{ file = \"/keys/crm.pem\" }",
        "{ file = \"/a\", env = \"B\" }",
        &["names several sources"],
    ),
    (
        "{ file = \"/keys/crm.pem\" }",
        "{ insecure_mode = true }",
        &["does not say where the secret is"],
    ),
    (
        "{ file = \"/keys/crm.pem\" }",
        "{ command = \"pass crm\" }",
        &["an array of strings"],
    ),
    (
        "{ file = \"/keys/crm.pem\" }",
        "{ command = [] }",
        &["`sessions.crm.login.private_key.command` is empty"],
    ),
    (
        "{ file = \"/keys/crm.pem\" }",
        "{ credential = \"../x\" }",
        &["is no name of a credential"],
    ),
    (
        "{ file = \"/keys/crm.pem\" }",
        "{ credential = \"x\\nExecStartPre=+/bin/sh\" }",
        &["is no name of a credential"],
    ),
    (
        "{ file = \"/keys/crm.pem\" }",
        "{ credential = \"x:y\" }",
        &["is no name of a credential"],
    ),
    (
        "{ file = \"/keys/crm.pem\" }",
        "{ env = \"p w\" }",
        &["is no name of an environment variable"],
    ),
    (
        "{ file = \"/keys/crm.pem\" }",
        "{ file = \"~/key\" }",
        &["only a shell"],
    ),
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
        &[
            ":6:",
            "`sessions.crm.keepalive.verify_at`",
            "is no cron line",
        ],
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
    (
        "[sessions.crm.login]",
        "[[sessions.crm.publish]]\nfile = \"../crm\"\n[sessions.crm.login]",
        &[":6:", "\"..\""],
    ),
    (
        "[sessions.crm.login]",
        "[[sessions.crm.publish]]\nfile = \"/a/\"\n[sessions.crm.login]",
        &["names a directory"],
    ),
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
        &[":8:", "does not fit into a netrc line"],
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
        &[":7:", "is no template", "double literal braces"],
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
    (
        "[sessions.crm.login]",
        "[alerts]\nafter = \"15m\"\n[sessions.crm.login]",
        &["missing key `alerts.on_attention`"],
    ),
    (
        "[sessions.crm.login]",
        "[[alerts.webhook]]\nformat = \"slack\"\nurl = \"https://hooks.example/T0/B0/x\"\n[sessions.crm.login]",
        &[
            ":7:",
            "`alerts.webhook.url` must not be written in the config itself",
        ],
    ),
    (
        "[sessions.crm.login]",
        "[[alerts.webhook]]\nformat = \"slack\"\n[sessions.crm.login]",
        &[
            "missing key `alerts.webhook.url`",
            "url = { file = \"/path\" }",
        ],
    ),
    (
        "[sessions.crm.login]",
        "[[alerts.webhook]]\nurl = { file = \"url\" }\n[sessions.crm.login]",
        &["missing key `alerts.webhook.format`", "pagerduty"],
    ),
    (
        "[sessions.crm.login]",
        "[[alerts.webhook]]\nformat = \"discord\"\nurl = { file = \"url\" }\n[sessions.crm.login]",
        &[":6:", "is no format", "\"teams\""],
    ),
    (
        "[sessions.crm.login]",
        "[[alerts.webhook]]\nformat = \"pagerduty\"\n[sessions.crm.login]",
        &["missing key `alerts.webhook.routing_key`"],
    ),
    (
        "[sessions.crm.login]",
        "[[alerts.webhook]]\nformat = \"json\"\nurl = { file = \"url\" }\nrouting_key = { file = \"key\" }\n[sessions.crm.login]",
        &[":8:", "goes with format = \"pagerduty\" only"],
    ),
    (
        "[sessions.crm.login]",
        "owner = \"crm team\\nhttp\"\n[sessions.crm.login]",
        &[":5:", "`sessions.crm.owner` is not one line"],
    ),
    (
        "[sessions.crm.login]",
        "runbook = \"wiki/crm\"\n[sessions.crm.login]",
        &[":5:", "`sessions.crm.runbook` is no address of a page"],
    ),
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
    (
        "[sessions.crm.login]",
        "[sessions.crm.http]\nclient_cert = \"/c\"\n[sessions.crm.login]",
        &["client_key"],
    ),
    (
        "[sessions.crm.login]",
        "[sessions.crm.http]\npin_sha256 = \"abc\"\n[sessions.crm.login]",
        &["no SHA-256"],
    ),
    (
        "[sessions.crm.login]",
        "[sessions.crm.http]\nproxy = \"ftp://p\"\n[sessions.crm.login]",
        &["no proxy"],
    ),
    (
        "[sessions.crm.login]",
        "[metrcs]\nlisten = \"127.0.0.1:9464\"\n[sessions.crm.login]",
        &["unknown key `metrcs`", "did you mean `metrics`"],
    ),
    (
        "[sessions.crm.login]",
        "[sessions.CRM]\n[sessions.crm.login]",
        &["`sessions.CRM` is no session name"],
    ),
    (
        "[sessions.crm.login]",
        "[daemon]\ntimezone = \"Europe/Wien\"\n[sessions.crm.login]",
        &["is no time zone"],
    ),
    (
        "[sessions.crm.login]",
        "[daemon]\nlog = \"syslog\"\n[sessions.crm.login]",
        &["journald"],
    ),
    (
        "[sessions.crm.login]",
        "[daemon]\nstate_key = \"00ff\"\n[sessions.crm.login]",
        &[":6:", "must not be written in the config"],
    ),
    (
        "[sessions.crm.login]",
        "[http]\nper_host_rate = \"fast\"\n[sessions.crm.login]",
        &["is no rate"],
    ),
    (
        "[sessions.crm.login]",
        "[socket]\nadmins = [\"group:no-such\"]\n[sessions.crm.login]",
        &["there is no group `no-such`"],
    ),
    (
        "[sessions.crm.login]",
        "[socket]\nmode = \"rw\"\n[sessions.crm.login]",
        &["is no file mode"],
    ),
    (
        "[sessions.crm.login]",
        "[metrics]\nlisten = \"192.0.2.1:9464\"\n[sessions.crm.login]",
        &[
            ":6:",
            "can be reached from other machines",
            "allow_remote = true",
        ],
    ),
    (
        "[sessions.crm.login]",
        "[metrics]\nlisten = \"9464\"\n[sessions.crm.login]",
        &["is no address", "127.0.0.1:9464"],
    ),
    (
        "[sessions.crm.login]",
        "[metrics]\nlisten = \"[::1]:0\"\n[sessions.crm.login]",
        &["has port 0"],
    ),
    (
        "[sessions.crm.login]",
        "[metrics]\nlisten = \"unix:../m\"\n[sessions.crm.login]",
        &["holds \"..\""],
    ),
    (
        "[sessions.crm.login]",
        "[metrics]\nlisten = \"127.0.0.1:9464\"\nhosts = [\"http://a:9464\"]\n[sessions.crm.login]",
        &["`metrics.hosts`", "no host's name"],
    ),
    (
        "[sessions.crm.login]",
        "[metrics]\nlisten = \"unix:m\"\nhosts = [\"a\"]\n[sessions.crm.login]",
        &["means nothing on a unix socket"],
    ),
    (
        "[sessions.crm.login]",
        "[metrics]\nallow_remote = true\n[sessions.crm.login]",
        &["missing key `metrics.listen`"],
    ),
    (
        "[sessions.crm.login]",
        "this is no toml\n[sessions.crm.login]",
        &[":5:", "not valid TOML"],
    ),
];

#[test]
fn every_mistake_names_its_line_its_key_and_a_remedy() {
    for (from, to, parts) in MISTAKES {
        let text = SHORTEST.replacen(from, to, 1);
        assert_ne!(text, SHORTEST, "{from} is not in the config");
        let home = Home::of(&text);
        let errors = home
            .load()
            .err()
            .unwrap_or_else(|| panic!("accepted:\n{text}"))
            .to_string();
        let place = format!("{}:", home.main().display());
        for part in parts.iter().copied().chain([place.as_str(), "help: "]) {
            let part = if part.starts_with(':') {
                format!("config.toml{part}")
            } else {
                part.to_owned()
            };
            assert!(
                errors.contains(&part),
                "no `{part}` in:\n{errors}\n\nfor:\n{text}"
            );
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
    let lines: Vec<usize> = Home::of(text)
        .load()
        .err()
        .unwrap()
        .list()
        .iter()
        .map(|error| error.line)
        .collect();
    // Unknown provider, plain http; missing url and login, the shared file, the long period.
    assert_eq!(lines, [2, 3, 5, 5, 8, 10]);
}

#[test]
fn no_error_shows_what_may_be_a_secret() {
    let cases = [
        ("{ file = \"/keys/crm.pem\" }", "\"hunter2\""),
        ("{ file = \"/keys/crm.pem\" }", "hunter2"),
        ("{ file = \"/keys/crm.pem\" }", "\"hunter2"),
        (
            "{ file = \"/keys/crm.pem\" }",
            "\"\"\"-----BEGIN\nhunter2\n-----END\"\"\"",
        ),
        (
            "{ file = \"/keys/crm.pem\" }",
            "-----BEGIN\nhunter2==\nhunter2\n",
        ),
        ("{ file = \"/keys/crm.pem\" }", "{ value = \"hunter2\" }"),
        ("{ file = \"/keys/crm.pem\" }", "{ env = \"hunter2-\" }"),
        ("private_key = {", "pasword = \"hunter2\"\nprivate_key = {"),
        (
            "private_key = {",
            "pasword = [\"hunter2\"]\nprivate_key = {",
        ),
        (
            "[sessions.crm.login]",
            "client_secret = \"hunter2\"\n[sessions.crm.login]",
        ),
        ("https://acme", "https://me:hunter2@acme"),
        ("https://acme", "http://me:hunter2@acme"),
        ("salesforce.com\"", "salesforce.com/?key=hunter2\""),
        ("salesforce.com\"", "salesforce.com/#hunter2\""),
        ("salesforce.com\"", "salesforce.com/?key=hunter2"),
        (
            "[sessions.crm]",
            "[http]\nproxy = \"http://me:hunter2@proxy\"\n[sessions.crm]",
        ),
        (
            "[sessions.crm]",
            "[http]\nproxy = \"me:hunter2@proxy:3128\"\n[sessions.crm]",
        ),
        (
            "[sessions.crm]",
            "[http]\nproxy = \"http://proxy/?p=hunter2\"\n[sessions.crm]",
        ),
        (
            "[sessions.crm.login]",
            "[sessions.crm.http]\nproxy = \"me:hunter2@[::1]:3128\"\n[sessions.crm.login]",
        ),
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
        let errors = Home::of(&text)
            .load()
            .err()
            .unwrap_or_else(|| panic!("accepted:\n{text}"));
        let told = format!(
            "{errors}\n{}",
            serde_json::to_string(&errors.list()).unwrap()
        );
        assert!(!told.contains("hunter2"), "{told}");
    }
}
