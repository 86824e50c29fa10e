//! A token endpoint's good answer (RFC 6749 section 5.1), and everything that may be wrong with it.

mod life;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;
use url::Url;

pub(super) use life::moment;
use life::{JwtTimes, lifetime};

use super::capture::{Unit, at};
use super::harvest::captured;
use super::hosts::ForeignUrl;
use super::profile::Profile;
use super::response::{Response, until};
use crate::secret::Secret;
use crate::session::answer::Grant;
use crate::token::{Token, TokenError, checked_access_token};

/// Why an answer under a good status brings no token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum OddAnswer {
    #[error("the answer is no JSON object in which each key stands once")]
    NoObject,
    #[error("the answer has no access token")]
    NoToken,
    #[error("the answer has an error beside its token")]
    ErrorBeside,
    #[error("{0}")]
    BadToken(#[from] TokenError),
    #[error("the access token had expired before it came")]
    Expired,
    #[error("the refresh token is not visible ASCII of at most 64 KiB")]
    BadRefreshToken,
    #[error("the token type is no word")]
    BadTokenType,
    #[error("the instance URL is refused: {0}")]
    BadInstanceUrl(ForeignUrl),
}

/// Takes the token out of `response`, which came when our clock said `wall`.
///
/// # Errors
/// Says what is odd; nothing of such an answer is used.
pub(super) fn grant(
    profile: &Profile,
    configured: &Url,
    response: &Response,
    wall: Timestamp,
) -> Result<Grant, OddAnswer> {
    let reader = Reader { profile, response, wall };
    if !response.json.as_ref().is_some_and(Value::is_object) {
        return Err(OddAnswer::NoObject);
    }
    if at(response, "/error").is_some() {
        return Err(OddAnswer::ErrorBeside);
    }
    let access_token = checked_access_token(&reader.string("token", "/access_token", OddAnswer::NoToken)?)?;
    let jwt = profile.jwt_is_fixed.then(|| JwtTimes::of(access_token.expose())).flatten();
    let stated = reader.duration("expires_in", "/expires_in").or_else(|| reader.until_end());
    let lifetime = lifetime(stated, jwt, response.date())?;
    Ok(Grant {
        token: Token {
            access_token,
            token_type: reader.token_type()?,
            instance_url: reader.instance_url(configured)?,
            captures: captured(&profile.captures, response),
            issued_at: reader.issued_at().unwrap_or(wall),
            expires_at: lifetime.and_then(|lifetime| wall.checked_add(lifetime).ok()),
        },
        refresh_token: reader.refresh_token()?,
        lifetime,
        refresh_lifetime: reader.duration("refresh_expires_in", "/refresh_expires_in"),
        idle_timeout: reader.duration("idle_timeout", ""),
        max_lifetime: reader.duration("max_lifetime", ""),
        // A token whose end nobody knows is kept by pings.
        fixed: jwt.is_some() && lifetime.is_some(),
    })
}

struct Reader<'a> {
    profile: &'a Profile,
    response: &'a Response,
    wall: Timestamp,
}

impl Reader<'_> {
    /// What stands where the profile says, or else where the protocol does; null counts as nothing.
    fn value(&self, name: &str, pointer: &str) -> Option<Value> {
        match self.profile.captures.get(name) {
            Some(rule) => rule.value(self.response),
            None if pointer.is_empty() => None,
            None => at(self.response, pointer),
        }
    }

    fn string(&self, name: &str, pointer: &str, odd: OddAnswer) -> Result<String, OddAnswer> {
        match self.value(name, pointer) {
            Some(Value::String(text)) => Ok(text),
            Some(_) | None => Err(odd),
        }
    }

    fn token_type(&self) -> Result<String, OddAnswer> {
        if self.value("token_type", "/token_type").is_none() {
            return Ok("Bearer".to_owned());
        }
        let token_type = self.string("token_type", "/token_type", OddAnswer::BadTokenType)?;
        let is_word = (1..=64).contains(&token_type.len())
            && token_type.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/:".contains(&byte));
        match is_word {
            true if token_type.eq_ignore_ascii_case("bearer") => Ok("Bearer".to_owned()),
            true => Ok(token_type),
            false => Err(OddAnswer::BadTokenType),
        }
    }

    /// Only where the profile says that there is one.
    fn instance_url(&self, configured: &Url) -> Result<Option<String>, OddAnswer> {
        let malformed = OddAnswer::BadInstanceUrl(ForeignUrl::Malformed);
        if self.value("instance_url", "").is_none() {
            return Ok(None);
        }
        let url = self.string("instance_url", "", malformed)?;
        self.profile.hosts.accept(&url, configured).map(Some).map_err(OddAnswer::BadInstanceUrl)
    }

    fn refresh_token(&self) -> Result<Option<Secret>, OddAnswer> {
        if self.value("refresh_token", "/refresh_token").is_none() {
            return Ok(None);
        }
        let token = self.string("refresh_token", "/refresh_token", OddAnswer::BadRefreshToken)?;
        checked_access_token(&token).map(Some).map_err(|_| OddAnswer::BadRefreshToken)
    }

    /// What is no time, or not a positive one, counts as unsaid: servers send 0 and -1 for "never".
    fn duration(&self, name: &str, pointer: &str) -> Option<Duration> {
        let life = match self.profile.captures.get(name) {
            Some(rule) => rule.duration(self.response, self.wall),
            None => Unit::Seconds.duration(number(&self.value(name, pointer)?)?),
        };
        life.filter(|life| !life.is_zero())
    }

    /// The token's end as an instant, where the profile says that there is one.
    fn until_end(&self) -> Option<Duration> {
        let end = self.profile.captures.get("expires_at")?.instant(self.response)?;
        Some(until(end, self.response.date().unwrap_or(self.wall))).filter(|life| !life.is_zero())
    }

    fn issued_at(&self) -> Option<Timestamp> {
        self.profile.captures.get("issued_at")?.instant(self.response)
    }
}

/// A JSON number, or text that is one.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
    .filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_hostile_or_odd_brings_no_token() {
        let long = "x".repeat(crate::token::MAX_TOKEN_BYTES + 1);
        for (body, expected) in [
            (String::new(), OddAnswer::NoObject),
            ("[]".into(), OddAnswer::NoObject),
            ("\"token\"".into(), OddAnswer::NoObject),
            (r#"{"access_token":"a","access_token":"b"}"#.into(), OddAnswer::NoObject),
            ("{\"x\":".repeat(200) + "1" + &"}".repeat(200), OddAnswer::NoObject),
            (r#"{"access_token":"tok"#.into(), OddAnswer::NoObject),
            ("{}".into(), OddAnswer::NoToken),
            (json!({"access_token": "a", "error": "invalid_grant"}).to_string(), OddAnswer::ErrorBeside),
            (json!({"access_token": null}).to_string(), OddAnswer::NoToken),
            (json!({"access_token": 7}).to_string(), OddAnswer::NoToken),
            (json!({"access_token": ["a"]}).to_string(), OddAnswer::NoToken),
            (json!({"access_token": ""}).to_string(), OddAnswer::BadToken(TokenError::Empty)),
            (json!({"access_token": "a b"}).to_string(), OddAnswer::BadToken(TokenError::BadCharacter)),
            (json!({"access_token": "a\nb"}).to_string(), OddAnswer::BadToken(TokenError::BadCharacter)),
            (json!({"access_token": "a\u{0}b"}).to_string(), OddAnswer::BadToken(TokenError::BadCharacter)),
            (json!({"access_token": "tök"}).to_string(), OddAnswer::BadToken(TokenError::BadCharacter)),
            (json!({"access_token": long}).to_string(), OddAnswer::BadToken(TokenError::TooLong)),
            (json!({"access_token": "a", "refresh_token": "r\n"}).to_string(), OddAnswer::BadRefreshToken),
            (json!({"access_token": "a", "refresh_token": ""}).to_string(), OddAnswer::BadRefreshToken),
            (json!({"access_token": "a", "refresh_token": 5}).to_string(), OddAnswer::BadRefreshToken),
            (json!({"access_token": "a", "token_type": 5}).to_string(), OddAnswer::BadTokenType),
            (json!({"access_token": "a", "token_type": "B\r\nX: y"}).to_string(), OddAnswer::BadTokenType),
            (
                json!({"access_token": "a", "instance_url": "http://acme.my.salesforce.com"}).to_string(),
                OddAnswer::BadInstanceUrl(ForeignUrl::Foreign),
            ),
            (
                json!({"access_token": "a", "instance_url": "https://evil.org"}).to_string(),
                OddAnswer::BadInstanceUrl(ForeignUrl::Foreign),
            ),
            (
                json!({"access_token": "a", "instance_url": 5}).to_string(),
                OddAnswer::BadInstanceUrl(ForeignUrl::Malformed),
            ),
            (json!({"access_token": jwt(&json!({"exp": 5, "iat": 9}))}).to_string(), OddAnswer::Expired),
        ] {
            assert_eq!(read(&[], &body).unwrap_err(), expected, "{}", body.chars().take(80).collect::<String>());
        }
    }

    #[test]
    fn a_life_is_what_the_server_says_if_that_makes_sense() {
        for (expires_in, expected) in [
            (json!(3600), Some(3600)),
            (json!("3600"), Some(3600)),
            (json!(3600.7), Some(3600)),
            (json!(0), None),
            (json!(-1), None),
            (json!(1e300), None),
            (json!(u64::MAX), None),
            (json!("soon"), None),
            (json!({"a": 1}), None),
            (json!(null), None),
        ] {
            let grant = read(&[], &json!({"access_token": "a", "expires_in": expires_in}).to_string()).unwrap();
            assert_eq!(grant.lifetime.map(|lifetime| lifetime.as_secs()), expected, "{expires_in}");
            assert_eq!(grant.token.expires_at.is_some(), expected.is_some());
            assert!(!grant.fixed);
        }
    }

    #[test]
    fn a_positive_expires_in_outlives_the_instants_of_its_jwt() {
        // The server's clock, and a token signed five hours behind and ahead of it.
        let date = [("Date", "Sun, 06 Nov 1994 08:49:37 GMT")];
        for iat in [784_111_777 - 18_000, 784_111_777 + 18_000] {
            let token = jwt(&json!({"iat": iat, "exp": iat + 7200}));
            for (expires_in, expected) in [
                (json!(3600), 3600),
                (json!("3600"), 3600),
                (json!(3600.5), 3600),
                (json!(0), 7200),
                (json!(-1), 7200),
                (json!(1e30), 7200),
                (json!("soon"), 7200),
                (json!(null), 7200),
                (json!(7_200_000), 7200),
            ] {
                let body = json!({"access_token": token, "expires_in": expires_in}).to_string();
                let grant = read(&date, &body).unwrap();
                assert_eq!(grant.lifetime.map(|life| life.as_secs()), Some(expected), "{expires_in} {iat}");
                assert!(grant.fixed);
            }
        }
    }

    #[test]
    fn a_token_in_jwt_form_ends_when_it_says_by_the_servers_clock() {
        let token = jwt(&json!({"exp": 784_111_837 , "iat": 784_111_000}));
        let body = json!({"access_token": token}).to_string();
        let date = [("Date", "Sun, 06 Nov 1994 08:49:37 GMT")];
        for (headers, expected) in [(&date[..], 60), (&[], 837)] {
            let grant = read(headers, &body).unwrap();
            assert!(grant.fixed);
            assert_eq!(grant.lifetime, Some(Duration::from_secs(expected)));
        }
        for opaque in ["00D000!AQ8.x.y", "a.b.c", "eyJ.eyJ"] {
            assert!(!read(&date, &json!({"access_token": opaque}).to_string()).unwrap().fixed);
        }
    }

    #[test]
    fn everything_that_goes_with_the_token_is_taken_along() {
        let body = json!({
            "access_token": "00D!x", "token_type": "bearer", "refresh_token": "5Aep", "issued_at": "1700000000123",
            "instance_url": "https://eu7.salesforce.com/", "id": "https://login.salesforce.com/id/00D/005",
            "signature": "c2ln", "scope": "api id", "unknown": "dropped", "sfdc_community_id": "a\u{7}b",
        });
        let grant = read(&[], &format!("\u{feff}{body}")).unwrap();
        assert_eq!(grant.token.access_token.expose(), "00D!x");
        assert_eq!(grant.token.token_type, "Bearer");
        assert_eq!(grant.token.instance_url.as_deref(), Some("https://eu7.salesforce.com"));
        assert_eq!(grant.token.issued_at.as_millisecond(), 1_700_000_000_123);
        assert_eq!(grant.refresh_token.unwrap().expose(), "5Aep");
        let captures: Vec<(&str, bool)> =
            grant.token.captures.iter().map(|(name, capture)| (name, capture.public)).collect();
        assert_eq!(captures, [("id", true), ("scope", true), ("signature", false)]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_yield_a_bad_token(body in any::<Vec<u8>>()) {
            check(&body)?;
        }

        #[test]
        fn no_object_yields_a_bad_token(token in "\\PC{0,20}|[ -~]{0,20}", url in ".{0,30}", life in ".{0,10}", kind in ".{0,8}") {
            let body = json!({"access_token": token, "instance_url": url, "expires_in": life, "token_type": kind});
            check(body.to_string().as_bytes())?;
        }
    }

    fn check(body: &[u8]) -> Result<(), TestCaseError> {
        let response = Response::new(200, Vec::new(), body, true);
        if let Ok(grant) = taken(&response) {
            let token = grant.token.access_token.expose();
            prop_assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(grant.token.instance_url.is_none_or(|url| url.starts_with("https://")));
        }
        Ok(())
    }

    pub(super) fn jwt(claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(claims))
    }

    fn read(headers: &[(&str, &str)], body: &str) -> Result<Grant, OddAnswer> {
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        taken(&Response::new(200, headers, body.as_bytes(), true))
    }

    fn taken(response: &Response) -> Result<Grant, OddAnswer> {
        let profile = Profile::named("salesforce", None).unwrap();
        let configured = Url::parse("https://acme.my.salesforce.com").unwrap();
        grant(&profile, &configured, response, Timestamp::UNIX_EPOCH)
    }
}
