use super::*;

#[test]
fn prose_goes_on_as_far_in_as_it_began() {
    assert_eq!(told("one two three four", 10), "one two\nthree four");
    assert_eq!(told("  one two three", 10), "  one two\n  three");
    assert_eq!(told(" 1. one two three", 10), " 1. one\n    two\n    three");
    assert_eq!(
        told("  = help: write a name into it", 24),
        "  = help: write a name\n          into it"
    );
    assert_eq!(told("which one? ", 20), "which one? ");
}

#[test]
fn a_text_behind_its_label_stays_beside_it_where_there_is_room() {
    assert_eq!(
        told("  file   one two three four", 22),
        "  file   one two three\n         four"
    );
    assert_eq!(
        told("  username     the user to log in as", 20),
        "  username\n      the user to\n      log in as"
    );
}

#[test]
fn a_row_that_is_too_wide_goes_on_below_between_two_columns() {
    assert_eq!(
        told("apic  Cisco APIC  http  by its examples", 26),
        "apic  Cisco APIC  http\n    by its examples"
    );
    assert_eq!(
        told("apic  Cisco of  America  http", 8),
        "apic\n    Cisco\n    of\n    America\n    http"
    );
    assert_eq!(told("| a | b | c |", 8), "| a | b | c |");
}

#[test]
fn colours_are_as_wide_as_nothing_and_go_on_behind_a_break() {
    assert_eq!(
        told("\x1b[1mone\x1b[0m two \x1b[31mthree four\x1b[0m", 9),
        "\x1b[1mone\x1b[0m two\x1b[31m\nthree\nfour\x1b[0m"
    );
}

#[test]
fn the_lines_of_a_paragraph_flow_and_code_stays_as_it_is() {
    let written = "# A title that is long\n\nOne two three\nfour five.\n- six seven\n  eight nine\n\n```sh\na long line of code\n```\n";
    assert_eq!(
        page(written, &Paper::of_columns(14)),
        "# A title that\nis long\n\nOne two three\nfour five.\n- six seven\n  eight nine\n\n```sh\na long line of code\n```\n"
    );
    assert_eq!(page(written, &Paper::of_a_file()), written);
}

fn told(text: &str, columns: usize) -> String {
    folded(text, &Paper::of_columns(columns))
}
