//! Commands that a person is to type.

/// A word of a command that is typed into a shell.
pub(super) fn shell_word(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-+@%,=:".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_a_shell_stays_one_word_and_runs_nothing() {
        for (word, expected) in [
            ("/etc/keepfresh/config.toml", "/etc/keepfresh/config.toml"),
            ("my key", "'my key'"),
            ("$(id);`id`", "'$(id);`id`'"),
            ("it's", "'it'\\''s'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(word), expected);
        }
    }
}
