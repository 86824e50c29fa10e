//! A record as one line: nothing that a server sent can begin another line or move a terminal's cursor.

use std::fmt::Write as _;

use tracing::Level;

use super::recorder::{Record, Value};

/// How a line on stderr looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `<6>` first, which journald takes off and stores as the priority (sd-daemon(3)); it knows the time itself.
    Priority,
    /// RFC 3339 in UTC and the level first.
    Time,
    /// One JSON object.
    Json,
}

/// The record with its line's end.
pub(super) fn render(record: &Record, style: Style) -> String {
    let mut line = match style {
        Style::Priority => format!("<{}>", priority(record.level)),
        Style::Time => format!("{:.3} {:>5} ", record.at, record.level),
        Style::Json => return json(record),
    };
    if let Some(library) = record.library {
        push_escaped(&mut line, library);
        line.push_str(": ");
    }
    push_escaped(&mut line, &record.message);
    for (name, value) in &record.fields {
        push_field(&mut line, name, value);
    }
    line.push('\n');
    line
}

/// The message as the journal shows it: the session first, and behind it what the message alone does not say.
pub(super) fn headline(record: &Record) -> String {
    let mut line = String::new();
    if let Some(who) = record.text("session").or(record.library) {
        push_escaped(&mut line, who);
        line.push_str(": ");
    }
    push_escaped(&mut line, &record.message);
    for (name, value) in record
        .fields
        .iter()
        .filter(|(name, _)| !["session", "event"].contains(name))
    {
        push_field(&mut line, name, value);
    }
    line
}

/// The syslog priority (RFC 5424, section 6.2.1) of a level: a WARN wants a person, an INFO is for the record.
pub(super) fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Appends `text` with controls made visible, and with them what reorders or breaks lines on a terminal.
pub(super) fn push_escaped(line: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else if is_hidden(c) {
            line.extend(c.escape_unicode());
        } else {
            line.push(c);
        }
    }
}

/// A server's words in a line of the log, for `crate::fuzz`.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let fields = vec![
        ("detail", Value::Text(text.clone())),
        ("error", Value::Shown(text.clone())),
    ];
    let record = Record {
        at: jiff::Timestamp::UNIX_EPOCH,
        level: Level::INFO,
        library: None,
        message: text,
        fields,
    };
    for style in [Style::Priority, Style::Time, Style::Json] {
        let line = render(&record, style);
        let line = line.strip_suffix('\n').unwrap_or_default();
        assert!(
            !line.is_empty()
                && !line
                    .chars()
                    .any(|char| char.is_control() || is_hidden(char)),
            "{line:?}"
        );
    }
    assert!(!headline(&record).contains('\n'));
}

fn is_hidden(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn push_field(line: &mut String, name: &str, value: &Value) {
    line.push(' ');
    line.push_str(name);
    line.push('=');
    match value {
        // Quoting escapes controls as well.
        Value::Text(text) => push_escaped(line, &format!("{text:?}")),
        Value::Shown(text) | Value::Number(text) => push_escaped(line, text),
    }
}

fn json(record: &Record) -> String {
    let mut line = format!(
        r#"{{"timestamp":"{:.3}","level":"{}""#,
        record.at, record.level
    );
    if let Some(library) = record.library {
        push_member(&mut line, "library", library);
    }
    push_member(&mut line, "message", &record.message);
    for (name, value) in &record.fields {
        match value {
            Value::Number(number) => {
                let _ = write!(line, ",\"{name}\":{number}");
            }
            Value::Text(text) | Value::Shown(text) => push_member(&mut line, name, text),
        }
    }
    line.push_str("}\n");
    line
}

/// `,"name":"text"`; beyond what JSON itself demands, nothing stays raw that a terminal acts on.
fn push_member(line: &mut String, name: &str, text: &str) {
    let _ = write!(line, ",\"{name}\":");
    for c in serde_json::Value::from(text).to_string().chars() {
        if c.is_control() || is_hidden(c) {
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        } else {
            line.push(c);
        }
    }
}
