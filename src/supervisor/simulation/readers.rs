//! Those who ask the daemon: jobs, probes and admins. Each is answered within its bound.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::oneshot::{self, error::TryRecvError};

use super::script::Happening;
use super::world::{Event, World};
use crate::api::access::Caller;
use crate::api::{
    About, Ask, Health, HealthAsk, Held, Order, Refusal, Rejected, Reloaded, Served, SessionStatus,
    Via,
};
use crate::supervisor::Incoming;
use crate::time::Instant;

/// Beyond what a reader said it would wait, files are waited for as long.
const GRACE: Duration = Duration::from_millis(1_100);

/// Those who wait for an answer, and those who hold a token.
#[derive(Default)]
pub(super) struct Readers {
    waiting: Vec<(Instant, Question)>,
    held: Vec<(Instant, Held)>,
    /// What readers were given since somebody looked.
    given: Vec<Given>,
}

/// What a reader was given.
pub(super) struct Given {
    pub(super) served: Served,
    /// It reads the files, and was answered before it had waited for as long as it would.
    pub(super) in_files: bool,
}

enum Question {
    /// A token, or the truth about one; in the files as well, for those that read them.
    Token(bool, oneshot::Receiver<Result<Served, Refusal>>),
    Hold(Duration, oneshot::Receiver<Result<Held, Refusal>>),
    Health(oneshot::Receiver<Result<Health, Refusal>>),
    Order(oneshot::Receiver<Result<SessionStatus, Refusal>>),
    Reload(oneshot::Receiver<Result<Reloaded, Refusal>>),
}

/// What came of a question.
enum Heard<T> {
    Nothing,
    Answer(T),
    Refused(Refusal),
    /// The daemon has gone.
    Gone,
}

impl Readers {
    /// The daemon has gone, and the connections to it with it.
    pub(super) fn hang_up(&mut self) {
        self.waiting.clear();
        self.held.clear();
    }

    /// Takes in answers; nobody waits longer than it said.
    pub(super) fn look(&mut self, now: Instant, marks: &mut BTreeSet<&'static str>) {
        let Self {
            waiting,
            held,
            given,
        } = self;
        waiting.retain_mut(|(until, question)| {
            let (is_over, mark) = match question {
                Question::Token(files, answer) => match hear(answer) {
                    Heard::Answer(served) => {
                        let in_files = *files && now < *until;
                        given.push(Given { served, in_files });
                        (true, Some("a reader was given a token"))
                    }
                    Heard::Refused(refusal) => (true, Some(refusal_mark(&refusal))),
                    Heard::Gone => (true, None),
                    Heard::Nothing => (false, None),
                },
                Question::Hold(lasting, answer) => match hear(answer) {
                    Heard::Answer(hold) => {
                        held.push((now.after(*lasting), hold));
                        (true, Some("a job held a token"))
                    }
                    Heard::Refused(_) | Heard::Gone => (true, None),
                    Heard::Nothing => (false, None),
                },
                Question::Health(answer) => heard(&hear(answer), "a probe was answered"),
                Question::Order(answer) => heard(&hear(answer), "an order was carried out"),
                Question::Reload(answer) => heard(&hear(answer), "a reload was answered"),
            };
            marks.extend(mark);
            assert!(
                is_over || now <= *until,
                "a reader was to be answered by {until:?}, and it is {now:?}"
            );
            !is_over
        });
        held.retain(|(until, _)| now < *until);
    }

    /// What readers were given since this was asked last.
    pub(super) fn take_given(&mut self) -> Vec<Given> {
        std::mem::take(&mut self.given)
    }
}

fn heard<T>(heard: &Heard<T>, mark: &'static str) -> (bool, Option<&'static str>) {
    match heard {
        Heard::Answer(_) => (true, Some(mark)),
        Heard::Refused(_) | Heard::Gone => (true, None),
        Heard::Nothing => (false, None),
    }
}

fn hear<T>(answer: &mut oneshot::Receiver<Result<T, Refusal>>) -> Heard<T> {
    match answer.try_recv() {
        Ok(Ok(answer)) => Heard::Answer(answer),
        Ok(Err(refusal)) => Heard::Refused(refusal),
        Err(TryRecvError::Empty) => Heard::Nothing,
        Err(TryRecvError::Closed) => Heard::Gone,
    }
}

impl World {
    /// One of those who ask asks something.
    pub(super) fn ask(&mut self) {
        let about = About {
            caller: root(),
            name: self.some_name().to_owned(),
        };
        let wait = [0, 1, 5, 30][usize::try_from(self.seed.draw() % 4).unwrap()];
        let wait = Duration::from_secs(wait);
        let files = self.chance(2);
        let mut bound = wait.max(GRACE);
        let (ask, question) = match self.seed.draw() % 10 {
            0..3 => {
                let min_validity = Duration::from_secs(
                    [0, 60, 300, 900][usize::try_from(self.seed.draw() % 4).unwrap()],
                );
                let (reply, answer) = oneshot::channel();
                let ask = Ask::Token {
                    via: Via::Socket,
                    about,
                    min_validity,
                    files,
                    wait,
                    reply,
                };
                (ask, Question::Token(files, answer))
            }
            3..5 => {
                let generation = self.generation_of(&about.name);
                let which = Rejected::Generation(generation);
                let (reply, answer) = oneshot::channel();
                let ask = Ask::Rejected {
                    via: Via::Socket,
                    about,
                    which,
                    files,
                    wait,
                    reply,
                };
                (ask, Question::Token(files, answer))
            }
            5 => {
                let generation = self.generation_of(&about.name);
                let (reply, answer) = oneshot::channel();
                let ask = Ask::Used {
                    about,
                    generation,
                    age: None,
                    reply,
                };
                (ask, Question::Order(answer))
            }
            6 => {
                let lasting = self
                    .seed
                    .between(Duration::from_secs(5), Duration::from_mins(12));
                let stays = self.seed.between(Duration::from_secs(1), lasting);
                let (reply, answer) = oneshot::channel();
                let ask = Ask::Hold {
                    about,
                    lasting,
                    wait,
                    reply,
                };
                (ask, Question::Hold(stays, answer))
            }
            7 => {
                let (reply, answer) = oneshot::channel();
                let names = Vec::new();
                let ask = Ask::Health(HealthAsk {
                    caller: root(),
                    names,
                    reply,
                });
                (ask, Question::Health(answer))
            }
            _ => {
                let orders = [
                    Order::Verify,
                    Order::Introspect,
                    Order::Renew,
                    Order::Login,
                    Order::Logout,
                    Order::Pause,
                    Order::Resume,
                    Order::Resume,
                ];
                let order = orders[usize::try_from(self.seed.draw() % 8).unwrap()];
                if order == Order::Login {
                    self.harms.login_ordered(&about.name);
                }
                let (reply, answer) = oneshot::channel();
                let ask = Ask::Order {
                    about,
                    order,
                    wait,
                    reply,
                };
                (ask, Question::Order(answer))
            }
        };
        if let Question::Reload(_) = question {
            bound = Duration::from_hours(1);
        }
        self.put(ask, bound, question);
    }

    /// A job that reads files waits for a session's token.
    pub(super) fn read_files(&mut self, name: &str) {
        let (reply, answer) = oneshot::channel();
        let about = About {
            caller: root(),
            name: name.to_owned(),
        };
        let wait = Duration::from_secs(30);
        let ask = Ask::Token {
            via: Via::Socket,
            about,
            min_validity: Duration::ZERO,
            files: true,
            wait,
            reply,
        };
        self.put(ask, wait, Question::Token(true, answer));
    }

    pub(super) fn ask_to_reload(&mut self) {
        let (reply, answer) = oneshot::channel();
        let caller = root();
        // A disk that hangs may hold a reload up, and a further reload.
        let bound = Duration::from_mins(20);
        self.put(
            Ask::Reload { caller, reply },
            bound,
            Question::Reload(answer),
        );
    }

    /// Orders that end what earlier orders began.
    pub(super) fn order_all(&mut self, order: Order) {
        let names = self.wanted.keys().map(|name| (*name).to_owned());
        self.order_of(&names.collect::<Vec<_>>(), order);
    }

    pub(super) fn order_of(&mut self, names: &[String], order: Order) {
        for name in names {
            if order == Order::Login {
                self.harms.login_ordered(name);
            }
            let (reply, answer) = oneshot::channel();
            let about = About {
                caller: root(),
                name: name.clone(),
            };
            let wait = Duration::ZERO;
            let ask = Ask::Order {
                about,
                order,
                wait,
                reply,
            };
            self.put(ask, GRACE, Question::Order(answer));
        }
    }

    fn put(&mut self, ask: Ask, bound: Duration, question: Question) {
        let stops = |daemon: &crate::supervisor::Supervisor| daemon.is_stopping();
        if self.daemon.as_ref().is_none_or(stops) {
            return;
        }
        self.readers.waiting.push((self.now.after(bound), question));
        // The question is looked at when its time is over, whatever else happens.
        self.plan(bound, Event::Happens(Happening::Relief));
        self.handle(Incoming::Ask(ask));
    }

    fn generation_of(&self, name: &str) -> u64 {
        let slot = self
            .daemon
            .as_ref()
            .and_then(|daemon| daemon.slots.get(name));
        slot.map_or(0, |slot| slot.session.state().generation)
    }
}

fn refusal_mark(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NeedsAttention { .. } => "a reader heard that a person is needed",
        Refusal::NotFresh { .. } => "a reader waited in vain",
        Refusal::Unpublished { .. } => "a reader heard that a file lacks",
        Refusal::NoSuchSession { .. }
        | Refusal::NotAllowed { .. }
        | Refusal::OnlyByGateway { .. }
        | Refusal::NotOrdered { .. }
        | Refusal::CannotPromise { .. }
        | Refusal::Conflict { .. }
        | Refusal::Failed { .. }
        | Refusal::NoSuchLogin { .. }
        | Refusal::NotUnderstood { .. }
        | Refusal::NotAdmin
        | Refusal::BadConfig { .. }
        | Refusal::Stopping => "a reader was refused",
    }
}

fn root() -> Caller {
    Caller {
        uid: 0,
        gid: 0,
        groups: Vec::new(),
        pid: None,
    }
}
