//! What keepfresh knows and decides, without a clock, a file, a socket, a task or chance: what happened and the time go in,
//! and what is to be done comes out.
//!
//! It is a crate of its own so that Cargo.toml says what it can reach: no package of its list can do more than compute.

pub mod blotted;
pub mod named;
pub mod secret;
pub mod session;
pub mod time;
pub mod token;
