//! Answers of token endpoints as forms, as some gave them before RFC 6749 asked for JSON, and still do.

use serde_json::Value;
use serde_json::map::{Entry, Map};
use url::form_urlencoded;

/// A token of 64 KiB in percent escapes, and a few members beside it.
const LONGEST: usize = 256 * 1024;

/// `access_token=…&expires_in=…` or `error=…&error_description=…` as the members that JSON would have; none where the text
/// is anything else, or names a member twice.
pub(super) fn members(text: &str) -> Option<Value> {
    let text = text.trim();
    let is_form_char = |byte: u8| byte.is_ascii_graphic() && !b"<>{}[]\"".contains(&byte);
    let is_form = text.len() <= LONGEST && text.bytes().all(is_form_char);
    if !is_form || !text.split('&').all(|pair| pair.contains('=')) {
        return None;
    }
    let mut members = Map::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        match members.entry(name.into_owned()) {
            Entry::Vacant(place) => place.insert(value.as_ref().into()),
            Entry::Occupied(_) => return None,
        };
    }
    let is_answer = members
        .keys()
        .any(|name| name == "access_token" || name.starts_with("error"));
    is_answer.then_some(Value::Object(members))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_or_an_error_in_a_form_is_read_and_nothing_else_is_taken_for_one() {
        for (text, expected) in [
            (
                "access_token=gho_1%2Be&expires_in=900&scope=repo%2Cgist&token_type=bearer\n",
                Some(
                    json!({"access_token": "gho_1+e", "expires_in": "900", "scope": "repo,gist", "token_type": "bearer"}),
                ),
            ),
            (
                "error=bad_refresh_token&error_description=The+token+is+gone.",
                Some(
                    json!({"error": "bad_refresh_token", "error_description": "The token is gone."}),
                ),
            ),
            ("access_token=a&access_token=b", None),
            ("access_token=a&", None),
            ("access_token", None),
            ("ok=1&token=a", None),
            ("<p>access_token=a</p>", None),
            ("error = no", None),
            ("", None),
        ] {
            assert_eq!(members(text), expected, "{text}");
        }
    }
}
