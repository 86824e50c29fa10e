//! The chapters: each says what will happen, waits for it, and fails when it does not.

use std::time::Duration;

use serde_json::json;

use super::DemoError;
use super::narrator::Voice;
use super::stage::Stage;
use crate::sandbox::Kind;

/// For what happens at once, on a busy machine.
const SOON: Duration = Duration::from_secs(8);
const OUTAGE: usize = 2;

pub(super) async fn tell(stage: &mut Stage) -> Result<(), DemoError> {
    log_in(stage).await?;
    keep_alive(stage).await?;
    revoke(stage).await?;
    outage(stage).await?;
    sum_up(stage).await
}

async fn log_in(stage: &mut Stage) -> Result<(), DemoError> {
    stage
        .narrator
        .chapter("1. A server that ends idle sessions, and a daemon that logs in")?;
    let server = format!(
        "listening on {}, idle timeout {:?}",
        stage.sandbox.url(),
        stage.idle_timeout
    );
    stage.narrator.say(Voice::Server, &server)?;
    stage
        .until("a token in the file", SOON, Stage::file_is_good)
        .await
}

/// Until the session has outlived its timeout: the pings, not the login, keep it.
async fn keep_alive(stage: &mut Stage) -> Result<(), DemoError> {
    stage
        .narrator
        .chapter("2. Pings keep the session, as few as the server's half-window rule allows")?;
    let token = stage.held.clone();
    let outlived = |stage: &Stage| {
        let age = stage
            .sandbox
            .sessions()
            .last()
            .map_or(0.0, |session| session.age_seconds);
        age > stage.idle_timeout.as_secs_f64() * 1.1
    };
    stage
        .until(
            "a session older than its timeout",
            stage.idle_timeout * 2,
            outlived,
        )
        .await?;
    expect(
        stage.file_is_good() && stage.held == token,
        "the first token still good after its idle timeout",
    )?;
    expect(stage.sandbox.count(Kind::Login) == 1, "one login only")?;
    let pings = stage.sandbox.count(Kind::Ping);
    stage.narrator.say(
        Voice::Demo,
        &format!("the session has outlived its idle timeout: {pings} pings, 1 login"),
    )
}

async fn revoke(stage: &mut Stage) -> Result<(), DemoError> {
    stage
        .narrator
        .chapter("3. An admin ends the session; the next ping finds out")?;
    order(stage, "revoke", json!({ "what": "access" }))?;
    stage
        .narrator
        .say(Voice::Demo, "revoked: the token in the file is dead")?;
    let patience = stage.idle_timeout.saturating_add(SOON);
    stage
        .until("a new token in the file", patience, Stage::file_is_good)
        .await?;
    expect(
        stage.answered(Kind::Ping, 401) >= 1,
        "a ping answered with 401",
    )?;
    expect(
        stage.sandbox.count(Kind::Login) == 2,
        "exactly one more login",
    )?;
    stage.narrator.say(
        Voice::Demo,
        "recovered by one login; a job that reports the 401 has it at once",
    )
}

async fn outage(stage: &mut Stage) -> Result<(), DemoError> {
    stage
        .narrator
        .chapter("4. An outage costs nothing: an unreachable server is no dead session")?;
    let (token, without) = (stage.held.clone(), stage.without);
    let good = stage.answered(Kind::Ping, 200);
    order(
        stage,
        "outage",
        json!({ "kind": "refuse", "requests": OUTAGE }),
    )?;
    stage.narrator.say(
        Voice::Demo,
        &format!("the next {OUTAGE} requests are answered with 503"),
    )?;
    let over = |stage: &Stage| {
        stage.answered(Kind::Ping, 503) == OUTAGE && stage.answered(Kind::Ping, 200) > good
    };
    stage
        .until(
            "a ping that succeeds after the outage",
            stage.idle_timeout.saturating_add(SOON),
            over,
        )
        .await?;
    expect(
        stage.file_is_good() && stage.held == token,
        "the same token, still good",
    )?;
    expect(stage.without == without, "the file in place throughout")?;
    expect(stage.sandbox.count(Kind::Login) == 2, "no login")?;
    stage.narrator.say(
        Voice::Demo,
        "same token, no login, the file was there throughout",
    )
}

/// A stop leaves the session and the file alone.
async fn sum_up(stage: &mut Stage) -> Result<(), DemoError> {
    stage
        .narrator
        .chapter("5. The daemon stops; session and file stay")?;
    let exit = stage.daemon.stop().await;
    expect(
        exit.is_some_and(|status| status.success()),
        "the daemon to stop when asked",
    )?;
    stage.look()?;
    expect(
        stage.file_is_good(),
        "a good token in the file after the stop",
    )?;
    let log = stage.sandbox.log();
    let total: u64 = log.counts.values().sum();
    let (logins, pings) = (log.count(Kind::Login), log.count(Kind::Ping));
    stage.narrator.say(
        Voice::Demo,
        &format!("{total} calls in all: {logins} logins, {pings} pings"),
    )?;
    let without = stage.without.as_secs_f64();
    stage.narrator.say(
        Voice::Demo,
        &format!("the file was without a token for {without:.2} s after the first login"),
    )?;
    let revoked = stage.stale.as_secs_f64();
    stage.narrator.say(
        Voice::Demo,
        &format!("it held the revoked token for {revoked:.2} s, until a ping noticed"),
    )?;
    stage
        .narrator
        .chapter("Next: `keepfresh add` sets up a session of your own, `keepfresh help` says more")
}

fn order(stage: &Stage, control: &str, body: serde_json::Value) -> Result<(), DemoError> {
    stage
        .sandbox
        .control(control, body)
        .map(drop)
        .map_err(|error| DemoError::Unexpected(error.to_string()))
}

fn expect(seen: bool, what: &str) -> Result<(), DemoError> {
    if seen {
        Ok(())
    } else {
        Err(DemoError::Unexpected(what.to_owned()))
    }
}
