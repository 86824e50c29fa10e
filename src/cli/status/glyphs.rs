//! The marks of the timeline, for terminals that show Unicode and for those that do not.

use std::borrow::Cow;
use std::env;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::line;

/// One mark for each thing that can be on the line.
#[derive(Debug)]
pub(in crate::cli) struct Glyphs {
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
    /// Before the name of the session that Enter opens.
    pub(super) chosen: &'static str,
    /// Where something was cut off.
    pub(super) cut: &'static str,
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
    chosen: "▶",
    cut: "…",
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
    chosen: ">",
    cut: "...",
};

impl Glyphs {
    /// `text` as the terminal can show it, as wide as it was.
    pub(in crate::cli) fn shown<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.cut == UNICODE.cut || text.is_ascii() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(text.chars().map(in_ascii).collect())
    }

    /// `text` in at most `width` columns, with a mark in the middle where it was cut: names often differ at their end alone.
    pub(in crate::cli) fn shortened(&self, text: &str, width: usize) -> String {
        if text.width() <= width {
            return text.to_owned();
        }
        let room = width.saturating_sub(self.cut.width());
        let end = line::cut_from_the_end(text, room.div_ceil(2));
        let begin = line::cut(text, room - end.width());
        format!("{begin}{}{end}", line::cut(self.cut, width))
    }
}

fn in_ascii(character: char) -> Cow<'static, str> {
    match character {
        '\u{201c}' | '\u{201d}' | '\u{201e}' => "\"".into(),
        '\u{2018}' | '\u{2019}' => "'".into(),
        '\u{2010}'..='\u{2015}' => "-".into(),
        '\u{2026}' => ".".into(),
        _ if character.is_ascii() => character.to_string().into(),
        _ => "?".repeat(character.width().unwrap_or(0)).into(),
    }
}

/// Those that the locale can show; where no locale is set, most terminals show Unicode all the same.
pub(in crate::cli) fn of_locale() -> &'static Glyphs {
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
    fn without_unicode_everything_is_ascii_and_as_wide_as_before() {
        let text = "the server said “nö — 語” … ok";
        let shown = ASCII.shown(text);
        assert_eq!(shown, "the server said \"n? - ??\" . ok");
        assert_eq!(shown.width(), text.width());
        assert_eq!(UNICODE.shown(text), text);
        let marks = [
            ASCII.ahead,
            ASCII.good,
            ASCII.now,
            ASCII.chosen,
            ASCII.cut,
            ASCII.bullet,
        ];
        assert!(marks.concat().is_ascii());
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(UNICODE.shortened("integration", 8), "int…tion");
        assert_eq!(ASCII.shortened("integration", 8), "in...ion");
        let alike = ["session-036", "session-045"].map(|name| UNICODE.shortened(name, 6));
        assert_eq!(alike, ["se…036", "se…045"], "they stay apart");
        assert_eq!(UNICODE.shortened("語語語e\u{301}", 4), "語…e\u{301}");
        assert_eq!(UNICODE.shortened("crm", 3), "crm");
        assert_eq!(
            (
                ASCII.shortened("crm", 2).as_str(),
                ASCII.shortened("crm", 0).as_str()
            ),
            ("..", "")
        );
    }

    #[test]
    fn the_locale_says_what_the_terminal_shows() {
        for (locale, unicode) in [
            ("C.UTF-8", true),
            ("de_AT.utf8", true),
            ("C", false),
            ("POSIX", false),
            ("de_AT.ISO-8859-1", false),
        ] {
            assert_eq!(shows_unicode(locale), unicode, "{locale}");
        }
    }
}
