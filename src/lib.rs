//! keepfresh keeps API sessions alive, so that no job ever meets a dead token.
//!
//! `docs/ARCHITECTURE.md` is the map: the engine (`keepfresh_engine`) decides, everything else carries out.

pub use keepfresh_engine::{blotted, named, secret, session, time, token};

pub mod api;
pub mod atomic_file;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod descriptors;
pub mod driver;
pub mod duration;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod hardening;
pub mod hooks;
pub mod host_threads;
pub mod logging;
pub mod metrics;
pub mod name_service;
pub mod plain_file;
pub mod program;
pub mod provider;
pub mod publish;
pub mod sandbox;
pub mod schedule;
pub mod scrape;
pub mod secret_source;
pub mod serve;
pub mod signals;
pub mod store;
pub mod strangers;
pub mod supervisor;
pub mod systemd;
pub mod threads;
pub mod unix_socket;
pub mod users;
pub mod usual_places;

/// Shared with the tests of the built program.
#[cfg(test)]
#[path = "../tests/acceptance/support/untried.rs"]
mod untried;
