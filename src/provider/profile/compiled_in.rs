//! The profiles that come with the program.

/// Name and text of each file below `profiles`.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../profiles/", $name, ".toml")))),*]
    };
}

/// By name, sorted.
pub(super) const COMPILED_IN: &[(&str, &str)] = files![
    "apic",
    "atlassian",
    "aws",
    "checkpoint",
    "command",
    "couchdb",
    "docusign",
    "docusign-jwt",
    "entra",
    "f5",
    "fmc",
    "github-app",
    "github-user",
    "google",
    "google-service-account",
    "hubspot",
    "jamf",
    "jamf-client",
    "keycloak",
    "kubernetes",
    "matrix",
    "mediawiki",
    "netsuite",
    "netsuite-m2m",
    "oauth2",
    "okta",
    "okta-session",
    "pipedrive",
    "proxmox",
    "qbittorrent",
    "quickbooks",
    "redfish",
    "salesforce",
    "sap-b1",
    "servicenow",
    "shopify",
    "snowflake",
    "splunk",
    "tableau",
    "vault",
    "veeva",
    "vsphere",
    "workday",
    "zabbix",
    "zabbix-legacy",
    "zendesk",
    "zoho",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::Arc;

    use super::COMPILED_IN;
    use crate::provider::profile::{Example, Profile, Protocol};
    use crate::session::answer::Request;

    const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/provider/profiles");

    #[test]
    fn every_file_comes_along() {
        let files = std::fs::read_dir(DIRECTORY)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let files: BTreeSet<String> = files
            .map(|path| path.file_stem().unwrap().to_str().unwrap().into())
            .collect();
        let names: Vec<&str> = COMPILED_IN.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, files.iter().map(String::as_str).collect::<Vec<_>>());
    }

    #[test]
    fn every_profile_can_be_read_and_takes_its_examples_for_what_they_are() {
        let wrong: Vec<String> = COMPILED_IN
            .iter()
            .filter_map(|(name, _)| Profile::named(name, Some(Path::new(DIRECTORY))).err())
            .map(|error| error.to_string())
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_profile_says_what_it_is_and_where_its_facts_come_from() {
        for profile in all() {
            let name = profile.name();
            assert!(!profile.title().is_empty(), "{name}: no title");
            assert!(
                profile.about.documentation.starts_with("https://"),
                "{name}: no documentation"
            );
            assert!(!profile.about.sources.is_empty(), "{name}: no sources");
            let parameters = profile
                .grants()
                .into_iter()
                .flat_map(|grant| profile.parameters(grant).unwrap());
            for parameter in parameters {
                assert!(
                    !parameter.about.is_empty(),
                    "{name}: {} is not described",
                    parameter.name
                );
            }
        }
    }

    #[test]
    fn every_profile_knows_a_good_and_a_refused_login() {
        for profile in all() {
            let has = |verdict: &str| {
                example(&profile, |it| {
                    it.to == Request::Login && it.verdict == verdict
                })
            };
            assert!(
                has("refused"),
                "{}: no refused login among its examples",
                profile.name()
            );
            assert!(
                has("good"),
                "{}: no good login among its examples",
                profile.name()
            );
        }
    }

    #[test]
    fn every_profile_with_a_ping_knows_life_from_death() {
        for profile in all().into_iter().filter(|profile| profile.has_ping()) {
            for verdict in ["alive", "dead"] {
                let known = example(&profile, |it| {
                    it.to == Request::Ping && it.verdict == verdict
                });
                assert!(
                    known,
                    "{}: no ping that is `{verdict}` among its examples",
                    profile.name()
                );
            }
        }
    }

    #[test]
    fn every_renewal_knows_a_new_token_and_a_refusal() {
        for profile in all() {
            let refreshes = profile.grants().contains(&"refresh_token");
            let verdicts = match profile.protocol {
                Protocol::Http if profile.has_renew_request() => ["good", "grant_dead"].as_slice(),
                Protocol::OAuth2 if refreshes => ["grant_dead"].as_slice(),
                Protocol::Http | Protocol::OAuth2 | Protocol::Command => [].as_slice(),
            };
            for verdict in verdicts {
                let known = example(&profile, |it| {
                    it.to == Request::Renew && it.verdict == *verdict
                });
                assert!(
                    known,
                    "{}: no renewal that is `{verdict}` among its examples",
                    profile.name()
                );
            }
        }
    }

    #[test]
    fn good_logins_of_the_http_protocol_say_what_they_yield() {
        for profile in all()
            .into_iter()
            .filter(|profile| profile.protocol == Protocol::Http)
        {
            let silent = example(&profile, |it| {
                it.to == Request::Login && it.verdict == "good" && it.yields.is_empty()
            });
            assert!(!silent, "{}: a good login without `yields`", profile.name());
        }
    }

    #[test]
    fn the_list_in_the_docs_names_every_profile_and_what_it_was_proved_against() {
        let page = include_str!("../../../docs/profiles.md");
        let rows: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| `") && !line.contains("`provider`"))
            .collect();
        let expected = all();
        assert_eq!(rows.len(), expected.len());
        for (row, profile) in rows.into_iter().zip(expected) {
            let proved = if profile.proved().is_empty() {
                "documented answers"
            } else {
                profile.proved()
            };
            let begin = format!(
                "| `{}` | {} | `{}` |",
                profile.name(),
                profile.title(),
                profile.protocol_word()
            );
            assert!(
                row.starts_with(&begin) && row.ends_with(&format!(" | {proved} |")),
                "{row}"
            );
        }
    }

    fn all() -> Vec<Arc<Profile>> {
        COMPILED_IN
            .iter()
            .map(|(name, _)| Profile::named(name, Some(Path::new(DIRECTORY))).unwrap())
            .collect()
    }

    fn example(profile: &Profile, is: impl Fn(&Example) -> bool) -> bool {
        profile.examples.iter().any(is)
    }
}
