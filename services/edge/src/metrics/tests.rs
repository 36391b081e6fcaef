//! Names follow the conventions, and no client can make a new series.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;

use super::*;
use crate::log::{BrokerMeasured, ClientMeasured, Measured, Reason};

/// What one room's life does to the metrics: everything that the edge ever calls.
fn activity(metrics: &Metrics, room: u32) {
    let seed = room as usize;
    fn nth<L: Label>(seed: usize) -> L {
        let all = L::all();
        all[seed % all.len()]
    }
    metrics.connections.open.inc();
    metrics.connections.opened.of(nth(seed)).inc();
    metrics.connections.closed.of(nth(seed)).inc();
    metrics.connections.auth.of(nth(seed)).inc();
    metrics.connections.duration.observe(f64::from(room));
    metrics.stomp.rooms.set(i64::from(room));
    metrics.stomp.subscribed.of(nth(seed)).inc();
    metrics.stomp.received.of(nth(seed)).inc_by(3);
    metrics.stomp.sent.of(nth(seed)).inc_by(3);
    metrics.stomp.protocol_errors.of(nth(seed)).inc();
    metrics.stomp.soft_errors.of(nth(seed)).inc();
    metrics.sends.results.of(nth(seed)).inc();
    metrics.sends.ack.observe(f64::from(room) / 1e3);
    metrics.log.poison.of(nth(seed)).inc();
    metrics.log.record_age.observe(f64::from(room) / 1e3);
    metrics.log.set_lag(i32::try_from(room % 12).unwrap(), 1);
    metrics.kafka.show(&measured(0..3));
    metrics.connections.rate_limited.of(nth(seed)).inc();
    metrics.delivery.discarded.of(nth(seed)).inc_by(9);
    metrics.times.handshake.of(nth(seed)).observe(f64::from(room) / 1e3);
    metrics.times.tick.of(nth(seed)).observe(f64::from(room) / 1e3);
    metrics.times.recipients.observe(f64::from(room));
    metrics.times.delivered(std::time::Duration::from_millis(room.into()), 0, room.into());
    metrics.delivery.deliveries.inc_by(10);
    metrics.delivery.scans.of(nth(seed)).inc();
    metrics.delivery.scan_time.observe(f64::from(room) / 1e3);
    metrics.stomp.resumed.of(nth(seed)).inc();
    metrics.delivery.tail_age.set(f64::from(room));
    metrics.state.ready.of(nth(seed)).set(1);
}

/// A log of these brokers.
fn measured(brokers: std::ops::Range<i32>) -> Measured {
    let rtt_p99 = std::time::Duration::from_millis(250);
    let brokers = brokers.map(|id| BrokerMeasured { id, up: true, rtt_p99 }).collect();
    let producer = ClientMeasured { connects: 7, ..ClientMeasured::default() };
    Measured { brokers, producer, queued_records: 4, queue_limit: 5, ..Measured::default() }
}

/// Name and labels of every line that is a value.
fn series(text: &str) -> HashSet<String> {
    let values = text.lines().filter(|line| !line.starts_with('#'));
    values.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

#[test]
fn ten_thousand_rooms_make_no_new_series() {
    let metrics = Metrics::new();
    for room in 0..12 {
        activity(&metrics, room);
    }
    let before = series(&metrics.encode());
    for room in 0..10_000 {
        activity(&metrics, room);
    }
    let after = series(&metrics.encode());
    assert_eq!(before, after);
    assert!((100..=800).contains(&after.len()), "{} series", after.len());
    for line in &after {
        for label in ["room", "user", "session", "connection", "address", "ip", "group"] {
            assert!(!line.contains(&format!("{label}=\"")), "{line}");
        }
    }
}

#[test]
fn names_follow_the_conventions() {
    let text = Metrics::new().encode();
    assert!(text.ends_with("# EOF\n"));
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(|rest| rest.split_once(' ').unwrap());
    let mut seen = HashSet::new();
    for (name, kind) in types {
        assert!(seen.insert(name), "{name} twice");
        assert!(name.starts_with("klatsch_") || name.starts_with("process_"), "{name}");
        assert!(!name.contains("total") && !name.contains("__") && !name.ends_with("_info"), "{name}");
        let samples: Vec<&str> = text
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['_', ' ', '{'])))
            .collect();
        if kind == "counter" {
            assert!(samples.iter().any(|line| line.starts_with(&format!("{name}_total"))), "{name}: {samples:?}");
        }
        if kind == "histogram" {
            assert!(name.ends_with("_seconds") || name == "klatsch_fanout_recipients", "{name}");
        }
        for unit in ["seconds", "bytes"] {
            let is_in_unit = name.split('_').any(|part| part == unit);
            assert_eq!(is_in_unit, text.contains(&format!("# UNIT {name} {unit}\n")), "{name}");
        }
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
    assert!(!text.contains("_total_total") && !text.contains(".."), "help ends with one stop");
    for name in [
        "klatsch_connections ",
        "klatsch_connections_closed_total{code=\"slow\"} 0",
        "klatsch_connections_closed_total{code=\"send_refused_queue_full\"} 0",
        "klatsch_auth_total{result=\"ok\"} 0",
        "klatsch_auth_total{result=\"bad_signature\"} 0",
        "klatsch_sends_total{result=\"unknown\"} 0",
        "klatsch_received_bytes_total 0",
        "klatsch_consumed_bytes_total 0",
        "klatsch_outbound_queued_bytes 0",
        "klatsch_tail_bytes 0",
        "klatsch_send_ack_seconds_bucket{le=\"+Inf\"} 0",
        "klatsch_record_age_seconds_count 0",
        "klatsch_resume_total{result=\"kafka\"} 0",
        "klatsch_scans_total{result=\"over_budget\"} 0",
        "klatsch_scan_seconds_count 0",
        "klatsch_scan_records_total 0",
        "klatsch_replay_bytes 0",
        "klatsch_resume_waiting 0",
        "klatsch_ready{check=\"tail\"} 0",
        "klatsch_drain_seconds 0.0",
        "klatsch_build_info{version=",
        "process_open_fds ",
        "process_max_fds ",
        "process_resident_memory_bytes ",
        "process_cpu_seconds_total ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}");
    }
}

#[test]
fn handles_count_what_they_say() {
    let metrics = Metrics::new();
    metrics.connections.closed.of(Ending::SendRefused(Reason::Fatal)).inc();
    metrics.connections.auth.of(Some(AuthError::Expired)).inc_by(2);
    metrics.log.set_lag(3, 42);
    metrics.kafka.show(&measured(1..2));
    let text = metrics.encode();
    for line in [
        "klatsch_connections_closed_total{code=\"send_refused_fatal\"} 1",
        "klatsch_auth_total{result=\"expired\"} 2",
        "klatsch_lag_records{partition=\"3\"} 42",
        "klatsch_producer_queue_messages 4",
        "klatsch_producer_queue_limit_messages 5",
        "klatsch_kafka_connects_total{client=\"producer\"} 7",
        "klatsch_kafka_broker_up{broker=\"1\"} 1",
        "klatsch_kafka_broker_rtt_p99_seconds{broker=\"1\"} 0.25",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    metrics.kafka.show(&measured(2..3));
    let text = metrics.encode();
    assert!(!text.contains("broker=\"1\"") && text.contains("klatsch_kafka_broker_up{broker=\"2\"} 1"));
    // An ending that is no protocol error has no series there, and counting it does no harm.
    metrics.stomp.protocol_errors.of(Ending::Draining).inc();
    assert!(!metrics.encode().contains("protocol_errors_total{code=\"draining\"}"));
}
