//! Those who ask the daemon: jobs, probes and admins. Each is answered within its bound.

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
    waiting: Vec<(Asked, Question)>,
    held: Vec<(Instant, Held)>,
    /// What was answered since the world looked.
    answered: Vec<(Asked, Answer)>,
}

/// What an answer is held against.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) name: String,
    /// It reads the files.
    pub(super) files: bool,
    /// It said that it would wait until this moment.
    pub(super) until: Instant,
    /// An answer is due by this moment: files are waited for a little longer.
    pub(super) due: Instant,
}

/// What was answered.
pub(super) enum Answer {
    Given(Served),
    Held,
    Probed,
    Noted,
    Ordered(Order, Box<SessionStatus>),
    Reloaded,
    Refused(Refusal),
}

enum Question {
    /// A token, or the truth about one; in the files as well, for those that read them.
    Token(oneshot::Receiver<Result<Served, Refusal>>),
    Hold(Duration, oneshot::Receiver<Result<Held, Refusal>>),
    Health(oneshot::Receiver<Result<Health, Refusal>>),
    Used(oneshot::Receiver<Result<SessionStatus, Refusal>>),
    Order(Order, oneshot::Receiver<Result<SessionStatus, Refusal>>),
    Reload(oneshot::Receiver<Result<Reloaded, Refusal>>),
}

impl Readers {
    /// The daemon has gone, and the connections to it with it.
    pub(super) fn hang_up(&mut self) {
        self.waiting.clear();
        self.held.clear();
    }

    /// Takes in answers; nobody waits longer than it said.
    pub(super) fn look(&mut self, now: Instant) {
        let Self {
            waiting,
            held,
            answered,
        } = self;
        waiting.retain_mut(|(asked, question)| {
            let (is_over, answer) = match question {
                Question::Token(answer) => hear(answer, Answer::Given),
                Question::Hold(lasting, answer) => hear(answer, |hold| {
                    held.push((now.after(*lasting), hold));
                    Answer::Held
                }),
                Question::Health(answer) => hear(answer, |_| Answer::Probed),
                Question::Used(answer) => hear(answer, |_| Answer::Noted),
                Question::Order(order, answer) => {
                    hear(answer, |status| Answer::Ordered(*order, Box::new(status)))
                }
                Question::Reload(answer) => hear(answer, |_| Answer::Reloaded),
            };
            answered.extend(answer.map(|answer| (asked.clone(), answer)));
            assert!(
                is_over || now <= asked.due,
                "a reader was to be answered by {:?}, and it is {now:?}",
                asked.due
            );
            !is_over
        });
        held.retain(|(until, _)| now < *until);
    }

    /// What was answered since this was asked last.
    pub(super) fn take_answered(&mut self) -> Vec<(Asked, Answer)> {
        std::mem::take(&mut self.answered)
    }
}

/// Whether a question is over, and what was answered: a daemon that has gone answers nothing.
fn hear<T>(
    answer: &mut oneshot::Receiver<Result<T, Refusal>>,
    in_words: impl FnOnce(T) -> Answer,
) -> (bool, Option<Answer>) {
    match answer.try_recv() {
        Ok(Ok(answer)) => (true, Some(in_words(answer))),
        Ok(Err(refusal)) => (true, Some(Answer::Refused(refusal))),
        Err(TryRecvError::Empty) => (false, None),
        Err(TryRecvError::Closed) => (true, None),
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
        let asked = self.asked(&about.name, files, wait);
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
                (ask, Question::Token(answer))
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
                (ask, Question::Token(answer))
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
                (ask, Question::Used(answer))
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
                (ask, Question::Order(order, answer))
            }
        };
        self.put(ask, asked, question);
    }

    fn asked(&self, name: &str, files: bool, wait: Duration) -> Asked {
        Asked {
            name: name.to_owned(),
            files,
            until: self.now.after(wait),
            due: self.now.after(wait.max(GRACE)),
        }
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
        let asked = self.asked(name, true, wait);
        self.put(ask, asked, Question::Token(answer));
    }

    pub(super) fn ask_to_reload(&mut self) {
        let (reply, answer) = oneshot::channel();
        let caller = root();
        // A disk that hangs may hold a reload up, and a further reload.
        let bound = Duration::from_mins(20);
        let asked = self.asked("", false, bound);
        self.put(
            Ask::Reload { caller, reply },
            asked,
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
            let asked = self.asked(name, false, wait);
            self.put(ask, asked, Question::Order(order, answer));
        }
    }

    fn put(&mut self, ask: Ask, asked: Asked, question: Question) {
        let stops = |daemon: &crate::supervisor::Supervisor| daemon.is_stopping();
        if self.daemon.as_ref().is_none_or(stops) {
            return;
        }
        let longest = asked.due.since(self.now);
        self.readers.waiting.push((asked, question));
        // The question is looked at when its time is over, whatever else happens.
        self.plan(longest, Event::Happens(Happening::Relief));
        self.handle(Incoming::Ask(ask));
    }

    pub(super) fn generation_of(&self, name: &str) -> u64 {
        let slot = self
            .daemon
            .as_ref()
            .and_then(|daemon| daemon.slots.get(name));
        slot.map_or(0, |slot| slot.session().state().generation)
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
