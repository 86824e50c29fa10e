//! What may be in a header, a cookie and the name of a host: what no server could be sent is refused when the file is
//! read, and not found out by the first call.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;

use super::names::Names;
use super::{Checked, wrong};
use crate::provider::hosts::HostPattern;
use crate::provider::outgoing::{is_cookie_octet, is_header_octet};
use crate::provider::path::PathPrefix;
use crate::provider::profile::raw::Texts;
use crate::provider::template::Template;

/// What the HTTP client says by itself, and a profile could only say wrongly (RFC 9110 sections 7.2, 7.6.1 and 10.1.1,
/// RFC 9112 section 6), and what would bring answers that keepfresh cannot read.
const OURS: [&str; 11] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers to be sent.
pub(super) fn headers(names: &Names, key: &str, texts: &Texts) -> Checked<Vec<(String, Template)>> {
    let mut seen = BTreeSet::new();
    let one = |(name, text): (&String, &Spanned<String>)| {
        let key = format!("{key}.{}", shown(name));
        header_name(&key, &text.span(), name)?;
        let lower = name.to_ascii_lowercase();
        if OURS.contains(&lower.as_str()) {
            let message = format!("{key}: the HTTP client sets this header itself: take it out");
            return Err(wrong(&text.span(), message));
        }
        if !seen.insert(lower) {
            let message = format!("{key}: it is given twice: header names ignore case");
            return Err(wrong(&text.span(), message));
        }
        let template = names.template(&key, text)?;
        let what = "a character that a header cannot carry: take line breaks and controls out";
        literals(&key, &text.span(), &template, is_header_octet, what)?;
        Ok((name.clone(), template))
    };
    texts.iter().map(one).collect()
}

/// A request's path, or its beginning.
pub(super) fn path(key: &str, path: &Spanned<String>) -> Checked<PathPrefix> {
    PathPrefix::parse(path.get_ref()).ok_or_else(|| {
        let message = format!(
            "{key}: no request's path begins so: write it from the first slash, without `?`, dots that climb or \
             encoded slashes"
        );
        wrong(&path.span(), message)
    })
}

/// Cookies to be sent.
pub(super) fn cookies(names: &Names, key: &str, texts: &Texts) -> Checked<Vec<(String, Template)>> {
    let one = |(name, text): (&String, &Spanned<String>)| {
        let key = format!("{key}.{}", shown(name));
        if !is_token(name) {
            return Err(wrong(
                &text.span(),
                format!("{key}: that is no cookie's name (RFC 6265)"),
            ));
        }
        let template = names.template(&key, text)?;
        let what = "a character that ends a cookie: one cookie in each entry, without spaces and semicolons";
        literals(&key, &text.span(), &template, is_cookie_octet, what)?;
        Ok((name.clone(), template))
    };
    texts.iter().map(one).collect()
}

/// The name of a header, sent or looked for.
pub(super) fn header_name(key: &str, at: &Range<usize>, name: &str) -> Checked<()> {
    if is_token(name) {
        return Ok(());
    }
    Err(wrong(
        at,
        format!(
            "{key}: `{}` is no header's name (RFC 9110): letters, digits and `-`",
            shown(name)
        ),
    ))
}

/// `type/subtype`, with parameters only where they are sent.
pub(super) fn media_type(
    key: &str,
    value: &Spanned<String>,
    with_parameters: bool,
) -> Checked<String> {
    let text = value.get_ref();
    let (essence, parameters) = text
        .split_once(';')
        .map_or((text.as_str(), None), |(type_, more)| (type_, Some(more)));
    let named = essence
        .trim_end()
        .split_once('/')
        .is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    let sendable =
        parameters.is_none_or(|more| with_parameters && more.bytes().all(is_header_octet));
    if named && sendable {
        return Ok(text.clone());
    }
    let remedy = if with_parameters {
        "write \"application/json\""
    } else {
        "write \"text/html\", without parameters"
    };
    Err(wrong(
        &value.span(),
        format!("{key}: `{}` is no media type: {remedy}", shown(text)),
    ))
}

/// Hosts to which tokens may go: a pattern that takes in whole top-level domains would let a server send them anywhere.
pub(super) fn own_hosts(hosts: &[Spanned<String>]) -> Checked<Vec<HostPattern>> {
    hosts
        .iter()
        .map(|host| own_host("hosts.own", host))
        .collect()
}

fn own_host(key: &str, host: &Spanned<String>) -> Checked<HostPattern> {
    let pattern = self::host(key, host)?;
    let Some((_, after)) = host.get_ref().rsplit_once('*') else {
        return Ok(pattern);
    };
    let domain = after.strip_prefix('.').unwrap_or_default();
    if domain.split('.').filter(|label| !label.is_empty()).count() >= 2 {
        return Ok(pattern);
    }
    let message = format!(
        "{key}: `{}` matches hosts of other owners, and the token could go there: write \"*.acme.example\"",
        host.get_ref()
    );
    Err(wrong(&host.span(), message))
}

/// Hosts by name, `*` for a part of it.
pub(super) fn hosts(key: &str, hosts: &[Spanned<String>]) -> Checked<Vec<HostPattern>> {
    hosts.iter().map(|host| self::host(key, host)).collect()
}

/// One of them.
pub(super) fn host(key: &str, host: &Spanned<String>) -> Checked<HostPattern> {
    let text = host.get_ref();
    let known =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'*');
    if !text.is_empty() && text.bytes().all(known) && text.split('.').all(|label| !label.is_empty())
    {
        return Ok(HostPattern::new(text));
    }
    let message = format!(
        "{key}: `{}` is no host: write \"api.acme.example\" or \"*.acme.example\"",
        shown(text)
    );
    Err(wrong(&host.span(), message))
}

/// What is between the placeholders; their values are looked at when there are any.
fn literals(
    key: &str,
    at: &Range<usize>,
    text: &Template,
    fits: fn(u8) -> bool,
    what: &str,
) -> Checked<()> {
    if text.literals().all(|literal| literal.bytes().all(fits)) {
        return Ok(());
    }
    Err(wrong(at, format!("{key}: it holds {what}")))
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(known)
}

/// Fit for one line.
fn shown(text: &str) -> String {
    text.escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use crate::provider::profile::Profile;

    /// docs/providers.md teaches by it; each entry spoils one thing of it.
    #[test]
    fn what_no_server_could_be_sent_is_refused_when_the_file_is_read() {
        for (line, expected) in [
            (
                r#"ping.headers = { "X Y" = "1" }"#,
                "`X Y` is no header's name",
            ),
            (
                r#"ping.headers = { "X\r\nEvil" = "1" }"#,
                r"`X\r\nEvil` is no header's name",
            ),
            (r#"ping.headers = { "" = "1" }"#, "`` is no header's name"),
            (
                r#"ping.headers = { X = "1\r\nEvil: 1" }"#,
                "ping.headers.X: it holds a character that a header",
            ),
            (
                r#"ping.headers = { Host = "evil.example" }"#,
                "ping.headers.Host: the HTTP client sets",
            ),
            (
                r#"ping.headers = { content-length = "3" }"#,
                "the HTTP client sets this header itself",
            ),
            (
                r#"ping.headers = { Transfer-Encoding = "chunked" }"#,
                "the HTTP client sets this header itself",
            ),
            (
                r#"ping.headers = { Accept = "a/b", accept = "c/d" }"#,
                "it is given twice",
            ),
            (
                r#"ping.cookies = { "a;b" = "1" }"#,
                "that is no cookie's name",
            ),
            (
                r#"ping.cookies = { a = "1; b=2" }"#,
                "ping.cookies.a: it holds a character that ends a cookie",
            ),
            (
                r#"ping.content_type = "a\r\nb""#,
                r"ping.content_type: `a\r\nb` is no media type",
            ),
            (r#"ping.content_type = """#, "`` is no media type"),
            ("ping.status = []", "ping.status: it is empty"),
            (
                r#"ping.capture.x = { header = "X Y" }"#,
                "`X Y` is no header's name",
            ),
            (
                r#"use.headers = { "X Y" = "{token}" }"#,
                "use.headers.X Y: `X Y` is no header's name",
            ),
            (
                r#"use.unsafe.headers = { X = "\n" }"#,
                "use.unsafe.headers.X: it holds",
            ),
            (
                r#"use.cookies = { "a b" = "{token}" }"#,
                "that is no cookie's name",
            ),
            (r#"hosts.own = ["*"]"#, "matches hosts of other owners"),
            (r#"hosts.own = ["*.com"]"#, "matches hosts of other owners"),
            (
                r#"hosts.own = ["*acme.example"]"#,
                "matches hosts of other owners",
            ),
            (r#"hosts.own = ["a*"]"#, "matches hosts of other owners"),
            (r#"hosts.own = [""]"#, "hosts.own: `` is no host"),
            (r#"hosts.own = ["https://a.example"]"#, "is no host"),
            (
                r#"hosts.not_api = ["a b"]"#,
                "hosts.not_api: `a b` is no host",
            ),
            (
                r#"parameters.v = { one_of = [], about = "v" }"#,
                "parameters.v.one_of: it is empty",
            ),
            (
                r#"parameters.v = { one_of = ["a"], default = "b", about = "v" }"#,
                "`b` is not one of them: a",
            ),
            (
                r#"parameters.v = { pattern = "^a$", default = "b", about = "v" }"#,
                "`b` does not match the pattern",
            ),
            (
                r#"answer = [{ to = [], status = [401], verdict = "dead" }]"#,
                "answer.to: it is empty",
            ),
            (
                r#"answer = [{ status = [], verdict = "dead" }]"#,
                "answer.status: it is empty",
            ),
            (
                r#"answer = [{ grants = [], verdict = "dead" }]"#,
                "answer.grants: it is empty",
            ),
            (
                r#"answer = [{ json = { "/a" = { in = [] } }, verdict = "dead" }]"#,
                "it is empty",
            ),
            (
                r#"answer = [{ json = { "/a" = { lacks = [1] } }, verdict = "dead" }]"#,
                "write a value",
            ),
            (
                r#"answer = [{ text = { contains = "" }, verdict = "dead" }]"#,
                "it is empty",
            ),
            (
                r#"answer = [{ headers = { "X Y" = "1" }, verdict = "dead" }]"#,
                "`X Y` is no header's name",
            ),
            (
                r#"answer = [{ content_type = "text/html; a=b", verdict = "dead" }]"#,
                "is no media type",
            ),
            (
                r#"quota = [{ name = "q", header = "", regex = "(?<used>1)(?<limit>2)" }]"#,
                "`` is no header's name",
            ),
        ] {
            let text = format!("{line}\n{GOOD}");
            let error = Profile::parse(&text, "acme.toml", "acme")
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("acme.toml:1: ") && error.contains(expected),
                "{line}: {error}"
            );
        }
    }

    #[test]
    fn what_servers_do_want_is_taken() {
        for line in [
            r#"ping.headers = { "!X" = "1" }"#.to_owned(),
            r#"ping.headers = { X_Y = "grün, \"quoted\"; a=b", Content-Type = "text/x" }"#.to_owned(),
            r#"ping.cookies = { "a.b" = "{token},x" }"#.to_owned(),
            r#"ping.content_type = "application/vnd.acme+json; charset=utf-8""#.to_owned(),
            r#"hosts.own = ["*.acme.example", "*--*.my.acme.example", "api.acme.example", "intranet"]"#.to_owned(),
            r#"answer = [{ content_type = "Text/HTML", to = ["ping"], verdict = "dead" }]"#.to_owned(),
        ] {
            let text = format!("{line}\n{GOOD}");
            Profile::parse(&text, "acme.toml", "acme").map_err(|error| error.to_string()).unwrap();
        }
    }

    const GOOD: &str = r#"
name = "acme"
title = "Acme"
protocol = "http"
parameters.password = { secret = true, about = "p" }
window = { model = "sliding", idle_timeout = "20m" }
login = { path = "/login", form = { p = "{password}" }, capture = { token = { json = "/t" } } }
ping.path = "/ping"
example = [{ to = "login", status = 401, verdict = "refused" }]
"#;
}
