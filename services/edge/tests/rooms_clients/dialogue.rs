//! The driver's side of the dialogue: it keeps the edges, says things in the room, breaks what a client stands on, and
//! compares what the client has heard with what was stored.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::kit::edge::Edge;
use super::kit::script::Script;
use super::kit::users::Users;

/// Well above what any step takes on a busy machine with two cores.
pub(crate) const STEP: Duration = Duration::from_secs(120);
/// A room whose name says something about percent-encoding.
pub(crate) const ROOM: &str = "방/one?";
const OTHER: &str = "elsewhere";

/// An answer over HTTP: status, fields, body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// One request on a connection of its own.
#[track_caller]
pub(crate) fn ask(address: &str, method: &str, target: &str, fields: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(STEP)).unwrap();
    let length = body.len();
    let head =
        format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}{fields}\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

/// `%XX` for everything but letters and digits.
pub(crate) fn encoded(room: &str) -> String {
    room.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Says something in the room by POST; its message-id.
#[track_caller]
pub(crate) fn say(edge: &Edge, content_type: &str, body: &[u8]) -> String {
    let target = format!("/rooms/{}/messages", encoded(ROOM));
    let answer = ask(&edge.listen, "POST", &target, &format!("Content-Type: {content_type}\r\n"), body);
    assert_eq!(answer.status, 201, "{} {}", answer.head, answer.body);
    let stored: Value = serde_json::from_str(&answer.body).unwrap();
    stored["id"].as_str().unwrap().to_owned()
}

/// Bodies whose text is a test of its own: lines, quotes, what JSON escapes and what it does not, octets that are no text.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("text/plain", "안녕하세요 👋🏽 grüß dich 👩‍👩‍👧‍👦".into()),
        (
            "text/plain",
            "two\nlines\r\nand a \u{2028} third, \"quoted\" \\ \u{1}\0data: not a field\n\nid: 7\n\n".into(),
        ),
        ("application/json", br#"{"type":"TALK"}"#.to_vec()),
        ("application/octet-stream", (0..=255).collect()),
        ("text/plain", Vec::new()),
        ("text/plain", "한🎉".repeat(8_000).into()),
    ]
}

/// One client that listens in [`ROOM`].
pub(crate) struct Listener {
    script: Script,
}

impl Listener {
    /// Starts it, and waits until it is in the room.
    pub(crate) fn start(edge: &Edge, guarded: &Edge, start: impl FnOnce(Value) -> Script) -> Self {
        let mut script = start(plan(edge, guarded));
        let step = script.wait_for("the client listens", STEP, |_| true);
        assert_eq!(step["at"], "listening", "{}", step["why"].as_str().unwrap_or_default());
        Self { script }
    }

    /// It has heard exactly these, in this order, once, and goes on from the last; `replayed` must be what it says of each.
    #[track_caller]
    pub(crate) fn hears(&mut self, stored: &[(String, Vec<u8>)], replayed: Option<bool>) {
        self.script.tell(&json!({ "expect": stored.len() }));
        let step = self.script.wait_for("the client has heard that", STEP, |_| true);
        assert_eq!(step["at"], "heard", "{}", step["why"].as_str().unwrap_or_default());
        let heard = step["messages"].as_array().unwrap();
        let ids = |id: &str| heard.iter().map(|message| message[id].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let expected: Vec<_> = stored.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(ids("id"), expected);
        assert_eq!(ids("token"), expected, "what it goes on from");
        for (message, (id, body)) in heard.iter().zip(stored) {
            let text = std::str::from_utf8(body).ok();
            assert_eq!(message["body"].as_str(), text, "{id}");
            assert_eq!(message["base64"].as_str().is_some(), text.is_none(), "{id}");
            if let Some(replayed) = replayed {
                assert_eq!(message["replayed"], replayed, "{id}");
            }
        }
        if let Some(base64) = heard.iter().find_map(|message| message["base64"].as_str()) {
            assert!(base64.starts_with("AAECAwQFBgcICQ") && base64.ends_with("+/w=="), "{base64}");
        }
    }

    /// Nothing more is said to it: it leaves, tries what it is refused, and ends.
    #[track_caller]
    pub(crate) fn leaves(mut self) {
        self.script.tell(&json!({ "expect": 0 }));
        let end = self.script.wait_for("the client ends", STEP, |_| true);
        assert_eq!(end["at"], "passed", "{}", end["why"].as_str().unwrap_or_default());
    }
}

/// What a script is told of its edges.
pub(crate) fn plan(edge: &Edge, guarded: &Edge) -> Value {
    let token = Users::token_with("ann", &json!({"klatsch.subscribe": [ROOM], "klatsch.send": []}));
    json!({
        "url": format!("http://{}", edge.listen), "guarded": format!("http://{}", guarded.listen),
        "room": ROOM, "other": OTHER, "token": token,
    })
}

/// Says all of [`bodies`]; places and bodies.
#[track_caller]
pub(crate) fn say_all(edge: &Edge) -> Vec<(String, Vec<u8>)> {
    bodies().into_iter().map(|(content_type, body)| (say(edge, content_type, &body), body)).collect()
}

/// Says a few short things.
#[track_caller]
pub(crate) fn say_some(edge: &Edge, what: &str, count: usize) -> Vec<(String, Vec<u8>)> {
    (0..count).map(|n| format!("{what} {n}").into_bytes()).map(|body| (say(edge, "text/plain", &body), body)).collect()
}

/// Every connection of a developer's edge breaks.
#[track_caller]
pub(crate) fn cut(edge: &Edge) {
    assert_eq!(ask(&edge.listen, "POST", "/compare/cut", "", b"").status, 200);
}
