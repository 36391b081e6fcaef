//! SockJS's transport `websocket`, and the WebSocket without its frames.

use std::time::Duration;

use crate::kit::edge::Edge;
use crate::kit::frame::{self, Frame};
use crate::kit::users::Users;
use crate::kit::websocket::{opcode, websocket};
use crate::kit::wire::{Incoming, Wire};
use crate::support::{edge, frames, session_url};

/// A SockJS session whose `o` has come.
#[track_caller]
fn open(edge: &Edge) -> Wire {
    let mut wire = Wire::ask(edge, &format!("{}/websocket", session_url()), &[]).unwrap();
    assert_eq!(text(&mut wire), "o");
    wire
}

/// The next message, which must be text.
#[track_caller]
fn text(wire: &mut Wire) -> String {
    match wire.next() {
        Incoming::Text(octets) => String::from_utf8(octets).unwrap(),
        other => panic!("text expected, got {other:?}"),
    }
}

/// The next STOMP frame; beats are passed over.
#[track_caller]
fn stomp(wire: &mut Wire) -> Frame {
    loop {
        let text = text(wire);
        if text != "a[\"\\n\"]" {
            let mut all = frames(&text);
            assert_eq!(all.len(), 1, "J21: {text}");
            return all.remove(0);
        }
    }
}

fn say(wire: &mut Wire, command: &str, headers: &[(&str, &str)], body: &str) {
    wire.text(serde_json::json!([frame::write(command, headers, body)]).to_string().as_bytes());
}

#[track_caller]
fn connect(edge: &Edge, headers: &[(&str, &str)]) -> Wire {
    let mut wire = open(edge);
    say(&mut wire, "CONNECT", headers, "");
    assert_eq!(stomp(&mut wire).command, "CONNECTED");
    wire
}

/// J11: `o` comes by itself, before the client has said who it is; J21: STOMP's own beats come as strings of one LF, and
/// there is no `h` beside them.
#[test]
fn j11_j21_o_at_once_and_beats_as_strings() {
    let users = Users::new();
    let edge = edge(&[&users.args()[..], &["--heart-beat-floor", "100ms", "--heart-beat-cap", "300ms"]].concat());
    let mut wire = open(&edge);
    let bearer = format!("Bearer {}", Users::token("ada"));
    let headers = [("accept-version", "1.2"), ("heart-beat", "200,200"), ("Authorization", bearer.as_str())];
    say(&mut wire, "CONNECT", &headers, "");
    assert_eq!(stomp(&mut wire).header("user-name"), Some("ada"));
    for _ in 0..5 {
        assert_eq!(text(&mut wire), "a[\"\\n\"]");
        // The client's beat, as the real one sends it.
        wire.text(br#"["\n"]"#);
    }
}

/// J09, J19: where STOMP has no beats an `h` keeps proxies' hands off; the ping that goes with it is what is answered.
#[test]
fn j09_j19_h_where_stomp_has_no_beats() {
    let edge = edge(&["--heart-beat-floor", "100ms", "--heart-beat-cap", "200ms"]);
    let mut wire = connect(&edge, &[("accept-version", "1.2")]);
    for _ in 0..6 {
        assert_eq!(text(&mut wire), "h");
        assert_eq!(wire.next(), Incoming::Ping(Vec::new()));
        wire.raw(&websocket(opcode::PONG, true, b""));
    }
    // Who answers no more is gone.
    let lost = loop {
        match text(&mut wire).as_str() {
            "h" => assert_eq!(wire.next(), Incoming::Ping(Vec::new())),
            other => break frames(other).remove(0),
        }
    };
    assert_eq!(lost.command, "ERROR");
    assert_eq!(text(&mut wire), "c[1002,\"no heart-beat\"]");
    wire.closed(1002);
}

/// J09, J11, J21: strings in arrays or alone, several frames in one message, a frame over several, empty ones; answers one
/// frame each.
#[test]
fn j09_j11_j21_what_a_client_may_send() {
    let edge = edge(&[]);
    let mut wire = open(&edge);
    for nothing in ["", "[]", " ", "[\"\"]", "\"\""] {
        wire.text(nothing.as_bytes());
    }
    let whole = frame::write("CONNECT", &[("accept-version", "1.2")], "");
    let (head, tail) = whole.split_at(9);
    wire.text(serde_json::json!([head]).to_string().as_bytes());
    // A bare string.
    wire.text(serde_json::json!(tail).to_string().as_bytes());
    assert_eq!(stomp(&mut wire).command, "CONNECTED");
    let subscribe = frame::write("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/j11"), ("receipt", "r")], "");
    let send = |body: &str| frame::write("SEND", &[("destination", "/topic/j11")], body);
    wire.text(serde_json::json!([subscribe, "\n"]).to_string().as_bytes());
    assert_eq!(stomp(&mut wire).header("receipt-id"), Some("r"));
    wire.text(serde_json::json!([send("one"), send("two")]).to_string().as_bytes());
    // The client escapes what the edge does not, and cuts frames within surrogate pairs.
    let cut = "[\"SEND\\ndestination:/topic/j11\\n\\n\\ud55c\\uae00 \\ud83c\",\"\\udf89\\u0000\"]";
    wire.text(cut.as_bytes());
    for body in ["one", "two", "한글 🎉"] {
        let message = stomp(&mut wire);
        assert_eq!((message.command.as_str(), String::from_utf8(message.body).unwrap().as_str()), ("MESSAGE", body));
    }
}

/// J10: what is escaped, octet by octet; P04: a body that is no text arrives as text, and with its right length.
#[test]
fn j10_p04_messages_are_quoted() {
    let edge = edge(&[]);
    let mut wire = connect(&edge, &[("accept-version", "1.2")]);
    say(&mut wire, "SUBSCRIBE", &[("id", "0"), ("destination", "/topic/j10"), ("receipt", "r")], "");
    stomp(&mut wire);
    let mut plain = Wire::connect(&edge);
    plain.send("/topic/j10", "\"\\\u{1}\t\u{85}\u{200c}\u{2028}\u{2060}\u{fff0}é한🎉");
    let quoted = text(&mut wire);
    assert!(quoted.ends_with("\\n\\n\\\"\\\\\\u0001\\t\\u0085\\u200c\\u2028\\u2060\\ufff0é한🎉\\u0000\"]"), "{quoted}");
    plain.raw(&websocket(opcode::BINARY, true, b"SEND\ndestination:/topic/j10\n\n\xff\xfe!\0"));
    let message = stomp(&mut wire);
    assert_eq!(String::from_utf8(message.body.clone()).unwrap(), "\u{fffd}\u{fffd}!");
    assert_eq!(message.header("content-length"), Some(message.body.len().to_string().as_str()));
}

/// J10, J21: SockJS's clients and others are in one room; each gets the message in its own frames.
#[test]
fn j21_one_room_for_all_transports() {
    let edge = edge(&[]);
    let mut plain = Wire::connect(&edge);
    plain.subscribe("0", "/topic/j21");
    let mut wires: Vec<Wire> = (0..3).map(|_| connect(&edge, &[("accept-version", "1.2")])).collect();
    for wire in &mut wires {
        say(wire, "SUBSCRIBE", &[("id", "0"), ("destination", "/topic/j21"), ("receipt", "r")], "");
        assert_eq!(stomp(wire).command, "RECEIPT");
    }
    say(&mut wires[0], "SEND", &[("destination", "/topic/j21")], "안녕 🎉");
    let expected = plain.expect("MESSAGE");
    for wire in &mut wires {
        assert_eq!(stomp(wire), expected);
    }
}

/// J09, D01, E03: `c` with the code, then WebSocket's own close.
#[test]
fn j09_j11_the_end_is_said_in_both_languages() {
    let edge = edge(&[]);
    let mut wire = connect(&edge, &[("accept-version", "1.2")]);
    say(&mut wire, "DISCONNECT", &[("receipt", "bye")], "");
    assert_eq!(stomp(&mut wire).header("receipt-id"), Some("bye"));
    assert_eq!(text(&mut wire), "c[1000,\"\"]");
    wire.closed(1000);

    let mut wire = open(&edge);
    say(&mut wire, "SEND", &[("destination", "/topic/x")], "before CONNECT");
    assert_eq!(stomp(&mut wire).header("x-error-code"), Some("400"), "V03");
    assert_eq!(text(&mut wire), "c[1002,\"STOMP protocol error\"]");
    wire.closed(1002);
}

/// J11: what is not SockJS ends the connection without a word of it; SockJS has no binary messages.
#[test]
fn j11_broken_json_is_dropped() {
    let edge = edge(&[]);
    for broken in ["[\"a", "[1]", "{}", "null", "[[\"a\"]]", "[\"a\"]x", "CONNECT\n\n\0"] {
        let mut wire = open(&edge);
        wire.text(broken.as_bytes());
        wire.closed(1002);
    }
    let mut wire = open(&edge);
    wire.raw(&websocket(opcode::BINARY, true, b"[\"a\"]"));
    wire.closed(1002);
}

/// J08, J11: several connections may use one session id at once, and again.
#[test]
fn j11_session_ids_are_used_again() {
    let edge = edge(&[]);
    let url = format!("{}/websocket", session_url());
    let mut wires: Vec<Wire> = (0..2).map(|_| Wire::ask(&edge, &url, &[]).unwrap()).collect();
    for wire in &mut wires {
        assert_eq!(text(wire), "o");
        say(wire, "CONNECT", &[("accept-version", "1.2")], "");
        assert_eq!(stomp(wire).command, "CONNECTED");
    }
    drop(wires);
    assert_eq!(text(&mut Wire::ask(&edge, &url, &[]).unwrap()), "o");
}

/// J13: no frames of SockJS, the subprotocol as asked (W01).
#[test]
fn j13_the_raw_websocket() {
    let edge = edge(&[]);
    let mut wire = Wire::ask(&edge, "/ws/websocket", &[("Sec-WebSocket-Protocol", "v12.stomp")]).unwrap();
    assert!(wire.head.to_ascii_lowercase().contains("sec-websocket-protocol: v12.stomp"), "{}", wire.head);
    assert_eq!(wire.next_within(Duration::from_millis(50)), None, "nothing comes by itself");
    wire.say("CONNECT", &[("accept-version", "1.2")], "");
    wire.expect("CONNECTED");
    wire.leave();
}

/// L03, J11: SockJS is no way around the bounds: STOMP's count what the strings hold, and what cannot be a frame any more
/// is not collected.
#[test]
fn l02_l03_bounds_hold_inside_of_strings() {
    let edge = edge(&[]);
    let mut wire = open(&edge);
    say(&mut wire, "CONNECT", &[("accept-version", "1.2"), ("large", &"x".repeat(9_000))], "");
    assert_eq!(stomp(&mut wire).header("x-error-code"), Some("413"));
    assert!(text(&mut wire).starts_with("c[1009,"));
    wire.closed(1009);

    let mut wire = open(&edge);
    let endless = websocket(opcode::TEXT, true, &vec![b' '; 1 << 20]);
    wire.try_raw(&endless[..64 * 1024]);
    assert_eq!(stomp(&mut wire).header("x-error-code"), Some("413"));

    // A body of the largest size passes, even if each octet of it is six in JSON.
    let mut wire = connect(&edge, &[("accept-version", "1.2")]);
    say(&mut wire, "SUBSCRIBE", &[("id", "0"), ("destination", "/topic/l02"), ("receipt", "r")], "");
    stomp(&mut wire);
    let body = "\u{1}".repeat(65_536);
    say(&mut wire, "SEND", &[("destination", "/topic/l02")], &body);
    assert_eq!(stomp(&mut wire).body, body.as_bytes());
    say(&mut wire, "SEND", &[("destination", "/topic/l02")], &"x".repeat(65_537));
    assert_eq!(stomp(&mut wire).header("x-error-code"), Some("413"));
}

/// W07, W09: WebSocket's fragments are none of SockJS's business.
#[test]
fn w09_fragments_of_a_string() {
    let edge = edge(&[]);
    let mut wire = open(&edge);
    let message =
        serde_json::json!([frame::write("CONNECT", &[("accept-version", "1.2"), ("x", "é")], "")]).to_string();
    let pieces: Vec<&[u8]> = message.as_bytes().chunks(7).collect();
    for (at, piece) in pieces.iter().enumerate() {
        let opcode = if at == 0 { opcode::TEXT } else { opcode::CONTINUATION };
        wire.raw(&websocket(opcode::PING, true, b"?"));
        assert_eq!(wire.next(), Incoming::Pong(b"?".to_vec()));
        wire.raw(&websocket(opcode, at + 1 == pieces.len(), piece));
    }
    assert_eq!(stomp(&mut wire).command, "CONNECTED");
}
