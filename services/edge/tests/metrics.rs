//! What a real edge measures: how many series, and whether they say what happened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod kit;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use kit::edge::Edge;
use kit::users::Users;
use kit::wire::{PATIENCE, Wire};
use kit::{eventually, frame, metric};

/// Rooms, and users: one for each of them.
const ROOMS: usize = 10_000;
const AT_A_TIME: usize = 4;
/// A series for each edge and scrape is what Prometheus pays for.
const MOST: usize = 800;

/// Name and labels of every value.
fn series(text: &str) -> HashSet<String> {
    let values = text.lines().filter(|line| !line.starts_with('#'));
    values.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

/// A session of a user of its own, in a room of its own: SUBSCRIBE, SEND, its MESSAGE, DISCONNECT.
fn visit(stomp: &str, number: usize) {
    let (token, room) =
        (format!("Bearer {}", Users::token(&format!("user-{number}"))), format!("/topic/room-{number}"));
    let mut stream = TcpStream::connect(stomp).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let frames = [
        frame::write("CONNECT", &[("accept-version", "1.2"), ("host", "h"), ("Authorization", &token)], ""),
        frame::write("SUBSCRIBE", &[("id", "0"), ("destination", &room)], ""),
        frame::write("SEND", &[("destination", &room)], "hello"),
        frame::write("DISCONNECT", &[("receipt", "bye")], ""),
    ];
    stream.write_all(frames.concat().as_bytes()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert!(answers.starts_with("CONNECTED") && answers.contains("receipt-id:bye"), "{answers}");
}

#[test]
fn ten_thousand_rooms_and_users_make_no_new_series() {
    let users = Users::new();
    let args = [&["--dev", "--stomp-listen", "127.0.0.1:0"], &users.args()[..]].concat();
    let edge = Edge::start(&args);
    (0..10).for_each(|number| visit(&edge.stomp, number));
    // The last that there is to be known: librdkafka's statistics.
    eventually("the brokers", Duration::from_secs(30), || (edge.metric("klatsch_kafka_broker_up") > 0.0).then_some(()));
    let before = series(&edge.admin_get("/metrics").1);
    std::thread::scope(|scope| {
        for first in 0..AT_A_TIME {
            let stomp = edge.stomp.as_str();
            scope.spawn(move || (first..ROOMS).step_by(AT_A_TIME).for_each(|number| visit(stomp, number)));
        }
    });
    let text = edge.admin_get("/metrics").1;
    assert_eq!(metric(&text, "klatsch_auth_total{result=\"ok\"}"), Some((ROOMS + 10) as f64));
    let after = series(&text);
    eprintln!("{} series", after.len());
    assert_eq!(before, after, "no series comes with a room or a user");
    assert!(after.len() <= MOST, "{} series", after.len());
    let forbidden =
        ["room", "user", "session", "connection", "ip", "address", "message", "group", "agent", "destination"];
    for line in &after {
        assert!(forbidden.iter().all(|label| !line.contains(&format!("{label}=\""))), "{line}");
        assert!(!line.contains("room-") && !line.contains("user-"), "{line}");
    }
}

#[test]
fn what_happened_can_be_read() {
    let users = Users::new();
    let args = [&["--dev", "--send-rate", "3"], &users.args()[..]].concat();
    let edge = Edge::start(&args);
    let mut ann = Users::connect(&edge, "ann");
    let mut bob = Users::connect(&edge, "bob");
    ann.subscribe("0", "/topic/lobby");
    ann.subscribe("1", "/topic/lobby");
    bob.subscribe("0", "/topic/lobby");
    bob.send("/topic/lobby", "hello");
    assert_eq!([ann.message(), ann.message(), bob.message()], ["hello"; 3]);

    let text = edge.admin_get("/metrics").1;
    let value = |name: &str| metric(&text, name).unwrap_or_else(|| panic!("no {name}"));
    for stage in ["upgrade", "connect"] {
        assert_eq!(value(&format!("klatsch_handshake_seconds_count{{stage=\"{stage}\"}}")), 2.0, "{stage}");
    }
    // Each worker with a member observes the record once; how the members lie on them is chance.
    assert_eq!(value("klatsch_fanout_recipients_sum"), 3.0);
    assert!((1.0..=2.0).contains(&value("klatsch_fanout_recipients_count")));
    assert_eq!(value("klatsch_delivery_seconds_count"), value("klatsch_fanout_seconds_count"));
    let late = value("klatsch_delivery_seconds_sum");
    assert!((0.0..20.0).contains(&late), "{late}: of one clock, and just now");
    assert!(value("klatsch_thread_cpu_seconds_total{thread=\"worker-0\"}") >= 0.0);
    assert!(value("klatsch_runtime_tick_delay_seconds_count{thread=\"http\"}") >= 0.0);
    assert!(value("process_start_time_seconds") > 1.7e9 && value("process_virtual_memory_bytes") > 1e6);
    assert_eq!(value("klatsch_drain_limit_seconds"), 30.0);

    let mut fast = Users::connect(&edge, "cat");
    for _ in 0..20 {
        fast.say("SEND", &[("destination", "/topic/lobby")], "!");
    }
    eventually("too fast", Duration::from_secs(10), || {
        (edge.metric("klatsch_rate_limited_total{scope=\"user\"}") > 0.0).then_some(())
    });
    eventually("librdkafka's own figures", Duration::from_secs(30), || {
        let text = edge.admin_get("/metrics").1;
        let all =
            ["klatsch_kafka_connects_total{client=\"producer\"}", "klatsch_kafka_connects_total{client=\"reader\"}"];
        let more =
            ["klatsch_kafka_broker_up", "klatsch_producer_queue_limit_messages", "klatsch_kafka_assigned_partitions"];
        all.into_iter().chain(more).all(|name| metric(&text, name).is_some_and(|value| value > 0.0)).then_some(())
    });
}

/// Whoever does not take what waits for it is cut, and what waited is counted.
#[test]
fn what_was_thrown_away_is_counted() {
    let edge = Edge::start(&["--log-memory", "--max-body", "1MiB", "--tail-bytes", "64MiB"]);
    let mut deaf = Wire::connect(&edge);
    deaf.subscribe("0", "/topic/flood");
    let mut loud = Wire::connect(&edge);
    let body = "x".repeat(1 << 20);
    for _ in 0..16 {
        loud.say("SEND", &[("destination", "/topic/flood")], &body);
    }
    eventually("the client that takes nothing is cut", Duration::from_secs(30), || {
        (edge.metric("klatsch_outbound_discarded_bytes_total{reason=\"slow\"}") > 0.0).then_some(())
    });
    assert_eq!(edge.metric("klatsch_slow_consumer_closes_total"), 1.0);
}
