//! A message to a receiver that is no session's server: one request, and whether it arrived.

use std::time::Duration;

use jiff::Timestamp;
use url::Url;
use zeroize::Zeroizing;

use super::{NoAnswer, exchange};
use crate::blotted::Blotted;
use crate::provider::Clients;
use crate::provider::clients::Connection;
use crate::provider::hosts::is_loopback;
use crate::provider::outgoing::{Body, Outgoing};
use crate::provider::request::Method;
use crate::provider::response::Response;
use crate::provider::settings::HttpSettings;
use crate::secret::Secret;

/// So much of a refusal is shown, and so much of it is searched for secrets before.
const LONGEST_REFUSAL: usize = 200;
const LONGEST_SEARCH: usize = 4096;

/// A message that did not arrive.
#[derive(Debug)]
pub struct Undelivered {
    /// Why, without anything secret.
    pub problem: Blotted,
    /// Whether another try makes sense.
    pub again: Again,
}

/// Whether another try makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The same message would be refused again.
    Never,
    /// The receiver may be well again in a while.
    Later,
    /// The receiver says when.
    After(Duration),
}

/// Reads the address of a receiver.
///
/// # Errors
/// What is wrong with it, never the address itself.
pub fn check_address(text: &str, allow_plain_http: bool) -> Result<Url, &'static str> {
    let no_address = "it holds no address; put the whole URL there, https://…, and nothing else";
    let text = Some(text.trim())
        .filter(|text| !text.contains(|c: char| c.is_whitespace() || c.is_control()));
    let url = text
        .and_then(|text| Url::parse(text).ok())
        .ok_or(no_address)?;
    match url.scheme() {
        "https" if url.has_host() => Ok(url),
        "http" if url.has_host() && (allow_plain_http || is_loopback(&url)) => Ok(url),
        "http" => Err(
            "it holds an address of plain http at another machine; use https, or set allow_plain_http = true",
        ),
        _ => Err("it holds an address that is not https; put the whole URL there, https://…"),
    }
}

/// Posts `json` to `url` and says whether the receiver took it. Tries once, for `limit` at most; `hidden` is in no error,
/// and neither is any part of `url`.
///
/// # Errors
/// Why it did not arrive, and whether to try again.
pub async fn deliver(
    clients: &Clients,
    settings: &HttpSettings,
    url: &Secret,
    json: Zeroizing<String>,
    hidden: Option<&Secret>,
    limit: Duration,
) -> Result<(), Undelivered> {
    let known: Vec<Secret> = [Some(url), hidden].into_iter().flatten().cloned().collect();
    let failed = |problem: &str, again| Undelivered {
        problem: Blotted::new(problem, &known),
        again,
    };
    let address = check_address(url.expose(), settings.allow_plain_http);
    let address = address
        .map_err(|problem| failed(&format!("its url cannot be used: {problem}"), Again::Later))?;
    let body = Body {
        content_type: "application/json".into(),
        text: json,
    };
    let asked = Outgoing {
        method: Method::Post,
        url: address,
        headers: Vec::new(),
        body: Some(body),
        secrets: Vec::new(),
    };
    match tokio::time::timeout(limit, exchange(clients, settings, asked, Connection::Own)).await {
        Ok(Ok((response, wall))) => {
            judge(&response, wall).map_err(|(problem, again)| Undelivered {
                problem: shown(&problem, &known),
                again,
            })
        }
        Ok(Err(error)) => Err(failed(&error.sentence(), Again::Later)),
        Err(_) => Err(failed(&NoAnswer::TimedOut(limit).sentence(), Again::Later)),
    }
}

/// It is cut last: the beginning of a secret at its end could not be told from other words.
fn shown(problem: &str, known: &[Secret]) -> Blotted {
    Blotted::new(problem, known).cut(LONGEST_REFUSAL)
}

fn judge(response: &Response, wall: Timestamp) -> Result<(), (String, Again)> {
    let status = response.status;
    let wait = || {
        response
            .retry_after(wall)
            .map_or(Again::Later, Again::After)
    };
    let said = || {
        let text: String = response.text.trim().chars().take(LONGEST_SEARCH).collect();
        if text.is_empty() || response.is_html() {
            String::new()
        } else {
            format!(": {text}")
        }
    };
    match status {
        200..300 if response.is_html() => Err((
            format!("a page came instead of an answer ({status})"),
            Again::Later,
        )),
        200..300 => Ok(()),
        300..400 => Err((
            format!(
                "it redirects ({status}), which is not followed: its url must name the receiver itself"
            ),
            Again::Never,
        )),
        408 | 429 | 500.. => Err((format!("it answered {status}{}", said()), wait())),
        _ => Err((format!("it answered {status}{}", said()), Again::Never)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_receiver_is_https_or_at_this_machine() {
        for (text, plain, good) in [
            ("https://hooks.example/T0/B0/x", false, true),
            (" https://hooks.example/T0\n", false, true),
            ("http://127.0.0.1:9000/alert", false, true),
            ("http://hooks.example/x", false, false),
            ("http://hooks.example/x", true, true),
            ("hooks.example/x", false, false),
            (
                "https://hooks.example/x\nhttps://hooks.example/y",
                false,
                false,
            ),
            ("file:///etc/passwd", true, false),
            ("", false, false),
        ] {
            let read = check_address(text, plain);
            assert_eq!(read.is_ok(), good, "{text}");
            assert!(
                read.err()
                    .is_none_or(|problem| !problem.contains("hooks.example")),
                "{text}"
            );
        }
    }

    #[test]
    fn no_beginning_of_a_receivers_url_is_shown_where_its_words_are_cut_off() {
        let url = Secret::new("https://hooks.example/services/TEAMSECRET/BOTSECRET");
        for before in 150..220 {
            let text = format!(
                "{} {}",
                "x".repeat(before),
                "/services/TEAMSECRET/BOTSECRET"
            );
            let answer = Response::new(404, Vec::new(), text.as_bytes(), true);
            let (problem, _) = judge(&answer, Timestamp::UNIX_EPOCH).unwrap_err();
            let shown = shown(&problem, std::slice::from_ref(&url));
            assert!(!shown.contains("/s"), "{before}: {}", shown.as_str());
            assert!(shown.chars().count() <= LONGEST_REFUSAL + 1);
        }
    }

    #[test]
    fn an_answer_tells_whether_the_same_message_may_be_sent_again() {
        for (status, headers, body, expected) in [
            (200, vec![], "ok", None),
            (202, vec![], "", None),
            (200, vec![], "<html>login</html>", Some(Again::Later)),
            (
                302,
                vec![("location", "https://elsewhere.example")],
                "",
                Some(Again::Never),
            ),
            (404, vec![], "no_service", Some(Again::Never)),
            (
                429,
                vec![("retry-after", "7")],
                "",
                Some(Again::After(Duration::from_secs(7))),
            ),
            (429, vec![], "", Some(Again::Later)),
            (500, vec![], "", Some(Again::Later)),
            (
                503,
                vec![("retry-after", "2")],
                "",
                Some(Again::After(Duration::from_secs(2))),
            ),
        ] {
            let headers = headers
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let judged = judge(
                &Response::new(status, headers, body.as_bytes(), true),
                Timestamp::UNIX_EPOCH,
            );
            assert_eq!(
                judged.err().map(|(_, again)| again),
                expected,
                "{status} {body}"
            );
        }
    }
}
