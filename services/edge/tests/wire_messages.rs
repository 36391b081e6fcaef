//! STOMP frames in WebSocket messages, as the clients in the wild write and read them: families W and Q over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::time::Duration;

use kit::edge::Edge;
use kit::wire::{Incoming, PATIENCE, Wire, message, opcode, websocket};

fn edge() -> Edge {
    Edge::start(&["--log-memory"])
}

/// The octets of the next WebSocket message, which must be text.
fn text(wire: &mut Wire) -> String {
    match wire.next() {
        Incoming::Text(octets) => String::from_utf8(octets).unwrap(),
        other => panic!("W05: text expected, got {other:?}"),
    }
}

/// W13, W14, W16, W05, F19, Q05: each frame of the server is one text message: it begins with its command, has no CR, and
/// its NUL is the last octet (F26 off); also when many leave in one write.
#[test]
fn w13_w14_w16_f19_q05_one_frame_one_message() {
    let edge = edge();
    let mut wire = Wire::open(&edge);
    let mut octets = message("CONNECT", &[("accept-version", "1.2"), ("heart-beat", "0,1000")], "");
    octets.extend(message("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/r"), ("receipt", "first")], ""));
    wire.raw(&octets);
    let (connected, subscribed) = (text(&mut wire), text(&mut wire));
    assert!(connected.starts_with("CONNECTED\nversion:1.2\n"), "{connected:?}");
    assert!(subscribed.starts_with("RECEIPT\nreceipt-id:first\n"), "{subscribed:?}");
    let mut octets = Vec::new();
    for n in 0..100 {
        octets.extend(message("BEGIN", &[("transaction", &n.to_string()), ("receipt", "b")], ""));
        octets.extend(message("ABORT", &[("transaction", &n.to_string())], ""));
        octets.extend(message("SEND", &[("destination", "/topic/r"), ("x", "a\r\nb:c")], "body"));
    }
    octets.extend(message("NONSENSE", &[("receipt", "r")], ""));
    wire.raw(&octets);
    let mut seen = vec![connected, subscribed];
    loop {
        let frame = text(&mut wire);
        if frame == "\n" {
            continue;
        }
        let last = frame.starts_with("ERROR\n");
        seen.push(frame);
        if last {
            break;
        }
    }
    for frame in &seen {
        let command = frame.split('\n').next().unwrap();
        assert!(["CONNECTED", "RECEIPT", "MESSAGE", "ERROR"].contains(&command), "W14: {frame:?}");
        assert!(!frame.contains('\r'), "W16: {frame:?}");
        assert_eq!(frame.find('\0'), Some(frame.len() - 1), "W13: {frame:?}");
    }
    assert!(seen.iter().filter(|frame| frame.starts_with("RECEIPT\n")).count() > 100, "all of them were asked for");
    wire.closed(1002);
}

/// W17, Q06, Q07: no name that the server makes up needs an escape or has a blank at an end.
#[test]
fn w17_q06_q07_what_the_server_makes_up_needs_no_escape() {
    let edge = edge();
    let is_plain = |value: &str| {
        let letter = |octet: u8| octet.is_ascii_alphanumeric() || b"._@/,-".contains(&octet);
        !value.is_empty() && value.bytes().all(letter)
    };
    let mut wire = Wire::open(&edge);
    wire.say("CONNECT", &[("accept-version", "1.2"), ("heart-beat", "5000,5000")], "");
    let connected = wire.expect("CONNECTED");
    let headers = [("id", "0"), ("destination", "/topic/r"), ("ack", "client"), ("receipt", "s"), ("x-history", "5")];
    wire.say("SUBSCRIBE", &headers, "");
    let subscribed = wire.receipt("s");
    wire.say("SEND", &[("destination", "/topic/r"), ("receipt", "t")], "");
    let (one, two) = (wire.frame(), wire.frame());
    let mut names = Vec::new();
    for frame in [&connected, &subscribed, &one, &two] {
        for (name, value) in &frame.headers {
            assert!(is_plain(value), "{name}:{value}");
            names.push(name.as_str());
        }
    }
    for needed in ["session", "user-name", "server", "x-position", "message-id", "ack", "timestamp", "sender"] {
        assert!(names.contains(&needed), "{needed} in {names:?}");
    }
    wire.say("ACK", &[("id", "nothing"), ("receipt", "a")], "");
    let error = wire.refused("404", 1002);
    for (name, value) in &error.headers {
        assert!(!value.contains([':', '\\']) && value.trim() == value, "{name}:{value}");
    }
}

/// W18, F18: a NUL in a body of text is delivered, in text, with its length.
#[test]
fn w18_f18_a_nul_in_a_body() {
    let edge = edge();
    let mut wire = Wire::connect(&edge);
    wire.subscribe("0", "/topic/r");
    wire.text(b"SEND\ndestination:/topic/r\ncontent-length:7\n\none\0two\0");
    let frame = text(&mut wire);
    assert!(frame.contains("\ncontent-length:7\n") && frame.ends_with("\n\none\0two\0"), "{frame:?}");
}

/// W07, Q13: 16 KiB pieces, as stompjs 2.3.3 and webstomp write them, are one SEND; what arrives is in one piece (W13).
#[test]
fn w07_q13_frames_cut_every_16_kib() {
    let edge = edge();
    let mut room = Wire::connect(&edge);
    room.subscribe("0", "/topic/r");
    let mut wire = Wire::connect(&edge);
    let body: String = (0..60 * 1024).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    for length in [true, false] {
        let length = if length { format!("content-length:{}\n", body.len()) } else { String::new() };
        let frame = format!("SEND\ndestination:/topic/r\n{length}\n{body}\0");
        for piece in frame.as_bytes().chunks(16 * 1024) {
            wire.text(piece);
        }
        let got = text(&mut room);
        assert!(got.starts_with("MESSAGE\n") && got.ends_with(&format!("\n\n{body}\0")), "{}", got.len());
    }
    // Cut inside a character, which only binary messages can be; the cut is not seen at the other end.
    let frame = format!("SEND\ndestination:/topic/r\n\n{}\0", "한".repeat(20_000));
    for piece in frame.as_bytes().chunks(8 * 1024 + 1) {
        wire.raw(&websocket(opcode::BINARY, true, piece));
    }
    assert!(text(&mut room).ends_with(&format!("\n\n{}\0", "한".repeat(20_000))));
}

/// Q14: a text message that lost the NUL at its end, as React Native cuts it, is half a frame: nothing happens until more
/// comes. The same as a binary message is whole, and text and binary do not disturb each other (W04).
#[test]
fn q14_w04_a_text_message_without_its_nul() {
    let edge = edge();
    let mut room = Wire::connect(&edge);
    room.subscribe("0", "/topic/r");
    let mut wire = Wire::connect(&edge);
    wire.text(b"SEND\ndestination:/topic/r\nreceipt:s\n\nhalf");
    // Answered while the frame is still open, so the edge has seen it.
    wire.raw(&websocket(opcode::PING, true, b"seen"));
    assert_eq!(wire.next(), Incoming::Pong(b"seen".to_vec()), "nothing before it");
    wire.raw(&websocket(opcode::BINARY, true, b"\0"));
    wire.receipt("s");
    wire.raw(&websocket(opcode::BINARY, true, b"SEND\ndestination:/topic/r\nreceipt:t\n\nwhole\0"));
    wire.receipt("t");
    assert_eq!((room.message(), room.message()), ("half".to_owned(), "whole".to_owned()));
}

/// W03: `accept-version` decides, whatever the subprotocol says; where they differ it is counted.
#[test]
fn w03_the_subprotocol_binds_no_version() {
    let edge = edge();
    let mismatches = || edge.metric("klatsch_subprotocol_mismatches_total");
    for (offered, accept, version, counted) in [
        ("v11.stomp", "1.2", "1.2", 1.0),
        ("v12.stomp, v11.stomp", "1.0,1.1", "1.1", 2.0),
        ("v12.stomp", "1.2,1.1", "1.2", 2.0),
        ("v10.stomp", "1.0", "1.0", 2.0),
        ("", "1.1", "1.1", 2.0),
    ] {
        let headers = [("Sec-WebSocket-Protocol", offered)];
        let mut wire = Wire::ask(&edge, "/ws", if offered.is_empty() { &[] } else { &headers }).unwrap();
        wire.say("CONNECT", &[("accept-version", accept)], "");
        assert_eq!(wire.expect("CONNECTED").header("version"), Some(version), "{offered}");
        assert_eq!(mismatches(), counted, "{offered}");
        // The version counts for what follows, too: 1.2 alone knows \r.
        wire.text(b"SEND\ndestination:/topic/r\nx:a\\rb\nreceipt:r\n\n\0");
        match version {
            "1.1" => drop(wire.refused("400", 1002)),
            _ => drop(wire.receipt("r")),
        }
    }
}

/// W01, W02, Q15: with unknown names only the answer names none (spring) or is 400 (strict); offering none is fine.
#[test]
fn w02_q15_unknown_subprotocols_in_both_profiles() {
    let (spring, strict) = (edge(), Edge::start(&["--log-memory", "--profile", "strict"]));
    for (offered, answered, status) in
        [("mqtt, graphql-ws", None, Some(400)), ("mqtt, v11.stomp", Some("v11.stomp"), None), ("", None, None)]
    {
        let headers = [("Sec-WebSocket-Protocol", offered)];
        let headers = if offered.is_empty() { &[][..] } else { &headers };
        let wire = Wire::ask(&spring, "/ws", headers).unwrap();
        let line = wire
            .head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("sec-websocket-protocol: ").map(str::to_owned));
        assert_eq!(line.as_deref(), answered, "{offered}");
        assert_eq!(Wire::ask(&strict, "/ws", headers).err(), status, "{offered}");
    }
}

/// W21: compression is not agreed to, and a message that claims it ends the connection.
#[test]
fn w21_compression_is_never_agreed_to() {
    let edge = edge();
    let offer = [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame")];
    let mut wire = Wire::ask(&edge, "/ws", &offer).unwrap();
    assert!(!wire.head.to_ascii_lowercase().contains("sec-websocket-extensions"), "{}", wire.head);
    let mut deflated = message("CONNECT", &[("accept-version", "1.2")], "");
    deflated[0] |= 0x40;
    wire.raw(&deflated);
    wire.closed(1002);
}

/// W20, D05, Q12: a page that just closes is no fault: nothing about it is logged, and it leaves its rooms.
#[test]
fn w20_d05_q12_a_page_that_just_goes() {
    let edge = Edge::start(&["--log-memory", "--log-filter", "debug"]);
    for code in [Some(1000_u16), Some(1001), None] {
        let mut wire = Wire::connect(&edge);
        wire.subscribe("0", "/topic/r");
        let payload = code.map(u16::to_be_bytes);
        wire.raw(&websocket(opcode::CLOSE, true, payload.as_ref().map_or(&[][..], |code| code.as_slice())));
        assert!(matches!(wire.next(), Incoming::Close(..)), "RFC 6455, 5.5.1: the close is answered");
        assert!(matches!(wire.next(), Incoming::End { reset: false }));
    }
    let mut wire = Wire::connect(&edge);
    wire.subscribe("0", "/topic/r");
    drop(wire);
    kit::eventually("they have left the room", PATIENCE, || (edge.metric("klatsch_rooms_active") == 0.0).then_some(()));
    let log = edge.log();
    let loud: Vec<_> =
        log.lines().filter(|line| ["\"WARN\"", "\"ERROR\""].iter().any(|level| line.contains(level))).collect();
    assert!(loud.is_empty(), "{loud:?}");
    assert_eq!(log.lines().filter(|line| line.contains("client_closed")).count(), 3, "{log}");
}

/// W04, W06, F04: beats as text between binary frames, several frames and line ends in one message, none at all.
#[test]
fn w04_w06_f04_text_and_binary_mixed() {
    let edge = edge();
    let mut wire = Wire::connect(&edge);
    wire.subscribe("0", "/topic/r");
    let send = |body: &str| format!("SEND\ndestination:/topic/r\n\n{body}\0");
    for (kind, payload, bodies) in [
        (opcode::BINARY, send("binary"), vec!["binary"]),
        (opcode::TEXT, "\n".to_owned(), vec![]),
        (opcode::TEXT, format!("\n\r\n{}\n{}{}\n\n", send("a"), send("b"), send("c")), vec!["a", "b", "c"]),
        (opcode::BINARY, String::new(), vec![]),
        (opcode::BINARY, format!("{}\n", send("d")), vec!["d"]),
    ] {
        wire.raw(&websocket(kind, true, payload.as_bytes()));
        for body in bodies {
            assert_eq!(wire.message(), body);
        }
    }
    assert_eq!(wire.leave().len(), 0);
}

/// Q19: two devices of a user see a room in the same order, whoever speaks how fast.
#[test]
fn q19_s08_every_device_sees_the_same_order() {
    let edge = edge();
    let mut devices = [Wire::connect(&edge), Wire::connect(&edge), Wire::connect(&edge)];
    devices.iter_mut().for_each(|device| device.subscribe("0", "/topic/r"));
    std::thread::scope(|scope| {
        for speaker in ["a", "b", "c", "d"] {
            let mut wire = Wire::connect(&edge);
            scope.spawn(move || {
                for n in 0..200 {
                    wire.say("SEND", &[("destination", "/topic/r")], &format!("{speaker}{n}"));
                }
                wire.leave();
            });
        }
    });
    let seen = devices.each_mut().map(|device| (0..800).map(|_| device.message()).collect::<Vec<_>>());
    assert!(seen[0] == seen[1] && seen[1] == seen[2]);
    for speaker in ["a", "b", "c", "d"] {
        let own: Vec<_> = seen[0].iter().filter(|body| body.starts_with(speaker)).collect();
        assert!(own.iter().enumerate().all(|(n, body)| **body == format!("{speaker}{n}")), "S08: {speaker}");
    }
}

/// Q11, E06, W19: the server ends a refused connection itself, also when its client never answers the close, whether it
/// goes on talking or says nothing at all.
#[test]
fn q11_e06_the_server_closes_whatever_the_client_does() {
    let edge = edge();
    let refused = || {
        let mut wire = Wire::open(&edge);
        wire.say("CONNECT", &[("accept-version", "7")], "");
        assert_eq!(wire.expect("ERROR").header("x-error-code"), Some("426"));
        assert!(matches!(wire.next(), Incoming::Close(4503, _)), "4500 to 4999: do not come back as you are");
        wire
    };
    let (mut silent, mut talking) = (refused(), refused());
    let began = std::time::Instant::now();
    while talking.try_raw(&message("CONNECT", &[("accept-version", "7")], "")) {
        assert!(began.elapsed() < PATIENCE, "E06");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(matches!(silent.next(), Incoming::End { .. }), "E06");
    kit::eventually("both are gone", PATIENCE, || (edge.metric("klatsch_connections") == 0.0).then_some(()));
}
