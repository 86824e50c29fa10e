//! The sessions that a simulated config is made of: some of each kind of login, each in some versions.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::config::{self, Config, SessionConfig};

/// What a version of a session differs in from the first: another file, another user, other settings of HTTP, a file that stays
/// when the token is lost and a logout when it is removed, another user whose file stays.
pub(super) const VERSIONS: usize = 6;

/// Two of them log in as one user, so that they share an account.
pub(super) const NAMES: [&str; 6] = ["app", "batch", "crm", "crm2", "feed", "seeded"];

static MENU: LazyLock<BTreeMap<(&str, usize), Config>> = LazyLock::new(|| {
    let home = tempfile::tempdir().unwrap();
    let mut menu = BTreeMap::new();
    for name in NAMES {
        for version in 0..VERSIONS {
            let file = home.path().join("config.toml");
            let text = text(name, version);
            std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), text.as_bytes())
                .unwrap();
            let surroundings = config::Surroundings::made_up(&[], 0, 0);
            let config = config::load_in(&file, &surroundings)
                .unwrap_or_else(|errors| panic!("{text}\n{errors}"));
            menu.insert((name, version), config);
        }
    }
    menu
});

const ENDPOINTS: &str = "token_url = \"/token\"\nping_url = \"/ping\"";

/// The server of the session of this name.
pub(super) fn host_of(name: &str) -> String {
    match name {
        "crm" | "crm2" => "crm.my.salesforce.com".to_owned(),
        "batch" => "batch.my.salesforce.com".to_owned(),
        _ => format!("{name}.example"),
    }
}

/// A config of these sessions, each in one of its versions.
pub(super) fn config(sessions: &BTreeMap<&'static str, usize>) -> Config {
    let mut config = MENU[&("app", 0)].clone();
    config.sessions = sessions
        .iter()
        .map(|(name, version)| (Arc::from(*name), session(name, *version)))
        .collect();
    config
}

fn session(name: &str, version: usize) -> Arc<SessionConfig> {
    let name = NAMES.into_iter().find(|it| *it == name).unwrap();
    MENU[&(name, version)].sessions[name].clone()
}

fn text(name: &str, version: usize) -> String {
    let host = host_of(name);
    let (user, file) = (
        if [2, 5].contains(&version) {
            "bob"
        } else {
            "alice"
        },
        if version == 1 { "shared" } else { name },
    );
    let on_loss = if version >= 4 { "keep" } else { "remove" };
    let logout = if version == 4 {
        "logout_on = [\"removal\"]"
    } else {
        ""
    };
    let http = if version == 3 {
        format!("[sessions.{name}.http]\nheader_names = \"lower\"")
    } else {
        String::new()
    };
    let (provider, window, login) = match name {
        "app" => (
            "oauth2",
            "token_lifetime = \"20m\"",
            format!(
                "grant = \"client_credentials\"\nclient_id = \"{user}\"\n\
                 client_secret = {{ file = \"/secrets/{name}\" }}\n{ENDPOINTS}"
            ),
        ),
        "seeded" => (
            "oauth2",
            "token_lifetime = \"20m\"",
            format!(
                "grant = \"refresh_token\"\nclient_id = \"{user}\"\n\
                 refresh_token = {{ file = \"/secrets/{name}\" }}\n{ENDPOINTS}"
            ),
        ),
        "feed" => (
            "oauth2",
            "token_lifetime = \"15m\"",
            format!(
                "grant = \"password\"\nclient_id = \"c\"\nusername = \"{user}\"\n\
                 password = {{ file = \"/secrets/{name}\" }}\n{ENDPOINTS}"
            ),
        ),
        _ => (
            "salesforce",
            "idle_timeout = \"15m\"",
            format!(
                "grant = \"password\"\nclient_id = \"c\"\nusername = \"{user}\"\n\
                 password = {{ file = \"/secrets/{name}\" }}\n\
                 client_secret = {{ file = \"/secrets/client\" }}\nlogin_url = \"https://{host}\""
            ),
        ),
    };
    format!(
        "[daemon]\nruntime_dir = \"/run/kf\"\nstate_dir = \"/var/lib/kf\"\n\
         [sessions.{name}]\nprovider = \"{provider}\"\nurl = \"https://{host}\"\n{logout}\n{window}\n\
         {http}\n[sessions.{name}.login]\n{login}\n\
         [[sessions.{name}.publish]]\nfile = \"{file}\"\non_loss = \"{on_loss}\"\n"
    )
}
