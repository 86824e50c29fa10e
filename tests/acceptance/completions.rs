//! Completions in real shells: they know the sessions while the daemon runs, and keep silent while it does not.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use crate::support::daemon::Lab;
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;

/// For each shell, how to complete a line by the script in `$SCRIPT` without a person.
const SHELLS: [(&str, &[&str], &str); 3] = [
    (
        "bash",
        &["--norc", "-c"],
        r#"source "$SCRIPT"
        read -ra COMP_WORDS <<<"$LINE"; [[ $LINE = *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_TYPE=9; COMP_LINE=$LINE; COMP_POINT=${#LINE}
        function_name=$(complete -p keepfresh | sed -E 's/.*-F ([^ ]+).*/\1/')
        $function_name keepfresh "${COMP_WORDS[$COMP_CWORD]}" "${COMP_WORDS[$COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#,
    ),
    (
        "zsh",
        &["-f", "-c"],
        r#"compdef() { completer=$1 }
        _describe() { local -a all; all=("${(@P)${@[-1]}}"); print -rl -- $all }
        compadd() { print -rl -- "$@" }
        words=(${=LINE}); [[ $LINE = *' ' ]] && words+=(""); CURRENT=$#words
        source "$SCRIPT"; $completer"#,
    ),
    (
        "fish",
        &["--no-config", "-c"],
        r#"source "$SCRIPT"; complete -C "$LINE""#,
    ),
];

#[test]
fn shells_complete_the_names_of_sessions() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[
        lab.by_client("crm"),
        lab.by_client("crm-archive"),
        lab.by_client("erp"),
    ]);
    lab.start();
    lab.await_state("erp", "alive");
    for shell in SHELLS {
        for (line, expected, unexpected) in [
            (
                "keepfresh token ",
                &["crm", "crm-archive", "erp"][..],
                "status",
            ),
            ("keepfresh status cr", &["crm", "crm-archive"], "erp"),
            ("keepfresh wait erp cr", &["crm", "crm-archive"], "erp"),
            ("keepfresh to", &["token"], "status"),
            ("keepfresh token crm --form", &["--format"], "--wait"),
        ] {
            let words = completed(&lab, shell, line);
            for word in expected {
                assert!(
                    words.contains(&(*word).to_owned()),
                    "{}: {line:?}: {words:?}",
                    shell.0
                );
            }
            assert!(
                !words.contains(&unexpected.to_owned()),
                "{}: {line:?}: {words:?}",
                shell.0
            );
        }
    }
    assert_eq!(server.logins(), 3, "completing costs no call");
    lab.stop();
    for shell in SHELLS {
        let words = completed(&lab, shell, "keepfresh token c");
        assert!(!words.contains(&"crm".to_owned()), "{}: {words:?}", shell.0);
    }
}

/// What the shell offers, one candidate for each entry; what it says about them is cut off.
fn completed(lab: &Lab, (shell, flags, program): (&str, &[&str], &str), line: &str) -> Vec<String> {
    let script = lab.path(&format!("completions.{shell}"));
    fs::write(&script, lab.succeeds(&["completions", shell])).unwrap();
    let directory = std::path::Path::new(env!("CARGO_BIN_EXE_keepfresh"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let output = Command::new(shell)
        .args(flags)
        .arg(program)
        .env("SCRIPT", &script)
        .env("LINE", line)
        .env("PATH", path)
        .env("KEEPFRESH_SOCKET", lab.socket())
        .env("HOME", lab.path(""))
        .output()
        .unwrap_or_else(|error| {
            panic!("{shell}: {error}: run `tests/install test` first, or `make test`")
        });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.is_empty(), "{shell}: {line:?}: {said}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.split(['\t', ':']).next().unwrap().trim().to_owned())
        .collect()
}
