//! `POST /rooms/{room}/messages`: one message. p1 to p10 are the promises of the README.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kit;

use std::time::Duration;

use kit::edge::Edge;
use kit::events::Events;
use kit::http::{Http, ask, bodies};
use kit::users::Users;
use kit::wire::{PATIENCE, Wire};
use serde_json::json;

const ROOM: &str = "/rooms/K%C3%BCche%2F2/messages";

fn edge() -> Edge {
    Edge::start(&["--log-memory"])
}

/// p1, p2: 201 names the place at which everybody reads it, in the order of the requests, octet for octet; many requests on
/// one connection.
#[test]
fn p1_p2_what_is_stored_is_what_was_posted() {
    let edge = edge();
    let mut reader = Wire::connect(&edge);
    reader.subscribe("0", "/topic/Küche/2");
    let mut http = Http::to(&edge);
    let large = vec![b'x'; 64 * 1024];
    let posted: [(&str, &[u8]); 6] = [
        ("text/plain;charset=utf-8", "grüß dich".as_bytes()),
        ("application/octet-stream", &[0xff, 0, 1, 0, b'\n']),
        ("text/x", b"\0SEND\ndestination:/topic/other\n\n\0"),
        ("", b""),
        ("a/b", &large),
        ("application/json", b"{\"a\":1}"),
    ];
    for (content_type, body) in posted {
        let fields: &[_] = if content_type.is_empty() { &[] } else { &[("Content-Type", content_type)] };
        let answer = http.ask("POST", ROOM, fields, body);
        assert_eq!((answer.status, answer.field("content-type")), (201, Some("application/json")), "{answer:?}");
        assert_eq!((answer.field("cache-control"), answer.field("connection")), (Some("no-store"), None));
        let stored = answer.json();
        let message = reader.expect("MESSAGE");
        let timestamp = message.header("timestamp").unwrap().parse::<i64>().unwrap();
        let expected = json!({"id": message.header("message-id").unwrap(), "room": "Küche/2", "timestamp": timestamp});
        assert_eq!(stored, expected);
        assert_eq!((message.header("content-type").unwrap_or_default(), &*message.body), (content_type, body));
        assert_eq!(message.header("sender"), Some("guest"));
    }
    // Chunks, and a request that asks first.
    http.say("POST", ROOM, &[("Transfer-Encoding", "chunked"), ("Expect", "100-continue")], b"");
    assert_eq!(http.answer().status, 100);
    ["a", "", "b"].iter().filter(|part| !part.is_empty()).for_each(|part| http.chunk(part.as_bytes()));
    http.chunk(b"");
    assert_eq!((http.answer().status, reader.message()), (201, "ab".to_owned()));
}

/// p4: a key stores once, whoever carries it, STOMP too; another sender's key is another.
#[test]
fn p4_a_key_stores_once() {
    let users = Users::new();
    let edge = Edge::start(&[&["--log-memory"], &*users.args()].concat());
    let bearer = |name: &str| format!("Bearer {}", Users::token(name));
    let (ann, bob) = (bearer("ann"), bearer("bob"));
    let post = |who: &str, key: &str| {
        let answer = ask(&edge, "POST", ROOM, &[("Authorization", who), ("Idempotency-Key", key)], key);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    };
    let first = post(&ann, "k:\\1");
    assert_eq!(post(&ann, "k:\\1"), first, "place and time are the first one's");
    assert_ne!(post(&bob, "k:\\1")["id"], first["id"]);
    assert_ne!(post(&ann, "k:\\2")["id"], first["id"]);
    let mut stomp = Users::connect(&edge, "ann");
    let headers = [("destination", "/topic/Küche/2"), ("receipt", "r"), ("x-idempotency-key", "k:\\1")];
    stomp.say("SEND", &headers, "again");
    assert_eq!(stomp.receipt("r").header("message-id"), first["id"].as_str());
    let answer = ask(&edge, "GET", ROOM, &[("Authorization", &*ann)], "");
    assert_eq!(bodies(&answer), ["k:\\1", "k:\\1", "k:\\2"]);
    assert_eq!(answer.json()["messages"][0]["idempotency_key"], "k:\\1");
    assert_eq!([0, 1, 2].map(|at| answer.json()["messages"][at]["sender"].clone()), ["ann", "bob", "ann"]);
}

/// p6: the sender is the token's, whatever the request says; nothing of its fields reaches the room but what a message has.
#[test]
fn p6_the_token_says_who_it_is() {
    let users = Users::new();
    let edge = Edge::start(&[&["--log-memory", "--auth-cookie", "session"], &*users.args()].concat());
    let mut reader = Users::connect(&edge, "reader");
    reader.subscribe("0", "/topic/r");
    let (bearer, token) = (format!("Bearer {}", Users::token("ann")), Users::token("ann"));
    let cookie = format!("session={token}");
    for (target, field) in [
        ("/rooms/r/messages".to_owned(), ("Authorization", bearer.as_str())),
        ("/rooms/r/messages".to_owned(), ("Cookie", &cookie)),
        (format!("/rooms/r/messages?token={token}&sender=eve"), ("X-None", "x")),
    ] {
        let fields = [field, ("Sender", "eve"), ("X-Sender", "eve"), ("Content-Type", "text/plain\tsender:eve")];
        assert_eq!(ask(&edge, "POST", &target, &fields, "hello").status, 201, "{}", field.0);
        let message = reader.expect("MESSAGE");
        assert_eq!(message.header("sender"), Some("ann"));
        let mut names: Vec<&str> = message.headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let known =
            ["content-length", "content-type", "destination", "message-id", "sender", "subscription", "timestamp"];
        assert_eq!(names, known);
        assert!(!format!("{message:?}").contains(&token));
    }
    let two = [("Authorization", &*bearer), ("Cookie", &*format!("session={}", Users::token("bob")))];
    assert_eq!(ask(&edge, "POST", "/rooms/r/messages", &two, "x").problem()["status"], 401);
    assert!(!edge.log().contains(&token));
}

/// `queued` is answered when the edge has it, and it is stored; what is refused at once is told.
#[test]
fn p1_queued_is_stored_too() {
    let users = Users::new();
    let closed = users.args().into_iter().filter(|arg| *arg != "--open-rooms");
    let edge = Edge::start(&["--log-memory"].into_iter().chain(closed).collect::<Vec<_>>());
    let rights = json!({"klatsch": {"send": ["r"], "subscribe": ["r"]}});
    let bearer = format!("Bearer {}", Users::token_with("ann", &rights));
    let fields = [("Authorization", bearer.as_str()), ("Idempotency-Key", "k")];
    let (mut events, _) = Events::open(&edge, "/rooms/r/events", &fields[..1]);
    let mut http = Http::to(&edge);
    for count in [1, 2] {
        let answer = http.ask("POST", "/rooms/r/messages?receipt=queued", &fields[..count], b"later");
        assert_eq!((answer.status, answer.json()), (202, json!({"room": "r"})));
        assert_eq!(events.bodies(1), ["later"]);
    }
    let refused = http.ask("POST", "/rooms/s/messages?receipt=queued", &fields, b"never").problem();
    assert_eq!((&refused["code"], &refused["outcome"]), (&"forbidden".into(), &"refused".into()));
}

/// Every way in which a message is not taken has its status, and says that it is not stored.
#[test]
fn p5_refusals_are_statuses() {
    let users = Users::new();
    let closed = users.args().into_iter().filter(|arg| *arg != "--open-rooms");
    let more = ["--log-memory", "--max-body", "1000", "--send-rate", "2", "--allow-origin", "https://page.example"];
    let edge = Edge::start(&more.into_iter().chain(closed).collect::<Vec<_>>());
    let rights = json!({"klatsch": {"send": ["r", "s*"], "subscribe": []}});
    let bearer = format!("Bearer {}", Users::token_with("ann", &rights));
    let ann = ("Authorization", bearer.as_str());
    let large = "x".repeat(1001);
    let huge = "x".repeat(9000);
    let post = |target: &str, fields: &[(&str, &str)], body: &str| ask(&edge, "POST", target, fields, body);
    for (target, fields, body, status, code) in [
        ("/rooms/r/messages", vec![], "x", 401, "bad_credentials"),
        ("/rooms/r/messages", vec![("Authorization", "Bearer nonsense")], "x", 401, "bad_credentials"),
        ("/rooms/other/messages", vec![ann], "x", 403, "forbidden"),
        ("/rooms/r/messages", vec![ann, ("Origin", "https://evil.example")], "x", 403, "origin"),
        ("/rooms/%00/messages", vec![ann], "x", 404, "unknown_destination"),
        ("/rooms/a*/messages", vec![ann], "x", 404, "unknown_destination"),
        ("/rooms//messages", vec![ann], "x", 404, "unknown_destination"),
        ("/rooms/r/messages?receipt=maybe", vec![ann], "x", 400, "malformed"),
        ("/rooms/r/messages?receipt=stored&receipt=stored", vec![ann], "x", 400, "malformed"),
        ("/rooms/r/messages?%zz", vec![ann], "x", 400, "malformed"),
        ("/rooms/r/messages", vec![ann, ("Idempotency-Key", "a"), ("Idempotency-Key", "b")], "x", 400, "malformed"),
        ("/rooms/r/messages", vec![ann, ("Content-Type", "\u{fc}"), ("Content-Type", "a/b")], "x", 400, "malformed"),
        ("/rooms/r/messages", vec![ann, ("Content-Encoding", "gzip")], "x", 415, "unsupported"),
        ("/rooms/r/messages", vec![ann], &large, 413, "too_large"),
        ("/rooms/r/messages", vec![ann, ("Idempotency-Key", &huge)], "x", 413, "too_large"),
        ("/rooms/r/messages", vec![ann, ("Content-Type", "\u{fc}\u{0}")], "x", 400, ""),
    ] {
        let answer = post(target, &fields, body);
        assert_eq!(answer.status, status, "{target} {fields:?}: {answer:?}");
        // What is no HTTP at all is hyper's to refuse.
        if !code.is_empty() {
            let problem = answer.problem();
            assert_eq!(problem["code"], code, "{problem}");
            assert_eq!(problem["outcome"], if code == "origin" { json!(null) } else { "refused".into() }, "{problem}");
        }
    }
    let statuses: Vec<u16> = (0..3).map(|_| post("/rooms/s1/messages", &[ann], "x").status).collect();
    assert_eq!(statuses, [201, 201, 429]);
    let problem = post("/rooms/s1/messages", &[ann], "x").problem();
    assert_eq!((&problem["code"], &problem["retry_after"]), (&"rate_limited".into(), &1.into()));

    let answer = ask(&edge, "PUT", "/rooms/r/messages", &[ann], "");
    assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD, POST, OPTIONS")));
    let preflight = [("Origin", "https://page.example"), ("Access-Control-Request-Headers", "idempotency-key")];
    let answer = ask(&edge, "OPTIONS", "/rooms/r/messages", &preflight, "");
    assert_eq!(answer.field("access-control-allow-headers"), Some("idempotency-key"));
    assert_eq!(answer.field("access-control-allow-methods"), Some("GET, HEAD, POST, OPTIONS"));
    let allowed = post("/rooms/r/messages", &[("Origin", "https://page.example")], "x");
    assert_eq!(allowed.field("access-control-allow-origin"), Some("https://page.example"));
    assert_eq!(allowed.field("access-control-expose-headers"), Some("ETag, Retry-After"));
    assert_eq!(allowed.field("www-authenticate"), Some("Bearer"));
}

/// 413 reaches a client that is still sending; 401 comes without the body being asked for.
#[test]
fn a_refusal_reaches_who_still_sends() {
    let users = Users::new();
    let edge = Edge::start(&[&["--log-memory"], &*users.args()].concat());
    let bearer = format!("Bearer {}", Users::token("ann"));
    let mut http = Http::to(&edge);
    let answer = http.ask("POST", ROOM, &[("Authorization", &bearer)], &vec![b'x'; 300_000]);
    assert_eq!(answer.status, 413);
    assert_eq!(http.ask("POST", ROOM, &[("Authorization", &bearer)], b"x").status, 201, "on the same connection");
    let mut http = Http::to(&edge);
    http.raw(
        format!("POST {ROOM} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n").as_bytes(),
    );
    assert_eq!(http.answer().status, 401);
}

/// D04: who goes away in the middle of a body has said nothing, and nothing is left of its session.
#[test]
fn d04_a_client_that_goes_away() {
    let edge = edge();
    let mut reader = Wire::connect(&edge);
    reader.subscribe("0", "/topic/r");
    let mut half = Http::to(&edge);
    half.raw(b"POST /rooms/r/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    kit::eventually("its session", PATIENCE, || (poll_sessions(&edge) == 1.0).then_some(()));
    drop(half);
    kit::eventually("no session", PATIENCE, || (poll_sessions(&edge) == 0.0).then_some(()));
    // Who does not wait for the answer does not know what became of it: it is there as a whole, or not at all.
    for n in 0..20 {
        Http::to(&edge).say("POST", "/rooms/r/messages", &[], format!("whole {n}").as_bytes());
    }
    Http::to(&edge).post("/rooms/r/messages", "the end");
    let heard: Vec<String> = std::iter::repeat_with(|| reader.message()).take_while(|body| body != "the end").collect();
    assert!(heard.iter().all(|body| body.starts_with("whole ") && body.len() <= 8), "{heard:?}");
    kit::eventually("no session", PATIENCE, || (poll_sessions(&edge) == 0.0).then_some(()));
}

fn poll_sessions(edge: &Edge) -> f64 {
    let text = edge.admin_get("/metrics").1;
    let line = text.lines().find_map(|line| line.strip_prefix("klatsch_transport_sessions{transport=\"poll\"} "));
    line.unwrap().parse().unwrap()
}

/// A body that does not come is not waited for longer than a frame.
#[test]
fn a_body_has_to_come_in_time() {
    let edge = Edge::start(&["--log-memory", "--frame-timeout", "2s"]);
    let mut http = Http::to(&edge);
    http.raw(b"POST /rooms/r/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    let answer = http.answer();
    assert_eq!((answer.status, &answer.problem()["code"]), (400, &"frame_timeout".into()));
}

/// An edge that goes answers what it has, takes nothing new, and ends; `--http-api off` knows no rooms.
#[test]
fn p8_an_edge_that_goes_says_so() {
    let mut edge = edge();
    let mut http = Http::to(&edge);
    http.post(ROOM, "before");
    let mut stays = Wire::connect(&edge);
    edge.signal(rustix::process::Signal::TERM);
    kit::eventually("503", PATIENCE, || {
        let answer = ask(&edge, "POST", ROOM, &[], "late");
        (answer.status == 503).then(|| {
            assert_eq!((answer.field("connection"), &answer.problem()["code"]), (Some("close"), &"draining".into()));
        })
    });
    stays.closed(1012);
    assert!(edge.exit(Duration::from_secs(10)).success());
    let edge = Edge::start(&["--log-memory", "--http-api", "off"]);
    assert_eq!(ask(&edge, "POST", ROOM, &[], "x").status, 404);
}
