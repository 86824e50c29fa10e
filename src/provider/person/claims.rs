//! What an ID token says, and who it names (`OpenID` Connect Core sections 2 and 3.1.3.7).
//!
//! It came from the token endpoint itself, over the connection that vouches for its sender, so its signature may go
//! unread (section 3.1.3.7, point 6).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::same;

/// Clocks may differ so much before a token counts as expired, in seconds.
const LEEWAY: f64 = 60.0;
/// Where servers put what people call a user by, besides the identifier that is theirs alone.
const NAMES: [&str; 5] = [
    "preferred_username",
    "username",
    "upn",
    "unique_name",
    EMAIL,
];
/// The one name that users of some servers may enter at will (`OpenID` Connect Core section 5.7).
const EMAIL: &str = "email";

/// What an ID token must say.
pub(in crate::provider) struct Expected<'a> {
    /// Where it is known.
    pub(in crate::provider) issuer: Option<&'a str>,
    pub(in crate::provider) client_id: &'a str,
    /// What this login sent along, if anything.
    pub(in crate::provider) nonce: Option<&'a str>,
    /// The server's clock, in seconds.
    pub(in crate::provider) now: i64,
}

/// Whether it is the configured user.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::provider) enum WhoIsIt {
    TheUser,
    Somebody(String),
    /// Only the e-mail address is the configured one, and the server says that it has not verified that.
    Unverified {
        /// What else the server calls that user.
        called: Option<String>,
    },
    /// Nothing in it is a name.
    Unknown,
}

/// The claims of `id_token`, if they are about this login.
///
/// # Errors
/// Says what is wrong.
pub(in crate::provider) fn checked(
    id_token: &str,
    expected: &Expected<'_>,
) -> Result<Value, &'static str> {
    let claims = claims(id_token).ok_or("its ID token is no JWT")?;
    let text = |name: &str| text(&claims, name);
    if expected
        .issuer
        .is_some_and(|issuer| text("iss") != Some(issuer))
    {
        return Err("its ID token comes from another issuer");
    }
    if !is_for(&claims, expected.client_id)
        || text("azp").is_some_and(|client| client != expected.client_id)
    {
        return Err("its ID token is for another client");
    }
    let nonce = text("nonce").unwrap_or_default();
    if expected
        .nonce
        .is_some_and(|expected| !same(nonce, expected))
    {
        return Err("its ID token belongs to another login: the nonce differs");
    }
    let end = claims
        .get("exp")
        .and_then(Value::as_f64)
        .ok_or("its ID token has no end")?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds since 1970 are far below 2^52"
    )]
    if end + LEEWAY < expected.now as f64 {
        return Err("its ID token has expired: compare the clocks");
    }
    Ok(claims)
}

/// Whether `claims`, of an ID token or of userinfo, name `username`.
pub(in crate::provider) fn who(claims: &Value, username: &str) -> WhoIsIt {
    let is_it = |name: &str| name.eq_ignore_ascii_case(username);
    if subject(claims) == Some(username) || proven_names(claims).any(is_it) {
        return WhoIsIt::TheUser;
    }
    let called = || named(claims).map(str::to_owned);
    if text(claims, EMAIL).is_some_and(is_it) {
        return WhoIsIt::Unverified { called: called() };
    }
    called().map_or(WhoIsIt::Unknown, WhoIsIt::Somebody)
}

/// What people call the user that `claims` are about.
pub(in crate::provider) fn named(claims: &Value) -> Option<&str> {
    proven_names(claims).next()
}

/// The identifier that the server gives to this user alone, and never to another.
pub(in crate::provider) fn subject(claims: &Value) -> Option<&str> {
    text(claims, "sub")
}

/// A server that says nothing of `email_verified` vouches for the address as for the other names.
fn proven_names(claims: &Value) -> impl Iterator<Item = &str> {
    let denied = claims
        .get("email_verified")
        .is_some_and(|verified| verified == false || verified == "false");
    let counts = move |name: &&&str| !(denied && **name == EMAIL);
    NAMES
        .iter()
        .filter(counts)
        .filter_map(|name| text(claims, name))
}

fn text<'c>(claims: &'c Value, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str)
}

fn is_for(claims: &Value, client_id: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(audience)) => audience == client_id,
        Some(Value::Array(audiences)) => audiences.iter().any(|audience| audience == client_id),
        Some(_) | None => false,
    }
}

fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    (parts.next().is_none() && claims.is_object()).then_some(claims)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_an_id_token_of_this_login_is_believed() {
        let good =
            json!({ "iss": "https://id", "aud": "c", "nonce": "n", "exp": 1000, "sub": "1" });
        for (name, value, expected) in [
            ("sub", json!("2"), Ok(())),
            ("aud", json!(["x", "c"]), Ok(())),
            ("azp", json!("c"), Ok(())),
            ("exp", json!(945.5), Ok(())),
            (
                "iss",
                json!("https://evil"),
                Err("its ID token comes from another issuer"),
            ),
            (
                "iss",
                json!(null),
                Err("its ID token comes from another issuer"),
            ),
            ("aud", json!("x"), Err("its ID token is for another client")),
            (
                "aud",
                json!(["x"]),
                Err("its ID token is for another client"),
            ),
            (
                "aud",
                json!(null),
                Err("its ID token is for another client"),
            ),
            ("azp", json!("x"), Err("its ID token is for another client")),
            (
                "nonce",
                json!("m"),
                Err("its ID token belongs to another login: the nonce differs"),
            ),
            (
                "nonce",
                json!(null),
                Err("its ID token belongs to another login: the nonce differs"),
            ),
            (
                "exp",
                json!(900),
                Err("its ID token has expired: compare the clocks"),
            ),
            ("exp", json!("soon"), Err("its ID token has no end")),
        ] {
            let mut claims = good.clone();
            claims[name] = value.clone();
            assert_eq!(
                checked(&jwt(&claims), &expectation()).map(|_| ()),
                expected,
                "{name} {value}"
            );
        }
        for garbage in ["", "a.b", "a.b.c.d", "x.e30", "x.W10.y", "x.!.y"] {
            assert_eq!(
                checked(garbage, &expectation()),
                Err("its ID token is no JWT"),
                "{garbage}"
            );
        }
        let unknown = Expected {
            issuer: None,
            nonce: None,
            ..expectation()
        };
        assert!(checked(&jwt(&json!({ "aud": "c", "exp": 1000 })), &unknown).is_ok());
    }

    #[test]
    fn a_user_is_known_by_any_of_the_names_that_servers_use() {
        for (claims, expected) in [
            (json!({ "sub": "alice" }), WhoIsIt::TheUser),
            (
                json!({ "sub": "17", "preferred_username": "Alice" }),
                WhoIsIt::TheUser,
            ),
            (
                json!({ "sub": "17", "preferred_username": "a.l", "email": "alice" }),
                WhoIsIt::TheUser,
            ),
            (
                json!({ "sub": "17", "email": "bob@x", "username": "bob" }),
                WhoIsIt::Somebody("bob".into()),
            ),
            (json!({ "sub": "17" }), WhoIsIt::Unknown),
            (json!({ "sub": "Alice" }), WhoIsIt::Unknown),
            (json!({}), WhoIsIt::Unknown),
        ] {
            assert_eq!(who(&claims, "alice"), expected, "{claims}");
        }
    }

    #[test]
    fn an_address_that_the_server_has_not_verified_makes_nobody_the_configured_user() {
        let unverified = |called: Option<&str>| WhoIsIt::Unverified {
            called: called.map(str::to_owned),
        };
        for (claims, expected) in [
            (json!({ "email_verified": true }), WhoIsIt::TheUser),
            (json!({ "email_verified": "true" }), WhoIsIt::TheUser),
            (json!({ "email_verified": null }), WhoIsIt::TheUser),
            (json!({ "email_verified": false }), unverified(None)),
            (json!({ "email_verified": "false" }), unverified(None)),
            (
                json!({ "email_verified": false, "preferred_username": "mallory" }),
                unverified(Some("mallory")),
            ),
            (
                json!({ "email_verified": false, "preferred_username": "Alice@x" }),
                WhoIsIt::TheUser,
            ),
            (
                json!({ "email_verified": false, "sub": "alice@x" }),
                WhoIsIt::TheUser,
            ),
            (
                json!({ "email_verified": false, "email": "bob@x" }),
                WhoIsIt::Unknown,
            ),
        ] {
            let mut all = json!({ "sub": "17", "email": "alice@x" });
            for (name, value) in claims.as_object().unwrap() {
                all[name] = value.clone();
            }
            assert_eq!(who(&all, "alice@x"), expected, "{all}");
        }
    }

    fn expectation() -> Expected<'static> {
        Expected {
            issuer: Some("https://id"),
            client_id: "c",
            nonce: Some("n"),
            now: 1000,
        }
    }

    fn jwt(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }
}
