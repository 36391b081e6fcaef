//! DESIGN §7: a subscription begins where it is asked to, with nothing missing and nothing twice, or says that it
//! cannot. Promises 3 and 4.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::sync::atomic::{AtomicBool, Ordering};

use kit::edge::Edge;
use kit::frame::Frame;
use kit::wire::Wire;

fn edge(more: &[&str]) -> Edge {
    Edge::start(&[&["--log-memory", "--partitions", "1"], more].concat())
}

/// SUBSCRIBE with these headers more; its RECEIPT.
#[track_caller]
fn subscribe(wire: &mut Wire, room: &str, more: &[(&str, &str)]) -> Frame {
    let destination = format!("/topic/{room}");
    wire.say("SUBSCRIBE", &[&[("id", "0"), ("destination", &destination), ("receipt", "s")], more].concat(), "");
    wire.receipt("s")
}

fn recovered(receipt: &Frame) -> Option<bool> {
    receipt.header("x-recovered").map(|value| value == "true")
}

/// A room's messages from a moment on, in a session of its own: those of the past, then those of now.
#[track_caller]
fn from(edge: &Edge, room: &str, token: &str) -> (Frame, Wire) {
    let mut wire = Wire::connect(edge);
    let receipt = subscribe(&mut wire, room, &[("x-from", token)]);
    (receipt, wire)
}

#[test]
fn resume_begins_behind_any_message_of_the_partition() {
    let edge = edge(&[]);
    let mut wire = Wire::connect(&edge);
    let empty = subscribe(&mut wire, "a", &[]);
    assert_eq!(empty.header("x-position"), Some("0--1-00000000"));
    assert_eq!(recovered(&empty), None, "said exactly when it was asked for");
    let mut sender = Wire::connect(&edge);
    let ids: Vec<String> = ["1", "2", "3"].map(|body| sender.send("/topic/a", body)).into();
    let elsewhere = sender.send("/topic/b", "other");
    sender.send("/topic/a", "4");
    // A RECEIPT says stored; that this edge has read it back is what a MESSAGE says.
    assert_eq!([wire.message(), wire.message(), wire.message(), wire.message()], ["1", "2", "3", "4"]);
    for (token, expected) in [
        ("0--1-00000000", &["1", "2", "3", "4"][..]),
        ("first", &["1", "2", "3", "4"]),
        (&ids[1], &["3", "4"]),
        (&elsewhere, &["4"]),
        ("@0", &["1", "2", "3", "4"]),
        ("now", &[]),
    ] {
        let (receipt, mut wire) = from(&edge, "a", token);
        assert_eq!(recovered(&receipt), Some(true), "{token}");
        for body in expected {
            let message = wire.expect("MESSAGE");
            assert_eq!((message.body.as_slice(), message.header("x-replayed")), (body.as_bytes(), Some("true")));
        }
        assert_eq!(wire.leave().len(), 0);
    }
    // Live joins behind the replay, and its own position is a token too.
    let (_, mut wire) = from(&edge, "a", &elsewhere);
    wire.expect("MESSAGE");
    let live = sender.send("/topic/a", "live");
    let message = wire.expect("MESSAGE");
    assert_eq!((message.header("message-id"), message.header("x-replayed")), (Some(live.as_str()), None));
    let (receipt, wire) = from(&edge, "b", &live);
    assert_eq!((recovered(&receipt), receipt.header("x-position")), (Some(true), Some(live.as_str())));
    assert_eq!(wire.leave().len(), 0, "a quiet room is resumed too");
}

#[test]
fn p3_a_token_that_does_not_verify_is_answered_with_false_and_nothing_is_replayed() {
    let edge = edge(&[]);
    let mut sender = Wire::connect(&edge);
    let id = sender.send("/topic/a", "1");
    let other_log = format!("{}00000001", id.trim_end_matches(|octet: char| octet.is_ascii_hexdigit()));
    for token in [&other_log, "1-0-00000000", "0--7-00000000", "garbage", "", "@", "0-99-00000000"] {
        let (receipt, mut wire) = from(&edge, "a", token);
        assert_eq!(recovered(&receipt), Some(false), "{token:?}");
        sender.send("/topic/a", "live");
        assert_eq!(wire.message(), "live", "never a partial replay, and live all the same");
    }
    // Without a RECEIPT nobody would hear of it.
    let mut wire = Wire::connect(&edge);
    wire.say("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/a"), ("x-from", "garbage")], "");
    wire.refused("410", 4003);
    let mut wire = Wire::connect_with(&edge, &[("accept-version", "1.2"), ("x-errors", "soft")]);
    wire.subscribe("errors", "/user/queue/errors");
    wire.say("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/a"), ("x-from", "garbage")], "");
    let error = wire.expect("MESSAGE");
    assert_eq!((error.header("x-error-code"), error.header("subscription")), (Some("410"), Some("errors")));
}

#[test]
fn history_gives_the_last_messages_of_the_room() {
    let edge = edge(&[]);
    let (mut watcher, mut sender) = (Wire::connect(&edge), Wire::connect(&edge));
    watcher.subscribe("0", "/topic/a");
    for n in 0..10 {
        sender.send("/topic/b", "other");
        sender.send("/topic/a", &n.to_string());
        assert_eq!(watcher.message(), n.to_string());
    }
    for (asked, expected) in [("3", 7..10), ("0", 10..10), ("1000000", 0..10)] {
        let mut wire = Wire::connect(&edge);
        let receipt = subscribe(&mut wire, "a", &[("x-history", asked)]);
        assert_eq!(recovered(&receipt), Some(true));
        assert_eq!(receipt.header("x-history-count"), Some(expected.len().to_string().as_str()));
        for n in expected {
            assert_eq!(wire.message(), n.to_string());
        }
        assert_eq!(wire.leave().len(), 0);
    }
}

/// While a room is busy, a session that comes back again and again behind what it had last sees one unbroken sequence.
#[test]
fn p3_p4_replay_and_live_join_without_gap_or_duplicate() {
    let edge = edge(&[]);
    let mut wire = Wire::connect(&edge);
    let mut token = subscribe(&mut wire, "a", &[]).header("x-position").unwrap().to_owned();
    let over = AtomicBool::new(false);
    let (seen, sent) = std::thread::scope(|scope| {
        let mut sender = Wire::connect(&edge);
        let over = &over;
        let sender = scope.spawn(move || {
            let mut sent = 0usize;
            while !over.load(Ordering::Relaxed) {
                sender.send("/topic/a", &sent.to_string());
                sent += 1;
            }
            sent
        });
        let mut seen = Vec::new();
        for round in 0..40 {
            let (receipt, mut wire) = from(&edge, "a", &token);
            assert_eq!(recovered(&receipt), Some(true));
            for _ in 0..=round {
                let message = wire.expect("MESSAGE");
                token = message.header("message-id").unwrap().to_owned();
                seen.push(String::from_utf8(message.body).unwrap().parse::<usize>().unwrap());
            }
        }
        over.store(true, Ordering::Relaxed);
        (seen, sender.join().unwrap())
    });
    assert!(sent >= seen.len());
    assert_eq!(seen, (0..seen.len()).collect::<Vec<_>>());
}

/// A SEND repeated with the same key is shown once, to those who were there and to those who come later; each is answered,
/// also by a log whose acknowledgements do not say where.
#[test]
fn p4_a_repeated_send_is_shown_once() {
    shown_once(&edge(&[]));
    shown_once(&Edge::start(&["--dev", "--partitions", "1"]));
}

fn shown_once(edge: &Edge) {
    let (mut wire, mut sender) = (Wire::connect(edge), Wire::connect(edge));
    subscribe(&mut wire, "a", &[]);
    let mut keyed = |body: &str, key: &str, room: &str| {
        let headers = [("destination", room), ("receipt", "r"), ("x-idempotency-key", key)];
        sender.say("SEND", &headers, body);
        sender.receipt("r");
    };
    keyed("one", "k", "/topic/a");
    keyed("one again", "k", "/topic/a");
    keyed("elsewhere", "k", "/topic/b");
    keyed("two", "l", "/topic/a");
    let first = wire.expect("MESSAGE");
    assert_eq!((first.body.as_slice(), first.header("x-idempotency-key")), (&b"one"[..], Some("k")));
    assert_eq!(wire.message(), "two");
    let (_, mut later) = from(edge, "a", "first");
    assert_eq!([later.message(), later.message()], ["one", "two"]);
    assert_eq!(later.leave().len(), 0);
    assert_eq!(edge.metric("klatsch_records_consumed_total"), 3.0, "a repeat that is known is not written");
}
