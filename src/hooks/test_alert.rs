//! One message that says it is a test, to all whom an alert would reach.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::child::{self, Problem};
use super::message::Format;
use super::webhook::{WebhookConfig, send};
use super::{AlertsConfig, Happening, Occasion, Program};
use crate::blotted::Blotted;
use crate::host_threads;
use crate::provider::Clients;

/// Two messages and the commands that print two secrets take no longer.
const LIMIT: Duration = Duration::from_secs(40);

/// So much of what a failed program printed is told.
const LONGEST_OUTPUT: usize = 200;

/// Sends each program and each webhook of `[alerts]` one test, all at once, and once only; an incident that this opens at
/// `PagerDuty` is resolved at once. The answers come in the order of the config, the programs first.
///
/// # Errors
/// Of each, why it did not take the test; nothing of a receiver's address or key.
pub async fn send_test(
    config: &AlertsConfig,
    socket: &Path,
    at: Timestamp,
) -> Vec<Result<(), Blotted>> {
    let clients = Clients::default();
    let programs = join_all(config.on_attention.iter().map(async |command| {
        let program = Program {
            command: command.clone(),
            socket: socket.to_owned(),
        };
        program.send_test(&test(Occasion::Attention, at)).await
    }));
    let webhooks = join_all(config.webhooks.iter().map(|webhook| {
        let (webhook, clients) = (webhook.clone(), clients.clone());
        within_limit(async move { post(&webhook, &clients, at).await })
    }));
    let (mut answers, webhooks) = tokio::join!(programs, webhooks);
    answers.extend(webhooks);
    answers
}

impl Program {
    async fn send_test(&self, test: &Happening) -> Result<(), Blotted> {
        let ended = child::run(&self.command, &self.variables(test)).await;
        let Some(problem) = ended.problem else {
            return Ok(());
        };
        let said = ended.output.lines().rfind(|line| !line.trim().is_empty());
        let said = said.filter(|_| matches!(problem, Problem::Failed(_)));
        let said = said.map(|line| format!(", and its output ends with: {line}"));
        let told = Blotted::new(&format!("{problem}{}", said.unwrap_or_default()), &[]);
        Err(told.cut(LONGEST_OUTPUT))
    }
}

/// On a thread of its own: a receiver can be slow in ways that no time-out sees.
async fn within_limit(
    posting: impl Future<Output = Result<(), Blotted>> + Send + 'static,
) -> Result<(), Blotted> {
    let problem = match tokio::time::timeout(LIMIT, host_threads::apart(posting)).await {
        Ok(Some(answer)) => return answer,
        Ok(None) => "telling it ended in an internal error".to_owned(),
        Err(_) => format!("it took longer than {} s", LIMIT.as_secs()),
    };
    Err(Blotted::new(&problem, &[]))
}

async fn post(config: &WebhookConfig, clients: &Clients, at: Timestamp) -> Result<(), Blotted> {
    let mut sent = send(config, clients, &test(Occasion::Attention, at)).await;
    if sent.is_ok() && config.format == Format::PagerDuty {
        sent = send(config, clients, &test(Occasion::Recovered, at)).await;
    }
    sent.map_err(|undelivered| undelivered.problem)
}

fn test(occasion: Occasion, at: Timestamp) -> Happening {
    Happening {
        session: "keepfresh-test".to_owned(),
        occasion,
        is_test: true,
        generation: None,
        reason: "`keepfresh check --test-alerts` sent this; no session is in trouble".to_owned(),
        remedy: "nothing: the alerts arrive".to_owned(),
        at,
        owner: None,
        runbook: None,
        files: None,
        secret: None,
    }
}
