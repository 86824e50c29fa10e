//! What a session presents to its server, by fingerprints: what was refused is known by them, and what has changed since.

use aws_lc_rs::digest::{Context, SHA256};

use super::settings::{RemoteConfig, Value};
use super::{Remote, Secrets, outgoing};
use crate::secret::{Secret, hex};
use crate::session::presented::Presented;

/// Enough that no two things are taken for one, and too little to say anything of a weak password.
const DIGITS: usize = 16;

/// A salted digest of parts, each with its end.
struct Print(Context);

impl Print {
    fn new(salt: u64) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&salt.to_be_bytes());
        Self(context)
    }

    fn add(&mut self, part: &str) {
        self.0.update(part.as_bytes());
        self.0.update(&[0]);
    }

    fn done(self) -> String {
        hex(self.0.finish().as_ref()).chars().take(DIGITS).collect()
    }
}

impl RemoteConfig {
    /// What a login or renewal with these secrets presents; of a renewal, they are not all of the session's.
    pub fn presented(&self, secrets: &Secrets, salt: u64) -> Presented {
        let names: Vec<String> = self
            .login_secrets()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let of_client = outgoing::client_secrets(self);
        let (client, user): (Vec<&String>, Vec<&String>) = names
            .iter()
            .partition(|name| of_client.contains(&name.as_str()));
        // Where nothing else proves who logs in, the client is the user.
        let user = if user.is_empty() && self.logs_in_alone() {
            &client
        } else {
            &user
        };
        Presented {
            secrets: values(&names, secrets).map(|values| {
                let mut print = Print::new(salt);
                for (name, value) in names.iter().zip(values) {
                    print.add(name);
                    print.add(value.expose());
                }
                print.done()
            }),
            credential: (!user.is_empty())
                .then(|| values(user, secrets))
                .flatten()
                .map(|mut values| {
                    values.sort_unstable_by_key(|value| value.expose());
                    let mut print = Print::new(salt);
                    for value in values {
                        print.add(value.expose());
                    }
                    print.done()
                }),
            client: self.client_presented(&client, secrets, salt),
            config: self.config_presented(salt),
        }
    }

    /// A call that was not made, since this secret cannot be read: whatever is read later differs from it.
    pub fn unread(&self, name: &str, salt: u64) -> Presented {
        Presented {
            secrets: Some(format!("unreadable {name}")),
            credential: None,
            client: None,
            config: self.config_presented(salt),
        }
    }

    fn client_presented(&self, names: &[&String], secrets: &Secrets, salt: u64) -> Option<String> {
        let client_id = self.plain("client_id");
        if client_id.is_none() && names.is_empty() {
            return None;
        }
        let values = values(names, secrets)?;
        let mut print = Print::new(salt);
        print.add(client_id.unwrap_or_default());
        print.add(self.plain("client_auth").unwrap_or_default());
        for value in values {
            print.add(value.expose());
        }
        Some(print.done())
    }

    /// All that is sent and no secret, and where to. A profile that comes with the program changes with it alone: an upgrade
    /// is no correction of what was refused.
    fn config_presented(&self, salt: u64) -> String {
        let mut print = Print::new(salt);
        let profile = if self.profile.is_compiled_in() {
            ""
        } else {
            self.profile.digest()
        };
        for part in [self.profile.name(), profile, self.base(), &self.grant] {
            print.add(part);
        }
        for (name, value) in self.values.iter() {
            match value {
                Value::Plain(text) => print.add(&format!("{name}={text}")),
                Value::List(parts) => print.add(&format!("{name}={}", parts.join("\0"))),
                Value::Secret(_) => print.add(name),
            }
        }
        print.add(&format!("{:?}", self.http.client_cert));
        print.done()
    }

    fn logs_in_alone(&self) -> bool {
        self.profile
            .grant_traits(&self.grant)
            .is_some_and(|traits| traits.unattended)
    }
}

impl Remote {
    /// As [`RemoteConfig::presented`].
    pub fn presented(&self, secrets: &Secrets, salt: u64) -> Presented {
        self.config().presented(secrets, salt)
    }

    /// As [`RemoteConfig::unread`].
    pub fn unread(&self, name: &str, salt: u64) -> Presented {
        self.config().unread(name, salt)
    }
}

/// All of them; none where one was not read.
fn values<'a>(names: &[impl AsRef<str>], secrets: &'a Secrets) -> Option<Vec<&'a Secret>> {
    names
        .iter()
        .map(|name| secrets.get(name.as_ref()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::settings::tests::config;

    const CLIENT: &[(&str, &str)] = &[("client_id", "c"), ("client_secret", "!")];
    const USER: &[(&str, &str)] = &[
        ("client_id", "c"),
        ("client_secret", "!"),
        ("username", "u"),
        ("password", "!"),
    ];

    #[test]
    fn a_credential_is_the_same_under_another_client_and_a_client_with_another_credential() {
        let password = config("oauth2", "password", USER);
        let presented = |client, user| password.presented(&secrets(client, user), 7);
        let (one, other_client, other_user) = (
            presented("s", "p"),
            presented("t", "p"),
            presented("s", "q"),
        );
        assert_eq!(
            (&one.credential, &one.client),
            (&other_client.credential, &other_user.client)
        );
        assert_ne!(one.client, other_client.client);
        assert_ne!(one.credential, other_user.credential);
        assert_ne!(one.secrets, other_client.secrets);
        assert_ne!(
            one.secrets,
            password.presented(&secrets("s", "p"), 8).secrets,
            "salted"
        );
    }

    #[test]
    fn a_client_that_logs_in_for_itself_is_its_own_user_and_who_needs_a_person_has_no_credential() {
        let alone = config("oauth2", "client_credentials", CLIENT).presented(&secrets("s", "p"), 7);
        assert!(alone.credential.is_some() && alone.client.is_some());
        let by_person =
            config("oauth2", "authorization_code", CLIENT).presented(&secrets("s", "p"), 7);
        assert_eq!(
            (by_person.credential, by_person.client),
            (None, alone.client)
        );
    }

    #[test]
    fn a_renewal_presents_its_client_and_says_nothing_of_a_password_that_it_did_not_read() {
        let password = config("oauth2", "password", USER);
        let mut read = secrets("s", "p");
        let login = password.presented(&read, 7);
        read.remove("password");
        let renewal = password.presented(&read, 7);
        assert_eq!(
            (renewal.client, renewal.config),
            (login.client, login.config)
        );
        assert_eq!((renewal.credential, renewal.secrets), (None, None));
    }

    #[test]
    fn whatever_is_sent_is_part_of_the_config_and_where_a_secret_lies_is_not() {
        let base = config("oauth2", "password", USER);
        let print = |config: &RemoteConfig| config.presented(&secrets("s", "p"), 7).config;
        let mut moved = base.clone();
        moved.values.insert(
            "password",
            Value::Secret(crate::secret_source::SecretSource::Env("ELSEWHERE".into())),
        );
        assert_eq!(print(&base), print(&moved));
        for (name, value) in [
            ("client_auth", "basic"),
            ("scope", "api"),
            ("username", "v"),
            ("resource", "https://x"),
        ] {
            let mut changed = base.clone();
            changed.values.insert(name, Value::Plain(value.into()));
            assert_ne!(print(&base), print(&changed), "{name}");
        }
        let url = url::Url::parse("https://other.example").unwrap();
        assert_ne!(
            print(&base),
            print(&RemoteConfig {
                url: url.into(),
                ..base.clone()
            })
        );
    }

    fn secrets(client: &str, user: &str) -> Secrets {
        [("client_secret", client), ("password", user)]
            .map(|(name, value)| (name.to_owned(), Secret::new(value)))
            .into_iter()
            .collect()
    }
}
