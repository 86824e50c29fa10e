//! What an answer to any request with the session's token tells of that token, whoever sent the request.
//!
//! The request may be to anything that the server has, so that an answer means less than the answer to a ping: a no is the
//! job's own matter unless the profile's rules, or a 401, say that it is about the token.

use super::denial::says_no;
use super::ping::takes_cookie_away;
use super::{Asked, decided, is_success};
use crate::provider::response::Response;
use crate::session::answer::Verdict;

/// What an answer tells of the token that its request presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The server took the token.
    Taken,
    /// The server says that the token is dead.
    Dead {
        /// False where a ping must confirm it.
        certain: bool,
    },
    /// Nothing: the answer is about the request, or about the server.
    Nothing,
}

/// Says what `response` tells of the token. Of a long answer its beginning is enough: no server says at length that a token is
/// dead.
pub(in crate::provider) fn sign(asked: &Asked<'_>, response: &Response) -> Sign {
    match decided(asked, response).map(|classified| classified.verdict) {
        Some(Verdict::Dead { certain, .. }) => Sign::Dead { certain },
        // For a ping as well: the next login says why.
        Some(Verdict::Refused { .. }) => Sign::Dead { certain: true },
        Some(Verdict::Alive | Verdict::Good(_)) => Sign::Taken,
        None if takes_cookie_away(asked, response) || response.status == 401 => {
            Sign::Dead { certain: false }
        }
        None if is_success(response) && !says_no(response) => Sign::Taken,
        // It breaks off since only its beginning was looked at.
        Some(Verdict::Unavailable)
            if is_success(response) && !response.complete && !response.is_html() =>
        {
            Sign::Taken
        }
        None
        | Some(
            Verdict::Expired { .. }
            | Verdict::GrantDead
            | Verdict::Declined
            | Verdict::Throttled { .. }
            | Verdict::Unavailable
            | Verdict::Forbidden { .. }
            | Verdict::InDoubt
            | Verdict::Concurrent
            | Verdict::Skewed
            | Verdict::LoggedOut
            | Verdict::Introspected { .. },
        ) => Sign::Nothing,
    }
}
