//! L04: an edge that others' sessions come to lets so many in at once and so many a second; the others are told when to try
//! again, in the words of what they asked for, and none of them waits in a queue.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use kit::edge::Edge;
use kit::events::Events;
use kit::frame;
use kit::http::{Http, ask};
use kit::tcp::Tcp;
use kit::wire::{PATIENCE, Wire};

const ROOM: &str = "/rooms/r/messages";

/// So few a second that none is added while a test runs, and none is left of the burst of ten.
fn exhausted(args: &[&str]) -> (Edge, Vec<Wire>) {
    let edge = Edge::start(&[&["--log-memory", "--admit-rate", "1", "--stomp-listen", "127.0.0.1:0"], args].concat());
    let mut inside: Vec<Wire> = Vec::new();
    while let Ok(wire) = Wire::ask(&edge, "/ws", &[]) {
        inside.push(wire);
        assert!(inside.len() < 60, "nobody is refused");
    }
    assert!(inside.len() >= 10, "the burst is ten, and {} came in", inside.len());
    (edge, inside)
}

/// What the edge says to somebody who comes too soon; a token that was added meanwhile is used up.
#[track_caller]
fn refused<T>(mut ask: impl FnMut() -> Result<T, String>) -> String {
    let mut answers = (0..20).map(|_| ask());
    answers.find_map(Result::err).expect("a refusal")
}

/// Asks for an upgrade; whatever the answer is but 101.
fn upgrade(edge: &Edge) -> Result<(), String> {
    let mut stream = TcpStream::connect(&edge.listen).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = vec![0; "HTTP/1.1 101".len()];
    stream.read_exact(&mut answer).unwrap();
    if answer == b"HTTP/1.1 101" {
        return Ok(());
    }
    stream.read_to_end(&mut answer).unwrap();
    Err(String::from_utf8(answer).unwrap())
}

/// It says in how many seconds to try again.
#[track_caller]
fn is_told_when(answer: &str) {
    let line = answer.lines().find_map(|line| line.strip_prefix("retry-after:")).unwrap_or_else(|| panic!("{answer}"));
    assert!((1..=10).contains(&line.trim().parse::<u32>().unwrap()), "{answer}");
}

#[test]
fn l04_upgrades_beyond_the_rate_are_refused_with_a_time_to_retry() {
    let (edge, mut inside) = exhausted(&[]);
    let mut waits = HashSet::new();
    for _ in 0..30 {
        let answer = refused(|| upgrade(&edge));
        assert!(answer.contains("\r\nconnection: close\r\n"), "the next attempt may reach another edge: {answer}");
        assert!(answer.ends_with("\r\n\r\ntoo many come at once\n"), "{answer}");
        is_told_when(&answer);
        waits.insert(answer.lines().find(|line| line.starts_with("retry-after:")).unwrap().to_owned());
    }
    assert!(waits.len() > 3, "times to retry differ: {waits:?}");
    let labelled = "klatsch_connections_opened_total{result=\"admission\"}";
    assert!(edge.admin_get("/metrics").1.contains(labelled) && edge.metric(labelled) >= 30.0, "{}", edge.log());
    assert_eq!(edge.admin_get("/readyz").0, 200, "it is as ready as before");
    // Who is in notices nothing.
    let mut session = inside.remove(0);
    session.say("CONNECT", &[("accept-version", "1.2")], "");
    session.expect("CONNECTED");
    session.send("/topic/r", "x");
}

#[test]
fn l04_every_other_way_in_takes_a_token_too() {
    let (edge, _inside) = exhausted(&[]);
    let stream = refused(|| {
        let mut events = Events::ask(&edge, "/rooms/r/events", &[]);
        if events.status == 200 { Ok(()) } else { Err(events.head.clone() + &events.body()) }
    });
    assert!(stream.starts_with("HTTP/1.1 503 ") && stream.contains("\"code\":\"admission\""), "{stream}");
    is_told_when(&stream);
    let request = refused(|| {
        let answer = ask(&edge, "POST", ROOM, &[], "x");
        if answer.status == 201 { Ok(()) } else { Err(format!("{}\n{answer:?}", answer.problem())) }
    });
    assert!(request.contains("\"code\":\"admission\"") && request.contains("\"outcome\":\"refused\""), "{request}");
    let polling = refused(|| {
        let answer = ask(&edge, "POST", "/ws/000/a-session/xhr", &[], "");
        if answer.status == 200 { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text())) }
    });
    assert_eq!(polling, "503 too many come at once\n");
    let stomp = refused(|| {
        let mut tcp = Tcp::open(&edge);
        tcp.raw(frame::write("CONNECT", &[("accept-version", "1.2"), ("host", "a")], "").as_bytes());
        let frame = tcp.frame();
        let retry = frame.header("retry-after").map(|seconds| format!("{}\nretry-after:{seconds}", frame.command));
        retry.map_or(Ok(()), Err)
    });
    assert!(stomp.starts_with("ERROR\n"), "{stomp}");
    is_told_when(&stomp);
}

/// A back end that publishes on one connection is not a crowd that comes: it takes one token, not one a message.
#[test]
fn l04_who_is_in_may_go_on() {
    let edge = Edge::start(&["--log-memory", "--admit-rate", "1"]);
    let mut back_end = Http::to(&edge);
    for n in 0..200 {
        back_end.post(ROOM, n.to_string());
    }
    assert_eq!(edge.metric("klatsch_connections_opened_total{result=\"admission\"}"), 0.0);
}

/// 0 is no bound, and by default no usual crowd meets it.
#[test]
fn l04_a_crowd_of_thousands_comes_in_at_once() {
    for args in [&["--log-memory", "--admit-rate", "0"][..], &["--log-memory"]] {
        let edge = Edge::start(args);
        let all: Vec<Wire> = (0..2_000).map(|_| Wire::open(&edge)).collect();
        kit::eventually("all are in", PATIENCE, || {
            (edge.metric("klatsch_connections_opened_total{result=\"ok\"}") == 2_000.0).then_some(())
        });
        drop(all);
    }
}
