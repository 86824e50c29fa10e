//! A unit as people may see it: names of variables and credentials, and never what they hold.

/// Settings whose values may be secret (`systemd.exec(5)`).
const SECRET: [&str; 4] = [
    "Environment",
    "SetCredential",
    "SetCredentialEncrypted",
    "StandardInputText",
];

/// The unit and its drop-ins as `systemctl cat` prints them, in lines. Comments go, except the names of the files.
pub(super) fn unit(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut hides = false;
    for line in text.lines() {
        let goes_on = line.ends_with('\\');
        let is_comment = line.trim_start().starts_with(['#', ';']);
        // A comment does not end the line that it is in (`systemd.syntax(7)`).
        if hides && is_comment {
            continue;
        }
        if hides {
            hides = goes_on;
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let key = key.trim();
        if is_comment {
            if line.starts_with("# /") {
                lines.push(line.to_owned());
            }
        } else if key == "Environment" {
            lines.push(format!(
                "Environment={} (values not shown)",
                names(value).join(" ")
            ));
            hides = goes_on;
        } else if SECRET.contains(&key) || key.starts_with("StandardInputData") {
            let name = value
                .split(':')
                .next()
                .filter(|_| key.starts_with("SetCred"));
            lines.push(format!(
                "{key}={} (value not shown)",
                name.unwrap_or_default()
            ));
            hides = goes_on;
        } else if key.starts_with("Exec") {
            lines.push(format!("{key}={}", program(value)));
            hides = goes_on;
        } else {
            lines.push(line.trim_end().to_owned());
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// `A` and `B` of `A=1 "B=2 3"`.
pub(super) fn names(assignments: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut quote, mut word) = (None, String::new());
    for char in assignments.chars().chain([' ']) {
        match (quote, char) {
            (None, ' ' | '\t') => {
                let name = word.split_once('=').map(|(name, _)| name.to_owned());
                names.extend(name.filter(|name| is_name(name)));
                word.clear();
            }
            (None, '"' | '\'') => quote = Some(char),
            (Some(open), _) if char == open => quote = None,
            (_, _) => word.push(char),
        }
    }
    names
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || char == '_')
}

/// Our own arguments hold no secret; those of other programs may.
fn program(command: &str) -> String {
    let program = command.split_whitespace().next().unwrap_or_default();
    if program.ends_with("/keepfresh") {
        return command.trim_end_matches('\\').trim_end().to_owned();
    }
    match command.split_whitespace().nth(1) {
        Some(_) => format!("{program} (arguments not shown)"),
        None => program.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_unit_gives_in_secret_is_named_and_not_shown() {
        let text = "# /etc/systemd/system/keepfresh.service\n# password hunter2\n[Service]\nUser=keepfresh\n\
                    Environment=HTTPS_PROXY=http://u:hunter2@p:1 \"B=hunter2 x\"\nEnvironment=C=hunter2 \\\n# hunter2\n  ; hunter2\n  D=hunter2\n\
                    SetCredential=key:hunter2\nExecStartPre=/usr/bin/curl -H hunter2\nExecStart=/usr/bin/keepfresh run\n\
                    StandardInputText=hunter2\nEnvironment='E=a\n";
        let lines = unit(text);
        assert!(!lines.concat().contains("hunter2"), "{lines:?}");
        assert_eq!(
            lines,
            [
                "# /etc/systemd/system/keepfresh.service",
                "[Service]",
                "User=keepfresh",
                "Environment=HTTPS_PROXY B (values not shown)",
                "Environment=C (values not shown)",
                "SetCredential=key (value not shown)",
                "ExecStartPre=/usr/bin/curl (arguments not shown)",
                "ExecStart=/usr/bin/keepfresh run",
                "StandardInputText= (value not shown)",
                "Environment= (values not shown)",
            ]
        );
    }
}
