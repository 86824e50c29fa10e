//! What a server chose, in every format, for `crate::fuzz`: no value begins a line, a field or a variable of its own.

use std::sync::Arc;

use jiff::Timestamp;

use super::render;
use crate::named::Named;
use crate::publish::{Format, Template};
use crate::secret::Secret;
use crate::token::{Capture, Published, Token};

/// Whether a file of one format says nothing but what it should.
type Fits = fn(&str) -> bool;

/// The token, a header's value, cookies, a capture, the instance URL and the base, a line each; a vertical tab stands for
/// the end of a line within one.
pub(crate) fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut values = text.split('\n').map(|value| value.replace('\u{b}', "\n"));
    let [token, header, cookies, capture, instance, base] =
        std::array::from_fn(|_| values.next().unwrap_or_default());
    let token = Token {
        access_token: Secret::new(token),
        token_type: "Bearer".into(),
        instance_url: Some(instance),
        captures: Named::from([(
            "id",
            Capture {
                value: Secret::new(capture),
                public: true,
            },
        )]),
        issued_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    };
    let headers = vec![
        ("Authorization".into(), Secret::new(header)),
        ("Cookie".into(), Secret::new(cookies)),
    ];
    let published = Published {
        session: "crm".into(),
        generation: 7,
        token: Arc::new(token),
        headers,
        base,
    };
    let shapes: [(Format, Fits); 5] = [
        (
            Format::Env {
                prefix: "CRM".into(),
            },
            is_env,
        ),
        (Format::Header, is_header),
        (Format::Cookies, is_jar),
        (Format::Netrc { login: "me".into() }, is_netrc),
        (Format::Json, is_json),
    ];
    for (format, fits) in shapes {
        hold(&published, &format, fits);
    }
    if let Ok(template) = Template::parse("{token} {id} {instance_url}\n", &["id"]) {
        hold(&published, &Format::Template(template), |text| {
            text.find('\n') == text.len().checked_sub(1)
        });
    }
}

fn hold(published: &Published, format: &Format, fits: Fits) {
    if let Ok(written) = render(published, format) {
        let text = String::from_utf8_lossy(&written);
        assert!(fits(&text), "{format:?}: {text:?}");
    }
}

fn is_env(text: &str) -> bool {
    let lines: Vec<&str> = text.split_terminator('\n').collect();
    let assigned = |line: &&str, name: &str| {
        let value = line
            .strip_prefix(name)
            .and_then(|value| value.strip_prefix('='))
            .unwrap_or("'");
        let quoted = value
            .strip_prefix('\'')
            .and_then(|value| value.strip_suffix('\''));
        match quoted {
            Some(value) => !value.contains(['\'', '\\', '\r']),
            None => value
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"'\"\\$`#;&|<>()*?[]{}~^".contains(&byte)),
        }
    };
    let [token, url, generation] = lines.as_slice() else {
        return false;
    };
    assigned(token, "CRM_TOKEN")
        && assigned(url, "CRM_INSTANCE_URL")
        && *generation == "CRM_GENERATION=7"
}

fn is_header(text: &str) -> bool {
    let names: Vec<Option<&str>> = text
        .split_terminator('\n')
        .map(|line| line.split(": ").next())
        .collect();
    names == [Some("Authorization"), Some("Cookie")] && !text.contains('\r')
}

fn is_jar(text: &str) -> bool {
    let mut lines = text.split_terminator('\n');
    lines.next() == Some("# Netscape HTTP Cookie File")
        && lines.all(|line| line.split('\t').count() == 7)
}

fn is_netrc(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [machine, _, login, me, password, _] = words.as_slice() else {
        return false;
    };
    [*machine, *login, *me, *password] == ["machine", "login", "me", "password"]
        && text.lines().count() == 1
}

fn is_json(text: &str) -> bool {
    let read = serde_json::from_str::<serde_json::Value>(text);
    read.is_ok_and(|value| value.get("session").is_some_and(|session| session == "crm"))
}
