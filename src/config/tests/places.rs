//! Places that files, sockets and directories may not have.

use super::*;

#[test]
fn a_file_that_lies_in_the_place_of_something_else_is_refused() {
    let long = "a".repeat(256);
    for (file, expected) in [
        ("/x/state/sessions/crm.json", "lies in the state directory"),
        ("/x/state/token", "lies in the state directory"),
        ("/x/state", "lies in the state directory"),
        ("/x", "is a directory of the daemon"),
        ("/x/run/tokens", "is a directory of the daemon"),
        ("/x/run/metrics.sock", "is the socket for scrapers"),
        ("/x/key", "holds a secret"),
        ("/etc/keepfresh/config.toml", "is a file of the config"),
        (
            "/etc/keepfresh/providers/acme.toml",
            "lies among the provider profiles",
        ),
        ("/dev/null", "in a file system of the kernel"),
        ("/proc/self/token", "in a file system of the kernel"),
        ("/dev/shm/token", ""),
        ("/y/state/token", ""),
        (&long, "too long a name"),
        ("a\nb", "holds a control character"),
        ("$HOME/token", "begins with `$`"),
    ] {
        let text = format!(
            "[daemon]\nruntime_dir = \"/x/run\"\nstate_dir = \"/x/state\"\n[metrics]\nlisten = \"unix:metrics.sock\"\n\
             [sessions.crm]\nprovider = \"oauth2\"\nurl = \"https://acme.example\"\npublish = [{{ file = {file:?} }}]\n\
             [sessions.crm.login]\ngrant = \"client_credentials\"\ntoken_url = \"/t\"\nclient_id = \"x\"\n\
             client_secret = {{ file = \"/x/key\" }}\n"
        );
        let said = told(&text);
        assert_eq!(said.is_empty(), expected.is_empty(), "{file}: {said}");
        assert!(
            said.contains(expected) && (said.is_empty() || said.contains(":9:")),
            "{file}: {said}"
        );
    }
}

#[test]
fn one_sessions_token_may_be_what_another_logs_in_with() {
    for (key, file, refused) in [
        ("subject_token", "/y/post", false),
        ("actor_token", "/y/post", false),
        ("client_secret", "/x/run/tokens/post", false),
        ("client_secret", "/y/post", true),
    ] {
        let others = ["subject_token", "client_secret"]
            .into_iter()
            .filter(|other| *other != key);
        let others: Vec<String> = others
            .map(|other| format!("{other} = {{ file = \"/x/{other}\" }}\n"))
            .collect();
        let others = others.concat();
        let said = told(&format!(
            "[daemon]\nruntime_dir = \"/x/run\"\n\
             [sessions.post]\nprovider = \"oauth2\"\nurl = \"https://acme.example\"\npublish = [{{ file = {file:?} }}]\n\
             [sessions.post.login]\ngrant = \"client_credentials\"\ntoken_url = \"/t\"\nclient_id = \"x\"\n\
             client_secret = {{ file = \"/x/key\" }}\n\
             [sessions.exchange]\nprovider = \"oauth2\"\nurl = \"https://acme.example\"\n\
             [sessions.exchange.login]\ngrant = \"token_exchange\"\ntoken_url = \"/t\"\nclient_id = \"x\"\n\
             {key} = {{ file = {file:?} }}\n{others}"
        ));
        assert_eq!(
            said.contains("holds a secret"),
            refused,
            "{key} {file}: {said}"
        );
        assert_eq!(said.is_empty(), !refused, "{key} {file}: {said}");
    }
}

#[test]
fn sockets_and_directories_do_not_get_into_each_others_way() {
    for (tables, expected) in [
        ("[socket]\npath = \"tokens\"\n", "`socket.path`"),
        (
            "[metrics]\nlisten = \"unix:keepfresh.sock\"\n",
            "`metrics.listen`",
        ),
        ("[metrics]\nlisten = \"unix:tokens\"\n", "`metrics.listen`"),
        ("[metrics]\nlisten = \"unix:m.sock\"\n", ""),
        ("state_dir = \"/proc/keepfresh\"\n", "`daemon.state_dir`"),
    ] {
        let said = told(&format!("[daemon]\nruntime_dir = \"/x/run\"\n{tables}"));
        assert_eq!(said.is_empty(), expected.is_empty(), "{tables}: {said}");
        assert!(said.contains(expected), "{tables}: {said}");
    }
}

/// Everything that is wrong with a main file of this text.
fn told(text: &str) -> String {
    let file = Path::new("/etc/keepfresh/config.toml");
    let found = [super::document::Found::decoded(
        file,
        text.as_bytes().to_vec(),
    )];
    let surroundings = Surroundings::made_up(&[], 0, 0);
    super::read_found(file, &found, &surroundings)
        .err()
        .map(|errors| errors.to_string())
        .unwrap_or_default()
}
