//! How long a token lives: what its answer states, beside what a token in JWT form says of itself.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;

use super::number;
use crate::provider::capture::Life;
use crate::provider::response::{since_epoch, until};

/// A JWT's life may be so much shorter than the stated one before it counts: servers round, and sign before they answer.
const SLACK: Duration = Duration::from_mins(1);

/// When a token in JWT form (RFC 7519 section 4.1) was made and when it ends, by its issuer's clock.
#[derive(Clone, Copy, Debug)]
pub(in crate::provider) struct JwtTimes {
    issued: Option<Timestamp>,
    end: Timestamp,
}

impl JwtTimes {
    /// What is in `token`, unverified: it says what the server told us anyway.
    pub(in crate::provider) fn of(token: &str) -> Option<Self> {
        let claims = claims(token)?;
        let said = |name: &str| moment(claims.get(name)?);
        Some(Self {
            issued: said("iat"),
            end: said("exp")?,
        })
    }

    fn whole_life(self) -> Option<Duration> {
        Some(until(self.end, self.issued?)).filter(|life| !life.is_zero())
    }

    fn left(self, date: Option<Timestamp>) -> Option<Duration> {
        Some(until(self.end, date?)).filter(|life| !life.is_zero())
    }
}

/// Nothing is left of a token by any clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) struct Ended;

/// The life of a token whose answer came at `date`, by the server's clock where it sent one; none where nothing tells.
///
/// Durations count before instants: the clock that signs may be hours off the one that answers.
///
/// # Errors
/// No life is stated, or one that is over, and nothing is left of a JWT by any clock.
pub(in crate::provider) fn lifetime(
    stated: Option<Life>,
    jwt: Option<JwtTimes>,
    date: Option<Timestamp>,
) -> Result<Option<Duration>, Ended> {
    let whole = jwt.and_then(JwtTimes::whole_life);
    if let Some(Life::Lasts(stated)) = stated {
        return Ok(Some(
            whole
                .filter(|whole| whole.saturating_add(SLACK) < stated)
                .unwrap_or(stated),
        ));
    }
    let left = jwt.and_then(|jwt| jwt.left(date));
    let can_tell =
        stated.is_some() || jwt.is_some_and(|jwt| jwt.issued.is_some() || date.is_some());
    match [whole, left].into_iter().flatten().min() {
        None if can_tell => Err(Ended),
        life => Ok(life),
    }
}

/// Whether the token says of itself that it is an access token whose end servers must obey (RFC 9068 sections 2.1 and 4).
pub(super) fn is_access_token_by_type(token: &str) -> bool {
    let header = token.split('.').next().and_then(decoded);
    let kind = header
        .as_ref()
        .and_then(|header| header.get("typ")?.as_str());
    kind.is_some_and(|kind| {
        let kind = kind.to_ascii_lowercase();
        kind.strip_prefix("application/").unwrap_or(&kind) == "at+jwt"
    })
}

/// What a token in JWT form says, unverified.
pub(in crate::provider) fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (header, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !decoded(header)?.is_object() {
        return None;
    }
    decoded(payload)
}

fn decoded(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// A claim's moment. What is none after 1970 counts as unsaid, since servers send 0 and -1 for "never".
pub(in crate::provider) fn moment(claim: &Value) -> Option<Timestamp> {
    since_epoch(number(claim)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const HOUR: i64 = 3600;

    #[test]
    fn a_stated_life_counts_whatever_the_clock_that_signed_says() {
        for off in [
            -50 * 365 * 24 * HOUR,
            -5 * HOUR,
            -HOUR,
            -HOUR + 1,
            -1,
            0,
            1,
            HOUR,
            5 * HOUR,
            40 * 365 * 24 * HOUR,
        ] {
            let times = json!({"iat": NOW + off, "exp": NOW + off + HOUR});
            assert_eq!(life(Some(3600), &times, Some(NOW)), Ok(Some(3600)), "{off}");
            assert_eq!(
                life(Some(3600), &json!({"exp": NOW + off}), Some(NOW)),
                Ok(Some(3600)),
                "{off}"
            );
        }
        for backwards in [
            json!({"iat": NOW, "exp": NOW}),
            json!({"iat": NOW, "exp": NOW - HOUR}),
        ] {
            assert_eq!(
                life(Some(3600), &backwards, Some(NOW)),
                Ok(Some(3600)),
                "{backwards}"
            );
        }
    }

    #[test]
    fn a_stated_life_ends_with_a_token_that_lives_shorter_by_more_than_a_minute() {
        for (whole, stated, expected) in [
            (3600, 3600, 3600),
            (3601, 3600, 3600),
            (86_400, 3600, 3600),
            (3599, 3600, 3600),
            (3540, 3600, 3600),
            (3539, 3600, 3539),
            (300, 3600, 300),
            (3600, 3_600_000, 3600),
            (1, 61, 61),
            (1, 62, 1),
        ] {
            let times = json!({"iat": NOW, "exp": NOW + whole});
            assert_eq!(
                life(Some(stated), &times, Some(NOW + 5 * HOUR)),
                Ok(Some(expected)),
                "{whole} {stated}"
            );
        }
    }

    #[test]
    fn a_jwt_alone_lives_from_its_making_to_its_end_or_as_long_as_is_left_by_the_servers_clock() {
        for (off, expected) in [
            (-5 * HOUR, 3600),
            (-HOUR, 3600),
            (-HOUR + 60, 60),
            (-600, 3000),
            (0, 3600),
            (600, 3600),
            (5 * HOUR, 3600),
            (40 * 365 * 24 * HOUR, 3600),
        ] {
            let times = json!({"iat": NOW + off, "exp": NOW + off + HOUR});
            assert_eq!(life(None, &times, Some(NOW)), Ok(Some(expected)), "{off}");
            assert_eq!(
                life(None, &times, None),
                Ok(Some(3600)),
                "{off} without a Date"
            );
        }
    }

    #[test]
    fn numbers_count_as_text_and_as_floats() {
        for times in [
            json!({"iat": NOW.to_string(), "exp": (NOW + HOUR).to_string()}),
            json!({"iat": 1.8e9, "exp": 1_800_003_600.5}),
            json!({"iat": " 1.8e9 ", "exp": NOW + HOUR}),
        ] {
            assert_eq!(
                life(None, &times, Some(NOW - 5 * HOUR)),
                Ok(Some(3600)),
                "{times}"
            );
        }
    }

    #[test]
    fn moments_in_milliseconds_are_taken_for_what_they_are() {
        let (issued, end) = (json!(NOW * 1000), json!((NOW + HOUR) * 1000));
        for times in [
            json!({"iat": issued, "exp": end}),
            json!({"iat": NOW, "exp": end}),
            json!({"iat": issued, "exp": NOW + HOUR}),
            json!({"exp": end.to_string()}),
        ] {
            assert_eq!(life(None, &times, Some(NOW)), Ok(Some(3600)), "{times}");
        }
    }

    #[test]
    fn a_making_that_makes_no_sense_leaves_the_servers_clock() {
        let odd = [
            json!(null),
            json!(0),
            json!(-1),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(1e300),
            json!("x"),
            json!([1]),
        ];
        for iat in odd {
            let times = json!({"iat": iat, "exp": NOW + 60});
            assert_eq!(life(None, &times, Some(NOW)), Ok(Some(60)), "{iat}");
            assert_eq!(life(None, &times, None), Ok(None), "{iat}");
        }
        for iat in [json!(NOW + 60), json!(NOW + HOUR)] {
            assert_eq!(
                life(None, &json!({"iat": iat, "exp": NOW + 60}), Some(NOW)),
                Ok(Some(60)),
                "{iat}"
            );
        }
    }

    #[test]
    fn an_end_that_makes_no_sense_counts_as_unsaid() {
        for exp in [
            json!(null),
            json!(0),
            json!(-0.0),
            json!("0"),
            json!(-1),
            json!(i64::MIN),
            json!(1_u64 << 63),
            json!(i64::MAX),
            json!(NOW * 1_000_000),
            json!(99_999_999_999_i64),
            json!(1_000_000_000_000_000_000_i64),
            json!(u64::MAX),
            json!(1e300),
            json!("1e999"),
            json!("NaN"),
            json!("soon"),
            json!(true),
            json!({"at": NOW}),
        ] {
            let times = json!({"iat": NOW, "exp": exp});
            assert_eq!(life(None, &times, Some(NOW)), Ok(None), "{exp}");
            assert_eq!(life(Some(3600), &times, Some(NOW)), Ok(Some(3600)), "{exp}");
        }
        for claims in [
            json!({}),
            json!({"iat": NOW}),
            json!([]),
            json!("exp"),
            json!(null),
        ] {
            assert_eq!(life(None, &claims, Some(NOW)), Ok(None), "{claims}");
        }
    }

    #[test]
    fn only_a_token_of_which_nothing_is_left_by_any_clock_has_expired() {
        for (times, date) in [
            (json!({"exp": NOW - 1}), Some(NOW)),
            (json!({"exp": NOW}), Some(NOW)),
            (json!({"exp": NOW, "iat": NOW}), Some(NOW)),
            (json!({"exp": NOW - 5, "iat": NOW - 1}), Some(NOW)),
            (json!({"exp": NOW - 5, "iat": 0}), Some(NOW)),
            (json!({"exp": NOW - 5, "iat": NOW}), None),
            (json!({"exp": 1e-3}), Some(NOW)),
        ] {
            assert_eq!(life(None, &times, date), Err(Ended), "{times}");
            assert_eq!(over(&times, date), Err(Ended), "{times}");
        }
        assert_eq!(life(None, &json!({"exp": NOW - 5}), None), Ok(None));
    }

    #[test]
    fn a_stated_end_that_is_past_is_no_end_where_the_token_itself_says_that_it_lives() {
        assert_eq!(
            over(&json!({"iat": NOW, "exp": NOW + HOUR}), Some(NOW)),
            Ok(Some(HOUR.unsigned_abs()))
        );
        assert_eq!(over(&json!({"exp": NOW + 60}), Some(NOW)), Ok(Some(60)));
        assert_eq!(over(&json!({"exp": NOW + 60}), None), Err(Ended));
        assert_eq!(over(&json!({"sub": "x"}), Some(NOW)), Err(Ended));
        assert_eq!(lifetime(Some(Life::Over), None, None), Err(Ended));
    }

    #[test]
    fn an_access_token_is_known_by_its_type() {
        for (kind, expected) in [
            (json!("at+jwt"), true),
            (json!("application/at+JWT"), true),
            (json!("JWT"), false),
            (json!("dpop+jwt"), false),
            (json!(7), false),
            (json!(null), false),
        ] {
            let header = URL_SAFE_NO_PAD.encode(json!({"typ": kind, "alg": "RS256"}).to_string());
            assert_eq!(
                is_access_token_by_type(&format!("{header}.e30.c2ln")),
                expected,
                "{kind}"
            );
        }
        assert!(!is_access_token_by_type("00D!x"));
    }

    fn over(claims: &Value, date: Option<i64>) -> Result<Option<u64>, Ended> {
        told(Some(Life::Over), claims, date)
    }

    fn life(stated: Option<u64>, claims: &Value, date: Option<i64>) -> Result<Option<u64>, Ended> {
        told(
            stated.map(|stated| Life::Lasts(Duration::from_secs(stated))),
            claims,
            date,
        )
    }

    fn told(stated: Option<Life>, claims: &Value, date: Option<i64>) -> Result<Option<u64>, Ended> {
        let jwt = JwtTimes::of(&crate::provider::token_answer::tests::jwt(claims));
        let date = date.map(|second| Timestamp::from_second(second).unwrap());
        Ok(lifetime(stated, jwt, date)?.map(|life| life.as_secs()))
    }
}
