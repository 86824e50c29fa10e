//! A record as journald stores it, field by field (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>).

use super::line::{headline, priority, push_escaped};
use super::message_id;
use super::recorder::Record;

/// `NAME=value` lines; values are escaped, so none holds the line feed that would need the binary form.
pub(super) fn entry(record: &Record) -> Vec<u8> {
    let mut entry = format!(
        "PRIORITY={}\nSYSLOG_IDENTIFIER=keepfresh\n",
        priority(record.level)
    );
    entry.push_str("MESSAGE=");
    entry.push_str(&headline(record));
    entry.push('\n');
    if let Some(id) = record.text("event").and_then(message_id::of) {
        entry.push_str("MESSAGE_ID=");
        entry.push_str(id);
        entry.push('\n');
    }
    for (name, value) in &record.fields {
        push_name(&mut entry, name);
        entry.push('=');
        push_escaped(&mut entry, value.text());
        entry.push('\n');
    }
    entry.into_bytes()
}

/// Upper-case letters, digits and underscores, not first (systemd.journal-fields(7)).
fn push_name(entry: &mut String, name: &str) {
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    entry.extend(name.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    }));
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::Timestamp;
    use tracing::Level;

    use super::super::recorder::Value;
    use super::*;

    #[test]
    fn an_entry_has_the_fields_that_people_search_for() {
        assert_eq!(
            String::from_utf8(entry(&record("crm"))).unwrap(),
            format!(
                "PRIORITY=4\nSYSLOG_IDENTIFIER=keepfresh\nMESSAGE=crm: a person is needed generation=7 reason=\"no\"\n\
                 MESSAGE_ID={}\nSESSION=crm\nEVENT=needs_attention\nGENERATION=7\nREASON=no\n",
                message_id::of("needs_attention").unwrap()
            )
        );
    }

    #[test]
    fn no_value_begins_a_field_of_its_own() {
        let mut record = record("crm\nPRIORITY=0\n\u{1b}[2J");
        record.message = "hello\nMESSAGE_ID=0\0\u{2028}".to_owned();
        record.library = Some("x");
        let text = String::from_utf8(entry(&record)).unwrap();
        assert_eq!(text.lines().count(), 8, "{text}");
        assert!(
            !text.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{2028}')),
            "{text:?}"
        );
    }

    pub(in crate::logging) fn record(session: &str) -> Record {
        let text = |text: &str| Value::Text(text.to_owned());
        let fields = vec![
            ("session", text(session)),
            ("event", text("needs_attention")),
            ("generation", Value::Number("7".to_owned())),
            ("reason", text("no")),
        ];
        Record {
            at: Timestamp::UNIX_EPOCH,
            level: Level::WARN,
            library: None,
            message: "a person is needed".to_owned(),
            fields,
        }
    }
}
