//! For tests: a real server before a supervisor that knows a few sessions, each with its own kind of answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::access::Guests;
use super::server::Server;
use super::{
    About, Ask, Counts, Following, Health, HealthAsk, Held, LoginAsk, LoginBegun, LoginDone,
    LoginHow, Page, Refusal, Rejected, Reloaded, Served, SessionStatus, State,
};
use crate::named::Named;
use crate::secret::Secret;
use crate::token::{Published, Token};
use crate::users::Subordinates;

/// A handle on the supervisor: what it saw, and its end.
pub(crate) struct Fake {
    seen: std_mpsc::Receiver<String>,
    leave: mpsc::Sender<()>,
}

impl Fake {
    /// Waits until the supervisor saw this.
    pub(crate) fn until(&self, event: &str) {
        while self
            .seen
            .recv_timeout(Duration::from_secs(10))
            .expect(event)
            != event
        {}
    }

    /// What the supervisor sees next, unless nothing comes in time.
    pub(crate) fn next_within(&self, patience: Duration) -> Option<String> {
        self.seen.recv_timeout(patience).ok()
    }

    /// Ends the supervisor, as a stopping daemon does.
    pub(crate) fn leave(&self) {
        self.leave.blocking_send(()).unwrap();
        self.until("left");
    }
}

/// Binds `path` and serves it until `stopped` resolves.
pub(crate) fn daemon(path: &Path, stopped: oneshot::Receiver<()>) -> (Fake, JoinHandle<()>) {
    let (path, (ready, bound)) = (path.to_owned(), std_mpsc::channel());
    let (saw, seen) = std_mpsc::channel();
    let (leave, left) = mpsc::channel(1);
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let server = Server::bind(&path, 0o600, None).unwrap();
            ready.send(()).unwrap();
            let (asks, asked) = mpsc::channel(64);
            let (_tell, guests) = watch::channel(Arc::new(guests()));
            let serve = server.serve(asks, guests, async { drop(stopped.await) });
            tokio::join!(serve, supervise(asked, left, saw));
        });
    });
    bound.recv().unwrap();
    (Fake { seen, leave }, thread)
}

/// The user who runs the tests is the daemon's user.
fn guests() -> Guests {
    Guests::new(
        rustix::process::geteuid().as_raw(),
        &[],
        std::iter::empty(),
        &Subordinates::default(),
    )
}

async fn supervise(
    mut asked: mpsc::Receiver<Ask>,
    mut left: mpsc::Receiver<()>,
    saw: std_mpsc::Sender<String>,
) {
    let mut waiting = JoinSet::new();
    loop {
        tokio::select! {
            ask = asked.recv() => match ask {
                Some(ask) => { waiting.spawn(decide(ask, saw.clone())); }
                None => break,
            },
            Some(()) = left.recv() => break,
            Some(_) = waiting.join_next() => {}
        }
    }
    waiting.shutdown().await;
    drop(asked);
    let _ = saw.send("left".to_owned());
}

async fn decide(ask: Ask, saw: std_mpsc::Sender<String>) {
    match ask {
        // No metrics are read from this one.
        Ask::Metrics { reply, .. } => drop(reply),
        Ask::Sessions { reply, .. } => drop(reply.send(Page {
            sessions: vec![status("crm")],
            end: None,
        })),
        Ask::Session {
            about: About { name, .. },
            reply,
            ..
        }
        | Ask::Prove {
            about: About { name, .. },
            reply,
            ..
        } => drop(reply.send(known(&name).map(|()| status(&name)))),
        Ask::Token {
            about: About { name, .. },
            mut reply,
            ..
        } if name == "slow" => {
            saw.send("waiting slow".to_owned()).unwrap();
            reply.closed().await;
            let _ = saw.send("gone slow".to_owned());
        }
        Ask::Token {
            about: About { name, .. },
            reply,
            ..
        } => drop(reply.send(known(&name).map(|()| token(&name)))),
        Ask::Used {
            about: About { name, .. },
            generation,
            age,
            reply,
            ..
        } => {
            let _ = saw.send(format!("used {name} {generation} {age:?}"));
            drop(reply.send(known(&name).map(|()| status(&name))));
        }
        Ask::Rejected {
            about: About { name, .. },
            which,
            reply,
            ..
        } => {
            let which = match which {
                Rejected::Generation(generation) => generation.to_string(),
                Rejected::Token(token) => token.expose().to_owned(),
            };
            let _ = saw.send(format!("rejected {name} {which}"));
            drop(reply.send(known(&name).map(|()| token(&name))));
        }
        Ask::Order {
            about: About { name, .. },
            order,
            reply,
            ..
        } => {
            let _ = saw.send(format!("{order:?} {name}"));
            drop(reply.send(known(&name).map(|()| status(&name))));
        }
        Ask::Login(ask) => decide_login(ask),
        Ask::Reload { reply, .. } => {
            let _ = saw.send("reload".to_owned());
            drop(reply.send(Ok(Reloaded {
                sessions: 1,
                ..Reloaded::default()
            })));
        }
        Ask::Hold {
            about: About { name, .. },
            mut reply,
            ..
        } if name == "slow" => {
            reply.closed().await;
            let _ = saw.send("gone slow".to_owned());
        }
        Ask::Hold {
            about: About { name, .. },
            reply,
            ..
        } => {
            let (guard, released) = oneshot::channel();
            let held = Held {
                session: name.clone(),
                until: Timestamp::UNIX_EPOCH,
                token: None,
                guard,
            };
            drop(reply.send(known(&name).map(|()| held)));
            let _ = released.await;
            let _ = saw.send(format!("released {name}"));
        }
        Ask::Events { reply, .. } => {
            let (_, coming) = mpsc::channel(1);
            drop(reply.send(Ok(Following {
                past: Vec::new(),
                coming,
            })));
        }
        Ask::Health(HealthAsk { names, reply, .. }) => drop(reply.send(Ok(health(names)))),
    }
}

/// Only `browser` and `device` need a person; the login `gone` is replaced.
fn decide_login(ask: LoginAsk) {
    match ask {
        LoginAsk::Begin {
            about: About { name, .. },
            port,
            reply,
            ..
        } => {
            drop(reply.send(known(&name).map(|()| begun(&name, port))));
        }
        LoginAsk::Complete {
            about: About { name, .. },
            login,
            redirected,
            reply,
            ..
        } => {
            let refused = Refusal::Failed {
                name: name.clone(),
                reason: "the login was declined".to_owned(),
                remedy: None,
            };
            let taken = if redirected.expose().contains("code=good") {
                over(&name, &login)
            } else {
                Err(refused)
            };
            drop(reply.send(taken));
        }
        LoginAsk::Outcome {
            about: About { name, .. },
            login,
            reply,
            ..
        } => drop(reply.send(over(&name, &login))),
    }
}

fn begun(name: &str, port: Option<u16>) -> Option<LoginBegun> {
    let how = match name {
        "browser" => LoginHow::AuthorizationCode {
            url: "https://id.example/authorize?client_id=c".to_owned(),
            redirect_uri: format!("http://127.0.0.1:{}/callback", port.unwrap_or(80)),
        },
        "device" => LoginHow::DeviceCode {
            user_code: "WDJB-MJHT".to_owned(),
            verification_uri: "https://id.example/device".to_owned(),
            verification_uri_complete: Some(
                "https://id.example/device?user_code=WDJB-MJHT".to_owned(),
            ),
        },
        _ => return None,
    };
    Some(LoginBegun {
        session: name.to_owned(),
        login: "1".to_owned(),
        how,
        foreign_host: None,
        expires_in: 600,
    })
}

fn over(name: &str, login: &str) -> Result<LoginDone, Refusal> {
    match login {
        "gone" => Err(Refusal::NoSuchLogin {
            name: name.to_owned(),
            reason: "a newer login".to_owned(),
        }),
        _ => known(name).map(|()| LoginDone {
            status: status(name),
            logged_in_as: Some("alice".to_owned()),
        }),
    }
}

fn known(name: &str) -> Result<(), Refusal> {
    let name = name.to_owned();
    match name.as_str() {
        "nope" => Err(Refusal::NoSuchSession { name }),
        "locked" => Err(Refusal::NotAllowed { name }),
        "stale" => Err(Refusal::NotFresh {
            name,
            reason: "the server does not answer".to_owned(),
            retry_after: Some(Duration::from_millis(2100)),
        }),
        "stuck" => Err(Refusal::NeedsAttention {
            name,
            reason: "the server refused the login".to_owned(),
            remedy: "check the key".to_owned(),
        }),
        _ => Ok(()),
    }
}

fn health(names: Vec<String>) -> Health {
    let not_ready: BTreeMap<_, _> = names
        .into_iter()
        .map(|name| (name, "asked".to_owned()))
        .collect();
    Health {
        live: true,
        ready: not_ready.is_empty(),
        not_ready,
        version: "0".to_owned(),
    }
}

fn token(name: &str) -> Served {
    let token = Token {
        access_token: Secret::new("00Dtoken"),
        token_type: "Bearer".to_owned(),
        instance_url: Some("https://acme.my.salesforce.com".to_owned()),
        captures: Named::default(),
        issued_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    };
    let published = Published {
        session: name.into(),
        generation: 7,
        token: Arc::new(token),
        headers: vec![("Authorization".to_owned(), Secret::new("Bearer 00Dtoken"))],
        base: "https://acme.my.salesforce.com".to_owned(),
    };
    Served {
        published: Arc::new(published),
        env_prefix: name.to_uppercase().into(),
        valid_for: Some(Duration::from_hours(1)),
    }
}

/// `huge` does not fit into a socket's buffers; `stuck` needs a person.
pub(crate) fn status(name: &str) -> SessionStatus {
    SessionStatus {
        session: name.to_owned(),
        provider: "salesforce".to_owned(),
        url: "https://acme.my.salesforce.com".to_owned(),
        grant: None,
        account: None,
        state: if name == "stuck" {
            State::NeedsAttention
        } else {
            State::Alive
        },
        reason: if name == "huge" {
            "x".repeat(1_000_000)
        } else {
            "all is well".to_owned()
        },
        generation: Some(7),
        token_fingerprint: None,
        token_issued_at: Timestamp::from_second(160).ok(),
        instance_url: None,
        published: true,
        persisted: true,
        idle_timeout_seconds: Some(7200.0),
        idle_deadline: None,
        token_expires_at: None,
        refresh_token_expires_at: None,
        introspected: None,
        max_lifetime_at: None,
        logged_in_at: None,
        last_activity_at: None,
        next: None,
        scheduled: Vec::new(),
        held_until: None,
        last_error: None,
        attention: None,
        notice: None,
        warnings: Vec::new(),
        login_budget: None,
        quotas: Vec::new(),
        counts: Counts::default(),
        recent: Vec::new(),
        files: Vec::new(),
        gateway: None,
    }
}
