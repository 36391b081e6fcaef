//! STOMP clients that others wrote, unmodified, against a real edge: every one connects, subscribes, says Korean, emoji and
//! bodies of 64 KiB, waits for RECEIPTs, loses its edge twice and comes back by its own habit, is refused a destination
//! and a token, and leaves. Each has a script in `js/clients`, `python` or `java`, which checks what the client saw; this
//! side keeps the edge, breaks it, and listens in the room, octet by octet, with a client of its own.
//!
//! The dialogue proves, for each client on each transport, of `stomp.md`: F12, F13, S02, S03, S04, S08, S09, U04, U07,
//! M01, M02, M03, M05, M06, M07, R01, R02, D01, D05, E01, E02, E03, V01, V06, V10, W05, W19, P18.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "clients/dialogue.rs"]
mod dialogue;
mod kit;

use std::process::Command;

use dialogue::{EDGE, Transport, converse};
use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::script::Script;
use kit::{require_clients, require_kafka, require_node, root};
use serde_json::{Value, json};

/// `@stomp/stompjs` 7; also with frames forced to binary, as React Native needs it, and split at 16 KiB (W04, W07, Q13, Q14).
#[test]
fn stompjs_7_over_websocket() {
    js("stompjs-7", Transport::WebSocket);
}

/// `@stomp/stompjs` 6, with the same variants (W04, W07, Q13, Q14).
#[test]
fn stompjs_6_over_websocket() {
    js("stompjs-6", Transport::WebSocket);
}

/// `@stomp/stompjs` 5, with the same variants (W04, W07, Q13, Q14).
#[test]
fn stompjs_5_over_websocket() {
    js("stompjs-5", Transport::WebSocket);
}

/// `@stomp/rx-stomp`, which subscribes again by itself.
#[test]
fn rx_stomp_over_websocket() {
    js("rx-stomp", Transport::WebSocket);
}

/// `stompjs` 2.3.3: STOMP 1.1, splits at 16 KiB (W07), reads one text frame per message (W13, W14, W15, W16), unescapes
/// nothing (W17), says DISCONNECT and closes at once (W20).
#[test]
fn stompjs_2_over_websocket() {
    js("stompjs-2", Transport::WebSocket);
}

/// `webstomp-client`, also in binary, where its splits fall into characters (W04, W07); W13, W14, W16, W17, W20.
#[test]
fn webstomp_over_websocket() {
    js("webstomp", Transport::WebSocket);
}

/// PyPI `stomp.py`, `WSStompConnection`.
#[test]
fn stomp_py_over_websocket() {
    python(Transport::WebSocket, "1.2");
}

/// SockJS where WebSocket passes, and where only its fall-backs do; frames split by the client here too (W07, J11, J15, J16).
#[test]
fn stompjs_7_over_sockjs() {
    js("stompjs-7", Transport::SockJs);
}

#[test]
fn stompjs_7_over_sockjs_without_websocket() {
    js("stompjs-7", Transport::Xhr);
}

#[test]
fn stompjs_6_over_sockjs() {
    js("stompjs-6", Transport::SockJs);
}

#[test]
fn stompjs_5_over_sockjs() {
    js("stompjs-5", Transport::SockJs);
}

#[test]
fn rx_stomp_over_sockjs() {
    js("rx-stomp", Transport::SockJs);
}

#[test]
fn stompjs_2_over_sockjs() {
    js("stompjs-2", Transport::SockJs);
}

#[test]
fn webstomp_over_sockjs() {
    js("webstomp", Transport::SockJs);
}

#[test]
fn webstomp_over_sockjs_without_websocket() {
    js("webstomp", Transport::Xhr);
}

/// Spring's `WebSocketStompClient` on two WebSocket clients: Tomcat's and Tyrus.
#[test]
fn spring_over_websocket_with_tomcat() {
    java("tomcat", Transport::WebSocket);
}

#[test]
fn spring_over_websocket_with_tyrus() {
    java("tyrus", Transport::WebSocket);
}

/// Spring's `SockJsClient` under it.
#[test]
fn spring_over_sockjs() {
    java("tomcat", Transport::SockJs);
}

#[test]
fn spring_over_sockjs_without_websocket() {
    java("tomcat", Transport::Xhr);
}

/// PyPI `stomp.py` on TCP, a class for each version (F26, V05, V06, U02, H01, H02, H03).
#[test]
fn stomp_py_1_2_over_tcp() {
    python(Transport::Tcp, "1.2");
}

#[test]
fn stomp_py_1_1_over_tcp() {
    python(Transport::Tcp, "1.1");
}

#[test]
fn stomp_py_1_0_over_tcp() {
    python(Transport::Tcp, "1.0");
}

/// `@stomp/stompjs` on `@stomp/tcp-wrapper` (F26).
#[test]
fn stompjs_7_over_tcp() {
    js("stompjs-7", Transport::Tcp);
}

/// Promises 3 and 8 for a page as it is: the edge dies, the room goes on elsewhere, `@stomp/stompjs` comes back with
/// `x-from` and gets what it missed.
#[test]
fn p3_p8_stompjs_7_over_websocket_with_kafka() {
    if !require_kafka() || !require_node() {
        return;
    }
    let kafka = Kafka::start(1);
    let bootstrap = kafka.bootstrap();
    let log = ["--kafka", &bootstrap, "--partitions", "1"];
    let other = Edge::start(&[&log[..], &["--instance", "other", "--create-topic"]].concat());
    converse(&[&log[..], &["--instance", "one"]].concat(), Transport::WebSocket, Some(&other), |plan| {
        node("stompjs-7", plan)
    });
}

/// `deploy/clients.md` names what is tested here, by the versions in the lock files.
#[test]
fn the_page_about_clients_has_their_versions() {
    let page = std::fs::read_to_string(root().join("deploy/clients.md")).unwrap();
    let row = |client: &str| page.lines().find(|line| line.starts_with("| ") && line.contains(client)).unwrap();
    let read = |file: &str| std::fs::read_to_string(root().join("services/edge/tests").join(file)).unwrap();
    let npm: Value = serde_json::from_str(&read("js/package.json")).unwrap();
    for (name, version) in npm["dependencies"].as_object().unwrap() {
        let version = version.as_str().unwrap().rsplit('@').next().unwrap();
        match name.as_str() {
            "playwright-core" | "rxjs" => {}
            "stompjs-5" | "stompjs-6" => assert!(row("`@stomp/stompjs`").contains(version), "{name} {version}"),
            name => assert!(row(&format!("`{name}`")).contains(version), "{name} {version}"),
        }
    }
    let python = read("python/requirements.txt");
    for (package, client) in [("stomp-py", "stomp.py"), ("httpx-sse", "httpx-sse")] {
        let begin = format!("{package}==");
        let version = python.lines().find_map(|line| line.strip_prefix(&begin)?.split(' ').next()).unwrap();
        assert!(row(&format!("`{client}`")).contains(version), "{client} {version}");
    }
    let java = read("java/pom.xml");
    let version = java.split_once("<spring.version>").unwrap().1.split('<').next().unwrap();
    assert!(row("`WebSocketStompClient`").contains(version), "Spring {version}");
}

fn js(client: &str, transport: Transport) {
    if require_node() {
        converse(&EDGE, transport, None, |plan| node(client, plan));
    }
}

fn node(client: &str, mut plan: Value) -> Script {
    plan["client"] = json!(client);
    let script = root().join("services/edge/tests/js/clients/main.mjs");
    Script::run(Command::new("node").arg(script).arg(plan.to_string()))
}

fn python(transport: Transport, version: &str) {
    if let Some(mut python) = require_clients("python") {
        let script = root().join("services/edge/tests/python/clients.py");
        converse(&EDGE, transport, None, |mut plan| {
            plan["version"] = json!(version);
            Script::run(python.arg(script).arg(plan.to_string()))
        });
    }
}

fn java(client: &str, transport: Transport) {
    if let Some(mut java) = require_clients("java") {
        converse(&EDGE, transport, None, |mut plan| {
            plan["client"] = json!(client);
            Script::run(java.arg(plan.to_string()))
        });
    }
}
