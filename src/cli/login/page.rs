//! What the browser shows in the end: one small page that needs nothing else and says nothing secret.

use aws_lc_rs::digest;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1d2129;--paper:#f5f6f8;--card:#fff;--line:#dde1e7;--mark:#1a7f4b;--dim:#5b6472}\
@media(prefers-color-scheme:dark){:root{--ink:#e8eaee;--paper:#14171c;--card:#1d2128;--line:#343a45;--mark:#4cc38a;--dim:#9aa3b2}}\
.failed{--mark:#c4372b}\
@media(prefers-color-scheme:dark){.failed{--mark:#ff8577}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--paper);color:var(--ink);\
font:1.0625rem/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',sans-serif}\
main{max-width:30rem;width:100%;padding:2.25rem 2.5rem;background:var(--card);border:1px solid var(--line);\
border-top:4px solid var(--mark);border-radius:.6rem}\
h1{margin:0 0 .6rem;font-size:1.45rem;line-height:1.3;font-weight:650;overflow-wrap:anywhere}\
h1 span{color:var(--mark);margin-right:.5rem}\
p{margin:.6rem 0;overflow-wrap:anywhere}\
code{font:.95em ui-monospace,'Cascadia Mono',Menlo,Consolas,monospace}\
.end{margin-top:1.4rem;color:var(--dim)}\
footer{margin-top:1.6rem;padding-top:1rem;border-top:1px solid var(--line);color:var(--dim);font-size:.875rem}";

/// What the page tells.
pub(super) enum Page<'a> {
    /// The session has its token.
    LoggedIn {
        session: &'a str,
        who: Option<&'a str>,
        url: &'a str,
    },
    /// It has not, and this is why.
    Failed { session: &'a str, reason: &'a str },
    /// The browser is another user's than the one's who began.
    Stranger,
    /// Another page than those that a login needs.
    NotFound,
}

impl Page<'_> {
    /// The whole answer.
    pub(super) fn answer(&self) -> Response<Body> {
        let status = match self {
            Self::LoggedIn { .. } => StatusCode::OK,
            Self::Failed { .. } => StatusCode::BAD_REQUEST,
            Self::Stranger => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
        };
        let style = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()).as_ref());
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let headers = [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CACHE_CONTROL, "no-store"),
            (CONTENT_SECURITY_POLICY, policy.as_str()),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (status, headers, self.html()).into_response()
    }

    fn html(&self) -> String {
        let (class, mark, title, text) = match self {
            Self::LoggedIn { session, who, url } => (
                "good",
                "\u{2713}",
                format!("Logged in to {}", escaped(session)),
                format!(
                    "<p>{} at <code>{}</code>.</p><p>keepfresh has the session and keeps it alive from here.</p>",
                    who.map_or_else(
                        || "The server does not tell who logged in".to_owned(),
                        |who| format!("You are <b>{}</b>", escaped(who))
                    ),
                    escaped(url)
                ),
            ),
            Self::Failed { session, reason } => (
                "failed",
                "\u{2717}",
                format!("Not logged in to {}", escaped(session)),
                format!(
                    "<p>{}</p><p>Look at the terminal, or begin again: <code>keepfresh login {}</code></p>",
                    escaped(&sentence(reason)),
                    escaped(session)
                ),
            ),
            Self::Stranger => (
                "failed",
                "\u{2717}",
                "This browser is another user's".to_owned(),
                "<p>Another user of this machine began the login. If that was you, go on in that terminal: \
                 it shows the address to open, and you can paste the address of this page there.</p>"
                    .to_owned(),
            ),
            Self::NotFound => {
                ("failed", "\u{2717}", "There is nothing here".to_owned(), "<p>Look at the terminal.</p>".to_owned())
            }
        };
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
             <style>{STYLE}</style></head><body class=\"{class}\"><main><h1><span aria-hidden=\"true\">{mark}</span>{title}</h1>\
             {text}<p class=\"end\">You may close this window.</p><footer>keepfresh on this machine</footer></main></body></html>\n"
        )
    }
}

/// Sends the browser to the address that it must open.
pub(super) fn redirect(url: &str) -> Response<Body> {
    // Whatever an address may hold, a header ends at its line.
    let url: String = url.chars().filter(|char| !char.is_control()).collect();
    let headers = [
        (LOCATION, url.as_str()),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (StatusCode::FOUND, headers).into_response()
}

/// An error's fragment as people expect a sentence.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars
        .next()
        .map(|char| char.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

fn escaped(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut escaped, char| {
            match char {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                '\'' => escaped.push_str("&#39;"),
                char => escaped.push(char),
            }
            escaped
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_server_says_stays_text() {
        let answer = Page::Failed {
            session: "crm",
            reason: "<script>alert('x')</script> & \"more\"",
        }
        .html();
        assert!(
            answer.contains(
                "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;more&quot;."
            ),
            "{answer}"
        );
        assert!(!answer.contains("<script"));
    }

    #[test]
    fn a_page_is_kept_by_nobody_and_loads_nothing() {
        let failed = Page::Failed {
            session: "crm",
            reason: "no",
        };
        for page in [
            Page::LoggedIn {
                session: "crm",
                who: Some("alice"),
                url: "https://id.example",
            },
            failed,
            Page::Stranger,
            Page::NotFound,
        ] {
            let head = format!("{:?}", page.answer().headers());
            let body = page.html();
            // Where the person is logged in is text, not a link.
            let body = body.replace("https://id.example", "");
            for header in [
                "\"cache-control\": \"no-store\"",
                "default-src 'none'",
                "frame-ancestors 'none'",
                "no-referrer",
            ] {
                assert!(head.contains(header), "{header}: {head}");
            }
            for way_out in [
                "http:", "https:", "src=", "url(", "@import", "<script", "<link",
            ] {
                assert!(!body.contains(way_out), "{way_out}");
            }
        }
    }

    #[test]
    fn an_address_cannot_add_headers() {
        let headers = redirect("https://id/\r\nset-cookie: x").headers().clone();
        assert_eq!(headers[LOCATION], "https://id/set-cookie: x");
        assert!(!headers.contains_key("set-cookie"));
    }
}
