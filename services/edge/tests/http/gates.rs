//! When nobody is let in, and how the refused hear of it.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Instant;

use klatsch_edge::readiness::Check;

use crate::support::{Edge, PATIENCE, UPGRADE};

fn upgrade() -> String {
    format!("GET /ws HTTP/1.1\r\n{UPGRADE}\r\n")
}

/// Promise 9: before the first readiness nobody is let in; afterwards Kafka's absence closes no door.
#[test]
fn promise_9_upgrades_wait_for_the_first_readiness_only() {
    let edge = Edge::starting(|_| ());
    let answer = edge.ask(upgrade());
    assert_eq!((answer.status, answer.retry_after()), (503, 1));
    assert_eq!(edge.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    edge.readiness.set(Check::Topic, Ok(()));
    edge.readiness.set(Check::Producer, Ok(()));
    assert_eq!(edge.ask(upgrade()).status, 503);
    edge.readiness.set(Check::Tail, Ok(()));
    assert_eq!(edge.ask(upgrade()).status, 101);

    edge.readiness.set(Check::Log, Err("no broker answers".to_owned()));
    edge.readiness.set(Check::Tail, Err("4 s behind".to_owned()));
    assert_eq!(edge.ask(upgrade()).status, 101);
    assert_eq!(edge.events.count("starting"), 2);
}

#[test]
fn draining_refuses_and_closes() {
    let edge = Edge::start(|_| ());
    edge.readiness.set(Check::Drain, Err("draining".to_owned()));
    let mut waits = Vec::new();
    for _ in 0..64 {
        let mut client = edge.client();
        let answer = client.ask(upgrade());
        assert_eq!((answer.status, answer.field("connection")), (503, Some("close")));
        assert!(client.rest().is_empty());
        waits.push(answer.retry_after());
    }
    assert!(waits.iter().all(|wait| (1..=5).contains(wait)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait != waits[0]), "64 draws out of five were all the same");
    edge.events.wait("draining", 64);
}

#[test]
fn full_workers_refuse_before_the_101() {
    let edge = Edge::start(|_| ());
    edge.sink.full.store(true, Ordering::Relaxed);
    let mut client = edge.client();
    let answer = client.ask(upgrade());
    assert_eq!(answer.status, 503);
    assert!((2..=10).contains(&answer.retry_after()));
    edge.sink.full.store(false, Ordering::Relaxed);
    assert_eq!(client.ask(upgrade()).status, 101);
}

/// W19: a socket that no worker takes is closed with 1013, and its slot is free again.
#[test]
fn w19_a_socket_that_no_worker_takes_is_closed_with_1013() {
    let edge = Edge::start(|_| ());
    edge.sink.refuses.store(true, Ordering::Relaxed);
    let mut client = edge.client();
    assert_eq!(client.ask(upgrade()).status, 101);
    assert_eq!(client.rest(), [0x88, 2, 0x03, 0xF5]);
    edge.events.wait("workers", 1);
    edge.wait_for_counts(0, 0);
}

/// The end of the HTTP thread closes the door, not the sessions: they drain at their own pace.
#[test]
fn stopping_leaves_upgraded_sockets_alone() {
    let edge = Edge::start(|_| ());
    let mut client = edge.client();
    assert_eq!(client.ask(upgrade()).status, 101);
    let mut socket = edge.socket();
    let mut idle = edge.client();
    edge.wait_for_counts(2, 1);
    let (address, admin) = (edge.address, edge.admin);
    drop(edge);
    assert_eq!(idle.rest(), b"");
    for address in [address, admin] {
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    socket.stream.write_all(b"still here").unwrap();
    drop(socket);
    assert_eq!(client.rest(), b"still here");
}

#[test]
fn an_address_in_use_is_named() {
    let edge = Edge::start(|_| ());
    let taken = Edge::bind(|settings| settings.admin = edge.address).err().unwrap().to_string();
    assert!(taken.contains(&edge.address.to_string()), "{taken}");
}

#[test]
fn who_leaves_before_the_101_is_forgotten() {
    let edge = Edge::start(|_| ());
    for _ in 0..50 {
        edge.client().say(upgrade());
    }
    // Connections are accepted in order, so all others have been by now. Some of them were gone before the hand-over.
    assert_eq!(edge.ask(upgrade()).status, 101);
    let deadline = Instant::now() + PATIENCE;
    while edge.handle.connections() > 0 {
        assert!(Instant::now() < deadline, "{} connections are still counted", edge.handle.connections());
        drop(edge.try_socket());
    }
    edge.wait_for_counts(0, 0);
}
