//! Words of a line, and those among them that are better not shown.

/// What is in the place of such a word.
const HIDDEN: &str = "[hidden]";

/// `line` with another word in the place of each that is `suspect`.
pub(super) fn hiding(line: &str, suspect: impl Fn(&str) -> bool) -> String {
    line.split_inclusive(is_border)
        .map(|piece| hiding_one(piece, &suspect))
        .collect()
}

/// `piece` is one word and perhaps what ended it.
fn hiding_one(piece: &str, suspect: &impl Fn(&str) -> bool) -> String {
    let word =
        piece.trim_matches(|char: char| is_border(char) || matches!(char, '.' | ';' | ')' | '('));
    if !word.is_empty() && suspect(word) {
        piece.replacen(word, HIDDEN, 1)
    } else {
        piece.to_owned()
    }
}

fn is_border(char: char) -> bool {
    char.is_whitespace()
        || matches!(
            char,
            '\'' | '"' | '=' | ':' | ',' | '\u{201c}' | '\u{201d}' | '<' | '>' | '&' | '?'
        )
}
