//! `keepfresh add`: a new session, whole or not at all.

mod files;
mod key;
mod terminal;
mod wanted;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use zeroize::Zeroizing;

use super::exit::Exit;
use super::failure::Failure;
use super::{check, output, parse_duration, schema, token};
use crate::api::client::{Call, Client, ClientError};
use crate::api::problem::Kind;
use crate::clock;
use crate::config::{self, Config};
use crate::session::policy::LoginBy;
use crate::strangers::{self, Trusted};
use files::{Made, already_there};
use terminal::{Stopped, Terminal};
use wanted::{Given, Interview, SecretFrom, Wanted};

/// No secret is longer.
const LONGEST_SECRET: u64 = 64 * 1024;

/// How long a reload may take.
const RELOAD: Duration = Duration::from_secs(30);

/// What `add` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "At a terminal, what is not given is asked for. Elsewhere nothing is asked, and what is missing is named.\n\
                        `keepfresh providers KIND` says what a kind of server needs."
)]
pub(super) struct Args {
    /// The session's name: lower-case letters, digits, `_` and `-`
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The kind of server, as in `keepfresh providers`
    #[arg(long, value_name = "KIND")]
    provider: Option<String>,
    /// The server
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The way to log in
    #[arg(long, value_name = "GRANT")]
    grant: Option<String>,
    /// A key of the login that is no secret, or `idle_timeout`, `owner`, `runbook`; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A secret of the login, from a file, or with `-` from standard input; may be repeated
    #[arg(long, value_name = "KEY=PATH")]
    secret_file: Vec<String>,
    /// The configuration beside which conf.d/NAME.toml is written [default: as for `run`]
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the file that would be written, and make nothing
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for the first token
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    wait: Duration,
}

/// Why no session was added.
struct Problem {
    exit: Exit,
    text: String,
}

impl Problem {
    fn usage(text: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            text: text.into(),
        }
    }

    fn failed(text: impl Into<String>) -> Self {
        Self {
            exit: Exit::Failed,
            text: text.into(),
        }
    }
}

impl From<Stopped> for Problem {
    fn from(_: Stopped) -> Self {
        Self::failed("stopped; nothing was added")
    }
}

/// Runs the command.
pub(super) fn run(socket: Option<&Path>, args: &Args) -> ExitCode {
    match add(socket, args) {
        Ok(exit) => exit.into(),
        Err(Problem { exit, text }) => {
            output::complain(&format!("keepfresh: {text}"));
            exit.into()
        }
    }
}

/// The config as it is, and where the pieces of a session go.
struct Place {
    main: PathBuf,
    /// None where there is no main file yet.
    config: Option<Config>,
    directory: PathBuf,
}

impl Place {
    fn find(given: Option<&Path>) -> Result<Self, Problem> {
        let main = given.map_or_else(config::default_path, Path::to_owned);
        let main = std::path::absolute(&main).unwrap_or(main);
        let directory = main.parent().unwrap_or(Path::new("/")).to_owned();
        if !main.exists() {
            return Ok(Self {
                main,
                config: None,
                directory,
            });
        }
        match config::load(&main) {
            Ok(config) => Ok(Self {
                main,
                config: Some(config),
                directory,
            }),
            Err(errors) => {
                let text = format!(
                    "{}\n\nthe config has these errors already: correct them first",
                    errors.render(true)
                );
                Err(Problem {
                    exit: Exit::Config,
                    text,
                })
            }
        }
    }

    fn fragment(&self, name: &str) -> PathBuf {
        self.directory.join(format!("conf.d/{name}.toml"))
    }

    fn secrets(&self) -> PathBuf {
        self.directory.join("secrets")
    }

    fn certificate(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}-certificate.pem"))
    }

    fn is_free(&self, name: &str) -> Result<(), Problem> {
        if self
            .config
            .as_ref()
            .is_some_and(|config| config.sessions.contains_key(name))
        {
            let text = format!(
                "there is a session {name} already, and nothing is overwritten; choose another name"
            );
            return Err(Problem::failed(text));
        }
        let fragment = self.fragment(name);
        if fragment.symlink_metadata().is_ok() {
            Err(Problem::failed(already_there(&fragment)))
        } else {
            Ok(())
        }
    }

    /// A config that is there was judged when it was read. Where there is none, no secret must be asked for that would be
    /// written where a stranger could take it.
    fn is_out_of_reach(&self) -> Result<(), Problem> {
        let trusted = Trusted::of_this_process();
        match strangers::refusal(&self.main, &trusted).filter(|_| self.config.is_none()) {
            Some(finding) => Err(Problem::failed(format!(
                "{} {finding}; {}, or name another place by --config; nothing was added",
                self.main.display(),
                finding.remedy()
            ))),
            None => Ok(()),
        }
    }

    fn providers_dir(&self) -> PathBuf {
        let beside = || self.directory.join("providers");
        self.config
            .as_ref()
            .map_or_else(beside, |config| config.daemon.providers_dir.clone())
    }

    /// Who must be able to read the secrets: before the daemon has run once, whose the directory is tells it.
    fn reader(&self) -> u32 {
        let own = rustix::process::geteuid();
        if !own.is_root() {
            return own.as_raw();
        }
        let of_state = self
            .config
            .as_ref()
            .filter(|config| config.daemon.state_dir.exists())
            .map(Config::daemon_user);
        let of_secrets = || fs::metadata(self.secrets()).ok().map(|found| found.uid());
        of_state.or_else(of_secrets).unwrap_or(own.as_raw())
    }
}

fn add(socket: Option<&Path>, args: &Args) -> Result<Exit, Problem> {
    let place = Place::find(args.config.as_deref())?;
    let terminal = Terminal::find();
    let given = Given {
        name: args.name.as_deref(),
        provider: args.provider.as_deref(),
        url: args.url.as_deref(),
        grant: args.grant.as_deref(),
        set: &args.set,
        secret_file: &args.secret_file,
        providers_dir: place.providers_dir(),
    };
    let mut interview = Interview::new(given, terminal.as_ref());
    let mut wanted = interview.begin(|name| place.is_free(name))?;
    interview.take_flags(&mut wanted)?;
    if args.dry_run {
        interview.finish(&mut wanted, true)?;
        let printed = output::print(&(schema::directive() + &wanted.toml(&place.secrets())));
        return printed.map_err(|failure| Problem {
            exit: failure.exit(),
            text: failure.sentence(),
        });
    }
    place.is_out_of_reach()?;
    let mut made = Made::default();
    let has_new_key = wanted.needs_key();
    // What a key is called at the server is known once the server has its certificate, so a person is asked afterwards.
    if terminal.is_some() {
        make_key(&place, &mut wanted, &mut made)?;
        tell_steps(&place, &wanted);
    }
    interview.finish(&mut wanted, false)?;
    make_key(&place, &mut wanted, &mut made)?;
    let config = write(&place, &wanted, &mut made)?;
    if terminal.is_none() {
        tell_steps(&place, &wanted);
        if has_new_key {
            made.keep();
            let next = format!(
                "then run `keepfresh reload` and `keepfresh wait {}`",
                wanted.name
            );
            return say(&format!(
                "{} is written; do the above at the server, {next}\n",
                place.fragment(&wanted.name).display()
            ));
        }
    }
    let client = socket_of(socket, &config);
    take_into_force(&client, &place, &wanted, made, args.wait, &config)
}

/// The daemon of this config, unless another is named.
fn socket_of(socket: Option<&Path>, config: &Config) -> Client {
    let is_named = std::env::var_os("KEEPFRESH_SOCKET").is_some_and(|path| !path.is_empty());
    Client::find(socket.or(if is_named {
        None
    } else {
        Some(config.socket.path.as_path())
    }))
}

fn make_key(place: &Place, wanted: &mut Wanted, made: &mut Made) -> Result<(), Problem> {
    let new = wanted
        .secrets
        .iter()
        .find(|(_, secret)| matches!(secret, SecretFrom::New));
    let Some(parameter) = new.map(|(parameter, _)| parameter.clone()) else {
        return Ok(());
    };
    let title: String = format!("keepfresh {}", wanted.name)
        .chars()
        .take(64)
        .collect();
    let pair = key::make(&title, clock::now().wall).map_err(|_| {
        Problem::failed("failed to make a key: the machine gives no random numbers")
    })?;
    let path = wanted.secret_file(&place.secrets(), &parameter);
    made.secret(&path, &pair.private_key, place.reader())
        .map_err(|text| {
            Problem::failed(format!(
                "{text}; a key that is there is taken by --secret-file {parameter}={}",
                path.display()
            ))
        })?;
    made.public(&place.certificate(&wanted.name), &pair.certificate)
        .map_err(Problem::failed)?;
    wanted.secrets.insert(parameter, SecretFrom::File(path));
    Ok(())
}

/// What a person does at the server, as the profile says.
fn tell_steps(place: &Place, wanted: &Wanted) {
    let certificate = place.certificate(&wanted.name);
    if wanted.grant.setup.is_empty() {
        if certificate.exists() {
            output::complain(&format!(
                "\nAt the server, register the certificate {}.\n",
                certificate.display()
            ));
        }
        return;
    }
    output::complain(&format!("\nAt the server ({}):\n", wanted.profile.title()));
    for (index, step) in wanted.grant.setup.iter().enumerate() {
        let step = step.replace("{certificate}", &certificate.display().to_string());
        output::complain(&format!("  {}. {step}", index + 1));
    }
    output::complain("");
}

/// Writes secrets and config, and checks the whole.
fn write(place: &Place, wanted: &Wanted, made: &mut Made) -> Result<Config, Problem> {
    for (key, secret) in &wanted.secrets {
        let path = wanted.secret_file(&place.secrets(), key);
        let text = match secret {
            SecretFrom::File(given)
                if std::path::absolute(given).is_ok_and(|given| given == path) =>
            {
                continue;
            }
            SecretFrom::File(given) => read_secret(key, given)?,
            SecretFrom::Text(text) => text.clone(),
            SecretFrom::New => continue,
        };
        made.secret(&path, &text, place.reader())
            .map_err(Problem::failed)?;
    }
    if place.config.is_none() {
        let text = "# keepfresh(5) and config.example.toml say what can stand here; sessions are in conf.d.\n";
        made.public(&place.main, &(schema::directive() + text))
            .map_err(Problem::failed)?;
    }
    made.public(
        &place.fragment(&wanted.name),
        &(schema::directive() + &wanted.toml(&place.secrets())),
    )
    .map_err(Problem::failed)?;
    let broken = |text: String| Problem {
        exit: Exit::Config,
        text: format!("{text}\n\nnothing was added"),
    };
    let config = config::load(&place.main).map_err(|errors| broken(errors.render(true)))?;
    strangers::look_for(place.reader());
    let errors: Vec<String> = check::errors_of(&config, &wanted.name)
        .iter()
        .map(ToString::to_string)
        .collect();
    if errors.is_empty() {
        Ok(config)
    } else {
        Err(broken(errors.join("\n")))
    }
}

fn read_secret(key: &str, path: &Path) -> Result<Zeroizing<String>, Problem> {
    let mut text = Zeroizing::new(String::with_capacity(8 * 1024));
    let failed = |error: std::io::Error| {
        Problem::failed(format!(
            "failed to read {key} from {}: {error}",
            path.display()
        ))
    };
    let read = if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(LONGEST_SECRET)
            .read_to_string(&mut text)
    } else {
        fs::File::open(path)
            .map_err(failed)?
            .take(LONGEST_SECRET)
            .read_to_string(&mut text)
    };
    read.map_err(failed)?;
    if text.trim().is_empty() {
        return Err(Problem::failed(format!(
            "{key}: {} is empty; put the secret there",
            path.display()
        )));
    }
    Ok(text)
}

/// Reloads the daemon, and waits for the first token. From the reload on the session stays, whatever the server says.
fn take_into_force(
    client: &Client,
    place: &Place,
    wanted: &Wanted,
    mut made: Made,
    wait: Duration,
    config: &Config,
) -> Result<Exit, Problem> {
    let name = &wanted.name;
    let fragment = place.fragment(name).display().to_string();
    // Asked with a wait, a daemon that is not there would be waited for.
    let health = Call {
        path: "/v1/health".to_owned(),
        repeatable: true,
        ..Call::default()
    };
    let reload = Call {
        post: true,
        path: "/v1/reload".to_owned(),
        wait: RELOAD,
        ..Call::default()
    };
    let probed = client.json::<serde_json::Value>(&health);
    let absent = matches!(&probed, Err(ClientError::NotRunning { .. }));
    match if absent {
        probed
    } else {
        client.json::<serde_json::Value>(&reload)
    } {
        Ok(_) => made.keep(),
        Err(ClientError::NotRunning { .. }) => {
            made.keep();
            let next = format!("start it, then run `keepfresh wait {name}`");
            return say(&format!(
                "{fragment} is written and good; the daemon does not run: {next}\n"
            ));
        }
        Err(ClientError::Problem(problem)) if problem.kind == Kind::BadConfig => {
            let told = Failure::from(ClientError::Problem(problem)).sentence();
            let text = format!("the daemon refuses the config: {told}\n\nnothing was added");
            return Err(Problem {
                exit: Exit::Config,
                text,
            });
        }
        Err(error) => {
            made.keep();
            let failure = Failure::from(error);
            let why = failure.sentence();
            let text = format!(
                "{fragment} is written and good, but not in force: {why}; run `keepfresh reload`"
            );
            return Err(Problem {
                exit: failure.exit(),
                text,
            });
        }
    }
    let by_person = config
        .sessions
        .get(&**name)
        .is_some_and(|session| session.policy.login == LoginBy::Person);
    if by_person {
        return say(&format!(
            "{fragment} is in force; now log in: keepfresh login {name}\n"
        ));
    }
    match client.text(&token::call(name, None, wait, true)) {
        Ok(_) => {
            let files = config
                .sessions
                .get(&**name)
                .into_iter()
                .flat_map(|session| session.publish.iter());
            let files: Vec<String> = files.map(|sink| sink.path.display().to_string()).collect();
            say(&format!(
                "{name} is alive; its token: {}\n",
                files.join(", ")
            ))
        }
        Err(error) => {
            let failure = Failure::from(error);
            let text = format!(
                "{fragment} is in force, but there is no token yet: {}",
                failure.sentence()
            );
            Err(Problem {
                exit: failure.exit(),
                text,
            })
        }
    }
}

fn say(text: &str) -> Result<Exit, Problem> {
    output::print(text).map_err(|failure| Problem {
        exit: failure.exit(),
        text: failure.sentence(),
    })
}
