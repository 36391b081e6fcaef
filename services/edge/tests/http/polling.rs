//! A request that waits on purpose: its connection may stay longer than others, and counts as what it is. The worker's
//! end of the session is in the test's hands.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use klatsch_edge::server::ServerSettings;
use klatsch_edge::sockjs::XhrSettings;
use klatsch_edge::transport::Kind;

use crate::support::{Client, Edge, PATIENCE};

fn start(lifetime: Duration) -> Edge {
    let xhr = XhrSettings { response_bytes: 1 << 30, frame_bytes: (8 << 10, 64 << 10) };
    Edge::start(|settings: &mut ServerSettings| {
        (settings.xhr, settings.http_lifetime) = (Some(xhr), lifetime);
    })
}

/// Reads until this has come.
#[track_caller]
fn reads(client: &mut Client, text: &[u8]) {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while !seen.windows(text.len()).any(|window| window == text) {
        let count = client.stream.read(&mut buffer).unwrap();
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
    }
}

/// J15: a stream goes on when the time is over that a request has to be answered in; then its connection takes no other.
/// It is a session, not a half-open connection.
#[test]
fn j15_a_stream_outlives_what_a_request_may_take() {
    let lifetime = Duration::from_millis(300);
    let edge = start(lifetime);
    let mut client = edge.client();
    let since = Instant::now();
    client.say("POST /ws/0/a/xhr_streaming HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    let mut worker = edge.socket();
    assert_eq!(worker.transport, Kind::SockJsXhr);
    // The request's connection, and two for the session's own stream.
    edge.wait_for_counts(3, 0);
    while since.elapsed() < 10 * lifetime {
        worker.stream.write_all(b"a[\"frame\"]\n").unwrap();
        reads(&mut client, b"a[\"frame\"]\n");
    }
    worker.stream.write_all(b"c[1000,\"\"]\n").unwrap();
    reads(&mut client, b"c[1000,\"\"]\n\r\n0\r\n\r\n");
    assert_eq!(client.rest(), b"");
    drop(worker);
    edge.wait_for_counts(0, 0);
}

/// L07: who takes nothing of its stream is cut some seconds after that time, and the worker hears of it.
#[test]
fn l07_a_stream_that_nobody_reads_is_cut() {
    let edge = start(Duration::from_millis(100));
    let mut client = edge.client();
    client.say("POST /ws/0/a/xhr_streaming HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    let mut worker = edge.socket();
    let line = format!("a[\"{}\"]\n", "x".repeat(8_000));
    let deadline = Instant::now() + 3 * PATIENCE;
    let (mut taken, mut sent) = (line.len(), 0);
    let cut = loop {
        assert!(Instant::now() < deadline, "after {sent} octets");
        match worker.stream.write(&line.as_bytes()[taken % line.len()..]) {
            Ok(count) => (taken, sent) = (taken + count, sent + count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(10)),
            Err(error) => break error.kind(),
        }
    };
    assert_eq!(cut, ErrorKind::BrokenPipe);
    assert!(sent < 16 << 20, "{sent} octets were taken for a client that reads none");
    drop((worker, client));
    edge.wait_for_counts(0, 0);
}
