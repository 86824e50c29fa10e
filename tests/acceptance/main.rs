//! The daemon as a black box: a config in, token files and answers out, against a server that was written from the facts
//! and not from the daemon.
//!
//! One program for all of it, so that it links once. `support` holds the server and the harness; each other file is one
//! promise to the user. When a test ends, everything its daemon said at the level TRACE is searched for secrets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a failing test shows what the daemon said"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a black box lives in real time, and is not the daemon's own files"
)]

#[path = "support/all.rs"]
mod support;

mod add;
mod broken_configs;
mod calendar;
mod callers;
mod clocks;
mod command_line;
mod completions;
mod controllers;
mod description;
mod device;
mod disks;
mod doctor;
mod drop_in;
mod environment;
mod events;
mod every_profile;
mod exec;
mod files_in_place;
mod gateway;
mod hanging_peers;
mod hardening;
mod harness;
mod held_back;
mod hooks;
mod hostile_answers;
mod invented;
mod journal;
mod kills;
mod live;
mod lookalikes;
mod metrics;
mod neighbours;
mod oidc_provider;
mod outages;
mod own_habits;
mod person;
mod plain_errors;
mod proxies;
mod publishing;
mod reader;
mod recipes;
mod refusals;
mod restart_reload;
mod rotation;
mod rough_answers;
mod screens;
mod secrets;
mod session_lifecycle;
mod session_servers;
mod soak;
mod socket;
mod state_at_rest;
mod stops;
mod storms;
mod strange_answers;
mod strangers;
mod surroundings;
mod watch;
mod webhooks;
mod within_reach;
