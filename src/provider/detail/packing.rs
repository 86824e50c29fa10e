//! What is around a secret because of how it was stored, and is sent as part of it.

use crate::secret::Secret;

/// Which of the secrets that a server refused looks as if it held more than was meant, and what; none where all look well.
///
/// Nothing is taken away from it: a password may end with a blank.
pub(in crate::provider) fn suspicion<'a>(
    secrets: impl IntoIterator<Item = (&'a str, &'a Secret)>,
) -> Option<String> {
    let mut suspected = secrets
        .into_iter()
        .filter_map(|(name, secret)| Some((name, around(secret.expose())?)));
    suspected.next().map(|(name, what)| {
        format!("{name} {what}, which was sent as part of it: look whether it belongs there")
    })
}

fn around(secret: &str) -> Option<&'static str> {
    // Keys and documents have lines of their own.
    if secret.contains('\n') {
        return None;
    }
    let in_quotes =
        |quote: char| secret.len() > 2 && secret.starts_with(quote) && secret.ends_with(quote);
    if secret.trim() != secret {
        Some("begins or ends with a blank")
    } else if ['"', '\'', '`'].into_iter().any(in_quotes) {
        Some("stands in quotes")
    } else if is_assignment(secret) {
        Some("begins with a name and an equals sign, as a line of an environment file does")
    } else {
        None
    }
}

/// `CLIENT_SECRET=…`, and not the padding of base64.
fn is_assignment(secret: &str) -> bool {
    let Some((name, value)) = secret.split_once('=') else {
        return false;
    };
    let is_name = name.len() > 3
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    is_name && value.trim_start_matches('=').len() > 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_secret_that_was_stored_with_more_around_it_is_named_and_not_shown() {
        for (secret, expected) in [
            ("s3cret ", Some("blank")),
            ("\ts3cret", Some("blank")),
            ("\"s3cret\"", Some("quotes")),
            ("'s3cret'", Some("quotes")),
            ("CLIENT_SECRET=s3cret", Some("equals sign")),
            ("s3cret", None),
            ("s3 cret", None),
            ("\"s3cret", None),
            ("ABCD==", None),
            ("abcd=s3cret", None),
            ("-----BEGIN KEY-----\nx\n ", None),
        ] {
            let said = suspicion([("client_secret", &Secret::new(secret))]);
            assert_eq!(said.is_some(), expected.is_some(), "{secret}");
            if let Some((said, part)) = said.zip(expected) {
                assert!(
                    said.starts_with("client_secret ")
                        && said.contains(part)
                        && !said.contains("s3cret"),
                    "{said}"
                );
            }
        }
    }
}
