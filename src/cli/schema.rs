//! `keepfresh schema`: the JSON Schema of the config, or of profiles, which editors check and complete them by.

use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::failure::Failure;
use super::output::{self, complain};
use crate::config::schema::schema;
use crate::provider::profile_schema;

/// What `schema` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The directory of your own profiles: their logins are checked too, and any other provider is a mistake
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
    /// The schema of the files that describe a kind of server instead, for profiles of your own
    #[arg(long, conflicts_with = "dir")]
    profile: bool,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    if args.profile {
        return output::print_json(&profile_schema());
    }
    if let Some(missing) = args.dir.as_deref().filter(|dir| !dir.is_dir()) {
        let shown = missing.display();
        complain(&format!(
            "keepfresh: {shown} is no directory: name the one that holds your profiles"
        ));
        return Ok(Exit::Failed);
    }
    match schema(args.dir.as_deref()) {
        Ok(schema) => output::print_json(&schema),
        Err(error) => {
            complain(&format!("keepfresh: {error}"));
            Ok(Exit::Config)
        }
    }
}

/// The line by which editors find the installed schema, for the top of a config; empty where none is installed.
pub(super) fn directive() -> String {
    std::env::current_exe()
        .ok()
        .and_then(|program| installed_with(&program))
        .map(|schema| format!("#:schema {}\n", schema.display()))
        .unwrap_or_default()
}

/// Where packages put it: /usr/share/keepfresh for /usr/bin/keepfresh.
fn installed_with(program: &Path) -> Option<PathBuf> {
    let prefix = program.parent()?.parent()?;
    Some(prefix.join("share/keepfresh/config.schema.json")).filter(|schema| schema.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_names_the_schema_only_where_one_is_installed() {
        let prefix = tempfile::tempdir().unwrap();
        let program = prefix.path().join("bin/keepfresh");
        assert_eq!(installed_with(&program), None);
        let schema = prefix.path().join("share/keepfresh/config.schema.json");
        std::fs::create_dir_all(schema.parent().unwrap()).unwrap();
        std::fs::File::create(&schema).unwrap();
        assert_eq!(installed_with(&program), Some(schema));
    }
}
