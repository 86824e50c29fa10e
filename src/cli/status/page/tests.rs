use super::*;
use crate::api::{Attention, Counts, FileStatus, LoginBudget, Next, fake};
use crate::cli::status::{LongWord, glyphs};

#[test]
fn a_page_tells_who_where_until_when_and_what_next() {
    let mut crm = fake::status("crm");
    crm.grant = Some("jwt_bearer".to_owned());
    crm.account = Some("alice@acme.example".to_owned());
    crm.next = Some(Next {
        action: "ping".to_owned(),
        at: at(3820),
        why: "idle timeout".to_owned(),
    });
    crm.idle_deadline = Some(at(4600));
    crm.refresh_token_expires_at = Some(at(600_000));
    crm.logged_in_at = Some(at(160));
    crm.counts = Counts {
        pings: 2,
        logins: 1,
        ..Counts::default()
    };
    let happening = |what, outcome: &str, success, times| Recent {
        what,
        outcome: outcome.to_owned(),
        success,
        at: at(900),
        since: at(800),
        times,
    };
    crm.recent = vec![
        happening(What::Login, "good", true, 1),
        happening(What::Ping, "unavailable", false, 3),
    ];
    crm.files = vec![FileStatus {
        path: "/run/keepfresh/tokens/crm".to_owned(),
        generation: Some(7),
        error: None,
    }];
    crm.login_budget = Some(LoginBudget {
        limit: 6,
        left: 5,
        next_at: None,
    });
    crm.warnings = vec!["logins_frequent".to_owned()];
    assert_eq!(
        plain(&crm, 80),
        "\
crm  alive

  next      ping in 47 min at 01:03:40 UTC (idle timeout)
  deadlines unused, the session ends in 1 h (01:16:40)
            the refresh token ends, unused, in 6 days 22 h (1970-01-07 22:40)
  token     #7, issued 14 min ago, published
  window    the server ends the session after 2 h without use
  history   logged in 14 min ago
  server    salesforce at https://acme.my.salesforce.com
  account   alice@acme.example, logged in by jwt_bearer
  calls     2 pings, 1 login since the daemon started
            00:15:00 ping: unavailable, 3 times
            00:15:00 login: good
  files     /run/keepfresh/tokens/crm holds #7
  budget    5 of 6 automatic logins left this hour
  warning   logins are more frequent than 3 logins in 6 h: something ends the
            session early; `journalctl -u keepfresh SESSION=crm EVENT=died` says
            when
"
    );
}

#[test]
fn what_is_wrong_and_what_to_do_comes_before_all_facts() {
    let mut crm = fake::status("crm");
    crm.state = State::NeedsAttention;
    let (reason, remedy) = ("the server said no".to_owned(), "ask an admin".to_owned());
    crm.attention = Some(Attention {
        since: at(940),
        reason,
        remedy,
    });
    crm.login_budget = Some(LoginBudget {
        limit: 6,
        left: 0,
        next_at: Some(at(1600)),
    });
    let text = plain(&crm, 80);
    assert!(
        text.starts_with(
            "crm  needs attention\n  the server said no (for 1 min)\n  to do: ask an admin\n\n"
        ),
        "{text}"
    );
    let budget = "0 of 6 automatic logins left this hour; the next may leave in";
    assert!(
        text.contains(budget) && text.contains("`keepfresh login crm`"),
        "{text}"
    );
}

#[test]
fn a_page_fits_small_paper() {
    let mut crm = fake::status("crm");
    crm.notice = Some("a sentence that is a good deal longer than the paper is wide".to_owned());
    for columns in [40, 80] {
        assert!(
            plain(&crm, columns)
                .lines()
                .all(|line| line.len() <= columns),
            "{}",
            plain(&crm, columns)
        );
    }
}

fn plain(session: &SessionStatus, columns: usize) -> String {
    let paper = Paper {
        columns: Some(columns),
        glyphs: &glyphs::UNICODE,
        long_word: LongWord::Whole,
    };
    let text = paper.text(&page(session, at(1000), &TimeZone::UTC, &paper));
    anstream::adapter::strip_str(&text).to_string()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}
