//! `provider`, `url` and `[sessions.NAME.login]`, checked against the provider's profile.

use std::collections::BTreeMap;
use std::sync::Arc;

use url::{Host, Url};

use super::Needed;
use super::exposure;
use super::global::Context;
use super::keys;
use super::report::{At, Place};
use super::secret;
use super::table::Table;
use super::value::{self, Bad, bad, closest};
use crate::named::Named;
use crate::provider::{
    GrantTraits, HttpSettings, Parameter, ParameterKind, Profile, ProfileError, RemoteConfig, Value,
};

/// The profile that `provider` names.
pub(super) fn profile(session: &Table<'_>, context: &Context<'_>) -> Option<Arc<Profile>> {
    let directory = Some(context.daemon.providers_dir.as_path());
    if !session.has("provider") {
        let help = format!(
            "say which kind of server it is: one of {}",
            Profile::names(directory).join(", ")
        );
        session.missing("provider", &help);
    }
    let name = session.text("provider")?;
    if let Some(profile) = context.profiles.borrow().get(name.value) {
        return Some(Arc::clone(profile));
    }
    let own = rustix::process::geteuid().as_raw();
    let looking = context.surroundings.only_looking;
    let user = if looking {
        exposure::presumed_user(&context.daemon.state_dir)
    } else {
        own
    };
    match Profile::named_for(user, name.value, directory) {
        Ok(profile) => {
            context
                .profiles
                .borrow_mut()
                .insert(name.value.to_owned(), Arc::clone(&profile));
            Some(profile)
        }
        Err(error) => {
            report_profile(session, &name, &error);
            None
        }
    }
}

fn report_profile(session: &Table<'_>, name: &At<&str>, error: &ProfileError) {
    let key = session.name("provider");
    let (title, help) = match error {
        ProfileError::Unknown { known, .. } => {
            let words: Vec<&str> = known.iter().map(String::as_str).collect();
            let meant =
                closest(name.value, &words).map(|meant| format!("did you mean \"{meant}\"? "));
            let help = format!(
                "{}known are: {}",
                meant.unwrap_or_default(),
                words.join(", ")
            );
            (
                format!("`{key}`: there is no provider `{}`", name.value),
                help,
            )
        }
        ProfileError::Unreadable { .. } => (
            format!("`{key}` cannot be used: {error}"),
            "correct the provider's file, or name another provider".to_owned(),
        ),
        ProfileError::Invalid { file, .. } => {
            let help = format!(
                "correct that line; `keepfresh providers --check {file}` checks the whole file"
            );
            (format!("`{key}` cannot be used: {error}"), help)
        }
    };
    session.report.problem(&name.place, title, help);
}

/// The server's URL; where only an issuer is given, that is the server, and a program that logs in needs none.
pub(super) fn url(session: &Table<'_>, profile: Option<&Profile>) -> Option<At<Url>> {
    if session.has("url") {
        return session.parsed("url", server_url);
    }
    if profile.is_some_and(|profile| !profile.needs_url()) {
        return RemoteConfig::no_server().map(|value| At {
            value,
            place: session.place.clone(),
        });
    }
    let login = session
        .value("login")
        .filter(|login| login.value.as_table().is_some());
    if let Some(login) = login
        .and_then(|_| session.table("login"))
        .filter(|login| login.has("issuer"))
    {
        return login.parsed("issuer", server_url);
    }
    session.missing("url", "name the server: url = \"https://host\"");
    None
}

fn server_url(text: &str) -> Result<Url, Bad> {
    let remedy = "write scheme and host, as in \"https://acme.example\"";
    let url = Url::parse(text).map_err(|_| bad("is no URL", remedy))?;
    if url.host_str().is_none() {
        return Err(bad("names no host", remedy));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("has a query or a fragment", remedy));
    }
    Ok(url)
}

/// Reports plain http where too much else is wrong for the profile to look at the URL.
pub(super) fn report_plain_http(session: &Table<'_>, url: Option<&At<Url>>, http: &HttpSettings) {
    let foreign = url.filter(|url| url.value.scheme() == "http" && !is_loopback(&url.value));
    if let Some(url) = foreign.filter(|_| !http.allow_plain_http) {
        let title = format!(
            "`{}`: plain http would show the token to the network",
            session.name("url")
        );
        session
            .report
            .problem(&url.place, title, "use https, or set http.allow_plain_http");
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether `word` is a key of `[sessions.NAME.login]`, with whichever grant.
pub(super) fn is_parameter(profile: &Profile, word: &str) -> bool {
    let grants = profile.grants();
    let mut parameters = grants
        .into_iter()
        .filter_map(|grant| profile.parameters(grant))
        .flatten();
    word == "grant" || parameters.any(|parameter| parameter.name == word)
}

/// The grant, with what it asks of the engine.
pub(super) struct Login {
    pub(super) grant: Arc<str>,
    pub(super) traits: GrantTraits,
    pub(super) values: Named<Value>,
    places: BTreeMap<String, Place>,
    place: Place,
}

/// Reads `[sessions.NAME.login]`.
pub(super) fn read<'d>(
    session: &Table<'d>,
    profile: &'d Profile,
    context: &Context<'_>,
) -> Option<Login> {
    if !session.has("login") {
        let help = format!(
            "say how it logs in: grant = one of {}",
            profile.grants().join(", ")
        );
        session.missing("login", &help);
    }
    let table = session.table("login")?;
    let grant = grant(&table, profile)?;
    let parameters = profile.parameters(grant.value)?;
    let traits = profile.grant_traits(grant.value)?;
    let known: Vec<&str> = std::iter::once("grant")
        .chain(parameters.iter().map(|known| known.name.as_str()))
        .collect();
    table.only_here(&known, |word| keys::home(&table.path, word));
    let values = parameters
        .iter()
        .filter_map(|parameter| {
            Some((
                context.words.share(parameter.name.as_str()),
                value_of(&table, parameter, context)?,
            ))
        })
        .chain(
            parameters
                .iter()
                .flat_map(|parameter| fields_of(&table, parameter)),
        )
        .collect();
    let places = known
        .iter()
        .map(|key| ((*key).to_owned(), table.place_of(key)))
        .collect();
    Some(Login {
        grant: context.words.share(grant.value),
        traits,
        values,
        places,
        place: table.place.clone(),
    })
}

fn grant<'d>(table: &Table<'d>, profile: &'d Profile) -> Option<At<&'d str>> {
    let grants = profile.grants();
    let list = format!("{} knows: {}", profile.title(), grants.join(", "));
    if !table.has("grant") {
        if let [only] = grants.as_slice() {
            return Some(At {
                value: *only,
                place: table.place.clone(),
            });
        }
        table.missing("grant", &list);
    }
    let grant = table.text("grant")?;
    if grants.contains(&grant.value) {
        return Some(grant);
    }
    let meant = closest(grant.value, &grants)
        .map(|meant| format!("did you mean \"{meant}\"? "))
        .unwrap_or_default();
    let title = format!(
        "`{}` \"{}\" is no grant of this provider",
        table.name("grant"),
        grant.value
    );
    table
        .report
        .problem(&grant.place, title, format!("{meant}{list}"));
    None
}

fn value_of(table: &Table<'_>, parameter: &Parameter, context: &Context<'_>) -> Option<Value> {
    let key = parameter.name.as_str();
    if !table.has(key) {
        if parameter.required && parameter.default.is_none() {
            let form = if parameter.secret {
                "{ file = \"/path\" }"
            } else {
                "\"…\""
            };
            table.missing(key, &format!("give {}: {key} = {form}", parameter.about));
        }
        return parameter
            .default
            .as_deref()
            .map(|text| Value::Plain(context.words.share(text)));
    }
    if parameter.secret {
        let source = secret::read(table, key)?;
        let needed = if key.ends_with("private_key") {
            Needed::PrivateKey
        } else {
            Needed::Secret
        };
        context
            .needs
            .add(table.name(key), &source.place, needed(source.value.clone()));
        return Some(Value::Secret(source.value));
    }
    match parameter.kind {
        ParameterKind::Text => text(table, parameter),
        ParameterKind::Integer => {
            let found = table.value(key)?;
            let number = found
                .value
                .as_integer()
                .map(|number| number.as_str().replace('_', ""));
            let number = number.filter(|number| number.parse::<i64>().is_ok());
            if number.is_none() {
                table.wrong_type(key, &found, &format!("a whole number: {key} = 30"));
            }
            number.map(plain)
        }
        ParameterKind::Boolean => table.flag(key).map(|flag| plain(flag.value.to_string())),
        ParameterKind::Fields => None,
        ParameterKind::List => {
            let parts = table.texts(key)?;
            if parts.value.is_empty() {
                table.report.problem(
                    &parts.place,
                    format!("`{}` is empty", table.name(key)),
                    "name the program",
                );
                return None;
            }
            let argv: Vec<String> = parts
                .value
                .iter()
                .map(|part| part.value.to_owned())
                .collect();
            context
                .needs
                .add(table.name(key), &parts.place, Needed::Program(argv.clone()));
            Some(Value::List(argv))
        }
    }
}

fn plain(text: impl Into<Arc<str>>) -> Value {
    Value::Plain(text.into())
}

/// What a form of its own may not hold: it has a key, which knows how it is kept and sent.
const NO_FIELDS: [&str; 10] = [
    "grant_type",
    "client_id",
    "client_secret",
    "client_assertion",
    "assertion",
    "password",
    "refresh_token",
    "subject_token",
    "actor_token",
    "code",
];

fn fields_of(table: &Table<'_>, parameter: &Parameter) -> Vec<(Arc<str>, Value)> {
    let given = table.has(&parameter.name) && parameter.kind == ParameterKind::Fields;
    let Some(fields) = given.then(|| table.table(&parameter.name)).flatten() else {
        return Vec::new();
    };
    let field = |key: At<&str>| {
        if NO_FIELDS.contains(&key.value) {
            let title = format!("`{}` cannot be a field of your own", fields.name(key.value));
            fields.report.problem(
                &key.place,
                title,
                "take it out, and set what has a key of its own there",
            );
            return None;
        }
        let text = fields.text(key.value)?;
        Some((
            format!("{}.{}", parameter.name, key.value).into(),
            plain(text.value),
        ))
    };
    fields.keys().into_iter().filter_map(field).collect()
}

fn text(table: &Table<'_>, parameter: &Parameter) -> Option<Value> {
    let key = parameter.name.as_str();
    let text = table.parsed(key, |text| {
        if parameter.one_of.is_empty() || parameter.one_of.iter().any(|known| known == text) {
            return Ok(text.to_owned());
        }
        let remedy = format!("write one of \"{}\"", parameter.one_of.join("\", \""));
        Err(value::bad("is none of the known values", remedy))
    })?;
    Some(plain(text.value))
}

/// Reports what the profile finds wrong with server and login taken together.
pub(super) fn report_problems(session: &Table<'_>, login: &Login, remote: &RemoteConfig) {
    for problem in remote.problems() {
        let place = match problem.key.split_once('.') {
            Some(("login", key)) => login.places.get(key).unwrap_or(&login.place).clone(),
            Some((table, key)) => session
                .table(table)
                .map_or_else(|| session.place.clone(), |table| table.place_of(key)),
            None => session.place_of(&problem.key),
        };
        let (what, remedy) = problem
            .message
            .split_once(": ")
            .unwrap_or((&problem.message, "correct it"));
        session.report.problem(
            &place,
            format!("`{}`: {what}", session.name(&problem.key)),
            remedy,
        );
    }
}
