//! A profile's own examples, replayed: what its rules must take them for, and what they must yield.

use jiff::Timestamp;
use url::Url;

use super::classify::{Asked, classify, step};
use super::command;
use super::harvest::{Captures, Harvest, harvest};
use super::profile::{Example, Profile, Protocol};
use super::request::RequestTemplate;
use super::response::Response;
use crate::session::answer::{Request, Verdict};

/// The first of the examples that is taken for something else, or yields something else: its line, and what is wrong.
pub(super) fn misjudged(profile: &Profile) -> Option<(usize, String)> {
    let url = Url::parse("https://example.invalid").ok()?;
    profile
        .examples
        .iter()
        .find_map(|example| replay(profile, &url, example).err())
}

/// What is wrong with one example, and on which line.
pub(super) fn replay(
    profile: &Profile,
    url: &Url,
    example: &Example,
) -> Result<(), (usize, String)> {
    if profile.protocol == Protocol::Command && example.to == Request::Login {
        let (seen, told) = command::example(profile, &example.grant, example.status, &example.body);
        return compare(example, seen, told.as_ref());
    }
    let template = template(profile, example)?;
    let asked = Asked {
        profile,
        grant: &example.grant,
        url,
        request: example.to,
        template,
        token: None,
        wall: Timestamp::UNIX_EPOCH,
    };
    let response = Response::new(
        example.status,
        example.headers.clone(),
        example.body.as_bytes(),
        true,
    )
    .answered_by(url);
    let captures = captures(profile, example, template);
    let (seen, told) = seen(&asked, &captures, &response);
    compare(example, seen, told.as_ref()).map_err(|(line, message)| {
        match capture_error(&asked, &captures, &response) {
            Some(why) => (line, format!("{message}: {why}")),
            None => (line, message),
        }
    })
}

/// Which capture finds nothing in a login's or renewal's answer, if that is why it is no good one.
fn capture_error(asked: &Asked<'_>, captures: &Captures, response: &Response) -> Option<String> {
    let brings_token =
        asked.template.is_some() && matches!(asked.request, Request::Login | Request::Renew);
    let told = brings_token.then(|| {
        harvest(
            captures,
            &asked.profile.hosts,
            asked.url,
            response,
            asked.wall,
        )
    })?;
    told.err().map(|error| error.to_string())
}

fn compare(example: &Example, seen: &str, told: Option<&Harvest>) -> Result<(), (usize, String)> {
    // A refusal with an unknown error was once called a doubt.
    let is_one = seen == example.verdict || seen == "refused" && example.verdict == "in_doubt";
    if !is_one {
        let message = format!(
            "example: by the rules this answer is `{seen}`, not `{}`",
            example.verdict
        );
        return Err((example.line, message));
    }
    yields(example, told)
}

/// The verdict's word, and what was told.
fn seen(
    asked: &Asked<'_>,
    captures: &Captures,
    response: &Response,
) -> (&'static str, Option<Harvest>) {
    if asked.template.is_some() && matches!(asked.request, Request::Login | Request::Renew) {
        return match step(asked, captures, response) {
            Ok(told) => ("good", Some(told)),
            Err(classified) => (classified.verdict.word(), None),
        };
    }
    let verdict = classify(asked, response).verdict;
    if let Verdict::Good(grant) = verdict {
        // A keep-alive that tells something is a living session's, for all who read the profile.
        let word = if asked.request == Request::Ping {
            "alive"
        } else {
            "good"
        };
        return (word, Some(Harvest::of(&grant)));
    }
    (
        verdict.word(),
        harvest(
            captures,
            &asked.profile.hosts,
            asked.url,
            response,
            asked.wall,
        )
        .ok(),
    )
}

/// The request that the example answers; none where the protocol makes it.
pub(super) fn template<'a>(
    profile: &'a Profile,
    example: &Example,
) -> Result<Option<&'a RequestTemplate>, (usize, String)> {
    let missing = |what: &str| (example.line, format!("example: the profile has no {what}"));
    match (example.to, profile.protocol) {
        (Request::Ping, _) => match profile
            .ping(None)
            .or_else(|| profile.first_alternative_ping())
        {
            Some(ping) => Ok(Some(ping)),
            None => Err(missing("[ping]")),
        },
        (_, Protocol::OAuth2) => Ok(None),
        (Request::Login, _) => {
            let steps = profile
                .login(&example.grant)
                .map(|login| login.steps.as_slice())
                .unwrap_or_default();
            let index = example.step.unwrap_or(steps.len().saturating_sub(1));
            steps
                .get(index)
                .map(Some)
                .ok_or_else(|| missing("such step"))
        }
        (Request::Renew, _) => profile
            .renew
            .as_ref()
            .map(Some)
            .ok_or_else(|| missing("[renew]")),
        (Request::Introspect, _) => profile
            .introspection
            .as_ref()
            .map(Some)
            .ok_or_else(|| missing("[introspection]")),
        (Request::Logout, _) => profile
            .logout
            .as_ref()
            .map(Some)
            .ok_or_else(|| missing("[logout]")),
    }
}

/// What is taken out of the answer.
pub(super) fn captures(
    profile: &Profile,
    example: &Example,
    template: Option<&RequestTemplate>,
) -> Captures {
    match (example.to, template) {
        (Request::Renew, Some(_)) => profile.renewal_captures(&example.grant),
        (_, Some(template)) => template.captures.clone(),
        (Request::Login | Request::Renew, None) => profile.captures.clone(),
        (Request::Ping | Request::Introspect | Request::Logout, None) => Captures::new(),
    }
}

fn yields(example: &Example, told: Option<&Harvest>) -> Result<(), (usize, String)> {
    for (name, expected, line) in &example.yields {
        let found = told.and_then(|told| told.spelt(name));
        if found.as_ref() != Some(expected) {
            let found = found.map_or_else(|| "nothing".to_owned(), |found| format!("`{found}`"));
            return Err((
                *line,
                format!("example.yields.{name}: the answer yields {found}, not `{expected}`"),
            ));
        }
    }
    Ok(())
}
