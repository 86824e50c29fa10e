//! config.example.toml, line by line: its comments are the only description of the keys that there is.

use std::collections::BTreeMap;

/// The text of the example.
pub(crate) const EXAMPLE: &str = include_str!("../../config.example.toml");

/// What a line of the example is.
#[derive(Debug, PartialEq)]
pub(crate) enum Line<'a> {
    /// Nothing.
    Blank,
    /// `[table]`, with what its comment says.
    Table(&'a str, &'a str),
    /// `key = value`, commented out or not, with what its comment says.
    Key(&'a str, &'a str),
    /// Indented text in a comment, whose columns matter.
    Listed(&'a str),
    /// A sentence.
    Prose(&'a str),
}

/// What this line of the example is.
pub(crate) fn line(text: &str) -> Line<'_> {
    if text.trim().is_empty() {
        return Line::Blank;
    }
    let bare = text.trim_start_matches('#');
    if bare.len() < text.len() && bare.starts_with("  ") {
        return Line::Listed(bare.trim());
    }
    let (said, about) = split_comment(bare.trim());
    if said.starts_with('[') && said.ends_with(']') {
        Line::Table(said, about)
    } else if is_setting(said) {
        Line::Key(said, about)
    } else {
        Line::Prose(bare.trim())
    }
}

/// Parts a setting from the comment behind it; a `#` within quotes begins none.
fn split_comment(text: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '#' if !quoted => {
                let (said, about) = text.split_at(at);
                return (said.trim_end(), about.trim_start_matches('#').trim());
            }
            _ => {}
        }
    }
    (text, "")
}

fn is_setting(text: &str) -> bool {
    let is_key = |key: &str| {
        !key.is_empty()
            && key
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    text.split_once(" = ").is_some_and(|(key, _)| is_key(key))
}

/// What the example says of each table, and of each key in it. A table is named as `sessions.NAME.http`, a key by its
/// table and its name.
pub(crate) fn descriptions() -> BTreeMap<(String, &'static str), &'static str> {
    let mut table = String::new();
    let mut said = BTreeMap::new();
    for line in EXAMPLE.lines().map(line) {
        let (key, about) = match line {
            Line::Table(header, about) => {
                table = table_named(header);
                ("", about)
            }
            Line::Key(setting, about) => (setting.split(' ').next().unwrap_or_default(), about),
            Line::Blank | Line::Listed(_) | Line::Prose(_) => continue,
        };
        if !about.is_empty() {
            said.entry((table.clone(), key)).or_insert(about);
        }
    }
    said
}

/// `[[sessions.crm.publish]]` as `sessions.NAME.publish`.
fn table_named(header: &str) -> String {
    let path = header.trim_matches(['[', ']']);
    let mut parts: Vec<&str> = path.split('.').collect();
    if let ["sessions", name, ..] = parts.as_mut_slice() {
        *name = "NAME";
    }
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_line_is_told_apart() {
        for (text, expected) in [
            ("", Line::Blank),
            ("[http]", Line::Table("[http]", "")),
            (
                "# [sessions.crm.access]   # who",
                Line::Table("[sessions.crm.access]", "who"),
            ),
            ("mode = \"0640\"", Line::Key("mode = \"0640\"", "")),
            (
                "# pin = \"a#b\"  # a pin",
                Line::Key("pin = \"a#b\"", "a pin"),
            ),
            (
                "#   { env = \"NAME\" }  from",
                Line::Listed("{ env = \"NAME\" }  from"),
            ),
            ("# Durations: \"90s\".", Line::Prose("Durations: \"90s\".")),
        ] {
            assert_eq!(line(text), expected, "{text}");
        }
    }
}
