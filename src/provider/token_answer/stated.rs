//! The life of a token as its answer states it, under the names and in the forms that servers have for it.
//!
//! `expires_in` holds seconds (RFC 6749 section 5.1). Others write the moment of the end there, or a duration in words, or
//! tell it under a name of their own. What is not understood would make a token that has ended look good for ever.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::number;
use crate::provider::capture::{Life, Unit, is_idle};
use crate::provider::response::{moment, since_epoch};

/// So many seconds are a life; more of them, under the name of an end, are a moment since 1970.
const FIRST_MOMENT: f64 = 1e9;

/// A number of seconds under the name of a life is a moment if it falls so near to now: a life of 56 years that ends within a
/// year of twice today's date means nothing.
const PAST: Duration = Duration::from_hours(24);
const FUTURE: Duration = Duration::from_hours(366 * 24);

/// What a member's name says that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Life,
    End,
}

/// Where servers tell it that say nothing in `expires_in`, or something else: the more telling first.
const NAMES: [(&str, Meaning); 10] = [
    ("expiresIn", Meaning::Life),
    ("expires_at", Meaning::End),
    ("expiresAt", Meaning::End),
    ("expires_on", Meaning::End),
    ("expiresOn", Meaning::End),
    ("expiry_date", Meaning::End),
    ("expiry", Meaning::End),
    ("expires", Meaning::Life),
    (".expires", Meaning::End),
    ("expiration", Meaning::End),
];

/// Says in seconds what `expires_in` beside it says in milliseconds.
const IN_SECONDS: &str = "expires_in_sec";

/// What `body` states, at `now` by the server's own clock where it told it. Of an end that is past only that clock can tell.
pub(super) fn life(body: &Value, now: Timestamp, is_servers_clock: bool) -> Option<Life> {
    let of = |name: &str, meaning| read(body.get(name)?, meaning, now);
    let standard = || of(IN_SECONDS, Meaning::Life).or_else(|| of("expires_in", Meaning::Life));
    let other = || NAMES.iter().find_map(|(name, meaning)| of(name, *meaning));
    let told = standard().or_else(other)?;
    (is_servers_clock || !told.is_past_moment).then_some(told.life)
}

struct Told {
    life: Life,
    is_past_moment: bool,
}

fn read(said: &Value, meaning: Meaning, now: Timestamp) -> Option<Told> {
    if is_idle(said) {
        return None;
    }
    let until = |end| {
        let life = Life::between(now, end)?;
        Some(Told {
            life,
            is_past_moment: life == Life::Over,
        })
    };
    if let Some(number) = number(said) {
        return match end_in_figures(number, meaning, now) {
            Some(end) => until(end),
            None => Some(Told {
                life: Unit::Seconds.life(number)?,
                is_past_moment: false,
            }),
        };
    }
    let text = said.as_str()?.trim();
    match text.parse::<SignedDuration>() {
        Ok(life) => Some(Told {
            life: Unit::Seconds.life(life.as_secs_f64())?,
            is_past_moment: false,
        }),
        Err(_) => until(moment(text)?),
    }
}

/// The moment that a number stands for, in seconds or milliseconds since 1970, where it stands for one.
pub(in crate::provider) fn end_in_place_of_life(number: f64, now: Timestamp) -> Option<Timestamp> {
    end_in_figures(number, Meaning::Life, now)
}

fn end_in_figures(number: f64, meaning: Meaning, now: Timestamp) -> Option<Timestamp> {
    let end = since_epoch(number).filter(|_| number >= FIRST_MOMENT)?;
    let is_near = || {
        now.checked_sub(PAST).is_ok_and(|from| from < end)
            && now.checked_add(FUTURE).is_ok_and(|to| end < to)
    };
    (meaning == Meaning::End || is_near()).then_some(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_life_is_understood_as_a_duration_or_as_the_moment_of_its_end() {
        let at = |seconds: i64| now().as_second() + seconds;
        for (body, expected) in [
            (json!({"expires_in": 3600}), Some(3600)),
            (json!({"expires_in": at(900)}), Some(900)),
            (json!({"expires_in": at(900).to_string()}), Some(900)),
            (json!({"expires_in": at(900) * 1000}), Some(900)),
            (json!({"expires_in": "2026-11-30T00:15:00Z"}), Some(900)),
            (
                json!({"expires_in": "2026-11-30T01:15:00.000+0100"}),
                Some(900),
            ),
            (
                json!({"expires_in": "Mon, 30 Nov 2026 00:15:00 GMT"}),
                Some(900),
            ),
            (json!({"expires_in": "15 minutes"}), Some(900)),
            (json!({"expires_in": "PT15M"}), Some(900)),
            (json!({"expires_in": "1h"}), Some(3600)),
            (
                json!({"expires_in": 900_000, "expires_in_sec": 900}),
                Some(900),
            ),
            (json!({"expires_in": 631_138_518}), Some(631_138_518)),
            (json!({"expires_in": i32::MAX}), Some(2_147_483_647)),
            (
                json!({"expires_in": 3600, "expires_at": at(60)}),
                Some(3600),
            ),
            (json!({"expires_in": null, "expires_at": at(60)}), Some(60)),
            (json!({"expires_in": "", "expires": "900"}), Some(900)),
            (json!({"expires_at": at(900)}), Some(900)),
            (json!({"expires_at": format!("{}.25", at(900))}), Some(900)),
            (
                json!({"expires_at": at(86_400 * 4000)}),
                Some(86_400 * 4000),
            ),
            (json!({"expires_on": at(900).to_string()}), Some(900)),
            (json!({"expiry_date": at(900) * 1000}), Some(900)),
            (json!({"expiresAt": "2026-11-30T00:15:00Z"}), Some(900)),
            (
                json!({".expires": "Mon, 30 Nov 2026 00:15:00 GMT"}),
                Some(900),
            ),
            (json!({"expiresIn": 900}), Some(900)),
            (json!({"expires_in": -1, "expires_at": 0}), None),
            (json!({"expires_in": "soon", "expires": {"in": 5}}), None),
            (json!({}), None),
        ] {
            let told = life(&body, now(), true).map(|life| life.lasting().unwrap().as_secs());
            assert_eq!(told, expected, "{body}");
        }
    }

    #[test]
    fn only_the_servers_own_clock_can_call_an_end_past() {
        let past = now().as_second() - 60;
        for body in [
            json!({"expires_in": past}),
            json!({"expires_at": past}),
            json!({"expires": "2026-11-29T00:00:00Z"}),
        ] {
            assert_eq!(life(&body, now(), true), Some(Life::Over), "{body}");
            assert_eq!(life(&body, now(), false), None, "{body}");
        }
        assert_eq!(
            life(&json!({"expires_in": -12}), now(), false),
            Some(Life::Over)
        );
    }

    proptest! {
        #[test]
        fn a_life_of_up_to_ten_years_is_never_taken_for_a_moment(seconds in 1_u32..315_576_000) {
            let told = life(&json!({"expires_in": seconds}), now(), true);
            prop_assert_eq!(told, Some(Life::Lasts(Duration::from_secs(seconds.into()))));
        }

        #[test]
        fn no_value_makes_it_panic(number in any::<f64>(), text in "\\PC{0,20}") {
            let _ = life(&json!({"expires_in": number, "expires_at": number, "expires": text}), now(), true);
        }
    }

    fn now() -> Timestamp {
        "2026-11-30T00:00:00Z".parse().unwrap()
    }
}
