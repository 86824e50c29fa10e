use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

/// What is invisible: it could be between any two characters of whatever form a secret is repeated in.
const UNSEEN: [&str; 26] = [
    "\0",
    "\u{1b}",
    "\u{7f}",
    "\u{86}\u{8}",
    "\u{9b}",
    "\u{ad}",
    "\u{34f}",
    "\u{61c}",
    "\u{180e}",
    "\u{200b}",
    "\u{200c}",
    "\u{200d}",
    "\u{200e}",
    "\u{202a}",
    "\u{202e}",
    "\u{2060}",
    "\u{2066}",
    "\u{206f}",
    "\u{fe0f}",
    "\u{feff}",
    "\u{fff9}",
    "\u{ffff}",
    "\u{e0001}",
    "\u{e0041}",
    "\u{e0100}",
    "\u{1d173}",
];

/// What may be seen between its characters, and does not hide it.
const ORNAMENT: [&str; 15] = [
    " ",
    "\n",
    "\r\n",
    "\t",
    "\u{85}",
    "\u{a0}",
    "\u{2003}",
    "\u{2028}",
    "\u{3000}",
    "\u{2800}",
    "\u{3164}",
    "\u{301}",
    "\u{fffd}",
    "\u{2603}",
    "\u{1f511}",
];

type Form = (&'static str, fn(&str) -> String);

/// The forms that docs/security.md names.
const FORMS: [Form; 18] = [
    ("as it is", ToOwned::to_owned),
    ("upper case", str::to_uppercase),
    ("full width", |text| {
        let wide = |char: char| {
            char::from_u32(u32::from(char) + 0xfee0)
                .filter(|_| char.is_ascii_graphic())
                .unwrap_or(char)
        };
        text.chars().map(wide).collect()
    }),
    ("percent", |text| {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }),
    ("percent of all", |text| {
        each(text.bytes(), |byte| format!("%{byte:02x}"))
    }),
    ("mixed case", |text| {
        text.bytes()
            .enumerate()
            .map(|(at, byte)| {
                if at % 2 == 0 {
                    format!("%{byte:02x}")
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect()
    }),
    ("form", |text| {
        url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
    }),
    ("JSON", |text| serde_json::to_string(text).unwrap()),
    ("JSON of all", |text| {
        each(text.encode_utf16(), |unit| format!("\\u{unit:04X}"))
    }),
    ("backslash x", |text| {
        each(text.bytes(), |byte| format!("\\x{byte:02x}"))
    }),
    ("HTML", |text| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;")
    }),
    ("decimal entities", |text| {
        each(text.chars(), |char| format!("&#{:05};", u32::from(char)))
    }),
    ("hexadecimal entities", |text| {
        each(text.chars(), |char| format!("&#x{:X};", u32::from(char)))
    }),
    ("base64", |text| STANDARD.encode(text)),
    ("base64 of more", |text| {
        STANDARD_NO_PAD.encode(format!("x:{text}y"))
    }),
    ("base64url, after two others", |text| {
        URL_SAFE_NO_PAD.encode(format!("id{text}"))
    }),
    ("base64 of UTF-16", |text| {
        STANDARD.encode(
            text.encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<u8>>(),
        )
    }),
    ("hexadecimal digits", |text| {
        each(text.bytes(), |byte| format!("{byte:02x}"))
    }),
];

#[test]
fn texts_are_blotted_one_by_one_and_put_together_again() {
    let secrets = [Secret::new("correct-horse")];
    let each = Blotted::each(["a correct-horse", "", "b"], &secrets);
    assert_eq!(
        each,
        ["a [secret]", "", "b"].map(|text| Blotted::new(text, &[]))
    );
    let whole = Blotted::concat(each);
    assert_eq!(String::from(&whole), "a [secret]b");
    assert_eq!(whole, Blotted::new("a [secret]b", &[]));
    assert_eq!(Blotted::from("our own"), Blotted::new("our own", &[]));
    let stored: Blotted = serde_json::from_str("\"stored \\u001b[31m\"").unwrap();
    assert_eq!(
        stored.as_str(),
        Blotted::new("stored \u{1b}[31m", &[]).as_str()
    );
    assert!(stored.starts_with("stored"));
}

#[test]
fn what_stays_on_its_line_and_can_be_seen_is_visible() {
    for (text, expected) in [
        ("a b", true),
        ("\u{e9}", true),
        ("a\nb", false),
        ("a\u{200b}b", false),
        ("\u{202e}", false),
    ] {
        assert_eq!(is_visible(text), expected, "{text:?}");
    }
}

#[test]
fn a_secret_of_characters_beyond_the_first_plane_is_found_behind_their_escapes() {
    let secrets = [Secret::new("\u{1f511}\u{1f5dd}\u{10ffff}\u{10000}12345678")];
    for text in [
        r"\ud83d\udd11\ud83d\udddd\udbff\udfff\ud800\udc0012345678",
        "&#x1f511;&#128477;&#x10ffff;&#65536;12345678",
        "%f0%9f%94%91%f0%9f%97%9d%f4%8f%bf%bf%f0%90%80%8012345678",
    ] {
        assert_eq!(Blotted::new(text, &secrets).as_str(), "[secret]", "{text}");
    }
}

#[test]
fn a_reference_by_name_ends_with_its_semicolon_or_where_old_browsers_end_it() {
    let secrets = [Secret::new("a&b<c>d\"e'f1234")];
    for text in [
        "a&amp;b&lt;c&gt;d&quot;e&apos;f1234",
        "a&ampb&ltc&gtd&quote&#39f1234",
        "a&AMP;b&LT;c&GT;d&QUOT;e&#x27;f1234",
    ] {
        let shown = Blotted::new(text, &secrets);
        assert!(!shown.contains("1234"), "{text}: {shown}");
    }
}

#[test]
fn a_secret_behind_c_escapes_is_found() {
    let secrets = [Secret::new("one two three four")];
    for text in [
        "one\\U00000020two three four",
        "one\\ttwo\\nthree\\040four",
        "one two\\x20three four",
    ] {
        let shown = Blotted::new(text, &secrets);
        assert!(
            !shown.contains("two") && !shown.contains("four"),
            "{text}: {shown}"
        );
    }
}

#[test]
fn a_secret_is_blotted_out_in_whatever_form_it_is_repeated() {
    for secret in [
        "hunter2/pass word",
        "correct horse battery staple",
        "p&<ss\"w'rd+1%41\\n",
        "pähwörd-2",
        "tr0ub",
    ] {
        for (name, form) in FORMS {
            let repeated = form(secret);
            let said = blotted(&format!("wrong, {repeated} !"), &[secret]);
            assert!(
                said.contains(BLOT),
                "{name} of {secret}: {repeated} became {said}"
            );
            assert!(
                said.starts_with("wrong, ") && said.ends_with(" !"),
                "{name} of {secret}: {said}"
            );
            assert!(
                !shows(&said, secret) && !said.contains(&repeated),
                "{name} of {secret}: {said}"
            );
        }
    }
}

#[test]
fn escapes_of_escapes_are_read_and_so_are_those_that_lack_their_end() {
    let secret = "hunter2/pass";
    for repeated in [
        "hunter2%252Fpass",
        "hunter2%25252fpass",
        "hunter2%26%2347%3Bpass",
        "hunter2\\\\u002fpass",
        "h\\u0075nt%65r2&#47;pass",
        "hunter2&amp;#x2F;pass",
        "&#104&#117&#110&#116&#101&#114&#50&#47&#112&#97&#115&#115",
        "%u0068unter2%u002fpass",
        "\\150unter2\\057pass",
        "\\u{68}unter2\\u{0002f}pass",
        "hunter2&sol;pass",
        &STANDARD.encode(r#"{"p":"hunter2\/pass"}"#),
        &format!(
            "e30.{}.c2ln",
            URL_SAFE_NO_PAD.encode(r#"{"p":"hunter2%2Fpass"}"#)
        ),
        &utf8_percent_encode(&STANDARD.encode("user:hunter2/pass"), NON_ALPHANUMERIC).to_string(),
        &STANDARD.encode("app:hunter2/pass")[..20],
    ] {
        let said = blotted(&format!("no: {repeated}"), &[secret]);
        assert!(
            said.contains(BLOT) && !said.contains("ter2") && !said.contains("dW50"),
            "{repeated}: {said}"
        );
    }
}

#[test]
fn what_nobody_sees_between_its_letters_hides_no_secret() {
    for secret in ["hunter2!", "correcthorsebatterystaple"] {
        for between in UNSEEN.iter().chain(&ORNAMENT) {
            let repeated: String = each(secret.chars(), |char| format!("{char}{between}"));
            let said = blotted(&format!("wrong: {repeated}."), &[secret]);
            assert!(said.starts_with("wrong: [secret]"), "{between:?}: {said}");
            assert!(!shows(&said, secret), "{between:?}: {said}");
        }
    }
}

#[test]
fn so_much_of_a_secret_that_the_rest_is_soon_guessed_goes_too_and_ordinary_words_stay() {
    let token = "00D5g000004Xyzw!AQ8AQKpLmN0pQrStUvWxYz";
    let said = blotted(
        "session 00D5g000004Xyzw!AQ8AQK... is gone, 4Xyzw too",
        &[token],
    );
    assert_eq!(said, "session [secret]... is gone, 4Xyzw too");
    let phrase = "correct horse battery staple";
    assert_eq!(
        blotted("is correct horse battery stapl right", &[phrase]),
        "is [secret] right"
    );
    assert_eq!(
        blotted("is it a correct horse", &[phrase]),
        "is it a [secret]"
    );
    assert_eq!(
        blotted("is the battery correct", &[phrase]),
        "is the battery correct"
    );
    assert_eq!(
        blotted("the Salesforce user", &["Salesforce2024!"]),
        "the Salesforce user"
    );
    assert_eq!(
        blotted("the esforce2024 user", &["Salesforce2024!"]),
        "the [secret] user"
    );
    assert_eq!(
        blotted("abcdefghij", &["abcdefghijkl"]),
        "[secret]",
        "all but two"
    );
    let key =
        "-----BEGIN PRIVATE KEY-----\nMIIB1234567890\nabcdefghijklmnop\n-----END PRIVATE KEY-----";
    let advice = "it must begin with -----BEGIN PRIVATE KEY-----";
    assert_eq!(blotted(advice, &[key]), advice);
    assert_eq!(
        blotted("have 1234567890abcdefgh", &[key]),
        "have [secret]",
        "line ends are no borders"
    );
}

#[test]
fn one_secret_within_another_leaves_no_rest() {
    assert_eq!(
        blotted("abcdefgh abcd xy", &["abcd", "abcdefgh", "xy"]),
        "[secret] [secret] xy"
    );
}

#[test]
fn a_text_is_one_line_of_what_can_be_seen() {
    for (text, expected) in [
        ("a\nb\tc\u{2028}d\u{a0}e", "a b c d e"),
        ("\u{1b}[31mred\u{202e}\u{feff}\u{e0041}", "[31mred"),
        (
            "naïve Größe \u{65e5}\u{672c}",
            "naïve Größe \u{65e5}\u{672c}",
        ),
        ("हिन्दी ภาษาไทย e\u{301}", "हिन्दी ภาษาไทย e\u{301}"),
        (
            "z\u{301}\u{302}\u{303}\u{304}\u{305}",
            "z\u{301}\u{302}\u{303}",
        ),
    ] {
        assert_eq!(Blotted::new(text, &[]).as_str(), expected);
    }
}

#[test]
fn what_is_too_long_to_be_read_is_not_shown() {
    let said = blotted(&"x".repeat(1_000_000), &["hunter2hunter2"]);
    assert_eq!(said.len(), LONGEST);
    for before in LONGEST - 14..LONGEST {
        let said = blotted(&format!("{}hunter2!", "x".repeat(before)), &["hunter2!"]);
        assert!(!said.contains("xh"), "{}", &said[before..]);
    }
    assert_eq!(Blotted::new("abc", &[]).cut(2).as_str(), "ab…");
    assert_eq!(Blotted::new("abc", &[]).cut(3).as_str(), "abc");
}

#[expect(
    clippy::disallowed_methods,
    reason = "nothing is suspended in a test, and the engine has no clock of its own"
)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

#[test]
fn long_texts_and_many_secrets_are_a_matter_of_moments() {
    let secrets: Vec<String> = (0..300)
        .map(|number| format!("{number:03}-{}", "0123456789abcdefghij".repeat(6)))
        .collect();
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let worst = "%25\\u0041&#65;QUJD".repeat(4000);
    let begun = now();
    let said = blotted(&worst, &secrets);
    let took = begun.elapsed();
    assert!(
        said.len() <= LONGEST && took < std::time::Duration::from_secs(20),
        "{took:?}"
    );
}

#[test]
fn hidden_words_leave_the_rest_of_the_sentence() {
    let said =
        Blotted::new("the token=AbC123, or 'x' (AbC123).", &[]).hiding(|word| word == "AbC123");
    assert_eq!(said.as_str(), "the token=[hidden], or 'x' ([hidden]).");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn no_secret_is_shown_in_any_form_with_anything_unseen_in_it(
        secret in "[ -~]{4,40}|[a-z]{4,30}|[0-9a-f]{16,40}",
        (first, second) in (0..FORMS.len(), 0..FORMS.len()),
        between in 0..UNSEEN.len(),
        (before, after) in ("[ -~]{0,12}", "[ -~]{0,12}"),
    ) {
        prop_assume!(letters(&secret).len() >= 4);
        // Whatever is packed is read once, and what is within it by two escapes.
        let packed = |form: usize| form >= 13;
        prop_assume!(!packed(first) || !packed(second));
        // The case of escapes and of base64 is theirs.
        prop_assume!(first == 0 || !matches!(second, 1 | 2));
        prop_assume!(first != 2 || second != 16);
        let repeated = FORMS[second].1(&FORMS[first].1(&secret));
        let strewn: String = each(repeated.chars(), |char| format!("{char}{}", UNSEEN[between]));
        for repeated in [repeated, strewn] {
            let said = blotted(&format!("{before} {repeated} {after}"), &[&secret]);
            prop_assert!(said.contains(BLOT), "{} of {}: {repeated} became {said}", FORMS[second].0, FORMS[first].0);
            prop_assert!(!shows(&said, &secret), "{said}");
        }
    }

    #[test]
    fn no_text_can_garble_a_terminal_or_lose_what_is_not_secret(text in any::<String>(), secret in "[a-z0-9]{12,20}") {
        let said = blotted(&text, &[&secret]);
        let is_seen = |char: char| !char.is_control() && !('\u{200b}'..='\u{200f}').contains(&char);
        prop_assert!(said.chars().all(is_seen));
        prop_assert_eq!(blotted(&said, &[&secret]), said.clone(), "it is settled");
        if !text.is_empty() && text.chars().all(|char| char.is_ascii_uppercase()) {
            prop_assert_eq!(said, text);
        }
    }
}

fn each<T>(parts: impl Iterator<Item = T>, form: impl Fn(T) -> String) -> String {
    parts.map(form).collect()
}

fn blotted(text: &str, secrets: &[&str]) -> String {
    let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
    Blotted::new(text, &secrets).into()
}

/// Whether a reader who passes over blanks finds so much of `secret` in `said`: twelve characters, or all but two of less.
fn shows(said: &str, secret: &str) -> bool {
    let (said, secret) = (letters(&said.replace(BLOT, "\u{1f6ab}")), letters(secret));
    let too_much = if secret.len() <= 8 {
        secret.len()
    } else {
        (secret.len() - 2).clamp(8, 12)
    };
    secret
        .windows(too_much)
        .any(|piece| said.windows(too_much).any(|shown| shown == piece))
}

fn letters(text: &str) -> Vec<char> {
    text.chars()
        .filter(|char| char.is_alphanumeric() || char.is_ascii_graphic() || *char == '\u{1f6ab}')
        .flat_map(char::to_lowercase)
        .collect()
}
