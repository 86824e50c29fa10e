//! Moments and waits, as headers and bodies write them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

/// The longest wait that a server can impose: a session that sleeps for days serves no job.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// So many seconds are no wait, but a moment since 1970: they passed in 2001.
const FIRST_MOMENT: f64 = 1e9;

/// So many seconds end in the year 5138; so many milliseconds ended in 1973.
const FIRST_MILLISECONDS: f64 = 1e11;

/// What is told in so many seconds and more is told in other units, or not at all.
const HUNDRED_YEARS: f64 = 100.0 * 365.25 * 86_400.0;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// An instant as RFC 3339 has it, or in any form of HTTP's dates.
pub(in crate::provider) fn moment(text: &str) -> Option<Timestamp> {
    text.trim().parse().ok().or_else(|| http_date(text))
}

/// The three forms that must be read (RFC 9110 section 5.6.7), and what cookies make of them (RFC 6265 section 5.1.1).
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()
        .or_else(|| by_its_parts(text))
}

/// A moment as a number of seconds or milliseconds since 1970. What is none after 1970 counts as unsaid, since servers send
/// 0 and -1 for "never".
pub(in crate::provider) fn since_epoch(number: f64) -> Option<Timestamp> {
    let seconds = if number < FIRST_MILLISECONDS {
        number
    } else {
        number / 1e3
    };
    let is_moment = seconds > 0.0 && seconds <= HUNDRED_YEARS;
    let since = is_moment
        .then(|| Duration::try_from_secs_f64(seconds).ok())
        .flatten()?;
    Timestamp::UNIX_EPOCH.checked_add(since).ok()
}

/// How long a server asks to wait (RFC 9110 section 10.2.3), an hour at most: whole seconds, as others write them (`20.0`,
/// `20s`), until a date, or until a second since 1970.
pub(super) fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let Some(seconds) = seconds(text) else {
        return Some(until(http_date(text)?, now).min(LONGEST_WAIT));
    };
    let by_moment = since_epoch(seconds)
        .filter(|_| seconds >= FIRST_MOMENT)
        .map(|moment| until(moment, now));
    // More seconds than a duration holds are many.
    let wait = by_moment
        .or_else(|| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or(LONGEST_WAIT);
    Some(wait.min(LONGEST_WAIT))
}

/// A number that is not negative, whatever follows it to say that it counts seconds.
fn seconds(text: &str) -> Option<f64> {
    let end = text
        .find(|char: char| char.is_ascii_alphabetic() || char.is_whitespace())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let counts_seconds = matches!(
        unit.trim().to_ascii_lowercase().as_str(),
        "" | "s" | "sec" | "second" | "seconds"
    );
    let is_number = number
        .trim_start_matches('+')
        .starts_with(|char: char| char.is_ascii_digit() || char == '.');
    (counts_seconds && is_number)
        .then(|| number.parse().ok())
        .flatten()
}

/// From `now` to `moment`; zero when that is past.
pub(in crate::provider) fn until(moment: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(moment.duration_since(now)).unwrap_or_default()
}

/// RFC 6265 section 5.1.1: whatever looks like time, day, month and year, in any order of the last three; always in GMT.
fn by_its_parts(text: &str) -> Option<Timestamp> {
    let is_delimiter = |char: char| char.is_ascii() && !char.is_ascii_alphanumeric() && char != ':';
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    for part in text.split(is_delimiter).filter(|part| !part.is_empty()) {
        if time.is_none() && clock(part).is_some() {
            time = clock(part);
        } else if day.is_none() && digits(part, 1..=2).is_some() {
            day = digits(part, 1..=2);
        } else if month.is_none() && month_of(part).is_some() {
            month = month_of(part);
        } else {
            year = year.or_else(|| digits(part, 2..=4));
        }
    }
    let ((hour, minute, second), day, month) = (time?, i8::try_from(day?).ok()?, month?);
    let year = match year? {
        year @ 0..=69 => year + 2000,
        year @ 70..=99 => year + 1900,
        year => year,
    };
    let moment = DateTime::new(year, month, day, hour, minute, second.min(59), 0).ok()?;
    Some(moment.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// `8:49:37`.
fn clock(part: &str) -> Option<(i8, i8, i8)> {
    let mut numbers = part
        .split(':')
        .map(|number| digits(number, 1..=2).and_then(|number| i8::try_from(number).ok()));
    let time = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(time)
}

fn digits(part: &str, length: std::ops::RangeInclusive<usize>) -> Option<i16> {
    let is_number = length.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| part.parse().ok()).flatten()
}

fn month_of(part: &str) -> Option<i8> {
    let start = part.get(..3)?.to_ascii_lowercase();
    MONTHS
        .iter()
        .zip(1..)
        .find(|(month, _)| **month == start)
        .map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_a_date_that_servers_send_is_read() {
        let expected: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06-Nov-1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "sun, 6 nov 94 8:49:37 gmt",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 09:49:37 +0100",
            " Sun, 06 Nov 1994 08:49:37 GMT ",
            "06 November 1994, 08:49:37",
        ] {
            assert_eq!(http_date(text), Some(expected), "{text}");
            assert_eq!(moment(text), Some(expected), "{text}");
        }
        for (text, expected) in [
            ("Thu, 01-Jan-70 00:00:01 GMT", "1970-01-01T00:00:01Z"),
            ("Fri, 31-Dec-69 23:59:59 GMT", "2069-12-31T23:59:59Z"),
            ("Fri, 31 Dec 1999 23:59:60 GMT", "1999-12-31T23:59:59Z"),
        ] {
            assert_eq!(http_date(text), Some(expected.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            "soon",
            "yesterday",
            "1994",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "06 Nov 1994",
            "08:49:37",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn a_wait_is_read_however_it_is_written_and_is_never_more_than_an_hour() {
        let now: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("20", Some(20.0)),
            ("20.0", Some(20.0)),
            (" 20 ", Some(20.0)),
            ("20.5", Some(20.5)),
            (".5", Some(0.5)),
            ("+20", Some(20.0)),
            ("20s", Some(20.0)),
            ("20 seconds", Some(20.0)),
            ("0", Some(0.0)),
            ("999999999", Some(3600.0)),
            ("99999999999999999999999", Some(3600.0)),
            ("Sun, 29 Nov 2026 12:01:00 GMT", Some(60.0)),
            ("Sunday, 29-Nov-26 12:01:00 GMT", Some(60.0)),
            ("Sun Nov 29 12:01:00 2026", Some(60.0)),
            ("Sun, 29 Nov 2026 11:00:00 GMT", Some(0.0)),
            ("Fri, 06 Nov 2099 08:00:00 GMT", Some(3600.0)),
            ("1795953660", Some(60.0)),
            ("1795953660.5", Some(60.5)),
            ("1795953660000", Some(60.0)),
            ("1795950000", Some(0.0)),
            ("-5", None),
            ("soon", None),
            ("inf", None),
            ("NaN", None),
            ("20 minutes", None),
            ("", None),
        ] {
            assert_eq!(
                wait(text, now).map(|wait| wait.as_secs_f64()),
                expected,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_no_wait_is_longer_than_an_hour(text in "[ -~]{0,40}|[0-9.+e:/ -]{0,30}") {
            let wait = wait(&text, Timestamp::UNIX_EPOCH);
            prop_assert!(wait.is_none_or(|wait| wait <= LONGEST_WAIT));
            let _ = moment(&text);
        }

        #[test]
        fn a_date_in_any_of_its_forms_is_the_same_moment(second in 0_i64..4_102_444_800) {
            let expected = Timestamp::from_second(second).unwrap();
            let zoned = expected.to_zoned(TimeZone::UTC);
            for form in ["%a, %d %b %Y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y", "%a, %d-%b-%Y %H:%M:%S GMT"] {
                prop_assert_eq!(http_date(&zoned.strftime(form).to_string()), Some(expected));
            }
        }
    }
}
