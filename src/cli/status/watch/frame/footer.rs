//! The last lines: what the marks mean, and which keys there are.

use clap::builder::styling::Style;

use super::{Body, ROOMY, Size, View};
use crate::cli::status::glyphs::Glyphs;
use crate::cli::status::line::Line;
use crate::cli::status::phrases::{BOLD, DIM};

/// So wide are the keys at most, with the part of the rows that is shown.
const KEYS: usize = 50;

/// Whether the marks are explained above the keys: beside them there is no room, and the screen is high enough.
pub(super) fn legend_needs_a_line(view: &View<'_>, size: Size) -> bool {
    let legend = Line::of(DIM, &legend(view.glyphs)).width();
    size.rows >= 2 * ROOMY && legend <= size.columns && legend + 2 + KEYS > size.columns
}

/// As much as there is room for in so many lines; the keys before the marks.
pub(super) fn footer(view: &View<'_>, body: &Body, columns: usize, lines: usize) -> Vec<Line> {
    let legend = if body.strips {
        Line::of(DIM, &legend(view.glyphs))
    } else {
        Line::default()
    };
    let keys = keys(view, body, columns);
    if lines > 1 {
        return vec![legend, at_the_end(keys, columns)];
    }
    let both = legend.width() + 2 + keys.width() <= columns;
    if both {
        vec![legend.with_right(keys, columns)]
    } else {
        vec![at_the_end(keys, columns)]
    }
}

fn at_the_end(keys: Line, columns: usize) -> Line {
    if keys.width() + 2 > columns {
        keys
    } else {
        Line::default().with_right(keys, columns)
    }
}

fn keys(view: &View<'_>, body: &Body, columns: usize) -> Line {
    let part = body
        .part
        .map(|(first, last, total)| format!("{first}-{last} of {total}  "))
        .unwrap_or_default();
    if view.desk.typing {
        let filter = Line::of(BOLD, &format!("/{}", view.desk.filter)).then(Style::new(), "_");
        return filter.with_right(Line::of(DIM, "Enter keeps it  Esc clears it"), columns);
    }
    let keys: [&str; 3] = match (view.keys, view.desk.open, view.sessions.is_empty()) {
        (false, _, _) => ["", "", ""],
        (true, true, _) => [
            "arrows scroll  Esc back  q quits",
            "Esc back  q quits",
            "Esc q",
        ],
        (true, false, true) => ["q quits", "q quits", "q"],
        (true, false, false) => [
            "Enter details  / filters  q quits",
            "Enter  /  q quits",
            "Enter / q",
        ],
    };
    let filter = if view.desk.filter.is_empty() {
        String::new()
    } else {
        format!("/{}  ", view.desk.filter)
    };
    let lines = keys.map(|keys| Line::of(BOLD, &filter).then(DIM, &part).then(DIM, keys));
    let [.., shortest] = &lines;
    lines
        .iter()
        .find(|line| line.width() + 2 <= columns)
        .unwrap_or(shortest)
        .clone()
}

fn legend(glyphs: &Glyphs) -> String {
    let Glyphs {
        ping,
        renewal,
        login,
        loss,
        failure,
        next,
        deadline,
        ..
    } = glyphs;
    format!(
        "{ping} ping {renewal} renewal {login} login {loss} loss {failure} failed {next} next {deadline} end"
    )
}
