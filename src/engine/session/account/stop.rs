//! What a refusal stops: all that would bring on the same no again, and nothing else.

use serde::{Deserialize, Serialize};

use crate::blotted::Blotted;
use crate::session::answer::{Refused, Request};
use crate::session::presented::Presented;
use crate::time::Instant;

/// No more of what was refused, until something changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Since when.
    pub since: Instant,
    /// What the server said.
    pub reason: String,
    /// What to do about it, where this machine was in the way and knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The session that was refused.
    pub of: String,
    /// What was refused; none where a record does not tell, as those of earlier versions: then it is everything.
    #[serde(default)]
    pub what: Option<Refused>,
    /// What the server said no to.
    #[serde(default = "login")]
    pub request: Request,
    /// All secrets of the session that was refused, by fingerprint: others end the stop.
    pub secrets: Option<String>,
    /// The credential or the client that was refused, by fingerprint: an account that presents the same stops too.
    #[serde(default)]
    pub shared: Option<String>,
    /// The config of the session that was refused, by fingerprint: another ends the stop.
    #[serde(default)]
    pub config: Option<String>,
    /// False while one try is still to confirm it: until then it holds nothing back.
    #[serde(default = "yes")]
    pub confirmed: bool,
}

/// A server's no.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The session that was refused.
    pub of: String,
    /// What the server said no to.
    pub request: Request,
    /// What was wrong with it.
    pub what: Refused,
    /// What it said, for people.
    pub reason: Blotted,
    /// What to do about it, where this machine was in the way and knows.
    pub remedy: Option<Box<Blotted>>,
    /// Whether one confirming try is harmless.
    pub confirm: bool,
    /// What was presented, as far as it was read.
    pub presented: Option<Presented>,
}

/// A call that a session makes, or would make.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The session.
    pub session: &'a str,
    /// The call.
    pub request: Request,
    /// What it presents; none while that was not read.
    pub presented: Option<&'a Presented>,
}

/// What was refused to another session: a call that finds itself about to present the same is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// The session that was refused.
    pub of: String,
    /// Of what kind it is.
    pub what: Refused,
    /// What it is.
    pub fingerprint: String,
}

impl Withheld {
    /// Whether it is part of what is presented.
    pub fn is_in(&self, presented: &Presented) -> bool {
        part(self.what, presented) == Some(&self.fingerprint)
    }
}

/// The stops of one account, one for each session and kind of call at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Vec<Stop>")]
pub struct Stops(Vec<Stop>);

/// Earlier versions had one, or none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Several(Vec<Stop>),
    One(Option<Box<Stop>>),
}

impl From<Stored> for Stops {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Several(stops) => Self(stops),
            Stored::One(stop) => Self(stop.map(|stop| *stop).into_iter().collect()),
        }
    }
}

impl From<Stops> for Vec<Stop> {
    fn from(stops: Stops) -> Self {
        stops.0
    }
}

fn login() -> Request {
    Request::Login
}

fn yes() -> bool {
    true
}

impl Stops {
    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What holds the attempt back.
    pub fn holding(&self, attempt: Attempt<'_>) -> Option<&Stop> {
        self.0
            .iter()
            .find(|stop| stop.confirmed && stop.concerns(attempt))
    }

    /// What the attempt must not present, which only shows once its secrets are read.
    pub fn withheld_from(&self, attempt: Attempt<'_>) -> Vec<Withheld> {
        let others = self
            .0
            .iter()
            .filter(|stop| stop.confirmed && stop.of != attempt.session);
        others
            .filter_map(|stop| stop.withheld_from(attempt.request))
            .collect()
    }

    /// The stop that this session itself brought about.
    pub fn of(&self, session: &str) -> Option<&Stop> {
        self.0
            .iter()
            .find(|stop| stop.confirmed && stop.of == session)
    }

    /// The server said no. True when that stops something: at once, or when the confirming try was refused too.
    pub(super) fn refused(&mut self, now: Instant, refusal: Refusal) -> bool {
        let confirm = refusal.confirm;
        let mut stop = Stop::new(now, refusal);
        let earlier: Vec<Stop> = self
            .0
            .extract_if(.., |earlier| earlier.is_repeated_by(&stop))
            .collect();
        stop.confirmed = !confirm || !earlier.is_empty();
        stop.since = earlier
            .iter()
            .filter(|earlier| earlier.confirmed)
            .map(|it| it.since)
            .min()
            .unwrap_or(now);
        let confirmed = stop.confirmed;
        self.0.push(stop);
        confirmed
    }

    /// What the attempt presented when it was sent is accepted.
    pub(super) fn accepted(&mut self, attempt: Attempt<'_>, sent: Instant) {
        self.0
            .retain(|stop| stop.since > sent || !stop.concerns(attempt));
    }

    /// What `session` presents now. True when that ends a stop of its own.
    pub(super) fn presents(&mut self, session: &str, presented: &Presented) -> bool {
        let before = self.0.len();
        self.0
            .retain_mut(|stop| stop.of != session || !stop.is_mended_by(presented));
        self.0.len() < before
    }

    /// A person tries again.
    pub(super) fn lift(&mut self, attempt: Attempt<'_>) {
        self.0
            .retain(|stop| stop.of != attempt.session && !stop.concerns(attempt));
    }

    /// Sessions are gone. What other sessions may present too stays refused; the rest is dropped, since no change could
    /// end it.
    pub(super) fn belong_to(&mut self, is_member: &dyn Fn(&str) -> bool, anybody: bool) {
        self.0
            .retain(|stop| is_member(&stop.of) || anybody && stop.is_of_what_others_present());
    }

    /// Moves every moment by `millis`, to another boot's axis.
    pub(super) fn shift(&mut self, millis: i64) {
        self.0
            .iter_mut()
            .for_each(|stop| stop.since = stop.since.shifted(millis));
    }
}

impl Stop {
    fn new(now: Instant, refusal: Refusal) -> Self {
        let Refusal {
            of,
            request,
            what,
            reason,
            remedy,
            confirm,
            presented,
        } = refusal;
        let shared = presented
            .as_ref()
            .and_then(|presented| part(what, presented))
            .cloned();
        let (secrets, config) = presented
            .map(|presented| (presented.secrets, presented.config))
            .unzip();
        Self {
            since: now,
            reason: reason.to_string(),
            remedy: remedy.map(|remedy| remedy.to_string()),
            of,
            what: Some(what),
            request,
            secrets: secrets.flatten(),
            shared,
            config,
            confirmed: !confirm,
        }
    }

    /// Whether the attempt would surely get the same no.
    fn concerns(&self, attempt: Attempt<'_>) -> bool {
        let is_own = self.of == attempt.session;
        let is_login = attempt.request == Request::Login;
        let presents = |what| {
            let theirs = attempt
                .presented
                .and_then(|presented| part(what, presented));
            theirs.is_some() && theirs == self.shared.as_ref()
        };
        match self.what {
            _ if is_own && attempt.request == self.request => true,
            None => true,
            Some(Refused::User) => is_login,
            Some(what @ Refused::Credential) => is_login && (is_own || presents(what)),
            Some(what @ Refused::Client) => is_own || presents(what),
            Some(Refused::Request) => false,
        }
    }

    fn withheld_from(&self, request: Request) -> Option<Withheld> {
        let what = match self.what {
            Some(what @ Refused::Credential) if request == Request::Login => what,
            Some(what @ Refused::Client) => what,
            Some(Refused::Credential | Refused::User | Refused::Request) | None => return None,
        };
        Some(Withheld {
            of: self.of.clone(),
            what,
            fingerprint: self.shared.clone()?,
        })
    }

    /// The session is refused again; or another is that presents the same, which confirms it.
    fn is_repeated_by(&self, later: &Self) -> bool {
        let same = self.of == later.of && self.request == later.request;
        let shared =
            self.what == later.what && self.shared.is_some() && self.shared == later.shared;
        same || shared && !self.confirmed
    }

    /// Where it is not known what was refused, what can be read now counts as refused: only a change from it ends the stop.
    fn is_mended_by(&mut self, presented: &Presented) -> bool {
        let config = self.config.get_or_insert_with(|| presented.config.clone());
        let reconfigured = *config != presented.config;
        if self.secrets.is_none() {
            self.secrets.clone_from(&presented.secrets);
        }
        let theirs = self.what.and_then(|what| part(what, presented));
        let exchanged = self.shared.is_some() && theirs != self.shared.as_ref();
        reconfigured || exchanged || self.secrets != presented.secrets
    }

    fn is_of_what_others_present(&self) -> bool {
        matches!(self.what, Some(Refused::Credential | Refused::Client))
    }
}

/// The part of what is presented that such a refusal is about.
fn part(what: Refused, presented: &Presented) -> Option<&String> {
    match what {
        Refused::Credential => presented.credential.as_ref(),
        Refused::Client => presented.client.as_ref(),
        Refused::User | Refused::Request => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_millis(1_000);

    #[test]
    fn each_kind_of_no_holds_back_what_would_be_refused_again_and_nothing_else() {
        let other = presenting("another", "another");
        let same_password = presenting("secret", "another");
        let same_client = presenting("another", "client");
        let nothing = Presented {
            credential: None,
            client: None,
            ..other.clone()
        };
        for (what, presented, login, renewal) in [
            (Refused::Credential, &other, false, false),
            (Refused::Credential, &same_password, true, false),
            (Refused::Credential, &same_client, false, false),
            (Refused::Credential, &nothing, false, false),
            (Refused::Client, &other, false, false),
            (Refused::Client, &same_password, false, false),
            (Refused::Client, &same_client, true, true),
            (Refused::Client, &nothing, false, false),
            (Refused::User, &other, true, false),
            (Refused::User, &nothing, true, false),
            (Refused::Request, &same_password, false, false),
        ] {
            let stops = stopped(what, Request::Login);
            let held = [Request::Login, Request::Renew].map(|request| {
                let attempt = Attempt {
                    session: "b",
                    request,
                    presented: None,
                };
                let withheld = stops.withheld_from(attempt);
                stops.holding(attempt).is_some()
                    || withheld.iter().any(|withheld| withheld.is_in(presented))
            });
            assert_eq!(held, [login, renewal], "{what:?} {presented:?}");
        }
    }

    #[test]
    fn the_session_that_was_refused_is_held_back_in_what_was_refused_and_what_presents_the_same() {
        for (what, request, login, renewal) in [
            (Refused::Credential, Request::Login, true, false),
            (Refused::Client, Request::Login, true, true),
            (Refused::User, Request::Login, true, false),
            (Refused::Request, Request::Login, true, false),
            (Refused::Credential, Request::Renew, true, true),
            (Refused::Client, Request::Renew, true, true),
            (Refused::User, Request::Renew, true, true),
            (Refused::Request, Request::Renew, false, true),
        ] {
            let stops = stopped(what, request);
            let held = [Request::Login, Request::Renew].map(|request| {
                stops
                    .holding(Attempt {
                        session: "a",
                        request,
                        presented: None,
                    })
                    .is_some()
            });
            assert_eq!(held, [login, renewal], "{what:?} to a {request:?}");
        }
    }

    #[test]
    fn a_stop_of_an_earlier_version_is_read_and_stops_everything() {
        let old = r#"{"since":1000,"reason":"invalid_grant","of":"a","secrets":"old"}"#;
        let mut stops: Stops = serde_json::from_str(old).unwrap();
        for request in [Request::Login, Request::Renew] {
            assert!(
                stops
                    .holding(Attempt {
                        session: "b",
                        request,
                        presented: None
                    })
                    .is_some()
            );
        }
        assert!(
            !stops.presents("a", &Presented::of("old")),
            "the same secrets, and a config that nobody noted"
        );
        assert!(stops.presents("a", &Presented::of("new")) && stops.is_empty());
        assert!(serde_json::from_str::<Stops>("null").unwrap().is_empty());
    }

    #[test]
    fn another_secret_or_another_config_of_the_session_ends_its_stop_and_nobody_elses() {
        let reconfigured = Presented {
            config: "another".into(),
            ..Presented::of("secret")
        };
        for (session, presented, ends) in [
            ("a", Presented::of("secret"), false),
            ("a", Presented::of("another"), true),
            ("a", reconfigured.clone(), true),
            ("b", reconfigured, false),
        ] {
            let mut stops = stopped(Refused::Client, Request::Login);
            assert_eq!(
                stops.presents(session, &presented),
                ends,
                "{session} {presented:?}"
            );
            assert_eq!(stops.is_empty(), ends);
        }
    }

    #[test]
    fn a_success_ends_what_it_disproves() {
        let shared = presenting("secret", "client");
        let by = |session, request, presented| Attempt {
            session,
            request,
            presented,
        };
        for (what, attempt, ends) in [
            (
                Refused::Credential,
                by("b", Request::Login, Some(&shared)),
                true,
            ),
            (Refused::Credential, by("b", Request::Login, None), false),
            (
                Refused::Credential,
                by("b", Request::Renew, Some(&shared)),
                false,
            ),
            (
                Refused::Client,
                by("b", Request::Renew, Some(&shared)),
                true,
            ),
            (Refused::User, by("b", Request::Login, None), true),
            (
                Refused::Request,
                by("b", Request::Login, Some(&shared)),
                false,
            ),
            (Refused::Request, by("a", Request::Login, None), true),
        ] {
            let mut stops = stopped(what, Request::Login);
            stops.accepted(attempt, NOW);
            assert_eq!(stops.is_empty(), ends, "{what:?} {attempt:?}");
        }
        let mut stops = stopped(Refused::User, Request::Login);
        stops.accepted(
            by("b", Request::Login, None),
            NOW.before(std::time::Duration::from_millis(1)),
        );
        assert!(
            !stops.is_empty(),
            "what was sent before the no says nothing of it"
        );
    }

    #[test]
    fn what_is_said_first_of_one_thing_and_then_of_another_is_confirmed_all_the_same() {
        let mut stops = Stops::default();
        assert!(!stops.refused(
            NOW,
            Refusal {
                confirm: true,
                ..no("a", Refused::Client, Request::Login)
            }
        ));
        assert!(
            stops
                .holding(Attempt {
                    session: "a",
                    request: Request::Login,
                    presented: None
                })
                .is_none()
        );
        assert!(stops.refused(
            NOW,
            Refusal {
                confirm: true,
                ..no("a", Refused::Request, Request::Login)
            }
        ));
    }

    #[test]
    fn the_same_client_of_two_sessions_is_refused_twice_in_all() {
        let mut stops = Stops::default();
        assert!(!stops.refused(
            NOW,
            Refusal {
                confirm: true,
                ..no("a", Refused::Client, Request::Login)
            }
        ));
        assert!(stops.refused(
            NOW,
            Refusal {
                confirm: true,
                ..no("b", Refused::Client, Request::Login)
            }
        ));
    }

    #[test]
    fn each_session_that_found_itself_about_to_present_the_same_has_a_stop_of_its_own() {
        let mut stops = stopped(Refused::Credential, Request::Login);
        assert!(stops.refused(NOW, no("b", Refused::Credential, Request::Login)));
        assert!(stops.of("a").is_some() && stops.of("b").is_some());
    }

    #[test]
    fn a_session_that_is_gone_leaves_stopped_what_others_present() {
        for (what, anybody, stays) in [
            (Refused::Credential, true, true),
            (Refused::Client, true, true),
            (Refused::Credential, false, false),
            (Refused::User, true, false),
            (Refused::Request, true, false),
        ] {
            let mut stops = stopped(what, Request::Login);
            stops.belong_to(&|session| session == "b", anybody);
            assert_eq!(!stops.is_empty(), stays, "{what:?}");
        }
    }

    fn presenting(credential: &str, client: &str) -> Presented {
        Presented {
            client: Some(client.to_owned()),
            ..Presented::of(credential)
        }
    }

    fn stopped(what: Refused, request: Request) -> Stops {
        let mut stops = Stops::default();
        assert!(stops.refused(NOW, no("a", what, request)));
        stops
    }

    fn no(of: &str, what: Refused, request: Request) -> Refusal {
        let presented = Some(Presented::of("secret"));
        Refusal {
            of: of.into(),
            request,
            what,
            reason: "invalid".into(),
            remedy: None,
            confirm: false,
            presented,
        }
    }
}
