//! The admin listener: each probe names what fails, and only that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use klatsch_edge::readiness::{Check, Readiness};

use crate::support::{Answer, Client, Edge, UPGRADE};

fn get(edge: &Edge, path: &str) -> Answer {
    Client::connect(edge.admin).ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
}

fn statuses(edge: &Edge) -> [u16; 3] {
    ["/livez", "/readyz", "/startupz"].map(|path| get(edge, path).status)
}

/// Promise 9, as an operator sees it.
#[test]
fn promise_9_probes_name_the_failing_check() {
    let edge = Edge::starting(|_| ());
    assert_eq!(statuses(&edge), [200, 503, 503]);
    assert_eq!(get(&edge, "/startupz").body, "topic: starting\ntail: starting\nproducer: starting\n");
    edge.readiness.set(Check::Topic, Ok(()));
    edge.readiness.set(Check::Tail, Err("partition 3 is 17 records behind".to_owned()));
    edge.readiness.set(Check::Producer, Ok(()));
    assert_eq!(get(&edge, "/readyz").body, "tail: partition 3 is 17 records behind\n");
    edge.readiness.set(Check::Tail, Ok(()));
    assert_eq!(statuses(&edge), [200, 200, 200]);
    assert_eq!(get(&edge, "/readyz").body, "ok\n");

    edge.readiness.set(Check::Log, Err("no broker answers".to_owned()));
    edge.readiness.set(Check::Drain, Err("draining".to_owned()));
    assert_eq!(get(&edge, "/readyz").body, "log: no broker answers\ndrain: draining\n");
    assert_eq!(statuses(&edge), [200, 503, 200], "neither liveness nor the start depends on Kafka");
}

#[test]
fn a_silent_thread_fails_liveness_and_readiness() {
    let edge = Edge::start(|_| ());
    let slow = edge.readiness.heartbeat("worker-0", Duration::from_secs(3600));
    assert_eq!(statuses(&edge), [200, 200, 200]);
    let silent = edge.readiness.heartbeat("follower", Duration::ZERO);
    let began = Instant::now();
    while get(&edge, "/livez").status == 200 {
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(get(&edge, "/livez").body, "threads: follower silent for 0 s\n");
    assert_eq!(get(&edge, "/readyz").body, "threads: follower silent for 0 s\n");
    // A beat from the future stands for one that is always fresh.
    silent.beat(Instant::now() + Duration::from_secs(3600));
    assert_eq!(statuses(&edge), [200, 200, 200]);
    drop((slow, silent));
    assert!(edge.readiness.silent(Instant::now() + Duration::from_secs(100_000)).is_empty(), "ended in order");
}

#[test]
fn metrics_and_everything_else() {
    let edge = Edge::start(|_| ());
    let answer = get(&edge, "/metrics");
    assert_eq!((answer.status, answer.body.as_str()), (200, "Prometheus"));
    assert_eq!(answer.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5";
    let answer = Client::connect(edge.admin).ask(format!("GET /metrics HTTP/1.1\r\nHost: a\r\n{accept}\r\n\r\n"));
    assert_eq!(answer.body, "OpenMetrics");
    let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((answer.field("content-type"), answer.field("vary")), (Some(openmetrics), Some("accept")));
    assert_eq!(get(&edge, "/").status, 404);
    assert_eq!(get(&edge, "/ws").status, 404);
    let post = Client::connect(edge.admin).ask("POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((post.status, post.field("allow")), (405, Some("GET, HEAD")));
    for path in ["/livez", "/readyz", "/startupz", "/metrics"] {
        assert_eq!(edge.ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).status, 404, "{path} is not public");
    }
}

/// However full the public side is, an operator gets an answer.
#[test]
fn the_admin_listener_has_slots_of_its_own() {
    let edge = Edge::start(|settings| settings.max_connections = 1);
    assert_eq!(edge.ask(format!("GET /ws HTTP/1.1\r\n{UPGRADE}\r\n")).status, 101);
    assert_eq!(get(&edge, "/readyz").body, "capacity: 1 of 1 connections\n");
    assert_eq!(get(&edge, "/livez").status, 200);
}

#[test]
fn started_latches_once() {
    let started = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&started);
    let readiness = Readiness::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    for check in Check::ALL {
        assert!(!readiness.started());
        readiness.set(check, Err("not yet".to_owned()));
    }
    for _ in 0..2 {
        for check in Check::ALL {
            readiness.set(check, Ok(()));
        }
        assert!(readiness.started() && readiness.ready(Instant::now()).is_empty());
        readiness.set(Check::Topic, Err("gone".to_owned()));
        assert!(readiness.started() && readiness.fails(Check::Topic) && !readiness.fails(Check::Drain));
    }
    assert_eq!(started.load(Ordering::Relaxed), 1);
}
