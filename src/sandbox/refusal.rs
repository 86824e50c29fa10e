//! Every way in which the token endpoint says no, with the words that Salesforce uses.

use serde::{Deserialize, Serialize};

use super::reply::Reply;

/// Why a login, a refresh or an introspection is refused; as JSON the names are in `snake_case`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Refusal {
    /// The refresh token expired, was revoked, pushed out by the approval limit, or died of reuse.
    ExpiredToken,
    /// Wrong user name, password or security token, or a locked user: one text for all.
    AuthenticationFailure,
    /// The user was deactivated.
    InactiveUser,
    /// The org is gone or suspended.
    InactiveOrganization,
    /// The caller's address is outside the allowed ranges.
    IpRestricted,
    /// The user neither approved the app nor was pre-authorised.
    NotApproved,
    /// The assertion's `aud` is not this host.
    WrongAudience,
    /// A used code, or an assertion whose `exp` is past.
    ExpiredCode,
    /// The assertion does not parse, or its signature does not fit the certificate.
    InvalidAssertion,
    /// Client credentials sent to a login host.
    WrongDomain,
    /// No Run-As user on the app.
    NoRunAsUser,
    /// The user is locked.
    UserLocked,
    /// The password has expired.
    PasswordExpired,
    /// A person must answer a challenge.
    ChallengeRequired,
    /// The org was deleted.
    DataNotAvailable,
    /// The app wants pre-authorised users only.
    NotAdminApproved,
    /// No such consumer key.
    UnknownClient,
    /// The client secret is wrong.
    WrongClientSecret,
    /// An uninstalled connected app is blocked.
    AppNotInstalled,
    /// No such flow here.
    UnsupportedGrant,
    /// The flow is not enabled on the app.
    UnauthorizedClient,
    /// Too many logins within an hour.
    RateLimited,
    /// The server's own fault.
    ServerError,
    /// An outage that claims `invalid_grant`: the status wins.
    OutageAsInvalidGrant,
}

impl Refusal {
    /// Status, `error` and `error_description` (absent where Salesforce gives none).
    pub fn parts(self) -> (u16, &'static str, Option<&'static str>) {
        let grant = |description| (400, "invalid_grant", Some(description));
        match self {
            Self::ExpiredToken => grant("expired access/refresh token"),
            Self::AuthenticationFailure => grant("authentication failure"),
            Self::InactiveUser => grant("inactive user"),
            Self::InactiveOrganization => grant("inactive organization"),
            Self::IpRestricted => grant("ip restricted"),
            Self::NotApproved => grant("user hasn't approved this consumer"),
            Self::WrongAudience => grant("audience is invalid"),
            Self::ExpiredCode => grant("expired authorization code"),
            Self::InvalidAssertion => grant("invalid assertion"),
            Self::WrongDomain => grant("request not supported on this domain"),
            Self::NoRunAsUser => grant("no client credentials user enabled"),
            Self::UserLocked => grant("user is locked"),
            Self::PasswordExpired => grant("password expired"),
            Self::ChallengeRequired => grant("challenge required"),
            Self::DataNotAvailable => grant("Data Not Available"),
            Self::NotAdminApproved => (
                400,
                "invalid_app_access",
                Some("user is not admin approved to access this app"),
            ),
            Self::UnknownClient => (400, "invalid_client_id", Some("client identifier invalid")),
            Self::WrongClientSecret => (400, "invalid_client", Some("invalid client credentials")),
            Self::AppNotInstalled => (
                400,
                "invalid_client",
                Some("app must be installed into org"),
            ),
            Self::UnsupportedGrant => (
                400,
                "unsupported_grant_type",
                Some("grant type not supported"),
            ),
            Self::UnauthorizedClient => (400, "unauthorized_client", None),
            Self::RateLimited => (400, "rate_limit_exceeded", Some("login rate exceeded")),
            Self::ServerError => (500, "server_error", None),
            Self::OutageAsInvalidGrant => {
                (503, "invalid_grant", Some("expired access/refresh token"))
            }
        }
    }

    /// The answer as it goes over the wire.
    pub fn reply(self) -> Reply {
        let (status, error, description) = self.parts();
        let mut body = serde_json::json!({ "error": error });
        if let (Some(body), Some(description)) = (body.as_object_mut(), description) {
            body.insert("error_description".to_owned(), description.into());
        }
        Reply::json(status, &body)
    }
}
