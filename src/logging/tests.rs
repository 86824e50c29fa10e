use std::io::{Read as _, pipe};

use super::*;

#[test]
fn text_has_time_and_level_or_for_the_journal_its_priority() {
    let said = heard(Style::Priority, || {
        tracing::error!(
            session = "crm",
            event = "withdrawn",
            generation = 7,
            "the token is dead"
        );
        tracing::warn!("a person must act");
        tracing::info!(reason = %"two words", "alive");
        tracing::debug!("called");
        tracing::trace!("step");
    });
    assert_eq!(
        said,
        "<3>the token is dead session=\"crm\" event=\"withdrawn\" generation=7\n\
         <4>a person must act\n\
         <6>alive reason=two words\n\
         <7>called\n\
         <7>step\n"
    );
    let said = heard(Style::Time, || tracing::info!("alive"));
    let (time, rest) = said.split_once(' ').unwrap();
    assert!(
        time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(),
        "{said}"
    );
    assert_eq!(rest, " INFO alive\n");
}

#[test]
fn no_value_can_forge_a_line_or_reach_the_terminal() {
    let hostile = "x\n<0>forged\r\u{1b}[31m\u{9b}\0\u{7f}\u{2028}\u{202e}é\"}";
    let event =
        || tracing::info!(detail = %hostile, quoted = hostile, debugged = ?hostile, "{hostile}");
    for style in [Style::Priority, Style::Time, Style::Json] {
        let said = heard(style, event);
        assert_eq!(said.matches('\n').count(), 1, "{said:?}");
        let line = said.trim_end_matches('\n');
        assert!(
            !line.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}')),
            "{said:?}"
        );
        assert!(
            line.contains("x\\n<0>forged\\r\\u") && line.contains('é'),
            "{said:?}"
        );
    }
    let value: serde_json::Value = serde_json::from_str(&heard(Style::Json, event)).unwrap();
    assert_eq!(
        (&value["message"], &value["detail"]),
        (&hostile.into(), &hostile.into()),
        "a parser gets it all back"
    );
}

#[test]
fn json_is_one_object_a_line() {
    let said = heard(Style::Json, || {
        tracing::info!(
            session = "crm",
            generation = 7,
            ratio = 0.5,
            odd = f64::NAN,
            failing = false,
            "published"
        );
    });
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&value["message"], &value["generation"]),
        (&"published".into(), &7.into())
    );
    assert_eq!(
        (&value["level"], &value["session"]),
        (&"INFO".into(), &"crm".into())
    );
    assert_eq!(
        (&value["ratio"], &value["odd"], &value["failing"]),
        (&0.5.into(), &"NaN".into(), &false.into())
    );
    assert!(
        value["timestamp"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .is_ok()
    );
}

#[test]
fn libraries_say_only_what_is_wrong_even_at_trace() {
    let said = heard(Style::Priority, || {
        tracing::trace!(target: "hyper::proto", "Authorization: Bearer secret");
        tracing::debug!(target: "keepfresh_lookalike", "secret");
        tracing::info!(target: "tokio_cron_scheduler::job_scheduler", "Job creator created");
        tracing::warn!(target: "rustls", "odd");
        tracing::trace!(target: "keepfresh::driver", "ours");
    });
    assert_eq!(said, "<4>rustls: odd\n<7>ours\n");
}

#[test]
fn a_filter_that_makes_no_sense_is_named() {
    let error = init(LogTarget::Text, "keepfresh=loud")
        .unwrap_err()
        .to_string();
    assert!(error.contains("keepfresh=loud"), "{error}");
}

/// What is written at the most talkative filter.
fn heard(style: Style, act: impl FnOnce()) -> String {
    let (mut reader, writer) = pipe().unwrap();
    let recorder = Recorder::new(Outlet::Stderr(Stderr::of(Some(writer.into())), style));
    let filter = "trace"
        .parse::<Targets>()
        .unwrap()
        .and(filter_fn(may_be_said));
    tracing::subscriber::with_default(
        tracing_subscriber::registry().with(recorder.with_filter(filter)),
        act,
    );
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    said
}
