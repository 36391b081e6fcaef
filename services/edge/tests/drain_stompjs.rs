//! Q16, promises 3, 4 and 8: the program that `deploy/clients.md` gives for `@stomp/stompjs`, as it stands there, and the
//! client of the edge's own page, while one edge drains and another one takes over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod kit;

use std::time::Duration;

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::node::Node;
use serde_json::json;

const CLIENTS: u32 = 12;
/// Well above what a busy machine needs for any step.
const STEP: Duration = Duration::from_secs(120);

#[test]
fn q16_p3_p4_p8_stompjs_as_documented_goes_through_a_drain() {
    if !kit::require_kafka() || !kit::require_node() {
        return;
    }
    let kafka = Kafka::start(1);
    let mut first = Edge::on(&kafka, "first", &["--create-topic", "--grace", "14s"]);
    let second = Edge::on(&kafka, "second", &[]);
    let edges: Vec<_> =
        [&first, &second].map(|edge| json!({ "listen": edge.listen, "admin": edge.admin })).into_iter().collect();
    let page = kit::root().join("deploy/clients.md");
    let plan = json!({ "page": page, "edges": edges, "clients": CLIENTS }).to_string();
    let mut script = Node::start("drain.mjs", &[&plan]);
    let said = script.wait_for("all have joined", STEP, |_| true);
    assert_eq!(said["at"], "live", "{}", said["why"].as_str().unwrap_or_default());
    assert_eq!((first.metric("klatsch_sessions"), second.metric("klatsch_sessions")), (f64::from(CLIENTS), 0.0));
    assert_eq!(first.terminate(Duration::from_secs(14)).code(), Some(0), "{}", first.log());
    script.tell(&json!({}));
    let said = script.wait_for("all is seen", STEP, |_| true);
    assert_eq!(said["at"], "passed", "{}", said["why"].as_str().unwrap_or_default());
    eprintln!("{CLIENTS} programs said {} messages across the drain, and each saw all of them once", said["said"]);
    assert_eq!(second.metric("klatsch_sessions"), f64::from(CLIENTS));
}
