//! What belongs to another protocol: taken in silence, it would be waited for in vain.

use std::ops::Range;

use toml::Spanned;

use super::{Checked, wrong};
use crate::provider::profile::content::Protocol;
use crate::provider::profile::raw::{Logins, RawProfile, RawRequest};

/// A key, whether and where it is, and what to do about it.
type Found = (&'static str, Option<Range<usize>>, &'static str);

/// Refuses the first of them.
pub(super) fn refuse(raw: &RawProfile<Logins>) -> Checked<()> {
    let found = match raw.protocol.get_ref() {
        Protocol::OAuth2 => return in_oauth(raw),
        Protocol::Http => of_oauth(raw)
            .into_iter()
            .chain(logins(raw, of_command))
            .collect::<Vec<_>>(),
        Protocol::Command => of_oauth(raw)
            .into_iter()
            .chain(logins(raw, of_http))
            .chain([after_login(raw)])
            .collect(),
    };
    match found
        .into_iter()
        .find_map(|(key, at, remedy)| Some((key, at?, remedy)))
    {
        Some((key, at, remedy)) => Err(wrong(&at, format!("{key}: {remedy}"))),
        None => Ok(()),
    }
}

fn in_oauth(raw: &RawProfile<Logins>) -> Checked<()> {
    if raw.endpoints.is_none() {
        let message = "endpoints: it is missing: protocol = \"oauth2\" needs endpoints.token";
        return Err(wrong(&raw.protocol.span(), message.to_owned()));
    }
    let foreign = raw
        .renew
        .as_ref()
        .or(raw.introspection.as_ref())
        .or(raw.logout.as_ref());
    if let Some(request) = foreign {
        let message =
            "renew, introspection and logout are the protocol's own in \"oauth2\": set endpoints";
        return Err(wrong(&request.span(), message.to_owned()));
    }
    let message = "login: in \"oauth2\" the protocol logs in: only [login.capture] and [grant.…] may be given";
    let requests = raw.login.iter().flatten().find(|(name, login)| {
        let command = of_command(login).iter().any(|(_, at, _)| at.is_some());
        name.is_some() || command || of_http(login).iter().any(|(_, at, _)| at.is_some())
    });
    requests.map_or(Ok(()), |(_, login)| {
        Err(wrong(&login.span(), message.to_owned()))
    })
}

fn of_oauth(raw: &RawProfile<Logins>) -> [Found; 4] {
    [
        (
            "endpoints",
            raw.endpoints.as_ref().map(Spanned::span),
            "it belongs to protocol = \"oauth2\": describe each request by itself, as [login], [renew] and [logout]",
        ),
        (
            "grant",
            raw.grant.keys().next().map(Spanned::span),
            "it belongs to protocol = \"oauth2\": write [login.NAME] for each way to log in",
        ),
        (
            "audience",
            raw.audience.first().map(|audience| audience.host.span()),
            "it belongs to protocol = \"oauth2\": take it out; [jwt] can hold an `aud` among its claims",
        ),
        (
            "token.jwt_is_fixed",
            raw.token.jwt_is_fixed.as_ref().map(Spanned::span),
            "it belongs to protocol = \"oauth2\": take the end out of the token, as expires_at = { jwt = \"exp\" } in [login.capture]",
        ),
    ]
}

fn logins<const N: usize>(
    raw: &RawProfile<Logins>,
    found: fn(&Spanned<RawRequest>) -> [Found; N],
) -> Vec<Found> {
    raw.login
        .iter()
        .flatten()
        .flat_map(|(_, login)| found(login))
        .collect()
}

/// What only a program can be given.
fn of_command(login: &Spanned<RawRequest>) -> [Found; 3] {
    let raw = login.get_ref();
    let remedy = "it belongs to protocol = \"command\": take it out, or let a program log in";
    [
        (
            "login.command",
            raw.command.as_ref().map(Spanned::span),
            remedy,
        ),
        (
            "login.env",
            raw.env.values().next().map(Spanned::span),
            remedy,
        ),
        (
            "login.timeout",
            raw.timeout.as_ref().map(Spanned::span),
            remedy,
        ),
    ]
}

/// What only a request can have.
fn of_http(login: &Spanned<RawRequest>) -> [Found; 18] {
    let raw = login.get_ref();
    let remedy = "it belongs to protocol = \"http\": a program logs in, no request; take it out";
    let here = |is_given: bool| is_given.then(|| login.span());
    [
        ("login.path", raw.path.as_ref().map(Spanned::span), remedy),
        ("login.url", raw.url.as_ref().map(Spanned::span), remedy),
        ("login.method", here(raw.method.is_some()), remedy),
        (
            "login.headers",
            raw.headers.values().next().map(Spanned::span),
            remedy,
        ),
        (
            "login.cookies",
            raw.cookies.values().next().map(Spanned::span),
            remedy,
        ),
        (
            "login.basic",
            raw.basic.as_ref().map(|basic| basic.username.span()),
            remedy,
        ),
        ("login.form", here(raw.form.is_some()), remedy),
        ("login.json", raw.json.as_ref().map(Spanned::span), remedy),
        ("login.xml", raw.xml.as_ref().map(Spanned::span), remedy),
        ("login.text", raw.text.as_ref().map(Spanned::span), remedy),
        (
            "login.content_type",
            raw.content_type.as_ref().map(Spanned::span),
            remedy,
        ),
        ("login.use", here(raw.carries_token.is_some()), remedy),
        (
            "login.status",
            raw.status.as_ref().map(Spanned::span),
            remedy,
        ),
        ("login.expect", here(raw.expect.is_some()), remedy),
        ("login.redirect", here(raw.redirect.is_some()), remedy),
        ("login.secret_in_url", here(raw.secret_in_url), remedy),
        ("login.step", raw.step.first().map(Spanned::span), remedy),
        (
            "login.confirm",
            raw.confirm.as_ref().map(Spanned::span),
            remedy,
        ),
    ]
}

/// Nothing is asked after a program has logged in.
fn after_login(raw: &RawProfile<Logins>) -> Found {
    let remedy = "it belongs to protocol = \"http\": the program must print all that you need beside the token";
    (
        "after_login",
        raw.after_login.first().map(Spanned::span),
        remedy,
    )
}
