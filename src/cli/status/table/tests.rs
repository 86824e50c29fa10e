use super::*;
use crate::api::{Attention, DutyKind, FileStatus, LastError, Next, Scheduled, State, fake};
use crate::cli::status::{LongWord, glyphs};

#[test]
fn a_line_in_short_comes_first_and_a_healthy_session_is_one_line() {
    let mut crm = fake::status("crm");
    crm.next = Some(Next {
        action: "ping".to_owned(),
        at: at(3820),
        why: "idle timeout".to_owned(),
    });
    assert_eq!(
        plain(&[crm], None),
        "1 session: 1 alive\n\
         \n\
         NAME  STATE  TOKEN       NEXT\n\
         crm   alive  14 min old  ping in 47 min (idle timeout)\n"
    );
}

#[test]
fn what_a_person_must_do_is_said_below_and_trouble_comes_first() {
    assert_eq!(
        plain(&[fake::status("alpha"), stuck("crm")], None),
        "2 sessions: 1 needs attention, files of 1 not written, 1 alive\n\
         \n\
         NAME   STATE            TOKEN       NEXT\n\
         crm    needs attention  withdrawn   waits for a person\n    \
         the server refused the login: 400 invalid_grant (for 1 min)\n    \
         to do: check the key, then run `keepfresh login crm`\n    \
         its state is not on disk: a restart now would lose it; make room in state_dir, or correct its permissions\n    \
         /t/crm: disk full\n\
         alpha  alive            14 min old  under way\n"
    );
}

#[test]
fn one_cause_of_many_sessions_is_told_once() {
    let sessions = ["a", "b"].map(|name| SessionStatus {
        persisted: true,
        files: Vec::new(),
        ..stuck(name)
    });
    let text = plain(&sessions, None);
    assert_eq!(text.matches("400 invalid_grant").count(), 1, "{text}");
    assert!(
        text.contains("\n    the same as a, and the same to do\n"),
        "{text}"
    );
}

#[test]
fn one_long_name_takes_no_line_and_no_column_from_the_others() {
    let named = |name: &str| {
        let mut session = fake::status(name);
        session.next = Some(Next {
            action: "ping".to_owned(),
            at: at(3820),
            why: "idle timeout".to_owned(),
        });
        session
    };
    let long = "customer-relations-emea-production-read-write-2026";
    let text = plain(&["crm", "erp", long].map(named), Some(80));
    assert_eq!(text.lines().count(), 6, "{text}");
    for line in text.lines().skip(3) {
        assert!(line.contains("14 min old  ping in 47 min"), "{text}");
        assert!(line.width() <= 80, "{text}");
    }
    assert!(
        text.contains("customer-relat…read-write-2026 "),
        "both ends of the name are seen: {text}"
    );
    // Names that would look alike are not cut.
    let twins = ["a", "b"].map(|middle| format!("{}-{middle}-{}", "x".repeat(24), "y".repeat(24)));
    let text = plain(&twins.each_ref().map(|name| named(name)), Some(80));
    assert!(twins.iter().all(|name| text.contains(name)), "{text}");
}

#[test]
fn no_word_is_broken_and_no_line_is_longer_than_the_paper() {
    let mut calm = fake::status("integration-of-the-warehouse");
    calm.next = Some(Next {
        action: "introspect".to_owned(),
        at: at(8900),
        why: "to learn the token's true end".to_owned(),
    });
    let sessions = [calm, stuck("crm")];
    for columns in [40, 60, 80, 100, 200] {
        let text = plain(&sessions, Some(columns));
        assert!(text.contains("\n\nNAME"), "{columns}: {text}");
        for line in text.lines() {
            assert!(line.width() <= columns, "{columns}: {line}");
        }
        let words = |text: &str| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        for word in words(
            "the server refused the login: invalid_grant to do: `keepfresh needs attention introspect",
        ) {
            assert!(
                words(&text).contains(&word),
                "{columns}: {word} is broken in\n{text}"
            );
        }
    }
    assert!(
        plain(&sessions, Some(40)).contains("integration…e-warehouse"),
        "a name keeps what there is room for"
    );
}

#[test]
fn columns_go_one_after_the_other_where_there_is_no_room() {
    let mut crm = fake::status("crm");
    crm.next = Some(Next {
        action: "ping".to_owned(),
        at: at(3820),
        why: "idle timeout".to_owned(),
    });
    let heading = |columns| {
        plain(&[crm.clone()], Some(columns))
            .lines()
            .nth(2)
            .unwrap()
            .to_owned()
    };
    assert_eq!(heading(80), "NAME  STATE  TOKEN       NEXT");
    let row = |columns| {
        plain(&[crm.clone()], Some(columns))
            .lines()
            .nth(3)
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        row(80),
        "crm   alive  14 min old  ping in 47 min (idle timeout)"
    );
    assert_eq!(row(40), "crm   alive  14 min old  ping in 47 min");
    assert_eq!(row(30), "crm   alive  ping in 47 min");
    assert_eq!(row(20), "crm   alive");
}

#[test]
fn the_generation_and_the_server_are_there_where_they_are_asked_for() {
    let paper = Paper {
        columns: Some(40),
        glyphs: &glyphs::UNICODE,
        long_word: LongWord::Whole,
    };
    let text =
        anstream::adapter::strip_str(&wide(&[fake::status("crm")], at(1000), &paper)).to_string();
    let expected =
        "crm   alive  14 min old  #7          under way  salesforce https://acme.my.salesforce.com";
    assert!(text.contains(expected), "{text}");
    assert!(!plain(&[fake::status("crm")], None).contains('#'));
}

#[test]
fn the_calendar_and_jobs_that_hold_the_token_are_told_below() {
    let mut crm = fake::status("crm");
    crm.held_until = Some(at(3400));
    let duty = |duty, second, local: &str| Scheduled {
        duty,
        at: at(second),
        local: local.to_owned(),
    };
    crm.scheduled = vec![
        duty(DutyKind::Verify, 1720, "Sun 2026-03-29 03:00 CEST"),
        duty(DutyKind::Other, 1730, "Sun 2026-03-29 03:01 CEST"),
        duty(DutyKind::ActiveEnds, 11_800, "Sun 2026-03-29 06:00 CEST"),
    ];
    assert!(plain(&[crm], None).ends_with(
        "    jobs hold the token for 40 min at most: a renewal or login that can wait does\n    \
         scheduled: verify in 12 min (Sun 2026-03-29 03:00 CEST), may lapse in 3 h (Sun 2026-03-29 06:00 CEST)\n"
    ));
}

#[test]
fn no_sessions_is_said_in_words() {
    assert!(plain(&[], None).starts_with("no sessions"));
}

#[test]
fn no_colour_is_used_that_a_palette_may_hide() {
    let paused = SessionStatus {
        state: State::Paused,
        ..fake::status("crm")
    };
    let text = table(
        &[paused],
        at(1000),
        &Paper {
            columns: None,
            glyphs: &glyphs::UNICODE,
            long_word: LongWord::Whole,
        },
    );
    assert!(
        text.contains("\x1b[2m") && !text.contains("\x1b[90m"),
        "{text:?}"
    );
}

fn stuck(name: &str) -> SessionStatus {
    let mut session = fake::status(name);
    session.state = State::NeedsAttention;
    session.published = false;
    session.persisted = false;
    let reason = "the server refused the login: 400 invalid_grant".to_owned();
    let remedy = format!("check the key, then run `keepfresh login {name}`");
    session.last_error = Some(LastError {
        at: at(940),
        request: "login".to_owned(),
        verdict: "refused".to_owned(),
        detail: reason.clone(),
    });
    session.attention = Some(Attention {
        since: at(940),
        reason,
        remedy,
    });
    session.files = vec![FileStatus {
        path: "/t/crm".to_owned(),
        generation: None,
        error: Some("disk full".to_owned()),
    }];
    session
}

fn plain(sessions: &[SessionStatus], columns: Option<usize>) -> String {
    let paper = Paper {
        columns,
        glyphs: &glyphs::UNICODE,
        long_word: LongWord::Whole,
    };
    anstream::adapter::strip_str(&table(sessions, at(1000), &paper)).to_string()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}
