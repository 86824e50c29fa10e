//! A session's small timeline: what happened, where now is, what comes, on one line.

use std::time::Duration;

use clap::builder::styling::{AnsiColor, Style};
use jiff::Timestamp;

use crate::api::{Recent, SessionStatus, What};
use crate::cli::status::glyphs::Glyphs;
use crate::cli::status::line::Line;
use crate::cli::status::phrases::{DIM, UNDER_WAY};

/// Of three parts, two are past.
const PAST: f64 = 2.0 / 3.0;

/// What a session's timeline spans where nothing ends it, in seconds.
const OPEN_END: f64 = 3600.0;

/// One column of the line: the rank says which of several happenings shows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    /// Before anything is known, or after the last deadline.
    Blank,
    /// Still to come.
    Ahead,
    /// There was no token that worked.
    Without,
    /// The token was good.
    Good,
    Deadline,
    Introspection,
    Ping,
    NextCall,
    Renewal,
    Login,
    Logout,
    Failure,
    Loss,
    Now,
}

/// Where a moment is on the line.
struct Scale {
    now: Timestamp,
    now_column: usize,
    seconds_per_column: f64,
    columns: usize,
}

/// The line, `columns` wide.
pub(super) fn strip(
    session: &SessionStatus,
    now: Timestamp,
    columns: usize,
    glyphs: &Glyphs,
) -> Line {
    let scale = Scale::of(session, now, columns);
    let mut cells = vec![Cell::Blank; columns];
    draw_past(&mut cells, session, &scale);
    draw_future(&mut cells, session, &scale);
    put(&mut cells, Some(scale.now_column), Cell::Now);
    cells.into_iter().fold(Line::default(), |line, cell| {
        line.then(style(cell), glyph(cell, glyphs))
    })
}

/// How far the line of this width reaches back and ahead.
pub(super) fn reach(
    session: &SessionStatus,
    now: Timestamp,
    columns: usize,
) -> (Duration, Duration) {
    let scale = Scale::of(session, now, columns);
    let span = |columns: usize| {
        #[expect(clippy::cast_precision_loss, reason = "a screen has few columns")]
        let seconds = columns as f64 * scale.seconds_per_column;
        Duration::try_from_secs_f64(seconds.round()).unwrap_or_default()
    };
    (
        span(scale.now_column),
        span(columns.saturating_sub(scale.now_column + 1)),
    )
}

impl Scale {
    /// The idle timeout, or the token's life, fills the part that is to come, so that the picture keeps its scale.
    fn of(session: &SessionStatus, now: Timestamp, columns: usize) -> Self {
        let life = session
            .token_expires_at
            .zip(session.token_issued_at)
            .map(|(end, start)| seconds(start, end));
        let spans = [session.idle_timeout_seconds, life]
            .into_iter()
            .flatten()
            .filter(|span| *span > 0.0);
        let span = spans.reduce(f64::min).unwrap_or(OPEN_END);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a screen has few columns"
        )]
        let (now_column, ahead) = {
            let now_column = ((columns as f64) * PAST) as usize;
            (
                now_column,
                columns.saturating_sub(now_column + 1).max(1) as f64,
            )
        };
        Self {
            now,
            now_column,
            seconds_per_column: span / ahead,
            columns,
        }
    }

    /// The column of a moment, if the line reaches that far.
    fn column(&self, moment: Timestamp) -> Option<usize> {
        let columns = (seconds(self.now, moment) / self.seconds_per_column).round();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates, which is far off the screen"
        )]
        let column = (columns as i64).checked_add(i64::try_from(self.now_column).ok()?)?;
        usize::try_from(column)
            .ok()
            .filter(|column| *column < self.columns)
    }

    /// What was before is shown nowhere.
    fn earliest(&self) -> Timestamp {
        #[expect(clippy::cast_precision_loss, reason = "a screen has few columns")]
        let back = self.now_column as f64 * self.seconds_per_column;
        let back =
            jiff::SignedDuration::try_from_secs_f64(back).unwrap_or(jiff::SignedDuration::MAX);
        self.now.checked_sub(back).unwrap_or(Timestamp::MIN)
    }

    /// The column of a moment, or the nearest end of the line.
    fn nearest(&self, moment: Timestamp) -> usize {
        let end = if moment < self.now {
            0
        } else {
            self.columns.saturating_sub(1)
        };
        self.column(moment).unwrap_or(end)
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// Stretches with and without a token, and on them what happened.
fn draw_past(cells: &mut [Cell], session: &SessionStatus, scale: &Scale) {
    let mut good = None;
    let mut since = session
        .recent
        .first()
        .map_or(scale.now, |first| first.since);
    for happening in &session.recent {
        // The first that speaks of the token also tells how it was before.
        let before = *good.get_or_insert_with(|| was_good_before(happening));
        stretch(
            cells,
            before,
            scale.nearest(since)..scale.nearest(happening.since),
        );
        since = happening.since;
        good = Some(is_good_after(happening).unwrap_or(before));
    }
    if let Some(good) = good {
        stretch(
            cells,
            good && session.published,
            scale.nearest(since)..scale.now_column,
        );
    }
    for happening in &session.recent {
        if happening.at >= scale.earliest() {
            for column in scale.nearest(happening.since)..=scale.nearest(happening.at) {
                put(cells, Some(column), mark(happening));
            }
        }
    }
}

/// A call that failed may have gone out with a good token: only logins and losses tell.
fn was_good_before(happening: &Recent) -> bool {
    match happening.what {
        What::Ping | What::Introspect | What::Renew => happening.success,
        What::Loss => true,
        What::Login | What::Logout | What::Other => false,
    }
}

/// Whether the token is good from then on; none where it is as before.
fn is_good_after(happening: &Recent) -> Option<bool> {
    match happening.what {
        What::Ping | What::Renew | What::Login => happening.success.then_some(true),
        What::Loss => Some(false),
        What::Logout => happening.success.then_some(false),
        What::Introspect | What::Other => None,
    }
}

fn stretch(cells: &mut [Cell], good: bool, columns: std::ops::Range<usize>) {
    let cell = if good { Cell::Good } else { Cell::Without };
    for column in columns {
        put(cells, Some(column), cell);
    }
}

fn mark(happening: &Recent) -> Cell {
    match happening.what {
        What::Loss => Cell::Loss,
        What::Ping | What::Introspect | What::Renew | What::Login | What::Logout
            if !happening.success =>
        {
            Cell::Failure
        }
        What::Ping => Cell::Ping,
        What::Introspect => Cell::Introspection,
        What::Renew => Cell::Renewal,
        What::Login => Cell::Login,
        What::Logout => Cell::Logout,
        What::Other => Cell::Good,
    }
}

fn draw_future(cells: &mut [Cell], session: &SessionStatus, scale: &Scale) {
    let ends = [
        session.idle_deadline,
        session.token_expires_at,
        session.max_lifetime_at,
    ];
    let Some(end) = ends
        .into_iter()
        .flatten()
        .min()
        .filter(|end| *end > scale.now)
    else {
        put(
            cells,
            session.next.as_ref().and_then(|next| scale.column(next.at)),
            Cell::NextCall,
        );
        return;
    };
    for column in scale.now_column + 1..=scale.nearest(end) {
        put(cells, Some(column), Cell::Ahead);
    }
    put(cells, scale.column(end), Cell::Deadline);
    put(
        cells,
        session.next.as_ref().map(|next| scale.nearest(next.at)),
        Cell::NextCall,
    );
}

fn put(cells: &mut [Cell], column: Option<usize>, cell: Cell) {
    if let Some(there) = column.and_then(|column| cells.get_mut(column)) {
        *there = (*there).max(cell);
    }
}

fn glyph(cell: Cell, glyphs: &Glyphs) -> &'static str {
    match cell {
        Cell::Blank => " ",
        Cell::Ahead => glyphs.ahead,
        Cell::Without => glyphs.without,
        Cell::Good => glyphs.good,
        Cell::Deadline => glyphs.deadline,
        Cell::Introspection => glyphs.introspection,
        Cell::Ping => glyphs.ping,
        Cell::NextCall => glyphs.next,
        Cell::Renewal => glyphs.renewal,
        Cell::Login => glyphs.login,
        Cell::Logout => glyphs.logout,
        Cell::Failure => glyphs.failure,
        Cell::Loss => glyphs.loss,
        Cell::Now => glyphs.now,
    }
}

fn style(cell: Cell) -> Style {
    match cell {
        Cell::Blank => Style::new(),
        Cell::Ahead | Cell::Deadline | Cell::Logout => DIM,
        Cell::Good | Cell::Introspection | Cell::Ping => AnsiColor::Green.on_default(),
        Cell::Renewal | Cell::Login => UNDER_WAY.bold(),
        Cell::Failure => AnsiColor::Red.on_default().bold(),
        Cell::Without | Cell::Loss => AnsiColor::Red.on_default(),
        Cell::Now | Cell::NextCall => Style::new().bold(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Next, fake};
    use crate::cli::status::glyphs;
    use crate::cli::status::line::Look;

    #[test]
    fn pings_stand_where_they_were_and_the_next_where_it_will_be() {
        let mut crm = session();
        crm.recent = vec![
            at(What::Login, -14_000),
            at(What::Ping, -9000),
            at(What::Ping, -6000),
            at(What::Ping, -3000),
        ];
        crm.next = Some(Next {
            action: "ping".to_owned(),
            at: moment(1800),
            why: String::new(),
        });
        crm.idle_deadline = Some(moment(3600));
        assert_eq!(drawn(&crm), " ▲───────•────•────•────│╌╌○╌╌┤      ");
    }

    #[test]
    fn a_loss_ends_the_line_until_the_next_login() {
        let mut crm = session();
        let mut failed = at(What::Login, -3000);
        (failed.success, failed.at, failed.times) = (false, moment(-1800), 9);
        crm.recent = vec![
            at(What::Ping, -9000),
            lost(-6000),
            failed,
            at(What::Login, -600),
        ];
        assert_eq!(drawn(&crm), "         •────✖┄┄┄┄!!!┄▲│            ");
    }

    #[test]
    fn an_outage_leaves_the_token_good() {
        let mut crm = session();
        let mut failed = at(What::Ping, -6000);
        (failed.success, failed.at, failed.times) = (false, moment(-3600), 9);
        crm.recent = vec![at(What::Ping, -9000), failed];
        assert_eq!(drawn(&crm), "         •────!!!!!─────│            ");
    }

    #[test]
    fn what_lies_beyond_the_ends_draws_nothing_wrong() {
        let mut crm = session();
        crm.recent = vec![at(What::Login, -900_000), at(What::Ping, -3000)];
        crm.idle_deadline = Some(moment(900_000));
        crm.next = Some(Next {
            action: "ping".to_owned(),
            at: moment(800_000),
            why: String::new(),
        });
        assert_eq!(drawn(&crm), "───────────────────•────│╌╌╌╌╌╌╌╌╌╌╌○");
        for columns in 0..4 {
            assert_eq!(
                strip(&crm, moment(0), columns, &glyphs::UNICODE).width(),
                columns
            );
        }
    }

    #[test]
    fn the_ends_are_named() {
        assert_eq!(
            reach(&session(), moment(0), 37),
            (Duration::from_hours(4), Duration::from_hours(2))
        );
    }

    fn drawn(session: &SessionStatus) -> String {
        strip(session, moment(0), 37, &glyphs::UNICODE).render(
            37,
            Look {
                colour: false,
                glyphs: &glyphs::UNICODE,
            },
        )
    }

    fn session() -> SessionStatus {
        fake::status("crm")
    }

    fn lost(second: i64) -> Recent {
        Recent {
            success: false,
            ..at(What::Loss, second)
        }
    }

    fn at(what: What, second: i64) -> Recent {
        let at = moment(second);
        Recent {
            what,
            outcome: String::new(),
            success: true,
            at,
            since: at,
            times: 1,
        }
    }

    fn moment(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }
}
