//! A person's login: what the daemon keeps while it is under way, and what it believes of what comes back.

mod claims;
mod config;
mod redirect;

use std::time::Duration;

use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

use crate::blotted::Blotted;
use crate::secret::Secret;
use crate::session::answer::Answer;

pub(super) use claims::{Expected, WhoIsIt, checked as checked_claims, named, subject, who};
pub use redirect::RedirectProblem;

/// A login in a browser, begun: only its [`BrowserLogin::url`] and where it ends may be seen.
#[derive(Debug)]
pub struct BrowserLogin {
    /// What the person opens.
    pub url: String,
    /// Where the browser is sent afterwards, the port filled in.
    pub redirect_uri: String,
    /// The host of `url`, where it is a stranger's.
    pub foreign_host: Option<String>,
    once: Once,
    /// The only issuer whose answer counts (RFC 9207), where it is known.
    issuer: Option<Issuer>,
}

/// Who must have sent the browser back.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) name: String,
    /// It says so with every answer; one that does not is another's.
    pub(super) always: bool,
}

/// What makes a login this one and no other.
#[derive(Debug)]
pub(super) struct Once {
    state: Secret,
    verifier: Secret,
    /// Only where `openid` is asked for.
    nonce: Option<Secret>,
}

/// A login on any device, begun.
#[derive(Debug)]
pub struct DeviceLogin {
    /// What the person types in.
    pub user_code: Blotted,
    /// Where: in ASCII, a host of other letters in Punycode.
    pub verification_uri: String,
    /// Its host, where it is a stranger's.
    pub foreign_host: Option<String>,
    /// The address with the code in it, for a QR code.
    pub verification_uri_complete: Option<String>,
    /// How long the code is good.
    pub expires_in: Duration,
    /// How long to wait between two polls.
    pub interval: Duration,
    device_code: Secret,
}

/// What a person's login brought.
#[derive(Debug)]
pub struct PersonGrant {
    /// The token.
    pub answer: Answer,
    /// Who logged in, where the server tells.
    pub who: Option<Blotted>,
}

/// Why a person's login cannot go on; fits after "the login failed: ", and names the remedy where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PersonError {
    /// The server said no, or nothing usable.
    #[error("{0}")]
    Server(Blotted),
    /// Chance or a needed endpoint is missing.
    #[error("{0}")]
    Impossible(String),
    /// What came back is about another login, client or issuer.
    #[error("the answer cannot be trusted: {0}")]
    Untrusted(String),
    /// Another user logged in.
    #[error(
        "{found} logged in, but `username` is {expected}: log out at the server, or use a private window, and begin again"
    )]
    WrongUser {
        /// Who.
        found: Blotted,
        /// Who should have.
        expected: String,
    },
    /// The server itself doubts the only name that is the configured one.
    #[error(
        "only the e-mail address of the user who logged in is {expected}, and the server has not verified it: {remedy}, then begin again"
    )]
    UnverifiedUser {
        /// Who should have.
        expected: String,
        /// What to change, and where.
        remedy: Blotted,
    },
    /// The server does not tell who logged in.
    #[error(
        "the server does not tell who logged in, so `username` ({expected}) cannot be compared: {remedy}, then begin again"
    )]
    UnknownUser {
        /// Who should have.
        expected: String,
        /// What to change in the config.
        remedy: String,
    },
}

impl Once {
    /// Drawn anew for each login; none when the system has no chance to give.
    pub(super) fn draw(openid: bool) -> Option<Self> {
        let nonce = if openid { Some(random()?) } else { None };
        Some(Self {
            state: random()?,
            verifier: random()?,
            nonce,
        })
    }

    pub(super) fn state(&self) -> &str {
        self.state.expose()
    }

    /// All of it: a server may repeat what it was sent.
    pub(super) fn secrets(&self) -> impl Iterator<Item = Secret> {
        [&self.state, &self.verifier]
            .into_iter()
            .chain(&self.nonce)
            .cloned()
    }

    pub(super) fn nonce(&self) -> Option<&Secret> {
        self.nonce.as_ref()
    }

    /// RFC 7636 section 4.2: S256.
    pub(super) fn challenge(&self) -> String {
        let digest = digest::digest(&digest::SHA256, self.verifier.expose().as_bytes());
        URL_SAFE_NO_PAD.encode(digest.as_ref())
    }
}

impl BrowserLogin {
    pub(super) fn new(
        url: String,
        redirect_uri: String,
        once: Once,
        issuer: Option<Issuer>,
    ) -> Self {
        Self {
            url,
            redirect_uri,
            foreign_host: None,
            once,
            issuer,
        }
    }

    /// The same, whose address leads to a stranger's host.
    pub(super) fn at_foreign(self, foreign_host: Option<String>) -> Self {
        Self {
            foreign_host,
            ..self
        }
    }

    pub(super) fn verifier(&self) -> &Secret {
        &self.once.verifier
    }

    pub(super) fn nonce(&self) -> Option<&Secret> {
        self.once.nonce()
    }
}

impl DeviceLogin {
    pub(super) fn new(
        device_code: Secret,
        user_code: Blotted,
        verification_uri: String,
        verification_uri_complete: Option<String>,
        expires_in: Duration,
        interval: Duration,
    ) -> Self {
        let foreign_host = None;
        Self {
            user_code,
            verification_uri,
            foreign_host,
            verification_uri_complete,
            expires_in,
            interval,
            device_code,
        }
    }

    /// The same, whose address leads to a stranger's host.
    pub(super) fn at_foreign(self, foreign_host: Option<String>) -> Self {
        Self {
            foreign_host,
            ..self
        }
    }

    pub(super) fn device_code(&self) -> &Secret {
        &self.device_code
    }
}

/// 256 random bits, as 43 characters that need no escape anywhere (RFC 7636 section 4.1 asks for at least as many).
fn random() -> Option<Secret> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    rand::fill(bytes.as_mut_slice()).ok()?;
    Some(Secret::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
}

/// Takes as long for a guess that is nearly right as for any other.
pub(super) fn same(one: &str, other: &str) -> bool {
    constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}
