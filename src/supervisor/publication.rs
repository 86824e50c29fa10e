//! What readers are shown of one session. It is set in one place; the socket and the files follow it.

use std::sync::Arc;

use jiff::Timestamp;

use super::effect::Effects;
use super::feed::{self, Happened};
use crate::publish::{Publications, Publisher, Settling, SinkStatus, Wanted};
use crate::token::Published;

/// What readers find, and how far its files are.
pub(super) struct Publication {
    /// What readers of the socket get.
    served: Option<Arc<Published>>,
    /// Whether the files know of it. At the start, and when they have moved, files of before may lie there.
    files_know: bool,
    files: Publisher,
    /// The files lie elsewhere now, and wait for the record that names them.
    moves: bool,
    /// The latest generation that is known to be dead.
    dead: Option<u64>,
    landing: Landing,
    /// What happened to it, told once the files show it: who hears of a token may read it there.
    once_landed: Vec<Happened>,
}

/// How far the files are, for those who wait for them.
#[derive(Debug, Default)]
enum Landing {
    /// Nobody has waited since readers found something else.
    #[default]
    Unwatched,
    /// An errand comes back once they are as they were wanted then.
    Awaited(Settling),
    /// It came back: they are as wanted, or cannot be, or their disk hangs.
    Over,
}

impl Publication {
    /// Nothing is shown yet, whatever files of an earlier run hold.
    pub(super) fn beginning(files: Publisher) -> Self {
        Self {
            served: None,
            files_know: false,
            files,
            moves: false,
            dead: None,
            landing: Landing::default(),
            once_landed: Vec::new(),
        }
    }

    /// The same, where the files show the token of another identity: also those go that are kept when a token is lost.
    pub(super) fn replacing(files: Publisher, effects: &mut Effects) -> Self {
        let mut publication = Self::beginning(files);
        publication.remove(effects);
        publication
    }

    /// Readers find this from now on, or nothing. True when that is another token than before, or other files; what is
    /// shown already changes nothing.
    pub(super) fn set(
        &mut self,
        wanted: Option<Arc<Published>>,
        now: Timestamp,
        effects: &mut Effects,
    ) -> bool {
        let generation = |shown: &Option<Arc<Published>>| shown.as_ref().map(|it| it.generation);
        let is_same_token = self.files_know && generation(&wanted) == generation(&self.served);
        if is_same_token && wanted == self.served {
            return false;
        }
        let before = std::mem::replace(&mut self.served, wanted);
        self.files_know = true;
        effects.publish(self.files.set(match &self.served {
            Some(served) => Wanted::Show(served.clone()),
            None => Wanted::Withdraw,
        }));
        if is_same_token {
            return false;
        }
        self.landing = Landing::default();
        let happened = match &self.served {
            Some(served) => Some(feed::published(now, served.generation)),
            None => before.map(|before| feed::withdrawn(now, before.generation)),
        };
        self.once_landed.extend(happened);
        true
    }

    /// Readers find nothing from now on, and every file goes, also those that are kept when a token is lost.
    pub(super) fn remove(&mut self, effects: &mut Effects) {
        self.remove_but_for_files();
        effects.publish(self.files.set(Wanted::Remove));
    }

    /// Readers of the socket find nothing from now on; another session writes one of the files.
    pub(super) fn remove_but_for_files(&mut self) {
        (self.served, self.files_know) = (None, true);
    }

    /// The files lie elsewhere from now on; gives back those of before.
    pub(super) fn move_to(&mut self, files: Publisher) -> Publisher {
        (self.files_know, self.landing) = (false, Landing::default());
        self.moves = self.served.is_some();
        std::mem::replace(&mut self.files, files)
    }

    /// The record names the files, wherever they lie.
    pub(super) fn files_are_recorded(&mut self) {
        self.moves = false;
    }

    /// Has the files made as they are wanted once more: whoever had them before may have written last.
    pub(super) fn set_again(&self, effects: &mut Effects) {
        effects.publish(self.files.set_again());
    }

    /// Writes the files again where somebody changed or removed them.
    pub(super) fn heal(&self, effects: &mut Effects) {
        if let Some(served) = &self.served {
            effects.publish(self.files.set(Wanted::Show(served.clone())));
        }
    }

    /// What readers of the socket get.
    pub(super) fn served(&self) -> Option<&Arc<Published>> {
        self.served.as_ref()
    }

    /// A token is known to be dead.
    pub(super) fn token_died(&mut self, generation: u64) {
        self.dead = self.dead.max(Some(generation));
    }

    /// What readers of the socket get, unless it is known to be dead: what replaces it may not be stored yet.
    pub(super) fn served_alive(&self) -> Option<&Arc<Published>> {
        self.served()
            .filter(|served| self.dead.is_none_or(|dead| dead < served.generation))
    }

    /// Whether readers find a token.
    pub(super) fn is_shown(&self) -> bool {
        self.served.is_some()
    }

    /// Whether the files are as wanted, or were tried, or were waited for long enough.
    pub(super) fn has_landed(&self) -> bool {
        !self.moves && (matches!(self.landing, Landing::Over) || self.files.is_settled())
    }

    /// Whether something is told once the files show it.
    pub(super) fn is_untold(&self) -> bool {
        !self.once_landed.is_empty()
    }

    /// What happened that those who follow may hear of now.
    pub(super) fn take_told(&mut self) -> Vec<Happened> {
        if self.once_landed.is_empty() || !self.has_landed() {
            return Vec::new();
        }
        std::mem::take(&mut self.once_landed)
    }

    /// What resolves once the files are there, the first time that somebody must wait for them.
    pub(super) fn await_files(&mut self) -> Option<Settling> {
        if !matches!(self.landing, Landing::Unwatched) || self.has_landed() {
            return None;
        }
        let files = self.files.settling();
        self.landing = Landing::Awaited(files.clone());
        Some(files)
    }

    /// The files are as they were wanted, or were waited for long enough. If something else is wanted of them since, that is
    /// waited for anew.
    pub(super) fn files_landed(&mut self, files: &Settling) {
        let is_awaited = match &self.landing {
            Landing::Awaited(awaited) => awaited.is_same(files),
            Landing::Unwatched | Landing::Over => false,
        };
        if is_awaited {
            self.landing = if files.is_latest() {
                Landing::Over
            } else {
                Landing::Unwatched
            };
        }
    }

    /// Has the files looked at once more; none where their disk is known to hang.
    pub(super) fn look_anew(&mut self, effects: &mut Effects) -> Option<Settling> {
        let is_settled = self.files.is_settled();
        if matches!(self.landing, Landing::Over) && !is_settled {
            return None;
        }
        if is_settled {
            self.heal(effects);
            self.landing = Landing::Unwatched;
        }
        Some(self.files.settling())
    }

    /// The first file without which the session is not good, and that does not hold its token.
    pub(super) fn out_of_place(&self) -> Option<SinkStatus> {
        self.files.out_of_place(self.served.as_ref()?.generation)
    }

    /// The same, unless the file is merely being written.
    pub(super) fn lacking(&self) -> Option<SinkStatus> {
        self.out_of_place()
            .filter(|file| file.error.is_some() || matches!(self.landing, Landing::Over))
    }

    /// Resolves when the files are as they are wanted now.
    pub(super) fn settling(&self) -> Settling {
        self.files.settling()
    }

    /// What each file last did, in the order of the config.
    pub(super) fn files(&self) -> Vec<SinkStatus> {
        self.files.status()
    }

    /// The files whose last attempt failed.
    pub(super) fn failing(&self) -> Vec<SinkStatus> {
        self.files.failing()
    }

    /// What became of the files so far.
    pub(super) fn count(&self) -> Publications {
        self.files.publications()
    }

    /// The files, to be left once they are as they are wanted.
    pub(super) fn into_files(self) -> Publisher {
        self.files
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::named::Named;
    use crate::publish::{Format, SinkConfig, SinkPool};
    use crate::secret::Secret;
    use crate::supervisor::effect::Effect;
    use crate::token::Token;

    #[tokio::test]
    async fn what_is_shown_already_changes_nothing_and_is_told_once() {
        let house = TempDir::new().unwrap();
        let mut shown = Shown::beginning(&house);
        assert!(shown.set(None), "files of an earlier run may lie there");
        assert!(!shown.set(None) && !shown.is_untold());
        assert!(shown.set(Some(token(1, 60))));
        assert!(!shown.set(Some(token(1, 60))));
        assert!(!shown.set(Some(token(1, 90))), "the same with a later end");
        shown.settling().done().await;
        assert_eq!(shown.out_of_place(), None);
        assert_eq!(shown.take_told().len(), 1);
        assert!(shown.set(None) && !shown.is_shown());
        shown.settling().done().await;
        assert_eq!(shown.take_told().len(), 1);
        assert_eq!(shown.count().published, 1);
    }

    #[tokio::test]
    async fn files_that_move_are_told_again_what_is_shown() {
        let house = TempDir::new().unwrap();
        let mut shown = Shown::beginning(&house);
        assert!(shown.set(Some(token(1, 60))));
        let before = shown.move_to(files(&house));
        before.stop().await;
        assert!(shown.is_shown() && shown.out_of_place().is_some());
        assert!(shown.set(Some(token(1, 60))) && !shown.set(Some(token(1, 60))));
        shown.settling().done().await;
        assert_eq!(shown.out_of_place(), None);
    }

    #[tokio::test]
    async fn what_was_removed_is_not_merely_withdrawn_by_what_follows() {
        let house = TempDir::new().unwrap();
        let path = house.path().join("crm");
        let mut shown = Shown::beginning(&house);
        shown.set(Some(token(1, 60)));
        shown.settling().done().await;
        assert!(path.exists());
        shown.remove();
        assert!(!shown.set(None));
        shown.settling().done().await;
        assert!(!path.exists(), "although it is kept when its token is lost");
    }

    /// A publication whose files are written at once.
    struct Shown {
        publication: Publication,
        pool: SinkPool,
    }

    impl Shown {
        fn beginning(house: &TempDir) -> Self {
            Self {
                publication: Publication::beginning(files(house)),
                pool: SinkPool::start(),
            }
        }

        fn set(&mut self, wanted: Option<Arc<Published>>) -> bool {
            let mut effects = Effects::default();
            let changes = self
                .publication
                .set(wanted, Timestamp::UNIX_EPOCH, &mut effects);
            self.perform(effects);
            changes
        }

        fn remove(&mut self) {
            let mut effects = Effects::default();
            self.publication.remove(&mut effects);
            self.perform(effects);
        }

        fn perform(&self, mut effects: Effects) {
            for effect in effects.take() {
                if let Effect::Publish(pending) = effect {
                    self.pool.take(pending);
                }
            }
        }
    }

    impl std::ops::Deref for Shown {
        type Target = Publication;

        fn deref(&self) -> &Publication {
            &self.publication
        }
    }

    impl std::ops::DerefMut for Shown {
        fn deref_mut(&mut self) -> &mut Publication {
            &mut self.publication
        }
    }

    fn files(house: &TempDir) -> Publisher {
        let sink = SinkConfig {
            path: house.path().join("crm"),
            format: Format::Token,
            mode: 0o600,
            owner: None,
            group: None,
            keep_on_loss: true,
            required: true,
        };
        let tokens = house.path().into();
        Publisher::new(&"crm".into(), &Arc::from([sink]), &tokens)
    }

    fn token(generation: u64, end: i64) -> Arc<Published> {
        let token = Token {
            access_token: Secret::new("t0k3n"),
            token_type: "Bearer".to_owned(),
            instance_url: None,
            captures: Named::default(),
            issued_at: Timestamp::UNIX_EPOCH,
            expires_at: Some(Timestamp::from_second(end).unwrap()),
        };
        Arc::new(Published {
            session: "crm".into(),
            generation,
            token: Arc::new(token),
            headers: Vec::new(),
            base: String::new(),
        })
    }
}
