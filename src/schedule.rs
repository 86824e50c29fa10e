//! Calendar duties of a session: when they fall due, in its time zone, across daylight saving.

pub mod runner;

use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use thiserror::Error;

pub use runner::Runner;

/// What a session must do at a moment of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Duty {
    /// `verify_at`: prove the token good now.
    Verify,
    /// `renew_at`: get a new token now.
    Renew,
    /// The first of the minutes in which the session must live.
    ActiveStarts,
    /// The first minute after them.
    ActiveEnds,
}

/// One cron line: five fields, as written and as understood.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    text: String,
    cron: Cron,
}

/// Why a cron line is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LineError {
    /// Croner's own words.
    #[error("is no cron line: {0}")]
    Malformed(String),
    /// A comma alone, or a mark of another field: the search for such a minute would have no end.
    #[error("names no {0}")]
    Without(&'static str),
    /// The thirtieth of February.
    #[error("never falls due")]
    Never,
}

impl Line {
    /// Reads minute, hour, day of month, month and day of week; names and ranges as in crontab(5).
    ///
    /// # Errors
    /// Says what is wrong with the line, or that no date matches it.
    pub fn parse(text: &str) -> Result<Self, LineError> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(text)
            .map_err(|error| LineError::Malformed(error.to_string()))?;
        for (named, values) in [
            ("minute", &cron.pattern.minutes),
            ("hour", &cron.pattern.hours),
        ] {
            if values.values().is_empty() {
                return Err(LineError::Without(named));
            }
        }
        // Any year will do: a date that exists comes round within the Gregorian cycle's longest gap of eight years.
        let start = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        cron.find_next_occurrence(&start, false)
            .map_err(|_| LineError::Never)?;
        Ok(Self {
            text: text.to_owned(),
            cron,
        })
    }

    fn next_after(&self, moment: &Zoned) -> Option<Timestamp> {
        self.cron
            .find_next_occurrence(moment, false)
            .ok()
            .map(|next| next.timestamp())
    }

    fn matches(&self, minute: &Zoned) -> bool {
        self.cron.is_time_matching(minute).unwrap_or(false)
    }
}

/// A cron line, and what follows from it, for `crate::fuzz`.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(line) = Line::parse(&String::from_utf8_lossy(bytes)) else {
        return;
    };
    let zone = TimeZone::get("Europe/Vienna").unwrap_or(TimeZone::UTC);
    let calendar = Calendar {
        verify: vec![line],
        ..Calendar::empty(zone)
    };
    let mut moment = Timestamp::UNIX_EPOCH;
    for _ in 0..3 {
        let Some((next, _)) = calendar.next_after(moment) else {
            return;
        };
        assert!(next > moment, "{next} is not after {moment}");
        moment = next;
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

/// When a session's duties fall due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// `verify_at`.
    pub verify: Vec<Line>,
    /// `renew_at`.
    pub renew: Vec<Line>,
    /// `active`; empty when the session must always live.
    pub active: Vec<Line>,
    /// So long before the active minutes the session must be back: an outage then costs no job anything.
    pub lead: Duration,
    /// Whose clock the lines are about.
    pub zone: TimeZone,
}

/// A window that ends later than in a year ends never: the search is by the minute.
const LONGEST_WINDOW_MINUTES: u32 = 366 * 24 * 60;

impl Calendar {
    /// No duties at all.
    pub fn empty(zone: TimeZone) -> Self {
        Self {
            verify: Vec::new(),
            renew: Vec::new(),
            active: Vec::new(),
            lead: Duration::ZERO,
            zone,
        }
    }

    /// Whether nothing ever falls due.
    pub fn is_empty(&self) -> bool {
        self.verify.is_empty() && self.renew.is_empty() && self.active.is_empty()
    }

    /// The next moment after `now` at which something falls due, and all that falls due then.
    pub fn next_after(&self, now: Timestamp) -> Option<(Timestamp, Vec<Duty>)> {
        let upcoming = self.upcoming(now);
        let (first, _) = *upcoming.first()?;
        Some((
            first,
            upcoming
                .iter()
                .filter(|(at, _)| *at == first)
                .map(|(_, duty)| *duty)
                .collect(),
        ))
    }

    /// When each kind of duty falls due next after `now`, the earliest first. The end of a long window takes a search.
    pub fn upcoming(&self, now: Timestamp) -> Vec<(Timestamp, Duty)> {
        let moment = now.to_zoned(self.zone.clone());
        let due = [
            (next_of(&self.verify, &moment), Duty::Verify),
            (next_of(&self.renew, &moment), Duty::Renew),
            self.next_change(&moment),
        ];
        let mut upcoming: Vec<_> = due
            .into_iter()
            .filter_map(|(at, duty)| Some((at?, duty)))
            .collect();
        upcoming.sort();
        upcoming
    }

    /// `Sun 2026-03-29 03:00 CEST`: a moment as the clock that the lines are about shows it.
    pub fn local(&self, moment: Timestamp) -> String {
        moment
            .to_zoned(self.zone.clone())
            .strftime("%a %Y-%m-%d %H:%M %Z")
            .to_string()
    }

    /// Whether the session must live at `moment`: always, when there are no `active` lines.
    pub fn is_active(&self, moment: Timestamp) -> bool {
        let moment = moment.to_zoned(self.zone.clone());
        self.active.is_empty()
            || self.is_active_minute(&moment)
            || self
                .opening(&moment)
                .is_some_and(|(opens, _)| opens <= moment.timestamp())
    }

    fn is_active_minute(&self, moment: &Zoned) -> bool {
        let minute = start_of_minute(moment);
        self.active.iter().any(|line| line.matches(&minute))
    }

    /// When the active minutes begin or end next.
    fn next_change(&self, moment: &Zoned) -> (Option<Timestamp>, Duty) {
        if !self.active.is_empty() && self.is_active_minute(moment) {
            return (self.end_of_window(moment), Duty::ActiveEnds);
        }
        match self.opening(moment) {
            Some((opens, _)) if opens > moment.timestamp() => (Some(opens), Duty::ActiveStarts),
            Some((_, starts)) => (
                self.end_of_window(&starts.to_zoned(self.zone.clone())),
                Duty::ActiveEnds,
            ),
            None => (None, Duty::ActiveStarts),
        }
    }

    /// When the session must be back for the next active minute, and that minute.
    fn opening(&self, moment: &Zoned) -> Option<(Timestamp, Timestamp)> {
        let starts = self.start_of_window(moment)?;
        Some((starts.checked_sub(self.lead).unwrap_or(starts), starts))
    }

    /// The next active minute. A line whose minute a spring skips is due just after the gap, without that minute being active.
    fn start_of_window(&self, moment: &Zoned) -> Option<Timestamp> {
        let mut from = moment.clone();
        for _ in 0..LONGEST_WINDOW_MINUTES {
            let next = next_of(&self.active, &from)?.to_zoned(self.zone.clone());
            if self.is_active_minute(&next) {
                return Some(next.timestamp());
            }
            from = next;
        }
        None
    }

    fn end_of_window(&self, moment: &Zoned) -> Option<Timestamp> {
        if self
            .active
            .iter()
            .any(|line| line.text.split_whitespace().all(|field| field == "*"))
        {
            return None;
        }
        let mut minute = start_of_minute(moment);
        for _ in 0..LONGEST_WINDOW_MINUTES {
            minute = minute.checked_add(1.minute()).ok()?;
            if !self.active.iter().any(|line| line.matches(&minute)) {
                return Some(minute.timestamp());
            }
        }
        None
    }
}

fn next_of(lines: &[Line], moment: &Zoned) -> Option<Timestamp> {
    lines
        .iter()
        .filter_map(|line| line.next_after(moment))
        .min()
}

/// Croner compares seconds too, and a line's seconds are zero.
fn start_of_minute(moment: &Zoned) -> Zoned {
    let start = moment.timestamp().as_second() - i64::from(moment.second());
    Timestamp::from_second(start).map_or_else(
        |_| moment.clone(),
        |start| start.to_zoned(moment.time_zone().clone()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fall_due_as_crontab_says() {
        let cases = [
            ("55 * * * *", "2026-11-21T10:10:00Z", "2026-11-21T10:55:00Z"),
            ("55 * * * *", "2026-11-21T10:55:00Z", "2026-11-21T11:55:00Z"),
            (
                "55 * * * *",
                "2026-11-21T10:54:59.9Z",
                "2026-11-21T10:55:00Z",
            ),
            (
                "0 3 * * sun",
                "2026-11-21T10:00:00Z",
                "2026-11-22T03:00:00Z",
            ),
            ("0 3 * * 7", "2026-11-21T10:00:00Z", "2026-11-22T03:00:00Z"),
            (
                "*/15 6-21 * * MON-FRI",
                "2026-11-20T21:46:00Z",
                "2026-11-23T06:00:00Z",
            ),
            (
                "0 0 1 jan,jul *",
                "2026-11-21T10:00:00Z",
                "2027-01-01T00:00:00Z",
            ),
            (
                "0 12 29 2 *",
                "2026-11-21T10:00:00Z",
                "2028-02-29T12:00:00Z",
            ),
        ];
        for (line, now, next) in cases {
            let calendar = verify(line, "UTC");
            assert_eq!(
                calendar.next_after(at(now)),
                Some((at(next), vec![Duty::Verify])),
                "{line} after {now}"
            );
        }
    }

    #[test]
    fn what_is_no_cron_line_is_refused() {
        for text in [
            "",
            "* * * *",
            "0 * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * * funday",
            "a b c d e",
        ] {
            assert!(
                matches!(Line::parse(text), Err(LineError::Malformed(_))),
                "{text}"
            );
        }
        assert_eq!(Line::parse("0 0 30 2 *"), Err(LineError::Never));
    }

    #[test]
    fn a_line_that_names_no_minute_or_no_hour_is_refused_without_a_search() {
        for (text, named) in [
            (", 0 * * *", "minute"),
            (",, * * * *", "minute"),
            ("0 , * * *", "hour"),
        ] {
            assert_eq!(Line::parse(text), Err(LineError::Without(named)), "{text}");
        }
        for text in ["0 0 , * *", "0 0 * , *", "0 0 * * ,", ", , , , ,"] {
            assert!(Line::parse(text).is_err(), "{text}");
        }
        assert!(Line::parse("0,,30 0, * * *").is_ok(), "a comma too many");
    }

    #[test]
    fn a_fixed_time_that_spring_skips_is_done_right_after_the_gap() {
        // Vienna goes from 02:00 to 03:00 on 29 March 2026, at 01:00 UTC.
        let calendar = verify("30 2 * * *", "Europe/Vienna");
        assert_eq!(
            due(&calendar, "2026-03-28T12:00:00Z"),
            at("2026-03-29T01:00:00Z")
        );
        assert_eq!(
            due(&calendar, "2026-03-29T01:00:00Z"),
            at("2026-03-30T00:30:00Z")
        );
    }

    #[test]
    fn a_fixed_time_that_autumn_repeats_is_done_once() {
        // Vienna goes from 03:00 back to 02:00 on 25 October 2026, at 01:00 UTC.
        let calendar = verify("30 2 * * *", "Europe/Vienna");
        assert_eq!(
            due(&calendar, "2026-10-24T12:00:00Z"),
            at("2026-10-25T00:30:00Z")
        );
        assert_eq!(
            due(&calendar, "2026-10-25T00:30:00Z"),
            at("2026-10-26T01:30:00Z")
        );
    }

    #[test]
    fn an_hourly_line_neither_skips_nor_doubles_an_hour_of_real_time() {
        for start in ["2026-03-28T20:55:00Z", "2026-10-24T20:55:00Z"] {
            let calendar = verify("55 * * * *", "Europe/Vienna");
            let mut moment = at(start);
            for _ in 0..12 {
                let next = due(&calendar, &moment.to_string());
                assert_eq!(
                    next.duration_since(moment).as_secs(),
                    3600,
                    "after {moment}"
                );
                moment = next;
            }
        }
    }

    #[test]
    fn what_is_to_come_is_told_with_the_offset_of_its_day() {
        // The Sunday of the change: 02:30 is skipped in spring, and comes twice in autumn.
        let mut calendar = verify("30 2 * * *", "Europe/Vienna");
        calendar.active = lines(&["* 1-3 * * *"]);
        for (now, expected) in [
            (
                "2026-03-27T12:00:00Z",
                ["Sat 2026-03-28 01:00 CET", "Sat 2026-03-28 02:30 CET"],
            ),
            (
                "2026-03-28T12:00:00Z",
                ["Sun 2026-03-29 01:00 CET", "Sun 2026-03-29 03:00 CEST"],
            ),
            (
                "2026-03-29T00:10:00Z",
                ["Sun 2026-03-29 03:00 CEST", "Sun 2026-03-29 04:00 CEST"],
            ),
            (
                "2026-03-29T12:00:00Z",
                ["Mon 2026-03-30 01:00 CEST", "Mon 2026-03-30 02:30 CEST"],
            ),
            (
                "2026-10-24T12:00:00Z",
                ["Sun 2026-10-25 01:00 CEST", "Sun 2026-10-25 02:30 CEST"],
            ),
            (
                "2026-10-25T00:30:00Z",
                ["Sun 2026-10-25 04:00 CET", "Mon 2026-10-26 02:30 CET"],
            ),
        ] {
            let told: Vec<String> = calendar
                .upcoming(at(now))
                .iter()
                .map(|(at, _)| calendar.local(*at))
                .collect();
            assert_eq!(told, expected, "after {now}");
        }
    }

    #[test]
    fn active_hours_last_as_long_as_their_day_has_them() {
        let calendar = active(&["* 1-3 * * *"], "Europe/Vienna");
        // Two hours on the day of spring, four on that of autumn.
        for (start, hours) in [
            ("2026-03-29T00:00:00Z", 2),
            ("2026-10-24T23:00:00Z", 4),
            ("2026-06-01T23:00:00Z", 3),
        ] {
            let end = calendar.next_after(at(start)).unwrap();
            assert_eq!(
                end,
                (
                    at(start) + jiff::SignedDuration::from_hours(hours),
                    vec![Duty::ActiveEnds]
                ),
                "{start}"
            );
        }
    }

    #[test]
    fn a_daily_time_stays_on_the_wall_clock_across_the_change() {
        let calendar = verify("0 6 * * *", "Europe/Vienna");
        assert_eq!(
            due(&calendar, "2026-03-28T06:00:00Z"),
            at("2026-03-29T04:00:00Z")
        );
        assert_eq!(
            due(&calendar, "2026-10-24T06:00:00Z"),
            at("2026-10-25T05:00:00Z")
        );
    }

    #[test]
    fn active_minutes_begin_and_end() {
        let calendar = active(&["* 6-21 * * mon-fri"], "Europe/Vienna");
        // Friday 20 November 2026; Vienna is an hour ahead.
        assert!(calendar.is_active(at("2026-11-20T20:59:59Z")));
        assert!(!calendar.is_active(at("2026-11-20T21:00:00Z")));
        assert_eq!(
            calendar.next_after(at("2026-11-20T12:00:30Z")),
            Some((at("2026-11-20T21:00:00Z"), vec![Duty::ActiveEnds]))
        );
        assert_eq!(
            calendar.next_after(at("2026-11-20T21:00:00Z")),
            Some((at("2026-11-23T05:00:00Z"), vec![Duty::ActiveStarts]))
        );
    }

    #[test]
    fn windows_that_touch_are_one() {
        let calendar = active(&["0-29 8 * * *", "30-59 8 * * *"], "UTC");
        assert_eq!(
            due(&calendar, "2026-11-20T08:10:00Z"),
            at("2026-11-20T09:00:00Z")
        );
    }

    #[test]
    fn a_window_without_end_has_no_end() {
        assert_eq!(
            active(&["* * * * *"], "UTC").next_after(at("2026-11-20T08:10:00Z")),
            None
        );
        assert_eq!(
            active(&["* 0-23 * * *"], "UTC").next_after(at("2026-11-20T08:10:00Z")),
            None
        );
    }

    #[test]
    fn a_window_in_the_skipped_hour_does_not_begin_that_day() {
        let calendar = active(&["30 2 * * *"], "Europe/Vienna");
        assert_eq!(
            due(&calendar, "2026-03-29T00:00:00Z"),
            at("2026-03-30T00:30:00Z")
        );
    }

    #[test]
    fn duties_of_one_moment_come_together() {
        let mut calendar = verify("0 3 * * *", "UTC");
        calendar.renew = lines(&["0 3 * * *"]);
        calendar.active = lines(&["* 3 * * *"]);
        let (_, duties) = calendar.next_after(at("2026-11-20T02:00:00Z")).unwrap();
        assert_eq!(duties, [Duty::Verify, Duty::Renew, Duty::ActiveStarts]);
    }

    #[test]
    fn no_lines_mean_no_duties_and_always_active() {
        let calendar = Calendar::empty(TimeZone::UTC);
        assert!(calendar.is_empty() && calendar.is_active(at("2026-11-20T02:00:00Z")));
        assert_eq!(calendar.next_after(at("2026-11-20T02:00:00Z")), None);
    }

    fn verify(line: &str, zone: &str) -> Calendar {
        Calendar {
            verify: lines(&[line]),
            ..Calendar::empty(TimeZone::get(zone).unwrap())
        }
    }

    fn active(texts: &[&str], zone: &str) -> Calendar {
        Calendar {
            active: lines(texts),
            ..Calendar::empty(TimeZone::get(zone).unwrap())
        }
    }

    fn lines(texts: &[&str]) -> Vec<Line> {
        texts
            .iter()
            .map(|text| Line::parse(text).unwrap())
            .collect()
    }

    fn due(calendar: &Calendar, now: &str) -> Timestamp {
        calendar.next_after(at(now)).unwrap().0
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }
}
