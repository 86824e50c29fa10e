//! What the calendar asks for: shown beforehand on the clock of the config's time zone, and done when its moment comes.

use std::sync::Arc;
use std::time::Duration;

use crate::support::daemon::Lab;
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;
use crate::support::within;

#[test]
fn duties_are_shown_on_the_clock_of_the_config_in_winter_and_in_summer() {
    let (server, mut lab) = scene("verify_at = [\"30 2 1 1 *\"]\nrenew_at = [\"30 2 1 7 *\"]");
    lab.start();
    let status = lab.await_state("crm", "alive");
    let scheduled = status["scheduled"].as_array().unwrap();
    assert_eq!(scheduled.len(), 2, "{status}");
    for (duty, day, zone, utc) in [
        ("verify", "-01-01 02:30", "CET", "-01-01T01:30:00Z"),
        ("renew", "-07-01 02:30", "CEST", "-07-01T00:30:00Z"),
    ] {
        let told = scheduled.iter().find(|told| told["duty"] == duty).unwrap();
        let (at, local) = (
            told["at"].as_str().unwrap(),
            told["local"].as_str().unwrap(),
        );
        assert!(at.ends_with(utc), "{told}");
        assert!(local.ends_with(&format!("{day} {zone}")), "{told}");
        assert!(lab.succeeds(&["status"]).contains(local), "in words too");
        assert!(
            lab.succeeds(&["check", "--config", lab.config().to_str().unwrap()])
                .contains(&format!("{local} {duty}"))
        );
    }
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_token_is_proved_good_when_its_minute_comes_and_the_next_one_is_shown() {
    let (server, mut lab) = scene("verify_at = [\"* * * * *\"]");
    lab.start();
    lab.await_state("crm", "alive");
    let due = |lab: &Lab| {
        lab.status("crm")["scheduled"][0]["at"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (first, pings) = (due(&lab), server.settled());
    let next = within(Duration::from_secs(70), "the next minute", || {
        Some(due(&lab)).filter(|next| *next != first)
    });
    let [first, next]: [jiff::Timestamp; 2] = [first, next].map(|text| text.parse().unwrap());
    assert_eq!(next.duration_since(first).as_secs(), 60);
    within(Duration::from_secs(5), "the ping that was due", || {
        let status = lab.status("crm");
        let ping = status["recent"]
            .as_array()?
            .iter()
            .rfind(|call| call["what"] == "ping")?;
        (ping["at"].as_str()?.parse::<jiff::Timestamp>().unwrap() >= first).then_some(())
    });
    assert!(server.calls().len() <= pings + 2);
}

fn scene(keepalive: &str) -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm").table("keepalive", keepalive)]);
    let config = std::fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&config.replacen("[daemon]\n", "[daemon]\ntimezone = \"Europe/Vienna\"\n", 1));
    (server, lab)
}
