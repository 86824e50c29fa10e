use super::*;
use crate::api::{Attention, Next, Recent, What, fake};
use crate::cli::status::watch::glyphs;

static ZONE: TimeZone = TimeZone::UTC;

#[test]
fn a_session_is_a_card_where_there_is_room() {
    let crm = alive("crm");
    assert_eq!(
        shown(&[crm], 80, 8),
        "\
keepfresh  1 session: 1 alive                                           10:53:20

● crm  alive                                       ping in 30 min (idle timeout)
  token new (#7) · unused it ends in 1 h · 6 pings, 1 login
     -4 h   ▲─────•──────•─────•─────•──────•─────│╌╌╌╌○╌╌╌╌┤          +2 h


• ping  ◆ renewal  ▲ login  ✖ loss  ! failed  ○ next                     q quits"
    );
}

#[test]
fn what_a_person_must_do_is_said_in_full() {
    assert_eq!(
        shown(&[alive("crm"), stuck("erp")], 60, 12),
        "\
keepfresh  2 sessions: 1 needs attention, 1 alive   10:53:20

● crm  alive                   ping in 30 min (idle timeout)
  token new (#7) · unused it ends in 1 h · 6 pings, 1 login
     -4 h ▲───•────•───•───•────•───│╌╌○╌╌╌┤       +2 h

● erp  needs attention                    waits for a person
  token new (#7), withdrawn · no calls yet
     -4 h                           │              +2 h
  the server refused the login (since 1 min ago)
  → check the key, then: keepfresh login erp
                                                     q quits"
    );
}

#[test]
fn where_cards_do_not_fit_sessions_are_rows() {
    assert_eq!(
        shown(&[alive("crm"), stuck("erp")], 60, 9),
        "\
keepfresh  2 sessions: 1 needs attention, 1 alive   10:53:20

● crm  alive            ping in 30 min      ▲─••─•─••─│○╌┤
● erp  needs attention  waits for a person            │
  the server refused the login (since 1 min ago)
  → check the key, then: keepfresh login erp


                                                     q quits"
    );
}

#[test]
fn where_rows_do_not_fit_who_needs_help_comes_first_and_the_rest_is_a_key_away() {
    let mut sessions: Vec<SessionStatus> = (0..9).map(|number| alive(&format!("s{number}"))).collect();
    sessions.push(stuck("zulu"));
    let rows = |offset| {
        let text = lines(&sessions, None, offset, 50, 6);
        text.lines()
            .skip(2)
            .map(|line| line.trim_start().trim_start_matches("● ").chars().take(4).collect::<String>())
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(0), ["zulu", "s0  ", "s1  ", "1-3 "]);
    assert_eq!(rows(3), ["s2  ", "s3  ", "s4  ", "4-6 "]);
    assert_eq!(rows(99), ["s6  ", "s7  ", "s8  ", "8-10"]);
}

#[test]
fn a_daemon_that_is_away_is_said_above_what_it_said_last() {
    let text = lines(&[alive("crm")], Some("the daemon is not running; start it"), 0, 80, 8);
    let second = text.lines().nth(1).unwrap();
    assert_eq!(second, "the daemon is not running; start it; below is how it was 5 s ago");
    assert!(text.contains("● crm  alive"), "{text}");
}

#[test]
fn no_screen_is_too_small_or_too_large() {
    let states = ORDER.map(|state| SessionStatus { state, ..stuck("a-session-with-quite-a-long-name") });
    let few = [alive("crm"), stuck("erp")];
    for columns in (0..30).chain([59, 80, 140, 500]) {
        for rows in (0..12).chain([24, 40, 200]) {
            for sessions in [&few[..], &states[..], &[]] {
                let (view, size) = (view(sessions, Some("away"), 3), Size { columns, rows });
                let frame = frame(&view, size);
                assert_eq!(frame.lines.len(), rows.max(1), "{size:?}");
                for line in &frame.lines {
                    let shown = line.render(columns, false);
                    assert!(Line::of(Style::new(), &shown).width() <= columns, "{size:?}: {shown}");
                }
            }
        }
    }
}

fn shown(sessions: &[SessionStatus], columns: usize, rows: usize) -> String {
    lines(sessions, None, 0, columns, rows)
}

fn lines(sessions: &[SessionStatus], trouble: Option<&str>, offset: usize, columns: usize, rows: usize) -> String {
    let frame = frame(&view(sessions, trouble, offset), Size { columns, rows });
    let lines = frame.lines.iter().map(|line| line.render(columns, false));
    lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn view<'a>(sessions: &'a [SessionStatus], trouble: Option<&'a str>, offset: usize) -> View<'a> {
    let (now, heard) = (moment(0), Some(moment(if trouble.is_some() { -5 } else { 0 })));
    View { sessions, trouble, heard, now, zone: &ZONE, glyphs: &glyphs::UNICODE, offset, keys: true }
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
    session.next = Some(Next { action: "ping".to_owned(), at: moment(1800), why: "idle timeout".to_owned() });
    session.idle_deadline = Some(moment(3600));
    (session.counts.pings, session.counts.logins) = (6, 1);
    session.recent = vec![at(What::Login, -14_300)];
    session.recent.extend((1..6).rev().map(|index| at(What::Ping, index * -2400)));
    session
}

fn stuck(name: &str) -> SessionStatus {
    let mut session = fake::status(name);
    session.token_issued_at = Some(moment(0));
    session.state = State::NeedsAttention;
    session.published = false;
    let (reason, remedy) =
        ("the server refused the login".to_owned(), format!("check the key, then: keepfresh login {name}"));
    session.attention = Some(Attention { since: moment(-60), reason, remedy });
    session
}

fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000_000 + 32_800 + second).unwrap()
}
