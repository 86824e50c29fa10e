//! What readers are shown of a state: the token, with its moments as today's wall clock has them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::SessionConfig;
use crate::provider::Remote;
use crate::session::state::State;
use crate::time::Now;
use crate::token::{Published, Token};

/// Ends nearer to each other are the same: servers and clocks are known to a second at best.
const SAME_END: Duration = Duration::from_secs(5);
/// A server may hand out a token again that it issued long before; no clock that is set is off by so much.
const SAME_DAY: Duration = Duration::from_hours(24);

/// What readers are shown.
pub(super) fn published(
    config: &SessionConfig,
    remote: &Remote,
    state: &State,
    now: Now,
) -> Option<Published> {
    let token = as_of(state, now)?;
    let headers = remote.headers(&token);
    let base = token
        .instance_url
        .clone()
        .unwrap_or_else(|| config.remote.base().to_owned());
    Some(Published {
        session: config.name.clone(),
        generation: state.generation,
        token,
        headers,
        base,
    })
}

/// Whether readers were shown another end than the token has: it was prolonged, or the wall clock was set since.
pub(super) fn is_outdated(shown: &Published, state: &State, now: Now) -> bool {
    !is_same(shown.token.expires_at, end(state, now))
}

/// When the token was issued. The wall clock may not have been set yet when it came.
pub(super) fn issued_at(state: &State, now: Now) -> Option<Timestamp> {
    let said = state.token.as_ref()?.issued_at;
    let (first, last) = (
        now.wall_at(state.token_since),
        now.wall_at(state.granted_at),
    );
    let believable =
        said.duration_since(first) >= -allowance() && said.duration_since(last) <= allowance();
    Some(if believable { said } else { first })
}

fn allowance() -> jiff::SignedDuration {
    jiff::SignedDuration::from_secs(SAME_DAY.as_secs().cast_signed())
}

/// The token of `state`, the very same where its moments hold.
fn as_of(state: &State, now: Now) -> Option<Arc<Token>> {
    let token = state.token.as_ref()?;
    let (issued_at, end) = (issued_at(state, now)?, end(state, now));
    if token.issued_at == issued_at && is_same(token.expires_at, end) {
        return Some(token.clone());
    }
    let expires_at = if is_same(token.expires_at, end) {
        token.expires_at
    } else {
        end
    };
    Some(Arc::new(Token {
        issued_at,
        expires_at,
        ..Token::clone(token)
    }))
}

/// When the token ends, by the clock that all durations run on; in whole seconds, as people and cookies have it.
fn end(state: &State, now: Now) -> Option<Timestamp> {
    let end = now.wall_at(state.expires?);
    Some(Timestamp::from_second(end.as_second()).unwrap_or(end))
}

fn is_same(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.duration_since(other).unsigned_abs() < SAME_END,
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::named::Named;
    use crate::secret::Secret;
    use crate::time::Instant;

    /// The daemon's clock says so when the token comes, and an hour later.
    const CAME: i64 = 60;
    const LATER: i64 = 3660;

    #[test]
    fn a_token_is_shown_as_it_came_while_its_moments_hold() {
        let state = state("2026-11-21T10:00:00Z", Some(7200));
        for drift in [-4, 0, 4] {
            let shown = as_of(&state, at(LATER, "2026-11-21T11:00:00Z", drift)).unwrap();
            assert!(
                Arc::ptr_eq(&shown, state.token.as_ref().unwrap()),
                "{drift}"
            );
        }
    }

    #[test]
    fn a_clock_that_is_set_moves_the_end_that_readers_see() {
        // What our clock said when the token came, what it says an hour later, what readers must see.
        for (then, now, issued, end) in [
            (
                "1970-01-01T00:01:00Z",
                "2026-11-21T11:00:00Z",
                "2026-11-21T10:00:00Z",
                "2026-11-21T12:00:00Z",
            ),
            (
                "2026-11-21T10:00:00Z",
                "1970-01-01T01:01:00Z",
                "1970-01-01T00:01:00Z",
                "1970-01-01T02:01:00Z",
            ),
            (
                "2026-11-21T08:00:00Z",
                "2026-11-21T11:00:00Z",
                "2026-11-21T08:00:00Z",
                "2026-11-21T12:00:00Z",
            ),
            (
                "2026-11-21T12:00:00Z",
                "2026-11-21T11:00:00Z",
                "2026-11-21T12:00:00Z",
                "2026-11-21T12:00:00Z",
            ),
        ] {
            let state = state(then, Some(7200));
            let shown = as_of(&state, at(LATER, now, 0)).unwrap();
            let said = (
                shown.issued_at.to_string(),
                shown.expires_at.unwrap().to_string(),
            );
            assert_eq!(
                said,
                (issued.to_owned(), end.to_owned()),
                "{then}, then {now}"
            );
        }
    }

    #[test]
    fn a_token_that_is_prolonged_is_shown_with_its_later_end() {
        let mut state = state("2026-11-21T10:00:00Z", Some(7200));
        let now = at(LATER, "2026-11-21T11:00:00Z", 0);
        let shown = shown(&state, now);
        assert!(!is_outdated(&shown, &state, now));
        state.expires = Some(Instant::from_millis((LATER + 7200) * 1000));
        assert!(is_outdated(&shown, &state, now));
        assert_eq!(
            as_of(&state, now).unwrap().expires_at.unwrap().to_string(),
            "2026-11-21T13:00:00Z"
        );
    }

    #[test]
    fn a_token_without_an_end_has_none_whatever_the_clock_says() {
        let state = state("2026-11-21T10:00:00Z", None);
        for wall in [
            "1970-01-01T00:00:00Z",
            "2026-11-21T11:00:00Z",
            "9999-01-01T00:00:00Z",
        ] {
            let now = at(LATER, wall, 0);
            assert_eq!(as_of(&state, now).unwrap().expires_at, None);
            assert!(!is_outdated(&shown(&state, now), &state, now));
        }
    }

    #[test]
    fn a_token_that_was_issued_long_before_its_login_keeps_its_date() {
        let mut state = state("2026-11-21T10:00:00Z", None);
        state.token_since = Instant::from_millis(-40 * 86_400_000);
        Arc::make_mut(state.token.as_mut().unwrap()).issued_at =
            "2026-11-01T00:00:00Z".parse().unwrap();
        let now = at(LATER, "2026-11-21T11:00:00Z", 0);
        assert_eq!(
            issued_at(&state, now),
            Some("2026-11-01T00:00:00Z".parse().unwrap())
        );
    }

    fn state(wall: &str, life: Option<i64>) -> State {
        let issued_at: Timestamp = wall.parse().unwrap();
        let mut state = State::new(Instant::from_millis(CAME * 1000), 7);
        state.expires = life.map(|life| Instant::from_millis((CAME + life) * 1000));
        state.token = Some(Arc::new(Token {
            access_token: Secret::new("t0k3n"),
            token_type: "Bearer".to_owned(),
            instance_url: None,
            captures: Named::default(),
            issued_at,
            expires_at: life.map(|life| issued_at + jiff::SignedDuration::from_secs(life)),
        }));
        state
    }

    fn shown(state: &State, now: Now) -> Published {
        let token = as_of(state, now).unwrap();
        Published {
            session: "crm".into(),
            generation: 1,
            token,
            headers: Vec::new(),
            base: String::new(),
        }
    }

    fn at(boot: i64, wall: &str, drift: i64) -> Now {
        let wall = wall.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(drift);
        Now {
            boot: Instant::from_millis(boot * 1000),
            wall,
        }
    }
}
