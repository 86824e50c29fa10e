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

/// `text` in lines of at most `width` columns, broken at spaces; a word that is longer is cut by the screen.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(last) = lines.last_mut() else { break };
        if last.is_empty() {
            last.push_str(word);
        } else if last.width() + 1 + word.width() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
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
            wrapped("the server refused  the login", 12),
            ["the server", "refused the", "login"]
        );
        assert_eq!(
            wrapped("incomprehensibilities", 5),
            ["incomprehensibilities"]
        );
    }
}
