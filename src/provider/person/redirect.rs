//! The address to which the server sent the browser back (RFC 6749 section 4.1.2, RFC 9207).

use thiserror::Error;
use url::form_urlencoded;

use super::{BrowserLogin, same};
use crate::blotted::Blotted;
use crate::provider::detail::is_opaque;
use crate::secret::Secret;

/// How much of a server's own words is shown.
const LONGEST_QUOTE: usize = 200;

/// Why an address brings no code.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RedirectProblem {
    /// The person pasted something else.
    #[error(
        "this is not the address that the browser was sent to: it must hold `state=` and `code=`"
    )]
    NotAnAddress,
    /// It belongs to no login, or to an older one.
    #[error(
        "this address belongs to another login: use the one that the latest `keepfresh login` led to"
    )]
    ForeignState,
    /// Another server sent it (a mix-up attack, RFC 9207 section 1).
    #[error(
        "another server answered than the one that keepfresh asked: begin again, and look where the browser goes"
    )]
    ForeignIssuer,
    /// The server, or the person, said no.
    #[error("{0}")]
    Refused(Blotted),
    /// Neither a code nor an error.
    #[error("the server sent the browser back with neither a code nor an error")]
    NoCode,
}

impl RedirectProblem {
    /// Whether the login is over; a foreign or garbled address says nothing of it.
    pub fn ends_the_login(&self) -> bool {
        match self {
            Self::NotAnAddress | Self::ForeignState => false,
            Self::ForeignIssuer | Self::Refused(_) | Self::NoCode => true,
        }
    }
}

/// What the address says, each at most once.
#[derive(Default)]
struct Redirected {
    state: Option<String>,
    code: Option<String>,
    issuer: Option<String>,
    error: Option<String>,
    description: Option<String>,
}

impl BrowserLogin {
    /// Takes the code out of the address to which the browser was sent, whole or from its `?` on.
    ///
    /// # Errors
    /// When it is not this login's, or brings no code.
    pub fn code(&self, address: &str) -> Result<Secret, RedirectProblem> {
        let redirected = Redirected::parse(address).ok_or(RedirectProblem::NotAnAddress)?;
        let state = redirected
            .state
            .as_deref()
            .ok_or(RedirectProblem::NotAnAddress)?;
        if !same(state, self.once.state()) {
            return Err(RedirectProblem::ForeignState);
        }
        let foreign = self
            .issuer
            .as_ref()
            .is_some_and(|known| match &redirected.issuer {
                Some(said) => *said != known.name,
                // A server that never says who it is cannot be held to it.
                None => known.always,
            });
        if foreign {
            return Err(RedirectProblem::ForeignIssuer);
        }
        if let Some(error) = &redirected.error {
            return Err(RedirectProblem::Refused(self.refusal(error, &redirected)));
        }
        redirected
            .code
            .filter(|code| !code.is_empty())
            .map(Secret::new)
            .ok_or(RedirectProblem::NoCode)
    }
    /// RFC 6749 section 4.1.2.1, in words that people understand.
    fn refusal(&self, error: &str, redirected: &Redirected) -> Blotted {
        let code = redirected.code.as_deref().map(Secret::new);
        let known: Vec<Secret> = self.once.secrets().chain(code).collect();
        let quoted = |text: &str| {
            Blotted::new(text, &known)
                .hiding(is_opaque)
                .cut(LONGEST_QUOTE)
        };
        let description = redirected
            .description
            .as_deref()
            .map(|text| [", \u{201c}".into(), quoted(text), "\u{201d}".into()]);
        let words = Blotted::concat(description.into_iter().flatten());
        Blotted::concat(match error {
            "access_denied" => [
                "the login was declined (access_denied".into(),
                words,
                ")".into(),
                Blotted::default(),
            ],
            other => [
                "the server answered \u{201c}".into(),
                quoted(other),
                "\u{201d}".into(),
                words,
            ],
        })
    }
}

impl Redirected {
    fn parse(address: &str) -> Option<Self> {
        let address = address.trim().trim_matches(['"', '\'', '<', '>']);
        let query = address.split_once('?').map_or(address, |(_, query)| query);
        let query = query.split('#').next().unwrap_or_default();
        let mut redirected = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "state" => &mut redirected.state,
                "code" => &mut redirected.code,
                "iss" => &mut redirected.issuer,
                "error" => &mut redirected.error,
                "error_description" => &mut redirected.description,
                _ => continue,
            };
            // Twice is once too often: which of the two is meant cannot be told.
            if place.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        Some(redirected)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::provider::person::{Issuer, Once};

    #[test]
    fn the_code_is_found_in_whatever_part_of_the_address_was_pasted() {
        let login = login(Some("https://id.example"), false);
        let state = login.once.state();
        for address in [
            format!("http://127.0.0.1:4321/callback?code=c%2F1&state={state}"),
            format!(
                "http://127.0.0.1:4321/callback?state={state}&code=c%2F1&iss=https%3A%2F%2Fid.example#"
            ),
            format!("  '?code=c%2F1&state={state}&session_state=x'\n"),
            format!("code=c%2F1&state={state}"),
            format!("https://localhost/?code=c%2F1&state={state}#fragment"),
        ] {
            assert_eq!(
                login.code(&address).map(|code| code.expose().to_owned()),
                Ok("c/1".to_owned()),
                "{address}"
            );
        }
    }

    #[test]
    fn what_is_not_this_logins_brings_no_code() {
        let login = login(Some("https://id.example"), false);
        let state = login.once.state().to_owned();
        let with = |rest: &str| format!("http://127.0.0.1/callback?state={state}{rest}");
        for (address, expected, over) in [
            (String::new(), RedirectProblem::NotAnAddress, false),
            ("hello".to_owned(), RedirectProblem::NotAnAddress, false),
            (
                "http://127.0.0.1/callback?code=c".to_owned(),
                RedirectProblem::NotAnAddress,
                false,
            ),
            (
                "http://127.0.0.1/callback?code=c&state=".to_owned(),
                RedirectProblem::ForeignState,
                false,
            ),
            (
                "http://127.0.0.1/callback?code=c&state=guess".to_owned(),
                RedirectProblem::ForeignState,
                false,
            ),
            (
                format!("?code=c&state={state}x"),
                RedirectProblem::ForeignState,
                false,
            ),
            (
                "http://127.0.0.1/callback?error=access_denied&state=x".to_owned(),
                RedirectProblem::ForeignState,
                false,
            ),
            (with("&code=c&code=d"), RedirectProblem::NotAnAddress, false),
            (
                with("&code=c&state=x"),
                RedirectProblem::NotAnAddress,
                false,
            ),
            (
                with("&code=c&iss=https%3A%2F%2Fevil.example"),
                RedirectProblem::ForeignIssuer,
                true,
            ),
            (
                with("&error=access_denied&iss=https%3A%2F%2Fevil.example"),
                RedirectProblem::ForeignIssuer,
                true,
            ),
            (with(""), RedirectProblem::NoCode, true),
            (with("&code="), RedirectProblem::NoCode, true),
        ] {
            let problem = login.code(&address).unwrap_err();
            assert_eq!(
                (problem.ends_the_login(), problem),
                (over, expected),
                "{address}"
            );
        }
    }

    #[test]
    fn a_server_that_always_says_who_it_is_says_so_now() {
        let login = login(Some("https://id.example"), true);
        let address = format!("?code=c&state={}", login.once.state());
        assert_eq!(login.code(&address), Err(RedirectProblem::ForeignIssuer));
        assert!(
            login
                .code(&format!("{address}&iss=https://id.example"))
                .is_ok()
        );
        assert_eq!(
            login.code(&format!("{address}&iss=https://id.example/")),
            Err(RedirectProblem::ForeignIssuer)
        );
    }

    #[test]
    fn a_no_is_told_in_words_that_cannot_garble_a_terminal() {
        let login = login(None, false);
        let state = login.once.state();
        for (rest, expected) in [
            (
                "error=access_denied",
                "the login was declined (access_denied)",
            ),
            (
                "error=access_denied&error_description=no%0Athanks",
                "the login was declined (access_denied, “no thanks”)",
            ),
            (
                "error=server_error&error_description=%1b[31mred&code=c",
                "the server answered “server_error”, “[31mred”",
            ),
        ] {
            let problem = login.code(&format!("?state={state}&{rest}")).unwrap_err();
            assert_eq!(problem, RedirectProblem::Refused(expected.into()));
        }
    }

    #[test]
    fn no_two_logins_are_alike_and_the_verifier_is_what_the_challenge_says() {
        let (one, other) = (login(None, false), login(None, false));
        assert_ne!(one.once.state(), other.once.state());
        assert_ne!(one.verifier(), other.verifier());
        assert_ne!(one.once.challenge(), other.once.challenge());
        assert!(one.verifier().expose().len() >= 43 && one.once.challenge().len() == 43);
        let known = Once {
            verifier: Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            ..Once::draw(false).unwrap()
        };
        assert_eq!(
            known.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "RFC 7636 appendix B"
        );
    }

    proptest! {
        #[test]
        fn no_garbage_is_taken_for_a_code(address in any::<String>()) {
            prop_assert!(login(None, false).code(&address).is_err());
        }
    }

    fn login(issuer: Option<&str>, always: bool) -> BrowserLogin {
        let once = Once::draw(true).unwrap();
        let issuer = issuer.map(|name| Issuer {
            name: name.to_owned(),
            always,
        });
        BrowserLogin::new(
            String::new(),
            "http://127.0.0.1/callback".into(),
            once,
            issuer,
        )
    }
}
