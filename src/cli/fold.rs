//! Text for people in lines that end where the terminal ends: no word is broken, and each line goes on as far in as it began.

use std::ops::Range;

use unicode_width::UnicodeWidthStr as _;

use super::status::Paper;

/// A text that begins further in than one part in so many of the terminal's width goes below its label.
const DEEPEST: usize = 2;
/// How far in goes what has no room beside its label.
const BELOW: usize = 4;

/// Each line by itself: prose, a label with its text, or the row of a table. What has bars or tabs stays as it is.
pub(super) fn folded(text: &str, paper: &Paper) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| fold(line, paper)).collect();
    lines.join("\n")
}

/// A page of Markdown; the lines of a paragraph flow, and code stays as it is.
pub(super) fn page(text: &str, paper: &Paper) -> String {
    if paper.room(0) == usize::MAX {
        return text.to_owned();
    }
    let (mut blocks, mut is_code, mut flows): (Vec<(bool, String)>, _, _) =
        (Vec::new(), false, false);
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        let stays = is_code || is_fence;
        match blocks.last_mut() {
            Some((_, last)) if flows && !stays && is_prose(line) => {
                last.push(' ');
                last.push_str(line.trim_start());
            }
            Some(_) | None => blocks.push((stays, line.to_owned())),
        }
        flows = !stays && !line.starts_with('#') && !line.contains('|') && !line.trim().is_empty();
    }
    let lines = blocks.into_iter().map(
        |(stays, text)| {
            if stays { text } else { fold(&text, paper) }
        },
    );
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// Whether the line goes on with the one before.
fn is_prose(line: &str) -> bool {
    let begun = line.trim_start();
    !begun.is_empty() && !begun.starts_with(['#', '|', '>']) && mark(begun) == 0
}

fn fold(line: &str, paper: &Paper) -> String {
    let plain = anstream::adapter::strip_str(line).to_string();
    let has_bars = plain.starts_with('|') || plain.contains(" |");
    if plain.width() <= paper.room(0) || has_bars || plain.contains('\t') {
        return line.to_owned();
    }
    let blanks = plain.len() - plain.trim_start().len();
    let gaps = gaps(&plain);
    let styled = plain.len() < line.len();
    match gaps.as_slice() {
        [] => flowing(line, &plain, blanks + mark(plain.trim()), paper),
        [gap] if gap.end * DEEPEST <= paper.room(0) => flowing(line, &plain, gap.end, paper),
        [..] if styled => line.to_owned(),
        [..] => row(&plain, blanks, &gaps, paper),
    }
}

/// The blanks between columns.
fn gaps(plain: &str) -> Vec<Range<usize>> {
    let (begin, end) = (
        plain.len() - plain.trim_start().len(),
        plain.trim_end().len(),
    );
    let mut gaps: Vec<Range<usize>> = Vec::new();
    for (at, _) in plain.match_indices("  ") {
        match gaps.last_mut() {
            _ if at < begin || at >= end => {}
            Some(gap) if at <= gap.end => gap.end = at + 2,
            Some(_) | None => gaps.push(at..at + 2),
        }
    }
    for gap in &mut gaps {
        while plain
            .get(gap.end..)
            .is_some_and(|rest| rest.starts_with(' '))
        {
            gap.end += 1;
        }
    }
    gaps
}

/// How long the mark is behind which a text begins: a number, a bullet, the name of a help.
fn mark(sentence: &str) -> usize {
    let number = sentence.split_once(". ").filter(|(number, _)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    let named = ["- ", "* ", "= help: "]
        .into_iter()
        .find(|mark| sentence.starts_with(mark));
    number
        .map(|(number, _)| number.len() + ". ".len())
        .or_else(|| named.map(str::len))
        .unwrap_or_default()
}

/// The line, which may have colours, broken at blanks; what follows is `indent` columns in.
fn flowing(line: &str, plain: &str, indent: usize, paper: &Paper) -> String {
    let (head, text) = plain.split_at_checked(indent).unwrap_or(("", plain));
    let solid = |text: &str| text.chars().filter(|char| !char.is_whitespace()).count();
    let mut breaks = Vec::new();
    let mut shown = solid(head);
    for part in paper.folded(text, indent) {
        shown += solid(&part);
        breaks.push(shown);
    }
    breaks.pop();
    broken(line, &breaks, indent)
}

/// The line, broken after so many characters that are no blanks.
fn broken(line: &str, breaks: &[usize], indent: usize) -> String {
    let (mut text, mut shown, mut is_escape) = (String::new(), 0, false);
    let mut breaks = breaks.iter().peekable();
    for char in line.chars() {
        if char == '\x1b' || is_escape {
            is_escape = char == '\x1b' || !char.is_ascii_alphabetic();
            text.push(char);
            continue;
        }
        let is_due = breaks.peek().is_some_and(|at| **at <= shown);
        if char.is_whitespace() && is_due {
            continue;
        }
        if is_due {
            breaks.next();
            text.push('\n');
            text.push_str(&" ".repeat(indent));
        }
        shown += usize::from(!char.is_whitespace());
        text.push(char);
    }
    text
}

/// A row that is too wide goes on below, at a gap between its columns.
fn row(plain: &str, blanks: usize, gaps: &[Range<usize>], paper: &Paper) -> String {
    let indent = blanks + BELOW;
    let fitting = gaps.iter().rev().find(|gap| {
        plain
            .get(..gap.start)
            .is_some_and(|head| head.width() <= paper.room(0))
    });
    let parts = fitting.and_then(|gap| Some((plain.get(..gap.start)?, plain.get(gap.end..)?)));
    if let Some((head, rest)) = parts {
        let rest = format!("{}{rest}", " ".repeat(indent));
        return format!("{head}\n{}", fold(&rest, paper));
    }
    let words: Vec<&str> = plain.split_whitespace().collect();
    let prose = format!("{}{}", " ".repeat(blanks), words.join(" "));
    flowing(&prose, &prose, blanks, paper)
}

#[cfg(test)]
mod tests;
