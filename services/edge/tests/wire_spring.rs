//! What front ends written for Spring rely on: family P over the wire. Who may do what is in `wire_auth.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use kit::edge::Edge;
use kit::frame::Frame;
use kit::wire::{Incoming, Wire, message, opcode, websocket};

/// What front-end family B of stomp.md §3.4 needs.
const FAMILY_B: [&str; 5] =
    ["--log-memory", "--alias-subscribe", "/sub/chat/room/", "--send-by-body", "/pub/chat/message=/roomId"];

/// P02: SEND to a fixed destination, the room in the JSON body as text or as a number; the body stays what it was.
#[test]
fn p02_the_room_is_in_the_body() {
    let edge = Edge::start(&FAMILY_B);
    let (mut page, mut plain, mut sender) = (Wire::connect(&edge), Wire::connect(&edge), Wire::connect(&edge));
    page.subscribe("sub-0", "/sub/chat/room/7");
    plain.subscribe("0", "/topic/7");
    let bodies = [
        r#"{"type":"TALK","roomId":"7","sender":"김","message":"안녕하세요 😀"}"#,
        r#"{"type":"ENTER","roomId":7}"#,
        " {\n\t\"message\" : {\"roomId\":8}, \"roomId\" : 7 }\r\n",
    ];
    for body in bodies {
        sender.send("/pub/chat/message", body);
        for (wire, destination) in [(&mut page, "/sub/chat/room/7"), (&mut plain, "/topic/7")] {
            let got = wire.expect("MESSAGE");
            assert_eq!(got.body, body.as_bytes(), "verbatim");
            assert_eq!(got.header("destination"), Some(destination), "M02");
        }
    }
    // Ordinary prefixes stay what they are.
    sender.send("/pub/7", "by prefix");
    assert_eq!((page.message(), plain.message()), ("by prefix".to_owned(), "by prefix".to_owned()));
}

/// P02, P16: a body without a room is refused with the pointer it was looked for at, softly where that was asked for.
#[test]
fn p02_p16_a_body_without_a_room_is_refused() {
    let edge = Edge::start(&FAMILY_B);
    let mut page = Wire::connect(&edge);
    page.subscribe("sub-0", "/sub/chat/room/7");
    let bad = [
        "",
        "hello",
        r#"{"roomId":"7""#,
        r#"{"room":7}"#,
        r#"{"roomId":null}"#,
        r#"{"roomId":[7]}"#,
        r#"{"roomId":7.5}"#,
    ];
    let is_clear = |error: &Frame| {
        assert_eq!(error.header("x-error"), Some("no_room_in_body"));
        assert_eq!(error.header("receipt-id"), Some("s"));
        assert!(String::from_utf8_lossy(&error.body).ends_with("at /roomId"), "{error:?}");
    };
    for body in bad {
        let mut wire = Wire::connect(&edge);
        wire.say("SEND", &[("destination", "/pub/chat/message"), ("receipt", "s")], body);
        is_clear(&wire.refused("400", 1008));
    }
    let mut wire = Wire::connect_with(&edge, &[("accept-version", "1.2"), ("x-errors", "soft")]);
    wire.subscribe("errors", "/user/queue/errors");
    for body in bad {
        wire.say("SEND", &[("destination", "/pub/chat/message"), ("receipt", "s")], body);
        let error = wire.expect("MESSAGE");
        assert_eq!(error.header("x-error-code"), Some("400"));
        is_clear(&error);
    }
    // A room that keeps to no grammar is one like any other.
    wire.say("SEND", &[("destination", "/pub/chat/message"), ("receipt", "s")], r#"{"roomId":"a\nb"}"#);
    assert_eq!(wire.expect("MESSAGE").header("x-error-code"), Some("404"));
    wire.send("/pub/chat/message", r#"{"roomId":7}"#);
    assert_eq!(page.message(), r#"{"roomId":7}"#, "nothing else has been stored");
}

/// P02, T08: two rooms in one transaction are refused, also where only the bodies tell; nothing is stored.
#[test]
fn p02_t08_a_transaction_has_one_room_whatever_names_it() {
    let edge = Edge::start(&FAMILY_B);
    let mut page = Wire::connect(&edge);
    page.subscribe("sub-0", "/sub/chat/room/7");
    let held = |destination: &str, body: &str| {
        message("SEND", &[("destination", destination), ("transaction", "t"), ("receipt", body)], body)
    };
    let by_body = |room: u32| held("/pub/chat/message", &format!(r#"{{"roomId":{room}}}"#));
    let (begin, commit) = (
        message("BEGIN", &[("transaction", "t")], ""),
        message("COMMIT", &[("transaction", "t"), ("receipt", "c")], ""),
    );
    for (sends, receipt) in [
        ([by_body(7), by_body(8)].concat(), r#"{"roomId":8}"#),
        ([held("/topic/7", "one"), by_body(8)].concat(), r#"{"roomId":8}"#),
        ([by_body(8), held("/topic/7", "two")].concat(), "two"),
    ] {
        let mut wire = Wire::connect(&edge);
        wire.raw(&[begin.clone(), sends, commit.clone()].concat());
        let error = wire.refused("400", 1002);
        assert_eq!(error.header("receipt-id"), Some(receipt));
        assert!(String::from_utf8_lossy(&error.body).contains("one room"), "{error:?}");
    }
    let mut wire = Wire::connect(&edge);
    wire.raw(&[begin, by_body(7), held("/pub/7", "alike"), by_body(7), commit].concat());
    assert_eq!([page.message(), page.message(), page.message()], [r#"{"roomId":7}"#, "alike", r#"{"roomId":7}"#]);
}

/// P02: a pattern has text behind its room, for SEND and for SUBSCRIBE; M02: MESSAGE says what the subscriber said.
#[test]
fn p02_m02_patterns_with_a_room_inside() {
    let edge = Edge::start(&[
        "--log-memory",
        "--alias-send",
        "/app/chat.{room}.send",
        "--alias-subscribe",
        "/rooms/{room}/messages",
    ]);
    let mut wire = Wire::connect(&edge);
    wire.subscribe("0", "/rooms/channels.1/messages");
    wire.subscribe("1", "/topic/channels.1");
    wire.say("SEND", &[("destination", "/app/chat.channels.1.send")], "dots");
    let mut got = [wire.expect("MESSAGE"), wire.expect("MESSAGE")];
    got.sort_by_key(|frame| frame.header("subscription").map(str::to_owned));
    let names = got.each_ref().map(|frame| frame.header("destination").unwrap());
    assert_eq!(names, ["/rooms/channels.1/messages", "/topic/channels.1"]);
    // The defaults have been given up.
    wire.say("SEND", &[("destination", "/app/channels.1"), ("receipt", "s")], "");
    assert_eq!(wire.refused("404", 1008).header("receipt-id"), Some("s"));
}

/// Front-end family A of stomp.md §3.4, U09, S03: a token in every frame, a room by prefix, the end by an id that never
/// was.
#[test]
fn p09_u09_a_page_as_the_tutorials_write_it() {
    let edge = Edge::start(&["--log-memory", "--ws-path", "/connect"]);
    let mut wire = Wire::ask(&edge, "/connect", &[]).unwrap();
    let token = ("Authorization", "Bearer S3CRET");
    wire.say("CONNECT", &[token, ("accept-version", "1.2"), ("heart-beat", "10000,10000")], "");
    wire.expect("CONNECTED");
    wire.say("SUBSCRIBE", &[token, ("id", "sub-0"), ("destination", "/topic/7")], "");
    // As its user would, the page speaks when it sees the room: somebody else is heard there.
    let mut other = Wire::ask(&edge, "/connect", &[]).unwrap();
    other.say("CONNECT", &[("accept-version", "1.2")], "");
    other.expect("CONNECTED");
    kit::eventually("the page is in the room", kit::wire::PATIENCE, || {
        (edge.metric("klatsch_subscriptions") == 1.0).then_some(())
    });
    other.send("/publish/7", r#"{"sender":"lee","message":"왔어요"}"#);
    assert_eq!(wire.message(), r#"{"sender":"lee","message":"왔어요"}"#);
    wire.say("SEND", &[token, ("destination", "/publish/7")], r#"{"sender":"kim"}"#);
    let own = wire.expect("MESSAGE");
    assert!(!format!("{own:?}").contains("S3CRET"), "{own:?}");
    wire.say("UNSUBSCRIBE", &[("id", "/topic/7")], "");
    wire.say("DISCONNECT", &[], "");
    wire.closed(1000);
}

/// P09: what Spring ignores does no harm, and what fails there works: CONNECT without `accept-version`, `login`, ACK and
/// NACK where nothing is to be acknowledged.
#[test]
fn p09_what_spring_ignores_does_no_harm() {
    let edge = Edge::start(&["--log-memory"]);
    let mut old = Wire::connect_with(&edge, &[("login", "guest"), ("passcode", "guest")]);
    old.say("SUBSCRIBE", &[("destination", "/topic/r"), ("receipt", "s")], "");
    old.receipt("s");
    let mut wire = Wire::connect_with(&edge, &[("accept-version", "1.1,1.2"), ("login", "a"), ("passcode", "b")]);
    wire.subscribe("0", "/topic/r");
    Wire::connect(&edge).send("/app/r", "hi");
    let got = wire.expect("MESSAGE");
    for (command, id) in [("ACK", "undefined"), ("NACK", got.header("message-id").unwrap())] {
        wire.say(command, &[("id", id), ("subscription", "0"), ("receipt", command)], "");
        wire.receipt(command);
    }
    wire.say("UNSUBSCRIBE", &[("id", "/topic/r"), ("receipt", "u")], "");
    wire.receipt("u");
    assert_eq!(old.expect("MESSAGE").header("subscription"), None, "U02, M01: 1.0 without an id");
    assert_eq!(wire.leave().len(), 0);
}

/// P01: each path upgrades and has SockJS below it, and no other does.
#[test]
fn p01_several_base_paths() {
    let paths = ["/ws-stomp", "/connect", "/stomp", "/gs-guide-websocket"];
    let args: Vec<&str> = paths.iter().flat_map(|path| ["--ws-path", *path]).chain(["--log-memory"]).collect();
    let edge = Edge::start(&args);
    let mut room = Wire::ask(&edge, paths[0], &[]).unwrap();
    room.say("CONNECT", &[("accept-version", "1.2")], "");
    room.expect("CONNECTED");
    room.subscribe("0", "/topic/r");
    for path in paths {
        let mut wire = Wire::ask(&edge, path, &[]).unwrap();
        wire.say("CONNECT", &[("accept-version", "1.2")], "");
        wire.expect("CONNECTED");
        wire.send("/topic/r", path);
        assert_eq!(room.message(), path, "one edge behind all of them");
        // SockJS lies below it, the raw WebSocket too (J13).
        assert_eq!(kit::http_get(&edge.listen, &format!("{path}/info")).unwrap().0, 200, "{path}");
        assert!(Wire::ask(&edge, &format!("{path}/websocket"), &[]).is_ok(), "{path}");
    }
    for path in ["/ws", "/ws-stompx", "/Connect"] {
        assert_eq!(Wire::ask(&edge, path, &[]).err(), Some(404), "{path}");
    }
}

/// P03, P05, V10: what CONNECTED says to a client with the usual heart-beats.
#[test]
fn p03_p05_connected() {
    let edge = Edge::start(&["--log-memory"]);
    let mut wire = Wire::open(&edge);
    wire.say("CONNECT", &[("accept-version", "1.1,1.0"), ("heart-beat", "10000,10000")], "");
    let connected = wire.expect("CONNECTED");
    assert_eq!((connected.header("version"), connected.header("heart-beat")), (Some("1.1"), Some("10000,10000")));
    assert!(connected.header("user-name").unwrap().starts_with("guest-"), "{connected:?}");
    assert!(connected.header("session").unwrap().len() >= 16 && connected.body.is_empty());
    assert_eq!(connected.header("drain-notice"), Some("1"), "Q16: it may subscribe to /session/notices");
}

/// P04, M05, M06: what MESSAGE says, as a text message; the sender's own headers are among it.
#[test]
fn p04_m05_m06_message() {
    let edge = Edge::start(&["--log-memory"]);
    let mut wire = Wire::connect(&edge);
    wire.subscribe("sub-0", "/topic/greetings");
    let json = r#"{"name":"세종"}"#;
    let headers = [("destination", "/app/greetings"), ("content-type", "application/json"), ("priority", "9")];
    wire.raw(&websocket(opcode::BINARY, true, kit::frame::write("SEND", &headers, json).as_bytes()));
    let Incoming::Text(octets) = wire.next() else { panic!("W15: text comes as text") };
    let got = kit::frame::read(&mut &octets[..]).unwrap();
    for (name, value) in [
        ("destination", "/topic/greetings"),
        ("content-type", "application/json"),
        ("subscription", "sub-0"),
        ("content-length", "17"),
        ("priority", "9"),
    ] {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
    assert!(got.header("message-id").is_some_and(|id| !id.is_empty()));
    assert_eq!((got.command.as_str(), got.body.as_slice()), ("MESSAGE", json.as_bytes()));
}

/// P06, E01: an ERROR says what is wrong in `message` and, at more length, in its body. P10: what is wrong with a pattern.
#[test]
fn p06_p10_errors_say_what_is_wrong() {
    let edge = Edge::start(&["--log-memory"]);
    for (destination, what) in [
        ("/topic/price.*", "patterns"),
        ("/topic/**", "patterns"),
        ("/topic/a.#", "patterns"),
        ("/queue/a", "/topic/{room}"),
    ] {
        for command in ["SUBSCRIBE", "SEND"] {
            let mut wire = Wire::connect(&edge);
            wire.say(command, &[("id", "0"), ("destination", destination), ("receipt", "s")], "");
            let error = wire.refused("404", 1008);
            assert_eq!(error.header("message"), Some("no such destination"));
            assert_eq!(error.header("content-type"), Some("text/plain"));
            assert_eq!(error.header("content-length"), Some(error.body.len().to_string().as_str()), "F18");
            assert!(String::from_utf8_lossy(&error.body).contains(what), "{command} {destination}: {error:?}");
        }
    }
}

/// P07: Spring answers DISCONNECT alone; here everything that asks is answered.
#[test]
fn p07_every_frame_that_asks_is_answered() {
    let edge = Edge::start(&["--log-memory"]);
    let mut wire = Wire::connect(&edge);
    wire.subscribe("0", "/sub/r");
    wire.say("SEND", &[("destination", "/pub/r"), ("receipt", "send")], "x");
    let mut commands = [wire.frame().command, wire.frame().command];
    commands.sort();
    assert_eq!(commands, ["MESSAGE", "RECEIPT"]);
    wire.say("UNSUBSCRIBE", &[("id", "0"), ("receipt", "unsub")], "");
    wire.receipt("unsub");
    assert_eq!(wire.leave().len(), 0);
}

/// P11: a body of 64 KiB, Spring's largest message, arrives whole; one octet more is refused.
#[test]
fn p11_sizes_of_springs_defaults() {
    let edge = Edge::start(&["--log-memory"]);
    let mut room = Wire::connect(&edge);
    room.subscribe("0", "/topic/r");
    let body = "가".repeat(64 * 1024 / 3) + "x";
    assert_eq!(body.len(), 64 * 1024);
    room.say("SEND", &[("destination", "/topic/r")], &body);
    assert_eq!(room.message(), body);
    let mut wire = Wire::connect(&edge);
    wire.say("SEND", &[("destination", "/topic/r")], &(body + "y"));
    wire.refused("413", 1009);
}

/// P12, Q18, U07: once a SUBSCRIBE has its RECEIPT, everything sent then arrives, from whomever, in order: nobody has to
/// wait any longer than that.
#[test]
fn p12_q18_u07_a_subscription_has_begun_with_its_receipt() {
    let edge = Edge::start(&["--log-memory"]);
    let (mut page, mut other) = (Wire::connect(&edge), Wire::connect(&edge));
    for round in 0..200 {
        let (id, room) = (format!("sub-{round}"), format!("/topic/{round}"));
        page.subscribe(&id, &room);
        let mut octets = Vec::new();
        for n in 0..5 {
            octets.extend(message("SEND", &[("destination", &room)], &n.to_string()));
        }
        if round % 2 == 0 { &mut page } else { &mut other }.raw(&octets);
        for n in 0..5 {
            let got = page.expect("MESSAGE");
            assert_eq!((got.header("subscription"), &got.body[..]), (Some(&*id), n.to_string().as_bytes()));
        }
        page.say("UNSUBSCRIBE", &[("id", &id), ("receipt", "u")], "");
        page.receipt("u");
    }
}

/// P13, P14: what is private to a session is refused by name, and no frame reaches another user.
#[test]
fn p13_private_destinations_are_refused() {
    let edge = Edge::start(&["--log-memory", "--alias-send", "/queue/", "--alias-subscribe", "/queue/"]);
    let mut bob = Wire::connect(&edge);
    bob.subscribe("0", "/user/queue/errors");
    for (command, destination) in [
        ("SUBSCRIBE", "/user/queue/replies"),
        ("SUBSCRIBE", "/queue/errors-user0123456789abcdef"),
        ("SUBSCRIBE", "/user/bob/queue/errors"),
        ("SEND", "/user/queue/errors"),
        ("SEND", "/user/bob/queue/errors"),
        ("SEND", "/queue/errors-user0123456789abcdef"),
    ] {
        let mut wire = Wire::connect(&edge);
        wire.say(command, &[("id", "1"), ("destination", destination)], "");
        let error = wire.refused("403", 1008);
        assert!(String::from_utf8_lossy(&error.body).contains("private"), "{command} {destination}: {error:?}");
    }
    assert_eq!(bob.leave().len(), 0);
}
