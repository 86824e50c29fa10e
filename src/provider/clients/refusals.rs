//! What a proxy answered when it did not lead to a server: the HTTP library keeps that to itself.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;
use zeroize::Zeroizing;

use crate::clock;
use crate::provider::proxy::ProxyUrl;
use crate::time::Instant;

/// A proxy is asked once for its reason, not once for each call that fails.
const REMEMBERED: Duration = Duration::from_mins(10);
/// A status line is at the very beginning.
const LONGEST_HEAD: u64 = 1024;
/// What a person is told is worth no longer wait.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// Through which proxy, and where it was to lead.
type Way = (ProxyUrl, String);

/// The statuses with which proxies refused, by proxy and where it was to lead.
#[derive(Default)]
pub(super) struct Refusals {
    known: Mutex<HashMap<Way, (Instant, Option<u16>)>>,
}

/// What went wrong between us and a proxy, in the library's words.
///
/// Its type has no name outside of the library, so its words are all there is.
fn tunnel_error(error: &(dyn Error + 'static)) -> Option<String> {
    let mut chain = std::iter::successors(Some(error), |error| (*error).source());
    chain.find_map(|error| {
        error
            .to_string()
            .strip_prefix("tunnel error: ")
            .map(str::to_owned)
    })
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| (*error).source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

impl Refusals {
    /// What `proxy` did instead of leading to `url`; none where it did lead there, and the server is to blame.
    pub(super) async fn told(
        &self,
        proxy: &ProxyUrl,
        url: &Url,
        error: &reqwest::Error,
    ) -> Option<String> {
        let Some(what) = tunnel_error(error) else {
            return (url.scheme() == "http")
                .then(|| format!("cannot be reached: {}", innermost(error)));
        };
        Some(match what.as_str() {
            "proxy authorization required" if proxy.has_credentials() => {
                "refused the connection with 407: the user name or password in its variable is wrong".to_owned()
            }
            "proxy authorization required" => {
                "refused the connection with 407: it wants a user name and a password, as in HTTPS_PROXY=http://user:password@host:port".to_owned()
            }
            "unsuccessful" => match self.status(proxy, url).await {
                Some(status) if status != 200 => format!("refused the connection with {status}"),
                Some(_) | None => "refused the connection".to_owned(),
            },
            "unexpected end of file" => "closed the connection".to_owned(),
            _ => format!("cannot be reached: {}", innermost(error)),
        })
    }

    /// With which status the proxy refuses to lead to `url`, asked again if that was long ago.
    async fn status(&self, proxy: &ProxyUrl, url: &Url) -> Option<u16> {
        let target = format!("{}:{}", url.host_str()?, url.port_or_known_default()?);
        let key = (proxy.clone(), target);
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .copied();
        let now = clock::boottime();
        if let Some((_, status)) = known.filter(|(at, _)| now.since(*at) < REMEMBERED) {
            return status;
        }
        let status = tokio::time::timeout(LONGEST_LOOK, ask(proxy.url(), &key.1))
            .await
            .ok()
            .flatten();
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, (now, status));
        status
    }
}

/// The status of a proxy's answer to CONNECT (RFC 9110 section 9.3.6); one that speaks TLS is not asked.
async fn ask(proxy: &Url, target: &str) -> Option<u16> {
    if proxy.scheme() != "http" {
        return None;
    }
    let host = proxy
        .host_str()?
        .trim_start_matches('[')
        .trim_end_matches(']');
    let mut stream = TcpStream::connect((host, proxy.port_or_known_default()?))
        .await
        .ok()?;
    let request = Zeroizing::new(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{}\r\n",
        authorization(proxy).as_deref().map_or("", String::as_str)
    ));
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut head = Vec::new();
    let mut reader = stream.take(LONGEST_HEAD);
    while !head.contains(&b'\n') && reader.read_buf(&mut head).await.ok()? > 0 {}
    String::from_utf8_lossy(&head)
        .split_ascii_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

fn authorization(proxy: &Url) -> Option<Zeroizing<String>> {
    if proxy.username().is_empty() && proxy.password().is_none() {
        return None;
    }
    let decoded = |text: &str| Zeroizing::new(percent_decode_str(text).collect::<Vec<u8>>());
    let (user, password) = (
        decoded(proxy.username()),
        decoded(proxy.password().unwrap_or_default()),
    );
    let pair = Zeroizing::new([&user[..], b":", &password[..]].concat());
    Some(Zeroizing::new(format!(
        "Proxy-Authorization: Basic {}\r\n",
        STANDARD.encode(&*pair)
    )))
}
