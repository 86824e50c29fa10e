//! What somebody in front of the screen has chosen: a session, its page, a filter; and what keys change of it.

use super::screen::Key;
use crate::api::SessionStatus;
use crate::cli::status::phrases::{in_order, state_word};

/// Which part of the sessions is shown, and of what.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// The session that Enter opens; it stays chosen wherever it moves to.
    pub(super) chosen: Option<String>,
    /// Whether its page is open.
    pub(super) open: bool,
    /// Only sessions that have this in name, state or server.
    pub(super) filter: String,
    /// Keys go into the filter.
    pub(super) typing: bool,
    /// How much is scrolled away at the top.
    pub(super) offset: usize,
}

/// What is asked of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Quit,
    Suspend,
}

/// How far keys can move.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// Lines or sessions on one screen.
    pub(super) page: usize,
    /// The last line that an open page can be scrolled to.
    pub(super) furthest: usize,
}

impl Desk {
    /// The sessions that the filter lets through, those in trouble first.
    pub(super) fn shown<'a>(&self, sessions: &'a [SessionStatus]) -> Vec<&'a SessionStatus> {
        let mut shown = in_order(sessions);
        shown.retain(|session| self.lets_through(session));
        shown
    }

    /// The chosen session is one that is shown; an open page stays open though its session be gone.
    pub(super) fn settle(&mut self, sessions: &[SessionStatus]) {
        if self.open {
            return;
        }
        let shown = self.shown(sessions);
        if !shown
            .iter()
            .any(|session| Some(&session.session) == self.chosen.as_ref())
        {
            self.chosen = shown.first().map(|session| session.session.clone());
        }
    }

    /// What the key asks for beyond the screen, if anything.
    pub(super) fn press(
        &mut self,
        key: Key,
        sessions: &[SessionStatus],
        reach: Reach,
    ) -> Option<Wish> {
        match key {
            Key::Interrupt => return Some(Wish::Quit),
            Key::Suspend => return Some(Wish::Suspend),
            _ if self.typing && self.types(key) => {}
            Key::Char('q' | 'Q') => return Some(Wish::Quit),
            Key::Escape if self.open => self.turn(false),
            Key::Escape if self.filter.is_empty() => return Some(Wish::Quit),
            Key::Escape => self.filter.clear(),
            Key::Enter => self.turn(!self.open && self.chosen.is_some()),
            Key::Char('/') if !self.open => self.typing = true,
            Key::Up | Key::Char('k') => self.moves(sessions, reach, |at| at.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.moves(sessions, reach, |at| at + 1),
            Key::PageUp | Key::Char('b') => {
                self.moves(sessions, reach, |at| at.saturating_sub(reach.page));
            }
            Key::PageDown | Key::Char(' ' | 'f') => {
                self.moves(sessions, reach, |at| at + reach.page);
            }
            Key::Home | Key::Char('g') => self.moves(sessions, reach, |_| 0),
            Key::End | Key::Char('G') => self.moves(sessions, reach, |_| usize::MAX),
            Key::Char(_) | Key::Backspace => {}
        }
        None
    }

    /// Whether the key belongs to the filter.
    fn types(&mut self, key: Key) -> bool {
        match key {
            Key::Char(character) => self.filter.push(character),
            Key::Backspace => drop(self.filter.pop()),
            Key::Enter => self.typing = false,
            Key::Escape => {
                self.filter.clear();
                self.typing = false;
            }
            Key::Up
            | Key::Down
            | Key::PageUp
            | Key::PageDown
            | Key::Home
            | Key::End
            | Key::Interrupt
            | Key::Suspend => return false,
        }
        true
    }

    fn turn(&mut self, open: bool) {
        self.open = open;
        self.offset = 0;
    }

    fn moves(&mut self, sessions: &[SessionStatus], reach: Reach, to: impl Fn(usize) -> usize) {
        if self.open {
            self.offset = to(self.offset).min(reach.furthest);
            return;
        }
        let shown = self.shown(sessions);
        let at = shown
            .iter()
            .position(|session| Some(&session.session) == self.chosen.as_ref())
            .unwrap_or_default();
        self.chosen = shown
            .get(to(at).min(shown.len().saturating_sub(1)))
            .map(|session| session.session.clone());
    }

    fn lets_through(&self, session: &SessionStatus) -> bool {
        let wanted = self.filter.to_lowercase();
        let fields = [
            &*session.session,
            state_word(session.state),
            &session.provider,
            &session.url,
        ];
        fields
            .iter()
            .any(|field| field.to_lowercase().contains(&wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{State, fake};

    const REACH: Reach = Reach {
        page: 2,
        furthest: 5,
    };

    #[test]
    fn a_chosen_session_stays_chosen_while_others_move_past_it() {
        let mut sessions = ["a", "b", "c"].map(fake::status);
        let mut desk = Desk::default();
        press(&mut desk, &sessions, &[Key::Down]);
        assert_eq!(desk.chosen.as_deref(), Some("b"));
        sessions[2].state = State::NeedsAttention;
        press(&mut desk, &sessions, &[]);
        assert_eq!(desk.chosen.as_deref(), Some("b"));
        press(&mut desk, &sessions, &[Key::Home]);
        assert_eq!(desk.chosen.as_deref(), Some("c"), "trouble comes first");
        press(&mut desk, &sessions, &[Key::End, Key::Down, Key::PageDown]);
        assert_eq!(desk.chosen.as_deref(), Some("b"));
    }

    #[test]
    fn enter_opens_the_page_and_escape_leads_back_step_by_step() {
        let sessions = ["a", "b"].map(fake::status);
        let mut desk = Desk::default();
        press(
            &mut desk,
            &sessions,
            &[Key::Char('/'), Key::Char('B'), Key::Enter, Key::Enter],
        );
        assert!(desk.open && desk.chosen.as_deref() == Some("b"), "{desk:?}");
        press(&mut desk, &sessions, &[Key::Down, Key::End]);
        assert_eq!(desk.offset, 5);
        press(&mut desk, &sessions, &[Key::Escape]);
        assert!(!desk.open && desk.filter == "B", "{desk:?}");
        press(&mut desk, &sessions, &[Key::Escape]);
        assert!(desk.filter.is_empty());
        assert_eq!(
            press(&mut desk, &sessions, &[Key::Escape]),
            Some(Wish::Quit)
        );
    }

    #[test]
    fn a_filter_takes_every_letter_and_finds_names_states_and_servers() {
        let mut sessions = ["quick", "slow"].map(fake::status);
        sessions[1].state = State::NeedsAttention;
        let mut desk = Desk::default();
        let keys: Vec<Key> = "/qx"
            .chars()
            .map(Key::Char)
            .chain([Key::Backspace])
            .collect();
        assert_eq!(
            press(&mut desk, &sessions, &keys),
            None,
            "q is a letter here"
        );
        assert_eq!(names(&desk, &sessions), ["quick"]);
        desk.filter = "ATTENTION".to_owned();
        assert_eq!(names(&desk, &sessions), ["slow"]);
        desk.filter = "acme".to_owned();
        assert_eq!(names(&desk, &sessions).len(), 2);
        desk.filter = "nothing".to_owned();
        press(&mut desk, &sessions, &[Key::Enter, Key::Enter]);
        assert!(
            !desk.open && desk.chosen.is_none(),
            "there is nothing to open"
        );
    }

    fn names(desk: &Desk, sessions: &[SessionStatus]) -> Vec<String> {
        desk.shown(sessions)
            .iter()
            .map(|session| session.session.clone())
            .collect()
    }

    fn press(desk: &mut Desk, sessions: &[SessionStatus], keys: &[Key]) -> Option<Wish> {
        desk.settle(sessions);
        keys.iter().find_map(|key| {
            let wish = desk.press(*key, sessions, REACH);
            desk.settle(sessions);
            wish
        })
    }
}
