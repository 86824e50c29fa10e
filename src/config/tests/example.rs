//! The example config against the keys that are known.

use super::*;

#[test]
fn the_example_is_a_good_config_that_names_every_key() {
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml")).unwrap();
    let config = Home::of(&text)
        .load()
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.warnings, Vec::<String>::new());
    let tables = [
        keys::DAEMON,
        keys::SOCKET,
        keys::HTTP,
        keys::WEBHOOK,
        keys::KEEPALIVE,
        keys::PUBLISH,
        keys::SESSION_HTTP,
        keys::ACCESS,
    ];
    for key in tables.into_iter().flatten() {
        let key = key.name;
        assert!(
            text.lines().any(|line| names(line, key)),
            "`{key}` is not in config.example.toml"
        );
    }
    for key in keys::SESSION.iter().map(|key| key.name) {
        let table = [
            format!("[sessions.crm.{key}]"),
            format!("[[sessions.crm.{key}]]"),
        ];
        let shown = text.lines().any(|line| names(line, key))
            || table.iter().any(|table| text.contains(table));
        assert!(shown, "`{key}` is not in config.example.toml");
    }
    for key in keys::SECRET.iter().map(|key| key.name) {
        assert!(
            text.contains(&format!("{key} = ")),
            "`{key}` is not in config.example.toml"
        );
    }
}

#[test]
fn every_commented_key_of_the_example_is_known() {
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml")).unwrap();
    let alternatives = [
        "ping_every",
        "routing_key",
        "owner",
        "group",
        "ca_file",
        "allow",
        "only",
        "who",
        "password",
        "security_token",
        "refresh_token",
        "redirect_uri",
        "authorization_query",
    ];
    let uncommented: String = text
        .lines()
        .filter(|line| {
            !alternatives
                .iter()
                .any(|key| line.starts_with(&format!("# {key} ")))
        })
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if is_key_line(rest) || rest.contains("sessions.crm.gateway") => {
                format!("{rest}\n")
            }
            Some(_) | None => format!("{line}\n"),
        })
        .collect();
    let uncommented = uncommented.replacen(
        "private_key = { file = \"/run/secrets/key\", insecure_mode = true }",
        "",
        1,
    );
    Home::of(&uncommented)
        .load()
        .unwrap_or_else(|errors| panic!("{errors}"));
}

fn is_key_line(line: &str) -> bool {
    line.split_once(" = ").is_some_and(|(key, _)| {
        key.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    }) && !line.contains("takes")
}

fn names(line: &str, key: &str) -> bool {
    line.trim_start_matches("# ")
        .starts_with(&format!("{key} = "))
}
