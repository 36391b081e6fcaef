//! A log that lies, under two real edges: whatever promise it breaks, `verify` finds it in what the clients recorded, and names
//! it. The same two edges on an honest log pass. One sabotage for each promise, by hand (`saboteur/`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kit;
mod saboteur;

use klatsch_load::verify::{Report, Rule};
use saboteur::{Lie, Stage};

/// Twelve clients in three rooms, half of each room on either edge: every kind of SEND that there is.
const CROWD: [&str; 11] = [
    "--connections",
    "12",
    "--rooms",
    "3",
    "--rate",
    "100",
    "--seconds",
    "2",
    "--keys",
    "--soft-errors",
    "--authorization-on-send",
];

/// The same without keys: the RECEIPT of a SEND with one waits until its record is read back, which puts some lies right.
const UNKEYED: [&str; 10] = [
    "--connections",
    "12",
    "--rooms",
    "3",
    "--rate",
    "100",
    "--seconds",
    "2",
    "--soft-errors",
    "--authorization-on-send",
];

/// Clients that wait until they are closed, and then come back at once.
const CLOSED: [&str; 4] = ["--notices", "off", "--after-restart", "0.1"];

#[track_caller]
fn is_caught(lie: Lie, rule: Rule, crowd: &[&str]) -> Report {
    let stage = Stage::open(lie);
    let report = stage.perform(crowd, |_| {});
    assert!(report.violations(rule) > 0, "{lie:?} breaks {rule:?}, which is not found:\n{report}");
    assert!(report.stories.iter().any(|story| story.rule == rule && !story.what.is_empty()));
    report
}

/// What the sabotage breaks must be the only thing that breaks.
#[track_caller]
fn is_caught_alone(lie: Lie, rule: Rule, crowd: &[&str]) {
    let report = is_caught(lie, rule, crowd);
    let others: Vec<_> = report.rules.iter().filter(|row| row.rule != rule && row.violations > 0).collect();
    assert!(others.is_empty(), "{lie:?} breaks {rule:?} alone:\n{report}");
}

#[test]
fn two_edges_on_an_honest_log_keep_every_promise() {
    let report = Stage::open(Lie::None).perform(&CROWD, |_| {});
    assert!(report.held && report.whole, "{report}");
    assert_eq!(report.statistics.receipted, 200, "{report}");
    assert_eq!(report.statistics.messages, 800, "{report}");
}

/// The outcome of a stored SEND is unknown, so it comes again with its key: shown once.
#[test]
fn p4_a_repeat_keeps_every_promise() {
    let crowd = [&CROWD[..], &["--retry"]].concat();
    let report = Stage::open(Lie::Unknown).perform(&crowd, |_| {});
    assert!(report.held, "{report}");
    assert_eq!((report.statistics.unknown, report.statistics.again), (1, 1), "{report}");
}

/// One of two edges drains: its sessions are closed, and go on at the other.
#[test]
fn p7_a_drain_keeps_every_promise() {
    let report = Stage::open(Lie::None).perform(&[&CROWD, &CLOSED[..]].concat(), |stage| stage.drain_after(60));
    assert!(report.held, "{report}");
    assert_eq!((report.statistics.recovered, report.statistics.closes.get(&1012)), (6, Some(&6)), "{report}");
}

/// The same with clients that listen: they are at the other one before they are closed.
#[test]
fn p7_a_drain_that_is_announced_keeps_every_promise() {
    let report = Stage::open(Lie::None).perform(&CROWD, |stage| stage.drain_after(60));
    assert!(report.held, "{report}");
    assert_eq!((report.statistics.recovered, report.statistics.closes.get(&1012)), (6, None), "{report}");
}

/// The connections to one of two edges are cut, as when it is killed.
#[test]
fn p8_a_killed_edge_keeps_every_promise() {
    let report = Stage::open(Lie::None).perform(&CROWD, |stage| stage.kill_after(60));
    assert!(report.held, "{report}");
    assert_eq!((report.statistics.recovered, report.statistics.closes.get(&1006)), (6, Some(&6)), "{report}");
}

#[test]
fn p1_acknowledged_without_being_stored_is_caught() {
    is_caught_alone(Lie::AcknowledgeOnly, Rule::P1, &CROWD);
}

#[test]
fn p1_acknowledged_at_another_place_is_caught() {
    is_caught_alone(Lie::OtherOffset, Rule::P1, &UNKEYED);
}

#[test]
fn p1_stored_twice_with_one_uuid_is_caught() {
    is_caught_alone(Lie::StoreTwice, Rule::P1, &CROWD);
}

#[test]
fn p2_two_sends_of_a_session_in_the_wrong_order_are_caught() {
    is_caught_alone(Lie::SwapSends, Rule::P2, &CROWD);
}

#[test]
fn p2_two_records_read_in_the_wrong_order_are_caught() {
    is_caught(Lie::SwapReads, Rule::P2, &CROWD);
}

#[test]
fn p3_a_record_that_an_edge_never_reads_is_caught() {
    is_caught_alone(Lie::DropRead, Rule::P3, &CROWD);
}

#[test]
fn p3_a_hidden_gap_is_caught() {
    is_caught_alone(Lie::HideGap, Rule::P3, &CROWD);
}

#[test]
fn p4_one_send_shown_twice_is_caught() {
    is_caught_alone(Lie::ShowTwice, Rule::P4, &CROWD);
}

#[test]
fn p4_a_key_that_is_ignored_is_caught() {
    is_caught(Lie::IgnoreKey, Rule::P4, &[&CROWD[..], &["--retry"]].concat());
}

#[test]
fn p5_refused_and_stored_is_caught() {
    is_caught_alone(Lie::RefuseStored, Rule::P5, &CROWD);
}

#[test]
fn p5_never_answered_is_caught() {
    is_caught_alone(Lie::NeverAnswer, Rule::P5, &UNKEYED);
}

#[test]
fn p6_another_sender_is_caught() {
    is_caught(Lie::OtherSender, Rule::P6, &CROWD);
}

#[test]
fn p6_credentials_that_reach_a_room_are_caught() {
    is_caught(Lie::Credentials, Rule::P6, &CROWD);
}

/// The edge at which sessions go on has forgotten what came between.
#[test]
fn p7_a_record_forgotten_at_resumption_is_caught() {
    let crowd = [&UNKEYED[..2], &["--rooms", "2"], &UNKEYED[4..], &CLOSED].concat();
    let report = Stage::open(Lie::ForgetWhileDraining).perform(&crowd, |stage| stage.drain_after(60));
    assert!(report.violations(Rule::P7) > 0, "{report}");
}

/// The same where clients are there before they leave: nobody was away, so it is a gap like any other.
#[test]
fn p3_a_record_forgotten_while_one_session_takes_over_is_caught() {
    let crowd = [&UNKEYED[..2], &["--rooms", "2"], &UNKEYED[4..]].concat();
    let report = Stage::open(Lie::ForgetWhileDraining).perform(&crowd, |stage| stage.drain_after(60));
    assert!(report.violations(Rule::P3) > 0, "{report}");
}

#[test]
fn p8_what_a_killed_edge_only_said_to_be_stored_is_caught() {
    let report = Stage::open(Lie::AcknowledgeOnlyAtTheEnd).perform(&UNKEYED, |stage| stage.kill_after(60));
    assert!(report.violations(Rule::P8) > 0, "{report}");
}
