//! What can be set on the sandbox, at start or while it runs.

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::refusal::Refusal;

/// Everything about the org that an admin could set, and what a drill wants to bend.
#[expect(
    clippy::struct_excessive_bools,
    reason = "these are switches of an admin's page, each on its own"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Ends a session that is not used for so long.
    #[serde(with = "compact::required")]
    pub idle_timeout: Duration,
    /// What restarts the idle timer.
    pub model: Model,
    /// Ends a session so long after its login, whatever it does; absent: never.
    #[serde(with = "compact::optional")]
    pub max_lifetime: Option<Duration>,
    /// Each refresh hands out a new refresh token and spends the one before.
    pub rotation: bool,
    /// A refresh ends the access tokens that the same approval had before.
    pub refresh_ends_earlier: bool,
    /// Ends a refresh token that is not used for so long; absent: never.
    #[serde(with = "compact::optional")]
    pub refresh_idle_timeout: Option<Duration>,
    /// A login or refresh returns the living session's token again, and restarts nothing.
    pub same_token: bool,
    /// Approvals per user; one more ends the oldest.
    pub max_approvals: usize,
    /// Logins per user and hour.
    pub logins_per_hour: usize,
    /// Wrong passwords in a row that lock the user; 0: never.
    pub lock_after: u32,
    /// How long a locked user stays locked; absent: until `lock` is called with `false`.
    #[serde(with = "compact::optional")]
    pub lockout: Option<Duration>,
    /// Every login is refused for this reason.
    pub login_refusal: Option<Refusal>,
    /// Every refresh is refused for this reason.
    pub refresh_refusal: Option<Refusal>,
    /// The client may see tokens by introspection; without it every token is inactive (docs/servers.md, "Versions and introspection").
    pub introspection_privilege: bool,
    /// Introspection counts as use.
    pub introspection_is_activity: bool,
    /// The `exp` of introspection follows the idle timer; otherwise it stays at login plus timeout.
    pub introspection_exp_moves: bool,
    /// A call of `userinfo` counts as use.
    pub userinfo_is_activity: bool,
    /// Audiences accepted beside the sandbox's own URLs.
    pub audiences: Vec<String>,
    /// The scope of every token.
    pub scope: String,
    /// The `instance_url` handed out; absent: the sandbox's own URL.
    pub instance_url: Option<String>,
    /// API requests until `REQUEST_LIMIT_EXCEEDED`.
    pub api_requests: u64,
    /// Milliseconds that the server's wall clock is ahead of ours: in `Date`, `issued_at`, and when it judges assertions.
    pub skew_millis: i64,
}

/// What restarts the idle timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Model {
    /// Use in the second half of the timeout, as at Salesforce.
    HalfWindow,
    /// Any use.
    Sliding,
    /// Nothing: a session ends one timeout after its login.
    Fixed,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_hours(2),
            model: Model::HalfWindow,
            max_lifetime: None,
            rotation: false,
            refresh_ends_earlier: false,
            refresh_idle_timeout: None,
            same_token: false,
            max_approvals: 5,
            logins_per_hour: 3600,
            lock_after: 3,
            lockout: Some(Duration::from_mins(15)),
            login_refusal: None,
            refresh_refusal: None,
            introspection_privilege: true,
            introspection_is_activity: false,
            introspection_exp_moves: true,
            userinfo_is_activity: true,
            audiences: vec![
                "https://login.salesforce.com".to_owned(),
                "https://test.salesforce.com".to_owned(),
            ],
            scope: "api refresh_token".to_owned(),
            instance_url: None,
            api_requests: 15_000,
            skew_millis: 0,
        }
    }
}

impl Settings {
    /// These settings with the keys of a JSON object laid over them; `null` unsets.
    ///
    /// # Errors
    /// Names the unknown key or the value that does not fit.
    pub fn patched(&self, patch: &Value) -> Result<Self, serde_json::Error> {
        let mut all = serde_json::to_value(self)?;
        if let (Some(all), Some(patch)) = (all.as_object_mut(), patch.as_object()) {
            all.extend(patch.clone());
        }
        serde_json::from_value(all)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_changes_only_what_it_names() {
        let patched = Settings::default()
            .patched(&json!({"idle_timeout": "6s", "rotation": true}))
            .unwrap();
        let expected = Settings {
            idle_timeout: Duration::from_secs(6),
            rotation: true,
            ..Settings::default()
        };
        assert_eq!(patched, expected);
    }

    #[test]
    fn null_unsets_what_may_be_absent() {
        assert_eq!(
            Settings::default()
                .patched(&json!({"lockout": null}))
                .unwrap()
                .lockout,
            None
        );
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = Settings::default()
            .patched(&json!({"idle_timeot": "6s"}))
            .unwrap_err();
        assert!(error.to_string().contains("idle_timeot"), "{error}");
    }
}
