//! A client that moves while its edge drains has two sessions at once: what `verify` demands of both together.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Cursor;

use klatsch_load::verify::{Loader, Options, Report, Row, Rule, Source, judge};
use serde_json::{Value, json};

fn id(offset: i64) -> String {
    format!("0-{offset}-{offset:08x}")
}

/// Six records of one room; client 0 sees them.
fn log() -> Loader {
    let mut loader = Loader::default();
    for offset in 0..6 {
        let row = json!({
            "partition": 0, "offset": offset, "timestamp": 1_700_000_000_000_i64 + offset, "key": "tea",
            "message_id": id(offset), "uuid": format!("{offset:032x}"), "sender": "x", "idempotency_key": "", "size": 9,
        })
        .to_string();
        loader.add(&serde_json::from_str::<Row<'_>>(&row).unwrap()).unwrap();
    }
    loader.next_dump();
    loader
}

fn line(session: u32, event: Value) -> Value {
    let mut line = json!({"c": 0, "s": session});
    line.as_object_mut().unwrap().append(&mut event.as_object().unwrap().clone());
    line
}

fn message(session: u32, offset: i64, discarded: bool) -> Value {
    line(session, json!({"e": "foreign", "room": "tea", "id": id(offset), "discarded": discarded}))
}

fn enter(session: u32, from: Option<i64>) -> [Value; 3] {
    let position = json!(from.is_none().then_some("0--1-00000000"));
    [
        line(session, json!({"e": "connected", "user": "ann", "edge": format!("edge{session}")})),
        line(session, json!({"e": "subscribe", "room": "tea", "from": from.map(id), "history": null})),
        line(session, json!({"e": "joined", "room": "tea", "position": position, "recovered": from.map(|_| true)})),
    ]
}

fn close(session: u32) -> Value {
    line(session, json!({"e": "close", "code": 1000, "why": "asked", "text": "goodbye", "last": null}))
}

/// As it should be: the old edge brings 0 to 3, the new one goes on from 1 and brings 2 to 5. A line every ten milliseconds.
fn history() -> Vec<Value> {
    let mut lines = Vec::new();
    lines.extend(enter(1, None));
    lines.extend([message(1, 0, false), message(1, 1, false)]);
    lines.push(line(1, json!({"e": "notice", "after_ms": 10, "deadline_ms": 5_000})));
    lines.extend(enter(2, Some(1)));
    lines.extend([message(1, 2, false), message(2, 2, true), message(2, 3, false), message(1, 3, true)]);
    lines.extend([close(1), message(2, 4, false), message(2, 5, false), close(2)]);
    lines
}

fn verdict(lines: Vec<Value>) -> Report {
    let run = json!({"e": "run", "run": 7, "pid": 1, "version": 1, "send_timeout_ms": 15_000, "urls": ["ws://a/ws"],
        "connections": 1, "rooms": 1, "rate": 1.0, "receipts": true});
    let mut text = String::new();
    for (at, mut line) in [run].into_iter().chain(lines).chain([json!({"e": "end"})]).enumerate() {
        line["t"] = (1_700_000_000_000_000_u64 + at as u64 * 10_000).into();
        text += &format!("{line}\n");
    }
    let lines = Box::new(Cursor::new(text.into_bytes()));
    judge(vec![Source { name: "history".to_owned(), lines }], log().finish(), Options::default()).unwrap()
}

fn where_(session: u32, offset: i64) -> usize {
    history().iter().position(|line| line["s"] == session && line["id"] == id(offset)).unwrap()
}

/// Promises 3, 4 and 7: nothing is missing and nothing is shown twice, and the client was never away.
#[test]
fn a_session_that_takes_over_loses_nothing_and_shows_nothing_again() {
    let report = verdict(history());
    assert!(report.held && report.whole, "{report}");
    let (gap, resumed) = (report.statistics.session_gap, &report.rules[6]);
    assert_eq!((gap.count, gap.max_ms), (1, 0.0));
    assert_eq!((resumed.rule, resumed.checked), (Rule::P7, 1));
}

#[test]
fn a_message_that_both_sessions_show_is_seen_twice() {
    for (session, offset) in [(2, 2), (1, 3)] {
        let mut lines = history();
        lines[where_(session, offset)]["discarded"] = false.into();
        let report = verdict(lines);
        assert_eq!((report.violations(Rule::P4), report.violations), (1, 1), "{report}");
    }
}

#[test]
fn a_message_that_nobody_showed_must_not_be_discarded() {
    let mut lines = history();
    lines[where_(2, 4)]["discarded"] = true.into();
    assert!(verdict(lines).violations(Rule::P3) > 0);
}

#[test]
fn what_is_missing_behind_the_token_is_missed() {
    for (session, rule) in [(1, Rule::P3), (2, Rule::P7)] {
        let mut lines = history();
        lines.remove(where_(session, 2));
        // The other one's place is as it was, and what it showed it showed first.
        if session == 1 {
            let at = lines.iter().position(|line| line["s"] == 2 && line["id"] == id(2)).unwrap();
            lines[at]["discarded"] = false.into();
        }
        let report = verdict(lines);
        assert!(!report.held && report.violations(rule) + report.violations(Rule::P3) > 0, "{report}");
    }
}
