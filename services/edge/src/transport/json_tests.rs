//! What clients that speak no STOMP read.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use chat_proto::{Outgoing, View, encode};
use serde_json::{Value, json};

use super::*;

fn room_message(headers: &[(&str, &str)], content_type: &str, body: &[u8], replayed: bool) -> (String, Value) {
    let outgoing = Outgoing {
        uuid: [7; 16],
        room: "tea & talk",
        sender: "ann",
        content_type,
        headers,
        body,
        idempotency_key: "",
        origin: "edge-1",
    };
    let content = View::read(encode(&outgoing), b"tea & talk").unwrap();
    let id = MessageId { partition: 3, offset: 17, check: 0x0a1b_2c3d };
    let mut out = Vec::new();
    message(
        &message::Message { room: 0, seq: 1, id, timestamp_ms: 1_700_000_000_123, content, trace: None },
        replayed,
        &mut out,
    );
    let text = String::from_utf8(out).unwrap();
    let value = serde_json::from_str(&text).unwrap();
    (text, value)
}

#[test]
fn a_message_is_its_record() {
    let (_, value) = room_message(&[("a", "1"), ("b", "2"), ("a", "3")], "text/plain", "schön".as_bytes(), true);
    let expected = json!({
        "type": "message", "id": "3-17-0a1b2c3d", "room": "tea & talk", "sender": "ann", "timestamp": 1_700_000_000_123_i64,
        "content_type": "text/plain", "headers": {"a": "1", "b": "2"}, "replayed": true, "body": "schön",
    });
    assert_eq!(value, expected);
}

#[test]
fn what_is_not_there_is_not_said_and_octets_stay_octets() {
    let (_, value) = room_message(&[], "", b"\xff\x00", false);
    let expected = json!({
        "type": "message", "id": "3-17-0a1b2c3d", "room": "tea & talk", "sender": "ann", "timestamp": 1_700_000_000_123_i64,
        "body_base64": "/wA=",
    });
    assert_eq!(value, expected);
}

/// Line ends of any kind stay inside of the string, whoever reads lines (CVE-2026-22735).
#[test]
fn one_message_is_one_line() {
    let (text, value) =
        room_message(&[("x", "a\r\nid: 1")], "text/plain", b"a\ndata: b\r\n\nid: 9-9-00000000\r", false);
    assert!(!text.contains(['\n', '\r']), "{text}");
    assert_eq!(value["body"], "a\ndata: b\r\n\nid: 9-9-00000000\r");
}

fn spoken(said: &Said) -> Value {
    let mut out = Vec::new();
    said.write(&mut out);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn receipts_say_what_became_of_what() {
    let subscribed = said(b"RECEIPT\nreceipt-id:tea\\cpot\nx-position:1-5-00000000\nx-recovered:false\n\n\0");
    let expected = json!({"type": "subscribed", "room": "tea:pot", "position": "1-5-00000000", "recovered": false});
    assert_eq!(spoken(&subscribed), expected);
    let stored = said(b"RECEIPT\nreceipt-id:4\nmessage-id:1-6-12345678\ntimestamp:1700\n\n\0");
    let expected = json!({"type": "stored", "receipt": "4", "id": "1-6-12345678", "timestamp": 1700});
    assert_eq!(spoken(&stored), expected);
    assert_eq!(spoken(&said(b"RECEIPT\nreceipt-id:b\n\n\0")), json!({"type": "done", "receipt": "b"}));
    assert_eq!(said(b"CONNECTED\nversion:1.2\n\n\0"), Said::Connected);
}

#[test]
fn p5_problems_say_whether_the_message_may_be_in_the_log() {
    let error =
        said(b"ERROR\nmessage:log\\c away\nx-error-code:503\nx-error:log_away\nretry-after:2\nreceipt-id:1\n\nlater\0");
    let problem = json!({
        "type": "about:blank", "title": "log: away", "status": 503, "detail": "later", "code": "log_away", "outcome": "refused", "retry_after": 2,
    });
    assert_eq!(spoken(&error), json!({"type": "problem", "receipt": "1", "problem": problem}));
    let soft = said(
        b"MESSAGE\ndestination:/user/queue/errors\nmessage-id:error-1\nx-error-code:503\nx-error:send_unknown\n\nwho knows\0",
    );
    let Said::Problem { receipt: None, problem } = soft else { panic!("{soft:?}") };
    assert_eq!((problem.outcome, problem.status, problem.retry_after), (Some("unknown"), 503, None));
    assert_eq!(Problem { detail: "who knows".into(), retry_after: None, ..Ending::SendUnknown.into() }, problem);
}

#[test]
fn every_ending_is_a_problem() {
    for ending in Ending::all() {
        let problem = Problem::from(ending);
        assert!((400..600).contains(&problem.status) && !problem.code.is_empty(), "{ending:?}: {problem:?}");
    }
    let Said::Problem { problem, .. } = said(b"nonsense") else { panic!("it cannot be read") };
    assert_eq!(problem.status, 500);
}
