//! The idle timeout as it becomes known: told by a login, changed in the config, learned from deaths.

use super::check;

#[test]
fn a_timeout_that_the_login_tells_is_believed() {
    check(
        "
        policy model=sliding
        serve login good idle=1h
        serve ping alive
        tick
        2h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:53:12 ping
        1:47:12 ping
        2:00:00 Alive; ping at 2:41:12 for IdleTimeout
    ",
    );
}

#[test]
fn a_told_timeout_of_zero_is_no_timeout_and_makes_no_loop_of_pings() {
    check(
        "
        policy model=sliding
        serve login good idle=0s
        serve ping alive
        tick
        2h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:47:14 ping
        2:00:00 Alive; ping at 3:35:14 for IdleTimeout
    ",
    );
}

#[test]
fn two_unexplained_deaths_teach_the_next_shorter_timeout() {
    check(
        "
        policy model=sliding
        serve login good
        serve ping dead
        tick
        5h: serve ping alive
        6h: status
        order login
        +2s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:47:14 ping
        1:47:15 died unexplained
        1:47:15 login
        1:47:15 hold
        1:47:16 logged_in 2
        1:47:16 publish 2
        3:29:45 ping
        3:29:46 died unexplained
        3:29:46 learned 1h, not 2h
        3:29:46 login
        3:29:46 hold
        3:29:47 logged_in 3
        3:29:47 publish 3
        4:20:47 ping
        4:20:48 died unexplained
        4:20:48 login
        4:20:48 hold
        4:20:49 logged_in 4
        4:20:49 publish 4
        5:14:35 ping
        6:00:00 Alive; ping at 6:08:35 for IdleTimeout
        6:00:00 login
        6:00:01 logged_in 5
        6:00:01 publish 5
        6:00:02 Alive; ping at 7:44:20 for IdleTimeout
    ",
    );
}

#[test]
fn a_death_that_follows_a_success_after_the_same_pause_teaches_nothing() {
    check(
        "
        policy model=sliding
        serve login good
        serve ping dead
        tick
        3h: serve ping alive
        5h: serve ping dead
        6h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:47:14 ping
        1:47:15 died unexplained
        1:47:15 login
        1:47:15 hold
        1:47:16 logged_in 2
        1:47:16 publish 2
        3:29:45 ping
        5:17:45 ping
        5:17:46 died unexplained
        5:17:46 login
        5:17:46 hold
        5:17:47 logged_in 3
        5:17:47 publish 3
        6:00:00 Alive; ping at 7:01:46 for IdleTimeout
    ",
    );
}

#[test]
fn another_idle_timeout_in_the_config_holds_at_once() {
    check(
        "
        policy model=sliding idle=1h
        serve login good
        tick
        10m: status
        reconfigure idle=30m survive=3m
        status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 Alive; ping at 0:44:46 for IdleTimeout
        0:10:00 Alive; ping at 0:25:20 for IdleTimeout
    ",
    );
}

#[test]
fn what_was_learned_of_one_idle_timeout_is_forgotten_with_it() {
    check(
        "
        policy model=sliding idle=2h
        serve login good
        serve ping dead
        tick
        4h: status
        restart
        status
        4h1m: reconfigure idle=4h survive=24m
        status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:47:14 ping
        1:47:15 died unexplained
        1:47:15 login
        1:47:15 hold
        1:47:16 logged_in 2
        1:47:16 publish 2
        3:29:45 ping
        3:29:46 died unexplained
        3:29:46 learned 1h, not 2h
        3:29:46 login
        3:29:46 hold
        3:29:47 logged_in 3
        3:29:47 publish 3
        4:00:00 Alive; ping at 4:20:47 for IdleTimeout
        4:00:00 restart
        4:00:00 Alive; ping at 4:20:47 for IdleTimeout
        4:01:00 Alive; ping at 7:04:53 for IdleTimeout
    ",
    );
}
