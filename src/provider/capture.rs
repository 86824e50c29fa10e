//! Where in an answer a value is, and in what unit.

use std::time::Duration;

use jiff::Timestamp;
use regex_lite::Regex;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::response::{Response, since_epoch, until};
use super::token_answer::{JwtTimes, claims, end_in_place_of_life, number};
use super::xml::XmlPath;

/// One entry of a `capture` table.
#[derive(Clone, Debug)]
pub(super) struct CaptureRule {
    /// Where it is.
    pub(super) place: Place,
    /// Takes the first group of what is there.
    pub(super) regex: Option<Regex>,
    /// Where else it may be: looked at in order while nothing was found.
    pub(super) others: Vec<(Place, Option<Regex>)>,
    /// Whether it is a URL of which the path counts alone.
    pub(super) path: bool,
    /// Takes this claim of the JWT that is there.
    pub(super) claim: Option<String>,
    /// How a time or duration is counted.
    pub(super) unit: Unit,
    /// The JSON pointer of what is to be taken from it.
    pub(super) minus: Option<String>,
    /// Whether readers may see it.
    pub(super) public: bool,
    /// Whether an answer without it is still a good one.
    pub(super) optional: bool,
}

/// A place in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A JSON pointer (RFC 6901).
    Json(String),
    /// A header's value.
    Header(String),
    /// The value of a cookie that the answer sets (RFC 6265).
    Cookie(String),
    /// An element or attribute of an XML body.
    Xml(XmlPath),
    /// The whole body; one that is a JSON string counts as what it says.
    Body,
    /// Scheme, host and port of the URL that answered.
    Origin,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unit {
    #[default]
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "us")]
    Microseconds,
    #[serde(rename = "min")]
    Minutes,
    #[serde(rename = "h")]
    Hours,
    /// An instant as text: RFC 3339, or a date as in HTTP headers.
    Time,
}

/// How long something lasts, by a server's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// So long from now.
    Lasts(Duration),
    /// It had ended before the answer came.
    Over,
}

impl Life {
    /// How long, if it lasts.
    pub(super) fn lasting(self) -> Option<Duration> {
        match self {
            Self::Lasts(life) => Some(life),
            Self::Over => None,
        }
    }

    /// From `now` to `end`. What is none after 1970 counts as unsaid.
    pub(super) fn between(now: Timestamp, end: Timestamp) -> Option<Self> {
        let left = until(end, now);
        (end > Timestamp::UNIX_EPOCH).then(|| {
            if left.is_zero() {
                Self::Over
            } else {
                Self::Lasts(left)
            }
        })
    }
}

impl Unit {
    /// What `number` of these say of a life: nothing when they make no sense, and nothing with 0 and -1, which servers send where
    /// there is no end.
    pub(super) fn life(self, number: f64) -> Option<Life> {
        let is = |word: f64| (number - word).abs() < f64::EPSILON;
        if is(0.0) || is(-1.0) {
            return None;
        }
        self.signed(number)
    }

    fn signed(self, number: f64) -> Option<Life> {
        let lasts = self
            .duration(number)
            .filter(|life| !life.is_zero())
            .map(Life::Lasts);
        lasts.or_else(|| self.duration(-number).map(|_| Life::Over))
    }

    /// `number` of these as a duration; none when it is negative, no number, or beyond a hundred years.
    pub(super) fn duration(self, number: f64) -> Option<Duration> {
        const HUNDRED_YEARS: f64 = 100.0 * 365.25 * 86_400.0;
        let seconds = match self {
            Self::Seconds => number,
            Self::Milliseconds => number / 1e3,
            Self::Microseconds => number / 1e6,
            Self::Minutes => number * 60.0,
            Self::Hours => number * 3600.0,
            Self::Time => return None,
        };
        (0.0..=HUNDRED_YEARS)
            .contains(&seconds)
            .then(|| Duration::try_from_secs_f64(seconds).ok())
            .flatten()
    }
}

impl Place {
    fn value(&self, response: &Response, regex: Option<&Regex>) -> Option<Value> {
        self.whole(response)
            .into_iter()
            .find_map(|value| match regex {
                None => Some(value),
                Some(regex) => regex
                    .captures(&scalar(&value)?)?
                    .get(1)
                    .map(|group| Value::from(group.as_str())),
            })
    }

    /// More than one where a header came in several lines.
    fn whole(&self, response: &Response) -> Vec<Value> {
        let one = match self {
            Self::Json(pointer) => at(response, pointer),
            Self::Header(name) => {
                let lines = response
                    .living_header_lines(name)
                    .into_iter()
                    .filter(|line| !line.trim().is_empty());
                return lines.map(Value::from).collect();
            }
            Self::Cookie(name) => response.cookie(name).map(Value::from),
            Self::Xml(path) => path.find(&response.text).map(Value::from),
            Self::Body => {
                let said = response.json.as_ref().and_then(Value::as_str);
                Some(Value::from(said.unwrap_or(response.text.trim())))
            }
            Self::Origin => response.origin().map(Value::from),
        };
        one.into_iter().collect()
    }
}

/// Path and query of a URL that an answer names, whatever host it calls itself by (RFC 3986 section 5.2): behind another
/// port or address a server does not know the name by which it was called.
fn path(named: &str, response: &Response) -> Option<String> {
    if named.trim().is_empty() {
        return None;
    }
    let url = response
        .url
        .as_ref()?
        .join(named.trim())
        .ok()
        .filter(Url::has_host)?;
    let query = url
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    Some(format!("{}{query}", url.path()))
}

impl CaptureRule {
    /// A rule that takes what is at a JSON pointer and may find nothing.
    #[cfg(test)]
    pub(super) fn json(pointer: &str) -> Self {
        let place = Place::Json(pointer.to_owned());
        let (regex, others, path, claim) = (None, Vec::new(), false, None);
        Self {
            place,
            regex,
            others,
            path,
            claim,
            unit: Unit::Seconds,
            minus: None,
            public: false,
            optional: true,
        }
    }

    /// What is there; null and an empty cookie count as nothing.
    pub(super) fn value(&self, response: &Response) -> Option<Value> {
        let found = self.before_claim(response)?;
        match &self.claim {
            Some(claim) => claims(&scalar(&found)?)?
                .get(claim)
                .filter(|claim| !claim.is_null())
                .cloned(),
            None => Some(found),
        }
    }

    fn before_claim(&self, response: &Response) -> Option<Value> {
        let others = self
            .others
            .iter()
            .map(|(place, regex)| (place, regex.as_ref()));
        let mut places = std::iter::once((&self.place, self.regex.as_ref())).chain(others);
        places.find_map(|(place, regex)| {
            let found = place.value(response, regex)?;
            if self.path {
                path(&scalar(&found)?, response).map(Value::from)
            } else {
                Some(found)
            }
        })
    }

    /// What the JWT says of its own life, where its end is what is taken.
    pub(super) fn jwt_times(&self, response: &Response) -> Option<JwtTimes> {
        let of_end = self.claim.as_deref() == Some("exp");
        of_end
            .then(|| JwtTimes::of(&scalar(&self.before_claim(response)?)?))
            .flatten()
    }

    /// What is there as text: a string, a number or a truth value.
    pub(super) fn text(&self, response: &Response) -> Option<String> {
        scalar(&self.value(response)?)
    }

    /// A number of units, a difference of two, or the time left until an instant, also where one is in place of seconds.
    pub(super) fn life(&self, response: &Response, wall: Timestamp) -> Option<Life> {
        if self.is_instant() {
            return self.life_until(response, wall);
        }
        let said = number(&self.value(response)?)?;
        let now = response.date().unwrap_or(wall);
        let is_alone = self.unit == Unit::Seconds && self.minus.is_none();
        if let Some(end) = end_in_place_of_life(said, now).filter(|_| is_alone) {
            return Life::between(now, end);
        }
        let life = self.unit.life(said)?;
        match &self.minus {
            Some(pointer) => self.unit.signed(said - number(&at(response, pointer)?)?),
            None => Some(life),
        }
    }

    /// As `life`, if it lasts.
    pub(super) fn duration(&self, response: &Response, wall: Timestamp) -> Option<Duration> {
        self.life(response, wall).and_then(Life::lasting)
    }

    /// The time left until an instant, by the server's clock where it told it.
    pub(super) fn life_until(&self, response: &Response, wall: Timestamp) -> Option<Life> {
        Life::between(response.date().unwrap_or(wall), self.instant(response)?)
    }

    /// Whether it names an instant by itself: a text, or what a JWT has as a `NumericDate` (RFC 7519 section 2).
    pub(super) fn is_instant(&self) -> bool {
        self.unit == Unit::Time || matches!(self.claim.as_deref(), Some("exp" | "iat" | "nbf"))
    }

    /// A moment: as text, or as a number of units since 1970.
    pub(super) fn instant(&self, response: &Response) -> Option<Timestamp> {
        let value = self.value(response)?;
        if self.unit == Unit::Time {
            return super::response::moment(value.as_str()?.trim());
        }
        if self.claim.is_some() && self.unit == Unit::Seconds {
            return since_epoch(number(&value)?);
        }
        let since_epoch = self.unit.duration(number(&value)?)?;
        // The number went through a float, which is a hair off.
        Timestamp::UNIX_EPOCH
            .checked_add(since_epoch)
            .and_then(|moment| moment.round(jiff::Unit::Millisecond))
            .ok()
    }
}

/// What is at a JSON pointer; null counts as nothing.
pub(super) fn at(response: &Response, pointer: &str) -> Option<Value> {
    response
        .json
        .as_ref()?
        .pointer(pointer)
        .filter(|value| !value.is_null())
        .cloned()
}

/// What is empty says nothing: null, `false`, zero, blank text, and what holds nothing else.
pub(super) fn is_idle(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number
            .as_f64()
            .is_some_and(|number| number.abs() < f64::EPSILON),
        Value::String(text) => text.trim().is_empty(),
        Value::Array(elements) => elements.iter().all(is_idle),
        Value::Object(members) => members.values().all(is_idle),
    }
}

/// A string, a number or a truth value as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_taken_from_where_the_rule_says() {
        let headers = [
            ("Set-Cookie", "SID=a=b; Path=/; HttpOnly"),
            ("set-cookie", "gone=; Max-Age=0"),
            ("X-Token", ""),
            ("X-Token", "tok"),
            ("x-token", "two"),
        ];
        let answer = answer(&headers, r#"{"a":{"b":7},"t":"x/y-42"}"#);
        for (place, regex, expected) in [
            (Place::Json("/a/b".into()), None, Some("7")),
            (Place::Json("/t".into()), Some("-([0-9]+)$"), Some("42")),
            (Place::Json("/t".into()), Some("=([0-9]+)$"), None),
            (Place::Json("/a".into()), None, None),
            (Place::Header("x-token".into()), None, Some("tok")),
            (
                Place::Header("X-Token".into()),
                Some("^(t.o)$"),
                Some("two"),
            ),
            (
                Place::Header("X-Token".into()),
                Some("tok, (two)"),
                Some("two"),
            ),
            (Place::Cookie("SID".into()), None, Some("a=b")),
            (Place::Cookie("sid".into()), None, None),
            (Place::Cookie("gone".into()), None, None),
            (Place::Origin, None, None),
        ] {
            let regex = regex.map(|regex| Regex::new(regex).unwrap());
            let rule = CaptureRule {
                place,
                regex,
                ..CaptureRule::json("")
            };
            assert_eq!(rule.text(&answer).as_deref(), expected, "{rule:?}");
        }
        let body = CaptureRule {
            place: Place::Body,
            ..CaptureRule::json("")
        };
        assert_eq!(
            body.text(&self::answer(&[], "\"tok\"")).as_deref(),
            Some("tok")
        );
        assert_eq!(
            body.text(&self::answer(&[], " tok\n")).as_deref(),
            Some("tok")
        );
    }

    #[test]
    fn of_several_cookies_in_the_headers_those_are_captured_that_a_browser_would_keep() {
        let sid = "SID=([^;]+)";
        for (lines, regex, expected) in [
            (
                &["wiki_SID=a; Path=/; HttpOnly", "wikiUserID=7; Path=/"][..],
                sid,
                Some("a"),
            ),
            (
                &["wikiUserID=7; Path=/", "wiki_SID=a; Path=/; HttpOnly"],
                sid,
                Some("a"),
            ),
            (
                &["wikiUserID=7; Path=/", "wiki_SID=a; Path=/"],
                "UserID=([0-9]+)",
                Some("7"),
            ),
            (&["SID=old; Path=/", "SID=new; Path=/"], sid, Some("new")),
            (
                &["SID=deleted; Path=/; Max-Age=0", "SID=new; Path=/"],
                sid,
                Some("new"),
            ),
            (
                &[
                    "SID=gone; Path=/",
                    "SID=deleted; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                ],
                sid,
                None,
            ),
            (&["A=1; Path=/, SID=b; Path=/"], sid, Some("b")),
            (&["SID=a; Path=/", "SID=b; Path=/admin"], sid, Some("a")),
            (&["A=1; Path=/", "B=2; Path=/"], "A=([0-9]).*B=", Some("1")),
            (&["A=1; Path=/", "B=2; Path=/"], sid, None),
        ] {
            let headers: Vec<(&str, &str)> =
                lines.iter().map(|line| ("Set-Cookie", *line)).collect();
            let regex = Some(Regex::new(regex).unwrap());
            let rule = CaptureRule {
                place: Place::Header("Set-Cookie".into()),
                regex,
                ..CaptureRule::json("")
            };
            assert_eq!(
                rule.text(&answer(&headers, "")).as_deref(),
                expected,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn a_life_is_told_in_units_as_a_difference_or_until_an_instant() {
        let body = r#"{"n":600,"text":"1.5","end":1700000600000000,"now":1700000000000000,"at":"2023-11-14T22:23:20Z"}"#;
        let dated = [("Date", "Tue, 14 Nov 2023 22:13:20 GMT")];
        for (pointer, unit, minus, expected) in [
            ("/n", Unit::Seconds, None, Some(600.0)),
            ("/n", Unit::Minutes, None, Some(36_000.0)),
            ("/text", Unit::Hours, None, Some(5400.0)),
            ("/end", Unit::Microseconds, Some("/now"), Some(600.0)),
            ("/at", Unit::Time, None, Some(600.0)),
            ("/now", Unit::Microseconds, Some("/end"), None),
            ("/n", Unit::Time, None, None),
        ] {
            let minus = minus.map(str::to_owned);
            let rule = CaptureRule {
                unit,
                minus,
                ..CaptureRule::json(pointer)
            };
            let life = rule.duration(&answer(&dated, body), Timestamp::UNIX_EPOCH);
            assert_eq!(life.map(|life| life.as_secs_f64()), expected, "{rule:?}");
        }
    }

    fn answer(headers: &[(&str, &str)], body: &str) -> Response {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        Response::new(200, headers, body.as_bytes(), true)
    }
}
