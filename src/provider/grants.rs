//! The OAuth 2.0 grants by which the daemon can log in, and what each needs to know.

use super::client_auth::ClientAuth;
use super::{GrantTraits, Parameter, ParameterKind};

const CLIENT_AUTH: &str = "how the client proves itself; default: by what it has, in the way that the issuer asks for";

/// How a session authenticates fully.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GrantKind {
    /// RFC 7523 section 2.1.
    JwtBearer,
    /// RFC 6749 section 4.4.
    ClientCredentials,
    /// RFC 6749 section 4.3.
    Password,
    /// RFC 6749 section 6, with a refresh token that a person brought along.
    RefreshToken,
}

impl GrantKind {
    /// All of them, the most commendable first.
    pub(super) const ALL: [Self; 4] = [Self::JwtBearer, Self::ClientCredentials, Self::Password, Self::RefreshToken];

    /// The grant as the config names it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::JwtBearer => "jwt_bearer",
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
            Self::RefreshToken => "refresh_token",
        }
    }

    /// The grant of that name.
    pub(super) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.word() == word)
    }

    /// The `grant_type` on the wire.
    pub(super) fn grant_type(self) -> &'static str {
        match self {
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
            Self::RefreshToken => "refresh_token",
        }
    }

    /// Whether its tokens stand for a user, whom the userinfo endpoint knows.
    pub(super) fn is_for_user(self) -> bool {
        match self {
            Self::JwtBearer | Self::Password | Self::RefreshToken => true,
            Self::ClientCredentials => false,
        }
    }

    /// What the grant asks of the engine. A password that is sent twice can lock its user out; a key cannot.
    pub(super) fn traits(self) -> GrantTraits {
        GrantTraits {
            unattended: self != Self::RefreshToken,
            confirm: self != Self::Password,
            refresh_token_parameter: (self == Self::RefreshToken).then(|| "refresh_token".to_owned()),
        }
    }

    /// The keys of `[sessions.NAME.login]` that the protocol itself knows.
    pub(super) fn parameters(self) -> Vec<Parameter> {
        let mut parameters = vec![required("client_id", "the client's (consumer) key")];
        parameters.extend(self.own_parameters());
        parameters.extend(self.client_parameters());
        parameters.push(optional("login_url", "the host that logs in, where it is not `url`"));
        parameters
    }

    fn own_parameters(self) -> Vec<Parameter> {
        let scope = || optional("scope", "the scopes to ask for, separated by spaces");
        match self {
            Self::JwtBearer => vec![
                required("username", "the user to log in as (the assertion's `sub`)"),
                Parameter { required: true, ..secret("private_key", "the RSA key that signs the assertion, PEM") },
                optional("audience", "the assertion's `aud`, where the default does not fit"),
                scope(),
            ],
            Self::ClientCredentials => vec![optional("audience", "the API that the token is for"), scope()],
            Self::Password => vec![
                required("username", "the user to log in as"),
                Parameter { required: true, ..secret("password", "the user's password") },
                scope(),
            ],
            Self::RefreshToken => {
                vec![Parameter { required: true, ..secret("refresh_token", "the first refresh token") }, scope()]
            }
        }
    }

    /// How the client proves itself (RFC 6749 section 2.3, RFC 7523 section 2.2).
    fn client_parameters(self) -> Vec<Parameter> {
        let client_auth = Parameter {
            one_of: ClientAuth::ALL.map(|way| way.word().to_owned()).to_vec(),
            ..optional("client_auth", CLIENT_AUTH)
        };
        let mut parameters = vec![client_auth, secret("client_secret", "the client's (consumer) secret")];
        if self != Self::JwtBearer {
            parameters.push(secret("private_key", "the RSA key of `client_auth = \"private_key_jwt\"`, PEM"));
        }
        parameters.push(optional("key_id", "the `kid` that the server knows the key by"));
        parameters.push(secret("private_key_passphrase", "the passphrase of an encrypted private key"));
        parameters
    }
}

fn optional(name: &str, about: &str) -> Parameter {
    Parameter {
        name: name.to_owned(),
        about: about.to_owned(),
        secret: false,
        required: false,
        default: None,
        one_of: Vec::new(),
        kind: ParameterKind::Text,
    }
}

fn required(name: &str, about: &str) -> Parameter {
    Parameter { required: true, ..optional(name, about) }
}

fn secret(name: &str, about: &str) -> Parameter {
    Parameter { secret: true, ..optional(name, about) }
}
