//! The order of frames and what becomes of each: families V, S, U, R, D over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::collections::HashSet;

use kit::edge::Edge;
use kit::wire::{Incoming, PATIENCE, Wire, message, opcode, websocket};

fn edge() -> Edge {
    Edge::start(&["--log-memory"])
}

/// V03: nothing but CONNECT may come first, and nothing of it is executed; V01, V02, Q17: STOMP is CONNECT.
#[test]
fn v03_frames_before_connect() {
    let edge = edge();
    let mut room = Wire::connect(&edge);
    room.subscribe("0", "/topic/r");
    let all =
        [("destination", "/topic/r"), ("id", "0"), ("transaction", "t"), ("message-id", "0-0-0"), ("receipt", "x")];
    for command in ["SEND", "SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK", "BEGIN", "COMMIT", "ABORT", "DISCONNECT"] {
        let mut wire = Wire::open(&edge);
        let mut octets = message(command, &all, if command == "SEND" { "never" } else { "" });
        octets.extend(message("CONNECT", &[("accept-version", "1.2")], ""));
        wire.raw(&octets);
        wire.refused("400", 1002);
    }
    for command in ["MESSAGE", "RECEIPT", "CONNECTED", "ERROR", "BLAH", "connect", "GET / HTTP/1.1"] {
        let mut wire = Wire::open(&edge);
        wire.say(command, &all, "");
        let error = wire.refused("400", 1002);
        assert!(!format!("{error:?}").contains("BLAH"), "E05: what a client wrote is not repeated");
    }
    let mut wire = Wire::open(&edge);
    wire.say("STOMP", &[("accept-version", "1.0,1.1,1.2"), ("receipt", "ignored")], "");
    let connected = wire.expect("CONNECTED");
    assert_eq!(connected.header("version"), Some("1.2"));
    assert!(connected.header("heart-beat").is_some(), "V10");
    assert_eq!(wire.leave().len(), 0, "V12: no RECEIPT for CONNECT");
    Wire::connect(&edge).send("/topic/r", "after");
    assert_eq!(room.message(), "after", "none of the SENDs before CONNECT was executed");
}

/// V04, Q20, V07: a second CONNECT never opens a second session, whatever the profile; no common version is refused.
#[test]
fn v04_v07_one_connect() {
    for (profile, ends) in [("spring", false), ("strict", true)] {
        let edge = Edge::start(&["--log-memory", "--profile", profile]);
        let mut wire = Wire::connect(&edge);
        for command in ["CONNECT", "STOMP"] {
            wire.say(command, &[("accept-version", "1.0"), ("login", "other")], "");
            if ends {
                wire.refused("409", 1002);
                break;
            }
            wire.send("/topic/r", command);
        }
        let mut wire = Wire::open(&edge);
        wire.say("CONNECT", &[("accept-version", "9.9,2.0")], "");
        let error = wire.refused("426", 4503);
        assert_eq!(error.header("version"), Some("1.0,1.1,1.2"));
    }
}

/// D01, D02, D03, P08, Q12: RECEIPT, then close 1000; what follows DISCONNECT is not processed.
#[test]
fn d01_d02_d03_disconnect() {
    let edge = edge();
    let mut room = Wire::connect(&edge);
    room.subscribe("0", "/topic/r");
    for receipt in [true, false] {
        let mut wire = Wire::connect(&edge);
        let header: &[(&str, &str)] = if receipt { &[("receipt", "bye")] } else { &[] };
        let mut octets = message("SEND", &[("destination", "/topic/r")], "before");
        octets.extend(message("DISCONNECT", header, ""));
        octets.extend(message("SEND", &[("destination", "/topic/r"), ("receipt", "late")], "late"));
        octets.extend(message("NONSENSE", &[], ""));
        wire.raw(&octets);
        if receipt {
            wire.receipt("bye");
        }
        wire.closed(1000);
    }
    Wire::connect(&edge).send("/topic/r", "end");
    assert_eq!([room.message(), room.message(), room.message()], ["before", "before", "end"]);
}

/// V11, Q17: everything in one segment, as clients that do not wait send it; F21, W06: and in one WebSocket message.
#[test]
fn v11_w06_pipelined_from_connect_on() {
    let edge = edge();
    let frames = [
        kit::frame::write("CONNECT", &[("accept-version", "1.2")], ""),
        kit::frame::write("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/r"), ("receipt", "sub")], ""),
        kit::frame::write("SEND", &[("destination", "/topic/r"), ("receipt", "send")], "hello"),
        "\n\n".to_owned(),
    ];
    for together in [true, false] {
        let mut wire = Wire::open(&edge);
        if together {
            wire.text(frames.concat().as_bytes());
        } else {
            let octets: Vec<u8> =
                frames.iter().flat_map(|frame| websocket(opcode::TEXT, true, frame.as_bytes())).collect();
            wire.raw(&octets);
        }
        wire.expect("CONNECTED");
        // U07: the SEND was read before its room was joined for sure, so it may be stored on either side of the
        // barrier; the two RECEIPTs come in any order, the MESSAGE at most once.
        let (mut receipts, mut messages) = (HashSet::new(), 0);
        while receipts.len() < 2 {
            match wire.frame() {
                frame if frame.command == "RECEIPT" => {
                    assert!(receipts.insert(frame.header("receipt-id").unwrap().to_owned()));
                }
                frame => messages += usize::from(frame.command == "MESSAGE"),
            }
        }
        wire.say("SEND", &[("destination", "/topic/r")], "fence");
        while let frame = wire.expect("MESSAGE")
            && frame.body != b"fence"
        {
            messages += 1;
        }
        assert!(messages <= 1, "{messages}");
    }
}

/// D04: everything sent before DISCONNECT, a close frame, FIN or a reset is stored, once and in order.
#[test]
fn d04_w20_nothing_is_lost_by_leaving_at_once() {
    // With few receipts in flight most of the SENDs still wait for their turn when the client is gone.
    let edge = Edge::start(&["--log-memory", "--max-receipts", "16"]);
    for (how, receipts) in [("DISCONNECT", true), ("close", false), ("FIN", false), ("close", true), ("FIN", true)] {
        let mut room = Wire::connect(&edge);
        room.subscribe("0", &format!("/topic/{how}"));
        let mut wire = Wire::connect(&edge);
        let mut octets = Vec::new();
        let destination = format!("/topic/{how}");
        for n in 0..2000 {
            let n = n.to_string();
            let headers = [("destination", &*destination), ("receipt", &*n)];
            octets.extend(message("SEND", &headers[..1 + usize::from(receipts)], &n));
        }
        if how == "DISCONNECT" {
            octets.extend(message("DISCONNECT", &[], ""));
        } else if how == "close" {
            octets.extend(websocket(opcode::CLOSE, true, &1000u16.to_be_bytes()));
        }
        wire.raw(&octets);
        match how {
            "FIN" => drop(wire),
            _ => while !matches!(wire.next(), Incoming::Close(1000, _)) {},
        }
        for n in 0..2000 {
            assert_eq!(room.message(), n.to_string(), "{how}");
        }
        Wire::connect(&edge).send(&destination, "fence");
        assert_eq!(room.message(), "fence", "{how}");
    }
}

/// D05: a SUBSCRIBE that still waited for its turn when its client closed leaves nothing behind in its room.
#[test]
fn d05_a_late_subscribe_of_a_client_that_is_gone() {
    let edge = Edge::start(&["--log-memory", "--max-receipts", "1"]);
    for how in ["close", "FIN"] {
        let mut wire = Wire::connect(&edge);
        let sends = message("SEND", &[("destination", "/topic/r"), ("receipt", "s")], "x").repeat(100);
        let mut octets = sends.clone();
        octets.extend(message("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/r")], ""));
        octets.extend(sends);
        if how == "close" {
            octets.extend(websocket(opcode::CLOSE, true, &1000u16.to_be_bytes()));
        }
        wire.raw(&octets);
    }
    kit::eventually("all 400 are stored and nobody is in the room", PATIENCE, || {
        let there = ["klatsch_rooms_active", "klatsch_subscriptions", "klatsch_sessions"].map(|name| edge.metric(name));
        (edge.metric("klatsch_records_consumed_total") == 400.0 && there == [0.0; 3]).then_some(())
    });
}

/// R01, R04, R06, R07: 50 frames in one go, each receipt answered once, SENDs of a room in frame order.
#[test]
fn r07_fifty_interleaved_receipts() {
    let edge = edge();
    let mut wire = Wire::connect(&edge);
    let mut octets = Vec::new();
    for n in 0..10 {
        let [send, quiet, sub, begin, unsub] =
            ["send", "quiet", "sub", "begin", "unsub"].map(|what| format!("{what} {n}"));
        octets.extend(message("SEND", &[("destination", "/topic/r"), ("receipt", &send)], "x"));
        octets.extend(message("SEND", &[("destination", "/topic/r")], &quiet));
        octets.extend(message("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/other"), ("receipt", &sub)], ""));
        octets.extend(message("BEGIN", &[("transaction", &begin), ("receipt", &begin)], ""));
        octets.extend(message("ABORT", &[("transaction", &begin), ("receipt", &format!("abort {n}"))], ""));
        octets.extend(message("UNSUBSCRIBE", &[("id", "0"), ("receipt", &unsub)], ""));
    }
    wire.raw(&octets);
    let receipts: Vec<String> =
        (0..50).map(|_| wire.expect("RECEIPT").header("receipt-id").unwrap().to_owned()).collect();
    assert_eq!(receipts.iter().collect::<HashSet<_>>().len(), 50);
    let sends: Vec<_> = receipts.iter().filter(|id| id.starts_with("send")).collect();
    assert_eq!(sends, (0..10).map(|n| format!("send {n}")).collect::<Vec<_>>().iter().collect::<Vec<_>>(), "R03, S08");
    assert_eq!(wire.leave().len(), 0);
}

/// S09, U04, U03, U09, U10, M03: one's own message, two ids on one room, ids taken and free, ids that never were.
#[test]
fn u03_u04_u09_s09_subscriptions_of_one_room() {
    let edge = edge();
    let mut wire = Wire::connect(&edge);
    wire.subscribe("a", "/topic/r");
    wire.subscribe("b", "/sub/r");
    wire.say("SEND", &[("destination", "/pub/r"), ("receipt", "s")], "mine");
    let mut got: Vec<_> = (0..3).map(|_| wire.frame()).collect();
    got.sort_by_key(|frame| frame.header("subscription").unwrap_or_default().to_owned());
    assert_eq!(got[0].command, "RECEIPT");
    for (frame, (id, destination)) in got[1..].iter().zip([("a", "/topic/r"), ("b", "/sub/r")]) {
        assert_eq!((frame.header("subscription"), frame.header("destination")), (Some(id), Some(destination)), "M02");
        assert_eq!(frame.header("message-id"), got[0].header("message-id"), "M03");
    }
    wire.say("UNSUBSCRIBE", &[("id", "a"), ("receipt", "u")], "");
    wire.receipt("u");
    wire.say("UNSUBSCRIBE", &[("id", "never was"), ("receipt", "v")], "");
    wire.receipt("v");
    wire.say("SEND", &[("destination", "/topic/r")], "again");
    assert_eq!(wire.expect("MESSAGE").header("subscription"), Some("b"));
    wire.subscribe("a", "/topic/r");
    wire.say("SUBSCRIBE", &[("id", "a"), ("destination", "/topic/elsewhere"), ("receipt", "dup")], "");
    assert_eq!(wire.refused("409", 1002).header("receipt-id"), Some("dup"));

    let strict = Edge::start(&["--log-memory", "--profile", "strict"]);
    let mut wire = Wire::connect(&strict);
    wire.say("UNSUBSCRIBE", &[("id", "never was")], "");
    wire.refused("404", 1002);
}

/// U10 and DESIGN §4, generations: SUBSCRIBE 0, UNSUBSCRIBE 0, SUBSCRIBE 0 over changing rooms, with traffic in all of
/// them, never shows a message of a room that id 0 does not mean at that moment.
#[test]
fn u10_a_storm_of_subscriptions_never_mixes() {
    let edge = edge();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for room in ["red", "green"] {
            let (mut wire, stop) = (Wire::connect(&edge), &stop);
            scope.spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    wire.send(&format!("/topic/{room}"), room);
                }
            });
        }
        let (mut wire, mut seen) = (Wire::connect(&edge), 0);
        for round in 0..1500 {
            let room = ["red", "green"][round % 2];
            let destination = format!("/topic/{room}");
            let (mut octets, done) = (Vec::new(), round.to_string());
            octets.extend(message("SUBSCRIBE", &[("id", "0"), ("destination", &destination)], ""));
            if round % 3 == 0 {
                octets.extend(message("UNSUBSCRIBE", &[("id", "0")], ""));
                octets.extend(message("SUBSCRIBE", &[("id", "0"), ("destination", &destination)], ""));
            }
            wire.raw(&octets);
            // Some rounds end at once, others with the first message.
            if round % 2 == 0 || round % 5 == 0 {
                let frame = wire.expect("MESSAGE");
                assert_eq!(frame.body, room.as_bytes());
                seen += 1;
            }
            wire.say("UNSUBSCRIBE", &[("id", "0"), ("receipt", &done)], "");
            loop {
                let frame = wire.frame();
                if frame.command == "RECEIPT" {
                    break assert_eq!(frame.header("receipt-id"), Some(&*done));
                }
                assert_eq!((frame.command.as_str(), &frame.body[..]), ("MESSAGE", room.as_bytes()), "round {round}");
                assert_eq!(frame.header("destination"), Some(&*destination));
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(seen > 500);
        wire.leave();
    });
    kit::eventually("nobody is interested in any room", PATIENCE, || {
        (edge.metric("klatsch_rooms_active") == 0.0).then_some(())
    });
}

/// U11 in both profiles: `selector` is ignored by Spring's and refused by the specification's.
#[test]
fn u11_selector_in_both_profiles() {
    let subscribe = [("id", "0"), ("destination", "/topic/r"), ("selector", "headers['a']=='b'"), ("receipt", "s")];
    let spring = Edge::start(&["--log-memory"]);
    let mut wire = Wire::connect(&spring);
    wire.say("SUBSCRIBE", &subscribe, "");
    wire.receipt("s");
    wire.say("SEND", &[("destination", "/topic/r")], "not selected, and delivered");
    assert_eq!(wire.message(), "not selected, and delivered");
    let strict = Edge::start(&["--log-memory", "--profile", "strict"]);
    let mut wire = Wire::connect(&strict);
    wire.say("SUBSCRIBE", &subscribe, "");
    assert_eq!(wire.refused("400", 1002).header("receipt-id"), Some("s"));
}
