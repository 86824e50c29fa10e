//! Why the next call comes.

use crate::session::state::Doubt;

/// The closed set of reasons for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// An admin, the calendar or a reader wants it.
    Ordered,
    /// The idle timeout would run out.
    IdleTimeout,
    /// A login may have handed out a session that was in use already.
    UnknownAge,
    /// The token's fixed end comes near.
    Expiry,
    /// The absolute limit of a login comes near.
    MaxLifetime,
    /// The refresh token must be exercised.
    RefreshTokenIdle,
    /// There is no token.
    NoToken,
    /// The token is dead.
    Dead,
    /// Something spoke against the token.
    Doubt(Doubt),
    /// The authorization server is asked for the token's true end.
    Introspection,
    /// The server forbade the last ping; it may allow the next.
    Forbidden,
    /// The host of the token has not answered since the session ran out; a login tells where it lives now.
    HostGone,
}
