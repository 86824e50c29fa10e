//! The last line: what the marks mean, and which keys there are.

use clap::builder::styling::Style;

use super::{Body, View};
use crate::cli::status::glyphs::Glyphs;
use crate::cli::status::line::Line;
use crate::cli::status::phrases::{BOLD, DIM};

/// As much of it as there is room for; the keys before the marks.
pub(super) fn footer(view: &View<'_>, body: &Body, columns: usize) -> Line {
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
    let keys = lines
        .iter()
        .find(|line| line.width() + 2 <= columns)
        .unwrap_or(shortest)
        .clone();
    let legend = if body.strips {
        legend(view.glyphs)
    } else {
        String::new()
    };
    let legend = Line::of(DIM, &legend);
    let legend = if legend.width() + keys.width() + 2 > columns {
        Line::default()
    } else {
        legend
    };
    if keys.width() + 2 > columns {
        keys
    } else {
        legend.with_right(keys, columns)
    }
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
