use tokio::sync::oneshot;

use super::*;
use crate::api::fake;

#[test]
fn the_arguments_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_command_that_is_not_called_costs_no_arguments() {
    let program = Cli::command();
    for command in program.get_subcommands() {
        let built = command.get_arguments().count();
        assert_eq!(built, 0, "{}: defer it", command.get_name());
    }
}

#[test]
fn every_name_of_a_session_can_be_completed() {
    let mut names = 0;
    // Those of `providers` are kinds of server, and `add` wants a name that is free.
    let others = ["providers", "add"];
    let mut program = Cli::command();
    program.build();
    for command in program
        .get_subcommands()
        .filter(|command| !others.contains(&command.get_name()))
    {
        for argument in command.get_arguments() {
            if argument
                .get_value_names()
                .is_some_and(|names| names.iter().any(|name| name == "NAME"))
            {
                let (command, argument_name) = (command.get_name(), argument.get_id());
                let completed = argument
                    .get::<clap_complete::engine::ArgValueCandidates>()
                    .is_some();
                assert!(
                    completed,
                    "{command}: add `add = complete::sessions()` to {argument_name}"
                );
                names += 1;
            }
        }
    }
    assert!(names >= 7, "{names}");
}

#[test]
fn each_command_ends_with_the_code_that_scripts_rely_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("k.sock");
    let (stop, stopped) = oneshot::channel();
    let (fake, thread) = fake::daemon(&path, stopped);
    let client = Client::find(Some(&path));
    for (line, code) in [
        ("status", 0),
        ("status crm --json", 0),
        ("status nope", 80),
        ("token crm --min-validity 10m", 0),
        ("token crm --format json", 0),
        ("token crm --format env", 0),
        ("token crm --format header", 0),
        ("token stale --wait 0s", 75),
        ("token stuck", 79),
        ("token locked", 77),
        ("token nope", 80),
        ("wait crm erp", 0),
        ("wait crm nope", 80),
        ("used crm --age 5s", 0),
        ("rejected crm --generation 6 --print", 0),
        ("login crm", 0),
        ("pause locked", 77),
        ("reload", 0),
        ("reload --json", 0),
        ("health", 0),
        ("health --ready", 0),
        ("health crm", 0),
        ("health --ready crm", 75),
    ] {
        assert_eq!(carry_out(&client, line) as u8, code, "{line}");
    }
    fake.until("used crm 7 Some(5s)");
    fake.until("rejected crm 6");
    fake.until("Login crm");
    fake.until("reload");
    drop(stop);
    thread.join().unwrap();
    assert_eq!(carry_out(&client, "token crm --wait 0s") as u8, 69);
}

fn carry_out(client: &Client, line: &str) -> Exit {
    let words = std::iter::once("keepfresh").chain(line.split(' '));
    let Command::Client(command) = Cli::try_parse_from(words).unwrap().command else {
        panic!("{line}")
    };
    ask(client, command).unwrap_or_else(|failure| failure.exit())
}
