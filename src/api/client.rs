//! The client that the command line uses: blocking, one request per connection, no runtime.

mod error;
mod http;
mod lines;
mod listener;
mod waiting;

use std::env;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

pub use error::ClientError;
pub use lines::Lines;
pub use waiting::Waiting;

use super::duration;
use crate::clock;
use crate::time::Instant;
use crate::unix_socket::connect_within;
use crate::usual_places;

/// What an answer may take beyond the wait that was asked for, unless the caller has less patience.
const MARGIN: Duration = Duration::from_secs(15);

/// The first pause before another try; doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A person waits so long without a word. A daemon that restarts is back sooner, and so is the answer of most servers.
const SILENCE: Duration = Duration::from_secs(1);

/// A time-out of zero would be none at all.
const SHORTEST: Duration = Duration::from_millis(1);

/// Knows where the daemon's socket may be.
#[derive(Clone, Debug)]
pub struct Client {
    candidates: Vec<PathBuf>,
    /// Whether the caller named the socket.
    named: bool,
    margin: Duration,
    /// Called when a wait lasts.
    waiting: Option<fn(&Waiting<'_>)>,
}

/// Where an answer came from, and its body.
type Answer = (PathBuf, Zeroizing<Vec<u8>>);

/// One request; no `Debug`, for its body may hold a token.
#[derive(Clone, Default)]
pub struct Call<'a> {
    /// `POST` rather than `GET`.
    pub post: bool,
    /// Percent-encoded where needed, without a query.
    pub path: String,
    /// Names and values, not encoded.
    pub query: Vec<(&'a str, String)>,
    /// How long the daemon may take, and how long an absent one is waited for; zero: it answers with what is.
    pub wait: Duration,
    /// Ask for the bare token.
    pub plain: bool,
    /// A JSON body; empty for none.
    pub body: Zeroizing<String>,
    /// Whether asking twice does no more than asking once. An order that may have been carried out is not repeated.
    pub repeatable: bool,
    /// The path of the status that tells a person what the answer waits for; none where that is clear.
    pub status: Option<String>,
}

impl Client {
    /// The socket given, or `$KEEPFRESH_SOCKET`, or whichever of the two usual places has one.
    pub fn find(socket: Option<&Path>) -> Self {
        let named = || {
            env::var_os("KEEPFRESH_SOCKET")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        };
        if let Some(path) = socket.map(Path::to_owned).or_else(named) {
            return Self {
                candidates: vec![path],
                named: true,
                margin: MARGIN,
                waiting: None,
            };
        }
        let own = env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|directory| directory.is_absolute());
        let system = PathBuf::from(usual_places::SOCKET);
        Self {
            candidates: [
                Some(system),
                own.map(|own| own.join("keepfresh/keepfresh.sock")),
            ]
            .into_iter()
            .flatten()
            .collect(),
            named: false,
            margin: MARGIN,
            waiting: None,
        }
    }

    /// This client with less patience: a command that watches would rather ask again than wait for a daemon that hangs.
    #[must_use]
    pub fn impatient(&self, margin: Duration) -> Self {
        Self {
            margin,
            ..self.clone()
        }
    }

    /// This client, which calls `waiting` to tell a person why nothing happens.
    #[must_use]
    pub fn announcing(self, waiting: fn(&Waiting<'_>)) -> Self {
        Self {
            waiting: Some(waiting),
            ..self
        }
    }

    /// Carries the call out and reads the JSON of its answer.
    ///
    /// # Errors
    /// When the daemon cannot be reached within the call's wait, or says no.
    pub fn json<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, ClientError> {
        let (path, body) = self.body(call)?;
        from_json(path, &body)
    }

    /// Like [`Client::json`] for a call that the daemon answers at once, but waits for an absent daemon.
    ///
    /// # Errors
    /// Like [`Client::json`].
    pub fn patient_json<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        wait: Duration,
    ) -> Result<T, ClientError> {
        let until = clock::boottime().after(wait);
        let (path, body) = self.retry(until, call.repeatable, |_| {
            self.attempt(call, Duration::ZERO)
        })?;
        from_json(path, &body)
    }

    /// Carries the call out and takes its answer as it is.
    ///
    /// # Errors
    /// Like [`Client::json`].
    pub fn text(&self, call: &Call<'_>) -> Result<Zeroizing<String>, ClientError> {
        let (path, body) = self.body(call)?;
        match std::str::from_utf8(&body) {
            Ok(text) => Ok(Zeroizing::new(text.to_owned())),
            Err(_) => Err(ClientError::Protocol {
                path,
                what: "its answer is not text".to_owned(),
            }),
        }
    }

    /// Carries out a call whose answer lasts; an absent daemon is waited for.
    ///
    /// # Errors
    /// Like [`Client::json`].
    pub fn lines(&self, call: &Call<'_>, patience: Duration) -> Result<Lines, ClientError> {
        let until = clock::boottime().after(patience);
        self.retry(until, call.repeatable, |left| {
            let until = clock::boottime().after(left.saturating_add(self.margin));
            let (path, stream) = self.connect(until)?;
            // Under HTTP/1.0 an answer without a length is not cut into chunks: it ends with its connection.
            let head = head(call, left).replacen("HTTP/1.1", "HTTP/1.0", 1);
            let (status, lines) = lines::open(stream, &path, &head, until)?;
            if (200..300).contains(&status) {
                return Ok(lines);
            }
            match serde_json::from_slice(&lines.rest(self.margin)) {
                Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
                Err(_) => Err(ClientError::Protocol {
                    path,
                    what: format!("it answers with status {status}"),
                }),
            }
        })
    }

    fn body(&self, call: &Call<'_>) -> Result<Answer, ClientError> {
        let until = clock::boottime().after(call.wait);
        let answer = || self.retry(until, call.repeatable, |left| self.attempt(call, left));
        match (&call.status, self.waiting) {
            (Some(status), Some(say)) => waiting::accompanied(self, status, until, say, answer),
            (_, _) => answer(),
        }
    }

    /// Tries until the wait is over; a daemon that restarts meanwhile is found again.
    fn retry<T>(
        &self,
        until: Instant,
        repeatable: bool,
        attempt: impl Fn(Duration) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut pause = FIRST_PAUSE;
        let mut waiting = self.waiting;
        let begun = clock::boottime();
        loop {
            let left = until.since(clock::boottime());
            match attempt(left) {
                Err(error) if error.passes(repeatable) && !left.is_zero() => {
                    if clock::boottime().since(begun) >= SILENCE
                        && let Some(waiting) = waiting.take()
                    {
                        waiting(&Waiting::ForDaemon {
                            error: &error,
                            at_most: left,
                        });
                    }
                    thread::sleep(pause.min(left));
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
                outcome => return outcome,
            }
        }
    }

    fn attempt(&self, call: &Call<'_>, left: Duration) -> Result<Answer, ClientError> {
        let until = clock::boottime().after(left.saturating_add(self.margin));
        let (path, stream) = self.connect(until)?;
        let reply = http::exchange(&stream, &head(call, left), &call.body, until)
            .map_err(|error| error::wire_error(error, &path))?;
        if (200..300).contains(&reply.status) {
            return Ok((path, reply.body));
        }
        match serde_json::from_slice(&reply.body) {
            Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
            Err(_) if call.path == "/v1/health" => Ok((path, reply.body)),
            Err(_) => Err(ClientError::Protocol {
                path,
                what: format!("it answers with status {}", reply.status),
            }),
        }
    }

    /// Connects to the first place where a daemon listens; if none does, the error says what is wrong at the other places.
    fn connect(&self, until: Instant) -> Result<(PathBuf, UnixStream), ClientError> {
        let mut hindrance = None;
        for path in &self.candidates {
            match connect_within(path, until.since(clock::boottime())) {
                Ok(stream) => match listener::check(&stream, path) {
                    Ok(()) => return Ok((path.clone(), stream)),
                    Err(error) => hindrance = hindrance.or(Some(error)),
                },
                Err(error) => hindrance = hindrance.or_else(|| error::hindrance(path, error)),
            }
        }
        let absent = || ClientError::NotRunning {
            tried: self.candidates.clone(),
            named: self.named,
        };
        Err(hindrance.unwrap_or_else(absent))
    }
}

fn from_json<T: DeserializeOwned>(path: PathBuf, body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::Protocol {
        path,
        what: format!(
            "its JSON is not as expected (line {}, column {})",
            error.line(),
            error.column()
        ),
    })
}

/// The request's line and headers.
fn head(call: &Call<'_>, left: Duration) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in &call.query {
        query.append_pair(name, value);
    }
    if !call.wait.is_zero() {
        query.append_pair("wait", &duration::format(left));
    }
    let query = query.finish();
    let (method, accept) = (
        if call.post { "POST" } else { "GET" },
        if call.plain {
            "text/plain"
        } else {
            "application/json"
        },
    );
    let mark = if query.is_empty() { "" } else { "?" };
    format!(
        "{method} {}{mark}{query} HTTP/1.1\r\nhost: keepfresh\r\naccept: {accept}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        call.path,
        call.body.len()
    )
}

/// What another program at the socket's place may answer, for `crate::fuzz`.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let whole = http::parse(bytes);
    assert!(
        !matches!(&whole, Ok(Some(reply)) if reply.body.len() > bytes.len()),
        "a body out of nothing"
    );
    if let Ok(Some((_, end))) = lines::status(bytes) {
        assert!(end <= bytes.len());
    }
    let _ = serde_json::from_slice::<super::problem::Problem>(bytes);
    let _ = serde_json::from_slice::<super::SessionStatus>(bytes);
    let _ = serde_json::from_slice::<super::Event>(bytes);
}

#[cfg(test)]
mod tests;
