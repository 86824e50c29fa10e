//! What the answer to a ping means: that the session lives, that it is dead, or nothing.

use super::denial::says_no;
use super::{Asked, Classified, odd};
use crate::provider::detail::how_to_teach;
use crate::provider::harvest::{Harvest, harvest};
use crate::provider::request::Expect;
use crate::provider::response::Response;
use crate::session::answer::{Request, Verdict};

/// Says what an answer means that no rule matched.
pub(super) fn judged(asked: &Asked<'_>, response: &Response) -> Classified {
    let expect = asked
        .template
        .map_or(Expect::Json, |template| template.expect);
    match response.status {
        _ if takes_cookie_away(asked, response) => {
            let oddity = Some("it takes the session's cookie away".to_owned());
            Classified {
                oddity,
                ..Verdict::Dead {
                    certain: false,
                    for_good: false,
                }
                .into()
            }
        }
        _ if asked.succeeds(response) => match expect {
            _ if asked.profile.says_alive() => odd(
                Request::Ping,
                "no rule of the profile says that this is alive",
            ),
            // Where the status says that there is no body, none is missing.
            Expect::Json if response.json.is_none() && !matches!(response.status, 204 | 205) => {
                odd(Request::Ping, "the answer is not JSON")
            }
            // Servers that have one status for everything say it in the body; what a job saw as well decides.
            Expect::Json | Expect::Any => Classified {
                odd: says_no(response),
                ..alive(asked, response).into()
            },
        },
        200..=399 => odd(
            Request::Ping,
            "it is not the answer that the profile expects",
        ),
        401 => Verdict::Dead {
            certain: false,
            for_good: false,
        }
        .into(),
        _ => Classified {
            remedy: Some(how_to_teach(asked.profile.name(), response.status)),
            ..Verdict::Forbidden { certain: false }.into()
        },
    }
}

/// A keep-alive may hand out the token anew, or say how long it lives.
pub(super) fn alive(asked: &Asked<'_>, response: &Response) -> Verdict {
    let Some(template) = asked
        .template
        .filter(|template| !template.captures.is_empty())
    else {
        return Verdict::Alive;
    };
    let told = harvest(
        &template.captures,
        &asked.profile.hosts,
        asked.url,
        response,
        asked.wall,
    )
    .ok();
    let grant = told
        .filter(Harvest::tells)
        .and_then(|told| told.grant(asked.token, asked.wall).ok());
    grant.map_or(Verdict::Alive, |grant| Verdict::Good(Box::new(grant)))
}

/// Whether the answer takes away the cookie that holds the token, as servers do with one that they no longer know.
pub(super) fn takes_cookie_away(asked: &Asked<'_>, response: &Response) -> bool {
    let mut own = asked
        .profile
        .usage
        .cookies
        .iter()
        .filter(|(_, value)| value.only_name() == Some("token"));
    asked.succeeds(response) && own.any(|(name, _)| response.takes_away(name))
}
