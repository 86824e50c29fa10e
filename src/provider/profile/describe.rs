//! A profile in words: what `keepfresh providers NAME` shows.

use std::time::Duration;

use serde::Serialize;

use super::{Parameter, Profile};
use crate::duration::duration_text;
use crate::provider::client_auth::ClientAuth;
use crate::provider::request::RequestTemplate;
use crate::provider::rule::{AnswerRule, Condition, RuleVerdict};
use crate::session::answer::Request;
use crate::session::policy::WindowModel;

/// Everything that a user of the profile should know.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// What `provider = "…"` says.
    pub name: String,
    /// What people call such a server.
    pub title: String,
    /// `oauth2`, `http` or `command`.
    pub protocol: &'static str,
    /// Where its maker describes it.
    pub documentation: String,
    /// What restarts the server's idle timer, and the limits, in words.
    pub window: Vec<String>,
    /// Whether a session names its server.
    pub needs_url: bool,
    /// The ways to log in.
    pub grants: Vec<GrantDescription>,
    /// The ping, and the alternatives by name.
    pub pings: Vec<String>,
    /// What yields a new token without a login, if anything does.
    pub renewal: Option<String>,
    /// What ends the session, if the profile knows.
    pub logout: Option<String>,
    /// What a dead session's answers look like.
    pub dead: Vec<String>,
    /// What it was tried against; empty where only against the examples in its file.
    pub proved: String,
    /// What is not confirmed yet.
    pub unverified: Vec<String>,
    /// What its users should know.
    pub notes: Vec<String>,
    /// Where its facts come from.
    pub sources: Vec<String>,
}

/// One way to log in.
#[derive(Clone, Debug, Serialize)]
pub struct GrantDescription {
    /// What `grant = "…"` says.
    pub name: String,
    /// What it is, in a few words; may be empty.
    pub about: String,
    /// What a person does at the server before the first login, step by step; `{certificate}` is the file of one.
    pub setup: Vec<String>,
    /// The keys of `[sessions.NAME.login]`.
    pub parameters: Vec<Parameter>,
}

impl Profile {
    /// The profile in words.
    pub fn describe(&self) -> Description {
        let grant = |name: &str| GrantDescription {
            name: name.to_owned(),
            about: self.about_grant(name).to_owned(),
            setup: self.setup(name).to_vec(),
            parameters: with_needed_secret(self.parameters(name).unwrap_or_default()),
        };
        let named = self
            .pings
            .iter()
            .map(|(name, ping)| format!("{name}: {}", request(ping)));
        Description {
            name: self.name.clone(),
            title: self.about.title.clone(),
            protocol: self.protocol_word(),
            documentation: self.about.documentation.clone(),
            window: self.window_in_words(),
            needs_url: self.needs_url(),
            grants: self.grants().into_iter().map(grant).collect(),
            pings: self.ping.iter().map(request).chain(named).collect(),
            renewal: self.renewal_in_words(),
            logout: self.logout.as_ref().map(request),
            dead: self
                .answers
                .iter()
                .filter(|rule| is_sign_of_death(rule))
                .map(conditions)
                .collect(),
            proved: self.about.proved.clone(),
            unverified: self.about.unverified.clone(),
            notes: self.about.notes.clone(),
            sources: self.about.sources.clone(),
        }
    }

    fn window_in_words(&self) -> Vec<String> {
        let window = &self.window;
        let model = match window.model {
            WindowModel::HalfWindow => {
                "activity in the second half of the idle timeout restarts it"
            }
            WindowModel::Sliding => "every request restarts the idle timeout",
            WindowModel::Explicit => "only the ping restarts the idle timeout",
            WindowModel::Fixed => "a token ends after its time, used or not",
        };
        let idle = match window.idle_timeout {
            Some(timeout) => format!(
                "idle timeout {} unless the config says otherwise",
                duration_text(timeout)
            ),
            None => "never idles out".to_owned(),
        };
        let settings: Vec<String> = window
            .idle_timeouts
            .iter()
            .copied()
            .map(duration_text)
            .collect();
        let limit = |what: &str, limit: Option<Duration>| {
            limit.map(|limit| format!("{what} {}", duration_text(limit)))
        };
        [
            Some(model.to_owned()),
            Some(idle),
            (!settings.is_empty())
                .then(|| format!("servers can be set to {}", settings.join(", "))),
            limit("a login ends after", window.max_lifetime),
            limit("a token lives for", window.token_lifetime),
            limit(
                "an unused refresh token ends after",
                window.refresh_idle_timeout,
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn renewal_in_words(&self) -> Option<String> {
        let renew = self.renew.as_ref()?;
        let needs = if renew.carries_token {
            "while the token lives"
        } else {
            "even when the token is dead"
        };
        let kills = if self.window.renewal_kills {
            "; that ends the former token"
        } else {
            ""
        };
        Some(format!("{}, {needs}{kills}", request(renew)))
    }
}

/// A client that proves itself by its secret, unless the config says otherwise, needs one.
fn with_needed_secret(mut parameters: Vec<Parameter>) -> Vec<Parameter> {
    let by_secret = |default: &String| {
        [ClientAuth::Basic, ClientAuth::Post]
            .iter()
            .any(|way| way.word() == default)
    };
    let needed = parameters.iter().any(|parameter| {
        parameter.name == "client_auth" && parameter.default.as_ref().is_some_and(by_secret)
    });
    for secret in parameters
        .iter_mut()
        .filter(|parameter| parameter.name == "client_secret")
    {
        secret.required |= needed;
    }
    parameters
}

fn request(template: &RequestTemplate) -> String {
    format!("{} {}", template.method.word(), template.target)
}

fn is_sign_of_death(rule: &AnswerRule) -> bool {
    rule.verdict == RuleVerdict::Dead && (rule.to.is_empty() || rule.to.contains(&Request::Ping))
}

/// `status 403, json /code is "GONE"`.
fn conditions(rule: &AnswerRule) -> String {
    let statuses: Vec<String> = rule.statuses.iter().map(u16::to_string).collect();
    let status = (!statuses.is_empty()).then(|| format!("status {}", statuses.join(" or ")));
    let content_type = rule
        .content_type
        .as_ref()
        .map(|content_type| format!("type {content_type}"));
    let headers = rule
        .headers
        .iter()
        .map(|(name, holds)| format!("header {name} {}", condition(holds)));
    let json = rule
        .json
        .iter()
        .map(|(place, holds)| format!("JSON {place} {}", condition(holds)));
    let xml = rule
        .xml
        .iter()
        .map(|(place, holds)| format!("XML {place} {}", condition(holds)));
    let text = rule
        .text
        .as_ref()
        .map(|holds| format!("text {}", condition(holds)));
    let parts: Vec<String> = status
        .into_iter()
        .chain(content_type)
        .chain(headers)
        .chain(json)
        .chain(xml)
        .chain(text)
        .collect();
    let parts = if parts.is_empty() {
        "any answer".to_owned()
    } else {
        parts.join(", ")
    };
    if rule.certain {
        parts
    } else {
        format!("{parts} (twice)")
    }
}

fn condition(condition: &Condition) -> String {
    match condition {
        Condition::Equals(value) => format!("is {value}"),
        Condition::Exists(true) => "is there".to_owned(),
        Condition::Exists(false) => "is absent".to_owned(),
        Condition::Null(true) => "is null".to_owned(),
        Condition::Null(false) => "is not null".to_owned(),
        Condition::Matches(regex) => format!("matches {}", regex.as_str()),
        Condition::OneOf(values) => {
            let values: Vec<String> = values.iter().map(ToString::to_string).collect();
            format!("is one of {}", values.join(", "))
        }
        Condition::Contains(text) => format!("contains \"{text}\""),
        Condition::LacksWords(words) => format!("has none of {}", words.join(", ")),
    }
}
