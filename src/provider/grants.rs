//! The OAuth 2.0 grants by which the daemon can log in, and what each needs to know.

use super::assertion::ALGORITHMS;
use super::client_auth::ClientAuth;
use super::{ByPerson, GrantTraits, Parameter, ParameterKind};

const CLIENT_ID: &str = "the client's (consumer) key";
const FORM: &str = "more fields of each token request: { tenant = \"acme\" }";
const TOKEN_TYPE: &str =
    "access_token, refresh_token, id_token, jwt, saml1, saml2, or a URN of the server's own";
const ALGORITHM: &str =
    "how the key signs; default: what kind of key it is, and what the issuer takes";
const ASSERTION_AUDIENCE: &str = "the `aud` of the client's assertion: \"issuer\", \"token_endpoint\" (the default), or a text of its own";
const CLIENT_AUTH: &str =
    "how the client authenticates; default: by what it has, in the way that the issuer asks for";

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
    /// RFC 6749 section 4.1, with PKCE (RFC 7636).
    AuthorizationCode,
    /// RFC 8628.
    DeviceCode,
    /// RFC 8693: a token that another server issued is exchanged for one of this server's.
    TokenExchange,
}

impl GrantKind {
    /// All of them, the most commendable first.
    pub(super) const ALL: [Self; 7] = [
        Self::JwtBearer,
        Self::ClientCredentials,
        Self::Password,
        Self::RefreshToken,
        Self::AuthorizationCode,
        Self::DeviceCode,
        Self::TokenExchange,
    ];

    /// The grant as the config names it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::JwtBearer => "jwt_bearer",
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
            Self::RefreshToken => "refresh_token",
            Self::AuthorizationCode => "authorization_code",
            Self::DeviceCode => "device_code",
            Self::TokenExchange => "token_exchange",
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
            Self::AuthorizationCode => "authorization_code",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    }

    /// Whether its tokens stand for a user, whom the userinfo endpoint knows.
    pub(super) fn is_for_user(self) -> bool {
        match self {
            Self::JwtBearer
            | Self::Password
            | Self::RefreshToken
            | Self::AuthorizationCode
            | Self::DeviceCode => true,
            Self::ClientCredentials | Self::TokenExchange => false,
        }
    }

    /// What the grant asks of the engine. A password that is sent twice can lock its user out; a key cannot.
    pub(super) fn traits(self) -> GrantTraits {
        GrantTraits {
            unattended: self.by_person().is_none() && self != Self::RefreshToken,
            confirm: self != Self::Password,
            by_person: self.by_person(),
            refresh_token_parameter: (self == Self::RefreshToken)
                .then(|| "refresh_token".to_owned()),
        }
    }

    /// How a person logs in, where one must.
    pub(super) fn by_person(self) -> Option<ByPerson> {
        match self {
            Self::AuthorizationCode => Some(ByPerson::Browser),
            Self::DeviceCode => Some(ByPerson::Device),
            Self::JwtBearer
            | Self::ClientCredentials
            | Self::Password
            | Self::RefreshToken
            | Self::TokenExchange => None,
        }
    }

    /// The keys of `[sessions.NAME.login]` that the protocol itself knows.
    pub(super) fn parameters(self) -> Vec<Parameter> {
        // A caller with a token to exchange need not be a client (RFC 8693 section 2.1).
        let client_id = Parameter {
            required: self != Self::TokenExchange,
            ..optional("client_id", CLIENT_ID)
        };
        let mut parameters = vec![client_id];
        parameters.extend(self.own_parameters());
        parameters.push(optional(
            "scope",
            "the scopes to ask for, separated by spaces",
        ));
        parameters.push(optional(
            "resource",
            "the APIs that the token is for, as URLs separated by spaces (RFC 8707)",
        ));
        parameters.push(Parameter {
            kind: ParameterKind::Fields,
            ..optional("form", FORM)
        });
        parameters.extend(self.client_parameters());
        parameters.push(optional(
            "login_url",
            "the host that logs in, if it is not `url`",
        ));
        parameters
    }

    fn own_parameters(self) -> Vec<Parameter> {
        match self {
            Self::JwtBearer => vec![
                required("username", "the user to log in as (the assertion's `sub`)"),
                Parameter {
                    required: true,
                    ..secret("private_key", "the key that signs the assertion, PEM")
                },
                optional(
                    "audience",
                    "the assertion's `aud`, if the default does not fit",
                ),
            ],
            Self::ClientCredentials => vec![optional("audience", "the API that the token is for")],
            Self::Password => vec![
                required("username", "the user to log in as"),
                Parameter {
                    required: true,
                    ..secret("password", "the user's password")
                },
            ],
            Self::RefreshToken => {
                vec![Parameter {
                    required: true,
                    ..secret("refresh_token", "the first refresh token")
                }]
            }
            Self::AuthorizationCode => {
                let [username, audience] = by_person();
                let redirect_uri = Parameter {
                    default: Some("http://127.0.0.1/callback".to_owned()),
                    ..optional(
                        "redirect_uri",
                        "where the server sends the browser afterwards, as registered there; without a port keepfresh takes any free one (RFC 8252)",
                    )
                };
                let query = optional(
                    "authorization_query",
                    "more of the authorization URL's query, such as `prompt=login`",
                );
                vec![username, audience, redirect_uri, query]
            }
            Self::DeviceCode => {
                let [username, audience] = by_person();
                vec![username, audience]
            }
            Self::TokenExchange => vec![
                Parameter {
                    required: true,
                    ..secret(
                        "subject_token",
                        "the token to exchange, read anew each time",
                    )
                },
                Parameter {
                    default: Some("access_token".to_owned()),
                    ..optional("subject_token_type", TOKEN_TYPE)
                },
                secret(
                    "actor_token",
                    "the token of the party that acts for the subject",
                ),
                optional("actor_token_type", TOKEN_TYPE),
                optional("requested_token_type", TOKEN_TYPE),
                optional("audience", "the service that the token is for"),
            ],
        }
    }

    /// How the client proves itself (RFC 6749 section 2.3, RFC 7523 section 2.2).
    fn client_parameters(self) -> Vec<Parameter> {
        let client_auth = Parameter {
            one_of: ClientAuth::ALL.map(|way| way.word().to_owned()).to_vec(),
            ..optional("client_auth", CLIENT_AUTH)
        };
        let mut parameters = vec![
            client_auth,
            secret("client_secret", "the client's (consumer) secret"),
        ];
        if self != Self::JwtBearer {
            parameters.push(secret(
                "private_key",
                "the key of `client_auth = \"private_key_jwt\"`, PEM",
            ));
        }
        let algorithms = ALGORITHMS.map(str::to_owned).to_vec();
        parameters.push(Parameter {
            one_of: algorithms,
            ..optional("algorithm", ALGORITHM)
        });
        parameters.push(optional(
            "key_id",
            "the `kid` that the server knows the key by",
        ));
        parameters.push(secret(
            "certificate",
            "the key's certificate, PEM, for servers that know it by its thumbprint",
        ));
        parameters.push(optional("client_assertion_audience", ASSERTION_AUDIENCE));
        parameters.push(secret(
            "private_key_passphrase",
            "the passphrase of an encrypted private key",
        ));
        parameters
    }
}

fn by_person() -> [Parameter; 2] {
    [
        optional(
            "username",
            "the user who must log in; keepfresh refuses every other user that the server names",
        ),
        optional("audience", "the API that the token is for"),
    ]
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
    Parameter {
        required: true,
        ..optional(name, about)
    }
}

fn secret(name: &str, about: &str) -> Parameter {
    Parameter {
        secret: true,
        ..optional(name, about)
    }
}
