//! What a string in the config may say: durations, modes, rates, names. Pure; an error is a title's end and a remedy.

use std::time::Duration;

use crate::duration::{self, NoDuration};

/// What is wrong with a value ("is no duration"), and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) what: String,
    pub(super) remedy: String,
}

/// A [`Bad`] of two texts.
pub(super) fn bad(what: impl Into<String>, remedy: impl Into<String>) -> Bad {
    Bad {
        what: what.into(),
        remedy: remedy.into(),
    }
}

/// Nothing at a server or in a config is meant to last longer: ten years.
const LONGEST: Duration = Duration::from_hours(10 * 366 * 24);

const DURATION_REMEDY: &str = "write a string with units, such as \"90s\", \"2h\" or \"1h 30m\"";

/// `"90s"`, `"2h"`, `"1h 30m"`, `"30 days"` (24 hours each).
pub(super) fn duration(text: &str) -> Result<Duration, Bad> {
    if text.trim().parse::<f64>().is_ok() {
        return Err(bad("has no unit", DURATION_REMEDY));
    }
    // Servers write so (`PT2H`). A person who leaves a letter out gets another unit: `PT5M` are minutes, `P5M` months.
    if text
        .trim_start_matches(['-', '+', ' '])
        .starts_with(['P', 'p'])
    {
        return Err(bad("is written as machines do", DURATION_REMEDY));
    }
    let duration = duration::parse(text).map_err(|why| match why {
        NoDuration::Unreadable => bad("is no duration", DURATION_REMEDY),
        NoDuration::WithoutFixedLength => bad(
            "has a unit without a fixed length",
            "months and years differ in length: write days, such as \"90d\"",
        ),
        NoDuration::Negative => bad("is negative", "write a positive duration"),
    })?;
    match duration {
        duration if duration < Duration::from_millis(1) => Err(bad(
            "is zero",
            "write a positive duration, such as \"1s\", or leave the key out for its default",
        )),
        duration if duration > LONGEST => {
            Err(bad("is longer than ten years", "write a shorter duration"))
        }
        duration => Ok(duration),
    }
}

/// What is wrong with a duration that is a bare number.
pub(super) fn without_unit(key: &str, number: &str) -> Bad {
    match number.strip_prefix('-') {
        Some(_) => bad("is negative", DURATION_REMEDY),
        None => bad(
            "has no unit",
            format!("write a string with a unit: {key} = \"{number}s\" for seconds"),
        ),
    }
}

/// Permission bits in octal: `"0640"`.
pub(super) fn mode(text: &str) -> Result<u32, Bad> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal = (3..=4).contains(&digits.len())
        && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let bits = u32::from_str_radix(digits, 8).ok().filter(|_| octal);
    match bits {
        Some(bits) if bits <= 0o777 => Ok(bits),
        Some(_) => Err(bad(
            "has a set-user-id, set-group-id or sticky bit",
            "write permission bits only: \"0640\"",
        )),
        None => Err(bad(
            "is no file mode",
            "write three or four octal digits in quotes, such as \"0640\"",
        )),
    }
}

/// What is wrong with a mode that is a number: TOML would read `0640` as no number at all, and `640` as a decimal one.
pub(super) fn mode_as_number(key: &str, number: &str) -> Bad {
    let digits = number.strip_prefix("0o").unwrap_or(number);
    let meant = mode(digits).map_or_else(|_| "0640".to_owned(), |bits| format!("{bits:04o}"));
    bad(
        "is a number",
        format!("write the octal digits in quotes: {key} = \"{meant}\""),
    )
}

/// The mode of a published file: only its owner may change it, and no user may execute it.
pub(super) fn published_mode(text: &str) -> Result<u32, Bad> {
    let bits = mode(text)?;
    if bits & 0o022 != 0 {
        return Err(bad(
            "lets others than the owner change the token",
            "take the write bits of group and others away: \"0640\" or \"0644\"",
        ));
    }
    if bits & 0o111 != 0 {
        return Err(bad(
            "makes the token executable",
            "take the execute bits away: \"0640\" or \"0600\"",
        ));
    }
    Ok(bits)
}

/// `"50/s"`, `"600/min"`, `"1000/h"` as calls a second.
pub(super) fn rate(text: &str) -> Result<f64, Bad> {
    let remedy = "write a number and a unit, such as \"50/s\", \"600/min\" or \"1000/h\"";
    let wrong = || bad("is no rate", remedy);
    let (number, unit) = text.split_once('/').ok_or_else(wrong)?;
    let number: u32 = number.trim().parse().map_err(|_| wrong())?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "min" | "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    match number {
        0 => Err(bad("lets nothing through", remedy)),
        1..=100_000 => Ok(f64::from(number) / seconds),
        100_001.. => Err(bad("is above 100000", remedy)),
    }
}

/// What is wrong with a rate that is a bare number.
pub(super) fn rate_as_number(key: &str, number: &str) -> Bad {
    let calls = number.strip_prefix('-').unwrap_or(number);
    bad(
        "has no unit",
        format!("write a string with a unit: {key} = \"{calls}/s\" for as many calls a second"),
    )
}

/// The longest name of a session; files and messages carry it.
const LONGEST_NAME: usize = 64;

/// `^[a-z][a-z0-9_-]*$`.
pub(super) fn session_name(name: &str) -> Result<(), Bad> {
    let legal = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-'
    };
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.bytes().all(legal) {
        let remedy =
            "begin with a lower-case letter and go on with lower-case letters, digits, `_` and `-`";
        return Err(bad("is no session name", remedy));
    }
    if name.len() > LONGEST_NAME {
        return Err(bad(
            "is too long for a session name",
            "use at most 64 characters",
        ));
    }
    Ok(())
}

/// The name of an environment variable (POSIX.1-2017 section 8.1, and lower case).
pub(super) fn is_variable_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The one of `known` that `word` was most likely meant to be.
pub(crate) fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> = known
        .iter()
        .map(|name| (distance(word, name), *name))
        .collect();
    near.sort_unstable();
    near.first()
        .filter(|(edits, _)| *edits <= allowed)
        .map(|(_, name)| *name)
}

/// Edits between two words, where a swap of neighbours is one edit (optimal string alignment); case and `-` are nothing.
fn distance(left: &str, right: &str) -> usize {
    let plain =
        |word: &str| -> Vec<char> { word.to_lowercase().replace('-', "_").chars().collect() };
    let (left, right) = (plain(left), plain(right));
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, b) in right.iter().enumerate() {
            let at =
                |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&above, column) + usize::from(a != b);
            let mut least = replaced
                .min(at(&above, column + 1) + 1)
                .min(at(&current, column) + 1);
            let swapped = row > 0
                && column > 0
                && left.get(row - 1) == Some(b)
                && right.get(column - 1) == Some(a);
            if swapped {
                least = least.min(at(&before, column - 1) + 1);
            }
            current.push(least);
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_units_and_refuse_everything_else() {
        let good = [
            ("90s", 90_000),
            ("1s", 1000),
            ("2h", 7_200_000),
            ("1h 30m", 5_400_000),
            ("300ms", 300),
            ("90d", 7_776_000_000),
        ];
        for (text, millis) in good {
            assert_eq!(
                duration(text).map(|duration| duration.as_millis()),
                Ok(millis),
                "{text}"
            );
        }
        let refused = [
            ("7200", "has no unit"),
            ("", "is no duration"),
            ("soon", "is no duration"),
            ("2x", "is no duration"),
            ("PT2H", "is written as machines do"),
            ("-p1d", "is written as machines do"),
            ("0s", "is zero"),
            ("-5m", "is negative"),
            ("1 month", "has a unit without a fixed length"),
            ("4000d", "is longer than ten years"),
            ("99999999999999h", "is no duration"),
        ];
        for (text, what) in refused {
            assert_eq!(
                duration(text).map_err(|bad| bad.what),
                Err(what.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn modes_are_octal_and_let_only_the_owner_write_a_token() {
        for (text, bits) in [("0640", 0o640), ("600", 0o600), ("0o444", 0o444)] {
            assert_eq!(published_mode(text), Ok(bits), "{text}");
        }
        for text in [
            "0660",
            "0666",
            "0602",
            "0755",
            "4640",
            "0888",
            "rw-r-----",
            "",
            "06400",
            "64",
        ] {
            assert!(published_mode(text).is_err(), "{text}");
        }
        assert_eq!(mode("0666"), Ok(0o666));
    }

    #[test]
    fn a_number_in_the_place_of_a_text_is_answered_with_the_text_to_write() {
        for (number, remedy) in [
            ("640", "\"0640\""),
            ("0o600", "\"0600\""),
            ("416", "\"0416\""),
            ("9", "\"0640\""),
        ] {
            assert!(
                mode_as_number("mode", number)
                    .remedy
                    .ends_with(&format!("mode = {remedy}")),
                "{number}"
            );
        }
        assert!(
            rate_as_number("rate", "50")
                .remedy
                .contains("rate = \"50/s\"")
        );
        assert!(without_unit("after", "5").remedy.contains("after = \"5s\""));
        assert_eq!(without_unit("after", "-5").what, "is negative");
    }

    #[test]
    fn rates_are_a_count_by_a_unit() {
        assert_eq!(rate("50/s"), Ok(50.0));
        assert_eq!(rate("600/min"), Ok(10.0));
        assert_eq!(rate("3600 / h"), Ok(1.0));
        for text in ["50", "0/s", "-1/s", "fast", "1/day", "1000000/s"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn session_names_are_plain() {
        for name in ["crm", "a", "crm-eu_2"] {
            assert_eq!(session_name(name), Ok(()), "{name}");
        }
        for name in [
            "",
            "CRM",
            "2crm",
            "-crm",
            "crm eu",
            "crm/eu",
            "crm.eu",
            "ü",
            &"a".repeat(65),
        ] {
            assert!(session_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_typing_error_finds_the_key_that_was_meant() {
        let known = ["idle_timeout", "provider", "publish", "url"];
        for (word, meant) in [
            ("idle_timout", Some("idle_timeout")),
            ("idle-timeout", Some("idle_timeout")),
            ("Provider", Some("provider")),
            ("ulr", Some("url")),
            ("nonsense", None),
        ] {
            assert_eq!(closest(word, &known), meant, "{word}");
        }
    }
}
