//! Delivery windows and transactions: families A and T over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::time::Duration;

use kit::edge::Edge;
use kit::wire::{Incoming, Wire, message};

/// Long enough for a message that should not come to have come: the fence before it has been answered already.
const NOTHING: Duration = Duration::from_millis(30);

fn reader(edge: &Edge, version: &str, mode: &str, window: &str) -> Wire {
    let mut wire = Wire::connect_with(edge, &[("accept-version", version)]);
    let headers =
        [("id", "0"), ("destination", "/topic/r"), ("ack", mode), ("prefetch-count", window), ("receipt", "sub")];
    wire.say("SUBSCRIBE", &headers, "");
    wire.receipt("sub");
    wire
}

/// SENDs of the numbers in this range, all stored when it returns.
fn publish(wire: &mut Wire, numbers: std::ops::Range<u32>) {
    for n in numbers {
        wire.send("/topic/r", &n.to_string());
    }
}

/// The next MESSAGE's body as a number, and its `ack` and message-id.
fn next(wire: &mut Wire) -> (u32, String, String) {
    let frame = wire.expect("MESSAGE");
    let text = |name| frame.header(name).unwrap_or_default().to_owned();
    (std::str::from_utf8(&frame.body).unwrap().parse().unwrap(), text("ack"), text("message-id"))
}

/// Nothing has come but what was expected: a receipt of our own is the next frame.
fn fence(wire: &mut Wire) {
    wire.say("BEGIN", &[("transaction", "fence"), ("receipt", "fence")], "");
    wire.receipt("fence");
    wire.say("ABORT", &[("transaction", "fence")], "");
    assert_eq!(wire.next_within(NOTHING), None);
}

/// A05, M04 and §7: `client` pauses at the window; one ACK settles all before it; order holds, nothing is lost.
#[test]
fn a05_the_window_of_client_mode() {
    let edge = Edge::start(&["--log-memory"]);
    let mut sender = Wire::connect(&edge);
    let mut wire = reader(&edge, "1.2", "client", "5");
    publish(&mut sender, 0..23);
    let mut expected = 0;
    for round in 0..5 {
        let count = 5.min(23 - expected);
        let mut acks = Vec::new();
        for _ in 0..count {
            let (n, ack, _) = next(&mut wire);
            assert_eq!(n, expected, "round {round}");
            expected += 1;
            acks.push(ack);
        }
        assert_eq!(acks.iter().collect::<std::collections::HashSet<_>>().len(), acks.len(), "M04: unique");
        fence(&mut wire);
        let command = if round % 2 == 0 { "ACK" } else { "NACK" };
        wire.say(command, &[("id", acks.last().unwrap()), ("subscription", "0")], "");
    }
    // All settled: live again.
    fence(&mut wire);
    publish(&mut sender, 23..25);
    assert_eq!((next(&mut wire).0, next(&mut wire).0), (23, 24));
}

/// A06, A07: `client-individual` settles one by one, in any order; each makes room for one.
#[test]
fn a06_the_window_of_client_individual_mode() {
    let edge = Edge::start(&["--log-memory"]);
    let mut sender = Wire::connect(&edge);
    let mut wire = reader(&edge, "1.2", "client-individual", "4");
    publish(&mut sender, 0..40);
    let mut open: Vec<String> = Vec::new();
    for n in 0..40 {
        if n >= 4 {
            fence(&mut wire);
            // The newest, the oldest, and one in between.
            let at = [open.len() - 1, 0, 1][n as usize % 3];
            let id = open.remove(at);
            let command = ["ACK", "NACK"][n as usize % 2];
            wire.say(command, &[("id", &id)], "");
        }
        let (got, ack, _) = next(&mut wire);
        assert_eq!(got, n);
        open.push(ack);
    }
    fence(&mut wire);
}

/// A01, A02: before 1.2 a delivery is named by its message-id; a window shut for long costs no other subscription.
#[test]
fn a01_a02_older_versions_and_other_subscriptions() {
    let edge = Edge::start(&["--log-memory"]);
    let mut sender = Wire::connect(&edge);
    for version in ["1.0", "1.1"] {
        let mut wire = reader(&edge, version, "client", "2");
        publish(&mut sender, 0..6);
        for n in [0, 2, 4] {
            assert_eq!(next(&mut wire).0, n);
            let (got, _, id) = next(&mut wire);
            assert_eq!(got, n + 1);
            wire.say("ACK", &[("subscription", "0"), ("message-id", &id)], "");
        }
        wire.leave();
    }
    let mut wire = reader(&edge, "1.2", "client", "1");
    wire.subscribe("auto", "/topic/r");
    publish(&mut sender, 0..50);
    let mut auto = Vec::new();
    let mut shut = Vec::new();
    while auto.len() < 50 {
        let frame = wire.expect("MESSAGE");
        let n: u32 = std::str::from_utf8(&frame.body).unwrap().parse().unwrap();
        if frame.header("subscription") == Some("auto") { auto.push(n) } else { shut.push(n) }
    }
    assert_eq!((auto, shut), ((0..50).collect(), vec![0]));
}

/// A03, A04: ACK of what is unknown, settled, or without an id.
#[test]
fn a03_a04_wrong_acks() {
    let edge = Edge::start(&["--log-memory"]);
    let mut sender = Wire::connect(&edge);
    for (headers, code) in [
        (vec![("id", "0-1-99"), ("receipt", "r")], "404"),
        (vec![("id", "nonsense"), ("receipt", "r")], "404"),
        (vec![("receipt", "r")], "400"),
    ] {
        let mut wire = reader(&edge, "1.2", "client", "2");
        wire.say("ACK", &headers, "");
        assert_eq!(wire.refused(code, 1002).header("receipt-id"), Some("r"));
    }
    for mode in ["client", "client-individual"] {
        let mut wire = reader(&edge, "1.2", mode, "2");
        publish(&mut sender, 0..1);
        let (_, id, _) = next(&mut wire);
        wire.say("ACK", &[("id", &id), ("receipt", "r")], "");
        wire.receipt("r");
        wire.say("ACK", &[("id", &id)], "");
        wire.refused("404", 1002);
    }
    let mut wire = Wire::connect(&edge);
    wire.subscribe("0", "/topic/r");
    wire.say("ACK", &[("id", "whatever"), ("receipt", "r")], "");
    wire.receipt("r");
}

/// T04, T06, T07: COMMIT stores in order and then answers every receipt; nothing before; ABORT stores nothing.
#[test]
fn t04_t06_t07_commit_and_abort() {
    let edge = Edge::start(&["--log-memory"]);
    let mut room = Wire::connect(&edge);
    room.subscribe("0", "/topic/r");
    let mut wire = Wire::connect(&edge);
    for id in ["one", "two", "gone"] {
        wire.say("BEGIN", &[("transaction", id), ("receipt", id)], "");
        wire.receipt(id);
    }
    for n in 0..50 {
        for id in ["one", "two", "gone"] {
            let body = format!("{id} {n}");
            wire.say("SEND", &[("destination", "/topic/r"), ("transaction", id), ("receipt", &body)], &body);
        }
    }
    wire.send("/topic/r", "outside");
    assert_eq!(room.message(), "outside", "T04: no member is visible before COMMIT");
    for id in ["two", "one"] {
        wire.say("COMMIT", &[("transaction", id), ("receipt", id)], "");
        for n in 0..50 {
            let receipt = wire.receipt(&format!("{id} {n}"));
            assert!(receipt.header("message-id").is_some());
            let message = room.expect("MESSAGE");
            assert_eq!(message.body, format!("{id} {n}").as_bytes());
            assert_eq!(message.header("message-id"), receipt.header("message-id"));
            assert_eq!(message.header("transaction"), None, "M07");
        }
        wire.receipt(id);
    }
    wire.say("ABORT", &[("transaction", "gone"), ("receipt", "gone")], "");
    wire.receipt("gone");
    // T02: the id is free again. T05: what is open when the session ends is gone.
    wire.say("BEGIN", &[("transaction", "gone")], "");
    wire.say("SEND", &[("destination", "/topic/r"), ("transaction", "gone")], "never");
    assert_eq!(wire.leave().len(), 0);
    Wire::connect(&edge).send("/topic/r", "end");
    assert_eq!(room.message(), "end");
}

/// T01, T02, T03, T08: what a transaction cannot be. Of the one that spans two rooms nothing is stored.
#[test]
fn t01_t02_t03_t08_wrong_transactions() {
    let edge = Edge::start(&["--log-memory"]);
    let mut room = Wire::connect(&edge);
    room.subscribe("0", "/topic/r");
    let begin = || message("BEGIN", &[("transaction", "t")], "");
    let send = |room: &str| {
        let destination = format!("/topic/{room}");
        message("SEND", &[("destination", &destination), ("transaction", "t"), ("receipt", room)], room)
    };
    let end = |command: &str| message(command, &[("transaction", "t"), ("receipt", "r")], "");
    for (what, octets, code, receipt) in [
        ("T01", message("BEGIN", &[("receipt", "r")], ""), "400", "r"),
        ("T01", message("COMMIT", &[("receipt", "r")], ""), "400", "r"),
        ("T02", [begin(), end("BEGIN")].concat(), "409", "r"),
        ("T03", send("r"), "404", "r"),
        ("T03", end("COMMIT"), "404", "r"),
        ("T03", end("ABORT"), "404", "r"),
        ("T03", [begin(), end("ABORT"), end("COMMIT")].concat(), "404", "r"),
        ("T08", [begin(), send("r"), send("other"), end("COMMIT")].concat(), "400", "other"),
    ] {
        let mut wire = Wire::connect(&edge);
        wire.raw(&octets);
        if octets.ends_with(&end("COMMIT")) && octets.len() > 100 && what == "T03" {
            wire.receipt("r");
        }
        let error = wire.refused(code, 1002);
        assert_eq!(error.header("receipt-id"), Some(receipt), "{what} {error:?}");
    }
    Wire::connect(&edge).send("/topic/r", "end");
    assert_eq!(room.message(), "end", "nothing of it was stored");
}

/// A08: ACKs of a transaction count at COMMIT and not at all after ABORT.
#[test]
fn a08_acks_in_a_transaction() {
    let edge = Edge::start(&["--log-memory"]);
    let mut sender = Wire::connect(&edge);
    let mut wire = reader(&edge, "1.2", "client", "1");
    publish(&mut sender, 0..3);
    let (_, id, _) = next(&mut wire);
    for end in ["ABORT", "COMMIT"] {
        wire.say("BEGIN", &[("transaction", "t")], "");
        wire.say("ACK", &[("id", &id), ("transaction", "t")], "");
        fence(&mut wire);
        wire.say(end, &[("transaction", "t"), ("receipt", end)], "");
        wire.receipt(end);
    }
    assert_eq!(next(&mut wire).0, 1);
    assert!(!matches!(wire.next_within(NOTHING), Some(Incoming::Text(_))));
}

/// A09: what was not acknowledged is nobody else's: not another reader's, and not the same user's when it comes back. Who
/// comes back asks for it by its place in the log.
#[test]
fn a09_what_is_not_acknowledged_goes_to_nobody_else() {
    let edge = Edge::start(&["--log-memory"]);
    let mut sender = Wire::connect(&edge);
    let mut other = reader(&edge, "1.2", "client-individual", "10");
    let mut wire = reader(&edge, "1.2", "client-individual", "2");
    publish(&mut sender, 0..4);
    let (first, second) = (next(&mut wire), next(&mut wire));
    assert_eq!((first.0, second.0), (0, 1), "the window is shut with two of four");
    fence(&mut wire);
    assert_eq!(wire.leave().len(), 0);
    assert_eq!((0..4).map(|_| next(&mut other).0).collect::<Vec<_>>(), [0, 1, 2, 3], "each once");
    fence(&mut other);
    let mut back = reader(&edge, "1.2", "client-individual", "2");
    fence(&mut back);
    let resume = [("id", "1"), ("destination", "/topic/r"), ("x-from", first.2.as_str()), ("receipt", "again")];
    back.say("SUBSCRIBE", &resume, "");
    assert_eq!(back.receipt("again").header("x-recovered"), Some("true"));
    assert_eq!((1..4).map(|_| next(&mut back).0).collect::<Vec<_>>(), [1, 2, 3]);
}
