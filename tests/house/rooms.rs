//! The rooms, which are the modules right below `src`, and the arrows between them: which imports which.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, assert_none, read, sources};

/// Each arrow between two rooms, with the first line of code that draws it.
type Arrows = BTreeMap<(String, String), String>;

/// A row of the table: a room, and the rooms that it may import.
struct Row {
    room: String,
    imports: BTreeSet<String>,
}

#[test]
fn each_room_imports_only_what_the_table_of_the_map_lets_it_and_only_from_below() {
    let table = table(&read("docs/ARCHITECTURE.md"));
    let sources = sources();
    let files: Vec<(String, String)> = sources.iter().map(numbered).collect();
    let known: BTreeSet<&str> = files.iter().filter_map(|(file, _)| room(file)).collect();
    let drawn: BTreeSet<&str> = table.iter().map(|row| row.room.as_str()).collect();
    assert_eq!(
        drawn, known,
        "left: rows of the table in docs/ARCHITECTURE.md, right: rooms below src"
    );
    assert_none(
        "in the table of docs/ARCHITECTURE.md, a room stands above all that it imports",
        &pointing_up(&table),
    );
    let arrows = arrows(&files);
    assert_none(
        "imports that the table of docs/ARCHITECTURE.md does not allow",
        &not_allowed(&table, &arrows),
    );
    assert_none(
        "arrows in the table of docs/ARCHITECTURE.md that no import draws any more",
        &not_drawn(&table, &arrows),
    );
    assert_none(
        "another room is named from the root, as `crate::ROOM`",
        &climbing(&files),
    );
}

#[test]
fn an_arrow_that_is_new_or_gone_or_points_up_is_found() {
    let page = "## Rooms\n\n```text\ncli      config\n         hooks\nconfig   hooks\nhooks\n```\n";
    let files = |in_hooks: &str| {
        [
            (
                "src/cli.rs",
                "1 use crate::config::Config;\n2 crate::hooks::run();\n",
            ),
            (
                "src/config/hooks.rs",
                "7 use crate::hooks::Address;\n8 use crate::config::keys;\n",
            ),
            ("src/hooks/child.rs", in_hooks),
        ]
        .map(|(file, code)| (file.to_owned(), code.to_owned()))
    };
    let rows = table(page);
    let mut sound = arrows(&files("1 use std::fs;\n"));
    assert_eq!(pointing_up(&rows), Vec::<String>::new());
    assert_eq!(not_allowed(&rows, &sound), Vec::<String>::new());
    assert_eq!(not_drawn(&rows, &sound), Vec::<String>::new());

    let circle = arrows(&files("9 let to = crate::config::default_path();\n"));
    assert_eq!(
        not_allowed(&rows, &circle),
        ["src/hooks/child.rs:9: hooks imports config"]
    );
    let allowed = page.replace("\nhooks\n", "\nhooks    config\n");
    assert_eq!(pointing_up(&table(&allowed)), ["hooks imports config"]);
    sound.retain(|(from, _), _| from == "config");
    assert_eq!(
        not_drawn(&rows, &sound),
        ["cli imports config", "cli imports hooks"]
    );
    let climbs = files("3 use super::super::config::Config;\n");
    assert_eq!(climbing(&climbs), ["src/hooks/child.rs:3"]);
}

/// The table below the heading "Rooms": a room at the start of a line, what it imports behind it and on the lines below.
fn table(page: &str) -> Vec<Row> {
    let (_, after) = page.split_once("\n## Rooms\n").unwrap_or(("", page));
    let (_, block) = after.split_once("```text\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let mut rows: Vec<Row> = Vec::new();
    for line in block.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace().map(ToOwned::to_owned);
        if !line.starts_with(' ') {
            let room = words.next().unwrap();
            let imports = BTreeSet::new();
            rows.push(Row { room, imports });
        }
        rows.last_mut().unwrap().imports.extend(words);
    }
    rows
}

/// The room of a file; none for the library's root, the program, the engine, which is a crate of its own, and what fuzzes.
fn room(file: &str) -> Option<&str> {
    let below = file.strip_prefix("src/")?;
    let room = below.split('/').next()?.trim_end_matches(".rs");
    (!["engine", "fuzz", "lib", "main"].contains(&room)).then_some(room)
}

/// A file's name, and its code with the number of each line.
fn numbered(source: &Source) -> (String, String) {
    let code = source
        .code()
        .map(|(number, line)| format!("{number} {line}\n"));
    (source.name(), code.collect())
}

fn arrows(files: &[(String, String)]) -> Arrows {
    let rooms: BTreeSet<&str> = files.iter().filter_map(|(file, _)| room(file)).collect();
    let mut arrows = Arrows::new();
    for (file, code) in files {
        let Some(from) = room(file) else { continue };
        for line in code.lines() {
            let number = line.split(' ').next().unwrap();
            for rest in line.split("crate::").skip(1) {
                let is_end = |char: char| !(char.is_alphanumeric() || char == '_');
                let to = rest.split(is_end).next().unwrap();
                if to != from && rooms.contains(to) {
                    arrows
                        .entry((from.to_owned(), to.to_owned()))
                        .or_insert_with(|| format!("{file}:{number}"));
                }
            }
        }
    }
    arrows
}

/// Rows that name a room which is not below them; where there are none, there is no circle.
fn pointing_up(table: &[Row]) -> Vec<String> {
    let mut found = Vec::new();
    for (index, row) in table.iter().enumerate() {
        let below: BTreeSet<&String> = table.iter().skip(index + 1).map(|row| &row.room).collect();
        let up = row.imports.iter().filter(|to| !below.contains(to));
        found.extend(up.map(|to| format!("{} imports {to}", row.room)));
    }
    found
}

fn not_allowed(table: &[Row], arrows: &Arrows) -> Vec<String> {
    let is_allowed = |from: &String, to: &String| {
        table
            .iter()
            .any(|row| row.room == *from && row.imports.contains(to))
    };
    arrows
        .iter()
        .filter(|((from, to), _)| !is_allowed(from, to))
        .map(|((from, to), place)| format!("{place}: {from} imports {to}"))
        .collect()
}

fn not_drawn(table: &[Row], arrows: &Arrows) -> Vec<String> {
    let allowed = table
        .iter()
        .flat_map(|row| row.imports.iter().map(|to| (row.room.clone(), to.clone())));
    allowed
        .filter(|arrow| !arrows.contains_key(arrow))
        .map(|(from, to)| format!("{from} imports {to}"))
        .collect()
}

/// Lines that leave their module for the one above the next: a room could be left that way, unseen.
fn climbing(files: &[(String, String)]) -> Vec<String> {
    let rooms = files.iter().filter(|(file, _)| room(file).is_some());
    let lines = rooms.flat_map(|(file, code)| code.lines().map(move |line| (file, line)));
    lines
        .filter(|(_, line)| line.contains("super::super::") || line.contains("use crate::{"))
        .map(|(file, line)| format!("{file}:{}", line.split(' ').next().unwrap()))
        .collect()
}
