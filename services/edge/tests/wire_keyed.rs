//! SENDs with `x-idempotency-key` over the wire: promises 2 and 4 for those who send, and what becomes of SENDs whose
//! sender is quick to leave.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::time::Duration;

use kit::edge::Edge;
use kit::eventually;
use kit::frame::Frame;
use kit::users::Users;
use kit::wire::{Wire, message};

const SOON: Duration = Duration::from_secs(10);

fn edge() -> Edge {
    Edge::start(&["--log-memory", "--partitions", "1"])
}

fn keyed(room: &str, key: &str, receipt: &str, body: &str) -> Vec<u8> {
    let destination = format!("/topic/{room}");
    let headers = [("destination", destination.as_str()), ("x-idempotency-key", key), ("receipt", receipt)];
    message("SEND", &headers, body)
}

fn place(receipt: &Frame) -> (String, String) {
    let header = |name| receipt.header(name).unwrap().to_owned();
    (header("message-id"), header("timestamp"))
}

/// A repeat is answered with the first one's place, from any session, and is not written again.
#[test]
fn p4_a_repeat_that_is_known_is_answered_and_not_written() {
    let users = Users::new();
    let edge = Edge::start(&[&["--log-memory", "--partitions", "1"], &users.args()[..]].concat());
    let [mut room, mut one, mut two, mut other] =
        ["reader", "ann", "ann", "bob"].map(|name| Users::connect(&edge, name));
    room.subscribe("0", "/topic/a");
    one.raw(&keyed("a", "k", "1", "hello"));
    let first = place(&one.receipt("1"));
    two.raw(&keyed("a", "k", "2", "hello again"));
    assert_eq!(place(&two.receipt("2")), first);
    // Elsewhere, or from somebody else, the same key is another one.
    two.raw(&keyed("b", "k", "3", "elsewhere"));
    other.raw(&keyed("a", "k", "4", "hello too"));
    assert_ne!(place(&two.receipt("3")), first);
    assert_ne!(place(&other.receipt("4")), first);
    let shown = room.expect("MESSAGE");
    assert_eq!((shown.header("message-id"), shown.header("timestamp")), (Some(&*first.0), Some(&*first.1)));
    assert_eq!(room.message(), "hello too");
    assert_eq!(room.leave().len(), 0);
    assert_eq!(edge.metric("klatsch_records_consumed_total"), 3.0);
    assert_eq!(edge.metric("klatsch_sends_total{result=\"repeated\"}"), 1.0);
}

/// Two sessions send one key at the same moment: both RECEIPTs name the one message that everybody sees.
#[test]
fn p4_a_repeat_that_is_found_when_it_is_read_back_names_the_first_too() {
    let users = Users::new();
    let edge = Edge::start(&[&["--log-memory", "--partitions", "1"], &users.args()[..]].concat());
    let mut room = Users::connect(&edge, "reader");
    room.subscribe("0", "/topic/a");
    let mut wires: Vec<Wire> = (0..4).map(|_| Users::connect(&edge, "ann")).collect();
    for round in 0..50 {
        let key = round.to_string();
        for wire in &mut wires {
            // Twice in one session as well: neither is known when the other is asked about.
            wire.raw(&[keyed("a", &key, "x", &key), keyed("a", &key, "y", &key)].concat());
        }
        let shown = room.expect("MESSAGE");
        let first = (shown.header("message-id").unwrap().to_owned(), shown.header("timestamp").unwrap().to_owned());
        for wire in &mut wires {
            assert_eq!([place(&wire.receipt("x")), place(&wire.receipt("y"))], [first.clone(), first.clone()]);
        }
    }
    assert_eq!(room.leave().len(), 0, "nothing is shown twice");
    let written = edge.metric("klatsch_records_consumed_total");
    assert!(written > 50.0, "some were written twice: {written}");
    assert_eq!(edge.metric("klatsch_records_repeated_total"), written - 50.0);
}

/// Promise 2 and R03: whatever has a key and whatever has none, a session's SENDs are stored, and answered, in order.
#[test]
fn p2_r03_keyed_and_other_sends_of_a_session_keep_their_order() {
    let edge = edge();
    let (mut room, mut wire) = (Wire::connect(&edge), Wire::connect(&edge));
    room.subscribe("0", "/topic/a");
    wire.raw(&keyed("a", "known", "known", "known"));
    wire.receipt("known");
    let mut all = Vec::new();
    for n in 0..300_u32 {
        let (body, key) = (n.to_string(), format!("key {n}"));
        match n % 3 {
            0 => all.extend(keyed("a", &key, &body, &body)),
            1 => all.extend(message("SEND", &[("destination", "/topic/a"), ("receipt", &body)], &body)),
            _ => all.extend(keyed("a", "known", &body, "not again")),
        }
    }
    wire.raw(&all);
    (0..300_u32).for_each(|n| drop(wire.receipt(&n.to_string())));
    assert_eq!(room.message(), "known");
    for n in (0..300_u32).filter(|n| n % 3 < 2) {
        assert_eq!(room.message(), n.to_string());
    }
    assert_eq!(room.leave().len(), 0);
}

/// T04, T07: a transaction that is sent again stores nothing, and its RECEIPTs say where everything is.
#[test]
fn p4_t07_a_transaction_that_is_repeated() {
    let edge = edge();
    let (mut room, mut wire) = (Wire::connect(&edge), Wire::connect(&edge));
    room.subscribe("0", "/topic/a");
    let mut places = Vec::new();
    for _ in 0..2 {
        wire.say("BEGIN", &[("transaction", "t")], "");
        for n in ["1", "2", "3"] {
            let headers = [("destination", "/topic/a"), ("x-idempotency-key", n), ("transaction", "t"), ("receipt", n)];
            wire.say("SEND", &headers, n);
        }
        wire.say("COMMIT", &[("transaction", "t"), ("receipt", "all")], "");
        places.push(["1", "2", "3"].map(|n| place(&wire.receipt(n))));
        wire.receipt("all");
    }
    assert_eq!(places[0], places[1]);
    assert_eq!([room.message(), room.message(), room.message()], ["1", "2", "3"]);
    assert_eq!(room.leave().len(), 0);
}

/// D04: a sender that leaves before the follower has said a word has sent all the same; L07: and what waits meanwhile
/// is bounded, however much it sends.
#[test]
fn d04_l07_what_was_sent_before_the_end_is_stored() {
    let edge = edge();
    let mut room = Wire::connect(&edge);
    room.subscribe("0", "/topic/a");
    let large = "x".repeat(40 * 1024);
    for round in 0..5 {
        let mut wire = Wire::connect(&edge);
        let sends: Vec<u8> = (0..40)
            .flat_map(|n| {
                let key = format!("{round} {n}");
                message("SEND", &[("destination", "/topic/a"), ("x-idempotency-key", &key)], &large)
            })
            .collect();
        wire.raw(&sends);
        if round % 2 == 0 {
            wire.raw(&message("DISCONNECT", &[], ""));
        }
        drop(wire);
        for n in 0..40 {
            let message = room.expect("MESSAGE");
            assert_eq!(message.header("x-idempotency-key"), Some(format!("{round} {n}").as_str()));
        }
    }
    // Nobody was there any more to be told, but they are counted.
    eventually("every SEND is counted", SOON, || {
        (edge.metric("klatsch_sends_total{result=\"ok\"}") == 200.0).then_some(())
    });
}

/// T08: a second room in a transaction is refused at its SEND, other names of the same room are not.
#[test]
fn t08_one_room_in_a_transaction() {
    let edge = edge();
    let mut wire = Wire::connect(&edge);
    let send = |wire: &mut Wire, destination: &str| {
        wire.say("SEND", &[("destination", destination), ("transaction", "t"), ("receipt", destination)], "x");
    };
    wire.say("BEGIN", &[("transaction", "t")], "");
    for destination in ["/topic/a", "/app/a", "/pub/a"] {
        send(&mut wire, destination);
    }
    wire.say("COMMIT", &[("transaction", "t"), ("receipt", "all")], "");
    for receipt in ["/topic/a", "/app/a", "/pub/a", "all"] {
        wire.receipt(receipt);
    }
    wire.say("BEGIN", &[("transaction", "t")], "");
    send(&mut wire, "/topic/a");
    send(&mut wire, "/topic/b");
    let error = wire.refused("400", 1002);
    assert_eq!(error.header("receipt-id"), Some("/topic/b"), "at its SEND, before any COMMIT");
    // Read back is one more than what was there before.
    let mut room = Wire::connect(&edge);
    room.subscribe("0", "/topic/a");
    wire = Wire::connect(&edge);
    wire.send("/topic/a", "end");
    assert_eq!(room.message(), "end");
    assert_eq!(edge.metric("klatsch_records_consumed_total"), 4.0, "nothing of it is stored");
}
