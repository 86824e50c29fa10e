//! Tells one receiver over HTTP: tries a few times, waits as long as it is asked to, and then lets it be.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::message::{self, Format};
use super::{Bell, Ended, Happening};
use crate::blotted::Blotted;
use crate::host_threads;
use crate::provider::{Again, Clients, HttpSettings, Undelivered, deliver};
use crate::secret::Secret;
use crate::secret_source::{SecretError, SecretSource};

/// One `[[alerts.webhook]]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Where.
    pub url: Address,
    /// What the receiver understands.
    pub format: Format,
    /// `PagerDuty`'s key of the service.
    pub routing_key: Option<SecretSource>,
    /// How to connect.
    pub http: Arc<HttpSettings>,
}

/// Where a receiver is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Everyone who knows it may post there.
    Secret(SecretSource),
    /// It is known to all, and the secret is a key.
    Public(Arc<str>),
}

/// A try takes no longer.
const LIMIT: Duration = Duration::from_secs(10);

/// With a second, two, four and eight between them, a restart of the receiver is outlived.
const TRIES: u32 = 5;

/// A receiver that asks for more has had enough for today.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// A stop waits so long for what is still to be told: the next start tells what is still true.
const LAST: Duration = Duration::from_secs(1);

/// One receiver.
pub(super) struct Receiver {
    /// Its place in the config, from 1: its address is secret.
    number: usize,
    config: WebhookConfig,
    clients: Clients,
}

impl Bell {
    /// When a stop has waited for long enough.
    pub(super) async fn end_of_patience(&self) {
        self.closing.notified().await;
        tokio::time::sleep(LAST).await;
    }
}

impl Receiver {
    pub(super) fn new(number: usize, config: WebhookConfig, clients: Clients) -> Self {
        Self {
            number,
            config,
            clients,
        }
    }

    /// Tells it, or gives up.
    pub(super) async fn tell(&self, happening: &Happening, bell: &Bell) -> Ended {
        for tried in 1.. {
            let Err(undelivered) = self.try_once(happening).await else {
                tracing::debug!(
                    session = happening.session,
                    webhook = self.number,
                    on = happening.occasion.word(),
                    "a webhook was told"
                );
                return Ended::Succeeded;
            };
            let Some(wait) = wait_after(tried, undelivered.again) else {
                self.report(happening, tried, &undelivered.problem);
                return Ended::Failed;
            };
            if bell.moves_on_from(happening, wait).await {
                return Ended::Overtaken;
            }
        }
        Ended::Failed
    }

    /// A stop does not wait any longer.
    pub(super) fn give_up(&self) {
        tracing::debug!(webhook = self.number, "the stop did not wait for a webhook");
    }

    /// On a thread of its own: a receiver can be slow in ways that no time-out sees.
    async fn try_once(&self, happening: &Happening) -> Result<(), Undelivered> {
        let (config, clients) = (self.config.clone(), self.clients.clone());
        let happening = happening.clone();
        let tried =
            host_threads::apart(async move { send(&config, &clients, &happening).await }).await;
        tried.unwrap_or_else(|| {
            Err(Undelivered {
                problem: Blotted::new("telling it ended in an internal error", &[]),
                again: Again::Never,
            })
        })
    }

    fn report(&self, happening: &Happening, tries: u32, problem: &Blotted) {
        let (session, webhook, format) = (
            happening.session.as_str(),
            self.number,
            self.config.format.word(),
        );
        let (on, problem) = (happening.occasion.word(), problem.as_str());
        tracing::warn!(
            session,
            event = "webhook_failed",
            webhook,
            format,
            on,
            tries,
            problem,
            "cannot send to a webhook"
        );
    }
}

impl Bell {
    /// Waits for so long; true, and earlier, when something came that leaves nothing to say of `happening`.
    async fn moves_on_from(&self, happening: &Happening, wait: Duration) -> bool {
        let mut pause = pin!(tokio::time::sleep(wait));
        loop {
            tokio::select! {
                () = &mut pause => return false,
                () = self.rung.notified() => {
                    if self.has_moved_on_from(happening) {
                        return true;
                    }
                }
            }
        }
    }
}

/// How long to wait before the next try; none when there is none.
fn wait_after(tried: u32, again: Again) -> Option<Duration> {
    let usual = Duration::from_secs(1) * 2_u32.pow(tried.saturating_sub(1).min(8));
    match again {
        Again::Later if tried < TRIES => Some(usual),
        Again::After(wait) if tried < TRIES && wait <= LONGEST_WAIT => Some(wait.max(usual)),
        Again::Never | Again::Later | Again::After(_) => None,
    }
}

pub(super) async fn send(
    config: &WebhookConfig,
    clients: &Clients,
    happening: &Happening,
) -> Result<(), Undelivered> {
    let url = match &config.url {
        Address::Secret(source) => source.read().await.map_err(|error| unread(&error))?,
        Address::Public(url) => Secret::new(&**url),
    };
    let key = match &config.routing_key {
        Some(source) => Some(source.read().await.map_err(|error| unread(&error))?),
        None => None,
    };
    let text = message::text(config.format, happening, &host(), key.as_ref());
    deliver(clients, &config.http, &url, text, key.as_ref(), LIMIT).await
}

/// This machine's name.
fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn unread(error: &SecretError) -> Undelivered {
    Undelivered {
        problem: Blotted::new(&format!("failed to {error}"), &[]),
        again: Again::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_end_and_a_receiver_that_asks_for_a_wait_gets_it() {
        let waits: Vec<_> = (1..=5)
            .map(|tried| wait_after(tried, Again::Later).map(|wait| wait.as_secs()))
            .collect();
        assert_eq!(waits, [Some(1), Some(2), Some(4), Some(8), None]);
        let asked = |seconds| {
            wait_after(1, Again::After(Duration::from_secs(seconds))).map(|wait| wait.as_secs())
        };
        assert_eq!(
            (asked(0), asked(30), asked(3600)),
            (Some(1), Some(30), None)
        );
        assert_eq!(wait_after(1, Again::Never), None);
    }
}
