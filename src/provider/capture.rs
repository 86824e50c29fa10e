//! Where in an answer a value stands, and in what unit.

use std::time::Duration;

use serde::Deserialize;

/// One entry of `[login.capture]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CaptureRule {
    /// Where it stands.
    pub(super) place: Place,
    /// How a time or duration is counted.
    pub(super) unit: Unit,
    /// Whether readers of the `json` format may see it.
    pub(super) public: bool,
}

/// A place in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A JSON pointer (RFC 6901).
    Json(String),
    /// A header's value.
    Header(String),
    /// The whole body; one that is a JSON string counts as what it says.
    Body,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unit {
    #[default]
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "us")]
    Microseconds,
    #[serde(rename = "min")]
    Minutes,
}

impl Unit {
    /// `number` of these as a duration; none when it is negative, no number, or beyond a hundred years.
    pub(super) fn duration(self, number: f64) -> Option<Duration> {
        const HUNDRED_YEARS: f64 = 100.0 * 365.25 * 86_400.0;
        let seconds = match self {
            Self::Seconds => number,
            Self::Milliseconds => number / 1e3,
            Self::Microseconds => number / 1e6,
            Self::Minutes => number * 60.0,
        };
        (0.0..=HUNDRED_YEARS).contains(&seconds).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
    }
}
