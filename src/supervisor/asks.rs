//! Answers to the socket: what can be said at once is, and who must wait is answered when the session has moved.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::Supervisor;
use super::effect::Effect;
use super::slot::{Slot, Want};
use crate::api::access::{self, Caller, Guests};
use crate::api::{About, Ask, Page, PageEnd, Refusal, Rejected, Reply, Served, SessionStatus, Via};
use crate::driver::LONGEST_LANDING;
use crate::gateway::{Opening, Openings};
use crate::session::Input;

/// Sessions that are described in a fraction of a millisecond: whoever wants a token waits no longer for who lists them.
const ON_A_PAGE: usize = 32;

impl Supervisor {
    pub(super) fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Sessions {
                caller,
                after,
                reply,
            } => {
                let _ = reply.send(self.page(&caller, after));
            }
            Ask::Session { about, reply } => {
                let _ = reply.send(self.readable(&about).and_then(|slot| self.status(slot)));
            }
            Ask::Token {
                about,
                via,
                min_validity,
                files,
                wait,
                reply,
            } => match self.given_out(&about, via) {
                Ok(()) => self.token(&about, min_validity, files, wait, reply),
                Err(refusal) => drop(reply.send(Err(refusal))),
            },
            Ask::Used {
                about,
                generation,
                age,
                reply,
            } => {
                let _ = reply.send(self.used(&about, generation, age));
            }
            Ask::Hold {
                about,
                lasting,
                wait,
                reply,
            } => self.hold(&about, lasting, wait, reply),
            Ask::Events {
                caller,
                names,
                from,
                reply,
            } => {
                let _ = reply.send(self.follow(caller, names, from));
            }
            Ask::Rejected {
                about,
                via,
                which,
                files,
                wait,
                reply,
            } => match self.given_out(&about, via) {
                Ok(()) => self.rejected(&about, &which, files, wait, reply),
                Err(refusal) => drop(reply.send(Err(refusal))),
            },
            Ask::Prove {
                about,
                within,
                wait,
                reply,
            } => self.prove(&about, within, wait, reply),
            Ask::Order {
                about,
                order,
                wait,
                reply,
            } => self.order(&about, order, wait, reply),
            Ask::Login(ask) => self.ask_login(ask),
            Ask::Metrics {
                caller,
                after,
                reply,
            } => {
                let _ = reply.send(self.figures(caller.as_ref(), after));
            }
            Ask::Reload { caller, reply } if !self.is_admin(&caller) => {
                let _ = reply.send(Err(Refusal::NotAdmin));
            }
            Ask::Reload { reply, .. } => self.reload(Some(reply)),
            Ask::Health(ask) => self.ask_health(ask),
        }
    }

    fn page(&self, caller: &Caller, after: Option<PageEnd>) -> Page {
        let now = self.now;
        let (slots, end) = self.some_of(after);
        let seen = slots.into_iter().filter(|slot| self.may_read(caller, slot));
        Page {
            sessions: seen.filter_map(|slot| self.status_of(slot, now)).collect(),
            end,
        }
    }

    /// The sessions of one page, and where the next one goes on.
    pub(super) fn some_of(&self, after: Option<PageEnd>) -> (Vec<&Slot>, Option<PageEnd>) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let slots = self
            .slots
            .range((from, Bound::Unbounded))
            .map(|(_, slot)| &**slot);
        let slots: Vec<&Slot> = slots.take(ON_A_PAGE).collect();
        let end = slots
            .last()
            .filter(|_| slots.len() == ON_A_PAGE)
            .map(|slot| slot.name().clone());
        (slots, end)
    }

    /// A session that the caller may not read, and one that is not there, are one to it: who may read none must not find
    /// out their names.
    pub(super) fn readable(&self, about: &About) -> Result<&Slot, Refusal> {
        let known = self.known(&about.name);
        if known
            .as_ref()
            .is_ok_and(|slot| self.may_read(&about.caller, slot))
            || self.is_admin(&about.caller)
        {
            return known;
        }
        Err(Refusal::NotAllowed {
            name: about.name.clone(),
        })
    }

    pub(super) fn known(&self, name: &str) -> Result<&Slot, Refusal> {
        let slot = self
            .slots
            .get(name)
            .map(Box::as_ref)
            .filter(|slot| !slot.is_leaving());
        slot.ok_or_else(|| Refusal::NoSuchSession {
            name: name.to_owned(),
        })
    }

    pub(super) fn may_read(&self, caller: &Caller, slot: &Slot) -> bool {
        self.is_admin(caller) || access::may_read(caller, &slot.config().access)
    }

    pub(super) fn is_admin(&self, caller: &Caller) -> bool {
        access::is_admin(caller, self.uid, &self.config.socket.admins)
    }

    /// The gateways of all sessions, as they are now.
    pub(super) fn open_gateways(&mut self) {
        let openings = self.slots.values().filter_map(|slot| {
            let config = slot
                .config()
                .gateway
                .clone()
                .filter(|_| !slot.is_leaving())?;
            Some(Opening {
                session: slot.name().clone(),
                config,
                remote: slot.remote().clone(),
                traffic: self.traffic.get(slot.name()).cloned().unwrap_or_default(),
            })
        });
        let openings: Openings = openings.collect();
        if !openings.is_empty() || !self.traffic.is_empty() {
            let counted = |opening: &Opening| (opening.session.clone(), opening.traffic.clone());
            self.traffic = openings.iter().map(counted).collect();
            self.effects.push(Effect::OpenGateways(openings));
        }
    }

    /// The socket tells those whom the config knows from strangers.
    pub(super) fn tell_guests(&mut self) {
        let readers = self
            .config
            .sessions
            .values()
            .flat_map(|session| session.access.iter().copied());
        let guests = Guests::new(
            self.uid,
            &self.config.socket.admins,
            readers,
            &self.config.subordinates,
        );
        self.effects.push(Effect::Admit(Arc::new(guests)));
    }

    fn token(
        &mut self,
        about: &About,
        validity: Duration,
        files: bool,
        wait: Duration,
        reply: Reply<Served>,
    ) {
        let now = self.now.boot;
        let at_hand = self
            .readable(about)
            .and_then(|slot| slot.at_hand(validity, now));
        let in_files =
            files && matches!(at_hand, Ok(Some(_))) && self.look_anew(&about.name).is_some();
        if let Some(answer) = at_hand.transpose().filter(|_| !in_files) {
            let answer =
                answer.and_then(|served| self.known(&about.name)?.where_it_is_read(served, files));
            let _ = reply.send(answer);
            return;
        }
        let name = &about.name;
        if self
            .slots
            .get(&**name)
            .is_some_and(|slot| !slot.has_good_for(validity, now))
        {
            self.feed_engine(name, Input::Wanted { validity });
        }
        let wait = if in_files {
            wait.max(LONGEST_LANDING)
        } else {
            wait
        };
        self.wait(
            name,
            wait,
            Want::Token {
                validity,
                files,
                reply: Some(reply),
            },
        );
    }

    /// Whether the session's token may go there.
    fn given_out(&self, about: &About, via: Via) -> Result<(), Refusal> {
        let slot = self.readable(about)?;
        match (&slot.config().gateway, via) {
            (Some(gateway), Via::Socket) if gateway.only => Err(Refusal::OnlyByGateway {
                name: about.name.clone(),
                socket: gateway.socket.display().to_string(),
            }),
            (Some(_) | None, Via::Socket | Via::Gateway | Via::Nowhere) => Ok(()),
        }
    }

    fn used(
        &mut self,
        about: &About,
        generation: u64,
        age: Option<Duration>,
    ) -> Result<SessionStatus, Refusal> {
        self.readable(about)?;
        self.step(&about.name, Input::Used { generation, age });
        self.status(self.readable(about)?)
    }

    fn rejected(
        &mut self,
        about: &About,
        which: &Rejected,
        files: bool,
        wait: Duration,
        reply: Reply<Served>,
    ) {
        let generation = match self.readable(about) {
            Ok(slot) => slot.generation_of(which),
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
                return;
            }
        };
        if let Some(generation) = generation {
            self.feed_engine(&about.name, Input::Rejected { generation });
        }
        self.wait(
            &about.name,
            wait,
            Want::Verdict {
                files,
                reply: Some(reply),
            },
        );
    }

    pub(super) fn wait(&mut self, name: &str, longest: Duration, want: Want) {
        let until = self.now.boot.after(longest);
        if let Some(slot) = self.slots.get_mut(name) {
            slot.keep_waiting(until, want);
        }
        self.pump(name);
    }
}
