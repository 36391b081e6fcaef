//! The driver's side of the dialogue: it keeps the edge, breaks it, listens in the room with a client of its own, and knows
//! the bodies that the scripts send.

use std::time::Duration;

use serde_json::{Value, json};

use super::kit::edge::Edge;
use super::kit::script::Script;
use super::kit::users::Users;
use super::kit::wire::Wire;
use super::kit::{eventually, metric};

/// Well above what any step takes on a busy machine with two cores.
const STEP: Duration = Duration::from_secs(60);
/// One partition, so that all rooms have one order.
pub(crate) const EDGE: [&str; 3] = ["--log-memory", "--partitions", "1"];
const SIZE: usize = 65_536;

/// What a client connects over.
#[derive(Clone, Copy)]
pub(crate) enum Transport {
    WebSocket,
    /// SockJS as its clients choose: on WebSocket.
    SockJs,
    /// SockJS's fall-backs alone.
    Xhr,
    Tcp,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::SockJs => "sockjs",
            Self::Xhr => "xhr",
            Self::Tcp => "tcp",
        }
    }

    fn url(self, edge: &Edge) -> String {
        match self {
            Self::WebSocket => edge.url(),
            Self::SockJs | Self::Xhr => format!("http://{}/ws", edge.listen),
            Self::Tcp => format!("tcp://{}", edge.stomp),
        }
    }

    /// Starts an edge on this log that is reached so; with `before`, at the addresses of that one.
    fn edge(self, args: &[&str], before: Option<(&str, &str)>) -> Edge {
        let (listen, stomp) = before.unwrap_or(("127.0.0.1:0", "127.0.0.1:0"));
        let places = ["--listen", listen, "--stomp-listen", stomp];
        Edge::start(&[args, if matches!(self, Self::Tcp) { &places } else { &places[..2] }].concat())
    }
}

/// The driver's side of the dialogue. With `other`, an edge on the same log, something is said there while the first one
/// is dead, and the client is asked to resume.
pub(crate) fn converse(log: &[&str], transport: Transport, other: Option<&Edge>, start: impl FnOnce(Value) -> Script) {
    let users = Users::new();
    let guarded = transport.edge(&[&EDGE[..], &users.args()[..]].concat(), None);
    let mut edge = transport.edge(log, None);
    let (listen, stomp) = (edge.listen.clone(), edge.stomp.clone());
    let again = || transport.edge(log, Some((&listen, &stomp)));
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
        assert_eq!(metric(&metrics, &name), Some(0.0), "{code}");
    }
}
