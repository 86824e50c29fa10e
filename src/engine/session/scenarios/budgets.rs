//! What logins cost of the hour's budget, and what gives some of it back.

use super::script::Stage;

#[test]
fn a_planned_login_by_password_waits_for_nothing_that_the_deaths_before_it_have_spent() {
    let deaths = "+1m: order verify\n".repeat(5);
    ends_with(
        &format!(
            "
        policy login=password model=fixed idle=none survive=1m
        serve login good life=10m
        serve ping dead
        tick
        {deaths}
        +1m: serve ping alive
        17m: status
    "
        ),
        &[
            "0:05:02 publish 6",
            "0:14:01 login",
            "0:14:02 logged_in 7",
            "0:14:02 publish 7",
            "0:17:00 Alive; login at 0:23:01 for Expiry",
        ],
    );
}

#[test]
fn a_login_at_the_end_of_the_longest_life_is_no_sign_of_trouble() {
    let happened = Stage::play(
        "
        policy login=password max=5m survive=1m
        serve login good
        serve ping alive
        tick
        1h: status
    ",
    );
    let logins = happened
        .iter()
        .filter(|line| line.ends_with(" login"))
        .count();
    assert_eq!(logins, 15, "one in four minutes: {happened:#?}");
}

#[test]
fn a_changed_secret_gives_half_of_a_spent_budget_back() {
    ends_with(
        &spent("secrets another"),
        &[
            "0:06:01 waits: Budget",
            "0:06:01 login",
            "0:06:02 logged_in 7",
            "0:06:02 publish 7",
        ],
    );
}

#[test]
fn a_good_login_by_hand_gives_half_of_a_spent_budget_back() {
    ends_with(
        &spent("order login\n+1m: order verify\n"),
        &[
            "0:06:01 waits: Budget",
            "0:06:01 login",
            "0:06:02 logged_in 7",
            "0:06:02 publish 7",
            "0:07:01 ping",
            "0:07:02 died unexplained",
            "0:07:02 login",
            "0:07:02 hold",
            "0:07:03 logged_in 8",
            "0:07:03 publish 8",
        ],
    );
}

#[test]
fn an_outage_that_used_the_budget_up_has_not_once_a_login_succeeds() {
    let deaths = "+61s: order verify\n".repeat(4);
    let happened = Stage::play(&format!(
        "
        serve login unavailable
        tick
        4m: serve login good
        10m5s: serve ping dead
        {deaths}
        +5s: status
    "
    ));
    let (before, after): (Vec<&String>, Vec<&String>) =
        happened.iter().partition(|line| line.as_str() < "0:10:00");
    let logins = |lines: &[&String]| lines.iter().filter(|line| line.ends_with(" login")).count();
    assert_eq!((logins(&before), logins(&after)), (6, 5), "{happened:#?}");
}

/// Six deaths in as many minutes, and then this.
fn spent(then: &str) -> String {
    let deaths = "+1m: order verify\n".repeat(6);
    format!("serve login good\nserve ping dead\ntick\n{deaths}\n+1s: waits\n{then}\n+3s: tick")
}

fn ends_with(script: &str, expected: &[&str]) {
    let happened = Stage::play(script);
    let from = happened.len().saturating_sub(expected.len());
    assert_eq!(happened[from..], *expected, "{happened:#?}");
}
