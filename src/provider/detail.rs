//! One sentence for people about an answer, with nothing secret and nothing that could garble a terminal.

mod blot;

use std::fmt::Write as _;

use blot::blotted;

use super::response::Response;
use crate::secret::Secret;

/// How much of a server's own words is shown.
const LONGEST_QUOTE: usize = 200;

/// Where servers put their error codes and their explanations.
const CODES: [&str; 7] =
    ["/error", "/0/errorCode", "/errorCode", "/exceptionCode", "/error/code", "/code", "/errors/0/code"];
const MESSAGES: [&str; 7] = [
    "/error_description",
    "/0/message",
    "/message",
    "/exceptionMessage",
    "/error/message",
    "/detail",
    "/errors/0/message",
];

/// Status, the server's own code and words, what is odd, and the remedy.
pub(super) fn sentence(response: &Response, oddity: Option<&str>, remedy: Option<&str>, secrets: &[Secret]) -> String {
    let mut sentence = format!("the server answered {}", response.status);
    for quote in [code(response), message(response)].into_iter().flatten() {
        sentence.push_str(if sentence.contains(" \u{201c}") { ", " } else { " " });
        let _ = write!(sentence, "\u{201c}{}\u{201d}", cut(&scrubbed(&quote, secrets)));
    }
    if let Some(encoding) = response.encoding() {
        let _ = write!(sentence, " encoded as {}, though asked not to", cut(&scrubbed(encoding, secrets)));
    }
    if let Some(oddity) = oddity {
        sentence.push_str(": ");
        sentence.push_str(&scrubbed(oddity, secrets));
    }
    // The profile's own words hold no secret, whatever word somebody takes for a password.
    if let Some(remedy) = remedy {
        sentence.push_str(": ");
        sentence.push_str(remedy);
    }
    sentence
}

fn code(response: &Response) -> Option<String> {
    told(response, &CODES).find_map(|pointer| {
        let value = response.json.as_ref()?.pointer(pointer)?;
        value.as_str().map(str::to_owned).or_else(|| value.as_i64().map(|number| number.to_string()))
    })
}

/// Of a good answer only RFC 6749's members are quoted: the others may hold what is secret and not yet known.
fn told<'a>(response: &Response, pointers: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let all = if response.status < 400 { 1 } else { pointers.len() };
    pointers.iter().copied().take(all)
}

fn message(response: &Response) -> Option<String> {
    if response.json.is_some() {
        return told(response, &MESSAGES).find_map(|pointer| response.string_at(pointer)).map(str::to_owned);
    }
    let plain = response.status >= 400
        && response.encoding().is_none()
        && !response.is_html()
        && !response.text.trim().is_empty();
    plain.then(|| response.text.trim().to_owned())
}

/// Without secrets, control characters and what changes the direction of writing.
pub(super) fn scrubbed(text: &str, secrets: &[Secret]) -> String {
    let without = blotted(text, secrets);
    let visible = without.chars().map(|char| if char.is_whitespace() { ' ' } else { char });
    visible.filter(|char| !char.is_control() && !is_invisible(*char)).collect()
}

fn is_invisible(char: char) -> bool {
    matches!(char, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

fn cut(text: &str) -> String {
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(LONGEST_QUOTE).collect();
    if chars.next().is_some() { format!("{head}…") } else { head }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_servers_words_are_quoted_and_the_remedy_follows() {
        let body = r#"{"error":"invalid_grant","error_description":"user hasn't approved"}"#;
        assert_eq!(
            sentence(&response(400, body), None, Some("approve it"), &[]),
            "the server answered 400 “invalid_grant”, “user hasn't approved”: approve it"
        );
        assert_eq!(
            sentence(&response(403, "Bad_OAuth_Token\n"), None, None, &[]),
            "the server answered 403 “Bad_OAuth_Token”"
        );
        assert_eq!(sentence(&response(200, "secret"), Some("odd"), None, &[]), "the server answered 200: odd");
        assert_eq!(sentence(&response(503, "<html>x</html>"), None, None, &[]), "the server answered 503");
    }

    #[test]
    fn an_encoding_that_nobody_asked_for_is_named() {
        for (encoding, expected) in [
            ("gzip", "the server answered 401 encoded as gzip, though asked not to: odd"),
            ("identity", "the server answered 401 \u{201c}\u{1f}\u{8b}\u{201d}: odd"),
        ] {
            let headers = vec![("Content-Encoding".to_owned(), encoding.to_owned())];
            let response = Response::new(401, headers, "\u{1f}\u{8b}".as_bytes(), true);
            let expected: String = expected.chars().filter(|char| !char.is_control()).collect();
            assert_eq!(sentence(&response, Some("odd"), None, &[]), expected);
        }
    }

    #[test]
    fn a_secret_that_a_server_echoes_is_blotted_out_even_at_the_cut() {
        let secrets = [Secret::new("hunter2!")];
        for echoed in ["hunter2!", "hunter2%21"] {
            let body = format!(r#"{{"error":"x","error_description":"{}{echoed}"}}"#, "a".repeat(195));
            let said = sentence(&response(400, &body), None, None, &secrets);
            assert!(!said.contains("hunt"), "{said}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_can_garble_a_terminal(body in any::<Vec<u8>>(), status in 100_u16..600) {
            let response = Response::new(status, Vec::new(), &body, true);
            let said = sentence(&response, None, None, &[]);
            prop_assert!(said.chars().all(|char| !char.is_control()));
            prop_assert!(said.chars().count() < 500);
        }
    }

    fn response(status: u16, body: &str) -> Response {
        Response::new(status, Vec::new(), body.as_bytes(), true)
    }
}
