//! The `capture` tables of a profile.

use std::ops::Range;

use regex_lite::Regex;
use toml::Spanned;

use super::names::RawCaptures;
use super::{Checked, filled, regex, wire, wrong};
use crate::provider::capture::{CaptureRule, Place};
use crate::provider::harvest::Captures;
use crate::provider::profile::raw::{RawCapture, RawPlace};
use crate::provider::xml::XmlPath;

/// Where the protocol itself has the token (RFC 6749 section 5.1).
const TOKEN_OF_OAUTH: &str = "/access_token";

/// Checks the rules of the request `key`; those that do not say so are optional if `lenient`.
pub(super) fn captures(key: &str, raw: RawCaptures, lenient: bool) -> Checked<Captures> {
    let token = raw.get("token").map(|token| token.get_ref().clone());
    let checked = |(name, rule): (String, Spanned<RawCapture>)| {
        let key = format!("{key}.capture.{name}");
        let rule = capture(&key, &name, placed(&key, rule, token.as_ref())?, lenient)?;
        Ok((name, rule))
    };
    raw.into_iter().map(checked).collect()
}

/// Checks what is taken from a token endpoint's answer.
pub(super) fn captures_of_oauth(mut raw: RawCaptures) -> Checked<Captures> {
    for rule in raw
        .values_mut()
        .filter(|rule| rule.get_ref().jwt.is_some() && !rule.get_ref().has_place())
    {
        let place = Spanned::new(rule.span(), TOKEN_OF_OAUTH.to_owned());
        rule.get_mut().json = Some(place);
    }
    captures("login", raw, true)
}

/// A claim without a place is one of the token itself.
fn placed(
    key: &str,
    rule: Spanned<RawCapture>,
    token: Option<&RawCapture>,
) -> Checked<Spanned<RawCapture>> {
    if rule.get_ref().jwt.is_none() || rule.get_ref().has_place() {
        return Ok(rule);
    }
    let span = rule.span();
    let message = || {
        format!(
            "{key}: the request captures no `token` whose claim it could be: say where the JWT is"
        )
    };
    let token = token
        .filter(|token| token.has_place())
        .ok_or_else(|| wrong(&span, message()))?;
    Ok(Spanned::new(span, rule.into_inner().placed_as(token)))
}

fn capture(key: &str, name: &str, raw: Spanned<RawCapture>, lenient: bool) -> Checked<CaptureRule> {
    let span = raw.span();
    let raw = raw.into_inner();
    if matches!(name, "url" | "uuid" | "now" | "jwt") {
        return Err(wrong(
            &span,
            format!("{key}: the name is reserved: choose another"),
        ));
    }
    let others = filled(&format!("{key}.or"), raw.or)?;
    let others = others
        .into_iter()
        .map(|other| place(&format!("{key}.or"), &other.span(), other.get_ref()));
    let others = others.collect::<Checked<_>>()?;
    let first = RawPlace {
        json: raw.json,
        header: raw.header,
        cookie: raw.cookie,
        xml: raw.xml,
        body: raw.body,
        origin: raw.origin,
        regex: raw.regex,
    };
    let (place, regex) = place(key, &span, &first)?;
    let rule = CaptureRule {
        place,
        regex,
        others,
        path: raw.path.unwrap_or_default(),
        claim: raw.jwt.map(Spanned::into_inner),
        unit: raw.unit,
        minus: raw
            .minus
            .map(|pointer| checked_pointer(key, &pointer))
            .transpose()?,
        public: raw.public,
        optional: raw.optional.unwrap_or(lenient),
    };
    if rule.minus.is_some() && rule.is_instant() {
        return Err(wrong(
            &span,
            format!("{key}: `minus` is for numbers: an instant needs none"),
        ));
    }
    Ok(rule)
}

/// The one place that is given, and what to take of what is there.
fn place(key: &str, at: &Range<usize>, raw: &RawPlace) -> Checked<(Place, Option<Regex>)> {
    let places = "`json`, `header`, `cookie`, `xml`, `body = true` and `origin = true`";
    let place =
        only_place(key, raw)?.ok_or_else(|| wrong(at, format!("{key}: give one of {places}")))?;
    Ok((
        place,
        raw.regex
            .as_ref()
            .map(|text| group(key, text))
            .transpose()?,
    ))
}

/// None where there are none or several.
fn only_place(key: &str, raw: &RawPlace) -> Checked<Option<Place>> {
    let path = |text: &Spanned<String>| {
        let wrong_path = |error| wrong(&text.span(), format!("{key}: {error}"));
        XmlPath::parse(text.get_ref())
            .map(Place::Xml)
            .map_err(wrong_path)
    };
    let header = |name: &Spanned<String>| {
        wire::header_name(key, &name.span(), name.get_ref())?;
        Ok(Place::Header(name.get_ref().clone()))
    };
    let places = [
        raw.json
            .as_ref()
            .map(|pointer| checked_pointer(key, pointer).map(Place::Json))
            .transpose()?,
        raw.header.as_ref().map(header).transpose()?,
        raw.cookie.clone().map(Place::Cookie),
        raw.xml.as_ref().map(path).transpose()?,
        raw.body.then_some(Place::Body),
        raw.origin.then_some(Place::Origin),
    ];
    let mut given = places.into_iter().flatten();
    Ok(given.next().filter(|_| given.next().is_none()))
}

fn checked_pointer(key: &str, pointer: &Spanned<String>) -> Checked<String> {
    if pointer.get_ref().is_empty() || pointer.get_ref().starts_with('/') {
        return Ok(pointer.get_ref().clone());
    }
    Err(wrong(
        &pointer.span(),
        format!(
            "{key}: `{}` is no JSON pointer: it starts with `/`",
            pointer.get_ref()
        ),
    ))
}

fn group(key: &str, text: &Spanned<String>) -> Checked<Regex> {
    let regex = regex(key, text)?;
    if regex.captures_len() < 2 {
        return Err(wrong(
            &text.span(),
            format!("{key}: the regex must have a group: what it holds is taken"),
        ));
    }
    Ok(regex)
}
