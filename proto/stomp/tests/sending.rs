//! Families S and M: SEND, and the MESSAGE it becomes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use common::*;
use stomp_proto::{Command, Event, MessageFrame, ServerFrame, Version, encode, is_reserved};

fn message<'a>(version: Version, frame: &MessageFrame<'_>, user: &[(&'a str, &'a str)]) -> String {
    let mut out = Vec::new();
    encode::message(version, frame, user.iter().copied(), &mut out);
    String::from_utf8(out).unwrap()
}

fn forwarded(version: Version, input: &str) -> ServerFrame {
    let send = send(&mut open(version), input);
    let frame = MessageFrame {
        destination: &send.destination,
        content_type: send.content_type.as_deref(),
        subscription: Some("1"),
        message_id: "m-1",
        headers: &[("sender", "tea")],
        body: &send.body,
        ..MessageFrame::default()
    };
    let mut out = Vec::new();
    encode::message(version, &frame, send.headers.iter(), &mut out);
    read(version, &out)
}

#[test]
fn s01_destination_is_needed() {
    for version in VERSIONS {
        let error = fault(&mut open(version), "SEND\nreceipt:7\n\nx\0");
        assert_eq!((error.code(), error.detail()), (400, "SEND lacks the header destination"));
        assert_eq!(error.receipt().unwrap(), "7");
    }
}

#[test]
fn s02_f18_every_octet_is_delivered() {
    let body: Vec<u8> = (0..=255).chain(0..=255).collect();
    for version in VERSIONS {
        let frame = [b"SEND\ndestination:/a\ncontent-length:512\n\n", &body[..], b"\0"].concat();
        let send = send(&mut open(version), frame);
        assert_eq!(send.body[..], body[..]);
        let mut out = Vec::new();
        let frame = MessageFrame { destination: "/a", message_id: "1", body: &send.body, ..MessageFrame::default() };
        encode::message(version, &frame, [], &mut out);
        assert_eq!(read(version, &out).body[..], body[..]);
    }
    assert!(forwarded(Version::V1_2, "SEND\ndestination:/a\n\n\0").body.is_empty());
}

#[test]
fn s03_m06_user_headers_reappear_in_order() {
    for version in VERSIONS {
        let message = forwarded(version, "SEND\nx-b:2\ndestination:/a\nA:1\nx-b:3\nfoo:\n\nhi\0");
        let all: Vec<_> = message.headers.iter().filter(|(name, _)| !is_reserved(name)).collect();
        assert_eq!(all, [("x-b", "2"), ("A", "1"), ("foo", "")]);
    }
}

#[test]
fn s03_s07_m07_what_is_never_forwarded() {
    let reserved = [
        "receipt",
        "login",
        "passcode",
        "Authorization",
        "AUTHORIZATION",
        "cookie",
        "Set-Cookie",
        "my-cookie",
        "message-id",
        "subscription",
        "ack",
        "sender",
        "Sender",
        "timestamp",
        "x-replayed",
        "x-event",
        "user-name",
        "session",
        "x-error",
        "x-error-code",
        "x-position",
        "x-recovered",
        "x-history-count",
        "x-from",
        "retry-after",
        "content-length ",
        " sender",
        "sender\u{a0}",
        "X-Idempotency-Key",
        "Destination",
        "Content-Type",
        "Receipt",
        "version",
        "heart-beat",
    ];
    let lines: String = reserved.iter().map(|name| format!("{name}:secret\n")).collect();
    for version in SINCE_1_1 {
        let message = forwarded(version, &format!("SEND\ndestination:/a\n{lines}keep:1\n\nhi\0"));
        assert!(message.headers.iter().all(|(_, value)| value != "secret"), "{:?}", message.headers);
        assert_eq!((message.headers.get("sender"), message.headers.get("keep")), (Some("tea"), Some("1")));
    }
    // Nor when a record of somebody else carries them.
    let user: Vec<_> = reserved.iter().map(|name| (*name, "secret")).chain([("", "secret"), ("keep", "1")]).collect();
    let text = message(Version::V1_2, &MessageFrame::default(), &user);
    assert!(!text.contains("secret") && text.contains("\nkeep:1\n"));
}

#[test]
fn s03_the_idempotency_key_has_a_field_of_its_own() {
    let send = send(&mut open(Version::V1_2), "SEND\ndestination:/a\nx-idempotency-key:k\\c1\n\nhi\0");
    assert_eq!(send.idempotency_key.as_deref(), Some("k:1"));
    assert!(send.headers.is_empty());
}

#[test]
fn s04_m05_content_type_as_given_content_length_always() {
    let given = forwarded(Version::V1_2, "SEND\ndestination:/a\ncontent-type:text/plain;x=\\c\n\nhé\0");
    assert_eq!(given.headers.get("content-type"), Some("text/plain;x=:"));
    assert_eq!(given.headers.get("content-length"), Some("3"));
    let absent = forwarded(Version::V1_2, "SEND\ndestination:/a\n\n\0");
    assert_eq!((absent.headers.get("content-type"), absent.headers.get("content-length")), (None, Some("0")));
}

#[test]
fn s05_e02_a_send_that_fails_names_its_receipt() {
    let mut session = open(Version::V1_2);
    let error = fault(&mut session, "SEND\ndestination:/a\ntransaction:no\nreceipt:r\\c1\n\nhi\0");
    session.reject(&error);
    let frame = sent(&mut session).remove(0);
    assert_eq!((frame.command, frame.headers.get("receipt-id")), (Command::Error, Some("r:1")));
}

#[test]
fn s08_sends_come_in_order_however_they_are_cut() {
    let frames: String = (0..200).map(|n| format!("SEND\ndestination:/a\nn:{n}\n\n{n}\0\n")).collect();
    let mut session = open(Version::V1_2);
    let mut seen = 0;
    for piece in frames.as_bytes().chunks(191) {
        for event in events(&mut session, piece) {
            let Event::Send(send) = event else { panic!("SEND expected") };
            assert_eq!(headers(&send), [("n", &*seen.to_string())]);
            seen += 1;
        }
    }
    assert_eq!(seen, 200);
}

#[test]
fn m01_m03_m04_f19_the_form_of_message() {
    let frame = MessageFrame {
        destination: "/topic/tea",
        content_type: Some("text/plain"),
        subscription: Some("sub-0"),
        message_id: "0-17",
        ack: Some("0-1-1"),
        headers: &[("sender", "tea"), ("timestamp", "5")],
        body: b"hi",
    };
    let expected = "MESSAGE\ndestination:/topic/tea\ncontent-type:text/plain\nsubscription:sub-0\nmessage-id:0-17\n\
                    ack:0-1-1\nsender:tea\ntimestamp:5\nx-mine:1\ncontent-length:2\n\nhi\0";
    for version in VERSIONS {
        assert_eq!(message(version, &frame, &[("x-mine", "1")]), expected);
    }
    let bare = MessageFrame { destination: "/a", message_id: "1", ..MessageFrame::default() };
    let expected = "MESSAGE\ndestination:/a\nmessage-id:1\ncontent-length:0\n\n\0";
    assert_eq!(message(Version::V1_0, &bare, &[]), expected, "1.0 without an id has no subscription header");
}

#[test]
fn m02_the_destination_is_the_one_that_the_subscriber_used() {
    let frame = MessageFrame { destination: "/sub/a:b", message_id: "1", ..MessageFrame::default() };
    assert_eq!(
        read(Version::V1_1, message(Version::V1_1, &frame, &[]).as_bytes()).headers.get("destination"),
        Some("/sub/a:b")
    );
}
