//! A request as a profile describes it.

use serde::Deserialize;
use serde_json::Value;

use super::template::{Lookup, Template};

/// `[ping]`, and later every other request of a profile.
#[derive(Clone, Debug)]
pub(super) struct RequestTemplate {
    /// How.
    pub(super) method: Method,
    /// Where: a path below the session's base, or a URL.
    pub(super) target: Template,
    /// With which headers, besides those that carry the token.
    pub(super) headers: Vec<(String, Template)>,
    /// With what.
    pub(super) body: BodyTemplate,
    /// Whether it carries the token as `[use]` says.
    pub(super) carries_token: bool,
    /// What a success looks like.
    pub(super) expect: Expect,
}

/// The methods that session APIs use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Method {
    #[default]
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// The shape of a ping's good answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Expect {
    /// A 2xx with a JSON body.
    #[default]
    Json,
    /// Any 2xx that is not HTML.
    Any,
}

/// A body with placeholders.
#[derive(Clone, Debug)]
pub(super) enum BodyTemplate {
    None,
    Form(Vec<(String, Template)>),
    Json(JsonTemplate),
}

/// JSON whose strings may hold placeholders.
#[derive(Clone, Debug)]
pub(super) enum JsonTemplate {
    Literal(Value),
    Text(Template),
    List(Vec<JsonTemplate>),
    Object(Vec<(String, JsonTemplate)>),
}

impl RequestTemplate {
    /// Every placeholder in it.
    pub(super) fn names(&self) -> Vec<&str> {
        let body = match &self.body {
            BodyTemplate::None => Vec::new(),
            BodyTemplate::Form(fields) => fields.iter().flat_map(|(_, template)| template.names()).collect(),
            BodyTemplate::Json(json) => json.names(),
        };
        let headers = self.headers.iter().flat_map(|(_, template)| template.names());
        self.target.names().chain(headers).chain(body).collect()
    }
}

impl JsonTemplate {
    fn names(&self) -> Vec<&str> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Text(template) => template.names().collect(),
            Self::List(elements) => elements.iter().flat_map(Self::names).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, member)| member.names()).collect(),
        }
    }

    /// The JSON itself; a string whose placeholders all lack a value is null.
    pub(super) fn fill(&self, lookup: &Lookup<'_>) -> Value {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Text(template) => template.fill(lookup).map_or(Value::Null, |text| Value::from(text.expose())),
            Self::List(elements) => elements.iter().map(|element| element.fill(lookup)).collect(),
            Self::Object(members) => {
                Value::Object(members.iter().map(|(key, member)| (key.clone(), member.fill(lookup))).collect())
            }
        }
    }
}
