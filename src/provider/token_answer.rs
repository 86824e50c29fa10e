//! A token endpoint's good answer (RFC 6749 section 5.1), and everything that may be wrong with it.

mod life;
mod stated;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;
use url::Url;

use life::is_access_token_by_type;
pub(super) use life::{Ended, JwtTimes, claims, lifetime, moment};
pub(super) use stated::end_in_place_of_life;

use super::capture::{Life, Unit, at, is_idle};
use super::harvest::captured;
use super::hosts::ForeignUrl;
use super::profile::Profile;
use super::response::Response;
use crate::secret::Secret;
use crate::session::answer::Grant;
use crate::session::policy::WindowModel;
use crate::token::{
    RefreshTokenError, Token, TokenError, checked_access_token, checked_refresh_token,
};

/// Why an answer under a good status brings no token.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum OddAnswer {
    #[error("the answer is no JSON object")]
    NoObject,
    #[error("the answer has no access token")]
    NoToken,
    #[error("the answer has an error beside its token")]
    ErrorBeside,
    #[error("{0}")]
    BadToken(#[from] TokenError),
    /// With the refresh token that came beside it, if one did.
    #[error(
        "the access token had ended before it came: the server's own session is at its end, or a clock is wrong"
    )]
    Expired(Option<Secret>),
    #[error("the instance URL is refused: {0}")]
    BadInstanceUrl(ForeignUrl),
}

/// Takes the token out of `response`, which came when our clock said `wall`.
///
/// What is empty says nothing, and what is odd beside a good token costs that member only, but for what speaks against the
/// token itself: an error, a host that is not the server's own, an end that is past.
///
/// # Errors
/// Says what is odd; nothing of such an answer is used but a refresh token that came with an ended access token.
pub(super) fn grant(
    profile: &Profile,
    configured: &Url,
    response: &Response,
    wall: Timestamp,
) -> Result<Grant, OddAnswer> {
    let reader = Reader {
        profile,
        response,
        wall,
    };
    if !response.json.as_ref().is_some_and(Value::is_object) {
        return Err(OddAnswer::NoObject);
    }
    if at(response, "/error").is_some_and(|error| !is_idle(&error)) {
        return Err(OddAnswer::ErrorBeside);
    }
    let access_token = checked_access_token(alone(&reader.string(
        "token",
        "/access_token",
        OddAnswer::NoToken,
    )?))?;
    let (refresh_token, odd_refresh_token) = match reader.refresh_token() {
        Ok(token) => (token, None),
        Err(why) => (None, Some(why)),
    };
    let jwt = reader
        .believes(&access_token)
        .then(|| JwtTimes::of(access_token.expose()))
        .flatten();
    let lifetime = match lifetime(reader.stated_life(), jwt, response.date()) {
        Ok(lifetime) => lifetime,
        Err(Ended) => return Err(OddAnswer::Expired(refresh_token)),
    };
    Ok(Grant {
        token: Token {
            access_token,
            token_type: reader.token_type(),
            instance_url: reader.instance_url(configured)?,
            captures: captured(&profile.captures, response),
            issued_at: reader.issued_at().unwrap_or(wall),
            expires_at: lifetime.and_then(|lifetime| wall.checked_add(lifetime).ok()),
        },
        refresh_token,
        odd_refresh_token,
        lifetime,
        refresh_lifetime: reader.refresh_lifetime(),
        idle_timeout: reader.duration("idle_timeout", ""),
        max_lifetime: reader.duration("max_lifetime", ""),
        // A token whose end is not known is kept alive by pings.
        fixed: jwt.is_some() && lifetime.is_some(),
    })
}

/// Whether something is where the token should be.
pub(super) fn brings_token(profile: &Profile, response: &Response) -> bool {
    let rule = profile.captures.get("token");
    let value = rule.map_or_else(
        || at(response, "/access_token"),
        |rule| rule.value(response),
    );
    value.is_some_and(|value| !is_idle(&value))
}

/// The refresh token that came beside a token which cannot be used: the one before it may be spent.
pub(super) fn refresh_token_beside(
    profile: &Profile,
    response: &Response,
    wall: Timestamp,
) -> Option<Secret> {
    Reader {
        profile,
        response,
        wall,
    }
    .refresh_token()
    .ok()
    .flatten()
}

/// The token without the blanks around it, and without the type that some write before it.
fn alone(text: &str) -> &str {
    let text = text.trim();
    let typed = text
        .split_once(' ')
        .filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
    typed.map_or(text, |(_, token)| token.trim())
}

struct Reader<'a> {
    profile: &'a Profile,
    response: &'a Response,
    wall: Timestamp,
}

impl Reader<'_> {
    /// What is where the profile says, or else where the protocol says; null counts as nothing.
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

    /// A word; else what nearly all tokens are.
    fn token_type(&self) -> String {
        let said = self.value("token_type", "/token_type");
        let word = said.as_ref().and_then(Value::as_str).and_then(token_type);
        word.filter(|word| !word.eq_ignore_ascii_case("bearer"))
            .unwrap_or_else(|| "Bearer".to_owned())
    }

    /// Only where the profile says that there is one.
    fn instance_url(&self, configured: &Url) -> Result<Option<String>, OddAnswer> {
        let malformed = OddAnswer::BadInstanceUrl(ForeignUrl::Malformed);
        if self
            .value("instance_url", "")
            .is_none_or(|url| is_idle(&url))
        {
            return Ok(None);
        }
        let url = self.string("instance_url", "", malformed)?;
        self.profile
            .hosts
            .accept(&url, configured)
            .map(Some)
            .map_err(OddAnswer::BadInstanceUrl)
    }

    /// A new one, where the server gave one.
    fn refresh_token(&self) -> Result<Option<Secret>, RefreshTokenError> {
        match self
            .value("refresh_token", "/refresh_token")
            .filter(|token| !is_idle(token))
        {
            Some(Value::String(token)) => checked_refresh_token(&token).map(Some),
            Some(_) => Err(RefreshTokenError::NotText),
            None => Ok(None),
        }
    }

    /// Whether what the token says of its own end is so: always where no use of it moves its end, and where it is of a kind whose
    /// end every server must obey. A profile can say otherwise.
    fn believes(&self, access_token: &Secret) -> bool {
        let by_default = || {
            self.profile.window().model == WindowModel::Fixed
                || is_access_token_by_type(access_token.expose())
        };
        self.profile.jwt_is_fixed.unwrap_or_else(by_default)
    }

    fn stated_life(&self) -> Option<Life> {
        let is_described = self.profile.captures.contains_key("expires_in");
        let described = || self.life("expires_in", "").filter(|_| is_described);
        described()
            .or_else(|| self.until_end("expires_at"))
            .or_else(|| self.told_life().filter(|_| !is_described))
    }

    /// What the answer states by itself.
    fn told_life(&self) -> Option<Life> {
        let date = self.response.date();
        stated::life(
            self.response.json.as_ref()?,
            date.unwrap_or(self.wall),
            date.is_some(),
        )
    }

    fn refresh_lifetime(&self) -> Option<Duration> {
        let by_instant = || self.until_end("refresh_expires_at").and_then(Life::lasting);
        self.duration("refresh_expires_in", "/refresh_expires_in")
            .or_else(by_instant)
    }

    fn duration(&self, name: &str, pointer: &str) -> Option<Duration> {
        self.life(name, pointer).and_then(Life::lasting)
    }

    /// What makes no sense counts as unsaid.
    fn life(&self, name: &str, pointer: &str) -> Option<Life> {
        match self.profile.captures.get(name) {
            Some(rule) => rule.life(self.response, self.wall),
            None => Unit::Seconds.life(number(&self.value(name, pointer)?)?),
        }
    }

    /// An end as an instant, where the profile says that there is one. Only the server's own clock can call it past.
    fn until_end(&self, name: &str) -> Option<Life> {
        let life = self
            .profile
            .captures
            .get(name)?
            .life_until(self.response, self.wall)?;
        (life != Life::Over || self.response.date().is_some()).then_some(life)
    }

    fn issued_at(&self) -> Option<Timestamp> {
        self.profile
            .captures
            .get("issued_at")?
            .instant(self.response)
    }
}

/// A token type that can be in a header, without the blanks around it.
pub(super) fn token_type(text: &str) -> Option<String> {
    let text = text.trim();
    let is_word = (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/:".contains(&byte));
    is_word.then(|| text.to_owned())
}

/// A JSON number, or text that is one, `3600s` included.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().trim_end_matches('s').parse::<f64>().ok(),
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
            (r#"{"access_token":"a","access_token":"b"}"#.into(), OddAnswer::NoToken),
            (r#"{"access_token":"a","error":"","error":"invalid_grant"}"#.into(), OddAnswer::ErrorBeside),
            (
                r#"{"access_token":"a","instance_url":"https://eu7.salesforce.com","instance_url":"https://evil.org"}"#
                    .into(),
                OddAnswer::BadInstanceUrl(ForeignUrl::Malformed),
            ),
            ("{\"x\":".repeat(200) + "1" + &"}".repeat(200), OddAnswer::NoToken),
            (r#"{"access_token":"tok"#.into(), OddAnswer::NoObject),
            ("{}".into(), OddAnswer::NoToken),
            (json!({"access_token": "a", "error": "invalid_grant"}).to_string(), OddAnswer::ErrorBeside),
            (json!({"access_token": "a", "error": true}).to_string(), OddAnswer::ErrorBeside),
            (json!({"access_token": "a", "error": 17}).to_string(), OddAnswer::ErrorBeside),
            (json!({"access_token": "a", "error": {"code": 0, "message": "no"}}).to_string(), OddAnswer::ErrorBeside),
            (json!({"access_token": null}).to_string(), OddAnswer::NoToken),
            (json!({"access_token": 7}).to_string(), OddAnswer::NoToken),
            (json!({"access_token": ["a"]}).to_string(), OddAnswer::NoToken),
            (json!({"access_token": ""}).to_string(), OddAnswer::BadToken(TokenError::Empty)),
            (json!({"access_token": "a b"}).to_string(), OddAnswer::BadToken(TokenError::BadCharacter)),
            (json!({"access_token": "a\nb"}).to_string(), OddAnswer::BadToken(TokenError::BadCharacter)),
            (json!({"access_token": "a\u{0}b"}).to_string(), OddAnswer::BadToken(TokenError::BadCharacter)),
            (json!({"access_token": "tök"}).to_string(), OddAnswer::BadToken(TokenError::BadCharacter)),
            (json!({"access_token": long}).to_string(), OddAnswer::BadToken(TokenError::TooLong)),
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
            (json!({"access_token": jwt(&json!({"exp": 5, "iat": 9}))}).to_string(), OddAnswer::Expired(None)),
            (
                json!({"access_token": "a", "expires_in": -12, "refresh_token": "r"}).to_string(),
                OddAnswer::Expired(Some(Secret::new("r"))),
            ),
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
            (json!("-1"), None),
            (json!(i64::MIN), None),
            (json!(-1e300), None),
            (json!("3600s"), Some(3600)),
            (json!(1e300), None),
            (json!(u64::MAX), None),
            (json!("soon"), None),
            (json!({"a": 1}), None),
            (json!(null), None),
        ] {
            let grant = read(
                &[],
                &json!({"access_token": "a", "expires_in": expires_in}).to_string(),
            )
            .unwrap();
            assert_eq!(
                grant.lifetime.map(|lifetime| lifetime.as_secs()),
                expected,
                "{expires_in}"
            );
            assert_eq!(grant.token.expires_at.is_some(), expected.is_some());
            assert!(!grant.fixed);
        }
    }

    #[test]
    fn what_is_empty_beside_a_token_says_nothing_and_what_is_odd_costs_only_itself() {
        for (member, value) in [
            ("error", json!("")),
            ("error", json!(" ")),
            ("error", json!(false)),
            ("error", json!(0)),
            ("error", json!(null)),
            ("error", json!([])),
            ("error", json!({})),
            ("error", json!({"code": 0, "message": ""})),
            ("refresh_token", json!("")),
            ("refresh_token", json!(false)),
            ("refresh_token", json!([])),
            ("token_type", json!("")),
            ("token_type", json!("bearer ")),
            ("token_type", json!("Bearer Token")),
            ("token_type", json!("B\r\nX: y")),
            ("token_type", json!(5)),
            ("instance_url", json!("")),
            ("issued_at", json!("yesterday")),
            ("issued_at", json!({})),
            ("expires_in", json!({"seconds": 5})),
            ("expires_in", json!("soon")),
            ("id", json!({"a": 1})),
            ("scope", json!(["api", "id"])),
        ] {
            let grant = read(
                &[],
                &json!({"access_token": "a", member: value}).to_string(),
            );
            let grant = grant.unwrap_or_else(|odd| panic!("{member} {value}: {odd}"));
            let token = grant.token;
            assert_eq!(
                (token.token_type.as_str(), token.instance_url),
                ("Bearer", None),
                "{member} {value}"
            );
            assert_eq!(
                (grant.refresh_token, grant.odd_refresh_token),
                (None, None),
                "{member} {value}"
            );
            assert_eq!(
                (grant.lifetime, token.captures.keys().count()),
                (None, 0),
                "{member} {value}"
            );
        }
        for body in [
            "{\"access_token\":\"a\"}\0",
            "{\"access_token\":\"a\",\"scope\":\"x\",\"scope\":\"y\"}",
        ] {
            assert_eq!(
                read(&[], body).unwrap().token.access_token.expose(),
                "a",
                "{body:?}"
            );
        }
    }

    #[test]
    fn a_refresh_token_that_cannot_be_kept_is_said_to_be_and_the_token_beside_it_is_used() {
        let long = "x".repeat(crate::token::MAX_TOKEN_BYTES + 1);
        for (refresh_token, expected) in [
            (json!("r\n"), RefreshTokenError::BadCharacter),
            (json!("r\u{0}"), RefreshTokenError::BadCharacter),
            (json!("schl\u{fc}ssel"), RefreshTokenError::BadCharacter),
            (json!(long), RefreshTokenError::TooLong),
            (json!(5), RefreshTokenError::NotText),
            (json!(true), RefreshTokenError::NotText),
            (json!(["r"]), RefreshTokenError::NotText),
        ] {
            let grant = read(
                &[],
                &json!({"access_token": "a", "refresh_token": refresh_token}).to_string(),
            )
            .unwrap();
            assert_eq!(
                (grant.refresh_token, grant.odd_refresh_token),
                (None, Some(expected)),
                "{refresh_token}"
            );
        }
        let blank = read(
            &[],
            &json!({"access_token": "a", "refresh_token": "r s"}).to_string(),
        )
        .unwrap();
        assert_eq!(
            blank.refresh_token,
            Some(Secret::new("r s")),
            "RFC 6749 appendix A.17 allows blanks"
        );
    }

    #[test]
    fn a_jwt_is_believed_where_use_does_not_move_its_end_or_its_type_says_so() {
        let at_jwt = |claims: &Value| {
            let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"at+jwt"}"#);
            format!(
                "{header}.{}.c2ln",
                URL_SAFE_NO_PAD.encode(claims.to_string())
            )
        };
        let claims = json!({"iat": 1000, "exp": 1600});
        for (model, said, token, expected) in [
            ("fixed", "", jwt(&claims), Some(600)),
            ("sliding", "", jwt(&claims), None),
            ("sliding", "", at_jwt(&claims), Some(600)),
            (
                "sliding",
                "token.jwt_is_fixed = true",
                jwt(&claims),
                Some(600),
            ),
            (
                "sliding",
                "token.jwt_is_fixed = false",
                at_jwt(&claims),
                None,
            ),
            ("fixed", "token.jwt_is_fixed = false", jwt(&claims), None),
            ("half_window", "", jwt(&claims), None),
        ] {
            let text = format!(
                "name = \"x\"\ntitle = \"X\"\nprotocol = \"oauth2\"\nendpoints = {{ token = \"/t\" }}\n{said}\n\
                 window = {{ model = \"{model}\", idle_timeout = \"20m\" }}\nping = {{ path = \"/me\" }}\n\
                 example = [{{ to = \"login\", status = 401, verdict = \"refused\" }}]"
            );
            let profile = Profile::parse(&text, "x.toml", "x").unwrap();
            let body = json!({"access_token": token}).to_string();
            let response = Response::new(200, Vec::new(), body.as_bytes(), true);
            let configured = Url::parse("https://acme.example").unwrap();
            let grant = grant(&profile, &configured, &response, Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!(
                grant.lifetime.map(|life| life.as_secs()),
                expected,
                "{model} {said}"
            );
            assert_eq!(grant.fixed, expected.is_some());
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
                (json!(-12), 7200),
            ] {
                let body = json!({"access_token": token, "expires_in": expires_in}).to_string();
                let grant = read(&date, &body).unwrap();
                assert_eq!(
                    grant.lifetime.map(|life| life.as_secs()),
                    Some(expected),
                    "{expires_in} {iat}"
                );
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
            assert!(
                !read(&date, &json!({"access_token": opaque}).to_string())
                    .unwrap()
                    .fixed
            );
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
        assert_eq!(
            grant.token.instance_url.as_deref(),
            Some("https://eu7.salesforce.com")
        );
        assert_eq!(grant.token.issued_at.as_millisecond(), 1_700_000_000_123);
        assert_eq!(grant.refresh_token.unwrap().expose(), "5Aep");
        let captures: Vec<(&str, bool)> = grant
            .token
            .captures
            .iter()
            .map(|(name, capture)| (name, capture.public))
            .collect();
        assert_eq!(
            captures,
            [("id", true), ("scope", true), ("signature", false)]
        );
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
            prop_assert!(
                grant
                    .token
                    .instance_url
                    .is_none_or(|url| url.starts_with("https://"))
            );
        }
        Ok(())
    }

    pub(super) fn jwt(claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(claims))
    }

    fn read(headers: &[(&str, &str)], body: &str) -> Result<Grant, OddAnswer> {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        taken(&Response::new(200, headers, body.as_bytes(), true))
    }

    fn taken(response: &Response) -> Result<Grant, OddAnswer> {
        let profile = Profile::named("salesforce", None).unwrap();
        let configured = Url::parse("https://acme.my.salesforce.com").unwrap();
        grant(&profile, &configured, response, Timestamp::UNIX_EPOCH)
    }
}
