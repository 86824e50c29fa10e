//! keepfresh keeps API sessions alive, so that no job ever meets a dead token.
//!
//! `docs/ARCHITECTURE.md` is the map: the engine (`keepfresh_engine`) decides, everything else carries out.

pub use keepfresh_engine::{blotted, named, secret, session, time, token};

// What the program, its benches and its tests use of the rest; all else is private, so that the compiler finds what is unused.
pub use api::{SessionStatus, TokenAnswer, problem};
pub use cli::main;
pub use logging::message_id;
pub use metrics::names as names_of_metrics;
pub use sandbox::{Credentials, Sandbox, Settings as SandboxSettings};

mod api;
mod atomic_file;
mod cli;
pub mod clock;
mod config;
mod daemon;
mod descriptors;
mod driver;
mod duration;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod gateway;
mod hardening;
mod hooks;
mod host_threads;
mod logging;
mod metrics;
mod name_service;
mod plain_file;
mod program;
mod provider;
mod publish;
mod sandbox;
mod schedule;
mod scrape;
mod secret_source;
mod serve;
mod signals;
mod store;
mod strangers;
mod supervisor;
mod systemd;
mod threads;
mod unix_socket;
mod users;
mod usual_places;

/// Shared with the tests of the built program.
#[cfg(test)]
#[path = "../tests/acceptance/support/untried.rs"]
mod untried;
