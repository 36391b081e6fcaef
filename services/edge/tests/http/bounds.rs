//! Bounds on time, number and size, each with what happens at it. No socket may stay for nothing.

use std::time::{Duration, Instant};

use klatsch_edge::readiness::Check;

use crate::support::{Client, Edge, UPGRADE};

const PAGE: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn upgrade() -> String {
    format!("GET /ws HTTP/1.1\r\n{UPGRADE}\r\n")
}

/// L05 begins before STOMP: silence, half a request and a request that trickles all end with the header time-out.
#[test]
fn l05_a_half_open_handshake_times_out_and_frees_its_slot() {
    let edge = Edge::start(|settings| {
        settings.header_timeout = Duration::from_millis(300);
        settings.max_half_open = 3;
    });
    let silent = edge.client();
    let mut half = edge.client();
    half.say("GET /ws HTTP/1.1\r\nHost: a");
    let mut trickling = edge.client();
    edge.wait_for_counts(3, 3);
    assert_eq!(edge.client().answer().status, 503, "the bound on half-open connections");
    edge.events.wait("half_open", 1);

    let began = Instant::now();
    while edge.events.count("timeout") < 2 {
        assert!(began.elapsed() < Duration::from_secs(5));
        trickling.say("x");
        std::thread::sleep(Duration::from_millis(10));
    }
    edge.events.wait("timeout", 3);
    for mut client in [silent, half, trickling] {
        assert_eq!(client.rest(), b"");
    }
    edge.wait_for_counts(0, 0);
    assert_eq!(edge.ask(upgrade()).status, 101);
}

#[test]
fn an_idle_http_connection_is_closed_and_is_no_failed_attempt() {
    let edge = Edge::start(|settings| settings.header_timeout = Duration::from_millis(200));
    let mut client = edge.client();
    assert_eq!(client.ask(PAGE).status, 200);
    client.rest();
    edge.wait_for_counts(0, 0);
    assert_eq!(edge.events.count("timeout"), 0);
}

/// A request body that never comes, and a client that asks for ever, both end with the connection's lifetime.
#[test]
fn a_connection_that_stays_http_ends() {
    let edge = Edge::start(|settings| settings.http_lifetime = Duration::from_millis(300));
    let mut waiting = edge.client();
    assert_eq!(waiting.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").status, 405);
    waiting.rest();

    let mut busy = edge.client();
    let (began, mut answers) = (Instant::now(), 0);
    loop {
        assert!(began.elapsed() < Duration::from_secs(5));
        if std::io::Write::write_all(&mut busy.stream, PAGE.as_bytes()).is_err() {
            break;
        }
        match busy.try_answer() {
            Some(answer) => assert_eq!(answer.status, 200),
            None => break,
        }
        answers += 1;
    }
    assert!(answers > 0);
    edge.wait_for_counts(0, 0);

    let mut upgraded = edge.client();
    upgraded.ask(upgrade());
    let socket = edge.socket();
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(edge.handle.connections(), 1, "an upgraded socket has no HTTP lifetime");
    drop(socket);
}

/// L04: connections in total. The refused one is told when to come back; unreadiness comes first.
#[test]
fn l04_the_bound_on_all_connections() {
    let edge = Edge::start(|settings| settings.max_connections = 20);
    let mut held = Vec::new();
    for n in 0..20 {
        let unready = edge.readiness.ready(Instant::now());
        assert_eq!(unready.iter().any(|(check, _)| *check == Check::Capacity), n >= 19, "{n} of 20");
        assert_eq!(edge.ask(upgrade()).status, 101);
        held.push(edge.socket());
    }
    edge.wait_for_counts(20, 0);
    let mut refused = edge.client();
    let answer = refused.ask(upgrade());
    assert_eq!((answer.status, answer.field("connection")), (503, Some("close")));
    assert!((2..=10).contains(&answer.retry_after()));
    let end = std::io::Read::read(&mut refused.stream, &mut [0; 1]);
    assert_eq!(end.expect("a reset could overtake the answer"), 0);
    edge.events.wait("connections", 1);

    held.pop();
    edge.wait_for_counts(19, 0);
    assert_eq!(edge.ask(upgrade()).status, 101);
}

/// L04: connections per address; whoever leaves makes room.
#[test]
fn l04_the_bound_per_address() {
    let edge = Edge::start(|settings| settings.max_per_address = 2);
    let first = edge.ask(upgrade());
    let idle = edge.client();
    edge.wait_for_counts(2, 1);
    assert_eq!((first.status, edge.client().answer().status), (101, 503));
    edge.events.wait("address", 1);
    drop(idle);
    edge.wait_for_counts(1, 0);
    assert_eq!(edge.ask(upgrade()).status, 101);
}

/// Refusing is bounded too: the first 64 are answered although nobody reads, the others are closed at once.
#[test]
fn refusals_are_bounded() {
    let edge = Edge::start(|settings| settings.max_connections = 0);
    let mut clients: Vec<Client> = (0..200).map(|_| edge.client()).collect();
    edge.events.wait("connections", 200);
    let answered = clients.iter_mut().filter_map(Client::try_answer).filter(|answer| answer.status == 503).count();
    assert!((64..200).contains(&answered), "{answered} of 200 were answered");
    drop(clients);
    // The clients have gone, so there is room for answers again.
    let began = Instant::now();
    while edge.client().try_answer().is_none() {
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

/// L01 for HTTP: 100 header fields are read, 101 are not; 16 KiB of head are the most.
#[test]
fn l01_the_head_is_bounded() {
    let edge = Edge::start(|_| ());
    let fields = |count: usize| -> String { (0..count - 5).map(|n| format!("X-{n}: {n}\r\n")).collect() };
    assert_eq!(edge.ask(format!("GET /ws HTTP/1.1\r\n{UPGRADE}{}\r\n", fields(100))).status, 101);

    for (request, status) in [
        (format!("GET /ws HTTP/1.1\r\n{UPGRADE}{}\r\n", fields(101)), 431),
        (format!("GET /ws HTTP/1.1\r\n{UPGRADE}Cookie: {}\r\n\r\n", "c".repeat(20_000)), 431),
        (format!("GET /ws HTTP/1.1\r\n{UPGRADE}Upgrade: \0\r\n\r\n"), 400),
        ("GET\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}".to_owned(), 400),
    ] {
        let mut client = edge.client();
        let answer = client.ask(&request);
        assert_eq!(answer.status, status, "{request}");
        client.rest();
    }
    edge.wait_for_counts(1, 0);
    assert_eq!(edge.events.count("malformed"), 5);
}

/// Requests on one connection, the second behind the first in the same segment, keep their order.
#[test]
fn a_pipelined_second_request_is_answered() {
    let edge = Edge::start(|_| ());
    let mut client = edge.client();
    client.say(format!("{PAGE}GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n{}after", upgrade()));
    let statuses: Vec<u16> = (0..3).map(|_| client.answer().status).collect();
    assert_eq!(statuses, [200, 404, 101]);
    assert_eq!(edge.socket().read_ahead, "after");
}
