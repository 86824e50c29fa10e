//! Why a server gave no answer, and what that means for the call.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use thiserror::Error;

use super::remedy;
use crate::provider::classify::unusable;
use crate::provider::clients::{ClientError, is_certificate_refusal, tls_error};
use crate::provider::discovery::DiscoveryError;
use crate::provider::outgoing::OutgoingError;
use crate::provider::proxy::ProxyUrl;
use crate::session::answer::{Refused, Request, Verdict};

/// Why no answer came.
#[derive(Debug, Error)]
pub(super) enum NoAnswer {
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
    #[error("cannot make the HTTP client")]
    Client(#[source] ClientError),
    #[error("a header cannot be sent: it has control characters")]
    BadHeader,
    #[error("the server did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("the call to the server failed")]
    Transport(#[source] reqwest::Error),
    #[error("cannot connect to {0}")]
    Unconnected(String, #[source] reqwest::Error),
    #[error("the call to {0} failed")]
    Broken(String, #[source] reqwest::Error),
    #[error("{0} did not answer within {1:?}")]
    Silent(String, Duration),
    #[error("the proxy {0} {1}")]
    Proxy(ProxyUrl, String),
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
}

impl NoAnswer {
    /// This error, with the host that did not answer: a session may have several.
    pub(super) fn of_host(self, host: String) -> Self {
        match self {
            Self::Transport(error) if error.is_connect() => Self::Unconnected(host, error),
            Self::Transport(error) => Self::Broken(host, error),
            Self::TimedOut(limit) => Self::Silent(host, limit),
            other @ (Self::Outgoing(_)
            | Self::Client(_)
            | Self::BadHeader
            | Self::Unconnected(..)
            | Self::Broken(..)
            | Self::Silent(..)
            | Self::Proxy(..)
            | Self::Discovery(_)) => other,
        }
    }

    /// Whether the server may have seen the request.
    pub(super) fn reached(&self) -> bool {
        match self {
            Self::Outgoing(_)
            | Self::Client(_)
            | Self::BadHeader
            | Self::Unconnected(..)
            | Self::Proxy(..)
            | Self::Discovery(_) => false,
            Self::TimedOut(_) | Self::Silent(..) => true,
            Self::Transport(error) | Self::Broken(_, error) => {
                !(error.is_connect() || error.is_builder() || is_certificate_refusal(error))
            }
        }
    }

    pub(super) fn verdict(&self, request: Request) -> Verdict {
        let is_login = matches!(request, Request::Login | Request::Renew);
        match self {
            Self::Outgoing(error) if error.needs_a_person() && is_login => Verdict::Refused {
                confirm: false,
                what: Refused::Request,
            },
            Self::Outgoing(error) if error.needs_a_person() => Verdict::Forbidden { certain: true },
            // Nothing secret was sent to its author.
            Self::Discovery(DiscoveryError::Wrong { .. }) if is_login => Verdict::Refused {
                confirm: true,
                what: Refused::Request,
            },
            Self::Discovery(DiscoveryError::Wrong { .. }) => Verdict::Forbidden { certain: true },
            _ if self.reached() => unusable(request),
            Self::Outgoing(_)
            | Self::Client(_)
            | Self::BadHeader
            | Self::TimedOut(_)
            | Self::Transport(_)
            | Self::Unconnected(..)
            | Self::Broken(..)
            | Self::Silent(..)
            | Self::Proxy(..)
            | Self::Discovery(_) => Verdict::Unavailable,
        }
    }

    /// What happened, and its causes; of the HTTP library's own layers only the innermost says anything.
    pub(super) fn sentence(&self) -> String {
        let causes = std::iter::successors(self.source(), |error| (*error).source());
        let causes: Vec<String> = match self {
            Self::Transport(error) | Self::Unconnected(_, error) | Self::Broken(_, error) => {
                let innermost = causes.last().map(ToString::to_string);
                // So rustls calls what our own verifier says.
                let innermost = innermost
                    .map(|cause| cause.trim_start_matches("unexpected error: ").to_owned());
                let innermost = if is_about_a_name(error) {
                    innermost.map(|cause| unknown_name(&cause))
                } else {
                    innermost
                };
                tls_failure(error).or(innermost).into_iter().collect()
            }
            Self::Outgoing(_)
            | Self::Client(_)
            | Self::BadHeader
            | Self::TimedOut(_)
            | Self::Silent(..)
            | Self::Proxy(..)
            | Self::Discovery(_) => causes.map(ToString::to_string).collect(),
        };
        std::iter::once(self.to_string())
            .chain(causes)
            .collect::<Vec<_>>()
            .join(": ")
    }

    /// What to do about it; none where the sentence says so itself, or the config's own check does.
    pub(super) fn remedy(&self) -> Option<String> {
        match self {
            Self::Unconnected(host, error) => unconnected(host, error),
            Self::Transport(error) | Self::Broken(_, error) => {
                (!explains_itself(error)).then(|| remedy::NO_PROPER_ANSWER.to_owned())
            }
            Self::TimedOut(_) | Self::Silent(..) => Some(remedy::SILENT.to_owned()),
            Self::Proxy(..) => Some(remedy::PROXY.to_owned()),
            Self::Discovery(DiscoveryError::Unavailable { remedy, .. }) => remedy.clone(),
            Self::Outgoing(_) | Self::Client(_) | Self::BadHeader | Self::Discovery(_) => None,
        }
    }
}

fn unconnected(host: &str, error: &reqwest::Error) -> Option<String> {
    if explains_itself(error) {
        return None;
    }
    let kind = cause::<io::Error>(error).map(io::Error::kind);
    let remedy = match kind {
        _ if is_about_a_name(error) => return Some(remedy::of_name(name_of(host))),
        _ if error.is_timeout() => remedy::DROPPED,
        Some(ErrorKind::ConnectionRefused) => remedy::REFUSED,
        Some(kind) if is_without_route(kind) => remedy::NO_ROUTE,
        _ if tls_error(error).is_some() => remedy::TLS,
        Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => remedy::TLS,
        Some(_) | None => remedy::UNCONNECTED,
    };
    Some(remedy.to_owned())
}

/// The remedy follows a semicolon in what our verifier and [`tls_failure`] say.
fn explains_itself(error: &reqwest::Error) -> bool {
    tls_error(error).is_some_and(|error| error.to_string().contains("; "))
        || tls_failure(error).is_some()
}

/// The host without its port.
fn name_of(authority: &str) -> &str {
    authority
        .rsplit_once(':')
        .map_or(authority, |(name, _)| name)
}

/// The library's error of a resolver has no name outside of it, so its words are all there is.
fn is_about_a_name(error: &reqwest::Error) -> bool {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    causes
        .map(ToString::to_string)
        .any(|words| words == "dns error")
}

/// The system's resolver begins all that it says with the same words.
fn unknown_name(cause: &str) -> String {
    match cause.strip_prefix("failed to lookup address information: ") {
        Some(why) => format!("its name is not found ({why})"),
        None => cause.to_owned(),
    }
}

/// Whether the system knows no way to the address.
pub(super) fn is_without_route(kind: ErrorKind) -> bool {
    let unreachable = [
        ErrorKind::NetworkUnreachable,
        ErrorKind::HostUnreachable,
        ErrorKind::NetworkDown,
    ];
    unreachable.contains(&kind)
}

/// The outermost cause of this type.
pub(super) fn cause<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    std::iter::successors(Some(error), |error| (*error).source())
        .find_map(|error| error.downcast_ref())
}

/// What the TLS library says in words of its own where the config is to be corrected; the remedy follows the semicolon.
pub(super) fn tls_failure(error: &reqwest::Error) -> Option<String> {
    let failure = tls_error(error)?;
    if is_certificate_refusal(error) {
        return Some(format!(
            "the server refuses our certificate, or wants one ({failure}); set client_cert and client_key in the session's [http] table to what the server expects"
        ));
    }
    let is_no_tls = matches!(
        failure,
        rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. }
    );
    is_no_tls.then(|| {
        "what listens there does not speak TLS; see whether host and port in the config are those of an https server"
            .to_owned()
    })
}
