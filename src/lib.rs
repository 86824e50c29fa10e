//! keepfresh keeps API sessions alive, so that no job ever meets a dead token.
//!
//! `docs/ARCHITECTURE.md` is the map: the core (`session`) decides, everything else carries out.

pub mod api;
pub mod atomic_file;
pub mod blotted;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod descriptors;
pub mod driver;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod hardening;
pub mod hooks;
pub mod logging;
pub mod metrics;
pub mod named;
pub mod plain_file;
pub mod program;
pub mod provider;
pub mod publish;
pub mod sandbox;
pub mod schedule;
pub mod secret;
pub mod session;
pub mod signals;
pub mod store;
pub mod strangers;
pub mod supervisor;
pub mod systemd;
pub mod threads;
pub mod time;
pub mod token;
