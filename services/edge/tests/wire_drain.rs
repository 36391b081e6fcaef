//! How a process ends, seen from outside: the drain (DESIGN §9 and issue 3), signals, and dead threads.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use kit::edge::Edge;
use kit::wire::{Incoming, PATIENCE, Wire, message};
use rustix::process::Signal;

/// The drain has begun: /readyz says so.
fn draining(edge: &Edge) {
    edge.signal(Signal::TERM);
    kit::eventually("the edge is unready because it drains", PATIENCE, || {
        let (status, why) = edge.admin_get("/readyz");
        (status == 503 && why.contains("drain")).then_some(())
    });
}

/// Q16: 200 clients: unready, refusing, then everybody gets close 1012 at a pace that spreads them, and the exit is 0.
#[test]
fn drain_is_paced_and_exits_0_within_the_grace() {
    let mut edge = Edge::start(&["--log-memory", "--grace", "8s"]);
    let clients: Vec<Wire> = (0..200).map(|_| Wire::connect(&edge)).collect();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let ends: Vec<_> = clients
            .into_iter()
            .map(|mut wire| {
                scope.spawn(move || {
                    wire.closed(1012);
                    began.elapsed()
                })
            })
            .collect();
        draining(&edge);
        assert_eq!(edge.admin_get("/livez").0, 200);
        assert_eq!(Wire::ask(&edge, "/ws", &[]).err(), Some(503), "nobody new");
        let mut ends: Vec<Duration> = ends.into_iter().map(|end| end.join().unwrap()).collect();
        ends.sort();
        let spread = ends[199] - ends[0];
        assert!(spread > Duration::from_millis(1500), "all at once: {spread:?}");
        let most = ends.iter().map(|from| ends.iter().filter(|at| (*from..*from + spread / 4).contains(*at)).count());
        assert!(most.max().unwrap() < 120, "a quarter of the time should hold about 50 of the 200: {ends:?}");
    });
    assert_eq!(edge.exit(Duration::from_secs(8)).code(), Some(0), "{}", edge.log());
    assert!(began.elapsed() < Duration::from_secs(8));
}

/// A browser keeps spare connections to the host of the page it shows: the drain waits for clients, not for those.
#[test]
fn drain_ends_when_only_idle_http_connections_are_left() {
    let mut edge = Edge::start(&["--log-memory", "--page"]);
    let mut kept = TcpStream::connect(&edge.listen).unwrap();
    kept.write_all(b"GET / HTTP/1.1\r\nHost: chat.example\r\n\r\n").unwrap();
    assert!(kept.read(&mut [0; 1024]).unwrap() > 0);
    let silent = TcpStream::connect(&edge.listen).unwrap();
    let mut client = Wire::connect(&edge);
    kit::eventually("all three are known", PATIENCE, || (edge.metric("klatsch_connections") == 3.0).then_some(()));
    let began = Instant::now();
    draining(&edge);
    client.closed(1012);
    assert_eq!(edge.exit(PATIENCE * 2).code(), Some(0), "{}", edge.log());
    // Left alone they would stay for ten seconds.
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    drop((kept, silent));
}

/// Every SEND that the edge has taken gets its RECEIPT before the close; those it has not taken are not in the log.
#[test]
fn drain_settles_what_is_under_way() {
    let mut edge = Edge::start(&["--dev"]);
    let mut busy = Wire::connect(&edge);
    // It never confirms its close, which keeps the edge up long enough to be asked what it has stored.
    let mut lazy = Wire::connect(&edge);
    let octets: Vec<u8> = (0..20_000)
        .flat_map(|n| message("SEND", &[("destination", "/topic/r"), ("receipt", &format!("{n}"))], "x"))
        .collect();
    let mut writer = busy.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &octets).is_ok());
    busy.receipt("0");
    edge.signal(Signal::TERM);
    let mut receipts = 1;
    loop {
        match busy.next() {
            Incoming::Text(frame) => {
                let expected = format!("RECEIPT\nreceipt-id:{receipts}\n");
                assert!(frame.starts_with(expected.as_bytes()), "{}", String::from_utf8_lossy(&frame));
                receipts += 1;
            }
            Incoming::Close(code, _) => break assert_eq!(code, 1012),
            other => panic!("{other:?}"),
        }
    }
    let stored = edge.metric("klatsch_sends_total");
    assert_eq!(stored, f64::from(receipts));
    assert!(matches!(lazy.next(), Incoming::Close(1012, _)));
    assert_eq!(edge.exit(Duration::from_secs(10)).code(), Some(0), "{}", edge.log());
    let _ = writing.join();
}

/// Clients that got through the door as it closed are sent away too, within the three seconds that a grace of eight leaves
/// for it: before they would end for want of a CONNECT.
#[test]
fn drain_forgets_nobody_who_came_at_the_last_moment() {
    let mut edge = Edge::start(&["--log-memory", "--grace", "8s"]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let listen = edge.listen.clone();
            scope.spawn(move || {
                let mut came = Vec::new();
                while let Ok(stream) = std::net::TcpStream::connect(&listen) {
                    match Wire::ask_on(stream, "/ws", &[]) {
                        Ok(wire) if came.len() < 100 => came.push(wire),
                        _ => break,
                    }
                }
                for mut wire in came {
                    let came = wire.next();
                    assert!(matches!(came, Incoming::Close(1013 | 1012, _) | Incoming::End { .. }), "{came:?}");
                }
            });
        }
        kit::eventually("some have come", PATIENCE, || {
            (edge.metric("klatsch_connections_opened_total") > 50.0).then_some(())
        });
        edge.signal(Signal::TERM);
    });
    assert_eq!(edge.exit(Duration::from_secs(5)).code(), Some(0), "the grace is 8 s: {}", edge.log());
}

/// The second SIGTERM exits at once, and not as if all were well.
#[test]
fn a_second_signal_exits_at_once() {
    for second in [Signal::TERM, Signal::INT] {
        let mut edge = Edge::start(&["--log-memory", "--drain-rate", "1", "--workers", "1"]);
        let clients: Vec<Wire> = (0..50).map(|_| Wire::connect(&edge)).collect();
        draining(&edge);
        let began = Instant::now();
        edge.signal(second);
        let status = edge.exit(Duration::from_secs(2));
        assert_eq!(status.code(), Some(128 + second.as_raw()));
        assert!(began.elapsed() < Duration::from_secs(1));
        drop(clients);
    }
}

/// Promise of the issue: while Kafka is waited for, SIGTERM ends the process with 0.
#[test]
fn sigterm_while_kafka_is_waited_for() {
    let mut edge = Edge::spawn(&["--kafka", "127.0.0.1:9"]);
    edge.listening();
    edge.logged("waiting for Kafka", PATIENCE);
    assert_eq!(Wire::ask(&edge, "/ws", &[]).err(), Some(503));
    assert_eq!(edge.terminate(Duration::from_secs(5)).code(), Some(0), "{}", edge.log());
}

/// DESIGN §4: a dead thread is a dead process, whichever it is; also while Kafka is waited for.
#[test]
fn a_dead_thread_is_a_dead_process() {
    let memory: &[&str] = &["--log-memory", "--workers", "2"];
    for (thread, args) in [
        ("worker-0", memory),
        ("worker-1", memory),
        ("follower", memory),
        ("tokens", memory),
        ("requests", memory),
        ("http", memory),
        ("follower", &["--dev"]),
        ("http", &["--kafka", "127.0.0.1:9"]),
    ] {
        let out = Command::new("timeout")
            .args(["-s", "KILL", "20", env!("CARGO_BIN_EXE_klatsch-edge"), "--listen", "127.0.0.1:0"])
            .args(args)
            .env("KLATSCH_TEST_PANIC", thread)
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(70), "{thread}: {log}");
        let told =
            log.lines().find(|line| line.contains("\"event\":\"thread_died\"")).unwrap_or_else(|| panic!("{log}"));
        assert!(told.contains(&format!("\"thread\":\"{thread}\"")), "{told}");
    }
}
