//! Whether sessions are good, in their files too: a probe that says so while a file is missing lets jobs start that fail.

use std::collections::BTreeMap;

use super::Supervisor;
use super::effect::Effect;
use super::slot::Slot;
use crate::api::{About, Health, HealthAsk, Refusal};
use crate::publish::{Settling, SinkStatus};

impl Supervisor {
    /// Answers once the files were looked at, since somebody may have removed one.
    pub(super) fn ask_health(&mut self, ask: HealthAsk) {
        let names = match self.probed(&ask) {
            Ok(slots) => slots
                .into_iter()
                .map(|slot| slot.name().clone())
                .collect::<Vec<_>>(),
            Err(refusal) => {
                let _ = ask.reply.send(Err(refusal));
                return;
            }
        };
        let files: Vec<_> = names
            .iter()
            .filter_map(|name| self.look_anew(name))
            .collect();
        if files.is_empty() {
            self.answer_health(ask);
        } else {
            self.effects
                .push(Effect::AwaitFilesForHealth { files, ask });
        }
    }

    pub(super) fn answer_health(&self, ask: HealthAsk) {
        let health = self.probed(&ask).map(|slots| self.health(&slots));
        let _ = ask.reply.send(health);
    }

    fn probed(&self, ask: &HealthAsk) -> Result<Vec<&Slot>, Refusal> {
        if ask.names.is_empty() {
            return Ok(self
                .slots
                .values()
                .map(Box::as_ref)
                .filter(|slot| self.may_read(&ask.caller, slot))
                .collect());
        }
        let about = |name: &String| About {
            caller: ask.caller.clone(),
            name: name.clone(),
        };
        ask.names
            .iter()
            .map(|name| self.readable(&about(name)))
            .collect()
    }

    fn health(&self, slots: &[&Slot]) -> Health {
        let mut not_ready = BTreeMap::new();
        for slot in slots {
            if !slot.is_ready() {
                not_ready.insert(slot.name().to_string(), self.reason(slot));
            } else if let Some(file) = slot.publication().out_of_place() {
                not_ready.insert(slot.name().to_string(), out_of_place_in_words(&file));
            }
        }
        Health {
            live: true,
            ready: not_ready.is_empty(),
            not_ready,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Has a good session's files looked at once more; none where there are none, or their disk is known to hang.
    pub(super) fn look_anew(&mut self, name: &str) -> Option<Settling> {
        let slot = self.slots.get_mut(name)?;
        if slot.config().publish.is_empty() || !slot.is_ready() {
            return None;
        }
        let look = slot.publication_mut().look_anew(&mut self.effects)?;
        self.look_for_files(name);
        Some(look)
    }
}

/// What is wrong with a file, and what to do.
pub(super) fn out_of_place_in_words(file: &SinkStatus) -> String {
    let path = file.path.to_string_lossy();
    match &file.error {
        Some(error) if error.contains(&*path) => {
            format!("a token file is not in its place: {error}")
        }
        Some(error) => format!("the token file {path} is not in its place: {error}"),
        None => format!("the token file {path} is not in its place: its disk has not taken it yet"),
    }
}
