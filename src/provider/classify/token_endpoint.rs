//! What a token endpoint's answer to a login or renewal means (RFC 6749 sections 5.1 and 5.2): a token, a no, or nothing.

use super::denial::says_no;
use super::{
    Asked, Classified, grant_dead, is_success, may_confirm, odd, throttled, unusable,
    useless_renewal,
};
use crate::provider::response::Response;
use crate::provider::token_answer::{self, OddAnswer, refresh_token_beside};
use crate::session::answer::{Refused, Request, Verdict};

/// Says what an answer means that no rule matched.
pub(super) fn judged(asked: &Asked<'_>, response: &Response) -> Classified {
    let said = |pointer: &str| {
        response
            .string_at(pointer)
            .filter(|text| !text.trim().is_empty())
    };
    match said("/error") {
        Some(error) if !is_success(response) || said("/access_token").is_none() => {
            oauth_error(asked, error, response)
        }
        Some(_) | None if is_success(response) => token(asked, response),
        Some(_) | None if asked.request == Request::Renew => declined(response),
        Some(_) | None => refusal(asked, Refused::Credential).into(),
    }
}

fn token(asked: &Asked<'_>, response: &Response) -> Classified {
    match token_answer::grant(asked.profile, asked.url, response, asked.wall) {
        Ok(grant) => Verdict::Good(Box::new(grant)).into(),
        Err(_) if !token_answer::brings_token(asked.profile, response) && says_no(response) => {
            no(asked)
        }
        Err(oddity) => {
            let said = oddity.to_string();
            match oddity {
                OddAnswer::Expired(refresh_token) => Classified {
                    oddity: Some(said),
                    ..Verdict::Expired { refresh_token }.into()
                },
                OddAnswer::NoObject
                | OddAnswer::NoToken
                | OddAnswer::ErrorBeside
                | OddAnswer::BadToken(_)
                | OddAnswer::BadInstanceUrl(_) => match asked.request {
                    Request::Renew => useless_renewal(
                        refresh_token_beside(asked.profile, response, asked.wall),
                        said,
                    ),
                    Request::Ping | Request::Introspect | Request::Login | Request::Logout => {
                        odd(asked.request, said)
                    }
                },
            }
        }
    }
}

/// A no under a good status. A renewal's leaves it open what is wrong, so the refresh token is kept.
fn no(asked: &Asked<'_>) -> Classified {
    match asked.request {
        Request::Renew => Verdict::Declined.into(),
        Request::Ping | Request::Introspect | Request::Login | Request::Logout => {
            refusal(asked, Refused::Credential).into()
        }
    }
}

/// A login's no.
pub(super) fn refusal(asked: &Asked<'_>, what: Refused) -> Verdict {
    Verdict::Refused {
        confirm: may_confirm(asked),
        what,
    }
}

/// What a no is about whose name RFC 6749 section 5.2 or RFC 8707 section 2 knows; any other is taken for one to what the
/// login presents, so that a wrong password is sent once whatever it is called.
pub(super) fn refused_by(response: &Response) -> Refused {
    match response.string_at("/error").map(as_in_the_rfc).as_deref() {
        Some("invalid_client") => Refused::Client,
        Some(
            "unauthorized_client" | "unsupported_grant_type" | "invalid_scope" | "invalid_target",
        ) => Refused::Request,
        Some(_) | None => Refused::Credential,
    }
}

/// A renewal was refused with an error that is not known, or without one: it may be put right at the server, so the
/// refresh token
/// is kept.
///
/// JSON is the server's own word. Anything else may be a gateway's, whose server is away.
pub(super) fn declined(response: &Response) -> Classified {
    let is_named = response
        .string_at("/error")
        .is_some_and(|error| !error.trim().is_empty());
    let says_no = matches!(response.status, 400 | 401 | 403 | 422)
        || is_named && !matches!(response.status, 409 | 423);
    match &response.json {
        Some(json) if says_no && json.is_object() => Verdict::Declined.into(),
        Some(_) | None => odd(Request::Renew, "the protocol knows no such answer"),
    }
}

/// RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628 section 3.5, and what servers say in their place.
fn oauth_error(asked: &Asked<'_>, error: &str, response: &Response) -> Classified {
    match &*as_in_the_rfc(error) {
        "temporarily_unavailable" | "service_unavailable" => unusable(asked.request).into(),
        // Under a status that is a no, the status counts (ServiceNow's wrong password is a `server_error`); under another that
        // blames the request, which of the two is meant cannot be told.
        "server_error" | "internal_error" | "internal_server_error" | "unknown_error"
            if !matches!(response.status, 401 | 403) =>
        {
            let odd = (400..500).contains(&response.status);
            Classified {
                odd,
                ..unusable(asked.request).into()
            }
        }
        "slow_down" | "rate_limit_exceeded" | "rate_limited" | "too_many_requests" => {
            throttled(asked, response).into()
        }
        // The names say of the refresh token itself that it is gone (GitHub, HubSpot, Slack, Keycloak's proxies).
        "invalid_grant"
        | "bad_refresh_token"
        | "invalid_refresh_token"
        | "expired_refresh_token"
        | "refresh_token_expired" => grant_dead(asked).into(),
        "invalid_client" | "unauthorized_client" | "unsupported_grant_type" | "invalid_scope" => {
            refusal(asked, refused_by(response)).into()
        }
        _ if asked.request == Request::Renew => declined(response),
        _ => refusal(asked, refused_by(response)).into(),
    }
}

/// Lower case and underscores, whatever a server writes.
fn as_in_the_rfc(error: &str) -> String {
    error.trim().to_ascii_lowercase().replace([' ', '-'], "_")
}
