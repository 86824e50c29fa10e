//! Whether this machine's clocks can be believed.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::paths::Paths;
use crate::cli::{systemctl, words};
use crate::clock;
use crate::systemd::manages_the_machine;

/// Before the first release no clock was right.
const FIRST_SECOND: i64 = 1_780_000_000;
/// A file that was written later than that from now comes from a clock that was ahead.
const MOST_AHEAD: Duration = Duration::from_mins(2);
/// Both clocks are watched for so long.
const WATCHED: Duration = Duration::from_millis(100);
/// They differ by less where nobody sets the clock meanwhile.
const MOST_APART: Duration = Duration::from_millis(50);

/// What was seen.
pub(super) struct Clock {
    pub(super) lines: Vec<String>,
    /// What is wrong, and what to do.
    pub(super) trouble: Option<(String, String)>,
    /// What the system says of its synchronisation; none where nothing is known.
    pub(super) synchronised: Option<bool>,
}

/// Reads the clocks twice, and asks systemd.
pub(super) fn seen(paths: &Paths) -> Clock {
    let begun = clock::now();
    std::thread::sleep(WATCHED);
    let ended = clock::now();
    let boot = ended.boot.since(begun.boot);
    let wall = Duration::try_from(ended.wall.duration_since(begun.wall)).unwrap_or_default();
    let told = if manages_the_machine() {
        systemctl::shown(&["timedatectl", "show", "--property=NTPSynchronized"])
    } else {
        BTreeMap::new()
    };
    let synchronised = match told.get("NTPSynchronized").map(String::as_str) {
        Some("yes") => Some(true),
        Some("no") => Some(false),
        Some(_) | None => None,
    };
    let up = Duration::from_millis(u64::try_from(ended.boot.as_millis()).unwrap_or_default());
    let lines = vec![
        format!("now {}", ended.wall.strftime("%F %T UTC")),
        format!(
            "up for {} (the clock of all durations, CLOCK_BOOTTIME)",
            words::span(up)
        ),
        match synchronised {
            Some(true) => "synchronised, says timedatectl".to_owned(),
            Some(false) => "not synchronised, says timedatectl".to_owned(),
            None => "whether it is synchronised is not known: timedatectl does not say".to_owned(),
        },
    ];
    Clock {
        lines,
        trouble: trouble(ended.wall, up, boot.abs_diff(wall), paths.newest.as_ref()),
        synchronised,
    }
}

fn trouble(
    wall: Timestamp,
    up: Duration,
    apart: Duration,
    newest: Option<&(std::path::PathBuf, Timestamp)>,
) -> Option<(String, String)> {
    let remedy = "set the clock (`timedatectl set-ntp true`, or `date -s`), then `keepfresh verify` each session";
    let told = |problem: String| Some((problem, remedy.to_owned()));
    let since_1970 = Duration::from_secs(u64::try_from(wall.as_second()).unwrap_or_default());
    if wall.as_second() < FIRST_SECOND || since_1970 < up {
        return told(format!(
            "this machine's clock is wrong: it says {}",
            wall.strftime("%F %T UTC")
        ));
    }
    let ahead = newest.filter(|(_, written)| {
        Duration::try_from(written.duration_since(wall)).is_ok_and(|ahead| ahead > MOST_AHEAD)
    });
    if let Some((path, written)) = ahead {
        return told(format!(
            "this machine's clock is behind, or was ahead: it says {}, and {} was written at {}",
            wall.strftime("%F %T UTC"),
            path.display(),
            written.strftime("%F %T UTC")
        ));
    }
    if apart > MOST_APART {
        return told(format!(
            "this machine's clock is being set just now: it moved by {} ms against the time since the boot",
            apart.as_millis()
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_cannot_be_right_is_said_to_be_wrong() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (hour, none) = (Duration::from_hours(1), Duration::ZERO);
        let now = at(FIRST_SECOND + 100_000);
        let said = |wall, newest: Option<Timestamp>| {
            let newest = newest.map(|at| ("/etc/x".into(), at));
            trouble(wall, hour, none, newest.as_ref()).map(|(problem, _)| problem)
        };
        assert_eq!(said(now, Some(now)), None);
        assert!(
            said(at(1000), None)
                .unwrap()
                .contains("is wrong: it says 1970")
        );
        let later = at(now.as_second() + 3600);
        assert!(
            said(now, Some(later))
                .unwrap()
                .contains("/etc/x was written at")
        );
        let moved = trouble(now, hour, Duration::from_secs(3), None).unwrap().0;
        assert!(moved.contains("3000 ms"), "{moved}");
    }
}
