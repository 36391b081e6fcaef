//! Batches: `POST /rooms/{room}/messages` with a message on each line. p1 to p10 are the promises of the README.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kit;

use kit::edge::Edge;
use kit::http::{Http, ask, bodies};
use kit::users::Users;
use kit::wire::Wire;
use serde_json::{Value, json};

const NDJSON: (&str, &str) = ("Content-Type", "Application/X-NDJSON; charset=utf-8");
const ROOM: &str = "/rooms/r/messages";

fn edge() -> Edge {
    Edge::start(&["--log-memory"])
}

fn statuses(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["status"].as_u64().unwrap()).collect()
}

/// p1, p2: a line for each line, in their order, which is that of the room; what a line says is what everybody gets.
#[test]
fn p1_p2_a_line_for_each_line() {
    let edge = edge();
    let mut reader = Wire::connect(&edge);
    reader.subscribe("0", "/topic/r");
    let lines = [
        r#"{"body":"schön","content_type":"text/plain","headers":{"b":"1:\n","a":"2"}}"#,
        r#"{"body_base64":"/wA="}"#,
        r#"{"body":"","idempotency_key":"k"}"#,
        r#"{"body":"again","idempotency_key":"k"}"#,
    ];
    let answer = ask(&edge, "POST", ROOM, &[NDJSON], lines.join("\n"));
    assert_eq!(answer.status, 200);
    let answers = answer.lines();
    assert_eq!(answers.len(), 4);
    assert_eq!(answers[2], answers[3], "p4: the key stores once");
    for (answer, (content_type, body)) in
        answers.iter().zip([("text/plain", "schön".as_bytes()), ("", &[0xff, 0]), ("", b"")])
    {
        let message = reader.expect("MESSAGE");
        let timestamp: i64 = message.header("timestamp").unwrap().parse().unwrap();
        let id = message.header("message-id").unwrap();
        assert_eq!(*answer, json!({"status": 201, "id": id, "room": "r", "timestamp": timestamp}));
        assert_eq!((message.header("content-type").unwrap_or_default(), &*message.body), (content_type, body));
        if content_type == "text/plain" {
            assert_eq!((message.header("b"), message.header("a")), (Some("1:\n"), Some("2")));
        }
    }
    assert_eq!(ask(&edge, "POST", ROOM, &[NDJSON], "\n\n").lines(), [] as [Value; 0]);
    let queued = ask(&edge, "POST", &format!("{ROOM}?receipt=queued"), &[NDJSON], "{\"body\":\"q\"}\n{}\n").lines();
    assert!(matches!(statuses(&queued)[..], [201 | 202, 400]), "{queued:?}");
    assert_eq!(reader.message(), "q");
}

/// p6: one refused line stops no other, and none sets what is the edge's to say.
#[test]
fn p6_a_refused_line_stops_no_other() {
    let edge = Edge::start(&["--log-memory", "--max-body", "100"]);
    let large = format!(r#"{{"body":"{}"}}"#, "x".repeat(101));
    let huge = format!(r#"{{"body":"{}"}}"#, "x".repeat(200_000));
    let long = format!(r#"{{"body":"x","headers":{{"a":"{}"}}}}"#, "x".repeat(9_000));
    let many: Vec<String> = (0..101).map(|n| format!(r#""h{n}":"""#)).collect();
    let many = format!(r#"{{"body":"x","headers":{{{}}}}}"#, many.join(","));
    let refused = [
        ("nonsense", 400),
        (r#"{"body":"x","sender":"eve"}"#, 400),
        (r#"{"body":"x","headers":{"Sender":"eve"}}"#, 400),
        (r#"{"body":"x","headers":{"destination":"/topic/other"}}"#, 400),
        (r#"{"body":"x","headers":{"transaction":"t"}}"#, 400),
        (r#"{"body":"x","headers":{"receipt":"7"}}"#, 400),
        (r#"{"body":"x","headers":{"authorization":"secret"}}"#, 400),
        (r#"{"body":"x","headers":{"":"x"}}"#, 400),
        (r#"{"body":"x","headers":{"a":"\u0000"}}"#, 400),
        (&large, 413),
        (&huge, 413),
        (&long, 413),
        (&many, 413),
    ];
    let mut body = String::new();
    for (line, _) in refused {
        body += &format!("{line}\n{{\"body\":\"good\"}}\n");
    }
    let lines = ask(&edge, "POST", ROOM, &[NDJSON], body).lines();
    assert_eq!(statuses(&lines), refused.iter().flat_map(|(_, status)| [*status, 201]).collect::<Vec<_>>());
    for problem in lines.iter().step_by(2) {
        assert_eq!((&problem["outcome"], &problem["type"]), (&"refused".into(), &"about:blank".into()), "{problem}");
    }
    let there = bodies(&ask(&edge, "GET", ROOM, &[], ""));
    assert_eq!(there, vec!["good"; refused.len()]);
}

/// L04: a thousand lines and no more; the others are told so in one.
#[test]
fn l04_a_thousand_lines() {
    let edge = edge();
    let batch = |count: usize| (0..count).map(|n| format!("{{\"body\":\"{n}\"}}\n")).collect::<String>();
    let lines = ask(&edge, "POST", ROOM, &[NDJSON], batch(1_000)).lines();
    assert_eq!(statuses(&lines), vec![201; 1_000]);
    let answer = ask(&edge, "GET", &format!("{ROOM}?limit=1000"), &[], "");
    assert_eq!(bodies(&answer), (0..1_000).map(|n| n.to_string()).collect::<Vec<_>>());
    let ids: Vec<_> = answer.json()["messages"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect();
    assert_eq!(lines.iter().map(|line| line["id"].clone()).collect::<Vec<_>>(), ids);

    let lines = ask(&edge, "POST", "/rooms/s/messages", &[NDJSON], batch(1_003)).lines();
    assert_eq!(statuses(&lines), [vec![201; 1_000], vec![413]].concat());
    assert!(lines[1_000]["detail"].as_str().unwrap().contains("1000 lines"), "{}", lines[1_000]);
    let last = ask(&edge, "GET", "/rooms/s/messages?limit=1", &[], "");
    assert_eq!(bodies(&last), ["999"]);
}

/// Lines are stored while others are still to come; who breaks off has said what it has said.
#[test]
fn p1_lines_are_sent_while_they_arrive() {
    let edge = edge();
    let mut reader = Wire::connect(&edge);
    reader.subscribe("0", "/topic/r");
    let mut http = Http::to(&edge);
    http.say("POST", ROOM, &[NDJSON, ("Transfer-Encoding", "chunked")], b"");
    http.chunk(b"{\"body\":\"one\"}\n{\"body\":");
    assert_eq!(reader.message(), "one");
    http.chunk(b"\"two\"}\n{\"bo");
    assert_eq!(reader.message(), "two");
    http.chunk(b"dy\":\"three\"}");
    http.chunk(b"");
    assert_eq!(statuses(&http.answer().lines()), [201; 3]);
    assert_eq!(reader.message(), "three");
    http.say("POST", ROOM, &[NDJSON, ("Transfer-Encoding", "chunked")], b"");
    http.chunk(b"{\"body\":\"four\"}\n{\"body\":\"never\"}");
    assert_eq!(reader.message(), "four");
    drop(http);
    Http::to(&edge).post(ROOM, "end");
    assert_eq!(reader.message(), "end");
}

/// Rights, rates and credentials are those of a SEND; the request as a whole is refused only for who it is.
#[test]
fn p5_p6_what_a_line_may_and_who_may() {
    let users = Users::new();
    let edge = Edge::start(&[&["--log-memory", "--send-rate", "5"], &*users.args()].concat());
    let ann = format!("Bearer {}", Users::token("ann"));
    let body = "{\"body\":\"x\"}\n".repeat(8);
    assert_eq!(ask(&edge, "POST", ROOM, &[NDJSON], &body).problem()["status"], 401);
    let lines = ask(&edge, "POST", ROOM, &[NDJSON, ("Authorization", &ann)], &body).lines();
    assert_eq!(statuses(&lines), [[201; 5].as_slice(), &[429; 3]].concat());
    let expected = ("rate_limited", "refused", 1);
    let problem = &lines[5];
    assert_eq!(
        (
            problem["code"].as_str().unwrap(),
            problem["outcome"].as_str().unwrap(),
            problem["retry_after"].as_u64().unwrap()
        ),
        expected
    );
    let bob = format!("Bearer {}", Users::token_with("bob", &json!({"klatsch": {"send": ["other"]}})));
    let lines = ask(&edge, "POST", ROOM, &[NDJSON, ("Authorization", &bob)], "{\"body\":\"x\"}\n{}").lines();
    assert_eq!(statuses(&lines), [403, 400]);
}
