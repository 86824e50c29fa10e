//! Paths in the config: relative ones lie beside the file that names them.

use std::path::{Component, Path, PathBuf};

use super::report::At;
use super::table::Table;
use super::value::{Bad, bad};

/// Reads a path and makes it absolute.
pub(super) fn read(table: &Table<'_>, key: &str) -> Option<At<PathBuf>> {
    table
        .parsed(key, |text| plain(text).map(Path::to_owned))
        .map(|path| path.map(|path| tidy(&table.directory.join(path))))
}

/// Reads a path to a directory of your own, and makes it absolute.
pub(super) fn read_directory(table: &Table<'_>, key: &str) -> Option<At<PathBuf>> {
    table.parsed(key, |text| {
        let path = tidy(&table.directory.join(plain(text)?));
        if path
            .components()
            .any(|part| matches!(part, Component::Normal(_)))
        {
            return Ok(path);
        }
        Err(bad(
            "is the root of everything",
            "name a directory that is keepfresh's own",
        ))
    })
}

/// Reads a path that lies below `base` unless it is absolute, and never leaves it.
pub(super) fn read_below(table: &Table<'_>, key: &str, base: &Path) -> Option<At<PathBuf>> {
    table.parsed(key, |text| below(text, base))
}

/// As [`read_below`], of a text.
pub(super) fn below(text: &str, base: &Path) -> Result<PathBuf, Bad> {
    inner(text).map(|path| tidy(&base.join(path)))
}

fn plain(text: &str) -> Result<&Path, Bad> {
    if text.starts_with('~') {
        return Err(bad(
            "begins with `~`, which only a shell expands",
            "write the home directory out",
        ));
    }
    if text.starts_with('$') {
        return Err(bad(
            "begins with `$`, and keepfresh expands no variables here",
            "write the directory out",
        ));
    }
    if text.chars().any(|char| char.is_control() && char != '\0') {
        return Err(bad("holds a control character", "take it out"));
    }
    if text.contains('\0') {
        return Err(bad("holds a NUL character", "take it out"));
    }
    Ok(Path::new(text))
}

fn inner(text: &str) -> Result<&Path, Bad> {
    let path = plain(text)?;
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(bad(
            "holds \"..\"",
            "write the path without it, or an absolute one",
        ));
    }
    if text.ends_with('/') || text.ends_with("/.") || path.file_name().is_none() {
        return Err(bad("names a directory", "write the name of a file"));
    }
    Ok(path)
}

/// Without doubled slashes and single dots, so that equal files have equal paths.
fn tidy(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| *part != Component::CurDir)
        .collect()
}
