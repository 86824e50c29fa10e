//! What restarts the idle timer, and when the next ping is due for it.

use super::check;

#[test]
fn a_shared_half_window_is_pinged_at_two_fifths_of_the_timeout() {
    check(
        "
        serve login good
        serve ping alive
        tick
        4h: status
    ",
        "
    ",
    );
}
