//! The stage on which a script is played.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::secret::Secret;
use crate::session::account::Account;
use crate::session::answer::{Answer, Grant, Request, Verdict};
use crate::session::event::Event;
use crate::session::policy::{LoginBy, Policy, WindowModel};
use crate::session::state::State;
use crate::session::view::Publication;
use crate::session::{Action, Call, Input, Order, Session};
use crate::time::Instant;
use crate::token::Token;

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
    publication: Publication,
    generation: u64,
}

impl Stage {
    pub(super) fn play(script: &str) -> Vec<String> {
        let now = Instant::from_millis(0);
        let account = Account::new(now, 1);
        let stored_account = account.clone();
        let (policy, actors, lines) = (salesforce(), Vec::new(), Vec::new());
        let mut stage = Self { now, policy, actors, current: 0, account, stored_account, lines };
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            stage.statement(line);
        }
        stage.lines
    }

    fn statement(&mut self, line: &str) {
        let (when, what) = line.split_once(": ").map_or((None, line), |(when, what)| (Some(when), what));
        let words: Vec<&str> = what.split_whitespace().collect();
        if words[0] == "policy" {
            words[1..].iter().for_each(|setting| configure(&mut self.policy, setting));
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
        when.strip_prefix('+')
            .map_or_else(|| Instant::from_millis(0).after(duration(when)), |wait| self.now.after(duration(wait)))
    }

    fn enter(&mut self, name: &str) {
        if let Some(known) = self.actors.iter().position(|actor| actor.session.name() == name) {
            self.current = known;
            return;
        }
        let session = Session::new(name, self.policy.clone(), self.now, FLOOR, 1);
        let stored = session.state().clone();
        let publication = session.publication(self.now);
        self.actors.push(Actor { session, stored, call: None, served: BTreeMap::new(), publication, generation: 0 });
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
            let input = answer.map_or(Input::Tick, |answer| Input::Answered { answer, secrets: Some("secret".into()) });
            self.step(actor, input);
        }
        panic!("the script spins at {:?}:\n{}", self.now, self.lines.join("\n"));
    }

    fn soonest(&self) -> Option<(Instant, usize, Option<Answer>)> {
        let moments = self.actors.iter().enumerate().flat_map(|(index, actor)| {
            let wake = actor.session.wake(self.now, &self.account).map(|at| (at, index, None));
            [wake, Self::served_answer(actor).map(|answer| (answer.received, index, Some(answer)))]
        });
        moments.flatten().min_by_key(|(at, _, _)| *at)
    }

    fn served_answer(actor: &Actor) -> Option<Answer> {
        let (call, sent) = actor.call.as_ref()?;
        let words: Vec<&str> = actor.served.get(word(call.request))?.split_whitespace().collect();
        Some(answer(call, *sent, sent.after(LATENCY), &words, actor.session.state()).unwrap())
    }

    fn perform(&mut self, words: &[&str]) {
        let current = self.current;
        let input = match words[0] {
            "serve" => {
                let request = REQUESTS.into_iter().map(word).find(|word| *word == words[1]).unwrap();
                self.actors[current].served.remove(request);
                if words[2] != "nothing" {
                    self.actors[current].served.insert(request, words[2..].join(" "));
                }
                return;
            }
            "restart" => return self.restart(false, words.get(1) != Some(&"uncertain")),
            "crash" => return self.restart(true, true),
            "status" => return self.status(),
            "tick" => Input::Tick,
            "order" => Input::Order(order(words[1])),
            "used" => Input::Used { generation: words[1].parse().unwrap(), age: words.get(2).map(|age| duration(age)) },
            "rejected" => Input::Rejected { generation: words[1].parse().unwrap() },
            "wanted" => Input::Wanted { validity: duration(words[1]) },
            "seed" => Input::Seed(Ok(Secret::new(words[1]))),
            "unread" => Input::Seed(Err(words[1..].join(" "))),
            "secrets" => Input::SecretsAre(words[1].to_owned()),
            "jump" => Input::ClockJumped,
            "active" => Input::Active(words[1] == "true"),
            "drain" => Input::Drain,
            "unwritten" => {
                let (call, _) = self.actors[current].call.take().expect("no call is under way");
                Input::Unwritten { call: call.id }
            }
            _ => return self.answer(words),
        };
        self.step(current, input);
    }

    fn answer(&mut self, words: &[&str]) {
        let actor = &self.actors[self.current];
        let lines = self.lines.join("\n");
        let (call, sent) = actor.call.as_ref().unwrap_or_else(|| panic!("no call to answer {words:?}:\n{lines}"));
        let answer =
            answer(call, *sent, self.now, words, actor.session.state()).unwrap_or_else(|| panic!("{words:?}?"));
        self.step(self.current, Input::Answered { answer, secrets: Some("secret".into()) });
    }

    fn step(&mut self, index: usize, input: Input) {
        let actor = &mut self.actors[index];
        if matches!(input, Input::Answered { .. }) {
            actor.call = None;
        }
        let actions = actor.session.step(input, self.now, &mut self.account);
        let mut stored = false;
        for action in actions {
            match action {
                Action::Save => self.actors[index].stored = self.actors[index].session.state().clone(),
                Action::SaveAccount => self.stored_account = self.account.clone(),
                Action::Call(call) => {
                    assert!(self.actors[index].call.is_none(), "two calls under way:\n{}", self.lines.join("\n"));
                    assert!(!call.durable || stored, "a durable call without its intent");
                    self.say(index, word(call.request));
                    self.actors[index].call = Some((call, self.now));
                }
                Action::Tell(ref event) => self.say(index, &describe(event)),
            }
            stored = self.actors[index].stored.intent;
        }
        self.show_publication(index);
    }

    fn show_publication(&mut self, index: usize) {
        let actor = &mut self.actors[index];
        let publication = actor.session.publication(self.now);
        let generation = actor.session.state().generation;
        let changed =
            publication != actor.publication || (publication == Publication::Show && generation != actor.generation);
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
        let account = if crash { &self.stored_account } else { &self.account };
        self.account = serde_json::from_str(&serde_json::to_string(account).unwrap()).unwrap();
        self.account.sessions = u32::try_from(self.actors.len()).unwrap();
        for actor in &mut self.actors {
            let state = if crash { &actor.stored } else { actor.session.state() };
            let state: State = serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap();
            let name = actor.session.name().to_owned();
            actor.session = Session::restore(&name, actor.session.policy().clone(), state, self.now, FLOOR, certain);
            actor.call = None;
        }
        for index in 0..self.actors.len() {
            self.say(index, "restart");
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
            line = format!("{line}; {} at {} for {:?}", word(next.request), clock(next.at), next.why);
        }
        self.say(self.current, &line);
    }

    fn say(&mut self, index: usize, what: &str) {
        let name =
            if self.actors.len() > 1 { format!("{} ", self.actors[index].session.name()) } else { String::new() };
        self.lines.push(format!("{} {name}{what}", clock(self.now)));
    }
}

const REQUESTS: [Request; 5] = [Request::Ping, Request::Introspect, Request::Renew, Request::Login, Request::Logout];

fn word(request: Request) -> &'static str {
    match request {
        Request::Ping => "ping",
        Request::Introspect => "introspect",
        Request::Renew => "renew",
        Request::Login => "login",
        Request::Logout => "logout",
    }
}

fn order(word: &str) -> Order {
    match word {
        "verify" => Order::Verify,
        "renew" => Order::Renew,
        "login" => Order::Login,
        "logout" => Order::Logout,
        "pause" => Order::Pause,
        "resume" => Order::Resume,
        _ => panic!("no such order: {word}"),
    }
}

fn answer(call: &Call, sent: Instant, received: Instant, words: &[&str], state: &State) -> Option<Answer> {
    let option = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    let verdict = match words[0] {
        "alive" => Verdict::Alive,
        "dead" => Verdict::Dead { certain: true },
        "dead?" => Verdict::Dead { certain: false },
        "good" => Verdict::Good(Box::new(grant(words, &option, state))),
        "refused" => Verdict::Refused { confirm: false },
        "refused?" => Verdict::Refused { confirm: true },
        "grant_dead" => Verdict::GrantDead,
        "throttled" => Verdict::Throttled { retry_after: words.get(1).map(|wait| duration(wait)) },
        "unavailable" => Verdict::Unavailable,
        "forbidden" => Verdict::Forbidden { certain: true },
        "forbidden?" => Verdict::Forbidden { certain: false },
        "in_doubt" => Verdict::InDoubt,
        "concurrent" => Verdict::Concurrent,
        "skewed" => Verdict::Skewed,
        "logged_out" => Verdict::LoggedOut,
        "introspected" => Verdict::Introspected { active: true, remaining: words.get(1).map(|left| duration(left)) },
        "inactive" => Verdict::Introspected { active: false, remaining: None },
        _ => return None,
    };
    let counted = !words.contains(&"uncounted");
    let skew_millis = option("skew").map(|skew| skew.parse::<i64>().unwrap() * 1000);
    let detail = words[0].to_owned();
    Some(Answer { call: call.id, sent, received, verdict, detail, counted, skew_millis, quotas: Vec::new() })
}

/// `good`, `good t2`, `good same`: without a name, the token is one that was never seen.
fn grant<'a>(words: &[&str], option: &dyn Fn(&str) -> Option<&'a str>, state: &State) -> Grant {
    let named = words.get(1).filter(|word| !word.contains('=') && **word != "uncounted");
    let access_token = match named {
        Some(&"same") => state.token.as_ref().unwrap().access_token.clone(),
        Some(name) => Secret::new(*name),
        None => Secret::new(format!("t{}", state.generation + 1)),
    };
    let token = Token {
        access_token,
        token_type: "Bearer".into(),
        instance_url: option("url").map(str::to_owned),
        captures: BTreeMap::new(),
        issued_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    };
    Grant {
        token,
        refresh_token: option("refresh").map(Secret::new),
        lifetime: option("life").map(duration),
        refresh_lifetime: option("refresh_life").map(duration),
        idle_timeout: option("idle").map(duration),
        fixed: words.contains(&"fixed"),
    }
}

fn describe(event: &Event) -> String {
    let word = event.word();
    match event {
        Event::LoggedIn { generation } | Event::Renewed { generation } | Event::Expired { generation } => {
            format!("{word} {generation}")
        }
        Event::Died { unexplained: true, .. } => format!("{word} unexplained"),
        Event::Learned { from, to } => format!("{word} {}, not {}", short(*to), short(*from)),
        Event::Failing { failures, .. } | Event::Answering { failures } => format!("{word} {failures}"),
        Event::Throttled { wait, .. } => format!("{word} {}", short(*wait)),
        Event::Refused { stopped: true, .. } => format!("{word}, stopped"),
        Event::Doubtful { why } => format!("{word} {why:?}"),
        Event::Skewed { millis } => format!("{word} {}s", millis / 1000),
        Event::LoggedOut { problem: Some(problem) } => format!("{word}: {problem}"),
        Event::Died { .. }
        | Event::SameToken
        | Event::SameDeadToken
        | Event::Refused { .. }
        | Event::GrantDead { .. }
        | Event::InDoubt { .. }
        | Event::Forbidden { .. }
        | Event::Allowed
        | Event::Proven
        | Event::BudgetSpent { .. }
        | Event::Seeded
        | Event::Reopened
        | Event::LoggedOut { problem: None }
        | Event::Paused
        | Event::Resumed
        | Event::Dormant
        | Event::Woken => word.to_owned(),
    }
}

/// Salesforce by `jwt_bearer`: what the profile and a short config come to.
fn salesforce() -> Policy {
    Policy {
        origin: "https://acme.example".into(),
        model: WindowModel::HalfWindow,
        idle_timeout: Some(duration("2h")),
        idle_timeouts: ["15m", "30m", "1h", "2h", "4h", "8h", "12h", "24h"].map(duration).to_vec(),
        max_lifetime: None,
        token_lifetime: None,
        refresh_idle_timeout: None,
        renew_before: None,
        survive_outage: duration("12m"),
        request_timeout: duration("20s"),
        shared: true,
        has_ping: true,
        login_may_reuse: false,
        renew_by_profile: false,
        renewal_kills: false,
        login: LoginBy::Daemon { confirm: true },
        introspect: false,
    }
}

fn configure(policy: &mut Policy, setting: &str) {
    let (key, value) = setting.split_once('=').unwrap();
    let maybe = || (value != "none").then(|| duration(value));
    match key {
        "model" => policy.model = model(value),
        "idle" => policy.idle_timeout = maybe(),
        "max" => policy.max_lifetime = maybe(),
        "life" => policy.token_lifetime = maybe(),
        "refresh_idle" => policy.refresh_idle_timeout = maybe(),
        "renew_before" => policy.renew_before = maybe(),
        "survive" => policy.survive_outage = duration(value),
        "request_timeout" => policy.request_timeout = duration(value),
        "shared" => policy.shared = value == "true",
        "ping" => policy.has_ping = value == "true",
        "reuse" => policy.login_may_reuse = value == "true",
        "renew_by_profile" => policy.renew_by_profile = value == "true",
        "introspect" => policy.introspect = value == "true",
        "login" => policy.login = login(value),
        _ => panic!("no such setting: {setting}"),
    }
}

fn model(word: &str) -> WindowModel {
    match word {
        "half_window" => WindowModel::HalfWindow,
        "sliding" => WindowModel::Sliding,
        "explicit" => WindowModel::Explicit,
        "fixed" => WindowModel::Fixed,
        _ => panic!("no such model: {word}"),
    }
}

fn login(word: &str) -> LoginBy {
    match word {
        "jwt" => LoginBy::Daemon { confirm: true },
        "password" => LoginBy::Daemon { confirm: false },
        "person" => LoginBy::Person,
        _ => panic!("no such login: {word}"),
    }
}

/// `1d2h30m15s`, `250ms`.
fn duration(text: &str) -> Duration {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or_else(|| panic!("no unit in {text}"));
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|letter: char| letter.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let number: u64 = number.parse().unwrap_or_else(|_| panic!("no number in {text}"));
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => panic!("no such unit in {text}"),
        };
        total += Duration::from_millis(number * millis);
        rest = after;
    }
    total
}

/// `0:12:48`: hours, minutes and seconds since the script began.
fn clock(moment: Instant) -> String {
    let seconds = moment.as_millis() / 1000;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn short(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds > 0 && seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds > 0 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}
