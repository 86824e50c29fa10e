//! An answer as it came over the wire, bounded and with its body read as text and JSON.

mod almost_json;
mod charset;
mod coding;
mod cookies;
mod dates;
mod form;
mod strict_json;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use url::Url;

pub(super) use coding::inflated;
use cookies::Cookies;
pub(super) use dates::{moment, since_epoch, until};

/// How much is shown of where a redirect leads.
const LONGEST_PATH: usize = 120;

/// `Date` tells whole seconds and answers take their way: what is less is no skew.
const LEAST_SKEW_MILLIS: i64 = 2000;

/// Status, headers and body; not printable, since a good one holds a token.
pub(super) struct Response {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// The body, read in its own charset; what is no text is replaced.
    pub(super) text: String,
    /// The body, if it is JSON, or a form in its place.
    pub(super) json: Option<Value>,
    /// The URL that answered, where there was one.
    pub(super) url: Option<Url>,
    /// False when the body broke off, took too long or was longer than anything an API sends.
    pub(super) complete: bool,
}

impl Response {
    /// Reads what came.
    pub(super) fn new(
        status: u16,
        headers: Vec<(String, String)>,
        body: &[u8],
        complete: bool,
    ) -> Self {
        let headers: Vec<(String, String)> = headers
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        let content_type = headers
            .iter()
            .find(|(name, _)| name == "content-type")
            .map(|(_, value)| value.as_str());
        let text = charset::decoded(body, content_type.unwrap_or_default());
        let read = || {
            strict_json::parse(text.trim_start_matches('\u{feff}')).or_else(|| form::members(&text))
        };
        let json = complete.then(read).flatten();
        Self {
            status,
            headers,
            text,
            json,
            url: None,
            complete,
        }
    }

    /// This response, as the answer of `url`.
    pub(super) fn answered_by(self, url: &Url) -> Self {
        Self {
            url: Some(url.clone()),
            ..self
        }
    }

    /// Scheme, host and port of the URL that answered, where there was one.
    pub(super) fn origin(&self) -> Option<String> {
        self.url
            .as_ref()
            .map(|url| url.origin().ascii_serialization())
    }

    /// The value of the cookie that the answer sets last under this name; none where it is taken away.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies(name).living()
    }

    /// Whether the answer takes the cookie of this name away and gives no other for it.
    pub(super) fn takes_away(&self, name: &str) -> bool {
        self.cookies(name).taken_away()
    }

    fn cookies(&self, name: &str) -> Cookies<'_> {
        let lines = self
            .headers
            .iter()
            .filter(|(header, _)| header == "set-cookie")
            .map(|(_, line)| line.as_str());
        Cookies::named(name, lines, self.url.as_ref(), self.date())
    }

    /// All lines of that name, given in lower case, and what they come to together (RFC 9110 section 5.3) if they are several.
    pub(super) fn header_lines(&self, name: &str) -> Vec<String> {
        header_lines(&self.headers, name)
    }

    /// As [`Self::header_lines`], without cookies that a later line replaces and those that are taken away.
    pub(super) fn living_header_lines(&self, name: &str) -> Vec<String> {
        if !name.eq_ignore_ascii_case("set-cookie") {
            return self.header_lines(name);
        }
        let lives =
            |line: &str| cookies::all(line).any(|(name, value)| self.cookies(name).keep(value));
        let living = self
            .headers
            .iter()
            .filter(|(header, line)| header != "set-cookie" || lives(line));
        header_lines(&living.cloned().collect::<Vec<_>>(), name)
    }

    /// The first header of that name, given in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The media type in lower case, without parameters; empty when absent.
    pub(super) fn content_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    }

    /// How the body is encoded, though we asked for it as it is; none when it is readable all the same.
    pub(super) fn encoding(&self) -> Option<&str> {
        let encoding = self.header("content-encoding")?.trim();
        (!encoding.eq_ignore_ascii_case("identity") && !encoding.is_empty() && self.json.is_none())
            .then_some(encoding)
    }

    /// Whether a page for people came, whatever its status claims. JSON is known by how it begins: many label it as a page, and
    /// forms too.
    pub(super) fn is_html(&self) -> bool {
        let text = self.text.trim_start_matches('\u{feff}').trim_start();
        let start: String = text
            .chars()
            .take(14)
            .collect::<String>()
            .to_ascii_lowercase();
        let is_labelled = matches!(
            self.content_type().as_str(),
            "text/html" | "application/xhtml+xml"
        );
        let has_members =
            start.starts_with(['{', '[']) || self.json.as_ref().is_some_and(Value::is_object);
        is_labelled && !has_members
            || start.starts_with("<!doctype html")
            || start.starts_with("<html")
    }

    /// Where a redirect leads: scheme, host and path, without what else a URL may hold.
    pub(super) fn leads_to(&self) -> Option<String> {
        let location = self
            .header("location")
            .filter(|_| (300..400).contains(&self.status))?;
        let there = match &self.url {
            Some(url) => url.join(location).ok()?,
            None => Url::parse(location).ok()?,
        };
        // What follows a semicolon is a parameter, a session's id say.
        let path: String = there
            .path()
            .chars()
            .take_while(|char| *char != ';')
            .take(LONGEST_PATH)
            .collect();
        there
            .has_host()
            .then(|| format!("{}{path}", there.origin().ascii_serialization()))
    }

    /// The body's member at a JSON pointer, if it is a string.
    pub(super) fn string_at(&self, pointer: &str) -> Option<&str> {
        self.json.as_ref()?.pointer(pointer)?.as_str()
    }

    /// The server's own clock, by `Date`.
    pub(super) fn date(&self) -> Option<Timestamp> {
        dates::http_date(self.header("date")?)
    }

    /// The server's clock minus ours, which said `wall` when the answer came; zero when they agree within two seconds.
    pub(super) fn skew_millis(&self, wall: Timestamp) -> Option<i64> {
        // The second that Date tells is half over, on average.
        let theirs = self.date()?.as_millisecond().saturating_add(500);
        let skew = theirs.saturating_sub(wall.as_millisecond());
        Some(if skew.abs() < LEAST_SKEW_MILLIS {
            0
        } else {
            skew
        })
    }

    /// How long the server asks to wait (RFC 9110 section 10.2.3), an hour at most.
    pub(super) fn retry_after(&self, wall: Timestamp) -> Option<Duration> {
        let now = self.date().unwrap_or(wall);
        self.header_lines("retry-after")
            .iter()
            .find_map(|line| dates::wait(line, now))
    }
}

/// All lines of that name, whatever its case, and what they come to together (RFC 9110 section 5.3) if they are several.
pub(super) fn header_lines(headers: &[(String, String)], name: &str) -> Vec<String> {
    let lines = headers
        .iter()
        .filter(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut lines: Vec<String> = lines.map(|(_, value)| value.clone()).collect();
    if lines.len() > 1 {
        lines.push(lines.join(", "));
    }
    lines
}

/// Whether `body` says by itself where it ends: a JSON object or list does.
pub(super) fn is_whole_json(body: &[u8]) -> bool {
    let json = strict_json::parse(String::from_utf8_lossy(body).trim_start_matches('\u{feff}'));
    json.is_some_and(|json| json.is_object() || json.is_array())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn html_is_known_by_its_type_or_its_first_tag() {
        for (content_type, body, expected) in [
            ("text/html; charset=utf-8", "", true),
            ("application/json", "  <!DOCTYPE HTML><p>", true),
            ("", "<html lang=en>", true),
            ("application/json", "{\"a\":\"<html>\"}", false),
            ("text/xml", "<?xml version=\"1.0\"?>", false),
        ] {
            assert_eq!(
                response(&[("Content-Type", content_type)], body).is_html(),
                expected,
                "{content_type} {body}"
            );
        }
    }

    #[test]
    fn a_wait_is_in_seconds_or_until_a_date_and_never_more_than_an_hour() {
        let date = ("Date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (retry_after, expected) in [
            ("120", Some(120)),
            ("999999999", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("-5", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Fri, 06 Nov 2099 08:00:00 GMT", Some(3600)),
        ] {
            let wait = response(&[("Retry-After", retry_after), date], "")
                .retry_after(Timestamp::UNIX_EPOCH);
            assert_eq!(wait.map(|wait| wait.as_secs()), expected, "{retry_after}");
        }
    }

    #[test]
    fn small_differences_between_clocks_are_no_skew() {
        let wall: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        for (date, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:59:37 GMT", Some(600_500)),
            ("Sun, 06 Nov 1994 08:39:37 GMT", Some(-599_500)),
            ("yesterday", None),
        ] {
            assert_eq!(
                response(&[("Date", date)], "").skew_millis(wall),
                expected,
                "{date}"
            );
        }
    }

    #[test]
    fn only_an_object_or_a_list_says_by_itself_where_it_ends() {
        for (body, expected) in [
            (r#"{"access_token":"a"}"#, true),
            ("[1]\n", true),
            (r#"{"access_token":"a""#, false),
            ("12", false),
            ("\"a\"", false),
            ("", false),
            ("<html>", false),
        ] {
            assert_eq!(is_whole_json(body.as_bytes()), expected, "{body}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_cut_off_is_whole(token in "\\PC{0,30}", cut in 1_usize..40) {
            let whole = serde_json::json!({ "access_token": token, "list": [1, 2] }).to_string();
            let end = whole.len().saturating_sub(cut);
            prop_assert!(!is_whole_json(whole.as_bytes().get(..end).unwrap()));
        }
    }

    fn response(headers: &[(&str, &str)], body: &str) -> Response {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        Response::new(200, headers, body.as_bytes(), true)
    }
}
