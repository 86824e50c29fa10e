//! Durations as the socket and the command line take them: `90s`, `2h`, `1h 30m`, or plain seconds.

use std::time::Duration;

use thiserror::Error;

use crate::duration::{self, NoDuration};

/// The longest that is accepted; beyond it lies a mistake, or an overflow.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DurationError {
    /// Neither a number of seconds nor units that add up to less than a year.
    #[error("{0:?} is not a duration; write 90s, 10m or 1h 30m")]
    Unreadable(String),
    /// Below zero, or above a year.
    #[error("{0:?} is out of range; durations are between 0s and 366 days")]
    OutOfRange(String),
}

impl DurationError {
    /// The error without the text, which may be a token that went to the wrong place.
    pub fn without_value(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "not a duration; write 90s, 10m or 1h 30m",
            Self::OutOfRange(_) => "out of range; durations are between 0s and 366 days",
        }
    }
}

/// Reads a duration; a number without a unit means seconds.
///
/// # Errors
/// Shows the text and what would be right.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let unreadable = || DurationError::Unreadable(text.to_owned());
    let out_of_range = || DurationError::OutOfRange(text.to_owned());
    let trimmed = text.trim();
    let duration = if let Ok(seconds) = trimmed.parse::<f64>() {
        Duration::try_from_secs_f64(seconds).map_err(|_| out_of_range())?
    } else {
        duration::parse(trimmed).map_err(|why| match why {
            NoDuration::Unreadable | NoDuration::WithoutFixedLength => unreadable(),
            NoDuration::Negative => out_of_range(),
        })?
    };
    if duration > LONGEST {
        Err(out_of_range())
    } else {
        Ok(duration)
    }
}

/// `duration` so that [`parse`] reads it back, to the millisecond.
pub fn format(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_durations_in_many_ways() {
        for (text, seconds) in [
            ("90s", 90.0),
            ("10m", 600.0),
            ("2h", 7200.0),
            ("1h 30m", 5400.0),
            ("1h30m", 5400.0),
            ("250ms", 0.25),
            ("0", 0.0),
            ("1.5", 1.5),
            ("2d", 172_800.0),
            ("1 day", 86_400.0),
            (" 5s ", 5.0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs_f64(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "soon",
            "-5s",
            "-1",
            "1e300",
            "nan",
            "inf",
            "400d",
            "10 parsecs",
            "9999999999999999999h",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_formatted_reads_back() {
        let duration = Duration::from_millis(90_061_007);
        assert_eq!(parse(&format(duration)), Ok(duration));
    }
}
