//! The marks of the timeline, for terminals that show Unicode and for those that do not.

use std::env;

/// One mark for each thing that can stand on the line.
#[derive(Debug)]
pub(super) struct Glyphs {
    pub(super) ahead: &'static str,
    pub(super) good: &'static str,
    pub(super) without: &'static str,
    pub(super) deadline: &'static str,
    pub(super) now: &'static str,
    pub(super) next: &'static str,
    pub(super) ping: &'static str,
    pub(super) introspection: &'static str,
    pub(super) renewal: &'static str,
    pub(super) login: &'static str,
    pub(super) logout: &'static str,
    pub(super) failure: &'static str,
    pub(super) loss: &'static str,
    /// Before a session's name.
    pub(super) bullet: &'static str,
    /// Between two facts.
    pub(super) dot: &'static str,
    /// Before what a person must do.
    pub(super) arrow: &'static str,
}

pub(super) const UNICODE: Glyphs = Glyphs {
    ahead: "╌",
    good: "─",
    without: "┄",
    deadline: "┤",
    now: "│",
    next: "○",
    ping: "•",
    introspection: "∘",
    renewal: "◆",
    login: "▲",
    logout: "▽",
    failure: "!",
    loss: "✖",
    bullet: "●",
    dot: "·",
    arrow: "→",
};

pub(super) const ASCII: Glyphs = Glyphs {
    ahead: ".",
    good: "-",
    without: " ",
    deadline: "]",
    now: "|",
    next: "o",
    ping: "*",
    introspection: "i",
    renewal: "R",
    login: "L",
    logout: "E",
    failure: "!",
    loss: "X",
    bullet: "*",
    dot: "-",
    arrow: "->",
};

/// Those that the locale can show; where no locale is set, most terminals show Unicode all the same.
pub(super) fn of_locale() -> &'static Glyphs {
    let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
    match ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set) {
        Some(locale) if !shows_unicode(&locale) => &ASCII,
        Some(_) | None => &UNICODE,
    }
}

fn shows_unicode(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_says_what_the_terminal_shows() {
        for (locale, unicode) in
            [("C.UTF-8", true), ("de_AT.utf8", true), ("C", false), ("POSIX", false), ("de_AT.ISO-8859-1", false)]
        {
            assert_eq!(shows_unicode(locale), unicode, "{locale}");
        }
    }
}
