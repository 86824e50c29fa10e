//! What editors say of a config, against what the reader says.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use super::mistakes::MISTAKES;
use super::*;
use crate::config::keys::{Keys, Shape};

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    jsonschema::draft7::new(&super::super::schema::schema(None).unwrap()).unwrap()
});

/// What the reader alone can know: by the words of its errors.
const BEYOND_A_SCHEMA: &[&str] = &[
    // Of this machine.
    "there is no provider",
    "there is no user",
    "there is no group",
    "is no time zone",
    "a program must be named by its absolute path",
    // Of what the provider can do, and of other keys.
    "is impossible",
    "would lose the session",
    "cannot be done for this session",
    "takes the token in a header, not in a cookie",
    "plain http would show",
    "asks for {",
    "can be reached from other machines",
    "means nothing on a unix socket",
    "is a file of the session",
    "is the prefix of the session",
    "needs `listen`",
    "says that no file holds the token",
    "cannot both hold",
    "has this socket already",
    "has this port already",
    "which no request's path begins with",
    // In languages of their own.
    "is no template",
    "is no cron line",
    "never falls due",
    "does not fit into a netrc line",
    "names a directory",
    "holds \"..\"",
    "has port 0",
    "is no SHA-256",
    "is no address to listen on",
    "is no URL",
];

/// What may be written under a key, rightly and wrongly.
const VALUES: &[&str] = &[
    "5",
    "-5",
    "640",
    "1.5",
    "true",
    "1979-05-27",
    "\"\"",
    "\"x y\"",
    "\"name\"",
    "\"none\"",
    "\"2h\"",
    "\"1h 30m\"",
    "\"0s\"",
    "\"2x\"",
    "\"-5m\"",
    "\"7200\"",
    "\"0640\"",
    "\"0666\"",
    "\"0o600\"",
    "\"0750\"",
    "\"rw\"",
    "\"50/s\"",
    "\"0/s\"",
    "\"600 / min\"",
    "\"1/day\"",
    "\"/a/file\"",
    "\"~/file\"",
    "\"https://acme.example\"",
    "\"https://acme.example/?a=b\"",
    "[]",
    "[5]",
    "[\"\"]",
    "[\"name\"]",
    "[[]]",
    "[[\"/bin/true\", \"x\"]]",
    "[\"/bin/true\"]",
    "[\"removal\"]",
    "[\"change\", \"attention\"]",
    "[\"55 * * * *\"]",
    "[\"* * *\"]",
    "[\"user:0\"]",
    "[\"alice\"]",
    "{}",
    "{ file = \"/x\" }",
    "{ file = \"/x\", insecure_mode = true }",
    "{ env = \"A\" }",
    "{ env = \"a b\" }",
    "{ credential = \"c\" }",
    "{ credential = \"../c\" }",
    "{ command = [\"/bin/true\"] }",
    "{ command = [] }",
    "{ file = \"/x\", env = \"A\" }",
    "{ insecure_mode = true }",
    "{ fil = \"/x\" }",
];

#[test]
fn editors_and_check_judge_every_value_under_every_key_alike() {
    let mut values: Vec<String> = VALUES.iter().map(|value| (*value).to_owned()).collect();
    each_key("", keys::ROOT, &mut |_, key| {
        if let Shape::OneOf(known) = key.shape {
            values.extend(known().iter().map(|word| format!("\"{word}\"")));
        }
    });
    let mut disagreements = Vec::new();
    let mut judged = 0;
    each_key("", keys::ROOT, &mut |table, key| {
        judged += values.len();
        if let Some(table) = table.strip_prefix(".session") {
            disagreements.extend(disagreements_of_sessions(table, key.name, &values));
        } else {
            let configs = values.iter().map(|value| global(table, key.name, value));
            disagreements.extend(configs.filter_map(|config| disagreement(&config)));
        }
    });
    assert!(judged > 3000, "{judged}");
    assert!(
        disagreements.is_empty(),
        "{}",
        disagreements.join("\n---\n")
    );
}

#[test]
fn editors_see_every_mistake_that_needs_no_more_than_the_config() {
    let disagreements: Vec<String> = MISTAKES
        .iter()
        .filter_map(|(from, to, _)| disagreement(&SHORTEST.replacen(from, to, 1)))
        .collect();
    assert!(
        disagreements.is_empty(),
        "{}",
        disagreements.join("\n---\n")
    );
}

/// Fails where an editor would refuse `config`.
pub(super) fn assert_accepted(config: &str) {
    if let Some(errors) = refusal(config) {
        panic!("the schema refuses it: {errors}\n{config}");
    }
}

/// Where check and schema do not say the same of `config`.
fn disagreement(config: &str) -> Option<String> {
    let checked = load_in(&Home::of(config).main(), &Surroundings::made_up(&[], 0, 0));
    let told = checked
        .err()
        .map(|errors| told(&errors))
        .unwrap_or_default();
    differ(config, &told, refusal(config))
}

/// The same of a session for each of the values under one of its keys. All lie in one config, whose provider is read once.
fn disagreements_of_sessions(table: &str, key: &str, values: &[String]) -> Vec<String> {
    let name = |index: usize| format!("s{index:03}");
    let sessions: Vec<String> = values
        .iter()
        .enumerate()
        .map(|(index, value)| session(&name(index), table, key, value))
        .collect();
    let config = sessions.concat();
    let checked = load_in(&Home::of(&config).main(), &Surroundings::made_up(&[], 0, 0));
    let told = checked
        .err()
        .map(|errors| told(&errors))
        .unwrap_or_default();
    let document: Value = toml::from_str(&config).unwrap();
    let refused: Vec<String> = SCHEMA
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path))
        .collect();
    sessions
        .iter()
        .enumerate()
        .filter_map(|(index, session)| {
            let own = |text: &&String| text.contains(&format!("sessions.{}", name(index)));
            let of_schema =
                |text: &&String| text.starts_with(&format!("/sessions/{}", name(index)));
            let told: Vec<String> = told.iter().filter(own).cloned().collect();
            let refusal: Vec<String> = refused.iter().filter(of_schema).cloned().collect();
            differ(
                session,
                &told,
                (!refusal.is_empty()).then(|| refusal.join("\n")),
            )
        })
        .collect()
}

fn differ(config: &str, told: &[String], refusal: Option<String>) -> Option<String> {
    let within = |text: &&String| !BEYOND_A_SCHEMA.iter().any(|words| text.contains(words));
    match refusal {
        Some(refusal) if told.is_empty() => {
            Some(format!("only the schema refuses:\n{config}\n{refusal}"))
        }
        None if told.iter().any(|text| within(&text)) => Some(format!(
            "only check refuses:\n{config}\n{}",
            told.join("\n")
        )),
        Some(_) | None => None,
    }
}

fn told(errors: &ConfigErrors) -> Vec<String> {
    errors.list().iter().map(ToString::to_string).collect()
}

/// What the schema has against it; a text that is no TOML is refused before.
fn refusal(config: &str) -> Option<String> {
    let document: Value = match toml::from_str(config) {
        Ok(document) => document,
        Err(error) => return Some(error.to_string()),
    };
    let errors: Vec<String> = SCHEMA
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path))
        .collect();
    (!errors.is_empty()).then(|| errors.join("\n"))
}

/// Every key that is no table, with the path of its table.
fn each_key(path: &str, keys: Keys, see: &mut impl FnMut(&str, &keys::Key)) {
    for key in keys {
        let inner = format!("{path}.{}", key.name);
        match key.shape {
            Shape::Table(keys) | Shape::Tables(keys) => each_key(&inner, keys, see),
            Shape::Sessions(keys) => each_key(".session", keys, see),
            Shape::Login | Shape::Provider => {}
            Shape::Text
            | Shape::Line
            | Shape::Path
            | Shape::Url
            | Shape::WebAddress
            | Shape::Duration
            | Shape::DurationOrNone
            | Shape::Mode
            | Shape::PublishedMode
            | Shape::Rate
            | Shape::Flag
            | Shape::Proxy
            | Shape::Listen
            | Shape::Loopback
            | Shape::SocketName
            | Shape::HeaderName
            | Shape::Methods
            | Shape::RequestPaths
            | Shape::Pin
            | Shape::VariableName
            | Shape::CredentialName
            | Shape::Account
            | Shape::OneOf(_)
            | Shape::HostNames
            | Shape::CronLines
            | Shape::Principals
            | Shape::Several(_)
            | Shape::Argv
            | Shape::Commands
            | Shape::Secret
            | Shape::SecretOrUrl => see(path, key),
        }
    }
}

/// A config with `key = value` in a table that is no session's, and with what that table needs.
fn global(table: &str, key: &str, value: &str) -> String {
    let needs: &[(&str, &str)] = match table {
        ".metrics" => &[("listen", "\"127.0.0.1:9464\"")],
        ".alerts" => &[("on_attention", "[[\"/bin/true\"]]")],
        ".alerts.webhook" => &[("format", "\"json\""), ("url", "{ file = \"/u\" }")],
        _ => &[],
    };
    let header = match table {
        ".alerts.webhook" => "[[alerts.webhook]]".to_owned(),
        _ => format!("[{}]", table.trim_start_matches('.')),
    };
    format!("{header}\n{}", filled(needs, key, value))
}

/// A session with `key = value` in one of its tables, and with what that table needs.
fn session(name: &str, table: &str, key: &str, value: &str) -> String {
    let file = format!("\"{name}\"");
    let needs: &[(&str, &str)] = match table {
        "" => &[("url", "\"https://acme.my.salesforce.com\"")],
        ".publish" => &[("file", &file)],
        ".hook" => &[("on", "[\"change\"]"), ("command", "[\"/bin/true\"]")],
        _ => &[],
    };
    let lines = filled(needs, key, value);
    let session = SHORTEST.replace("sessions.crm", &format!("sessions.{name}"));
    match table {
        "" => session.replace("url = \"https://acme.my.salesforce.com\"\n", &lines),
        ".publish" | ".hook" => format!("{session}[[sessions.{name}{table}]]\n{lines}"),
        _ => format!("{session}[sessions.{name}{table}]\n{lines}"),
    }
}

fn filled(needs: &[(&str, &str)], key: &str, value: &str) -> String {
    let lines: Vec<String> = needs
        .iter()
        .filter(|(needed, _)| *needed != key)
        .chain([&(key, value)])
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect();
    lines.concat()
}
