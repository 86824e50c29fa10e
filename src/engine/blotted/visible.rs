//! What of a text can be seen, on one line.

use unicode_width::UnicodeWidthChar as _;

/// More marks than these over one letter would reach into the lines above.
const MOST_MARKS: usize = 3;

/// `text` with spaces for whatever is blank, and without what has no look of its own: control characters, those that turn
/// the direction of writing, join or select variants, and tags.
pub(super) fn visible(text: &str) -> impl Iterator<Item = char> {
    let mut marks = 0;
    text.chars().filter_map(seen).filter(move |char| {
        marks = if is_mark(*char) { marks + 1 } else { 0 };
        marks <= MOST_MARKS
    })
}

/// Whether nothing would be left out of `text`, and nothing in it ends a line.
pub(super) fn is_visible(text: &str) -> bool {
    text.chars().all(|char| {
        seen(char).is_some() && !char.is_control() && !matches!(char, '\u{2028}' | '\u{2029}')
    })
}

/// Whether it only changes the letter before it.
pub(super) fn is_mark(char: char) -> bool {
    char.width() == Some(0)
}

fn seen(char: char) -> Option<char> {
    if char.is_whitespace() || is_blank(char) {
        return Some(' ');
    }
    (!char.is_control() && !is_invisible(char)).then_some(char)
}

/// Letters by their class, and nothing to the eye: braille without a dot, and Hangul's fillers.
fn is_blank(char: char) -> bool {
    matches!(
        char,
        '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
    )
}

/// `Default_Ignorable_Code_Point` and the format characters of Unicode 16, and what will never be a character.
fn is_invisible(char: char) -> bool {
    let never = u32::from(char) & 0xfffe == 0xfffe;
    never
        || matches!(char,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
            | '\u{8e2}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}
