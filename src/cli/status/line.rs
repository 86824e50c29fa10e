//! A line of the screen: pieces of text with their styles, as wide as a terminal will show them.

use std::fmt::Write as _;

use clap::builder::styling::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::glyphs::Glyphs;

/// What the terminal shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) colour: bool,
    pub(super) glyphs: &'static Glyphs,
}

/// Pieces of text, one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Vec<(Style, String)>);

impl Line {
    /// A line of one piece.
    pub(super) fn of(style: Style, text: &str) -> Self {
        Self::default().then(style, text)
    }

    /// The same with another piece; what could steer the terminal is shown as a mark.
    #[must_use]
    pub(super) fn then(mut self, style: Style, text: &str) -> Self {
        let text = text
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        self.0.push((style, text));
        self
    }

    /// The same with the pieces of another.
    #[must_use]
    pub(super) fn join(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Spaces up to this column, at least one after text that reaches it.
    #[must_use]
    pub(super) fn pad_to(self, column: usize) -> Self {
        let gap = column.saturating_sub(self.width()).max(1);
        self.then(Style::new(), &" ".repeat(gap))
    }

    /// `right` at the right end of `width` columns; left out where it would touch.
    #[must_use]
    pub(super) fn with_right(self, right: Self, width: usize) -> Self {
        if self.width() + right.width() + 2 > width {
            return self;
        }
        let column = width - right.width();
        self.pad_to(column).join(right)
    }

    pub(super) fn ends_with(&self, end: char) -> bool {
        self.0.last().is_some_and(|(_, text)| text.ends_with(end))
    }

    /// In columns.
    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.width()).sum()
    }

    /// As bytes for the terminal, cut where it ends.
    pub(super) fn render(&self, width: usize, look: Look) -> String {
        let mark = cut(look.glyphs.cut, width);
        let mut left = if self.width() > width {
            width.saturating_sub(mark.width())
        } else {
            width
        };
        let mut text = String::new();
        for (style, piece) in &self.0 {
            let style = if look.colour { *style } else { Style::new() };
            let shown = cut(piece, left);
            let is_cut = shown.len() < piece.len();
            let end = if is_cut { mark } else { "" };
            let _ = write!(text, "{style}{}{end}{style:#}", look.glyphs.shown(shown));
            left -= shown.width();
            if is_cut {
                break;
            }
        }
        text
    }
}

/// As much of `text` as fits into `width` columns.
pub(super) fn cut(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (index, character) in text.char_indices() {
        used += character.width().unwrap_or(0);
        if used > width {
            return text.get(..index).unwrap_or_default();
        }
    }
    text
}

/// As much of the end of `text` as fits into `width` columns.
pub(super) fn cut_from_the_end(text: &str, width: usize) -> &str {
    let mut used = 0;
    let mut begin = text.len();
    for (index, character) in text.char_indices().rev() {
        let columns = character.width().unwrap_or(0);
        used += columns;
        if used > width {
            break;
        }
        // A mark that is put upon the character before it goes with that one.
        if columns > 0 {
            begin = index;
        }
    }
    text.get(begin..).unwrap_or_default()
}

/// Where a word goes that is longer than a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LongWord {
    /// Over the end of the line: the terminal breaks it, and whoever copies it gets it whole.
    Whole,
    /// Onto the next line: beyond its end nothing is shown.
    Broken,
}

/// `text` in lines of at most `width` columns, broken at spaces: not within a command, nor between a number and its unit.
pub(super) fn wrapped(text: &str, width: usize, long: LongWord) -> Vec<String> {
    let mut lines = vec![String::new()];
    for unit in units(text, width) {
        let Some(last) = lines.last_mut() else { break };
        if last.is_empty() {
            last.push_str(&unit);
        } else if last.width() + 1 + unit.width() <= width {
            last.push(' ');
            last.push_str(&unit);
        } else {
            lines.push(unit);
        }
        // Nobody copies what is written without spaces, as Japanese is.
        let breaks = long == LongWord::Broken || lines.last().is_some_and(|last| is_wide(last));
        while let Some(rest) = lines.last_mut().filter(|_| breaks).and_then(|last| {
            let end = end_of_line(last, width)?;
            Some(last.split_off(end))
        }) {
            lines.push(rest);
        }
    }
    lines
}

/// Words, and words that belong together where they fit into one line.
fn units(text: &str, width: usize) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut units = Vec::new();
    let mut rest = words.as_slice();
    while let [first, others @ ..] = rest {
        let count = together(first, others);
        let unit = rest.get(..count).unwrap_or_default().join(" ");
        if unit.width() <= width {
            units.push(unit);
            rest = rest.get(count..).unwrap_or_default();
        } else {
            units.push((*first).to_owned());
            rest = others;
        }
    }
    units
}

/// How many words, with the first, are one: `keepfresh login crm` between backticks, or `19 h`.
fn together(first: &str, others: &[&str]) -> usize {
    let opens = |word: &str| word.matches('`').count() % 2 == 1;
    if opens(first) {
        return others
            .iter()
            .position(|word| opens(word))
            .map_or(1, |end| end + 2);
    }
    let is_number = |word: &str| {
        let digits = word.trim_start_matches('(');
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_unit = |word: &&str| {
        let letters = word.trim_end_matches([',', ')', '.', ';', ':']);
        letters.len() <= LONGEST_UNIT && letters.bytes().all(|byte| byte.is_ascii_lowercase())
    };
    1 + usize::from(is_number(first) && others.first().is_some_and(is_unit))
}

/// `days`.
const LONGEST_UNIT: usize = 4;

fn is_wide(text: &str) -> bool {
    text.chars().any(|character| character.width() == Some(2))
}

/// Where a line that is too long ends: behind a mark as paths and addresses have, if there is one in its second half.
fn end_of_line(text: &str, width: usize) -> Option<usize> {
    if text.width() <= width {
        return None;
    }
    let fits = cut(text, width);
    let mark = fits
        .rfind(['/', '@', '.', '-', '_', ',', '?', '&', '=', ' '])
        .map(|index| index + 1)
        .filter(|end| 2 * end > fits.len());
    Some(mark.unwrap_or(fits.len())).filter(|end| *end > 0)
}

#[cfg(test)]
mod tests {
    use clap::builder::styling::AnsiColor;

    use super::*;
    use crate::cli::status::glyphs;

    const PLAIN: Look = Look {
        colour: false,
        glyphs: &glyphs::UNICODE,
    };
    const COLOUR: Look = Look {
        colour: true,
        ..PLAIN
    };

    #[test]
    fn a_line_is_cut_where_the_terminal_ends() {
        let line = Line::of(Style::new(), "session").then(Style::new(), " of 語語");
        for (width, shown) in [
            (20, "session of 語語"),
            (15, "session of 語語"),
            (14, "session of 語…"),
            (13, "session of …"),
            (8, "session…"),
            (7, "sessio…"),
            (1, "…"),
            (0, ""),
        ] {
            assert_eq!(line.render(width, PLAIN), shown, "{width}");
        }
    }

    #[test]
    fn colour_ends_where_its_piece_ends() {
        let line = Line::of(AnsiColor::Green.on_default(), "alive").then(Style::new(), " now");
        assert_eq!(line.render(9, COLOUR), "\x1b[32malive\x1b[0m now");
        assert_eq!(line.render(4, COLOUR), "\x1b[32mali…\x1b[0m");
        assert_eq!(line.render(9, PLAIN), "alive now");
    }

    #[test]
    fn nothing_that_a_server_says_steers_the_terminal() {
        assert_eq!(
            Line::of(Style::new(), "a\x1b[2Jb\r\n").render(20, COLOUR),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn a_line_without_unicode_is_cut_by_dots() {
        let ascii = Look {
            colour: false,
            glyphs: &glyphs::ASCII,
        };
        let line = Line::of(Style::new(), "the server said “no”");
        for (width, shown) in [
            (20, "the server said \"no\""),
            (19, "the server said ..."),
            (2, ".."),
        ] {
            assert_eq!(line.render(width, ascii), shown, "{width}");
        }
    }

    #[test]
    fn text_is_broken_at_spaces() {
        assert_eq!(
            wrapped("the server refused  the login", 12, LongWord::Whole),
            ["the server", "refused the", "login"]
        );
        assert_eq!(
            wrapped("incomprehensibilities", 5, LongWord::Whole),
            ["incomprehensibilities"]
        );
    }

    #[test]
    fn a_command_and_a_number_with_its_unit_stay_on_one_line() {
        let told = |text, width| wrapped(text, width, LongWord::Whole);
        assert_eq!(
            told("to do: run `keepfresh login crm` now", 24),
            ["to do: run", "`keepfresh login crm`", "now"]
        );
        assert_eq!(
            told("run `keepfresh login crm` now", 12),
            ["run", "`keepfresh", "login crm`", "now"],
            "where it does not fit it is broken as the rest is"
        );
        assert_eq!(
            told("one ` alone is text", 10),
            ["one `", "alone is", "text"]
        );
        assert_eq!(
            told("it ends in 19 h 26 min", 14),
            ["it ends in", "19 h 26 min"]
        );
        assert_eq!(told("(for 1 day)", 6), ["(for", "1 day)"]);
    }

    #[test]
    fn a_word_longer_than_the_line_is_broken_where_the_rest_would_not_be_seen() {
        let told = |text, width| wrapped(text, width, LongWord::Broken);
        assert_eq!(
            told("at /run/keepfresh/tokens/crm now", 16),
            ["at", "/run/keepfresh/", "tokens/crm now"]
        );
        assert_eq!(told("incomprehensible", 7), ["incompr", "ehensib", "le"]);
        let japanese = wrapped("ログインを拒否しました。 ok", 9, LongWord::Whole);
        assert_eq!(japanese, ["ログイン", "を拒否し", "ました。", "ok"]);
        assert_eq!(told("語", 1), ["語"], "there must be an end");
    }
}
