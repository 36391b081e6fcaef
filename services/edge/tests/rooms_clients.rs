//! Rooms without STOMP, by clients that others wrote, unmodified, against a real edge: each hears everything in order, comes
//! back by its own habit and with its token after its connection was cut (promises 2, 3, 4) and after its edge was killed
//! (promise 8), sees a refusal as the status that it is, and is told how long to wait. The scripts are in `js/rooms` and
//! `python/rooms.py`; this side keeps the edges and compares.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "rooms_clients/curl.rs"]
mod curl;
#[path = "rooms_clients/dialogue.rs"]
mod dialogue;
mod kit;

use std::process::Command;

use dialogue::{Listener, STEP, cut, encoded, say_all, say_some};
use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::script::Script;
use kit::users::Users;
use kit::{require_browser, require_clients, require_kafka, require_node, root};
use serde_json::{Value, json};

/// npm `eventsource`, the interface of browsers under Node.js.
#[test]
fn p2_p3_p4_eventsource() {
    if require_node() {
        converse(|plan| node("eventsource", plan));
    }
}

/// npm `eventsource-client`.
#[test]
fn p2_p3_p4_eventsource_client() {
    if require_node() {
        converse(|plan| node("eventsource-client", plan));
    }
}

/// npm `ws` on the plain socket; it also sends, text and octets.
#[test]
fn p1_p2_p3_p4_ws_on_the_plain_socket() {
    if require_node() {
        converse(|plan| node("ws", plan));
    }
}

/// PyPI `httpx-sse`.
#[test]
fn p2_p3_p4_httpx_sse() {
    if let Some(python) = require_clients("python") {
        converse(|plan| python_script(python, &plan));
    }
}

/// The browser's own EventSource and fetch, from a page of another origin that is allowed; one that is not gets nothing.
#[test]
fn p2_p3_p4_event_source_and_fetch_in_a_browser() {
    in_browser("EventSource");
}

/// npm `@microsoft/fetch-event-source` in a browser, where a page can send a token in `Authorization`.
#[test]
fn p2_p3_p4_fetch_event_source_in_a_browser() {
    in_browser("fetch-event-source");
}

/// Promises 3, 4 and 8: all of them listen at one edge; it is killed, much is said at another edge of the same log, and a
/// third one, which was never asked before, takes over its address.
#[test]
fn p3_p4_p8_all_of_them_go_on_at_another_edge_by_token() {
    if !require_kafka() || !require_node() {
        return;
    }
    let kafka = Kafka::start(1);
    let mut edge = Edge::on(&kafka, "one", &["--partitions", "1", "--create-topic"]);
    let address = edge.listen.clone();
    let other = Edge::on(&kafka, "other", &["--partitions", "1"]);
    let guarded = guarded(&[]);
    let mut listeners = Vec::new();
    if let Some(python) = require_clients("python") {
        listeners.push(Listener::start(&edge, &guarded.0, |plan| python_script(python, &plan)));
    }
    // The last one to leave speaks.
    for client in ["eventsource", "eventsource-client", "ws"] {
        listeners.push(Listener::start(&edge, &guarded.0, |plan| node(client, plan)));
    }
    let before = say_some(&other, "before", 3);
    listeners.iter_mut().for_each(|listener| listener.hears(&before, Some(false)));
    edge.kill9();
    let meanwhile = say_some(&other, "meanwhile", 40);
    edge = Edge::on(&kafka, "three", &["--partitions", "1", "--listen", &address]);
    listeners.iter_mut().for_each(|listener| listener.hears(&meanwhile, Some(true)));
    let after = say_some(&edge, "after", 3);
    listeners.iter_mut().for_each(|listener| listener.hears(&after, Some(false)));
    listeners.into_iter().for_each(Listener::leaves);
}

/// An edge that wants tokens, and the key that they are signed with.
fn guarded(more: &[&str]) -> (Edge, Users) {
    let users = Users::new();
    let closed: Vec<&str> = users.args().into_iter().filter(|arg| *arg != "--open-rooms").collect();
    (Edge::start(&[&["--log-memory"], &closed[..], more].concat()), users)
}

/// The whole dialogue at one edge.
fn converse(start: impl FnOnce(Value) -> Script) {
    let (edge, guarded) = (Edge::start(&["--dev"]), guarded(&[]));
    talk(&edge, &guarded.0, start);
}

fn talk(edge: &Edge, guarded: &Edge, start: impl FnOnce(Value) -> Script) {
    let mut listener = Listener::start(edge, guarded, start);
    listener.hears(&say_all(edge), Some(false));
    // What is said at once is said before anybody can be back; what is said then is heard live.
    cut(edge);
    listener.hears(&say_some(edge, "while it was away", 5), None);
    listener.hears(&say_some(edge, "live again", 2), Some(false));
    listener.leaves();
}

fn in_browser(client: &str) {
    if !require_node() || !require_browser() {
        return;
    }
    let script = root().join("services/edge/tests/js/rooms/browser.mjs");
    let mut script = Script::run(Command::new("node").arg(script).arg(json!({ "client": client }).to_string()));
    let serving = script.wait_for("the page is served", STEP, |_| true);
    let origin = serving["origin"].as_str().unwrap_or_else(|| panic!("{serving}")).to_owned();
    let (edge, guarded) = (Edge::start(&["--dev", "--allow-origin", &origin]), guarded(&["--allow-origin", &origin]));
    talk(&edge, &guarded.0, |plan| {
        script.tell(&plan);
        script
    });
}

fn node(client: &str, mut plan: Value) -> Script {
    plan["client"] = json!(client);
    let script = root().join("services/edge/tests/js/rooms/main.mjs");
    Script::run(Command::new("node").arg(script).arg(plan.to_string()))
}

fn python_script(mut python: Command, plan: &Value) -> Script {
    Script::run(python.arg(root().join("services/edge/tests/python/rooms.py")).arg(plan.to_string()))
}
