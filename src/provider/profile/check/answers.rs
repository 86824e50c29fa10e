//! The parts of a profile that describe answers.

use regex_lite::Regex;
use toml::Spanned;

use super::requests::json_value;
use super::{Checked, Text, filled, regex, wire, wrong};
use crate::provider::profile::content::{Example, QuotaRule};
use crate::provider::profile::raw::{
    Conditions, NextStep, OneOrSeveral, RawAnswer, RawExample, RawQuota,
};
use crate::provider::rule::{AnswerRule, Condition};
use crate::provider::xml::XmlPath;

/// One rule; `grants` are the ones that the profile knows.
pub(super) fn answer(
    raw: Spanned<RawAnswer>,
    grants: &[String],
    text: Text<'_>,
) -> Checked<AnswerRule> {
    let line = text.line(raw.span().start);
    let raw = raw.into_inner();
    let named = filled("answer.grants", raw.grants)?;
    for grant in &named {
        known_grant("answer.grants", grant, grants)?;
    }
    Ok(AnswerRule {
        line,
        to: filled("answer.to", raw.to)?,
        grants: named.into_iter().map(Spanned::into_inner).collect(),
        statuses: filled("answer.status", raw.status)?,
        content_type: raw.content_type.as_ref().map(media_type).transpose()?,
        headers: headers(&raw.headers)?,
        json: conditions("answer.json", &raw.json)?,
        xml: paths(&raw.xml)?,
        text: raw
            .text
            .as_ref()
            .map(|text| condition("answer.text", text))
            .transpose()?,
        verdict: raw.verdict.into_inner(),
        for_good: raw.next == Some(NextStep::Login),
        certain: raw.certain,
        confirm: raw.confirm,
        refused: raw.refused,
        remedy: raw.remedy,
    })
}

/// As answers are looked at: in lower case.
fn media_type(text: &Spanned<String>) -> Checked<String> {
    wire::media_type("answer.content_type", text, false).map(|text| text.to_ascii_lowercase())
}

fn headers(raw: &Conditions) -> Checked<Vec<(String, Condition)>> {
    for (name, condition) in raw {
        wire::header_name("answer.headers", &condition.span(), name)?;
    }
    conditions("answer.headers", raw)
}

fn paths(raw: &Conditions) -> Checked<Vec<(XmlPath, Condition)>> {
    let one = |(place, raw): (&String, &Spanned<toml::Value>)| {
        let key = format!("answer.xml.\"{place}\"");
        let path =
            XmlPath::parse(place).map_err(|error| wrong(&raw.span(), format!("{key}: {error}")))?;
        Ok((path, condition(&key, raw)?))
    };
    raw.iter().map(one).collect()
}

fn conditions(key: &str, raw: &Conditions) -> Checked<Vec<(String, Condition)>> {
    let checked = |(place, raw): (&String, &Spanned<toml::Value>)| {
        Ok((
            place.clone(),
            condition(&format!("{key}.\"{place}\""), raw)?,
        ))
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
            "{key}: write a value, {{ exists = true }}, {{ null = true }}, {{ regex = \"…\" }}, {{ in = […] }}, {{ contains = \"…\" }} or {{ lacks = […] }}"
        )
    };
    condition.ok_or_else(|| wrong(&raw.span(), message()))
}

/// The words that compare with a list or a part say nothing with an empty one.
fn comparison(
    key: &str,
    raw: &Spanned<toml::Value>,
    word: &str,
    value: &toml::Value,
) -> Checked<Option<Condition>> {
    let is_empty = match value {
        toml::Value::Array(values) => values.is_empty(),
        toml::Value::String(text) => text.is_empty(),
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Table(_) => false,
    };
    if is_empty {
        return Err(wrong(
            &raw.span(),
            format!("{key}.{word}: it is empty: say what to look for"),
        ));
    }
    Ok(match (word, value) {
        ("exists", toml::Value::Boolean(expected)) => Some(Condition::Exists(*expected)),
        ("null", toml::Value::Boolean(expected)) => Some(Condition::Null(*expected)),
        ("regex", toml::Value::String(text)) => {
            let regex =
                Regex::new(text).map_err(|error| wrong(&raw.span(), format!("{key}: {error}")))?;
            Some(Condition::Matches(regex))
        }
        ("contains", toml::Value::String(text)) => Some(Condition::Contains(text.to_lowercase())),
        ("in", toml::Value::Array(values)) => {
            let values = values.iter().map(|value| json_value(key, raw, value));
            Some(Condition::OneOf(values.collect::<Checked<_>>()?))
        }
        ("lacks", toml::Value::Array(words)) => {
            let words: Option<Vec<String>> = words
                .iter()
                .map(|word| word.as_str().map(str::to_owned))
                .collect();
            words.map(Condition::LacksWords)
        }
        (_, _) => None,
    })
}

pub(super) fn quota(raw: RawQuota) -> Checked<QuotaRule> {
    let regex = regex(&format!("quota.{}", raw.name), &raw.regex)?;
    let has = |group| regex.capture_names().flatten().any(|name| name == group);
    if !has("used") || !has("limit") {
        let message = format!(
            "quota.{}: the regex must have the groups (?<used>…) and (?<limit>…)",
            raw.name
        );
        return Err(wrong(&raw.regex.span(), message));
    }
    wire::header_name(
        &format!("quota.{}", raw.name),
        &raw.header.span(),
        raw.header.get_ref(),
    )?;
    Ok(QuotaRule {
        name: raw.name,
        header: raw.header.into_inner(),
        regex,
    })
}

pub(super) fn example(raw: RawExample, grants: &[String], text: Text<'_>) -> Checked<Example> {
    if let Some(grant) = &raw.grant {
        known_grant("example.grant", grant, grants)?;
    }
    let step = match &raw.step {
        Some(step) if *step.get_ref() == 0 => {
            return Err(wrong(
                &step.span(),
                "example.step: the first step is 1".to_owned(),
            ));
        }
        Some(step) => Some(step.get_ref() - 1),
        None => None,
    };
    let yields = raw.yields.into_iter().map(|(name, value)| {
        let line = text.line(value.span().start);
        (name, value.into_inner(), line)
    });
    Ok(Example {
        line: text.line(raw.to.span().start),
        to: raw.to.into_inner(),
        grant: raw.grant.map_or_else(
            || grants.first().cloned().unwrap_or_default(),
            Spanned::into_inner,
        ),
        step,
        status: raw.status,
        headers: raw
            .headers
            .into_iter()
            .flat_map(|(name, values)| repeated(name, values))
            .collect(),
        body: raw.body,
        verdict: raw.verdict,
        yields: yields.collect(),
    })
}

fn repeated(name: String, values: OneOrSeveral) -> Vec<(String, String)> {
    match values {
        OneOrSeveral::One(value) => vec![(name, value)],
        OneOrSeveral::Several(values) => values
            .into_iter()
            .map(|value| (name.clone(), value))
            .collect(),
    }
}

fn known_grant(key: &str, name: &Spanned<String>, grants: &[String]) -> Checked<()> {
    if grants.contains(name.get_ref()) {
        return Ok(());
    }
    let message = format!(
        "{key}: there is no grant `{}`: known are {}",
        name.get_ref(),
        grants.join(", ")
    );
    Err(wrong(&name.span(), message))
}
