//! What a session knows and keeps over a restart; everything else is derived from it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backoff::{Backoff, Seed};
use super::learn::Deaths;
use super::window::Bounds;
use crate::blotted::Blotted;
use crate::secret::Secret;
use crate::time::Instant;
use crate::token::Token;

/// The durable state of one session; all moments are on this boot's axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own that any other may accompany"
)]
pub struct State {
    /// Of the token; rises with each new token or instance URL.
    pub generation: u64,
    /// The latest token, even when it is known dead: a login may hand out the same again.
    pub token: Option<Arc<Token>>,
    /// What is known of the token.
    pub health: Health,
    /// When the token came.
    pub token_since: Instant,
    /// When a login or renewal last gave it, be it the same again: its announced life counts from then.
    pub granted_at: Instant,
    /// When the last full login was answered.
    pub logged_in_at: Option<Instant>,
    /// The absolute limit of that login, where its answer told one.
    pub login_lifetime: Option<Duration>,
    /// The token's fixed end.
    pub expires: Option<Instant>,
    /// Pings cannot extend this token, whatever the window's model.
    pub fixed: bool,
    /// Bounds of the idle timer's last restart; none when nothing is known.
    pub bounds: Option<Bounds>,
    /// A ping of this generation has succeeded.
    pub proven: bool,
    /// Tokens in a row that were called dead when they were new, and never seen alive.
    #[serde(default)]
    pub died_young: u32,
    /// This generation's first scheduled ping has been spread and is over.
    pub spread: bool,
    /// The refresh token.
    pub refresh: Option<Box<Refresh>>,
    /// The fingerprint of a configured refresh token that is known dead.
    pub spent_seed: Option<String>,
    /// A renewal was stored as leaving, and no answer has been stored.
    pub intent: bool,
    /// A renewal's outcome is unknown: its refresh token is not presented while the token lives.
    pub in_doubt: bool,
    /// The profile's renewal does not work for this token any more.
    pub unrenewable: bool,
    /// What the server said when it called the refresh token dead; until another comes.
    #[serde(default)]
    pub grant_died: Option<Box<str>>,
    /// Logins, renewals and last pings that something answered, but with no token and no no that is known.
    #[serde(default)]
    pub fruitless: Option<Box<Fruitless>>,
    /// Pings in a row that were answered with a 401 which may be a proxy's.
    #[serde(default)]
    pub odd_deaths: u32,
    /// Whether the token is replaced on a suspicion, or took the place of one that was.
    #[serde(default)]
    pub suspicion: Suspicion,
    /// A shorter idle timeout than configured, learned from deaths.
    pub learned: Option<Duration>,
    /// The configured idle timeout that `learned` belongs to.
    pub learned_under: Option<Duration>,
    /// Unexplained deaths in a row.
    pub deaths: Deaths,
    /// Failures of pings.
    pub ping_backoff: Backoff,
    /// Failures of renewals.
    pub renew_backoff: Backoff,
    /// Renewals in a row that met another one under way.
    pub concurrent: u32,
    /// The server forbids what the ping asks, though the session may live.
    pub forbidden: Option<Box<Forbidden>>,
    /// An admin logged out: nothing happens until an admin logs in.
    pub logged_out: bool,
    /// The logout holds only until the next start.
    #[serde(default)]
    pub until_start: bool,
    /// An admin paused the session.
    pub paused: bool,
    /// The server's wall clock minus ours.
    pub skew_millis: i64,
    /// False reports in a row.
    pub false_reports: u32,
    /// Reports before this moment cost no call.
    pub next_report: Option<Instant>,
    /// What introspection showed so far.
    pub introspected: Introspected,
    /// Where back-off's jitter comes from.
    pub seed: Seed,
    /// Where the jitter of this generation's first ping comes from.
    pub jitter: Seed,
}

/// What is known of the current token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// There is no token.
    Missing,
    /// Nothing speaks against it.
    Good,
    /// It must be proven by a ping before anything else happens.
    Doubtful {
        /// Only a ping sent after this moment decides.
        since: Instant,
        /// What raised the doubt.
        why: Doubt,
    },
    /// The server said that it no longer knows it, or its end has passed.
    Dead {
        /// Since when we know.
        since: Instant,
        /// A first attempt at recovery has failed: readers must not see it any longer.
        withdrawn: bool,
    },
}

/// Why a token is doubtful.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The daemon was away past the idle deadline, or cannot tell for how long.
    Absence,
    /// The wall clock jumped: the machine may have stood still.
    ClockJump,
    /// A job reported it.
    Report,
    /// An answer might have meant that it is dead.
    Ambiguous,
    /// A renewal without an answer may have killed it.
    Renewal,
    /// Introspection called it inactive, though it had seen it active.
    Introspection,
    /// It lapsed outside the active hours.
    Dormancy,
    /// It was called dead, and then handed out again.
    Reissue,
    /// It was called dead when it was new, and so was the one before: it may not be known everywhere yet.
    Youth,
}

/// The refresh token and its own clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// The value.
    #[serde(with = "crate::secret::exposed")]
    pub token: Secret,
    /// When it was issued or last used.
    pub exercised: Instant,
    /// How long it lives unused, by the server's word.
    pub lifetime: Option<Duration>,
    /// The fingerprint of the configured refresh token that it descends from.
    pub seed: Option<String>,
}

/// The ping is answered with a no that a new login cannot turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forbidden {
    /// Since when.
    pub since: Instant,
    /// What the server said.
    pub detail: Blotted,
    /// Not yet confirmed by a second ping.
    pub tentative: bool,
    /// How much earlier the next ping comes for being in time, which the one after it makes good.
    #[serde(default)]
    pub early: Duration,
}

/// Logins and renewals in a row that something answered, but with no token and no no that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fruitless {
    /// Since when.
    pub since: Instant,
    /// What came last.
    pub detail: String,
    /// How many.
    pub tries: u32,
    /// So many of these were the server's own no to a renewal.
    pub declined: u32,
}

/// What an answer that may or may not be a death has led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspicion {
    /// Nothing.
    #[default]
    None,
    /// Another token is on its way, and this one is kept until it is there.
    Replacing,
    /// The token before was replaced, and this one has not been proven: what it meets as well is no death.
    Replaced,
}

/// What introspection showed of the current token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introspected {
    /// It was called active at least once, so `active: false` means something.
    pub seen_active: bool,
    /// The end that it named last.
    pub end: Option<Instant>,
    /// When it named it.
    pub at: Option<Instant>,
    /// An introspection is due.
    pub due: bool,
    /// The end has already brought one ping forward.
    pub hinted: bool,
}

impl State {
    /// A session that never logged in.
    pub fn new(now: Instant, seed: u64) -> Self {
        Self {
            generation: 0,
            token: None,
            health: Health::Missing,
            token_since: now,
            granted_at: now,
            logged_in_at: None,
            login_lifetime: None,
            expires: None,
            fixed: false,
            bounds: None,
            proven: false,
            died_young: 0,
            spread: false,
            refresh: None,
            spent_seed: None,
            intent: false,
            in_doubt: false,
            unrenewable: false,
            grant_died: None,
            fruitless: None,
            odd_deaths: 0,
            suspicion: Suspicion::None,
            learned: None,
            learned_under: None,
            deaths: Deaths::default(),
            ping_backoff: Backoff::default(),
            renew_backoff: Backoff::default(),
            concurrent: 0,
            forbidden: None,
            logged_out: false,
            until_start: false,
            paused: false,
            skew_millis: 0,
            false_reports: 0,
            next_report: None,
            introspected: Introspected::default(),
            seed: Seed(seed),
            jitter: Seed(seed),
        }
    }

    /// Moves every moment by `millis`, from the axis of the boot that stored it to this boot's.
    pub fn shift(&mut self, millis: i64) {
        let one = |moment: &mut Instant| *moment = moment.shifted(millis);
        let maybe =
            |moment: &mut Option<Instant>| *moment = moment.map(|moment| moment.shifted(millis));
        // Each field is named, so that a new one is asked whether it holds a moment.
        let Self {
            generation: _,
            token: _,
            health,
            token_since,
            granted_at,
            logged_in_at,
            login_lifetime: _,
            expires,
            fixed: _,
            bounds,
            proven: _,
            died_young: _,
            spread: _,
            refresh,
            spent_seed: _,
            intent: _,
            in_doubt: _,
            unrenewable: _,
            grant_died: _,
            fruitless,
            odd_deaths: _,
            suspicion: _,
            learned: _,
            learned_under: _,
            deaths: _,
            ping_backoff,
            renew_backoff,
            concurrent: _,
            forbidden,
            logged_out: _,
            until_start: _,
            paused: _,
            skew_millis: _,
            false_reports: _,
            next_report,
            introspected,
            seed: _,
            jitter: _,
        } = self;
        one(token_since);
        one(granted_at);
        maybe(logged_in_at);
        maybe(expires);
        maybe(next_report);
        ping_backoff.shift(millis);
        renew_backoff.shift(millis);
        let Introspected {
            end,
            at,
            seen_active: _,
            due: _,
            hinted: _,
        } = introspected;
        maybe(end);
        maybe(at);
        match health {
            Health::Missing | Health::Good => {}
            Health::Doubtful { since, why: _ }
            | Health::Dead {
                since,
                withdrawn: _,
            } => one(since),
        }
        if let Some(Bounds { lo, hi }) = bounds {
            one(lo);
            one(hi);
        }
        if let Some(refresh) = refresh {
            one(&mut refresh.exercised);
        }
        if let Some(forbidden) = forbidden {
            one(&mut forbidden.since);
        }
        if let Some(fruitless) = fruitless {
            one(&mut fruitless.since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_moves_to_another_boots_axis() {
        const SHIFT: i64 = 5_000;
        let mut shifted = state(1_000);
        shifted.shift(SHIFT);
        assert_eq!(shifted, state(1_000 + SHIFT));
        for health in [
            Health::Doubtful {
                since: at(1_000),
                why: Doubt::Report,
            },
            Health::Dead {
                since: at(1_000),
                withdrawn: true,
            },
        ] {
            let mut shifted = State {
                health: health.clone(),
                ..state(1_000)
            };
            shifted.shift(SHIFT);
            assert_ne!(shifted.health, health);
        }
    }

    /// One in which all that can be a moment is one, none like another.
    fn state(millis: i64) -> State {
        let mut backoff = Backoff::default();
        backoff.told_to_spread(at(millis + 1));
        let refresh = Refresh {
            token: Secret::new("r"),
            exercised: at(millis + 8),
            lifetime: None,
            seed: None,
        };
        let forbidden = Forbidden {
            since: at(millis + 9),
            detail: Blotted::default(),
            tentative: false,
            early: Duration::ZERO,
        };
        let fruitless = Fruitless {
            since: at(millis + 13),
            detail: String::new(),
            tries: 1,
            declined: 0,
        };
        State {
            token_since: at(millis + 2),
            granted_at: at(millis + 3),
            logged_in_at: Some(at(millis + 4)),
            expires: Some(at(millis + 5)),
            bounds: Some(Bounds {
                lo: at(millis + 6),
                hi: at(millis + 7),
            }),
            refresh: Some(Box::new(refresh)),
            ping_backoff: backoff.clone(),
            renew_backoff: backoff,
            forbidden: Some(Box::new(forbidden)),
            fruitless: Some(Box::new(fruitless)),
            next_report: Some(at(millis + 10)),
            introspected: Introspected {
                end: Some(at(millis + 11)),
                at: Some(at(millis + 12)),
                ..Default::default()
            },
            ..State::new(at(0), 7)
        }
    }

    fn at(millis: i64) -> Instant {
        Instant::from_millis(millis)
    }
}
