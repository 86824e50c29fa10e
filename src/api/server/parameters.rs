//! What a request says beyond its path: the query, and a small JSON body. Whatever is not understood is named.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::{StatusCode, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::api::problem::{Kind, Problem};
use crate::api::{Rejected, duration};
use crate::secret::Secret;

/// A rejected token has at most 64 KiB, and most have 112 bytes.
const BODY_LIMIT: usize = 64 * 1024;

/// For a body, which is a few dozen bytes.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The decoded pairs of a query; each is taken by name, and what is left over is an error.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// Every value of a parameter that may be repeated.
    pub(super) fn take_all(&mut self, name: &str) -> Vec<String> {
        self.0
            .extract_if(.., |(key, _)| key == name)
            .map(|(_, value)| value)
            .collect()
    }

    /// A duration that may be given once; zero when it is not.
    pub(super) fn take_duration(&mut self, name: &str) -> Result<Duration, Problem> {
        let mut values = self.take_all(name).into_iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Duration::ZERO),
            (Some(text), None) => duration::parse(&text)
                .map_err(|error| bad(format!("{name}: {}", error.without_value()))),
            (Some(_), Some(_)) => Err(bad(format!("{name}: given twice"))),
        }
    }

    /// A whole number that may be given once.
    pub(super) fn take_number(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        let mut values = self.take_all(name).into_iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(text), None) => text
                .parse()
                .map(Some)
                .map_err(|_| bad(format!("{name}: not a whole number"))),
            (Some(_), Some(_)) => Err(bad(format!("{name}: given twice"))),
        }
    }

    /// Yes or no, given once; no when it is not.
    pub(super) fn take_flag(&mut self, name: &str) -> Result<bool, Problem> {
        let mut values = self.take_all(name).into_iter();
        match (values.next().as_deref(), values.next()) {
            (None | Some("false"), None) => Ok(false),
            (Some("true"), None) => Ok(true),
            (_, None) => Err(bad(format!("{name}: neither true nor false"))),
            (_, Some(_)) => Err(bad(format!("{name}: given twice"))),
        }
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) if is_name(name) => Err(bad(format!("{name}: unknown parameter"))),
            Some(_) => Err(bad("query: unknown parameter")),
        }
    }
}

/// What `POST …/used` carries.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsedBody {
    pub(super) generation: u64,
    #[serde(default)]
    pub(super) age: Option<Age>,
}

/// Seconds, or a text such as `90s`.
#[derive(Debug, PartialEq)]
pub(super) struct Age(pub(super) Duration);

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "seconds, or a text such as \"90s\"")]
        enum Written {
            Seconds(f64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Seconds(seconds) => seconds.to_string(),
            Written::Text(text) => text,
        };
        duration::parse(&text)
            .map(Self)
            .map_err(|error| serde::de::Error::custom(error.without_value()))
    }
}

/// What `POST …/rejected` carries: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RejectedBody {
    #[serde(default)]
    generation: Option<u64>,
    #[serde(default)]
    token: Option<String>,
}

impl RejectedBody {
    pub(super) fn which(self) -> Result<Rejected, Problem> {
        match (self.generation, self.token) {
            (Some(generation), None) => Ok(Rejected::Generation(generation)),
            (None, Some(token)) => Ok(Rejected::Token(Secret::new(token))),
            (None, None) | (Some(_), Some(_)) => Err(bad("generation, token: give one of the two")),
        }
    }
}

/// What `POST …/login` may carry: where the browser's return can be received.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BeginBody {
    #[serde(default)]
    pub(super) redirect_port: Option<u16>,
}

/// What `POST …/login/{login}` carries.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RedirectedBody {
    pub(super) redirected: String,
}

/// Reads a JSON body that may be left out.
pub(super) async fn json_if_any<T: DeserializeOwned + Default>(
    request: Request,
) -> Result<T, Problem> {
    let body = read(request).await?;
    if body.is_empty() {
        Ok(T::default())
    } else {
        parse(&body)
    }
}

/// Reads a JSON body; where it is wrong, the field is named and no value is shown, for it may be a token.
pub(super) async fn json<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    parse(&read(request).await?)
}

async fn read(mut request: Request) -> Result<Bytes, Problem> {
    DefaultBodyLimit::max(BODY_LIMIT).apply(&mut request);
    match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(
            Problem::new(Kind::TooLarge, "the body is larger than 64 KiB"),
        ),
        Ok(Err(_)) => Err(bad("the body cannot be read")),
        Err(_) => Err(Problem::new(
            Kind::TooSlow,
            "the body did not arrive within 5 s",
        )),
    }
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if body.trim_ascii().is_empty() {
        return Err(bad("body: empty; send a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value =
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| in_field(&error))?;
    deserializer
        .end()
        .map_err(|_| bad("body: there is more after the JSON object"))?;
    Ok(value)
}

fn in_field(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let field = error.path().to_string();
    let field = if is_name(&field) {
        field
    } else {
        "body".to_owned()
    };
    match error.inner().classify() {
        serde_json::error::Category::Data => bad(format!(
            "{field}: {}",
            without_values(&error.inner().to_string())
        )),
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => bad("body: not JSON"),
    }
}

/// A word such as fields have; anything else that is in a field's place may be a token.
fn is_name(field: &str) -> bool {
    (1..=32).contains(&field.len())
        && field
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// serde quotes the offending value (`invalid type: string "00D…"`); a token must not travel in an error. The place in
/// a body of one line does not help, and `u64` says nothing to a person.
fn without_values(message: &str) -> String {
    let message = message
        .rsplit_once(" at line ")
        .map_or(message, |(message, _)| message);
    let message = &message
        .replace("expected u64", "expected a whole number from 0")
        .replace("expected u16", "expected a port");
    // The last, since the value itself may say so too.
    let (what, expected) = message
        .rfind(", expected ")
        .map_or((message.as_str(), ""), |at| message.split_at(at));
    if let Some((kind, _)) = what
        .split_once(": ")
        .filter(|(kind, _)| kind.starts_with("invalid "))
    {
        return format!("{kind}{expected}");
    }
    // From the first to the last: what is in a name's place may have such quotes in it.
    match what
        .split_once('`')
        .and_then(|(_, rest)| rest.rsplit_once('`'))
    {
        Some((name, _)) if !is_name(name) => format!("unknown field{expected}"),
        Some(_) | None => message.clone(),
    }
}

fn bad(detail: impl Into<Box<str>>) -> Problem {
    Problem::new(Kind::BadRequest, detail)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn parameters_are_taken_by_name_and_the_rest_is_refused() {
        let mut query = Query::of(&Uri::from_static(
            "/x?wait=1h%2030m&session=a&session=b&colour=red",
        ));
        assert_eq!(query.take_duration("wait"), Ok(Duration::from_mins(90)));
        assert_eq!(query.take_duration("min_validity"), Ok(Duration::ZERO));
        assert_eq!(query.take_all("session"), ["a", "b"]);
        assert_eq!(
            query.end().unwrap_err().detail,
            "colour: unknown parameter".into()
        );
    }

    #[test]
    fn a_bad_duration_is_named_and_not_repeated() {
        for (uri, detail) in [
            (
                "/x?wait=00Dsecret",
                "wait: not a duration; write 90s, 10m or 1h 30m",
            ),
            (
                "/x?wait=400d",
                "wait: out of range; durations are between 0s and 366 days",
            ),
            ("/x?wait=1s&wait=2s", "wait: given twice"),
        ] {
            let problem = Query::of(&Uri::from_static(uri))
                .take_duration("wait")
                .unwrap_err();
            assert_eq!(&*problem.detail, detail);
        }
    }

    #[test]
    fn what_stands_in_the_place_of_a_parameters_name_is_not_repeated() {
        for uri in [
            "/x?00Dsecret",
            "/x?00Dsecret=1",
            "/x?eyJhbGciOi.eyJzdWIi.c2ln",
            "/x?%1b%5b31m=1",
            "/x?=1",
        ] {
            let problem = Query::of(&Uri::from_static(uri)).end().unwrap_err();
            assert_eq!(&*problem.detail, "query: unknown parameter", "{uri}");
        }
    }

    #[tokio::test]
    async fn a_report_of_use_names_generation_and_age() {
        for (body, age) in [
            (r#"{"generation":7}"#, None),
            (r#"{"generation":7,"age":1.5}"#, Some(1500)),
            (r#"{"generation":7,"age":"2m"}"#, Some(120_000)),
        ] {
            let used: UsedBody = json(request(body)).await.unwrap();
            assert_eq!(
                used,
                UsedBody {
                    generation: 7,
                    age: age.map(|age| Age(Duration::from_millis(age)))
                }
            );
        }
    }

    #[tokio::test]
    async fn a_wrong_body_is_answered_with_the_field_and_never_with_a_value() {
        for (body, start) in [
            ("", "body: empty"),
            (
                r#"{"generation":-1}"#,
                "generation: invalid value, expected a whole number from 0",
            ),
            ("{", "body: not JSON"),
            ("[]", "body: "),
            (r#"{"generation":7}x"#, "body: there is more after"),
            (r#"{"generation":"00Dsecret"}"#, "generation: invalid type"),
            (r#"{"generation":7,"age":-1}"#, "age: out of range"),
            (
                r#"{"generation":7,"age":"00Dsecret"}"#,
                "age: not a duration; write 90s, 10m or 1h 30m",
            ),
            (
                r#"{"generation":7,"colour":"red"}"#,
                "colour: unknown field `colour`, expected `generation` or `age`",
            ),
            (
                r#"{"00Dsecret":7}"#,
                "body: unknown field, expected `generation` or `age`",
            ),
            (
                r#"{"a`00Dsecret":7}"#,
                "body: unknown field, expected `generation` or `age`",
            ),
            (
                r#"{"a`, expected 00Dsecret":7}"#,
                "body: unknown field, expected `generation` or `age`",
            ),
            (
                r#"{"`00Dsecret`":7}"#,
                "body: unknown field, expected `generation` or `age`",
            ),
            (
                r#"{"generation":"x, expected 00Dsecret"}"#,
                "generation: invalid type, expected a whole number",
            ),
        ] {
            let problem = json::<UsedBody>(request(body)).await.unwrap_err();
            assert!(
                problem.detail.starts_with(start),
                "{body}: {}",
                problem.detail
            );
            assert!(!problem.detail.contains("00Dsecret"), "{}", problem.detail);
        }
    }

    #[tokio::test]
    async fn a_rejection_names_a_generation_or_a_token() {
        for (body, expected) in [
            (r#"{"generation":7}"#, Some(Rejected::Generation(7))),
            (
                r#"{"token":"abc"}"#,
                Some(Rejected::Token(Secret::new("abc"))),
            ),
            (r#"{"token":"abc","generation":7}"#, None),
            ("{}", None),
        ] {
            let rejected: RejectedBody = json(request(body)).await.unwrap();
            assert_eq!(rejected.which().ok(), expected, "{body}");
        }
    }

    fn request(body: &'static str) -> Request {
        Request::new(Body::from(body))
    }
}
