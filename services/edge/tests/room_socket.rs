//! A room on a plain WebSocket: what is said is stored, what is stored is heard, in JSON. p1 to p10 are the promises of the
//! README.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kit;

use std::time::Duration;

use kit::edge::Edge;
use kit::users::Users;
use kit::wire::{Incoming, Wire, opcode, websocket};
use rustix::process::Signal;
use serde_json::{Value, json};

fn edge() -> Edge {
    Edge::start(&["--log-memory"])
}

/// The next text, pings aside.
#[track_caller]
fn next(wire: &mut Wire) -> Value {
    loop {
        match wire.next() {
            Incoming::Text(text) => return serde_json::from_slice(&text).unwrap(),
            Incoming::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[track_caller]
fn open(edge: &Edge, target: &str) -> (Wire, Value) {
    let mut wire = Wire::ask(edge, target, &[]).unwrap();
    let subscribed = next(&mut wire);
    assert_eq!(subscribed["type"], "subscribed", "{subscribed}");
    (wire, subscribed)
}

/// Two of them, in whatever order: the message and its answer.
#[track_caller]
fn both(wire: &mut Wire) -> (Value, Value) {
    let (one, other) = (next(wire), next(wire));
    if one["type"] == "stored" { (one, other) } else { (other, one) }
}

/// p1, p2, p6: text and octets are messages of the room; each is answered by its number once it is stored.
#[test]
fn p1_p2_p6_what_is_said_is_stored_and_heard() {
    let edge = edge();
    let (mut wire, subscribed) = open(&edge, "/rooms/r%2F1/socket");
    assert_eq!((&subscribed["room"], subscribed.get("recovered")), (&json!("r/1"), None));
    let mut stomp = Wire::connect(&edge);
    stomp.subscribe("0", "/topic/r/1");
    wire.text(b"hello\0\r\nSEND\n\n");
    let (stored, message) = both(&mut wire);
    assert_eq!((&stored["n"], &stored["id"], &stored["timestamp"]), (&json!(1), &message["id"], &message["timestamp"]));
    assert_eq!(
        (&message["body"], &message["content_type"]),
        (&json!("hello\0\r\nSEND\n\n"), &json!("text/plain;charset=utf-8"))
    );
    assert_eq!(stomp.message(), "hello\0\r\nSEND\n\n");
    wire.raw(&websocket(opcode::BINARY, true, &[0xff, 0, 1]));
    let (stored, message) = both(&mut wire);
    assert_eq!((&stored["n"], &message["body_base64"]), (&json!(2), &json!("/wAB")));
    assert_eq!((message.get("body"), &message["content_type"]), (None, &json!("application/octet-stream")));
    wire.text(b"");
    assert_eq!(both(&mut wire).1["body"], "");
    let text = edge.admin_get("/metrics").1;
    assert!(text.contains("klatsch_transport_sessions{transport=\"socket\"} 1"), "{text}");
    wire.raw(&websocket(opcode::CLOSE, true, &1000u16.to_be_bytes()));
    assert_eq!(wire.next(), Incoming::Close(1000, String::new()));
}

/// p3, p7: `after` goes on where somebody was, on any way in.
#[test]
fn p3_p7_after_goes_on() {
    let edge = edge();
    let mut stomp = Wire::connect(&edge);
    let ids: Vec<String> = (0..4).map(|n| stomp.send("/topic/r", &n.to_string())).collect();
    let (mut wire, subscribed) = open(&edge, &format!("/rooms/r/socket?after={}", ids[1]));
    assert_eq!(subscribed["recovered"], true);
    for id in &ids[2..] {
        let message = next(&mut wire);
        assert_eq!((&message["id"], &message["replayed"]), (&json!(id), &json!(true)));
    }
    let (_, subscribed) = open(&edge, "/rooms/r/socket?after=9-9-00000000");
    assert_eq!(subscribed["recovered"], false);
}

/// p6, p10: what is refused is said so, with its number, and the reader keeps its place; credentials are asked for.
#[test]
fn p6_p10_a_refused_message_leaves_the_reader_where_it_was() {
    let users = Users::new();
    let edge = Edge::start(&[&["--log-memory", "--send-rate", "1"], &*users.args()].concat());
    let (mut wire, _) = open(&edge, &format!("/rooms/r/socket?token={}", Users::token("ann")));
    (0..3).for_each(|_| wire.text(b"x"));
    let all: Vec<Value> = (0..4).map(|_| next(&mut wire)).collect();
    let problems: Vec<&Value> = all.iter().filter(|it| it["type"] == "problem").collect();
    assert_eq!(problems.iter().map(|it| it["n"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 3], "{all:?}");
    assert_eq!((&problems[0]["problem"]["status"], &problems[0]["problem"]["retry_after"]), (&json!(429), &json!(1)));
    assert!(all.iter().any(|it| it["sender"] == "ann"), "{all:?}");
    let mut nobody = Wire::ask(&edge, "/rooms/r/socket", &[]).unwrap();
    assert_eq!(next(&mut nobody)["problem"]["status"], 401);
    nobody.closed(4501);
}

/// W01, W22: no subprotocol is agreed on that is not spoken; foreign pages, and what is no upgrade, are refused.
#[test]
fn w01_w22_the_handshake_is_that_of_any_websocket_here() {
    let edge = edge();
    let wire = Wire::ask(&edge, "/rooms/r/socket", &[("Sec-WebSocket-Protocol", "v12.stomp")]).unwrap();
    assert!(!wire.head.to_ascii_lowercase().contains("sec-websocket-protocol"), "{}", wire.head);
    assert_eq!(Wire::ask(&edge, "/rooms/r/socket", &[("Origin", "https://evil.example")]).err(), Some(403));
    assert_eq!(Wire::ask(&edge, "/rooms/a*/socket", &[]).err(), Some(404));
    assert_eq!(Wire::ask(&edge, "/rooms/r/socket?after=1&after=2", &[]).err(), Some(400));
    assert_eq!(kit::http_get(&edge.listen, "/rooms/r/socket").unwrap().0, 426);
}

/// What is too large ends it with 1009, a drain with 1012.
#[test]
fn endings_close_with_the_registrys_codes() {
    let mut edge = Edge::start(&["--log-memory", "--max-body", "4KiB"]);
    let (mut wire, _) = open(&edge, "/rooms/r/socket");
    wire.text(&[b'x'; 5_000]);
    assert_eq!(next(&mut wire)["problem"]["status"], 413);
    wire.closed(1009);
    let (mut wire, _) = open(&edge, "/rooms/r/socket");
    edge.signal(Signal::TERM);
    wire.closed(1012);
    assert!(edge.exit(Duration::from_secs(30)).success());
}

/// What `/metrics` states of an idle socket's memory holds.
#[test]
fn an_idle_socket_takes_what_is_stated() {
    const SOCKETS: usize = 1_000;
    let edge = edge();
    let open = |count: usize| (0..count).map(|_| open(&edge, "/rooms/r/socket").0).collect::<Vec<_>>();
    let rss = || edge.metric("process_resident_memory_bytes");
    let _first = open(200);
    let before = rss();
    let _all = open(SOCKETS);
    let (each, text) = ((rss() - before) / SOCKETS as f64, edge.admin_get("/metrics").1);
    assert!(text.contains("klatsch_connection_memory_bytes{transport=\"socket\"} 2048"), "{text}");
    assert!(each < 2048.0, "{each} octets for each");
}
