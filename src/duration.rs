//! Durations as people write them, everywhere alike: `90s`, `2h`, `1h 30m`, `30 days`. A day has 24 hours.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDuration {
    /// It has no units, or they are not known, or there are far too many of them.
    Unreadable,
    /// Months and years differ in length.
    WithoutFixedLength,
    /// It is below zero.
    Negative,
}

/// Reads a duration with units.
///
/// # Errors
/// Says why it is none; each caller adds its own limits, and words for people.
pub fn parse(text: &str) -> Result<Duration, NoDuration> {
    let span: Span = text.trim().parse().map_err(|_| NoDuration::Unreadable)?;
    let signed = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| NoDuration::WithoutFixedLength)?;
    Duration::try_from(signed).map_err(|_| NoDuration::Negative)
}

/// `duration` as the config would write it.
pub(crate) fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
        (1, "ms"),
    ];
    let mut rest = millis;
    let mut parts = Vec::new();
    for (size, unit) in units {
        if rest >= size {
            parts.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if parts.is_empty() {
        "0s".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_durations_in_many_ways() {
        for (text, seconds) in [
            ("90s", 90.0),
            ("10m", 600.0),
            ("1h 30m", 5400.0),
            ("1h30m", 5400.0),
            ("1 hour, 30 minutes", 5400.0),
            ("01:30:00", 5400.0),
            ("PT1H30M", 5400.0),
            ("1.5h", 5400.0),
            ("250ms", 0.25),
            ("2d", 172_800.0),
            ("1d 2h", 93_600.0),
            ("1 week", 604_800.0),
            (" 5s ", 5.0),
            ("0s", 0.0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_told_apart() {
        for (text, why) in [
            ("", NoDuration::Unreadable),
            ("7200", NoDuration::Unreadable),
            ("soon", NoDuration::Unreadable),
            ("10 parsecs", NoDuration::Unreadable),
            ("9999999999999999999h", NoDuration::Unreadable),
            ("1 month", NoDuration::WithoutFixedLength),
            ("-5s", NoDuration::Negative),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn a_duration_is_told_as_it_could_be_written() {
        for text in ["48m", "1h 30m", "2d", "300ms", "1s"] {
            assert_eq!(duration_text(parse(text).unwrap()), text);
        }
    }
}
