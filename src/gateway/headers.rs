//! What of a request's head goes on to the server, and what of an answer's head goes back to the job.

use axum::http::header::{
    AUTHORIZATION, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, SET_COOKIE,
};
use url::Url;

use super::admission::is_hop_by_hop;
use crate::secret::Secret;
use crate::token::Published;

/// Ours, on requests and answers alike.
const OWN: &str = "keepfresh-";

/// The head that goes on: without what is for this connection alone and without what the job says about itself in our place;
/// then with the token, last, so that nothing of the job's takes it away. None where the token cannot be sent.
pub(super) fn onward(of_job: &HeaderMap, published: &Published) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(of_job.len() + published.headers.len());
    for (name, value) in of_job {
        let is_ours =
            matches!(*name, HOST | EXPECT | AUTHORIZATION) || name.as_str().starts_with(OWN);
        if !is_ours && !is_hop_by_hop(name, of_job) {
            headers.append(name, value.clone());
        }
    }
    for (name, value) in &published.headers {
        let name = HeaderName::try_from(name.as_str()).ok()?;
        let mut value = HeaderValue::try_from(value.expose()).ok()?;
        value.set_sensitive(true);
        if name == COOKIE {
            value = joined(headers.get_all(COOKIE).iter(), &value)?;
        }
        headers.insert(name, value);
    }
    Some(headers)
}

/// The job's own cookies, but for those of the session's names, and the session's behind them.
fn joined<'v>(
    of_job: impl Iterator<Item = &'v HeaderValue>,
    ours: &HeaderValue,
) -> Option<HeaderValue> {
    let text = ours.to_str().ok()?;
    let names: Vec<&str> = pairs(text).map(|(name, _)| name).collect();
    let kept = of_job
        .filter_map(|line| line.to_str().ok())
        .flat_map(pairs)
        .filter(|(name, _)| !names.contains(name))
        .map(|(_, pair)| pair);
    let all: Vec<&str> = kept.chain([text]).collect();
    let mut value = HeaderValue::try_from(all.join("; ")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The cookies of a line, each with its name.
fn pairs(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split(';')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| (pair.split('=').next().unwrap_or_default().trim(), pair))
}

/// What is known of the request when its answer's head goes back.
pub(super) struct Way<'w> {
    /// What the job asks, by `Host`: `crm`, `127.0.0.1:8701`.
    pub(super) host: &'w str,
    /// The session's base.
    pub(super) base: &'w Url,
    /// Secrets that no answer may carry to the job.
    pub(super) secrets: &'w [&'w Secret],
    /// Names of cookies that are the session's own.
    pub(super) cookies: &'w [&'w str],
}

/// Names of the cookies that carry the token.
pub(super) fn session_cookies(published: &Published) -> Vec<&str> {
    let ours = published
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    ours.flat_map(|(_, value)| pairs(value.expose()))
        .map(|(name, _)| name)
        .collect()
}

/// The head that goes back: without what is for one connection, without the session's cookies, without any line that holds
/// something secret, and with a `Location` of the session's own server as the job can ask for it.
pub(super) fn homeward(of_server: &HeaderMap, way: &Way<'_>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(of_server.len());
    for (name, value) in of_server {
        let renews = *name == SET_COOKIE && sets_one_of(value, way.cookies);
        if is_hop_by_hop(name, of_server)
            || renews
            || name.as_str().starts_with(OWN)
            || shows(value, way.secrets)
        {
            continue;
        }
        let value = if *name == LOCATION {
            led_back(value, way).unwrap_or_else(|| value.clone())
        } else {
            value.clone()
        };
        headers.append(name, value);
    }
    headers
}

fn sets_one_of(line: &HeaderValue, names: &[&str]) -> bool {
    let Ok(line) = line.to_str() else {
        return false;
    };
    let set = line.split(['=', ';']).next().unwrap_or_default().trim();
    names.contains(&set)
}

/// Whether a value holds a secret, as it is or percent-encoded.
fn shows(value: &HeaderValue, secrets: &[&Secret]) -> bool {
    let text = String::from_utf8_lossy(value.as_bytes());
    let plain = percent_encoding::percent_decode_str(&text).decode_utf8_lossy();
    let held = |secret: &&Secret| {
        let secret = secret.expose();
        secret.len() >= SHORTEST && (text.contains(secret) || plain.contains(secret))
    };
    secrets.iter().any(held)
}

/// What is shorter is no token, and could be part of anything.
const SHORTEST: usize = 8;

fn led_back(value: &HeaderValue, way: &Way<'_>) -> Option<HeaderValue> {
    let url = Url::parse(value.to_str().ok()?).ok()?;
    if url.origin() != way.base.origin() {
        return None;
    }
    let below = way.base.path().trim_end_matches('/');
    let path = url
        .path()
        .strip_prefix(below)
        .filter(|path| path.starts_with('/'))?;
    let query = url
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let fragment = url
        .fragment()
        .map(|part| format!("#{part}"))
        .unwrap_or_default();
    HeaderValue::try_from(format!("http://{}{path}{query}{fragment}", way.host)).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::named::Named;
    use crate::token::Token;

    #[test]
    fn the_token_is_added_last_and_nothing_of_the_job_takes_its_place() {
        let job = [
            ("host", "crm"),
            ("authorization", "Bearer none"),
            ("connection", "close, x-sid, x-own"),
            ("x-own", "1"),
            ("x-sid", "mine"),
            ("expect", "100-continue"),
            ("keepfresh-error", "x"),
            ("accept", "a"),
            ("accept", "b"),
        ];
        let seen = onward(
            &lines(&job),
            &published(&[("Authorization", "Bearer t0ken"), ("X-SID", "t0ken")]),
        );
        let expected = [
            ("accept", "a"),
            ("accept", "b"),
            ("authorization", "Bearer t0ken"),
            ("x-sid", "t0ken"),
        ];
        assert_eq!(seen.unwrap(), lines(&expected));
    }

    #[test]
    fn the_sessions_cookies_replace_the_jobs_of_the_same_names() {
        let job = lines(&[("cookie", "theme=dark; sid=mine"), ("cookie", "lang=en")]);
        let seen = onward(&job, &published(&[("Cookie", "sid=t0ken; csrf=c")])).unwrap();
        assert_eq!(
            seen.get_all(COOKIE).iter().collect::<Vec<_>>(),
            ["theme=dark; lang=en; sid=t0ken; csrf=c"]
        );
    }

    #[test]
    fn no_line_of_an_answer_brings_the_job_a_secret_or_a_cookie_of_the_session() {
        let server = [
            ("content-type", "text/plain"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("set-cookie", "sid=n3w; Path=/"),
            ("set-cookie", "theme=dark"),
            ("x-echo", "Bearer 00D!t0ken"),
            ("x-encoded", "sid=00D%21t0ken"),
            ("keepfresh-error", "x"),
            ("location", "https://crm.example/base/next?a=1#b"),
        ];
        let seen = homeward(&lines(&server), &way("https://crm.example/base/"));
        let expected = [
            ("content-type", "text/plain"),
            ("set-cookie", "theme=dark"),
            ("location", "http://crm/next?a=1#b"),
        ];
        assert_eq!(seen, lines(&expected));
    }

    #[test]
    fn a_location_elsewhere_goes_back_as_it_is() {
        for location in [
            "/relative",
            "next",
            "https://other.example/base/next",
            "https://crm.example:8443/base/next",
            "https://crm.example/outside",
            "https://crm.example/basement",
        ] {
            let seen = homeward(
                &lines(&[("location", location)]),
                &way("https://crm.example/base"),
            );
            assert_eq!(seen[LOCATION], location);
        }
    }

    fn way(base: &str) -> Way<'static> {
        let secret: &'static Secret = Box::leak(Box::new(Secret::new("00D!t0ken")));
        Way {
            host: "crm",
            base: Box::leak(Box::new(Url::parse(base).unwrap())),
            secrets: vec![secret].leak(),
            cookies: &["sid"],
        }
    }

    fn lines(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .fold(
                HeaderMap::new(),
                |mut headers, (name, value): (HeaderName, HeaderValue)| {
                    headers.append(name, value);
                    headers
                },
            )
    }

    fn published(headers: &[(&str, &str)]) -> Published {
        Published {
            session: "crm".into(),
            generation: 1,
            token: Arc::new(Token {
                access_token: Secret::new("t0ken"),
                token_type: "Bearer".into(),
                instance_url: None,
                captures: Named::default(),
                issued_at: Timestamp::UNIX_EPOCH,
                expires_at: None,
            }),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)))
                .collect(),
            base: "https://crm.example".to_owned(),
        }
    }
}
