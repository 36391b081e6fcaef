//! The echo under `--ws-echo`, over SockJS: what SockJS's own conformance suite asks of a service of that name.

use std::time::Duration;

use crate::kit::edge::Edge;
use crate::kit::wire::{Incoming, Wire};
use crate::support::{Answer, Http, ask, edge, get, post};

fn echo() -> Edge {
    edge(&["--ws-echo", "/echo", "--sockjs-response-bytes", "4KiB"])
}

#[track_caller]
fn assert_says(answer: &Answer, body: &str) {
    assert_eq!((answer.status, answer.body.as_str()), (200, body));
}

/// J01, J02, J11, J13: greeting, `/info`, both WebSockets.
#[test]
fn j11_j13_echo_over_websocket() {
    let edge = echo();
    assert_says(&get(&edge, "/echo/"), "Welcome to SockJS!\n");
    assert!(get(&edge, "/echo/info").body.contains("\"websocket\":true"));
    let mut wire = Wire::ask(&edge, "/echo/000/j11/websocket", &[]).unwrap();
    assert_eq!(wire.next(), Incoming::Text(b"o".to_vec()));
    for ignored in ["", "[]"] {
        wire.text(ignored.as_bytes());
    }
    wire.text(br#"["a"]"#);
    assert_eq!(wire.next(), Incoming::Text(br#"a["a"]"#.to_vec()));
    wire.text(br#"["b","\n"]"#);
    assert_eq!(wire.next(), Incoming::Text(br#"a["b"]"#.to_vec()));
    assert_eq!(wire.next(), Incoming::Text(br#"a["\n"]"#.to_vec()));
    wire.text(br#"["a"#);
    wire.closed(1002);
    let mut raw = Wire::ask(&edge, "/echo/websocket", &[]).unwrap();
    raw.text("Hello world!\u{ffff}".as_bytes());
    assert_eq!(raw.next(), Incoming::Text("Hello world!\u{ffff}".as_bytes().to_vec()));
}

/// J14, J16: strings that were sent one by one come back in one frame; an escape comes back as one where it has to be.
#[test]
fn j10_j14_j16_echo_over_xhr() {
    let edge = echo();
    assert_says(&post(&edge, "/echo/000/j14/xhr", ""), "o\n");
    for _ in 0..8 {
        assert_eq!(post(&edge, "/echo/000/j14/xhr_send", "[\"a\"]").status, 204);
    }
    assert_says(&post(&edge, "/echo/999/j14/xhr", ""), &format!("a[{}]\n", ["\"a\""; 8].join(",")));
    for (body, says) in [("[\"x", "Broken JSON encoding."), ("", "Payload expected.")] {
        let answer = post(&edge, "/echo/000/j14/xhr_send", body);
        assert_eq!((answer.status, answer.body.as_str()), (500, says));
    }
    let escaped: Vec<u32> =
        [0x200c..=0x200f, 0x2028..=0x202f, 0x2060..=0x206f, 0xfff0..=0xffff].into_iter().flatten().collect();
    let plain: String = escaped.iter().filter_map(|code| char::from_u32(*code)).collect();
    assert_eq!(post(&edge, "/echo/000/j14/xhr_send", &format!("[\"{plain}\"]")).status, 204);
    let says: String = escaped.iter().map(|code| format!("\\u{code:04x}")).collect();
    assert_says(&post(&edge, "/echo/000/j14/xhr", ""), &format!("a[\"{says}\"]\n"));
}

/// J15, J18: a response of 4 KiB ends after the frame that fills it; one that is broken off ends the session.
#[test]
fn j15_j18_echo_over_xhr_streaming() {
    let edge = echo();
    let mut http = Http::to(&edge);
    http.say("POST", "/echo/000/j15/xhr_streaming", &[("Origin", "test")], "");
    assert_eq!(http.head().field("access-control-allow-origin"), "test");
    assert_eq!((http.chunk().len(), http.chunk().as_str()), (2049, "o\n"));
    let message = format!("[\"{}\"]", "x".repeat(128));
    for _ in 0..31 {
        assert_eq!(post(&edge, "/echo/000/j15/xhr_send", &message).status, 204);
        assert_eq!(http.chunk(), format!("a{message}\n"));
    }
    assert_eq!(http.chunk(), "");
    let mut waiting = Http::to(&edge);
    waiting.say("POST", "/echo/000/j15/xhr", &[], "");
    let second = ask(&edge, "POST", "/echo/000/j15/xhr", &[], "");
    assert_says(&second, "c[2010,\"Another connection still open\"]\n");
    drop(waiting);
    crate::kit::eventually("it is noticed", Duration::from_secs(10), || {
        let body = post(&edge, "/echo/000/j15/xhr", "").body;
        (body == "c[1002,\"Connection interrupted\"]\n").then_some(())
    });
}
