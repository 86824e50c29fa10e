//! A request as a profile describes it.

use serde::Deserialize;
use serde_json::Value;

use super::harvest::Captures;
use super::template::{Lookup, Template};

/// `[ping]`, `[renew]`, a `[[login.step]]` and every other request of a profile.
#[derive(Clone, Debug)]
pub(super) struct RequestTemplate {
    /// How.
    pub(super) method: Method,
    /// Where: a path below the session's base, or a URL.
    pub(super) target: Template,
    /// With which headers, besides those that carry the token.
    pub(super) headers: Vec<(String, Template)>,
    /// With which cookies, besides those that carry the token.
    pub(super) cookies: Vec<(String, Template)>,
    /// User name and password of RFC 7617.
    pub(super) basic: Option<(Template, Template)>,
    /// With what.
    pub(super) body: BodyTemplate,
    /// The body's media type, where it is not what its kind usually has.
    pub(super) content_type: Option<String>,
    /// Whether it carries the token as `[use]` says.
    pub(super) carries_token: bool,
    /// The good statuses; empty for every 2xx.
    pub(super) statuses: Vec<u16>,
    /// What a success looks like.
    pub(super) expect: Expect,
    /// Whether a redirect to a host of the server's own is answered by the same request there.
    pub(super) repeats: bool,
    /// What its answer tells.
    pub(super) captures: Captures,
}

/// The methods that session APIs use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// As requests have it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// The shape of a ping's good answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Expect {
    /// A success with a JSON body.
    #[default]
    Json,
    /// Any success that is not HTML.
    Any,
}

/// A body with placeholders.
#[derive(Clone, Debug)]
pub(super) enum BodyTemplate {
    None,
    Form(Vec<(String, Template)>),
    Json(JsonTemplate),
    Xml(Template),
    Text(Template),
}

/// JSON whose strings may hold placeholders.
#[derive(Clone, Debug)]
pub(super) enum JsonTemplate {
    Literal(Value),
    Text(Template),
    /// One parameter that is a number or a truth value, by itself.
    Bare(Template),
    List(Vec<JsonTemplate>),
    Object(Vec<(String, JsonTemplate)>),
}

impl RequestTemplate {
    /// Every placeholder in it.
    pub(super) fn names(&self) -> Vec<&str> {
        let pairs = self
            .headers
            .iter()
            .chain(&self.cookies)
            .map(|(_, template)| template);
        let basic = self
            .basic
            .iter()
            .flat_map(|(username, password)| [username, password]);
        let mut names: Vec<&str> = pairs
            .chain(basic)
            .chain(std::iter::once(&self.target))
            .flat_map(Template::names)
            .collect();
        names.extend(self.body.names());
        names
    }

    /// Whether a server that treats reading and writing apart takes this for writing (RFC 9110 section 9.2.1).
    pub(super) fn is_unsafe(&self) -> bool {
        self.method != Method::Get
    }

    /// Whether the status is one of a success.
    pub(super) fn succeeds_with(&self, status: u16) -> bool {
        if self.statuses.is_empty() {
            (200..300).contains(&status)
        } else {
            self.statuses.contains(&status)
        }
    }
}

impl BodyTemplate {
    fn names(&self) -> Vec<&str> {
        match self {
            Self::None => Vec::new(),
            Self::Form(fields) => fields
                .iter()
                .flat_map(|(_, template)| template.names())
                .collect(),
            Self::Json(json) => json.names(),
            Self::Xml(template) | Self::Text(template) => template.names().collect(),
        }
    }
}

impl JsonTemplate {
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Text(template) | Self::Bare(template) => template.names().collect(),
            Self::List(elements) => elements.iter().flat_map(Self::names).collect(),
            Self::Object(members) => members
                .iter()
                .flat_map(|(_, member)| member.names())
                .collect(),
        }
    }

    /// The JSON itself; a member or element whose placeholders all lack a value is left out.
    pub(super) fn fill(&self, lookup: &Lookup<'_>) -> Option<Value> {
        match self {
            Self::Literal(value) => Some(value.clone()),
            Self::Text(template) => template.fill(lookup).map(|text| Value::from(text.expose())),
            Self::Bare(template) => template.fill(lookup).map(|text| bare(text.expose())),
            Self::List(elements) => Some(
                elements
                    .iter()
                    .filter_map(|element| element.fill(lookup))
                    .collect(),
            ),
            Self::Object(members) => {
                let members = members
                    .iter()
                    .filter_map(|(key, member)| Some((key.clone(), member.fill(lookup)?)));
                Some(Value::Object(members.collect()))
            }
        }
    }
}

/// The value was checked when the config was read.
fn bare(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}
