//! The pages of `docs/` that a machine carries with it: read by `keepfresh help TOPIC` and as man pages of section 7.

/// One page.
pub(super) struct Topic {
    /// What a reader asks for; never the name of a command.
    pub(super) name: &'static str,
    /// The page in one line.
    pub(super) about: &'static str,
    /// Its text, in Markdown.
    pub(super) text: &'static str,
    /// Its file below `docs/`.
    pub(super) file: &'static str,
}

macro_rules! topic {
    ($name:literal, $file:literal, $about:literal) => {
        Topic {
            name: $name,
            about: $about,
            text: include_str!(concat!("../../docs/", $file)),
            file: $file,
        }
    };
}

pub(super) const TOPICS: [Topic; 17] = [
    topic!(
        "overview",
        "overview.md",
        "what runs where, and what happens when a part fails"
    ),
    topic!(
        "troubleshooting",
        "troubleshooting.md",
        "what to do, by symptom and by exit code"
    ),
    topic!(
        "salesforce",
        "salesforce.md",
        "from Salesforce's Setup to a token file"
    ),
    topic!(
        "browser-login",
        "login.md",
        "logins by a person, in a browser or on another device"
    ),
    topic!("oauth2", "oauth2.md", "any OAuth 2.0 or OpenID provider"),
    topic!(
        "profiles",
        "providers.md",
        "how to describe a kind of server in a file"
    ),
    topic!(
        "publishing",
        "publishing.md",
        "token files, hooks and alerts"
    ),
    topic!(
        "gateway",
        "gateway.md",
        "jobs that call the server through keepfresh and hold no token"
    ),
    topic!(
        "recipes",
        "recipes.md",
        "jobs in shell, Python and Node, under cron and systemd"
    ),
    topic!(
        "install",
        "install.md",
        "packages, the service, credentials, containers"
    ),
    topic!(
        "upgrade",
        "upgrade.md",
        "upgrade, downgrade, move and back up"
    ),
    topic!("operations", "operations.md", "the log, metrics and alerts"),
    topic!(
        "sizing",
        "sizing.md",
        "memory, processor and calls by the number of sessions"
    ),
    topic!(
        "security",
        "security.md",
        "what is guarded, against whom, and what is not"
    ),
    topic!(
        "drills",
        "sandbox.md",
        "rehearse failures against the sandbox"
    ),
    topic!(
        "compare",
        "compare.md",
        "keepfresh beside pizauth, oidc-agent, Vault Agent and cron"
    ),
    topic!("glossary", "glossary.md", "the words that keepfresh uses"),
];

/// The page of this name.
pub(super) fn find(name: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.name == name)
}
