//! The event funnel through the command line: what leaves the machine, and what a killed process does to it.
//!
//! The witnesses are the receiving servers: an SMTP server that somebody else wrote, and one that answers as Twilio does.
//! `./tests/run` starts the first; a bare `cargo test` leaves these tests to it.
#![allow(clippy::print_stdout, reason = "a campaign says what it did")]

#[path = "../support/campaign.rs"]
mod campaign;
mod kills;
mod place;
mod receivers;

use place::Place;

/// Whether the servers are there. Under `./tests/run` they have to be.
fn left_to_the_full_run() -> bool {
    let left = std::env::var_os("WF_FULL").is_none();
    if left {
        println!("left to `./tests/run`, which has the servers");
    }
    left
}

/// The messages of a sample, as the receivers got them, beside a snapshot.
fn deliver(sample: &str) {
    if left_to_the_full_run() {
        return;
    }
    let place = Place::new(sample);
    let output = place.run(sample).output().expect("the command starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut received = place.receivers.messages();
    received.sort_by(|one, other| (&one.to, &one.text).cmp(&(&other.to, &other.text)));
    let shown: Vec<String> = received.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(sample.trim_end_matches(".json"), shown.join("\n----\n"));
    place.check(&received, 0);
}

#[test]
fn what_a_registration_brings_arrives() {
    deliver("enrolled.json");
}

#[test]
fn what_follows_an_event_arrives() {
    deliver("completed.json");
}

#[test]
fn a_direct_message_arrives() {
    deliver("message.json");
}

#[test]
fn kills_repeat_at_most_one_message_each() {
    if !left_to_the_full_run() {
        kills::campaign(campaign::rounds("funnel-kills"));
    }
}
