//! The calls of a person's login, one step each.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::{Done, GRACE, Ticket, Work};
use crate::provider::{
    BrowserLogin, ByPerson, DeviceLogin, Held, PersonError, PersonGrant, Polled, Remote, Secrets,
};
use crate::secret::Secret;
use crate::secret_source::SecretSource;

/// One step, with all it needs.
pub struct PersonErrand {
    /// The session.
    pub of: Ticket,
    /// The login that it belongs to.
    pub login: String,
    /// What is to be done.
    pub step: PersonStep,
    /// The session's server.
    pub remote: Arc<Remote>,
    /// The host whose queue it uses.
    pub host: String,
    /// Where the client's secrets are.
    pub secrets: Vec<(String, SecretSource)>,
    /// The server's wall clock minus ours.
    pub skew_millis: i64,
    /// How long the step may take.
    pub timeout: Duration,
}

/// What a person's login is made of.
#[derive(Clone, Debug)]
pub enum PersonStep {
    /// Begin it. The browser's return can be received at this port.
    Begin(Option<u16>),
    /// Exchange the code that the browser brought.
    Redeem(Arc<BrowserLogin>, Secret),
    /// Ask whether the device's login is done.
    Poll(Arc<DeviceLogin>),
}

/// What a step came to.
#[derive(Debug)]
pub enum PersonDone {
    /// A browser may go on.
    Browser(BrowserLogin),
    /// Any device may go on.
    Device(DeviceLogin),
    /// A poll: granted, or not yet.
    Polled(Polled),
    /// A token.
    Granted(Box<PersonGrant>),
    /// The login is over.
    Failed(PersonError),
}

/// Sends the step on its way. Its task always ends with [`Done::ByPerson`].
pub fn person(work: &mut Work, errand: PersonErrand) {
    let host = errand.host.clone();
    work.call(&host, async move {
        let limit = errand.timeout.saturating_mul(2) + GRACE;
        let attempt = AssertUnwindSafe(tokio::time::timeout(limit, carry_out(&errand)))
            .catch_unwind()
            .await;
        let failed = |why: &'static str| PersonDone::Failed(PersonError::Server(why.into()));
        let came = match attempt {
            Ok(Ok(came)) => came,
            Ok(Err(_)) => failed("no answer within the time-out"),
            Err(_) => failed("an internal error; please report it with the log"),
        };
        let PersonErrand {
            of, login, host, ..
        } = errand;
        Done::ByPerson {
            of,
            login,
            host,
            came,
        }
    });
}

async fn carry_out(errand: &PersonErrand) -> PersonDone {
    let mut secrets = Secrets::new();
    for (name, source) in &errand.secrets {
        match source.read_parameter(name).await {
            Ok(secret) => secrets.insert(name.clone(), secret),
            Err(error) => {
                return PersonDone::Failed(PersonError::Impossible(format!(
                    "{name}: cannot {error}"
                )));
            }
        };
    }
    let held = Held {
        call: 0,
        token: None,
        refresh_token: None,
        skew_millis: errand.skew_millis,
        timeout: errand.timeout,
    };
    let remote = &errand.remote;
    let came = match (&errand.step, remote.by_person()) {
        (PersonStep::Begin(port), Some(ByPerson::Browser)) => remote
            .begin_browser(*port, errand.timeout)
            .await
            .map(PersonDone::Browser),
        (PersonStep::Begin(_), Some(ByPerson::Device)) => remote
            .begin_device(held, &secrets)
            .await
            .map(PersonDone::Device),
        (PersonStep::Begin(_), None) => Err(PersonError::Impossible(
            "the daemon logs in by itself; no browser is needed".to_owned(),
        )),
        (PersonStep::Redeem(login, code), _) => {
            let granted = remote.redeem(login, code, held, &secrets).await;
            granted.map(|granted| PersonDone::Granted(Box::new(granted)))
        }
        (PersonStep::Poll(login), _) => Ok(match remote.poll_device(login, held, &secrets).await {
            Polled::Granted(granted) => PersonDone::Granted(granted),
            Polled::Over(error) => PersonDone::Failed(error),
            polled @ (Polled::Pending | Polled::SlowDown | Polled::Silent) => {
                PersonDone::Polled(polled)
            }
        }),
    };
    came.unwrap_or_else(PersonDone::Failed)
}
