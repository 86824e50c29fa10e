//! What a profile holds beside its name and its window.

use std::collections::BTreeMap;
use std::time::Duration;

use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use super::Parameter;
use crate::provider::discovery::Endpoint;
use crate::provider::grants::GrantKind;
use crate::provider::harvest::Captures;
use crate::provider::hosts::HostPattern;
use crate::provider::request::RequestTemplate;
use crate::provider::template::Template;
use crate::session::answer::Request;

/// What people are told.
#[derive(Clone, Debug)]
pub(in crate::provider) struct About {
    pub(in crate::provider) title: String,
    pub(in crate::provider) documentation: String,
    pub(in crate::provider) sources: Vec<String>,
    pub(in crate::provider) unverified: Vec<String>,
    pub(in crate::provider) notes: Vec<String>,
    pub(in crate::provider) proved: String,
}

impl About {
    /// `lists`: sources, what is unverified, and notes.
    pub(super) fn new(
        title: String,
        documentation: String,
        lists: [Vec<String>; 3],
        proved: Option<String>,
    ) -> Self {
        let [sources, unverified, notes] = lists;
        Self {
            title,
            documentation,
            sources,
            unverified,
            notes,
            proved: proved.unwrap_or_default(),
        }
    }
}

/// How a session is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(in crate::provider) enum Protocol {
    /// A token endpoint (RFC 6749).
    #[serde(rename = "oauth2")]
    OAuth2,
    /// Requests of the profile's own.
    #[serde(rename = "http")]
    Http,
    /// A program that prints a token.
    #[serde(rename = "command")]
    Command,
}

/// What a parameter's value is, beyond text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// Any text.
    #[default]
    Text,
    /// A whole number, which JSON writes without quotes.
    Integer,
    /// `true` or `false`, which JSON writes without quotes.
    Boolean,
    /// A program and its arguments.
    List,
    /// A table of texts; each is a value of its own, `NAME.KEY`.
    Fields,
}

/// Where the OAuth 2.0 requests go: paths below the login host, or whole URLs; an issuer tells the rest.
#[derive(Clone, Debug, Default)]
pub(in crate::provider) struct Endpoints {
    pub(in crate::provider) issuer: Option<Template>,
    /// Where it says so, if that is not where the standards put it.
    pub(in crate::provider) metadata: Option<Template>,
    pub(in crate::provider) known: BTreeMap<Endpoint, Template>,
}

/// What a profile adds to one grant of OAuth 2.0.
#[derive(Clone, Debug)]
pub(in crate::provider) struct GrantRules {
    pub(in crate::provider) kind: GrantKind,
    /// Form fields that replace the protocol's or join them.
    pub(in crate::provider) form: Vec<(String, Template)>,
    /// Form fields of the request that begins a person's login: the authorization URL's query, or the device's form.
    pub(in crate::provider) begin: Vec<(String, Template)>,
    /// What an assertion says besides its usual claims.
    pub(in crate::provider) claims: Vec<(String, Template)>,
    /// Login hosts on which the grant does not work.
    pub(in crate::provider) not_on: Vec<HostPattern>,
    /// What to do instead.
    pub(in crate::provider) not_on_because: String,
}

/// One way to log in by requests of the profile's own.
#[derive(Clone, Debug)]
pub(in crate::provider) struct LoginRules {
    /// The grant's name.
    pub(in crate::provider) word: String,
    /// What it is, in a few words.
    pub(in crate::provider) about: String,
    /// A refusal may be confirmed by one more try.
    pub(in crate::provider) confirm: bool,
    /// The requests, in order; one at least.
    pub(in crate::provider) steps: Vec<RequestTemplate>,
}

/// One way to log in by a program.
#[derive(Clone, Debug)]
pub(in crate::provider) struct CommandRules {
    /// The grant's name.
    pub(in crate::provider) word: String,
    /// What it is, in a few words.
    pub(in crate::provider) about: String,
    /// A refusal may be confirmed by one more run.
    pub(in crate::provider) confirm: bool,
    /// The program and its arguments; one that is a parameter of the kind `list` stands for all of it.
    pub(in crate::provider) argv: Vec<Template>,
    /// What is added to its environment: the only place for secrets.
    pub(in crate::provider) env: Vec<(String, Template)>,
    /// How long it may take.
    pub(in crate::provider) timeout: Option<Duration>,
    /// What its output tells; empty where it is one of the known forms.
    pub(in crate::provider) captures: Captures,
}

/// How a request carries the token.
#[derive(Clone, Debug, Default)]
pub(in crate::provider) struct Usage {
    pub(in crate::provider) headers: Vec<(String, Template)>,
    pub(in crate::provider) cookies: Vec<(String, Template)>,
    /// Members that join a JSON body.
    pub(in crate::provider) json: Vec<(String, Template)>,
    /// What requests that change something must carry besides.
    pub(in crate::provider) unsafe_headers: Vec<(String, Template)>,
}

/// A parameter of the profile's own.
#[derive(Clone, Debug)]
pub(in crate::provider) struct ProfileParameter {
    pub(in crate::provider) parameter: Parameter,
    /// What its value must look like.
    pub(in crate::provider) pattern: Option<Regex>,
    /// The grants that take it; empty for all.
    pub(in crate::provider) grants: Vec<String>,
}

/// How a header tells an allocation: the expression's groups `used` and `limit`.
#[derive(Clone, Debug)]
pub(in crate::provider) struct QuotaRule {
    pub(in crate::provider) name: String,
    pub(in crate::provider) header: String,
    pub(in crate::provider) regex: Regex,
}

/// A recorded or documented answer, and what it must be taken for.
#[derive(Clone, Debug)]
pub(in crate::provider) struct Example {
    pub(in crate::provider) line: usize,
    pub(in crate::provider) to: Request,
    pub(in crate::provider) grant: String,
    /// Of a login of several, from zero; the last where absent.
    pub(in crate::provider) step: Option<usize>,
    pub(in crate::provider) status: u16,
    pub(in crate::provider) headers: Vec<(String, String)>,
    pub(in crate::provider) body: String,
    pub(in crate::provider) verdict: String,
    /// What must be captured, and in which line that is.
    pub(in crate::provider) yields: Vec<(String, String, usize)>,
}
