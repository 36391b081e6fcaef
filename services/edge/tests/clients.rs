//! STOMP clients that others wrote, unmodified, against a real edge: every one connects, subscribes, says Korean, emoji and
//! bodies of 64 KiB, waits for RECEIPTs, loses its edge twice and comes back by its own habit, is refused a destination
//! and a token, and leaves. Each has a script in `js/clients`, `python` or `java`, which checks what the client saw; this
//! side keeps the edge, breaks it, and listens in the room, octet by octet, with a client of its own.
//!
//! The dialogue proves, for each client on each transport, of `stomp.md`: F12, F13, S02, S03, S04, S08, S09, U04, U07,
//! M01, M02, M03, M05, M06, M07, R01, R02, D01, D05, E01, E02, E03, V01, V06, V10, W05, W19, P18.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::process::Command;
use std::time::Duration;

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::script::Script;
use kit::users::Users;
use kit::wire::Wire;
use kit::{eventually, require_clients, require_kafka, require_node, root};
use serde_json::{Value, json};

/// Well above what any step takes on a busy machine with two cores.
const STEP: Duration = Duration::from_secs(60);
/// One partition, so that all rooms have one order.
const EDGE: [&str; 3] = ["--log-memory", "--partitions", "1"];
const SIZE: usize = 65_536;

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
    python(Transport::WebSocket);
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
            "playwright-core" | "rxjs" | "ws" => {}
            "stompjs-5" | "stompjs-6" => assert!(row("`@stomp/stompjs`").contains(version), "{name} {version}"),
            name => assert!(row(&format!("`{name}`")).contains(version), "{name} {version}"),
        }
    }
    let python = read("python/requirements.txt");
    let version = python.lines().find_map(|line| line.strip_prefix("stomp-py==")?.split(' ').next()).unwrap();
    assert!(row("`stomp.py`").contains(version), "stomp.py {version}");
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

fn python(transport: Transport) {
    if let Some(mut python) = require_clients("python") {
        let script = root().join("services/edge/tests/python/clients.py");
        converse(&EDGE, transport, None, |plan| Script::run(python.arg(script).arg(plan.to_string())));
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

#[derive(Clone, Copy)]
enum Transport {
    WebSocket,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
        }
    }

    fn url(self, edge: &Edge) -> String {
        match self {
            Self::WebSocket => edge.url(),
        }
    }
}

/// The driver's side of the dialogue. With `other`, an edge on the same log, something is said there while the first one
/// is dead, and the client is asked to resume.
fn converse(log: &[&str], transport: Transport, other: Option<&Edge>, start: impl FnOnce(Value) -> Script) {
    let users = Users::new();
    let guarded = Edge::start(&[&EDGE[..], &users.args()[..]].concat());
    let mut edge = Edge::start(log);
    let address = edge.listen.clone();
    let again = || Edge::start(&[log, &["--listen", &address]].concat());
    let mut peer = Some(Wire::connect(&edge));
    peer.as_mut().unwrap().subscribe("0", "/topic/room");
    let token = Users::token("ann");
    let mut script = start(json!({
        "transport": transport.name(), "room": "room", "resumes": other.is_some(),
        "url": transport.url(&edge), "guarded": transport.url(&guarded),
        "token": token, "wrong": format!("{}.{}", token.rsplit_once('.').unwrap().0, "A".repeat(43)),
    }));
    for expected in ["said", "drain", "kill", "passed"] {
        let step = script.wait_for("the script goes on", STEP, |_| true);
        assert_eq!(step["at"], expected, "{}", step["why"].as_str().unwrap_or_default());
        match expected {
            "said" => hear(peer.take().unwrap(), &step),
            "drain" => {
                assert_no_fault(&edge);
                assert!(edge.terminate(STEP).success());
                edge = again();
            }
            "kill" => {
                edge.kill9();
                if let Some(other) = other {
                    Wire::connect(other).send("/topic/room", "said meanwhile");
                }
                edge = again();
            }
            _ => break,
        }
        script.tell(&json!({}));
    }
    for edge in [&edge, &guarded] {
        eventually("all sessions end", STEP, || (edge.metric("klatsch_connections") == 0.0).then_some(()));
        assert_no_fault(edge);
    }
    assert!(guarded.metric("klatsch_connections_closed_total{code=\"bad_credentials\"}") >= 1.0);
}

/// The room as it is heard elsewhere: what the client said, octet by octet, where its RECEIPTs say; then an answer.
fn hear(mut peer: Wire, step: &Value) {
    let stored = step["stored"].as_array().unwrap();
    let names: Vec<_> = stored.iter().map(|said| said[0].as_str().unwrap()).collect();
    assert!(names.starts_with(&["greeting", "ascii", "korean", "json"]), "{names:?}");
    for (name, said) in names.into_iter().zip(stored) {
        let message = peer.expect("MESSAGE");
        let (content_type, body) = body(name);
        assert!(message.body == body, "{name}: {} octets, not the {} expected", message.body.len(), body.len());
        assert_eq!(message.header("message-id"), said[1].as_str(), "{name}: the RECEIPT named another place");
        assert_eq!(message.header("content-type"), Some(content_type));
        assert_eq!(message.header("content-length"), Some(&*body.len().to_string()), "F13, F18");
        assert_eq!(message.header("x-colour"), step["colour"].as_str(), "S03");
    }
    let headers = [("destination", "/topic/room"), ("content-type", "text/plain;charset=utf-8")];
    peer.say("SEND", &headers, "나도 들려요 👋");
    assert_eq!(peer.message(), "나도 들려요 👋");
    assert_eq!(peer.leave(), []);
}

fn body(name: &str) -> (&'static str, Vec<u8>) {
    let text = "text/plain;charset=utf-8";
    match name {
        "greeting" => (text, "안녕하세요, 여러분! 👋🏽🎉 grüß dich 👩‍👩‍👧‍👦".into()),
        "ascii" => ("text/plain", "0123456789abcdef".repeat(SIZE / 16).into()),
        "korean" => (text, format!("🎉{}", "한".repeat((SIZE - 4) / 3)).into()),
        "json" => ("application/json", r#"{"type":"TALK","message":"줄\n바꿈: \"따옴표\" \\ 🎈"}"#.to_owned().into()),
        "octets" => ("application/octet-stream", (0..SIZE).map(|at| at as u8).collect()),
        other => panic!("{other}"),
    }
}

/// No client broke a rule of STOMP or WebSocket in the edge's eyes, and none was too slow.
#[track_caller]
fn assert_no_fault(edge: &Edge) {
    let (_, metrics) = edge.admin_get("/metrics");
    for code in [
        "malformed",
        "out_of_turn",
        "not_open",
        "already_open",
        "websocket_protocol",
        "websocket_not_utf8",
        "too_large",
        "heart_beat_lost",
        "slow",
        "internal",
    ] {
        let name = format!("klatsch_connections_closed_total{{code=\"{code}\"}}");
        assert_eq!(kit::metric(&metrics, &name), Some(0.0), "{code}");
    }
}
