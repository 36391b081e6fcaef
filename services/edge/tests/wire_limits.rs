//! Family L over the wire: every limit is an ERROR and a close while octets arrive, and nobody else notices.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::time::{Duration, Instant};

use kit::edge::Edge;
use kit::users::Users;
use kit::wire::{Incoming, PATIENCE, Wire, message, opcode, websocket};

const SIZES: [&str; 5] = ["--log-memory", "--max-body", "4KiB", "--max-headers", "9KiB"];

fn head(command: &str, headers: &str) -> String {
    format!("{command}\n{headers}\n")
}

/// Each of these ends its own session; a bystander in the room is served before and after.
#[test]
fn l01_l02_sizes_of_a_frame() {
    let edge = Edge::start(&SIZES);
    let mut bystander = Wire::connect(&edge);
    bystander.subscribe("0", "/topic/r");
    let send = "destination:/topic/r\nreceipt:s\n";
    let many = |count: usize| -> String { (0..count).map(|n| format!("h{n}:v\n")).collect() };
    let long = |octets: usize| format!("long:{}\n", "v".repeat(octets));

    // At the limit all is well, and it arrives.
    let mut wire = Wire::connect(&edge);
    for (headers, body) in [(many(98), "few"), (long(8 * 1024 - 6), "long"), (String::new(), &*"b".repeat(4096))] {
        wire.text(format!("{}{body}\0", head("SEND", &format!("{send}{headers}"))).as_bytes());
        assert!(wire.receipt("s").header("message-id").is_some());
        assert_eq!(bystander.message(), body);
    }

    // None of these frames is complete: the edge answers as soon as it can know (L02).
    let block = format!("{}{}", long(5000), long(5000));
    for (what, octets) in [
        ("L01 command", "X".repeat(40)),
        ("L01 header count", head("SEND", &format!("{send}{}", many(99)))),
        ("L01 header line", format!("SEND\n{send}{}", "v".repeat(8 * 1024 + 1))),
        ("L01 header block", head("SEND", &format!("{send}{block}"))),
        ("F14 content-length", head("SEND", &format!("{send}content-length:4097\n"))),
        ("F14 content-length overflow", head("SEND", &format!("{send}content-length:{}\n", "9".repeat(40)))),
        ("L01 body", format!("{}{}", head("SEND", send), "b".repeat(4097))),
    ] {
        let mut wire = Wire::connect(&edge);
        wire.text(octets.as_bytes());
        let error = wire.refused("413", 1009);
        assert_eq!(error.header("receipt-id"), octets.contains("receipt:").then_some("s"), "E02 {what}");
    }
    assert_eq!(wire.send("/topic/r", "still here").split('-').count(), 3);
    assert_eq!(bystander.message(), "still here");
}

/// W07, W08, L03: a frame over many WebSocket messages is put together under the same limits, also when it never ends.
#[test]
fn l03_w08_reassembly_is_bounded() {
    let edge = Edge::start(&SIZES);
    let mut wire = Wire::connect(&edge);
    wire.subscribe("0", "/topic/r");
    let frame = format!("SEND\ndestination:/topic/r\n\n{}\0", "ä€😀".repeat(400));
    // Splits fall inside UTF-8 sequences, so the pieces are binary messages.
    let pieces: Vec<u8> = frame.as_bytes().chunks(7).flat_map(|piece| websocket(opcode::BINARY, true, piece)).collect();
    wire.raw(&pieces);
    assert_eq!(wire.message(), "ä€😀".repeat(400));

    wire.text(b"SEND\ndestination:/topic/r\n\n");
    let piece = websocket(opcode::TEXT, true, &[b'b'; 512]);
    let mut sent = 0;
    while sent < 64 * 1024 && wire.try_raw(&piece) {
        sent += 512;
        if sent > 4096 {
            break;
        }
    }
    wire.refused("413", 1009);
}

/// A message above what any frame may be is refused by its WebSocket header alone, however much of it follows.
#[test]
fn l02_w08_a_websocket_message_above_the_limit() {
    let edge = Edge::start(&SIZES);
    for fin in [true, false] {
        let mut wire = Wire::connect(&edge);
        let huge = websocket(opcode::TEXT, fin, &vec![b'\n'; 10 << 20]);
        // The edge may stop reading at any time; what it said must be there nevertheless.
        for piece in huge.chunks(64 * 1024) {
            if !wire.try_raw(piece) {
                break;
            }
        }
        wire.refused("413", 1009);
    }
    // Fragments add up.
    let mut wire = Wire::connect(&edge);
    wire.raw(&websocket(opcode::TEXT, false, &[b'\n'; 8192]));
    wire.raw(&websocket(opcode::CONTINUATION, false, &[b'\n'; 8192]));
    wire.raw(&websocket(opcode::CONTINUATION, true, &[b'\n'; 8192]));
    wire.refused("413", 1009);
}

/// L03: before CONNECT is accepted 8 KiB are the most, in one message, in one frame, in a frame that never ends, and
/// however it is cut.
#[test]
fn l03_smaller_limits_before_connect() {
    let edge = Edge::start(&["--log-memory"]);
    let header = |octets: usize| format!("passcode:{}\n", "p".repeat(octets));
    let mut wire = Wire::open(&edge);
    wire.text(format!("CONNECT\naccept-version:1.2\n{}\n\0", header(7000)).as_bytes());
    wire.expect("CONNECTED");

    let whole = format!("CONNECT\naccept-version:1.2\n{}{}\n\0", header(5000), header(5000));
    let mut wire = Wire::open(&edge);
    wire.text(whole.as_bytes());
    wire.refused("413", 1009);

    let endless = format!("CONNECT\naccept-version:1.2\n{}", "a:b\n".repeat(4000));
    for (message, kind) in [(1, opcode::BINARY), (100, opcode::TEXT), (2000, opcode::TEXT)] {
        let mut wire = Wire::open(&edge);
        let octets: Vec<u8> =
            endless.as_bytes().chunks(message).flat_map(|piece| websocket(kind, true, piece)).collect();
        wire.try_raw(&octets);
        wire.refused("413", 1009);
    }
}

/// L05, measured against a session that did connect and stays.
#[test]
fn l05_no_connect_in_time() {
    let edge = Edge::start(&["--log-memory", "--connect-timeout", "1s"]);
    let mut connected = Wire::connect(&edge);
    let (mut silent, mut trickling) = (Wire::open(&edge), Wire::open(&edge));
    let began = Instant::now();
    // Line ends alone are no CONNECT, and half of one is none either.
    silent.text(b"\n\n");
    trickling.text(b"CONNECT\naccept-version:1.2\n");
    for wire in [&mut silent, &mut trickling] {
        assert_eq!(wire.refused("400", 1008).header("x-error"), Some("connect_timeout"));
    }
    let took = began.elapsed();
    assert!(took > Duration::from_millis(700) && took < Duration::from_secs(4), "{took:?}");
    connected.send("/topic/r", "alive");
}

/// L04: the 4th subscription of 3 is refused; those that end make room.
#[test]
fn l04_subscriptions() {
    let edge = Edge::start(&["--log-memory", "--max-subscriptions", "3"]);
    let mut wire = Wire::connect(&edge);
    for round in 0..20 {
        for id in ["a", "b", "c"] {
            wire.subscribe(id, &format!("/topic/{round}"));
        }
        if round == 19 {
            break;
        }
        for id in ["a", "b", "c"] {
            wire.say("UNSUBSCRIBE", &[("id", id)], "");
        }
    }
    wire.say("SUBSCRIBE", &[("id", "d"), ("destination", "/topic/r"), ("receipt", "s")], "");
    let error = wire.refused("429", 1008);
    assert_eq!(error.header("receipt-id"), Some("s"));
    assert!(error.header("retry-after").is_some());
}

/// L04: 16 open transactions, 1,024 frames in one.
#[test]
fn l04_transactions() {
    let edge = Edge::start(&["--log-memory"]);
    let mut wire = Wire::connect(&edge);
    for n in 0..16 {
        wire.say("BEGIN", &[("transaction", &n.to_string())], "");
    }
    wire.say("ABORT", &[("transaction", "3")], "");
    wire.say("BEGIN", &[("transaction", "16")], "");
    wire.say("BEGIN", &[("transaction", "17"), ("receipt", "b")], "");
    assert_eq!(wire.refused("429", 1008).header("receipt-id"), Some("b"));

    let mut wire = Wire::connect(&edge);
    wire.say("BEGIN", &[("transaction", "t")], "");
    let one = message("SEND", &[("destination", "/topic/r"), ("transaction", "t")], "x");
    wire.raw(&one.repeat(1024));
    wire.say("BEGIN", &[("transaction", "u"), ("receipt", "b")], "");
    wire.receipt("b");
    wire.raw(&one);
    wire.refused("429", 1008);
}

/// L04: receipts in flight are bounded by not reading on, never by failing; also when nobody reads the RECEIPTs for a
/// while: once they are read again, the edge goes on at once.
#[test]
fn l04_receipts_in_flight_pause_the_reading() {
    let edge = Edge::start(&["--log-memory", "--max-receipts", "4"]);
    let mut wire = Wire::connect(&edge);
    const COUNT: usize = 40_000;
    let mut writer = wire.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        for n in 0..COUNT {
            let send = message("SEND", &[("destination", "/topic/r"), ("receipt", &n.to_string())], "x");
            std::io::Write::write_all(&mut writer, &send).unwrap();
        }
    });
    // Until the edge has stopped reading because its own answers find no room.
    let received = || edge.metric("klatsch_received_bytes_total");
    let mut last = (received(), Instant::now());
    kit::eventually("the edge stops reading, or has read all", PATIENCE, || {
        let now = received();
        if now > last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > Duration::from_millis(300)).then_some(())
    });
    for n in 0..COUNT {
        wire.receipt(&n.to_string());
    }
    sending.join().unwrap();
    wire.leave();
}

/// L06: 500 clients come and go in every way there is; none of them is left behind.
#[test]
fn l06_d05_rapid_connect_and_disconnect() {
    let edge = Edge::start(&["--log-memory", "--max-connections-per-address", "0"]);
    let subscribe = [("id", "0"), ("destination", "/topic/r"), ("receipt", "s")];
    for round in 0..500 {
        let mut wire = Wire::open(&edge);
        if round % 5 > 0 {
            let mut octets = message("CONNECT", &[("accept-version", "1.2")], "");
            octets.extend(message("SUBSCRIBE", &subscribe, ""));
            octets.extend(message("BEGIN", &[("transaction", "t")], ""));
            wire.raw(&octets);
        }
        match round % 5 {
            0 => {} // a WebSocket and nothing else
            1 => drop(wire.expect("CONNECTED")),
            2 => wire.raw(&message("DISCONNECT", &[], "")),
            3 => wire.raw(&websocket(opcode::CLOSE, true, &1000u16.to_be_bytes())),
            _ => {
                wire.raw(&message("DISCONNECT", &[("receipt", "bye")], ""));
                while !matches!(wire.next(), Incoming::Close(1000, _)) {}
                wire.raw(&websocket(opcode::CLOSE, true, &1000u16.to_be_bytes()));
                assert!(matches!(wire.next(), Incoming::End { .. }), "E06");
            }
        }
    }
    kit::eventually("all connections are gone", PATIENCE, || {
        let gone = ["klatsch_connections", "klatsch_sessions", "klatsch_rooms_active"];
        gone.iter().all(|name| edge.metric(name) == 0.0).then_some(())
    });
    let opened = edge.metric("klatsch_connections_opened_total");
    let closed = edge.metric("klatsch_connections_closed_total");
    assert_eq!((opened, closed), (500.0, 500.0));
    Wire::connect(&edge).send("/topic/r", "and it works");
}

/// §5, a quota for each user: `--send-rate` counts a user's SENDs on all its sessions, others go on, and what was refused
/// may come again a moment later.
#[test]
fn send_rate_is_a_users_on_all_its_sessions() {
    let users = Users::new();
    let edge = Edge::start(&[&["--log-memory", "--send-rate", "3"], &*users.args()].concat());
    let bearer = format!("Bearer {}", Users::token("ann"));
    let soft = [("accept-version", "1.2"), ("x-errors", "soft"), ("Authorization", &bearer)];
    let (mut first, mut second) = (Users::connect(&edge, "ann"), Wire::connect_with(&edge, &soft));
    second.subscribe("errors", "/user/queue/errors");
    let send = |wire: &mut Wire, n: u32| {
        wire.say("SEND", &[("destination", "/topic/r"), ("receipt", &n.to_string())], "x");
    };
    for n in 0..3 {
        let wire = if n % 2 == 0 { &mut first } else { &mut second };
        send(wire, n);
        wire.receipt(&n.to_string());
    }
    send(&mut second, 4);
    let error = second.expect("MESSAGE");
    assert_eq!((error.header("x-error-code"), error.header("receipt-id")), (Some("429"), Some("4")));
    assert_eq!(error.header("retry-after"), Some("1"));
    send(&mut Users::connect(&edge, "bob"), 5);
    send(&mut first, 6);
    first.refused("429", 1013);
    kit::eventually("the user may send again", PATIENCE, || {
        send(&mut second, 7);
        (second.frame().command == "RECEIPT").then_some(())
    });
}
