//! The parts of a profile that describe requests and answers.

use std::collections::BTreeMap;

use regex_lite::Regex;
use serde_json::Value;
use toml::Spanned;

use super::{Checked, grant_named, template, wrong};
use crate::provider::capture::{CaptureRule, Place};
use crate::provider::discovery::Endpoint;
use crate::provider::profile::Endpoints;
use crate::provider::profile::raw::{Conditions, RawAnswer, RawCapture, RawEndpoints, RawRequest, RawUse, Texts};
use crate::provider::request::{BodyTemplate, JsonTemplate, RequestTemplate};
use crate::provider::rule::{AnswerRule, Condition};
use crate::provider::template::Template;

/// Without an issuer that would tell it, the token endpoint must stand there.
pub(super) fn endpoints(raw: &RawEndpoints) -> Checked<Endpoints> {
    if raw.token.is_none() && raw.issuer.is_none() {
        return Err(wrong(&(0..0), "endpoints: give `token`, or an `issuer` that tells where it is".to_owned()));
    }
    let given = [
        (Endpoint::Token, "token", &raw.token),
        (Endpoint::Introspection, "introspection", &raw.introspection),
        (Endpoint::Revocation, "revocation", &raw.revocation),
        (Endpoint::Userinfo, "userinfo", &raw.userinfo),
        (Endpoint::Authorization, "authorization", &raw.authorization),
        (Endpoint::DeviceAuthorization, "device_authorization", &raw.device_authorization),
    ];
    let given = given.into_iter().filter_map(|(kind, name, text)| Some((kind, name, text.as_ref()?)));
    let known = given.map(|(kind, name, text)| Ok((kind, template(&format!("endpoints.{name}"), text)?)));
    let issuer = raw.issuer.as_ref().map(|issuer| template("endpoints.issuer", issuer)).transpose()?;
    Ok(Endpoints { issuer, known: known.collect::<Checked<_>>()? })
}

pub(super) fn templates(key: &str, texts: &Texts) -> Checked<Vec<(String, Template)>> {
    texts.iter().map(|(name, text)| Ok((name.clone(), template(&format!("{key}.{name}"), text)?))).collect()
}

/// Without `[use]`, RFC 6750 section 2.1 holds.
pub(super) fn use_headers(raw: &RawUse) -> Checked<Vec<(String, Template)>> {
    if !raw.headers.is_empty() {
        return templates("use.headers", &raw.headers);
    }
    let bearer = Spanned::new(0..0, "Bearer {token}".to_owned());
    Ok(vec![("Authorization".to_owned(), template("use.headers", &bearer)?)])
}

pub(super) fn captures(raw: BTreeMap<String, Spanned<RawCapture>>) -> Checked<BTreeMap<String, CaptureRule>> {
    raw.into_iter().map(|(name, rule)| Ok((name.clone(), capture(&name, rule)?))).collect()
}

fn capture(name: &str, raw: Spanned<RawCapture>) -> Checked<CaptureRule> {
    let span = raw.span();
    let raw = raw.into_inner();
    let place = match (raw.json, raw.header, raw.body) {
        (Some(pointer), None, false) => Place::Json(checked_pointer(name, pointer)?),
        (None, Some(header), false) => Place::Header(header),
        (None, None, true) => Place::Body,
        (_, _, _) => {
            let message = format!("login.capture.{name}: give one of `json`, `header` and `body = true`");
            return Err(wrong(&span, message));
        }
    };
    Ok(CaptureRule { place, unit: raw.unit, public: raw.public })
}

fn checked_pointer(name: &str, pointer: Spanned<String>) -> Checked<String> {
    if pointer.get_ref().is_empty() || pointer.get_ref().starts_with('/') {
        return Ok(pointer.into_inner());
    }
    let message = format!("login.capture.{name}: `{}` is no JSON pointer: it starts with `/`", pointer.get_ref());
    Err(wrong(&pointer.span(), message))
}

pub(super) fn pings(raw: BTreeMap<String, RawRequest>) -> Checked<BTreeMap<String, RequestTemplate>> {
    raw.into_iter().map(|(name, ping)| Ok((name.clone(), request(&format!("pings.{name}"), &ping)?))).collect()
}

pub(super) fn request(key: &str, raw: &RawRequest) -> Checked<RequestTemplate> {
    let target = match (&raw.path, &raw.url) {
        (Some(path), None) if path.get_ref().starts_with('/') => path,
        (None, Some(url)) => url,
        (Some(path), None) => return Err(wrong(&path.span(), format!("{key}.path: it starts with `/`"))),
        (Some(path), Some(_)) => return Err(wrong(&path.span(), format!("{key}: give `path` or `url`, not both"))),
        (None, None) => return Err(wrong(&(0..0), format!("{key}: `path` or `url` is missing"))),
    };
    Ok(RequestTemplate {
        method: raw.method,
        target: template(&format!("{key}.path"), target)?,
        headers: templates(&format!("{key}.headers"), &raw.headers)?,
        body: body(key, raw.form.as_ref(), raw.json.as_ref())?,
        carries_token: raw.carries_token,
        expect: raw.expect,
    })
}

fn body(key: &str, form: Option<&Texts>, json: Option<&Spanned<toml::Value>>) -> Checked<BodyTemplate> {
    match (form, json) {
        (None, None) => Ok(BodyTemplate::None),
        (Some(form), None) => Ok(BodyTemplate::Form(templates(&format!("{key}.form"), form)?)),
        (None, Some(json)) => Ok(BodyTemplate::Json(json_template(&format!("{key}.json"), json, json.get_ref())?)),
        (Some(_), Some(json)) => Err(wrong(&json.span(), format!("{key}: give `form` or `json`, not both"))),
    }
}

fn json_template(key: &str, place: &Spanned<toml::Value>, value: &toml::Value) -> Checked<JsonTemplate> {
    match value {
        toml::Value::String(text) => template(key, &Spanned::new(place.span(), text.clone())).map(JsonTemplate::Text),
        toml::Value::Array(elements) => {
            let elements = elements.iter().map(|element| json_template(key, place, element));
            Ok(JsonTemplate::List(elements.collect::<Checked<_>>()?))
        }
        toml::Value::Table(members) => {
            let members = members.iter().map(|(name, value)| Ok((name.clone(), json_template(key, place, value)?)));
            Ok(JsonTemplate::Object(members.collect::<Checked<_>>()?))
        }
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) | toml::Value::Datetime(_) => {
            json_value(key, place, value).map(JsonTemplate::Literal)
        }
    }
}

fn json_value(key: &str, place: &Spanned<toml::Value>, value: &toml::Value) -> Checked<Value> {
    serde_json::to_value(value).map_err(|error| wrong(&place.span(), format!("{key}: {error}")))
}

pub(super) fn answer(raw: RawAnswer) -> Checked<AnswerRule> {
    for grant in &raw.grants {
        grant_named("answer.grants", grant)?;
    }
    Ok(AnswerRule {
        to: raw.to,
        grants: raw.grants.into_iter().map(Spanned::into_inner).collect(),
        statuses: raw.status,
        content_type: raw.content_type,
        headers: conditions("answer.headers", &raw.headers)?,
        json: conditions("answer.json", &raw.json)?,
        text: raw.text.as_ref().map(|text| condition("answer.text", text)).transpose()?,
        verdict: raw.verdict,
        certain: raw.certain,
        confirm: raw.confirm,
        remedy: raw.remedy,
    })
}

fn conditions(key: &str, raw: &Conditions) -> Checked<Vec<(String, Condition)>> {
    let checked = |(place, raw): (&String, &Spanned<toml::Value>)| {
        Ok((place.clone(), condition(&format!("{key}.\"{place}\""), raw)?))
    };
    raw.iter().map(checked).collect()
}

/// A bare value, or a table with the one word that says how to compare.
fn condition(key: &str, raw: &Spanned<toml::Value>) -> Checked<Condition> {
    let toml::Value::Table(table) = raw.get_ref() else {
        return json_value(key, raw, raw.get_ref()).map(Condition::Equals);
    };
    let mut entries = table.iter();
    let condition = match (entries.next(), entries.next()) {
        (Some((word, value)), None) => comparison(key, raw, word, value)?,
        _ => None,
    };
    let message = || {
        format!(
            "{key}: write a value, {{ exists = true }}, {{ regex = \"…\" }}, {{ in = […] }}, {{ contains = \"…\" }} or {{ lacks = […] }}"
        )
    };
    condition.ok_or_else(|| wrong(&raw.span(), message()))
}

fn comparison(key: &str, raw: &Spanned<toml::Value>, word: &str, value: &toml::Value) -> Checked<Option<Condition>> {
    Ok(match (word, value) {
        ("exists", toml::Value::Boolean(expected)) => Some(Condition::Exists(*expected)),
        ("regex", toml::Value::String(text)) => {
            let regex = Regex::new(text).map_err(|error| wrong(&raw.span(), format!("{key}: {error}")))?;
            Some(Condition::Matches(regex))
        }
        ("contains", toml::Value::String(text)) => Some(Condition::Contains(text.to_lowercase())),
        ("in", toml::Value::Array(values)) => {
            let values = values.iter().map(|value| json_value(key, raw, value));
            Some(Condition::OneOf(values.collect::<Checked<_>>()?))
        }
        ("lacks", toml::Value::Array(words)) => {
            let words = words.iter().filter_map(|word| word.as_str().map(str::to_owned));
            Some(Condition::LacksWords(words.collect()))
        }
        (_, _) => None,
    })
}
