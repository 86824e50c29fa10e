//! Moments and durations as people say them.

use std::time::Duration;

use jiff::Timestamp;

/// `47 min`, `2 h 10 min`, `3 days`: the two largest units at most.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0 => "under 1 s".to_owned(),
        1..60 => format!("{seconds} s"),
        60..600 => two(minutes, "min", seconds % 60, "s"),
        600..3600 => format!("{minutes} min"),
        3600..86_400 => two(hours, "h", minutes % 60, "min"),
        86_400..864_000 => two(
            days,
            if days == 1 { "day" } else { "days" },
            hours % 24,
            "h",
        ),
        _ => format!("{days} days"),
    }
}

/// `2 h`, `3 days`: the largest unit alone, as scales have it.
pub(super) fn largest_unit(duration: Duration) -> String {
    let spoken = span(duration);
    let mut words = spoken.split(' ');
    match (words.next(), words.next()) {
        (Some("under") | None, _) | (_, None) => spoken,
        (Some(number), Some(unit)) => format!("{number} {unit}"),
    }
}

/// `2h`, `45m`: the same where there is hardly any room.
pub(super) fn compact(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

fn two(large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    }
}

/// `in 47 min`, or `now` for what is due.
pub(super) fn ahead(moment: Timestamp, now: Timestamp) -> String {
    match Duration::try_from(moment.duration_since(now)) {
        Ok(left) if left >= Duration::from_secs(1) => format!("in {}", span(left)),
        Ok(_) | Err(_) => "now".to_owned(),
    }
}

/// `14 min ago`, or `just now`.
pub(super) fn ago(moment: Timestamp, now: Timestamp) -> String {
    match Duration::try_from(now.duration_since(moment)) {
        Ok(since) if since >= Duration::from_secs(1) => format!("{} ago", span(since)),
        Ok(_) | Err(_) => "just now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_like_speech() {
        for (seconds, words) in [
            (0, "under 1 s"),
            (12, "12 s"),
            (60, "1 min"),
            (150, "2 min 30 s"),
            (47 * 60 + 5, "47 min"),
            (7200, "2 h"),
            (7800, "2 h 10 min"),
            (86_400, "1 day"),
            (2 * 86_400 + 3600, "2 days 1 h"),
            (40 * 86_400, "40 days"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn a_scale_has_the_largest_unit_alone() {
        for (seconds, words) in [
            (0, "under 1 s"),
            (12, "12 s"),
            (150, "2 min"),
            (7800, "2 h"),
            (93_600, "1 day"),
        ] {
            assert_eq!(largest_unit(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn where_there_is_hardly_any_room_a_span_has_one_letter() {
        for (seconds, words) in [
            (0, "0s"),
            (59, "59s"),
            (150, "2m"),
            (7800, "2h"),
            (93_600, "1d"),
        ] {
            assert_eq!(compact(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn moments_are_told_from_now() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(ahead(at(1120), at(1000)), "in 2 min");
        assert_eq!(ahead(at(900), at(1000)), "now");
        assert_eq!(ago(at(900), at(1000)), "1 min 40 s ago");
        assert_eq!(ago(at(1001), at(1000)), "just now");
    }
}
