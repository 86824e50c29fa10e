//! `keepfresh doctor`: one report on all that may be wrong, without any secret, and at its top what to do.

mod bundle;
mod clock;
mod daemon;
mod examined;
mod masked;
mod paths;
mod secrets;
mod system;
mod verdict;

use std::env;
use std::path::{Path, PathBuf};

use super::complete;
use super::exit::Exit;
use super::failure::Failure;
use super::output;
use super::status::Paper;
use crate::api::client::Client;
use crate::atomic_file::{self, Attributes};
use crate::config::{self, Config};
use crate::descriptors::keep_descriptors_from_children;
use crate::usual_places;
use bundle::{Bundle, Section};
use daemon::Daemon;
use examined::Examined;
use paths::Paths;
use system::System;

/// What `doctor` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The session to look at [default: all]
    #[arg(value_name = "NAME", add = complete::sessions())]
    name: Option<String>,
    /// The configuration, conf.d/*.toml beside it included [default: as for `run`]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write the report into a new file that only you may read; an existing file is not overwritten
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the report as JSON
    #[arg(long)]
    json: bool,
}

/// Looks at everything, and says it.
pub(super) fn run(socket: Option<&Path>, args: &Args) -> Result<Exit, Failure> {
    keep_descriptors_from_children();
    if let Some(path) = args.output.as_deref().filter(|path| path.exists()) {
        return Err(Failure::Report(already_there(path)));
    }
    let bundle = gathered(socket, args);
    let text = if args.json {
        bundle.json()
    } else {
        bundle.text()
    };
    let exit = bundle.exit();
    let Some(path) = &args.output else {
        if args.json {
            output::print(&text)?;
        } else {
            output::print_prose(&text)?;
        }
        return Ok(exit);
    };
    let attributes = Attributes {
        mode: 0o600,
        owner: None,
        group: None,
    };
    atomic_file::create(path, text.as_bytes(), attributes).map_err(|error| {
        Failure::Report(if error.error.kind() == std::io::ErrorKind::AlreadyExists {
            already_there(path)
        } else {
            format!("write the report: {error}")
        })
    })?;
    output::complain(&format!("keepfresh: wrote {}", path.display()));
    Ok(exit)
}

fn already_there(path: &Path) -> String {
    format!(
        "{} is there already, and nothing is overwritten; name another file with --output",
        path.display()
    )
}

fn gathered(socket: Option<&Path>, args: &Args) -> Bundle {
    let file = args.config.clone().unwrap_or_else(config::default_path);
    let asked = args.name.as_deref();
    let examined = Examined::of(&file, asked);
    let config = examined.config.as_ref();
    let place = socket_of(socket, config);
    let paper = if args.json || args.output.is_some() {
        Paper::of_a_file()
    } else {
        Paper::of_stdout().behind(bundle::INDENT.len())
    };
    let daemon = Daemon::asked(&Client::find(place.as_deref()), asked, paper);
    let system = System::asked();
    let paths = Paths::seen(&file, config);
    let clock = clock::seen(&paths);
    let seen = verdict::Seen {
        examined: &examined,
        daemon: &daemon,
        system: &system,
        clock: &clock,
        asked,
    };
    let sections = vec![
        Section::new("program", system::program()),
        Section::new("config", examined.lines()),
        Section::new("status", daemon.status_lines(&paper)),
        Section::new("events", daemon.event_lines()),
        Section::new("hosts", examined.host_lines()),
        Section::new("service", system.unit_lines()),
        Section::new("journal", system.journal_lines()),
        Section::new("clock", clock.lines.clone()),
        Section::new("paths", paths.lines()),
    ];
    Bundle {
        verdicts: seen.verdicts(),
        not_seen: seen.not_seen(),
        unknown: seen.unknown().is_some(),
        known: secrets::known(config),
        sections,
        sessions: daemon.sessions,
        config_errors: examined.errors,
        hosts: examined.hosts,
    }
}

/// Where the daemon listens: as the caller says, else as the config does where that is no usual place.
fn socket_of(named: Option<&Path>, config: Option<&Config>) -> Option<PathBuf> {
    let by_variable = env::var_os("KEEPFRESH_SOCKET").is_some_and(|path| !path.is_empty());
    let usual = Path::new(usual_places::SOCKET);
    let configured = || {
        config
            .map(|config| config.socket.path.clone())
            .filter(|path| !by_variable && path != usual)
    };
    named.map(Path::to_owned).or_else(configured)
}
