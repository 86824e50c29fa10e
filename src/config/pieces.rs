//! A config cut into its sessions, so that no more than one of them need be held as TOML.
//!
//! Only where to cut is found out here, by TOML's own lexer; every piece is a file of its own to the parser.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::DeTable;
use toml_parser::Source;
use toml_parser::lexer::{Token, TokenKind};

/// Where the sessions of a text lie, each in one piece.
pub(super) struct Cut {
    /// In the order of the text, each from its first header to the next header of something else.
    pub(super) sessions: Vec<Range<usize>>,
    /// The text with blanks in their place, so that what is left stays where it is.
    pub(super) rest: String,
}

/// The text of one session, and the byte of the file at which it begins.
pub(super) struct Piece<'t> {
    pub(super) text: &'t str,
    pub(super) start: usize,
}

impl Cut {
    /// None where there is nothing to cut out, or a session lies in more than one place.
    pub(super) fn of(text: &str) -> Option<Self> {
        let mut pieces: Vec<(Option<&str>, Range<usize>)> = Vec::new();
        for (start, header) in headers(text) {
            let session = session_of(text, &header);
            match pieces.last_mut() {
                Some((of, _)) if *of == session => continue,
                Some((_, range)) => range.end = start,
                None => {}
            }
            pieces.push((session, start..text.len()));
        }
        pieces.retain(|(session, _)| session.is_some());
        let names: BTreeSet<_> = pieces.iter().map(|(session, _)| session).collect();
        if pieces.is_empty() || names.len() < pieces.len() {
            return None;
        }
        let sessions: Vec<Range<usize>> = pieces.into_iter().map(|(_, range)| range).collect();
        Some(Self {
            rest: blanked(text, &sessions),
            sessions,
        })
    }
}

impl<'t> Piece<'t> {
    /// As TOML, if it is that.
    pub(super) fn parse(&self) -> Option<DeTable<'t>> {
        DeTable::parse(self.text)
            .ok()
            .map(toml::Spanned::into_inner)
    }

    /// A span of the piece, in the file.
    pub(super) fn in_file(&self, span: Range<usize>) -> Range<usize> {
        span.start + self.start..span.end + self.start
    }
}

/// Every header of a table with the byte that it begins at, up to the end of its line.
fn headers(text: &str) -> impl Iterator<Item = (usize, Vec<Token>)> {
    let mut tokens = Source::new(text).lex();
    // Brackets inside values, which may go over many lines.
    let (mut depth, mut fresh_line) = (0_usize, true);
    std::iter::from_fn(move || {
        while let Some(token) = tokens.next() {
            let begins_line = std::mem::take(&mut fresh_line);
            let kind = token.kind();
            if begins_line && depth == 0 && kind == TokenKind::LeftSquareBracket {
                fresh_line = true;
                let line = tokens
                    .by_ref()
                    .take_while(|token| token.kind() != TokenKind::Newline);
                return Some((token.span().start(), line.collect()));
            }
            if matches!(
                kind,
                TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket
            ) {
                depth += 1;
            } else if matches!(
                kind,
                TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket
            ) {
                depth = depth.saturating_sub(1);
            }
            fresh_line = kind == TokenKind::Newline || begins_line && kind == TokenKind::Whitespace;
        }
        None
    })
}

/// The name in `[sessions.NAME]`, `[sessions.NAME.login]`, `[[sessions.NAME.hook]]`, where it stands without quotes.
fn session_of<'t>(text: &'t str, header: &[Token]) -> Option<&'t str> {
    let told = |token: &&Token| {
        !matches!(
            token.kind(),
            TokenKind::Whitespace | TokenKind::LeftSquareBracket
        )
    };
    let mut words = header.iter().filter(told);
    let [sessions, dot, name] = [words.next()?, words.next()?, words.next()?];
    let word = |token: &Token| text.get(token.span().start()..token.span().end());
    let shaped = [sessions, name]
        .iter()
        .all(|token| token.kind() == TokenKind::Atom)
        && dot.kind() == TokenKind::Dot;
    word(name).filter(|_| shaped && word(sessions) == Some("sessions"))
}

fn blanked(text: &str, pieces: &[Range<usize>]) -> String {
    let mut rest = String::with_capacity(text.len());
    for piece in pieces {
        rest.push_str(text.get(rest.len()..piece.start).unwrap_or_default());
        rest.extend(std::iter::repeat_n(
            ' ',
            piece.end.saturating_sub(rest.len() + 1),
        ));
        rest.push('\n');
    }
    rest.push_str(text.get(rest.len()..).unwrap_or_default());
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_is_cut_out_with_all_its_tables_and_what_is_left_stays_in_its_place() {
        let text = "[http]\na = 1\n [sessions.a] # é\nb = 2\n[[sessions.a.hook]]\n[sessions . b]\n[alerts]\nc = 3\n[sessions.c]";
        assert_eq!(
            pieces(text),
            [
                "[sessions.a] # é\nb = 2\n[[sessions.a.hook]]\n",
                "[sessions . b]\n",
                "[sessions.c]"
            ]
        );
        let cut = Cut::of(text).unwrap();
        assert_eq!(cut.rest.len(), text.len());
        for left in ["[http]\na = 1\n", "[alerts]\nc = 3\n"] {
            assert_eq!(cut.rest.find(left), text.find(left));
        }
        assert_eq!(DeTable::parse(&cut.rest).unwrap().get_ref().len(), 2);
    }

    #[test]
    fn what_looks_like_a_header_inside_a_value_is_none() {
        let text = "[sessions.a]\nb = '''\n[sessions.b]\n'''\nc = [\n[\n'x'], # [sessions.c]\n[]\n]\nd = { e = [] }\n[sessions.f]\n";
        assert_eq!(pieces(text), [&text[..text.len() - 13], "[sessions.f]\n"]);
    }

    #[test]
    fn a_config_whose_sessions_do_not_each_lie_in_one_place_is_not_cut() {
        for text in [
            "",
            "[http]\na = 1\n",
            "[sessions]\na.b = 1\n",
            "[sessions.\"a\"]\n",
            "[[sessions]]\n",
            "[sessions.a]\n[sessions.b]\n[sessions.a.login]\n",
            "[sessions.a]\n[alerts]\n[sessions.a.login]\n",
        ] {
            assert!(Cut::of(text).is_none(), "{text}");
        }
    }

    fn pieces(text: &str) -> Vec<&str> {
        Cut::of(text)
            .unwrap()
            .sessions
            .into_iter()
            .map(|range| &text[range])
            .collect()
    }
}
