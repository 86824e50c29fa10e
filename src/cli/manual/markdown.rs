//! The pages of `docs/`, set for `man`: as much of Markdown as they use.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// A whole page without its title.
pub(super) fn set(page: &str) -> Roff {
    let mut roff = Roff::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("### ") {
            roff.control("SS", [plain(heading).as_str()]);
        } else if let Some(heading) = line.strip_prefix("## ") {
            roff.control("SH", [plain(heading).to_uppercase().as_str()]);
        } else if line.starts_with("```") {
            let code: Vec<&str> = lines
                .by_ref()
                .take_while(|line| !line.starts_with("```"))
                .collect();
            listing(&mut roff, &code);
        } else if line.starts_with('|') {
            let mut rows = vec![line];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(row);
            }
            table(&mut roff, &rows);
        } else if !(line.is_empty() || line.starts_with("# ") || line.starts_with("<!--")) {
            let mut text = line.to_owned();
            while let Some(more) = lines.next_if(|line| continues(line)) {
                text = format!("{text} {}", more.trim());
            }
            block(&mut roff, &text);
        }
    }
    roff
}

/// Whether the line goes on with the paragraph or item above it.
fn continues(line: &str) -> bool {
    let begins = ["- ", "#", "|", "```", "<!--"]
        .iter()
        .any(|start| line.starts_with(start));
    !(line.is_empty() || begins || number(line).is_some())
}

/// The number that a list's item begins with, and its text.
fn number(line: &str) -> Option<(&str, &str)> {
    line.split_once(". ")
        .filter(|(number, _)| number.len() < 3 && number.chars().all(|c| c.is_ascii_digit()))
}

/// A paragraph, or an item of a list.
fn block(roff: &mut Roff, text: &str) {
    if let Some(item) = text.strip_prefix("- ") {
        roff.control("IP", ["\\(bu", "2"]);
        roff.text(inlines(item));
    } else if let Some((number, item)) = number(text) {
        roff.control("IP", [format!("{number}.").as_str(), "4"]);
        roff.text(inlines(item));
    } else {
        roff.control("PP", []);
        roff.text(inlines(text.trim_start_matches("> ")));
    }
}

fn listing(roff: &mut Roff, code: &[&str]) {
    roff.control("PP", []);
    roff.control("EX", []);
    for line in code {
        roff.text([roman(ascii(line))]);
    }
    roff.control("EE", []);
}

/// The first cell of each row is the term; the others follow it, named by the head of their column.
fn table(roff: &mut Roff, rows: &[&str]) {
    let Some((head, rows)) = rows.split_first() else {
        return;
    };
    let head = cells(head);
    for row in rows.iter().skip(1) {
        let cells = cells(row);
        let Some((term, rest)) = cells.split_first() else {
            continue;
        };
        roff.control("TP", []);
        roff.text([bold(plain(term))]);
        let filled: Vec<(usize, &String)> = rest
            .iter()
            .enumerate()
            .filter(|(_, cell)| !cell.is_empty())
            .collect();
        for (at, (column, cell)) in filled.iter().enumerate() {
            if at > 0 {
                roff.control("br", []);
            }
            let name = head
                .get(column + 1)
                .filter(|name| rest.len() > 1 && !name.is_empty());
            let mut text =
                name.map_or_else(Vec::new, |name| vec![roman(format!("{}: ", plain(name)))]);
            text.extend(inlines(cell));
            roff.text(text);
        }
        if filled.is_empty() {
            roff.text([roman("-")]);
        }
    }
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').trim_end_matches('|');
    row.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// Code and strong words in bold, stressed ones in italics, links by their text.
fn inlines(text: &str) -> Vec<Inline> {
    let mut parts = Vec::new();
    for (at, span) in text.split('`').enumerate() {
        if at % 2 == 1 {
            parts.push(bold(ascii(span)));
            continue;
        }
        for (at, span) in unlinked(span).split("**").enumerate() {
            if at % 2 == 1 {
                parts.push(bold(ascii(span)));
                continue;
            }
            let spans = span
                .split('*')
                .enumerate()
                .filter(|(_, span)| !span.is_empty());
            parts.extend(spans.map(|(at, span)| {
                if at % 2 == 1 {
                    italic(ascii(span))
                } else {
                    roman(ascii(span))
                }
            }));
        }
    }
    parts
}

/// Text without marks.
fn plain(text: &str) -> String {
    ascii(&unlinked(text).replace(['`', '*'], ""))
}

/// `[text](target)` as `text`.
fn unlinked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("](") {
        let (outside, shown) = before.rsplit_once('[').unwrap_or(("", before));
        out.push_str(outside);
        out.push_str(shown);
        rest = link.split_once(')').map_or("", |(_, after)| after);
    }
    out + rest
}

/// What terminals and locales without Unicode can show.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '…' => out.push_str("..."),
            '“' | '”' => out.push('"'),
            '→' => out.push_str("->"),
            '–' => out.push('-'),
            'µ' => out.push('u'),
            '×' => out.push('x'),
            '●' | '•' | '○' => out.push('o'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_pages_use_is_set() {
        let text = set("# Title\n\nSome `code`, **strong** and a [link](x.md)\nover two lines.\n\n- an item\n  of two\n1. first\n\n\
                        | a | b | c |\n|---|---|---|\n| x | y | z |\n\n```sh\nls\n```\n")
        .to_roff();
        for part in [
            "Some \\fBcode\\fR, \\fBstrong\\fR and a link over two lines.",
            ".IP \\(bu 2\nan item of two",
            ".IP 1. 4\nfirst",
            ".TP\n\\fBx\\fR\nb: y\n.br\nc: z",
            ".EX\nls\n.EE",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(!text.contains("Title"));
    }
}
