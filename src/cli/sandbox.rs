//! `keepfresh sandbox`: a Salesforce-like server on loopback until Ctrl-C.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use futures_util::StreamExt as _;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_tokio::Signals;

use crate::duration::{self, NoDuration};
use crate::sandbox::{HELP, Model, Sandbox, Settings};

/// Run a Salesforce-like session server on loopback, to drill jobs and keepfresh itself
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// End sessions that are idle for this long
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = positive_duration)]
    idle_timeout: Duration,
    /// What restarts the idle timer
    #[arg(long, value_enum, default_value = "half_window")]
    model: Model,
    /// Hand out a new refresh token with each refresh, and punish the use of a spent one
    #[arg(long)]
    rotation: bool,
    /// Let a login return the token of the living session
    #[arg(long)]
    same_token: bool,
    /// Write config.toml and the secrets there, for `keepfresh run --config DIR/config.toml`
    #[arg(long, value_name = "DIR")]
    write_config: Option<PathBuf>,
}

/// A duration as everywhere in keepfresh: `90s`, `2h`, `1h 30m`.
pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    let duration = duration::parse(text).map_err(|why| match why {
        NoDuration::Unreadable | NoDuration::WithoutFixedLength => {
            "write it like 90s, 2h or 1h 30m".to_owned()
        }
        NoDuration::Negative => "a duration cannot be negative".to_owned(),
    })?;
    if duration.is_zero() {
        Err("a duration of zero would end every session at once".to_owned())
    } else {
        Ok(duration)
    }
}

/// Runs until Ctrl-C or SIGTERM.
pub fn run(args: Args) -> ExitCode {
    let listen = args.listen;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime.and_then(|runtime| runtime.block_on(serve(args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(
                io::stderr(),
                "keepfresh sandbox: failed to serve on {listen}: {error}"
            );
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> io::Result<()> {
    let Args {
        listen,
        idle_timeout,
        model,
        rotation,
        same_token,
        write_config,
    } = args;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let settings = Settings {
        idle_timeout,
        model,
        rotation,
        same_token,
        ..Settings::default()
    };
    let mut sandbox = Sandbox::start_at(listen, settings).await?;
    let directory = std::path::absolute(write_config.as_deref().unwrap_or(Path::new(".")))?;
    let config = sandbox
        .credentials()
        .config(sandbox.url(), idle_timeout, &directory, "");
    if write_config.is_some() {
        sandbox.credentials().write(&directory, &config)?;
    }
    // A closed pipe takes the announcement away, not the server.
    let _ = io::stdout().write_all(announcement(&sandbox, &config, write_config).as_bytes());
    let _ = io::stdout().flush();
    tokio::select! {
        () = sandbox.run() => {}
        _ = signals.next() => {}
    }
    sandbox.stop().await;
    Ok(())
}

fn announcement(sandbox: &Sandbox, config: &str, written: Option<PathBuf>) -> String {
    let credentials = sandbox.credentials();
    let use_it = match written {
        Some(directory) => {
            format!(
                "Written. Now run:\n\n  keepfresh run --config {}\n",
                directory.join("config.toml").display()
            )
        }
        None => format!(
            "With --write-config DIR this config and its secrets are written for you:\n\n{config}"
        ),
    };
    format!(
        "Listening on {}\n\nclient_id       {}\nclient_secret   {}\nusername        {}\npassword        {}\n\
         security_token  {}\nrefresh_token   {}\nsecond url      {}\n\n{use_it}\n\
         Drill it: curl -X POST {}/sandbox/revoke -d '{{\"what\": \"access\"}}'; more: keepfresh sandbox --help\n",
        sandbox.url(),
        credentials.client_id,
        credentials.client_secret,
        credentials.username,
        credentials.password,
        credentials.security_token,
        credentials.refresh_token,
        sandbox.second_url(),
        sandbox.url(),
    )
}
