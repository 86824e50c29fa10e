//! keepfresh(5): the example config, set as a page. Its comments are the only description of the keys that there is.

use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::config::example::{EXAMPLE, Line, line};

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

#[cfg(test)]
mod tests {
    use super::*;

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
