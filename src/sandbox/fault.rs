//! Bad weather on order: outages, answers put in another's mouth, answers that get lost. What happens to a request is
//! decided here; `server.rs` does it.

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact;
use serde::{Deserialize, Serialize};

use super::reply::{Kind, Reply};
use crate::time::Instant;

/// How an outage looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(super) enum Weather {
    /// 503 with a JSON body.
    #[serde(alias = "unavailable")]
    Refuse,
    /// The port is closed, for the controls too; needs `seconds`.
    Closed,
    /// The connection is reset once the request was read.
    Reset,
    /// No answer, ever.
    Hang,
    /// 200, then one byte a second.
    Drip,
    /// 200, then a body without end.
    Endless,
    /// 503 with a page.
    Html,
    /// The right answer after three seconds.
    Slow,
}

/// Which requests a fault is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Aim {
    /// All but the controls.
    #[default]
    Any,
    /// Both kinds of call to the token endpoint.
    Token,
    /// One kind.
    #[serde(untagged)]
    Kind(Kind),
}

impl Aim {
    fn hits(self, kind: Kind) -> bool {
        match self {
            Self::Any => true,
            Self::Token => matches!(kind, Kind::Login | Kind::Renew),
            Self::Kind(aimed) => aimed == kind,
        }
    }
}

/// `POST /sandbox/outage`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outage {
    /// How it looks.
    pub kind: Weather,
    /// Ends after so many seconds.
    pub seconds: Option<f64>,
    /// Ends after so many requests; with neither it lasts until `POST /sandbox/clear`.
    pub requests: Option<u64>,
    /// The requests that meet it.
    #[serde(default)]
    pub to: Aim,
}

/// `POST /sandbox/answer`: the request is not carried out; this is its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Planted {
    /// The requests that get it.
    #[serde(default)]
    pub to: Aim,
    /// How many of them.
    #[serde(default = "once")]
    pub times: u64,
    /// Wait so long before answering.
    #[serde(default, with = "compact::optional")]
    pub delay: Option<Duration>,
    /// The answer.
    #[serde(flatten)]
    pub reply: Reply,
}

/// `POST /sandbox/lose`: the request is carried out, and the connection is cut instead of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Loss {
    /// The requests whose answers get lost.
    #[serde(default)]
    pub to: Aim,
    /// How many of them.
    #[serde(default = "once")]
    pub times: u64,
}

fn once() -> u64 {
    1
}

/// What happens to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// An outage.
    Weather(Weather),
    /// A planted answer, after a delay.
    Answer(Reply, Option<Duration>),
    /// The answer is lost.
    Lost,
}

/// All faults that are ordered and not yet used up.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    outage: Option<(Outage, Option<Instant>)>,
    planted: Vec<Planted>,
    losses: Vec<Loss>,
}

impl Faults {
    /// Starts an outage in place of any that lasts.
    pub(super) fn start(&mut self, outage: Outage, now: Instant) {
        let length = outage
            .seconds
            .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO));
        self.outage = Some((outage, length.map(|length| now.after(length))));
    }

    /// Adds a planted answer behind those that wait.
    pub(super) fn plant(&mut self, planted: Planted) {
        self.planted.push(planted);
    }

    /// Adds a loss behind those that wait.
    pub(super) fn lose(&mut self, loss: Loss) {
        self.losses.push(loss);
    }

    /// For how long the port stays closed.
    pub(super) fn closed_for(&self, now: Instant) -> Option<Duration> {
        let (outage, until) = self.outage.as_ref()?;
        let left = until.as_ref()?.since(now);
        (outage.kind == Weather::Closed && left > Duration::ZERO).then_some(left)
    }

    /// What happens to a request of this kind; uses up what it returns.
    pub(super) fn next(&mut self, kind: Kind, now: Instant) -> Option<Fault> {
        self.weather(kind, now)
            .map(Fault::Weather)
            .or_else(|| self.answer(kind))
            .or_else(|| self.loss(kind))
    }

    fn weather(&mut self, kind: Kind, now: Instant) -> Option<Weather> {
        self.outage.take_if(|(outage, until)| {
            outage.requests == Some(0) || until.is_some_and(|until| now >= until)
        });
        let (outage, _) = self
            .outage
            .as_mut()
            .filter(|(outage, _)| outage.to.hits(kind))?;
        outage.requests = outage.requests.map(|left| left.saturating_sub(1));
        Some(outage.kind)
    }

    fn answer(&mut self, kind: Kind) -> Option<Fault> {
        self.planted.retain(|planted| planted.times > 0);
        let planted = self
            .planted
            .iter_mut()
            .find(|planted| planted.to.hits(kind))?;
        planted.times = planted.times.saturating_sub(1);
        Some(Fault::Answer(planted.reply.clone(), planted.delay))
    }

    fn loss(&mut self, kind: Kind) -> Option<Fault> {
        self.losses.retain(|loss| loss.times > 0);
        let loss = self.losses.iter_mut().find(|loss| loss.to.hits(kind))?;
        loss.times = loss.times.saturating_sub(1);
        Some(Fault::Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_ends_after_its_requests() {
        let mut faults = Faults::default();
        faults.start(outage(None, Some(2)), at(0));
        let seen: Vec<_> = (0..3)
            .map(|_| faults.next(Kind::Ping, at(0)).is_some())
            .collect();
        assert_eq!(seen, [true, true, false]);
    }

    #[test]
    fn an_outage_ends_after_its_seconds() {
        let mut faults = Faults::default();
        faults.start(outage(Some(1.5), None), at(0));
        let seen = [0, 1499, 1500].map(|millis| faults.next(Kind::Ping, at(millis)).is_some());
        assert_eq!(seen, [true, true, false]);
    }

    #[test]
    fn a_fault_meets_only_those_it_is_aimed_at() {
        let mut faults = Faults::default();
        faults.lose(serde_json::from_str(r#"{"to": "token"}"#).unwrap());
        assert_eq!(faults.next(Kind::Ping, at(0)), None);
        assert_eq!(faults.next(Kind::Renew, at(0)), Some(Fault::Lost));
        assert_eq!(faults.next(Kind::Login, at(0)), None, "it was used up");
    }

    #[test]
    fn planted_answers_come_in_order() {
        let mut faults = Faults::default();
        for status in [500, 404] {
            faults.plant(
                serde_json::from_value(serde_json::json!({"to": "ping", "status": status}))
                    .unwrap(),
            );
        }
        let seen = [500, 404].map(|_| match faults.next(Kind::Ping, at(0)) {
            Some(Fault::Answer(reply, None)) => reply.status,
            other => panic!("{other:?}"),
        });
        assert_eq!(seen, [500, 404]);
    }

    fn outage(seconds: Option<f64>, requests: Option<u64>) -> Outage {
        Outage {
            kind: Weather::Refuse,
            seconds,
            requests,
            to: Aim::Any,
        }
    }

    fn at(millis: i64) -> Instant {
        Instant::from_millis(millis)
    }
}
