//! The stage on which a script is played.

mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::secret::Secret;
use crate::session::account::Account;
use crate::session::answer::{Answer, Request};
use crate::session::policy::Policy;
use crate::session::presented::Presented;
use crate::session::state::State;
use crate::session::view::{Counts, Publication};
use crate::session::{Action, Call, Footing, Input, Session};
use crate::time::Instant;
use words::{
    REQUESTS, answer, clock, configure, describe, duration, order, presented, salesforce, unsent,
    word,
};

/// The Unix time at which every script begins.
const FLOOR: u64 = 1;
/// How long a served answer takes.
const LATENCY: Duration = Duration::from_secs(1);

pub(super) struct Stage {
    now: Instant,
    policy: Policy,
    actors: Vec<Actor>,
    current: usize,
    account: Account,
    stored_account: Account,
    lines: Vec<String>,
}

struct Actor {
    session: Session,
    stored: State,
    call: Option<(Call, Instant)>,
    served: BTreeMap<&'static str, String>,
    /// What its login presents.
    presented: Presented,
    publication: Publication,
    generation: u64,
}

impl Actor {
    /// Its secrets are others, and are read anew.
    fn read(&mut self, words: &[&str]) -> Presented {
        self.presented = presented(words);
        self.presented.clone()
    }
}

impl Stage {
    pub(super) fn play(script: &str) -> Vec<String> {
        let now = Instant::from_millis(0);
        let account = Account::new(now, 1);
        let stored_account = account.clone();
        let (policy, actors, lines) = (salesforce(), Vec::new(), Vec::new());
        let mut stage = Self {
            now,
            policy,
            actors,
            current: 0,
            account,
            stored_account,
            lines,
        };
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            stage.statement(line);
        }
        stage.lines
    }

    fn statement(&mut self, line: &str) {
        let (when, what) = line
            .split_once(": ")
            .map_or((None, line), |(when, what)| (Some(when), what));
        let words: Vec<&str> = what.split_whitespace().collect();
        if words[0] == "policy" {
            words[1..]
                .iter()
                .for_each(|setting| configure(&mut self.policy, setting));
            return;
        }
        if words[0] == "session" {
            self.enter(words[1]);
            return;
        }
        if self.actors.is_empty() {
            self.enter("a");
        }
        if let Some(when) = when {
            self.pass_until(self.moment(when));
        }
        self.perform(&words);
    }

    fn moment(&self, when: &str) -> Instant {
        when.strip_prefix('+').map_or_else(
            || Instant::from_millis(0).after(duration(when)),
            |wait| self.now.after(duration(wait)),
        )
    }

    fn enter(&mut self, name: &str) {
        if let Some(known) = self
            .actors
            .iter()
            .position(|actor| actor.session.name() == name)
        {
            self.current = known;
            return;
        }
        let session = Session::new(name, self.policy.clone(), self.now, FLOOR, 1);
        let stored = session.state().clone();
        let publication = session.publication(self.now);
        let presented = Presented::of("secret");
        let served = BTreeMap::new();
        self.actors.push(Actor {
            session,
            stored,
            call: None,
            served,
            presented,
            publication,
            generation: 0,
        });
        self.current = self.actors.len() - 1;
        self.account.sessions = u32::try_from(self.actors.len()).unwrap();
    }

    /// Lets everything happen by itself that happens before `until`.
    fn pass_until(&mut self, until: Instant) {
        for _ in 0..100_000 {
            let Some((at, actor, answer)) = self.soonest().filter(|(at, _, _)| *at <= until) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(at);
            let presented = Some(self.actors[actor].presented.clone());
            self.step(
                actor,
                answer.map_or(Input::Tick, |answer| Input::Answered { answer, presented }),
            );
        }
        panic!(
            "the script spins at {:?}:\n{}",
            self.now,
            self.lines.join("\n")
        );
    }

    fn soonest(&self) -> Option<(Instant, usize, Option<Answer>)> {
        let moments = self.actors.iter().enumerate().flat_map(|(index, actor)| {
            let wake = actor
                .session
                .wake(self.now, &self.account)
                .map(|at| (at, index, None));
            [
                wake,
                Self::served_answer(actor).map(|answer| (answer.received, index, Some(answer))),
            ]
        });
        moments.flatten().min_by_key(|(at, _, _)| *at)
    }

    fn served_answer(actor: &Actor) -> Option<Answer> {
        let (call, sent) = actor.call.as_ref()?;
        let words: Vec<&str> = actor
            .served
            .get(word(call.request))?
            .split_whitespace()
            .collect();
        let took = if words.contains(&"hang") {
            call.timeout
        } else {
            LATENCY
        };
        Some(answer(call, *sent, sent.after(took), &words, actor.session.state()).unwrap())
    }

    fn perform(&mut self, words: &[&str]) {
        let current = self.current;
        let input = match words[0] {
            "serve" => {
                let request = REQUESTS
                    .into_iter()
                    .map(word)
                    .find(|word| *word == words[1])
                    .unwrap();
                self.actors[current].served.remove(request);
                if words[2] != "nothing" {
                    self.actors[current]
                        .served
                        .insert(request, words[2..].join(" "));
                }
                return;
            }
            "restart" if words.get(1) == Some(&"superseded") => return self.restart_superseded(),
            "restart" => return self.restart(false, words.get(1) != Some(&"uncertain")),
            "reboot" => return self.reboot(words.get(1) != Some(&"uncertain")),
            "crash" => return self.restart(true, true),
            "status" => return self.status(),
            "call" => return self.call_under_way(),
            "waits" => return self.login_wait(),
            "record" => return self.record(),
            "promise" => return self.promise(),
            "notice" => return self.notice(),
            "shows" => return self.shows(),
            "unseen" => return self.unseen(duration(words[1])),
            "duties" => return self.duties(),
            "reconfigure" => {
                words[1..]
                    .iter()
                    .for_each(|setting| configure(&mut self.policy, setting));
                Input::Reconfigured(self.policy.clone().into())
            }
            "tick" => Input::Tick,
            "order" => Input::Order(order(words[1])),
            "used" => Input::Used {
                generation: words[1].parse().unwrap(),
                age: words.get(2).map(|age| duration(age)),
            },
            "rejected" => Input::Rejected {
                generation: words[1].parse().unwrap(),
            },
            "held" => Input::Held {
                lasting: words.get(1).map(|lasting| duration(lasting)),
            },
            "wanted" => Input::Wanted {
                validity: duration(words[1]),
            },
            "seed" => Input::Seed(Ok(Secret::new(words[1]))),
            "person" => Input::PersonLoggedIn(self.by_person(&words[1..])),
            "unread" => Input::Seed(Err(words[1..].join(" "))),
            "presents" => return self.actors[current].presented = presented(&words[1..]),
            "secrets" => Input::SecretsAre(self.actors[current].read(&words[1..])),
            "jump" => Input::ClockJumped,
            "active" => Input::Active(words[1] == "true"),
            "drain" => Input::Drain,
            "unwritten" => {
                let (call, _) = self.actors[current]
                    .call
                    .take()
                    .expect("no call is under way");
                Input::Unwritten { call: call.id }
            }
            _ => return self.answer(words),
        };
        self.step(current, input);
    }

    fn answer(&mut self, words: &[&str]) {
        let actor = &self.actors[self.current];
        let lines = self.lines.join("\n");
        let (call, sent) = actor
            .call
            .as_ref()
            .unwrap_or_else(|| panic!("no call to answer {words:?}:\n{lines}"));
        let answer = answer(call, *sent, self.now, words, actor.session.state())
            .unwrap_or_else(|| panic!("{words:?}?"));
        let presented = Some(actor.presented.clone());
        self.step(self.current, Input::Answered { answer, presented });
    }

    /// What the server gave for a person's login, this moment.
    fn by_person(&self, words: &[&str]) -> Answer {
        let (request, timeout) = (Request::Login, LATENCY);
        let withheld = Vec::new();
        let call = Call {
            id: 0,
            request,
            timeout,
            urgent_by: self.now,
            footing: Footing::Free,
            withheld,
        };
        answer(
            &call,
            self.now,
            self.now,
            words,
            self.actors[self.current].session.state(),
        )
        .unwrap()
    }

    fn step(&mut self, index: usize, input: Input) {
        let actor = &mut self.actors[index];
        if matches!(input, Input::Answered { .. }) {
            actor.call = None;
        }
        let actions = actor.session.step(input, self.now, &mut self.account);
        let mut stored = false;
        let mut kept_back = None;
        for action in actions {
            match action {
                Action::Save => {
                    self.actors[index].stored = self.actors[index].session.state().clone();
                }
                Action::SaveAccount => self.stored_account = self.account.clone(),
                Action::Call(call) => {
                    assert!(
                        self.actors[index].call.is_none(),
                        "two calls under way:\n{}",
                        self.lines.join("\n")
                    );
                    assert!(
                        call.footing != Footing::Stored || stored,
                        "a durable call without its intent"
                    );
                    assert_eq!(self.actors[index].session.last_call(), call.id);
                    if let Some(withheld) = call
                        .withheld
                        .iter()
                        .find(|it| it.is_in(&self.actors[index].presented))
                    {
                        let (of, what) = (
                            format!("withheld: refused to {}", withheld.of),
                            withheld.what,
                        );
                        kept_back = Some(unsent(&call, self.now, &of, what));
                        self.actors[index].call = Some((call, self.now));
                        continue;
                    }
                    self.say(index, &self.request(index, call.request));
                    self.actors[index].call = Some((call, self.now));
                }
                Action::Tell(ref event) => self.say(index, &describe(event)),
            }
            stored = self.actors[index].stored.intent;
        }
        if let Some(answer) = kept_back {
            let presented = Some(self.actors[index].presented.clone());
            self.step(index, Input::Answered { answer, presented });
        }
        self.show_publication(index);
    }

    /// `ping`, `renew r2`: with the refresh token that it presents.
    fn request(&self, index: usize, request: Request) -> String {
        let refresh = self.actors[index]
            .session
            .state()
            .refresh
            .as_ref()
            .filter(|_| request == Request::Renew);
        refresh.map_or(word(request).to_owned(), |refresh| {
            format!("{} {}", word(request), refresh.token.expose())
        })
    }

    fn show_publication(&mut self, index: usize) {
        let actor = &mut self.actors[index];
        let publication = actor.session.publication(self.now);
        let generation = actor.session.state().generation;
        let changed = publication != actor.publication
            || (publication == Publication::Show && generation != actor.generation);
        (actor.publication, actor.generation) = (publication, generation);
        if changed {
            let line = match publication {
                Publication::Show => format!("publish {generation}"),
                Publication::Hold => "hold".to_owned(),
                Publication::Withdraw => "withdraw".to_owned(),
            };
            self.say(index, &line);
        }
    }

    fn restart(&mut self, crash: bool, certain: bool) {
        let account = if crash {
            &self.stored_account
        } else {
            &self.account
        };
        self.account = serde_json::from_str(&serde_json::to_string(account).unwrap()).unwrap();
        self.account.resumed();
        self.account.sessions = u32::try_from(self.actors.len()).unwrap();
        for actor in &mut self.actors {
            let state = if crash {
                &actor.stored
            } else {
                actor.session.state()
            };
            let state: State =
                serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap();
            let name = actor.session.name().to_owned();
            actor.session = Session::restore(
                name.as_str(),
                actor.session.policy().clone(),
                state,
                self.now,
                FLOOR,
                certain,
            );
            actor.call = None;
        }
        for index in 0..self.actors.len() {
            self.say(index, "restart");
            self.step(index, Input::Tick);
        }
    }

    /// A restart from a state after which another was written.
    fn restart_superseded(&mut self) {
        let now = self.now;
        let Actor { session, call, .. } = &mut self.actors[self.current];
        let (name, policy, state) = (
            session.name().to_owned(),
            session.policy().clone(),
            session.state().clone(),
        );
        *session = Session::restore_superseded(name.as_str(), policy.into(), state, now, FLOOR);
        *call = None;
        self.say(self.current, "restart");
        self.step(self.current, Input::Tick);
    }

    /// A restart over which only the wall clock counted.
    fn reboot(&mut self, certain: bool) {
        self.restart(false, certain);
        for index in 0..self.actors.len() {
            self.actors[index]
                .session
                .rest_on_the_wall_clock(self.now, certain);
            self.step(index, Input::Tick);
        }
    }

    fn status(&mut self) {
        let session = &self.actors[self.current].session;
        let mut line = format!("{:?}", session.phase(self.now, &self.account));
        if let Some(attention) = session.attention(&self.account) {
            line = format!("{line}: {}", attention.reason);
        }
        if let Some(next) = session.next(self.now, &self.account) {
            line = format!(
                "{line}; {} at {} for {:?}",
                word(next.request),
                clock(next.at),
                next.why
            );
        }
        self.say(self.current, &line);
    }

    /// Which call it is, and what the disk must hold before it leaves.
    fn call_under_way(&mut self) {
        let call = self.actors[self.current]
            .call
            .as_ref()
            .map(|(call, _)| (call.id, call.footing));
        let line = call.map_or("no call".to_owned(), |(id, footing)| {
            format!("call {id}, {footing:?}")
        });
        self.say(self.current, &line);
    }

    /// Why the login that is due waits.
    fn login_wait(&mut self) {
        let waits = self.actors[self.current]
            .session
            .login_wait(self.now, &self.account);
        self.say(
            self.current,
            &waits.map_or("no wait".to_owned(), |waits| format!("waits: {waits:?}")),
        );
    }

    fn record(&mut self) {
        let record = self.actors[self.current].session.record();
        let Counts {
            pings,
            renewals,
            logins,
            introspections,
            failures,
        } = record.counts;
        let failed = record.last_error.as_ref();
        let failed = failed.map_or("all well".to_owned(), |it| {
            format!("{} {}", word(it.request), it.detail)
        });
        let counts = format!(
            "{pings} pings {renewals} renewals {logins} logins {introspections} introspections {failures} failed"
        );
        self.say(
            self.current,
            &format!("{counts}; {failed}; {} quotas", record.quotas.len()),
        );
    }

    fn promise(&mut self) {
        let promise = self.actors[self.current].session.promise(self.now);
        let line = format!(
            "{:?} of {:?}, by ping: {}",
            promise.valid_for, promise.longest, promise.by_ping
        );
        self.say(self.current, &line);
    }

    fn notice(&mut self) {
        let notice = self.actors[self.current]
            .session
            .notice(self.now, &self.account);
        self.say(
            self.current,
            &notice.unwrap_or_else(|| "no notice".to_owned()),
        );
    }

    /// Whether readers may be shown the token before the disk has it.
    fn shows(&mut self) {
        let early = self.actors[self.current].session.may_show_unwritten();
        self.say(
            self.current,
            if early {
                "shown at once"
            } else {
                "shown once written"
            },
        );
    }

    /// What readers find later if the session is not looked at before.
    fn unseen(&mut self, after: Duration) {
        let publication = self.actors[self.current]
            .session
            .publication(self.now.after(after));
        self.say(self.current, &format!("unseen: {publication:?}"));
    }

    fn duties(&mut self) {
        let takes = self.actors[self.current].session.takes_duties();
        self.say(
            self.current,
            if takes {
                "takes duties"
            } else {
                "takes no duties"
            },
        );
    }

    fn say(&mut self, index: usize, what: &str) {
        let name = if self.actors.len() > 1 {
            format!("{} ", self.actors[index].session.name())
        } else {
            String::new()
        };
        self.lines.push(format!("{} {name}{what}", clock(self.now)));
    }
}
