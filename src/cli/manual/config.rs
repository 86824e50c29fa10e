//! keepfresh(5): the example config, set as a page. Its comments are the only description of the keys that there is.

use clap_mangen::roff::{Inline, Roff, bold, roman};

const EXAMPLE: &str = include_str!("../../../config.example.toml");

/// What a line of the example is.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    Blank,
    /// `[table]`, with what its comment says.
    Table(&'a str, &'a str),
    /// `key = value`, commented out or not, with what its comment says.
    Key(&'a str, &'a str),
    /// Indented text in a comment, whose columns matter.
    Listed(&'a str),
    Prose(&'a str),
}

/// The page, in roff.
pub(super) fn page() -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]);
    roff.text([roman(
        "keepfresh - the configuration of the keepfresh daemon",
    )]);
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([roman(
        "/etc/keepfresh/config.toml, /etc/keepfresh/conf.d/*.toml",
    )]);
    roff.control("SH", ["DESCRIPTION"]);
    let mut lines = EXAMPLE.lines().map(line);
    let preface: Vec<Line<'_>> = lines
        .by_ref()
        .take_while(|line| *line != Line::Blank)
        .collect();
    set(&mut roff, &preface);
    roff.control("SH", ["KEYS"]);
    set(&mut roff, &lines.collect::<Vec<_>>());
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("keepfresh(1), keepfresh-check(1), systemd.exec(5)")]);
    format!(
        "{}{}",
        super::title("keepfresh", "5", "File Formats"),
        roff.to_roff()
    )
}

fn set(roff: &mut Roff, lines: &[Line<'_>]) {
    let mut listing = false;
    for line in lines {
        let listed = matches!(line, Line::Listed(_));
        if listed != listing {
            roff.control(if listed { "EX" } else { "EE" }, []);
            listing = listed;
        }
        match line {
            Line::Blank => {}
            Line::Table(header, about) => {
                roff.control("SS", [*header]);
                roff.text(prose(about));
            }
            Line::Key(setting, about) => {
                roff.control("TP", []);
                roff.text([bold(*setting)]);
                roff.text([roman(*about)]);
            }
            Line::Listed(text) => {
                roff.text([roman(*text)]);
            }
            Line::Prose(text) => {
                roff.control("PP", []);
                roff.text(prose(text));
            }
        }
    }
    if listing {
        roff.control("EE", []);
    }
}

fn prose(text: &str) -> Vec<Inline> {
    if text.is_empty() {
        Vec::new()
    } else {
        vec![roman(text)]
    }
}

fn line(text: &str) -> Line<'_> {
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

    #[test]
    fn the_page_holds_every_setting_of_the_example() {
        let page = page();
        let settings: Vec<&str> = EXAMPLE
            .lines()
            .filter_map(|text| match line(text) {
                Line::Key(setting, _) => setting.split(' ').next(),
                Line::Blank | Line::Table(..) | Line::Listed(_) | Line::Prose(_) => None,
            })
            .collect();
        assert!(settings.len() > 50, "{}", settings.len());
        for setting in settings {
            assert!(page.contains(&format!("\\fB{setting}")), "{setting}");
        }
    }
}
