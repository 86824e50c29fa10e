//! What every listener for HTTP needs, whatever it answers: sockets, and the ends of clients that stall or go.

mod alarm;
mod hangup;
mod listener;
mod stall;

pub(crate) use alarm::AlarmTimer;
pub(crate) use hangup::hung_up;
pub use listener::{BindError, Listener};
pub(crate) use stall::StallGuard;
