//! A job that reads the file at any moment finds a whole token, and never an older one than before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::Value;

use crate::support::daemon::Lab;
use crate::support::org::{RefreshTokens, Settings};
use crate::support::salesforce::Salesforce;

const ROUNDS: usize = 25;

#[test]
fn a_reader_in_a_tight_loop_sees_whole_tokens_in_order() {
    let server = Arc::new(Salesforce::start(Settings {
        refresh_tokens: RefreshTokens::Rotated,
        ..Settings::default()
    }));
    let mut lab = Lab::new(&server);
    let approved = server.approve("crm");
    let session = ["token", "json", "header"].iter().fold(
        lab.by_refresh_token("crm", &approved),
        |session, format| {
            session.publish(&format!("file = \"crm.{format}\"\nformat = \"{format}\""))
        },
    );
    lab.configure(&[session]);
    lab.start();
    for format in ["token", "json", "header"] {
        lab.await_token(&format!("crm.{format}"));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let bare = reader(&lab, "crm.token", &stop, str::to_owned);
    let json = reader(&lab, "crm.json", &stop, |text| {
        let json: Value =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("torn: {error} in {text:?}"));
        json["access_token"].as_str().unwrap().to_owned()
    });
    let header = reader(&lab, "crm.header", &stop, |text| {
        text.strip_prefix("Authorization: Bearer ")
            .and_then(|it| it.strip_suffix('\n'))
            .expect(text)
            .to_owned()
    });
    let mut token = lab.await_token("crm.token");
    for _ in 0..ROUNDS {
        lab.post("/v1/sessions/crm/renew?wait=5s", "");
        token = lab.await_another_token("crm.token", &token);
    }
    stop.store(true, Ordering::Relaxed);
    let order: BTreeMap<String, usize> = server
        .issued()
        .into_iter()
        .enumerate()
        .map(|(index, token)| (token, index))
        .collect();
    for seen in [bare, json, header].map(|reader| reader.join().expect("no read failed")) {
        assert!(seen.reads > 1000, "{} reads", seen.reads);
        let indices: Vec<usize> = seen.changes.iter().map(|token| order[token]).collect();
        assert!(
            indices.is_sorted(),
            "an older token after a newer one: {indices:?}"
        );
        assert!(
            indices.len() > 2,
            "only {} changes were seen",
            indices.len()
        );
    }
    assert_eq!(server.refreshes(), ROUNDS + 1);
}

#[test]
fn the_file_is_rewritten_only_when_the_generation_changes() {
    use std::os::unix::fs::MetadataExt as _;
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    let file = || std::fs::metadata(lab.path("run/tokens/crm")).unwrap();
    let before = (file().ino(), file().mtime_nsec());
    for _ in 0..3 {
        lab.succeeds(&["verify", "crm"]);
    }
    lab.reload();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!((file().ino(), file().mtime_nsec()), before);
    assert!(server.pings() <= 4);
}

struct Seen {
    reads: usize,
    /// Each token once, in the order in which it first appeared after another.
    changes: Vec<String>,
}

fn reader(
    lab: &Lab,
    file: &str,
    stop: &Arc<AtomicBool>,
    token_in: fn(&str) -> String,
) -> JoinHandle<Seen> {
    let (path, stop) = (lab.path(&format!("run/tokens/{file}")), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut seen = Seen {
            reads: 0,
            changes: Vec::new(),
        };
        while !stop.load(Ordering::Relaxed) {
            let text = std::fs::read_to_string(&path).expect("the file is always there");
            let token = token_in(&text);
            seen.reads += 1;
            if seen.changes.last() != Some(&token) {
                seen.changes.push(token);
            }
        }
        seen
    })
}
