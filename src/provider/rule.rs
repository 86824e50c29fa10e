//! What a profile says of answers: ordered rules, the first that matches gives the verdict.

use regex_lite::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::capture::scalar;
use super::response::header_lines;
use super::xml::XmlPath;
use crate::session::answer::{Refused, Request};

/// The verdicts that a rule can give; the others come from an answer's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RuleVerdict {
    Alive,
    Dead,
    Refused,
    GrantDead,
    Throttled,
    Unavailable,
    Forbidden,
    InDoubt,
    Concurrent,
    Skewed,
    LoggedOut,
}

impl RuleVerdict {
    /// As it is written in a profile.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Dead => "dead",
            Self::Refused => "refused",
            Self::GrantDead => "grant_dead",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Forbidden => "forbidden",
            Self::InDoubt => "in_doubt",
            Self::Concurrent => "concurrent",
            Self::Skewed => "skewed",
            Self::LoggedOut => "logged_out",
        }
    }
}

/// One `[[answer]]`.
#[derive(Clone, Debug)]
pub(super) struct AnswerRule {
    /// Where in the file it begins, from one.
    pub(super) line: usize,
    /// The requests it is about; empty for all.
    pub(super) to: Vec<Request>,
    /// The grants it is about; empty for all.
    pub(super) grants: Vec<String>,
    /// The statuses it is about; empty for all.
    pub(super) statuses: Vec<u16>,
    /// The media type, without parameters.
    pub(super) content_type: Option<String>,
    /// Header names and what their values must be.
    pub(super) headers: Vec<(String, Condition)>,
    /// Places in a JSON body and what must be there.
    pub(super) json: Vec<(String, Condition)>,
    /// Places in an XML body and what must be there.
    pub(super) xml: Vec<(XmlPath, Condition)>,
    /// What the body as text must be.
    pub(super) text: Option<Condition>,
    /// What such an answer means.
    pub(super) verdict: RuleVerdict,
    /// Of a dead token: renewing cannot help.
    pub(super) for_good: bool,
    /// False where a second look must confirm it.
    pub(super) certain: bool,
    /// Whether one more try may confirm a refusal; the grant decides where absent.
    pub(super) confirm: Option<bool>,
    /// What was refused; the answer's OAuth error decides where absent.
    pub(super) refused: Option<Refused>,
    /// What a person can do about it.
    pub(super) remedy: Option<String>,
}

/// What must be in a place.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// Exactly this.
    Equals(Value),
    /// Anything, or nothing.
    Exists(bool),
    /// JSON's null, or anything else that is there.
    Null(bool),
    /// Text, a number or a truth value that the expression finds something in.
    Matches(Regex),
    /// Exactly one of these.
    OneOf(Vec<Value>),
    /// The same that contains this, whatever the case.
    Contains(String),
    /// A list of words, separated by spaces, with none of these in it.
    LacksWords(Vec<String>),
}

/// The parts of an answer that rules look at.
pub(super) struct Seen<'a> {
    /// What was asked.
    pub(super) request: Request,
    /// By which grant the session logs in.
    pub(super) grant: &'a str,
    /// The status.
    pub(super) status: u16,
    /// The media type in lower case, without parameters.
    pub(super) content_type: &'a str,
    /// Names in lower case, and values.
    pub(super) headers: &'a [(String, String)],
    /// The body as text.
    pub(super) text: &'a str,
    /// The body as JSON, if it is that.
    pub(super) json: Option<&'a Value>,
}

impl AnswerRule {
    /// Whether every condition holds.
    pub(super) fn matches(&self, seen: &Seen<'_>) -> bool {
        self.is_about(seen)
            && self
                .headers
                .iter()
                .all(|(name, condition)| header_holds(seen.headers, name, condition))
            && self
                .json
                .iter()
                .all(|(place, condition)| json_holds(seen.json, place, condition))
            && self.xml.iter().all(|(place, condition)| {
                condition.holds(place.find(seen.text).map(Value::from).as_ref())
            })
            && self
                .text
                .as_ref()
                .is_none_or(|condition| condition.holds(Some(&Value::from(seen.text))))
    }

    /// Whether the rule means an answer that is usually no answer of the API at all: it names the redirect, the page, or
    /// a header that came with it.
    pub(super) fn is_about_odd(&self, seen: &Seen<'_>) -> bool {
        let is_no = (300..500).contains(&seen.status);
        self.content_type.is_some() || is_no && (!self.statuses.is_empty() || self.names_a_header())
    }

    /// Whether it holds of an answer by more than its status: such an answer was most likely written by the API itself.
    pub(super) fn is_evident(&self) -> bool {
        self.content_type.is_some() || self.names_a_header() || self.reads_the_body()
    }

    /// Whether it looks at the body, which may have broken off.
    pub(super) fn reads_the_body(&self) -> bool {
        !self.json.is_empty() || !self.xml.is_empty() || self.text.is_some()
    }

    fn names_a_header(&self) -> bool {
        self.headers
            .iter()
            .any(|(_, condition)| !matches!(condition, Condition::Exists(false)))
    }

    /// Whether every answer that `later` matches is matched by this rule already.
    pub(super) fn takes_all_of(&self, later: &Self) -> bool {
        let all = |mine: &[u16], theirs: &[u16]| {
            mine.is_empty()
                || !theirs.is_empty() && theirs.iter().all(|status| mine.contains(status))
        };
        let redirects = !later.statuses.is_empty()
            && later
                .statuses
                .iter()
                .all(|status| (300..400).contains(status));
        let odd = redirects && self.statuses.is_empty() && !self.names_a_header()
            || later.content_type.is_some() && self.content_type.is_none();
        !odd && all(&self.statuses, &later.statuses)
            && covers(&self.to, &later.to)
            && covers(&self.grants, &later.grants)
            && (self.content_type.is_none() || self.content_type == later.content_type)
            && implied(&self.headers, &later.headers)
            && implied(&self.json, &later.json)
            && implied(&self.xml, &later.xml)
            && self.text.as_ref().is_none_or(|mine| {
                later
                    .text
                    .as_ref()
                    .is_some_and(|theirs| mine.follows_from(theirs))
            })
    }

    fn is_about(&self, seen: &Seen<'_>) -> bool {
        (self.to.is_empty() || self.to.contains(&seen.request))
            && (self.grants.is_empty() || self.grants.iter().any(|grant| grant == seen.grant))
            && (self.statuses.is_empty() || self.statuses.contains(&seen.status))
            && self
                .content_type
                .as_ref()
                .is_none_or(|content_type| content_type == seen.content_type)
    }
}

/// An empty list stands for all.
fn covers<T: PartialEq>(mine: &[T], theirs: &[T]) -> bool {
    mine.is_empty() || !theirs.is_empty() && theirs.iter().all(|one| mine.contains(one))
}

/// Whether each of my conditions follows from one of theirs on the same place.
fn implied<P: PartialEq>(mine: &[(P, Condition)], theirs: &[(P, Condition)]) -> bool {
    mine.iter().all(|(place, mine)| {
        theirs
            .iter()
            .any(|(other, theirs)| place == other && mine.follows_from(theirs))
    })
}

/// Of several lines one is enough, be it only together with the others; but what must not be there must be in none.
fn header_holds(headers: &[(String, String)], name: &str, condition: &Condition) -> bool {
    let mut lines = header_lines(headers, name).into_iter().map(Value::from);
    match condition {
        Condition::Exists(_) | Condition::LacksWords(_) => {
            condition.holds(lines.next_back().as_ref())
        }
        Condition::Equals(_)
        | Condition::Null(_)
        | Condition::Matches(_)
        | Condition::OneOf(_)
        | Condition::Contains(_) => lines.any(|line| condition.holds(Some(&line))),
    }
}

/// A place is a JSON pointer (RFC 6901) or, without a slash, a member of that name at any depth.
fn json_holds(json: Option<&Value>, place: &str, condition: &Condition) -> bool {
    let Some(json) = json else { return false };
    if place.is_empty() || place.starts_with('/') {
        return condition.holds(json.pointer(place));
    }
    if matches!(condition, Condition::Exists(false)) {
        return !any_member(json, place, &|_| true);
    }
    any_member(json, place, &|value| condition.holds(Some(value)))
}

/// Recursion is bounded by the parser's own limit of depth.
fn any_member(json: &Value, name: &str, holds: &dyn Fn(&Value) -> bool) -> bool {
    match json {
        Value::Object(members) => members
            .iter()
            .any(|(key, value)| (key == name && holds(value)) || any_member(value, name, holds)),
        Value::Array(elements) => elements
            .iter()
            .any(|element| any_member(element, name, holds)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

impl Condition {
    /// Whether it holds wherever `other` does, as far as that can be seen.
    fn follows_from(&self, other: &Self) -> bool {
        match (self, other) {
            (mine, Self::Equals(value)) => mine.holds(Some(value)),
            (mine, Self::OneOf(values)) if !values.is_empty() => {
                values.iter().all(|value| mine.holds(Some(value)))
            }
            (Self::Exists(mine), Self::Exists(theirs)) | (Self::Null(mine), Self::Null(theirs)) => {
                mine == theirs
            }
            (Self::Exists(true), _)
            | (Self::Null(false), Self::Matches(_) | Self::Contains(_) | Self::LacksWords(_)) => {
                true
            }
            (Self::Matches(mine), Self::Matches(theirs)) => mine.as_str() == theirs.as_str(),
            (Self::Contains(mine), Self::Contains(theirs)) => theirs.contains(mine.as_str()),
            (Self::LacksWords(mine), Self::LacksWords(theirs)) => {
                mine.iter().all(|word| theirs.contains(word))
            }
            (_, _) => false,
        }
    }

    fn holds(&self, value: Option<&Value>) -> bool {
        match self {
            Self::Equals(expected) => value == Some(expected),
            Self::Exists(expected) => value.is_some() == *expected,
            Self::Null(expected) => value.is_some_and(|value| value.is_null() == *expected),
            Self::Matches(regex) => value
                .and_then(scalar)
                .is_some_and(|text| regex.is_match(&text)),
            Self::OneOf(expected) => value.is_some_and(|value| expected.contains(value)),
            Self::Contains(needle) => value
                .and_then(scalar)
                .is_some_and(|text| text.to_lowercase().contains(needle)),
            Self::LacksWords(words) => text(value).is_some_and(|text| lacks(text, words)),
        }
    }
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}

fn lacks(text: &str, words: &[String]) -> bool {
    !text
        .split_ascii_whitespace()
        .any(|word| words.iter().any(|unwanted| unwanted == word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_condition_holds_where_it_says() {
        let re = |text: &str| Condition::Matches(Regex::new(text).unwrap());
        let words = || Condition::LacksWords(vec!["api".into(), "full".into()]);
        for (condition, value, expected) in [
            (Condition::Equals(json!("x")), Some(json!("x")), true),
            (Condition::Equals(json!("x")), Some(json!("y")), false),
            (Condition::Equals(json!(1)), Some(json!("1")), false),
            (Condition::Exists(true), Some(json!(null)), true),
            (Condition::Exists(true), None, false),
            (Condition::Exists(false), None, true),
            (Condition::Null(true), Some(json!(null)), true),
            (Condition::Null(true), Some(json!("null")), false),
            (Condition::Null(true), None, false),
            (Condition::Null(false), Some(json!(false)), true),
            (Condition::Null(false), Some(json!(null)), false),
            (Condition::Null(false), None, false),
            (re("^a.c$"), Some(json!("abc")), true),
            (re("^a.c$"), Some(json!(7)), false),
            (re("^40[0-9]{3}$"), Some(json!(40001)), true),
            (re("^40[0-9]{3}$"), Some(json!(41001)), false),
            (re(r"^-?[0-9]+\.5$"), Some(json!(-2.5)), true),
            (re("^true$"), Some(json!(true)), true),
            (re("."), Some(json!(null)), false),
            (re("."), Some(json!(["a"])), false),
            (
                Condition::OneOf(vec![json!("a"), json!(2)]),
                Some(json!(2)),
                true,
            ),
            (Condition::OneOf(vec![json!("a"), json!(2)]), None, false),
            (
                Condition::Contains("expired".into()),
                Some(json!("Was EXPIRED.")),
                true,
            ),
            (
                Condition::Contains("expired".into()),
                Some(json!("alive")),
                false,
            ),
            (Condition::Contains("0001".into()), Some(json!(40001)), true),
            (words(), Some(json!("id openid")), true),
            (words(), Some(json!("id api")), false),
            (words(), Some(json!("apis fuller")), true),
            (words(), None, false),
        ] {
            assert_eq!(
                condition.holds(value.as_ref()),
                expected,
                "{condition:?} on {value:?}"
            );
        }
    }

    #[test]
    fn of_several_headers_of_one_name_all_count() {
        let headers = [("x-scope", "api"), ("X-Scope", "full"), ("x-other", "1")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        for (name, condition, expected) in [
            ("X-Scope", Condition::Equals(json!("full")), true),
            ("X-Scope", Condition::Equals(json!("api, full")), true),
            ("X-Scope", Condition::Equals(json!("full, api")), false),
            ("X-Scope", Condition::Contains("ful".into()), true),
            ("X-Scope", Condition::LacksWords(vec!["full".into()]), false),
            ("X-Scope", Condition::Exists(false), false),
            ("X-None", Condition::Exists(false), true),
            ("X-None", Condition::Exists(true), false),
            ("X-Other", Condition::OneOf(vec![json!("1")]), true),
        ] {
            assert_eq!(
                header_holds(&headers, name, &condition),
                expected,
                "{name} {condition:?}"
            );
        }
    }

    #[test]
    fn a_place_is_a_pointer_or_a_name_at_any_depth() {
        let body = json!([{ "errorCode": "GONE", "deep": { "a/b": 1 } }]);
        for (place, condition, expected) in [
            ("/0/errorCode", Condition::Equals(json!("GONE")), true),
            ("/errorCode", Condition::Equals(json!("GONE")), false),
            ("errorCode", Condition::Equals(json!("GONE")), true),
            ("/0/deep/a~1b", Condition::Equals(json!(1)), true),
            ("deep", Condition::Exists(true), true),
            ("missing", Condition::Exists(false), true),
            ("errorCode", Condition::Exists(false), false),
        ] {
            assert_eq!(
                json_holds(Some(&body), place, &condition),
                expected,
                "{place} {condition:?}"
            );
        }
        assert!(
            !json_holds(None, "/x", &Condition::Exists(false)),
            "what is no JSON has no places at all"
        );
    }
}
