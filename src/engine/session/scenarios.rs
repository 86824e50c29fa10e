//! The engine's behaviour as transcripts: a script goes in, the lines of what happened come out.
//!
//! A script is one statement a line, optionally after a time: `1h30m: dead`. Time moves through every wake on the way.
//!
//! | statement | |
//! |---|---|
//! | `policy KEY=VALUE…` | before anything else; the default is Salesforce with `jwt_bearer`, T = 2 h, shared |
//! | `alive`, `dead`, `good TOKEN life=1h refresh=R`… | answers the call under way; `odd` behind it: it may be anybody's |
//! | `serve REQUEST ANSWER` | from now on, such calls are answered after a second, or with `hang` when they are given up; `serve REQUEST nothing` ends it |
//! | `order login`, `used 3 10m`, `rejected 3`, `wanted 10m`, `held 1h`, `held`, `seed R`, `secrets F`, `jump`, `active false`, `reconfigure KEY=VALUE`, `drain` | inputs |
//! | `restart`, `restart uncertain`, `crash` | from what is in memory, or from what was last stored |
//! | `restart superseded` | the same, where another state was written after it |
//! | `reboot`, `reboot uncertain` | a restart over which only the wall clock counted |
//! | `session b` | further statements are for a second session of the same account |
//! | `status`, `call`, `waits` | prints phase, attention and what is next; the call under way and what it needs on the disk; why a login waits |
//! | `unseen 6s`, `duties` | prints what readers find then if nobody looks before; whether the calendar's orders are not held back |
//! | `record`, `promise`, `notice`, `shows` | prints calls, the latest failure and quotas; for how long the token is good; what a person should know; whether readers see a token before the disk has it |

mod absences;
mod budgets;
mod clocks;
mod departures;
mod dormancy;
mod holds;
mod introspections;
mod keepalives;
mod learning;
mod logins;
mod logouts;
mod orders;
mod outages;
mod pauses;
mod person;
mod readers;
mod recovery;
mod refusals;
mod renewals;
mod reports;
mod script;
mod seeds;
mod shared;
mod shown;
mod strange_answers;
mod windows;

use script::Stage;

/// Plays `script` and compares what happened, line by line.
#[track_caller]
fn check(script: &str, expected: &str) {
    let happened = Stage::play(script);
    let expected: Vec<&str> = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let happened: Vec<&str> = happened.iter().map(String::as_str).collect();
    assert!(
        happened == expected,
        "happened:\n{}\n\nexpected:\n{}\n",
        happened.join("\n"),
        expected.join("\n")
    );
}
