//! `xhr_streaming`: one response for many frames.

use std::net::Shutdown;

use crate::kit::eventually;
use crate::kit::wire::{PATIENCE, Wire};
use crate::support::{Http, Polling, edge, frames, post, session_url};

const PRELUDE: usize = 2048;

/// A streaming response behind its prelude.
#[track_caller]
fn stream(edge: &crate::kit::edge::Edge, url: &str) -> Http {
    let mut http = Http::to(edge);
    http.say("POST", &format!("{url}/xhr_streaming"), &[("Origin", "http://page.example")], "");
    let head = http.head();
    assert_eq!((head.status, head.field("transfer-encoding"), head.field("content-length")), (200, "chunked", ""));
    assert_eq!(head.field("content-type"), "application/javascript; charset=UTF-8");
    assert_eq!(head.field("access-control-allow-origin"), "http://page.example");
    assert_eq!(head.field("cache-control"), "no-store, no-cache, no-transform, must-revalidate, max-age=0");
    assert_eq!(head.field("x-accel-buffering"), "no", "Q16");
    assert_eq!(head.field("set-cookie"), "JSESSIONID=dummy; Path=/; HttpOnly");
    assert_eq!(http.chunk(), format!("{}\n", "h".repeat(PRELUDE)));
    http
}

/// J15: the prelude, `o`, then each frame as it comes; after so many octets the response ends and the client asks anew.
#[test]
fn j15_frames_until_the_response_is_large_enough() {
    let edge = edge(&["--sockjs-response-bytes", "4KiB"]);
    let polling = Polling { edge: &edge, url: session_url() };
    let mut http = stream(&edge, &polling.url);
    assert_eq!(http.chunk(), "o\n");
    polling.say("CONNECT", &[("accept-version", "1.2")], "");
    assert_eq!(frames(&http.chunk())[0].command, "CONNECTED");
    polling.say("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/j15"), ("receipt", "r")], "");
    let receipt = http.chunk();
    assert_eq!(frames(&receipt)[0].header("receipt-id"), Some("r"));
    let mut plain = Wire::connect(&edge);
    let (mut taken, mut bodies, mut responses) = (receipt.len(), Vec::new(), 1);
    for n in 0..40 {
        let body = format!("{n:0128}");
        plain.send("/topic/j15", &body);
        let chunk = match http.chunk() {
            end if end.is_empty() => {
                assert!((3_900..5_000).contains(&taken), "J15: {taken} octets");
                (responses, taken) = (responses + 1, 0);
                http = stream(&edge, &polling.url);
                http.chunk()
            }
            chunk => chunk,
        };
        taken += chunk.len();
        bodies.extend(frames(&chunk).into_iter().map(|frame| (String::from_utf8(frame.body).unwrap(), body.clone())));
    }
    assert!(bodies.len() == 40 && bodies.iter().all(|(got, sent)| got == sent), "{bodies:?}");
    assert!(responses > 2, "{responses}");
}

/// J14, J15: Java's HTTP client sends an empty body as chunks, and their end behind the head. It is read: octets that
/// nobody reads turn the end of the connection into a reset, which takes with it what the client has not read yet.
#[test]
fn j15_a_body_that_says_nothing_is_read() {
    let edge = edge(&[]);
    let url = session_url();
    let mut first = stream(&edge, &url);
    assert_eq!(first.chunk(), "o\n");
    let second = "c[2010,\"Another connection still open\"]\n";
    let prelude = format!("{}\n", "h".repeat(PRELUDE));
    for (method, expected) in [("xhr", second.to_owned()), ("xhr_streaming", prelude + second)] {
        let (mut http, mut other) = (Http::to(&edge), Http::to(&edge));
        let head =
            format!("POST {url}/{method} HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", edge.listen);
        http.raw(head.as_bytes());
        // Once this is answered the head has been read, by the same thread.
        other.say("GET", "/ws/info", &[], "");
        assert_eq!(other.answer().status, 200);
        http.raw(b"0\r\n\r\n");
        assert_eq!(http.answer().body, expected, "{method}");
        http.say("GET", "/ws/info", &[], "");
        assert_eq!(http.answer().status, 200, "the connection is good for another request");
    }
}

/// J18: a second request is turned away behind its prelude, and its response ends; so does that of a session that is over.
#[test]
fn j18_who_comes_second_and_who_comes_late() {
    let edge = edge(&[]);
    let polling = Polling { edge: &edge, url: session_url() };
    let mut first = stream(&edge, &polling.url);
    assert_eq!(first.chunk(), "o\n");
    let mut second = stream(&edge, &polling.url);
    assert_eq!((second.chunk().as_str(), second.chunk().as_str()), ("c[2010,\"Another connection still open\"]\n", ""));
    polling.say("DISCONNECT", &[], "");
    let error = first.chunk();
    assert_eq!(frames(&error)[0].header("x-error-code"), Some("400"), "V03");
    let close = "c[1002,\"STOMP protocol error\"]\n";
    assert_eq!((first.chunk().as_str(), first.chunk().as_str()), (close, ""));
    let mut late = stream(&edge, &polling.url);
    assert_eq!((late.chunk().as_str(), late.chunk().as_str()), (close, ""));
}

/// J18, D05: a stream broken off ends the session.
#[test]
fn j18_a_stream_broken_off_ends_the_session() {
    let edge = edge(&[]);
    let polling = Polling { edge: &edge, url: session_url() };
    let mut first = stream(&edge, &polling.url);
    assert_eq!(first.chunk(), "o\n");
    first.stream.shutdown(Shutdown::Both).unwrap();
    eventually("the session is over", PATIENCE, || {
        let mut next = stream(&edge, &polling.url);
        match next.chunk().as_str() {
            "c[2010,\"Another connection still open\"]\n" => None,
            over => {
                assert_eq!(over, "c[1002,\"Connection interrupted\"]\n");
                Some(())
            }
        }
    });
}

/// J15 with HTTP/1.0: the stream ends with the connection, and nothing is chunked.
#[test]
fn j15_http_1_0() {
    let edge = edge(&[]);
    let url = session_url();
    let mut old = Http::to(&edge);
    old.raw(format!("POST {url}/xhr_streaming HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").as_bytes());
    let head = old.head();
    assert_eq!((head.status, head.field("transfer-encoding"), head.field("content-length")), (200, "", ""));
    assert_eq!(old.exactly(PRELUDE + 3), format!("{}\no\n", "h".repeat(PRELUDE)));
    assert_eq!(post(&edge, &format!("{url}/xhr_send"), r#"["SEND\n\n\u0000"]"#).status, 204);
    assert!(old.exactly(8).starts_with("a[\"ERROR"));
    while !old.is_closed() {
        old.exactly(1);
    }
}

/// A request without a body may leave out how long that is; one that is larger than a body may be is not read.
#[test]
fn j14_a_request_without_content_length() {
    let edge = edge(&[]);
    let mut http = Http::to(&edge);
    http.raw(format!("POST {}/xhr HTTP/1.1\r\nHost: a\r\n\r\n", session_url()).as_bytes());
    assert_eq!(http.answer().body, "o\n");
}
