use super::*;
use crate::api::{Attention, FileStatus, Next, Recent, State, What, fake};
use crate::cli::status::glyphs;
use crate::cli::status::line::Look;
use crate::cli::status::phrases::ORDER;

static ZONE: TimeZone = TimeZone::UTC;

#[test]
fn a_session_is_a_card_where_there_is_room() {
    let crm = alive("crm");
    assert_eq!(
        shown(&[crm], 80, 12),
        "\
keepfresh  1 session: 1 alive                                           10:53:20

● crm  alive                                       ping in 30 min (idle timeout)
  token new · unused it ends in 1 h · 6 pings, 1 login
     -4 h   ▲─────•──────•─────•─────•──────•─────│╌╌╌╌○╌╌╌╌┤          +2 h






                                               Enter details  / filters  q quits"
    );
}

#[test]
fn trouble_comes_first_and_what_a_person_must_do_is_said_in_full() {
    assert_eq!(
        shown(&[alive("crm"), stuck("erp")], 60, 12),
        "\
keepfresh  2 sessions: 1 needs attention, 1 alive   10:53:20

▶ erp  needs attention                    waits for a person
  token withdrawn · no calls yet
     -4 h                           │              +2 h
  the server refused the login (for 1 min)
  to do: check the key, then: keepfresh login erp

● crm  alive                   ping in 30 min (idle timeout)
  token new · unused it ends in 1 h · 6 pings, 1 login
     -4 h ▲───•────•───•───•────•───│╌╌○╌╌╌┤       +2 h
                           Enter details  / filters  q quits"
    );
}

#[test]
fn where_cards_do_not_fit_sessions_are_rows_each_with_its_own_scale() {
    let mut short = alive("fast");
    short.idle_timeout_seconds = Some(10.0);
    assert_eq!(
        shown(&[short, stuck("erp")], 80, 7),
        "\
keepfresh  2 sessions: 1 needs attention, 1 alive                       10:53:20
▶ erp   needs attention  waits for a person   -4h                 │         +2h
  the server refused the login (for 1 min)
  to do: check the key, then: keepfresh login erp
● fast  alive            ping in 30 min      -20s ────────────────│╌╌╌╌╌╌╌○ +10s

                                               Enter details  / filters  q quits"
    );
}

#[test]
fn pings_and_deadlines_are_told_on_the_smallest_screens() {
    for (columns, rows) in [(40, 10), (40, 6), (60, 8), (36, 5)] {
        let sessions = [alive("integration-of-the-warehouse"), alive("crm")];
        let text = shown(&sessions, columns, rows);
        let said = |one: &str, other: &str| text.matches(one).count() + text.matches(other).count();
        assert_eq!(said("ping in 30 min", "ping 30m"), 2, "{text}");
        assert_eq!(said("ends in 1 h", "end 1h"), 2, "{text}");
        assert!(
            text.contains("…") || text.contains("integration-of-the-warehouse"),
            "a cut name says so: {text}"
        );
    }
}

#[test]
fn where_rows_do_not_fit_the_chosen_session_stays_in_sight_with_what_is_the_matter() {
    let mut sessions: Vec<SessionStatus> = (0..20)
        .map(|number| alive(&format!("s{number:02}")))
        .collect();
    sessions.push(stuck("zulu"));
    let rows = |desk: &Desk| {
        let text = drawn(&sessions, None, desk, 80, 12);
        text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut desk = chosen("zulu");
    let first = rows(&desk);
    assert!(
        first[0].starts_with("▶ zulu") && first[1].starts_with("● s00"),
        "{first:#?}"
    );
    assert!(
        first
            .iter()
            .any(|line| line.contains("check the key, then: keepfresh login zulu")),
        "{first:#?}"
    );
    assert!(first.last().unwrap().contains("1-7 of 21"), "{first:#?}");
    desk.chosen = Some("s19".to_owned());
    let last = rows(&desk);
    assert!(
        last.iter().any(|line| line.starts_with("▶ s19")),
        "{last:#?}"
    );
    assert!(
        !last.iter().any(|line| line.contains("check the key")),
        "{last:#?}"
    );
}

#[test]
fn names_that_are_cut_stay_apart() {
    let sessions = ["session-036", "session-045", "session-135"].map(alive);
    let text = shown(&sessions, 40, 6);
    for name in ["036", "045", "135"] {
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[test]
fn what_to_do_is_in_sight_where_the_reason_is_long() {
    let reason = "the server refused the login: the address 203.0.113.7 is outside of the login range of \
                  this profile, and its user has not approved this consumer either, as it says";
    let remedy =
        "fix the cause above (for an IP restriction: at the server), then run `keepfresh login a`";
    let broken = |name: &str| {
        let mut session = stuck(name);
        session.reason = reason.to_owned();
        session.attention = session.attention.map(|attention| Attention {
            reason: reason.to_owned(),
            remedy: remedy.to_owned(),
            ..attention
        });
        session
    };
    let sessions = ["a", "b", "c", "d", "e", "f"].map(broken);
    for (columns, rows, is_cut) in [(80, 16, false), (80, 14, true), (40, 10, true)] {
        let text = drawn(&sessions, None, &chosen("a"), columns, rows);
        assert!(text.contains("`keepfresh login a`"), "{text}");
        assert!(text.contains("the server refused"), "{text}");
        assert_eq!(
            text.contains('…'),
            is_cut,
            "only where no row is free: {text}"
        );
    }
}

#[test]
fn counts_that_do_not_fit_go_whole_and_trouble_stays() {
    let mut sessions: Vec<SessionStatus> = ["a", "b"].map(stuck).into();
    for (name, state) in [
        ("c", State::Recovering),
        ("d", State::Starting),
        ("e", State::Paused),
        ("f", State::Renewing),
    ] {
        sessions.push(SessionStatus {
            state,
            ..alive(name)
        });
    }
    let mut broken = alive("g");
    broken.files = vec![FileStatus {
        path: "/t/g".to_owned(),
        generation: None,
        error: Some("disk full".to_owned()),
    }];
    sessions.push(broken);
    let heading = |columns| {
        shown(&sessions, columns, 10)
            .lines()
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(heading(40), "7 sessions: 2 need attention, …");
    assert_eq!(
        heading(70),
        "7 sessions: 2 need attention, files of 1 not written, 1 recovering, …"
    );
}

#[test]
fn the_marks_are_explained_on_a_usual_screen_and_the_page_begins_with_what_comes_next() {
    let sessions = ["crm", "erp"].map(alive);
    for (columns, rows) in [(80, 24), (100, 30), (120, 40)] {
        let text = shown(&sessions, columns, rows);
        assert!(
            text.contains("✖ loss") && text.contains("q quits"),
            "{text}"
        );
    }
    let desk = Desk {
        open: true,
        ..chosen("crm")
    };
    let text = drawn(&sessions, None, &desk, 40, 10);
    assert!(
        text.contains("ping in 30 min") && text.contains("the session ends in\n            1 h ("),
        "{text}"
    );
}

#[test]
fn a_session_has_a_page() {
    let desk = Desk {
        open: true,
        ..chosen("erp")
    };
    let sessions = [alive("crm"), stuck("erp")];
    let text = drawn(&sessions, None, &desk, 80, 24);
    for part in [
        "erp  needs attention",
        "to do: check the key",
        "server    salesforce at https://acme",
        "Esc back",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("crm"), "{text}");
    let small = drawn(&sessions, None, &Desk { offset: 3, ..desk }, 40, 10);
    assert!(
        small.contains("4-11 of ") && small.contains("Esc back"),
        "{small}"
    );
    let gone = drawn(
        &sessions[..1],
        None,
        &Desk {
            open: true,
            ..chosen("erp")
        },
        80,
        24,
    );
    assert!(gone.contains("there is no session erp any more"), "{gone}");
}

#[test]
fn a_filter_is_shown_while_it_is_typed_and_while_it_holds() {
    let sessions = [alive("crm"), alive("erp")];
    let typing = Desk {
        filter: "er".to_owned(),
        typing: true,
        ..chosen("erp")
    };
    let text = drawn(&sessions, None, &typing, 80, 24);
    assert!(
        text.lines().last().unwrap().starts_with("/er_") && !text.contains("● crm"),
        "{text}"
    );
    let kept = drawn(
        &sessions,
        None,
        &Desk {
            typing: false,
            ..typing
        },
        80,
        24,
    );
    assert!(kept.lines().last().unwrap().contains("/er  "), "{kept}");
    let none = drawn(
        &sessions,
        None,
        &Desk {
            filter: "xyz".to_owned(),
            ..Desk::default()
        },
        80,
        24,
    );
    assert!(none.contains("no session has \"xyz\""), "{none}");
}

#[test]
fn a_deadline_before_the_next_call_is_said() {
    let mut crm = alive("crm");
    crm.idle_deadline = Some(moment(900));
    assert!(shown(&[crm], 100, 12).contains("unused it ends in 15 min, before what comes next"));
}

#[test]
fn a_daemon_that_is_away_is_said_above_what_it_said_last() {
    let text = drawn(
        &[alive("crm")],
        Some("the daemon is not running; start it"),
        &Desk::default(),
        80,
        8,
    );
    let second = text.lines().nth(1).unwrap();
    assert_eq!(
        second,
        "the daemon is not running; start it; below is how it was 5 s ago"
    );
    assert!(text.contains("● crm  alive"), "{text}");
}

#[test]
fn no_screen_is_too_small_or_too_large_and_without_unicode_it_is_ascii() {
    let mut states = ORDER.map(|state| SessionStatus {
        state,
        ..stuck("a-session-with-quite-a-long-name")
    });
    states[0].session = "b".to_owned();
    let few = [alive("crm"), stuck("erp")];
    for columns in (0..30).chain([59, 80, 140, 500]) {
        for rows in (0..12).chain([24, 40, 200]) {
            for sessions in [&few[..], &states[..], &[]] {
                for desk in [
                    chosen("crm"),
                    Desk {
                        open: true,
                        ..chosen("b")
                    },
                ] {
                    for glyphs in [&glyphs::UNICODE, &glyphs::ASCII] {
                        let (view, size) = (
                            View {
                                glyphs,
                                ..view(sessions, Some("away"), &desk)
                            },
                            Size { columns, rows },
                        );
                        is_drawn_within(&view, size);
                    }
                }
            }
        }
    }
}

#[test]
fn no_colour_is_used_that_a_palette_may_hide() {
    let sessions = [
        alive("crm"),
        stuck("erp"),
        SessionStatus {
            state: State::Paused,
            ..alive("old")
        },
        SessionStatus {
            state: State::Recovering,
            ..alive("new")
        },
    ];
    for desk in [
        chosen("crm"),
        Desk {
            open: true,
            ..chosen("crm")
        },
    ] {
        let frame = frame(
            &view(&sessions, None, &desk),
            Size {
                columns: 100,
                rows: 30,
            },
        );
        let look = Look {
            colour: true,
            glyphs: &glyphs::UNICODE,
        };
        let text: String = frame
            .lines
            .iter()
            .map(|line| line.render(100, look))
            .collect();
        assert!(
            text.contains("\x1b[2m") && !text.contains("\x1b[9"),
            "{text:?}"
        );
        for colour in [30, 33, 34, 36, 37] {
            assert!(!text.contains(&format!("\x1b[{colour}m")), "{text:?}");
        }
    }
}

fn is_drawn_within(view: &View<'_>, size: Size) {
    let frame = frame(view, size);
    assert_eq!(frame.lines.len(), size.rows.max(1), "{size:?}");
    let look = Look {
        colour: false,
        glyphs: view.glyphs,
    };
    for line in &frame.lines {
        let shown = line.render(size.columns, look);
        assert!(
            Line::of(Style::new(), &shown).width() <= size.columns,
            "{size:?}: {shown}"
        );
        assert!(
            shown.is_ascii() || view.glyphs.cut == "…",
            "{size:?}: {shown}"
        );
    }
}

fn chosen(name: &str) -> Desk {
    Desk {
        chosen: Some(name.to_owned()),
        ..Desk::default()
    }
}

fn shown(sessions: &[SessionStatus], columns: usize, rows: usize) -> String {
    let mut desk = Desk::default();
    desk.settle(sessions);
    drawn(sessions, None, &desk, columns, rows)
}

fn drawn(
    sessions: &[SessionStatus],
    trouble: Option<&str>,
    desk: &Desk,
    columns: usize,
    rows: usize,
) -> String {
    let frame = frame(&view(sessions, trouble, desk), Size { columns, rows });
    let look = Look {
        colour: false,
        glyphs: &glyphs::UNICODE,
    };
    let lines = frame.lines.iter().map(|line| line.render(columns, look));
    lines
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

fn view<'a>(sessions: &'a [SessionStatus], trouble: Option<&'a str>, desk: &'a Desk) -> View<'a> {
    let (now, heard) = (
        moment(0),
        Some(moment(if trouble.is_some() { -5 } else { 0 })),
    );
    View {
        sessions,
        trouble,
        heard,
        now,
        zone: &ZONE,
        glyphs: &glyphs::UNICODE,
        desk,
        keys: true,
    }
}

fn alive(name: &str) -> SessionStatus {
    let at = |what, second| Recent {
        what,
        outcome: String::new(),
        success: true,
        at: moment(second),
        since: moment(second),
        times: 1,
    };
    let mut session = fake::status(name);
    session.token_issued_at = Some(moment(0));
    session.next = Some(Next {
        action: "ping".to_owned(),
        at: moment(1800),
        why: "idle timeout".to_owned(),
    });
    session.idle_deadline = Some(moment(3600));
    (session.counts.pings, session.counts.logins) = (6, 1);
    session.recent = vec![at(What::Login, -14_300)];
    session
        .recent
        .extend((1..6).rev().map(|index| at(What::Ping, index * -2400)));
    session
}

fn stuck(name: &str) -> SessionStatus {
    let mut session = fake::status(name);
    session.token_issued_at = Some(moment(0));
    session.state = State::NeedsAttention;
    session.published = false;
    let (reason, remedy) = (
        "the server refused the login".to_owned(),
        format!("check the key, then: keepfresh login {name}"),
    );
    session.attention = Some(Attention {
        since: moment(-60),
        reason,
        remedy,
    });
    session
}

fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000_000 + 32_800 + second).unwrap()
}
