//! How a client proves itself to the authorization server.

use super::discovery::Metadata;
use super::grants::GrantKind;
use super::settings::RemoteConfig;

/// The ways (RFC 6749 section 2.3, RFC 7523 section 2.2, RFC 8705 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientAuth {
    /// `client_secret_post`: the secret is in the form.
    Post,
    /// `client_secret_basic`: in a header.
    Basic,
    /// A signed assertion.
    PrivateKeyJwt,
    /// The certificate of the connection.
    Tls,
    /// Not at all: a public client, or one that the grant names already.
    None,
}

impl ClientAuth {
    /// All of them.
    pub(super) const ALL: [Self; 5] = [
        Self::Post,
        Self::Basic,
        Self::PrivateKeyJwt,
        Self::Tls,
        Self::None,
    ];

    /// As the config writes it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Basic => "basic",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::Tls => "tls",
            Self::None => "none",
        }
    }

    fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.word() == word)
    }

    /// The config's choice, else what the client has to show, in the way that the server asks for.
    ///
    /// The key of an assertion grant proves the user; it is not taken for the client's as well.
    pub(super) fn of(config: &RemoteConfig, metadata: Option<&Metadata>) -> Self {
        if let Some(chosen) = config.plain("client_auth").and_then(Self::named) {
            return chosen;
        }
        let by_assertion = GrantKind::named(&config.grant) == Some(GrantKind::JwtBearer);
        if config.values.contains_key("client_secret") {
            return if by_assertion && metadata.is_none() {
                Self::None
            } else {
                by_secret(metadata)
            };
        }
        if config.values.contains_key("private_key") && !by_assertion {
            return Self::PrivateKeyJwt;
        }
        if config.http.client_cert.is_some() {
            Self::Tls
        } else {
            Self::None
        }
    }
}

/// A server that does not say what it takes takes Basic (RFC 8414 section 2); of one that says nothing at all, more take
/// the form.
fn by_secret(metadata: Option<&Metadata>) -> ClientAuth {
    let Some(metadata) = metadata else {
        return ClientAuth::Post;
    };
    let methods = metadata.auth_methods.as_deref();
    let takes =
        |method: &str| methods.is_some_and(|methods| methods.iter().any(|known| known == method));
    let only_basic =
        methods.is_none() || takes("client_secret_basic") && !takes("client_secret_post");
    if only_basic {
        ClientAuth::Basic
    } else {
        ClientAuth::Post
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::settings::tests::config;

    #[test]
    fn what_the_config_leaves_open_follows_from_what_there_is_and_what_the_server_takes() {
        const SECRET: &[(&str, &str)] = &[("client_secret", "!")];
        const KEY: &[(&str, &str)] = &[("private_key", "!")];
        for (grant, values, methods, expected) in [
            ("client_credentials", SECRET, None, ClientAuth::Post),
            ("client_credentials", SECRET, Some(None), ClientAuth::Basic),
            (
                "client_credentials",
                SECRET,
                Some(Some("client_secret_basic")),
                ClientAuth::Basic,
            ),
            (
                "client_credentials",
                SECRET,
                Some(Some("client_secret_basic client_secret_post")),
                ClientAuth::Post,
            ),
            (
                "client_credentials",
                SECRET,
                Some(Some("private_key_jwt")),
                ClientAuth::Post,
            ),
            ("client_credentials", KEY, None, ClientAuth::PrivateKeyJwt),
            ("jwt_bearer", KEY, None, ClientAuth::None),
            ("jwt_bearer", SECRET, None, ClientAuth::None),
            (
                "jwt_bearer",
                SECRET,
                Some(Some("client_secret_basic")),
                ClientAuth::Basic,
            ),
            ("refresh_token", &[], None, ClientAuth::None),
            (
                "refresh_token",
                &[("client_auth", "basic")],
                Some(None),
                ClientAuth::Basic,
            ),
        ] {
            let list = |methods: &str| methods.split(' ').map(str::to_owned).collect();
            let metadata = methods.map(|methods: Option<&str>| {
                let mut metadata = Metadata::default();
                metadata.auth_methods = methods.map(list);
                metadata
            });
            assert_eq!(
                ClientAuth::of(&config("oauth2", grant, values), metadata.as_ref()),
                expected,
                "{grant} {values:?}"
            );
        }
    }

    #[test]
    fn a_client_with_nothing_but_a_certificate_shows_that() {
        let mut config = config("oauth2", "client_credentials", &[]);
        std::sync::Arc::make_mut(&mut config.http).client_cert = Some("/cert.pem".into());
        assert_eq!(ClientAuth::of(&config, None), ClientAuth::Tls);
    }
}
