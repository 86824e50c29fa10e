//! What servers, profiles, keys and people's browsers may say, for `crate::fuzz`.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use url::Url;

use super::assertion::{Signer, check};
use super::classify::{Asked, classify, step};
use super::detail::sentence;
use super::discovery::{Endpoint, Metadata};
use super::examples::{captures, misjudged, replay, template as template_of};
use super::person::{BrowserLogin, Expected, Issuer, Once, checked_claims, who};
use super::profile::{Example, Profile, Protocol};
use super::remote::device_login;
use super::response::{Response, moment};
use super::template::Template;
use super::xml::XmlPath;
use crate::secret::Secret;
use crate::session::answer::{Grant, Request, Verdict};
use crate::token::checked_access_token;

static PROFILES: LazyLock<Vec<Arc<Profile>>> = LazyLock::new(|| {
    let names = Profile::names(None);
    names
        .iter()
        .filter_map(|name| Profile::named(name, None).ok())
        .collect()
});

static SERVER: LazyLock<Option<Url>> = LazyLock::new(|| Url::parse("https://example.invalid").ok());

const REQUESTS: [Request; 5] = [
    Request::Ping,
    Request::Login,
    Request::Renew,
    Request::Introspect,
    Request::Logout,
];

const PASSWORD: &str = "hunter2/hunter2";

fn pick<T>(from: &[T], by: u8) -> Option<&T> {
    from.get(usize::from(by).checked_rem(from.len())?)
}

/// A profile, a request, a grant and a status in five bytes; then header lines, an empty line and the body.
pub(crate) fn answer(data: &[u8]) {
    let [which, how, grant, high, low, message @ ..] = data else {
        return;
    };
    let (Some(profile), Some(to)) = (pick(&PROFILES, *which), pick(&REQUESTS, *how)) else {
        return;
    };
    let (Some(grant), Some(url)) = (pick(&profile.grants(), *grant).copied(), SERVER.as_ref())
    else {
        return;
    };
    let status = u16::from_be_bytes([*high, *low]) % 700;
    let (headers, body) = parted(message);
    let grant = grant.to_owned();
    let (verdict, yields) = (String::new(), Vec::new());
    let example = Example {
        line: 0,
        to: *to,
        grant,
        step: None,
        status,
        headers,
        body,
        verdict,
        yields,
    };
    let _ = replay(profile, url, &example);
    judge(profile, url, &example, how % 2 == 0);
}

fn judge(profile: &Profile, url: &Url, example: &Example, complete: bool) {
    let own = profile.protocol == Protocol::Command && example.to == Request::Login;
    let template = if own {
        None
    } else {
        template_of(profile, example).ok().flatten()
    };
    let (request, grant, wall) = (example.to, example.grant.as_str(), Timestamp::UNIX_EPOCH);
    let asked = Asked {
        profile,
        grant,
        url,
        request,
        template,
        token: None,
        wall,
    };
    let response = Response::new(
        example.status,
        example.headers.clone(),
        example.body.as_bytes(),
        complete,
    )
    .answered_by(url);
    let classified = classify(&asked, &response);
    let expected = template.is_some_and(|template| template.statuses.contains(&response.status));
    if response.status >= 500 && !expected {
        let patient = matches!(
            classified.verdict,
            Verdict::Unavailable | Verdict::InDoubt | Verdict::Throttled { .. }
        );
        assert!(
            patient,
            "a server that is down has said {}",
            classified.verdict.word()
        );
    }
    if let Verdict::Good(grant) = &classified.verdict {
        hold_to_its_word(profile, url, grant);
    }
    if let Ok(told) = step(&asked, &captures(profile, example, template), &response)
        && let Ok(grant) = told.grant(None, wall)
    {
        hold_to_its_word(profile, url, &grant);
    }
    let said = sentence(&response, &classified, &[Secret::new(PASSWORD)]);
    let seen: String = said
        .chars()
        .filter(|char| char.is_alphanumeric() || char.is_ascii_graphic())
        .collect();
    assert!(
        !seen.contains(PASSWORD) && !said.chars().any(char::is_control),
        "{said}"
    );
    let _ = (
        response.retry_after(wall),
        response.skew_millis(wall),
        response.cookie("SID"),
        device_login(&response),
    );
    let _ = response.header("date").and_then(moment);
}

fn hold_to_its_word(profile: &Profile, url: &Url, grant: &Grant) {
    assert!(
        checked_access_token(grant.token.access_token.expose()).is_ok(),
        "a token that no request can carry"
    );
    let handed_out = grant.token.instance_url.as_deref();
    assert!(
        handed_out.is_none_or(|handed_out| profile.hosts.accept(handed_out, url).is_ok()),
        "{handed_out:?}"
    );
}

fn parted(message: &[u8]) -> (Vec<(String, String)>, String) {
    let text = String::from_utf8_lossy(message);
    let (head, body) = text.split_once("\n\n").unwrap_or(("", &text));
    let pairs = head.lines().filter_map(|line| line.split_once(": "));
    (
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body.to_owned(),
    )
}

/// A profile's file.
pub(crate) fn profile(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(profile) = Profile::parse(text, "fuzzed.toml", "fuzzed") {
        let _ = misjudged(&profile);
        let _ = profile.describe();
    }
}

/// What a person pastes; `STATE` stands for the login's own.
pub(crate) fn redirect(data: &[u8]) {
    let Some(once) = Once::draw(true) else { return };
    let address = String::from_utf8_lossy(data).replace("STATE", once.state());
    let issuer = Issuer {
        name: "https://login.example".to_owned(),
        always: data.len().is_multiple_of(2),
    };
    let login = BrowserLogin::new(
        String::new(),
        "http://127.0.0.1/callback".to_owned(),
        once,
        Some(issuer),
    );
    match login.code(&address) {
        Ok(code) => assert!(!code.expose().is_empty()),
        Err(problem) => assert!(
            !problem.to_string().chars().any(char::is_control),
            "{problem}"
        ),
    }
}

/// The claims of an ID token; or the whole token, if they are no JSON.
pub(crate) fn identity(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let packed = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(data));
    let expected = Expected {
        issuer: Some("https://login.example"),
        client_id: "app",
        nonce: Some("n"),
        now: 1_000,
    };
    for token in [text.as_ref(), packed.as_str()] {
        if let Ok(claims) = checked_claims(token, &expected) {
            let _ = who(&claims, "alice");
        }
    }
}

/// An address that a server hands out, as every profile judges it.
pub(crate) fn address(data: &[u8]) {
    let (handed_out, Some(configured)) = (String::from_utf8_lossy(data), SERVER.as_ref()) else {
        return;
    };
    for profile in PROFILES.iter() {
        let Ok(accepted) = profile.hosts.accept(&handed_out, configured) else {
            continue;
        };
        let read = Url::parse(&accepted).ok();
        let host = read
            .as_ref()
            .filter(|url| url.scheme() == "https")
            .and_then(Url::host_str)
            .unwrap_or_default();
        assert!(
            Some(host) == configured.host_str() || profile.hosts.is_own(host),
            "{handed_out:?} for {accepted:?}"
        );
        let again = profile.hosts.accept(&accepted, configured);
        assert_eq!(again.as_ref(), Ok(&accepted), "{handed_out:?}");
    }
}

/// What an issuer says of itself.
pub(crate) fn metadata(data: &[u8]) {
    let Ok(serde_json::Value::Object(document)) = serde_json::from_slice(data) else {
        return;
    };
    let (issuer, Some(at)) = ("https://example.invalid", SERVER.as_ref()) else {
        return;
    };
    let Ok(metadata) = Metadata::read(&document, issuer, at) else {
        return;
    };
    for endpoint in Endpoint::ALL {
        for url in [true, false]
            .iter()
            .filter_map(|certified| metadata.endpoint(endpoint, *certified))
        {
            assert_eq!(url.scheme(), "https", "{url}");
        }
    }
}

/// A private key, and the certificate beside it.
pub(crate) fn key(data: &[u8]) {
    let key = Secret::new(String::from_utf8_lossy(data));
    let signer = Signer {
        key: &key,
        passphrase: None,
        key_id: None,
        certificate: Some(&key),
        algorithm: None,
        taken: &[],
    };
    if let Err(error) = check(&signer) {
        assert!(key.expose().len() < 40 || !error.to_string().contains(key.expose()));
    }
}

/// A template or an XML path in the first line, what it is filled from or looked up in after it.
pub(crate) fn template(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (pattern, value) = text.split_once('\n').unwrap_or((&text, ""));
    if let Ok(path) = XmlPath::parse(pattern) {
        let _ = path.find(value);
    }
    let values = BTreeMap::from([("x", value), ("y", "plain")]);
    let lookup = |name: &str| values.get(name).map(|value| Secret::new(*value));
    let Ok(template) = Template::parse(pattern) else {
        return;
    };
    let _ = (
        template.names().count(),
        template.only_name(),
        template.leading_name(),
    );
    let _ = (template.fill(&lookup), template.fill_xml(&lookup));
    let Ok(path) = Template::parse("https://example.invalid/a/{x}/b") else {
        return;
    };
    let Some(url) = path
        .fill_url(&lookup)
        .and_then(|filled| Url::parse(&filled).ok())
    else {
        return;
    };
    assert_eq!(
        (url.host_str(), url.query(), url.fragment()),
        (Some("example.invalid"), None, None),
        "{value:?}"
    );
}
