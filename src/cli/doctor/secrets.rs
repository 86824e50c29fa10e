//! What must not be in the report, whatever it quotes: the secrets that this user can read, tokens, passwords of proxies.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::atomic_file;
use crate::config::{Config, Needed};
use crate::publish::Format;
use crate::secret::Secret;
use crate::secret_source::SecretSource;

/// No token is shorter.
const SHORTEST_TOKEN: usize = 12;
/// No token file is longer.
const LARGEST_FILE: u64 = 1024 * 1024;

/// All of them. Programs that print secrets are not run once more: nothing of the report is made of what they print.
pub(super) fn known(config: Option<&Config>) -> Vec<Secret> {
    let mut known = proxy_passwords();
    if let Some(config) = config.filter(|config| config.written_by.is_none()) {
        known.extend(configured(config));
        known.extend(published(config));
    }
    known.retain(|secret| !secret.expose().is_empty());
    known
}

fn configured(config: &Config) -> Vec<Secret> {
    let sources: Vec<&SecretSource> = config
        .needs
        .iter()
        .filter_map(|need| match &need.what {
            Needed::Secret(source) | Needed::PrivateKey(source) => Some(source),
            Needed::Certificates(_)
            | Needed::Program(_)
            | Needed::Directory(_)
            | Needed::Published { .. } => None,
        })
        .filter(|source| !matches!(source, SecretSource::Command(_)))
        .collect();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return Vec::new();
    };
    let secrets = runtime.block_on(async {
        let mut secrets = Vec::new();
        for source in sources {
            secrets.extend(source.read().await.ok());
        }
        secrets
    });
    runtime.shutdown_background();
    secrets
}

/// The tokens in the files, whatever their format.
fn published(config: &Config) -> Vec<Secret> {
    let sinks = config
        .sessions
        .values()
        .flat_map(|session| session.publish.iter());
    let mut tokens = Vec::new();
    for sink in sinks {
        let Some(content) = atomic_file::content(&sink.path, LARGEST_FILE) else {
            continue;
        };
        let text = String::from_utf8_lossy(&content);
        if matches!(sink.format, Format::Token) {
            tokens.push(Secret::new(text.trim()));
        }
        let words = text.split(|char: char| char.is_whitespace() || "\"'=,;{}".contains(char));
        let is_token = |word: &&str| word.len() >= SHORTEST_TOKEN && Url::parse(word).is_err();
        tokens.extend(words.filter(is_token).map(Secret::new));
    }
    tokens
}

fn proxy_passwords() -> Vec<Secret> {
    let proxies =
        std::env::vars().filter(|(name, _)| name.to_ascii_lowercase().ends_with("_proxy"));
    proxies
        .filter_map(|(_, value)| {
            let value = value.trim().trim_matches(['"', '\'']).to_owned();
            let url = Url::parse(&value)
                .ok()
                .filter(Url::has_host)
                .or_else(|| Url::parse(&format!("http://{value}")).ok())?;
            let password = percent_decode_str(url.password()?).decode_utf8_lossy();
            Some(Secret::new(&*password))
        })
        .collect()
}
