//! Arguments, and what people see.
//!
//! Except for `run`, `check`, `add` and `doctor`, every command is a client: it reads no config and builds no runtime.

mod add;
mod asked;
mod calibrate;
pub mod check;
mod complete;
pub mod demo;
mod doctor;
pub mod sandbox;

mod events;
mod exec;
mod exit;
mod failure;
mod fold;
mod health;
mod help;
mod login;
mod manual;
mod order;
mod output;
mod providers;
mod reload;
mod report;
mod run;
mod schema;
mod status;
mod systemctl;
mod token;
mod topics;
mod wait;
mod waiting;
mod words;

/// What strangers say to a command, for `crate::fuzz`.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    pub(crate) use super::login::fuzz as browser;
}

use std::env;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::styling::{Style, Styles};
use clap::{CommandFactory, Parser, Subcommand};

use crate::api::Order;
use crate::api::client::Client;
use crate::api::duration;
use crate::hardening::forbid_dumps;
use exit::Exit;
use failure::Failure;

const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  it failed
   2  the command line is wrong
  69  the daemon is not running
  75  try again: not fresh within --wait
  77  not allowed
  78  the configuration is wrong
  79  a person is needed
  80  no such session";

const WHERE_NEXT: &str =
    "Something is wrong: `keepfresh help troubleshooting`. All topics: `keepfresh help`.";

/// As usual, but for the yellow, which cannot be read on white.
const STYLES: Styles = Styles::styled()
    .invalid(Style::new().bold())
    .valid(Style::new().bold());

/// Keeps API sessions alive, so that no job ever meets a dead token.
#[derive(Debug, Parser)]
#[command(
    name = "keepfresh",
    version,
    styles = STYLES,
    after_help = format!("{EXIT_CODES}\n\n{WHERE_NEXT}"),
    max_term_width = 100,
    disable_help_subcommand = true
)]
struct Cli {
    /// The daemon's socket; without it `$KEEPFRESH_SOCKET`, else the system's daemon, else the user's
    #[arg(long, global = true, value_name = "PATH", display_order = 99)]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// Jobs start a command for each token: only the arguments of the one that was chosen are built.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Command {
    /// Run the daemon
    Run(run::RunArgs),
    /// Check the configuration, and say what the daemon would do
    Check(check::Args),
    /// Find out what is wrong: one report on config, daemon, service, network, clock and permissions, without any secret
    Doctor(doctor::Args),
    /// Add a session: ask what is needed, make key and certificate, write the config, wait for the first token
    Add(add::Args),
    /// Run a command with fresh tokens in its environment
    Exec(exec::Args),
    #[command(flatten)]
    Client(ClientCommand),
    /// Run a session server on loopback, to try things against
    Sandbox(sandbox::Args),
    /// Watch a session being kept alive, in ten seconds
    Demo(demo::Args),
    /// List the kinds of server, show what one needs, or check a profile of your own
    Providers(providers::Args),
    /// Print the JSON Schema of the configuration or of profiles, by which editors check and complete them
    Schema(schema::Args),
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Explain a command or a topic: troubleshooting, salesforce, install and more
    Help(help::Args),
    /// Print the man pages, for packaging
    #[command(hide = true)]
    Manual(manual::Args),
}

/// The commands that ask the running daemon.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum ClientCommand {
    /// Show the sessions: how they are, and what happens next
    Status(status::Args),
    /// Print a session's token, once it is fresh
    Token(token::Args),
    /// Wait until sessions are good, before a unit or script starts
    Wait(wait::Args),
    /// Follow what happens to the sessions, across restarts of the daemon
    Events(events::Args),
    /// Report that a job used the token with success; that saves a ping
    Used(report::UsedArgs),
    /// Report that the server rejected the token, and wait for a better one
    Rejected(report::RejectedArgs),
    /// Ping now, to prove that the token is good (admins)
    Verify(order::Args),
    /// Find out whether a ping extends the session: asks for the expiry, pings, asks again
    Calibrate(calibrate::Args),
    /// Renew the token without a full login (admins)
    Renew(order::Args),
    /// Log in now, even if automatic logins are stopped; guides you through a browser or device login (admins)
    Login(login::Args),
    /// Withdraw the token and end the session at the server; only `login` begins a new one (admins)
    Logout(order::Args),
    /// Make no more calls for the session until it is resumed; its token stays readable (admins)
    Pause(order::Args),
    /// End a pause (admins)
    Resume(order::Args),
    /// Read the configuration again, and wait until it is in force (admins)
    Reload(reload::Args),
    /// Check that the daemon makes progress, and with --ready that the sessions are good
    Health(health::Args),
}

/// The whole program.
pub fn main() -> ExitCode {
    if let Some(exit) = complete::answer(Cli::command) {
        return exit.into();
    }
    forbid_dumps();
    let words: Vec<OsString> = env::args_os().collect();
    let json = asked::json(&words);
    let Cli { socket, command } = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => return usage(&asked::explained(error, &words), json),
    };
    if socket.is_some()
        && !matches!(
            command,
            Command::Client(_) | Command::Exec(_) | Command::Add(_) | Command::Doctor(_)
        )
    {
        return usage(&needless_socket(), json);
    }
    let command = match command {
        Command::Run(args) => return run::run(args).into(),
        Command::Check(args) => return check::run(&args),
        Command::Doctor(args) => return end(doctor::run(socket.as_deref(), &args), json),
        Command::Add(args) => return add::run(socket.as_deref(), &args),
        Command::Sandbox(args) => return sandbox::run(args),
        Command::Demo(args) => return demo::run(args),
        Command::Completions { shell } => return end(complete::script(shell), json),
        Command::Schema(args) => return end(schema::run(&args), json),
        Command::Help(args) => return end(help::run(&args), json),
        Command::Manual(args) => return end(manual::run(&args), json),
        Command::Exec(args) => {
            return exec::run(&client(socket.as_deref()), socket.as_deref(), &args);
        }
        Command::Providers(args) => return end(providers::run(&args), json),
        Command::Client(command) => command,
    };
    let client = client(socket.as_deref());
    end(
        ask(&client, command).map_err(|failure| asked::meant(&client, failure)),
        json,
    )
}

/// At a terminal it says what it waits for; jobs wait in silence.
fn client(socket: Option<&Path>) -> Client {
    let client = Client::find(socket);
    if io::stderr().is_terminal() {
        client.announcing(waiting::say)
    } else {
        client
    }
}

fn end(outcome: Result<Exit, Failure>, json: bool) -> ExitCode {
    let exit = outcome.unwrap_or_else(|failure| {
        if json {
            // Where even this cannot be written, the sentence on standard error remains.
            let _ = output::print_json(&failure.document());
        }
        failure.report()
    });
    exit.into()
}

/// Carries out what the running daemon is asked.
fn ask(client: &Client, command: ClientCommand) -> Result<Exit, Failure> {
    match command {
        ClientCommand::Status(args) => status::run(client, &args),
        ClientCommand::Token(args) => token::run(client, &args),
        ClientCommand::Wait(args) => wait::run(client, &args),
        ClientCommand::Events(args) => events::run(client, &args),
        ClientCommand::Used(args) => report::used(client, &args),
        ClientCommand::Rejected(args) => report::rejected(client, &args),
        ClientCommand::Verify(args) => order::run(client, &args, Order::Verify),
        ClientCommand::Calibrate(args) => calibrate::run(client, &args),
        ClientCommand::Renew(args) => order::run(client, &args, Order::Renew),
        ClientCommand::Login(args) => login::run(client, &args),
        ClientCommand::Logout(args) => order::run(client, &args, Order::Logout),
        ClientCommand::Pause(args) => order::run(client, &args, Order::Pause),
        ClientCommand::Resume(args) => order::run(client, &args, Order::Resume),
        ClientCommand::Reload(args) => reload::run(client, &args),
        ClientCommand::Health(args) => health::run(client, &args),
    }
}

/// Accepted in silence, it would look as if it moved the daemon's socket.
fn needless_socket() -> clap::Error {
    let message = "--socket is for commands that ask the daemon; the daemon itself listens where [socket] of its config says";
    Cli::command().error(clap::error::ErrorKind::ArgumentConflict, message)
}

/// Help and version are no failures; clap knows where each is printed.
fn usage(error: &clap::Error, json: bool) -> ExitCode {
    if json && error.use_stderr() {
        let _ = output::print_json(&failure::usage_document(&error.render().to_string()));
    }
    if error.use_stderr() {
        output::complain(error.render().ansi().to_string().trim_end());
        Exit::Usage.into()
    } else {
        let _ = error.print();
        Exit::Done.into()
    }
}

/// For `value_parser`: a duration, with the error that people see.
fn parse_duration(text: &str) -> Result<Duration, duration::DurationError> {
    duration::parse(text)
}

/// The path of one session, its name escaped.
fn session_path(name: &str, tail: &str) -> String {
    let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    format!("/v1/sessions/{name}{tail}")
}

#[cfg(test)]
mod tests;
