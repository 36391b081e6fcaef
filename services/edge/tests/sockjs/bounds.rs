//! That sessions over XHR are bound by what binds all others.

use std::time::Duration;

use crate::kit::eventually;
use crate::kit::wire::{PATIENCE, Wire};
use crate::support::{Http, Polling, edge, post, session_url, strings};

/// L02, L03: a body is counted while it comes, by a narrow bound until CONNECT is answered; STOMP's bounds hold within.
#[test]
fn l02_l03_bodies_are_counted_while_they_come() {
    let edge = edge(&[]);
    let polling = Polling::open(&edge);
    let url = format!("{}/xhr_send", polling.url);
    let mut http = Http::to(&edge);
    http.raw(format!("POST {url} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").as_bytes());
    // It never ends, and is answered all the same.
    let piece = format!("{:x}\r\n{}\r\n", 16_384, " ".repeat(16_384));
    (0..4).for_each(|_| http.raw(piece.as_bytes()));
    assert_eq!(http.answer().status, 413);
    let large = "x".repeat(9_000);
    polling.say("CONNECT", &[("accept-version", "1.2"), ("large", &large)], "");
    assert_eq!(polling.frames()[0].header("x-error-code"), Some("413"));
    assert_eq!(polling.poll(), "c[1009,\"too large\"]\n");

    let polling = Polling::connect(&edge);
    polling.say("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/l02"), ("receipt", "r")], "");
    polling.frames();
    let body = "\u{1}".repeat(65_536);
    polling.say("SEND", &[("destination", "/topic/l02")], &body);
    assert_eq!(polling.frames()[0].body, body.as_bytes());
    polling.say("SEND", &[("destination", "/topic/l02")], &"x".repeat(65_537));
    assert_eq!(polling.frames()[0].header("x-error-code"), Some("413"));
}

/// L04: a session takes its part of the edge's places, whatever connections its requests come on, and gives it back.
#[test]
fn l04_sessions_are_counted() {
    let edge = edge(&["--max-connections", "16"]);
    let mut opened = 0;
    let refused = loop {
        let answer = post(&edge, &format!("{}/xhr", session_url()), "");
        if answer.status == 503 {
            break answer;
        }
        assert_eq!(answer.body, "o\n");
        opened += 1;
        assert!(opened < 16, "each has a place, and so has the connection that asks");
    };
    assert!(opened > 2, "{opened}");
    assert!(!refused.field("retry-after").is_empty());
    // Nobody asks for them.
    eventually("their places are free", 2 * PATIENCE, || {
        let mut http = Http::to(&edge);
        http.say("POST", &format!("{}/xhr", session_url()), &[("Connection", "close")], "");
        (http.answer().body == "o\n").then_some(())
    });
}

/// L07: a client that polls slowly costs what waits for it, and reads on from the log's recent end: nothing is missing.
#[test]
fn l07_who_polls_slowly_misses_nothing() {
    let edge = edge(&["--max-body", "16KiB"]);
    let polling = Polling::connect(&edge);
    polling.say("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/l07"), ("receipt", "r")], "");
    polling.frames();
    let mut plain = Wire::connect(&edge);
    let body = "x".repeat(16_000);
    for n in 0..64 {
        let headers = [("destination", "/topic/l07"), ("receipt", "r")];
        plain.say("SEND", &headers, &format!("{n:03}{body}"));
        plain.receipt("r");
    }
    let mut seen = Vec::new();
    while seen.len() < 64 {
        let frames = polling.frames();
        assert!(!frames.is_empty());
        seen.extend(frames.into_iter().map(|frame| String::from_utf8(frame.body[..3].to_vec()).unwrap()));
    }
    assert_eq!(seen, (0..64).map(|n| format!("{n:03}")).collect::<Vec<_>>());
}

/// W19, promise 8: an edge that drains says so in the session's own words, and ends.
#[test]
fn w19_a_drain_ends_sessions_that_poll() {
    let mut edge = edge(&[]);
    let polling = Polling::connect(&edge);
    let mut waiting = Http::to(&edge);
    waiting.say("POST", &format!("{}/xhr", polling.url), &[], "");
    let streamed = session_url();
    let mut stream = Http::to(&edge);
    stream.say("POST", &format!("{streamed}/xhr_streaming"), &[], "");
    assert_eq!(stream.head().status, 200);
    stream.chunk();
    assert_eq!(stream.chunk(), "o\n");
    post(&edge, &format!("{streamed}/xhr_send"), r#"["CONNECT\n\n\u0000"]"#);
    assert!(strings(stream.chunk().trim_end())[0].starts_with("CONNECTED\n"));
    edge.signal(rustix::process::Signal::TERM);
    assert_eq!(waiting.answer().body, "c[1012,\"draining\"]\n");
    assert_eq!((stream.chunk().as_str(), stream.chunk().as_str()), ("c[1012,\"draining\"]\n", ""));
    assert!(edge.exit(Duration::from_secs(25)).success());
}
