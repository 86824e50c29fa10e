//! What a session shows a server of itself when it logs in or renews, known by fingerprints alone.

/// Fingerprints, salted by the account, so that stored ones say nothing of a weak password.
///
/// They tell what was refused from what has changed since, and which sessions would send the same again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// Of all secrets of the login; none where not all of them were read.
    pub secrets: Option<String>,
    /// Of what proves the user, whatever its parameters are called; none where nothing does, or it was not read.
    pub credential: Option<String>,
    /// Of the client and how it proves itself; none where there is no client, or its secret was not read.
    pub client: Option<String>,
    /// Of all else that is sent, and where to.
    pub config: String,
}

#[cfg(any(test, feature = "simulation"))]
impl Presented {
    /// A session whose only secret is this one, under one config and by one client.
    pub fn of(secret: &str) -> Self {
        Self {
            secrets: Some(secret.to_owned()),
            credential: Some(secret.to_owned()),
            client: Some("client".to_owned()),
            config: "config".to_owned(),
        }
    }
}
