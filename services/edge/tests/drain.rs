//! The drain as each kind of client sees it, and as an operator asks for it (W19, Q16; its pace is `drain_crowd.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::time::{Duration, Instant};

use kit::edge::Edge;
use kit::http::{Http, ask};
use kit::wire::{Incoming, PATIENCE, Wire};
use rustix::process::Signal;
use serde_json::Value;

const NOTICES: &str = "/session/notices";

/// A number of a notice.
fn milliseconds(notice: &kit::frame::Frame, name: &str) -> Duration {
    Duration::from_millis(notice.header(name).unwrap().parse().unwrap())
}

/// A session that has asked to be told.
fn listening(edge: &Edge) -> Wire {
    let mut wire = Wire::connect(edge);
    wire.subscribe("notices", NOTICES);
    wire
}

/// W19: who has not said CONNECT is told to try later, at once; who has, waits for its turn.
#[test]
fn w19_who_is_not_connected_is_closed_1013_before_all_others() {
    let mut edge = Edge::start(&["--log-memory", "--grace", "9s", "--drain-rate", "10"]);
    let mut sessions: Vec<Wire> = (0..30).map(|_| Wire::connect(&edge)).collect();
    let mut strangers: Vec<Wire> = (0..10).map(|_| Wire::open(&edge)).collect();
    let mut sockjs = Wire::ask(&edge, "/ws/000/stranger/websocket", &[]).unwrap();
    assert_eq!(sockjs.next(), Incoming::Text(b"o".to_vec()));
    kit::eventually("all are there", PATIENCE, || (edge.metric("klatsch_connections") == 41.0).then_some(()));
    edge.signal(Signal::TERM);
    for stranger in &mut strangers {
        stranger.closed(1013);
    }
    assert_eq!(sockjs.next(), Incoming::Text(b"c[1013,\"try later\"]".to_vec()));
    sockjs.closed(1013);
    // At 10 a second, the last of the ten would on average be among the last of all.
    let early: Vec<bool> = sessions.iter_mut().map(|it| it.next_within(Duration::from_millis(1)).is_some()).collect();
    let closed = early.iter().filter(|early| **early).count();
    assert!(closed < 15, "{closed} of 30 sessions were closed before the last stranger");
    for (mut session, _) in sessions.into_iter().zip(early).filter(|(_, early)| !early) {
        session.closed(1012);
    }
    assert_eq!(edge.exit(Duration::from_secs(9)).code(), Some(0), "{}", edge.log());
}

/// Q16: a session that asked for it is told when to go, is served until then, and may leave by itself.
#[test]
fn q16_who_asked_is_told_and_goes_by_itself() {
    let mut edge = Edge::start(&["--log-memory", "--grace", "14s"]);
    let mut wire = Wire::open(&edge);
    wire.say("CONNECT", &[("accept-version", "1.2")], "");
    assert_eq!(wire.expect("CONNECTED").header("drain-notice"), Some("1"));
    wire.subscribe("notices", NOTICES);
    let (mut stays, mut untold) = (listening(&edge), Wire::connect(&edge));
    let mut again = listening(&edge);
    again.say("UNSUBSCRIBE", &[("id", "notices"), ("receipt", "off")], "");
    again.receipt("off");
    edge.signal(Signal::TERM);
    let began = Instant::now();

    let notice = wire.expect("MESSAGE");
    let told = |name| notice.header(name);
    assert_eq!((told("destination"), told("subscription")), (Some(NOTICES), Some("notices")));
    assert_eq!((told("type"), told("content-type")), (Some("drain"), Some("text/plain")));
    assert!(told("message-id").is_some() && !notice.body.is_empty());
    assert!(milliseconds(&notice, "reconnect-after-ms") < milliseconds(&notice, "deadline-ms"));
    assert!(milliseconds(&notice, "deadline-ms") <= Duration::from_secs(9));
    wire.subscribe("0", "/topic/r");
    wire.say("SEND", &[("destination", "/topic/r"), ("receipt", "s")], "still served");
    let frames = [wire.frame().command, wire.frame().command];
    assert!(frames.contains(&"RECEIPT".to_owned()) && frames.contains(&"MESSAGE".to_owned()), "{frames:?}");
    assert_eq!(wire.leave().len(), 0, "one notice, and the close is DISCONNECT's");

    // Three are closed 1012: those who were not told soon, the one who was told and stays not before the time it has.
    untold.closed(1012);
    again.closed(1012);
    let deadline = milliseconds(&stays.expect("MESSAGE"), "deadline-ms");
    stays.closed(1012);
    assert!(began.elapsed() + Duration::from_millis(50) > deadline, "{:?} of {deadline:?}", began.elapsed());
    assert_eq!(edge.exit(Duration::from_secs(14)).code(), Some(0), "{}", edge.log());
}

/// W19: `c` with the code, then the WebSocket's own close.
#[test]
fn w19_sockjs_sessions_hear_1012_in_their_own_words() {
    let mut edge = Edge::start(&["--log-memory"]);
    let mut wire = Wire::ask(&edge, "/ws/000/session/websocket", &[]).unwrap();
    assert_eq!(wire.next(), Incoming::Text(b"o".to_vec()));
    wire.text(br#"["CONNECT\naccept-version:1.2\n\n\u0000"]"#);
    let Incoming::Text(connected) = wire.next() else { panic!("CONNECTED expected") };
    assert!(connected.starts_with(b"a[\"CONNECTED\\n"));
    edge.signal(Signal::TERM);
    assert_eq!(wire.next(), Incoming::Text(b"c[1012,\"draining\"]".to_vec()));
    wire.closed(1012);
    assert_eq!(edge.exit(PATIENCE).code(), Some(0), "{}", edge.log());
}

/// p8: who waits for the next message is answered with what there is, and with where to go on; streams and new requests
/// are not to be had any more.
#[test]
fn p8_a_long_poll_is_answered_early() {
    const ROOM: &str = "/rooms/r/messages";
    let mut edge = Edge::start(&["--log-memory"]);
    let last = Http::to(&edge).post(ROOM, "before");
    let mut poll = Http::to(&edge);
    poll.say("GET", &format!("{ROOM}?after={last}&wait=60"), &[], b"");
    let mut stays = Wire::connect(&edge);
    kit::eventually("it waits", PATIENCE, || (edge.metric("klatsch_subscriptions") == 1.0).then_some(()));
    edge.signal(Signal::TERM);
    let answer = poll.answer();
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")), "{answer:?}");
    assert_eq!(answer.json()["next"], last.as_str());
    for target in [ROOM, "/rooms/r/events"] {
        if let Ok(mut late) = std::net::TcpStream::connect(&edge.listen) {
            use std::io::{Read, Write};
            let mut told = String::new();
            let asked =
                late.write_all(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes());
            if asked.is_ok() && late.read_to_string(&mut told).is_ok() && !told.is_empty() {
                assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("retry-after: "), "{told}");
            }
        }
    }
    stays.closed(1012);
    assert_eq!(edge.exit(PATIENCE).code(), Some(0), "{}", edge.log());
}

/// `POST /drain` is what SIGTERM is, and no page of a browser can send it.
#[test]
fn post_drain_is_sigterm() {
    let mut edge = Edge::start(&["--log-memory", "--grace", "9s"]);
    let mut client = Wire::connect(&edge);
    let drain = |method, fields: &[_]| ask(&*edge.admin, method, "/drain", fields, "");
    let same = format!("http://{}", edge.admin);
    for fields in [
        [("Origin", "https://evil.example")],
        [("Origin", "null")],
        [("Origin", &same)],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-origin")],
    ] {
        assert_eq!(drain("POST", &fields).status, 403, "{fields:?}");
    }
    for method in ["PUT", "DELETE", "OPTIONS"] {
        let refused = drain(method, &[]);
        assert_eq!((refused.status, refused.field("allow")), (405, Some("GET, HEAD, POST")), "{method}");
    }
    let before = drain("GET", &[]).json();
    assert_eq!((&before["draining"], &before["connections"]), (&Value::Bool(false), &1.into()), "{before}");
    assert_eq!((edge.admin_get("/readyz").0, edge.metric("klatsch_draining")), (200, 0.0));
    assert_eq!(kit::http_get(&edge.listen, "/drain").unwrap().0, 404, "it is not public");

    let going = drain("POST", &[]);
    assert_eq!((going.status, going.field("content-type")), (202, Some("application/json")));
    assert_eq!((&going.json()["draining"], &going.json()["grace_seconds"]), (&Value::Bool(true), &9.0.into()));
    let (status, why) = edge.admin_get("/readyz");
    assert_eq!((status, why.as_str()), (503, "drain: draining\n"));
    assert_eq!((edge.admin_get("/livez").0, edge.metric("klatsch_draining")), (200, 1.0));
    assert_eq!(Wire::ask(&edge, "/ws", &[]).err(), Some(503), "nobody new");
    // A hook that asks before Kubernetes signals must not make the signal the second one.
    assert_eq!(drain("POST", &[]).status, 202);
    edge.signal(Signal::TERM);
    client.closed(1012);
    assert_eq!(edge.exit(Duration::from_secs(9)).code(), Some(0), "{}", edge.log());
    assert!(edge.log().contains("\"event\":\"drain_asked\""));
}

/// An edge without clients ends at once, but not before it has answered.
#[test]
fn post_drain_is_answered_by_an_edge_that_has_nothing_to_do() {
    for _ in 0..5 {
        let mut edge = Edge::start(&["--log-memory"]);
        assert_eq!(ask(&*edge.admin, "POST", "/drain", &[], "").status, 202);
        assert_eq!(edge.exit(PATIENCE).code(), Some(0), "{}", edge.log());
    }
}
