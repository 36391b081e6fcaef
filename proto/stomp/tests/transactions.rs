//! Family T: transactions.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use common::*;
use stomp_proto::{ErrorKind, Event, Session, Version};

/// COMMIT's SENDs as destination, body, receipt; and its own receipt.
type Committed = (Vec<(String, String, Option<String>)>, Option<String>);

fn commit(session: &mut Session, frame: &str) -> Committed {
    let Some(Event::Commit { sends, receipt, .. }) = events(session, frame).pop() else { panic!("COMMIT expected") };
    let text = |text: &stomp_proto::Text| text.to_string();
    let sends = sends.iter().map(|send| {
        let body = String::from_utf8(send.body.to_vec()).unwrap();
        (text(&send.destination), body, send.receipt.as_ref().map(text))
    });
    (sends.collect(), receipt.as_ref().map(text))
}

fn plain(bodies: &[&str]) -> Committed {
    (bodies.iter().map(|body| ("/a".to_owned(), (*body).to_owned(), None)).collect(), None)
}

#[test]
fn t01_the_transaction_header_is_needed() {
    for version in VERSIONS {
        for command in ["BEGIN", "COMMIT", "ABORT"] {
            let error = fault(&mut open(version), format!("{command}\nreceipt:7\n\n\0"));
            assert_eq!(error.detail(), format!("{command} lacks the header transaction"));
            assert_eq!((error.code(), error.receipt().unwrap().as_str()), (400, "7"));
        }
    }
}

#[test]
fn t02_an_open_id_cannot_begin_and_a_closed_one_can() {
    for version in VERSIONS {
        let mut session = open(version);
        for end in ["COMMIT", "ABORT"] {
            events(&mut session, format!("BEGIN\ntransaction:1\n\n\0{end}\ntransaction:1\n\n\0"));
        }
        let error = fault(&mut session, "BEGIN\ntransaction:1\n\n\0BEGIN\ntransaction:1\nreceipt:7\n\n\0");
        assert_eq!((error.kind(), error.receipt().unwrap().as_str()), (ErrorKind::Conflict, "7"));
    }
}

#[test]
fn t03_an_id_that_is_not_open_is_an_error() {
    for version in VERSIONS {
        for frame in [
            "SEND\ndestination:/a\ntransaction:1\nreceipt:7\n\n\0",
            "COMMIT\ntransaction:1\nreceipt:7\n\n\0",
            "ABORT\ntransaction:1\nreceipt:7\n\n\0",
        ] {
            let error = fault(&mut open(version), frame);
            assert_eq!((error.kind(), error.receipt().unwrap().as_str()), (ErrorKind::Unknown, "7"), "{frame:?}");
            let error = fault(&mut open(version), format!("BEGIN\ntransaction:2\n\n\0{frame}"));
            assert_eq!(error.kind(), ErrorKind::Unknown);
        }
    }
    let mut session = open(Version::V1_2);
    let one = subscribe(&mut session, "SUBSCRIBE\nid:1\nack:client\ndestination:/a\n\n\0").handle;
    let ack = session.delivered(one, "m").unwrap();
    assert_eq!(fault(&mut session, format!("ACK\nid:{ack}\ntransaction:1\n\n\0")).kind(), ErrorKind::Unknown);
    assert_eq!(session.window(one), 0, "after a fault nothing may be delivered");
}

#[test]
fn t04_s06_commit_applies_all_in_order_and_nothing_is_seen_before() {
    for version in VERSIONS {
        let mut session = open(version);
        let begin = "BEGIN\ntransaction:1\n\n\0";
        assert!(events(&mut session, begin).is_empty());
        for n in 0..5 {
            let frame = format!("SEND\ndestination:/a\ntransaction:1\n\n{n}\0");
            assert!(events(&mut session, frame).is_empty());
        }
        assert_eq!(commit(&mut session, "COMMIT\ntransaction:1\n\n\0"), plain(&["0", "1", "2", "3", "4"]));
    }
}

#[test]
fn t04_abort_applies_none() {
    let mut session = open(Version::V1_2);
    let send = "SEND\ndestination:/a\ntransaction:1\nreceipt:s\n\nx\0";
    let frames = format!("BEGIN\ntransaction:1\n\n\0{send}ABORT\ntransaction:1\nreceipt:7\n\n\0");
    assert!(events(&mut session, frames).is_empty());
    assert_eq!(receipts(&mut session), ["7"]);
    assert_eq!(commit(&mut session, "BEGIN\ntransaction:1\n\n\0COMMIT\ntransaction:1\n\n\0"), plain(&[]));
}

#[test]
fn t05_disconnect_aborts_what_is_open() {
    let mut session = open(Version::V1_2);
    let frames = "BEGIN\ntransaction:1\n\n\0SEND\ndestination:/a\ntransaction:1\n\nx\0DISCONNECT\n\n\0COMMIT\ntransaction:1\n\n\0";
    assert!(matches!(events(&mut session, frames)[..], [Event::Disconnect { .. }]));
}

#[test]
fn t06_several_at_once_are_independent() {
    let mut session = open(Version::V1_1);
    events(&mut session, "BEGIN\ntransaction:1\n\n\0BEGIN\ntransaction:2\n\n\0");
    events(&mut session, "SEND\ndestination:/a\ntransaction:1\n\none\0SEND\ndestination:/a\ntransaction:2\n\ntwo\0");
    assert_eq!(&send(&mut session, "SEND\ndestination:/a\n\nplain\0").body[..], b"plain");
    events(&mut session, "SEND\ndestination:/a\ntransaction:1\n\nthree\0");
    assert_eq!(commit(&mut session, "COMMIT\ntransaction:2\n\n\0"), plain(&["two"]));
    assert_eq!(commit(&mut session, "COMMIT\ntransaction:1\n\n\0"), plain(&["one", "three"]));
}

#[test]
fn t07_begins_receipt_comes_at_once_a_sends_with_the_commit() {
    let mut session = open(Version::V1_2);
    events(&mut session, "BEGIN\ntransaction:1\nreceipt:b\n\n\0SEND\ndestination:/a\ntransaction:1\nreceipt:s\n\nx\0");
    assert_eq!(receipts(&mut session), ["b"]);
    let (sends, receipt) = commit(&mut session, "COMMIT\ntransaction:1\nreceipt:c\n\n\0");
    assert_eq!(sends, [("/a".into(), "x".into(), Some("s".into()))]);
    assert_eq!(receipt.as_deref(), Some("c"));
    assert!(raw(&mut session).is_empty(), "both are the owner's to answer, when all are stored");
}

/// T08's share here: the owner gets everything at COMMIT, and refuses a second room at its SEND.
#[test]
fn t08_a_deferred_send_keeps_everything_it_said() {
    let mut session = open(Version::V1_2);
    let frame =
        "SEND\ndestination:/b\ncontent-type:text/x\nx:1\\c\nx-idempotency-key:k\ntransaction:1\nsender:eve\n\na";
    let frames =
        format!("BEGIN\ntransaction:1\n\n\0{frame}\0SEND\ndestination:/b\ntransaction:1\ncontent-length:2\n\n\0\0\0");
    for octet in frames.as_bytes() {
        assert!(events(&mut session, [*octet]).is_empty());
    }
    let Some(Event::Commit { sends, .. }) = events(&mut session, "COMMIT\ntransaction:1\n\n\0").pop() else {
        panic!("COMMIT")
    };
    assert_eq!((&*sends[0].destination, sends[0].content_type.as_deref()), ("/b", Some("text/x")));
    assert_eq!((headers(&sends[0]), sends[0].idempotency_key.as_deref()), (vec![("x", "1:")], Some("k")));
    assert_eq!((&sends[0].body[..], &sends[1].body[..]), (&b"a"[..], &b"\0\0"[..]));
}

#[test]
fn t08_another_destination_than_the_first_is_told_at_its_send() {
    for version in VERSIONS {
        let mut session = open(version);
        let send = |destination: &str| format!("SEND\ndestination:{destination}\ntransaction:1\nreceipt:7\n\n\0");
        assert!(events(&mut session, format!("BEGIN\ntransaction:1\n\n\0{}{}", send("/a"), send("/a"))).is_empty());
        let told = events(&mut session, send("/b"));
        let [Event::Held { destination, first, receipt: Some(receipt) }] = &told[..] else { panic!("{told:?}") };
        assert_eq!((destination.as_str(), first.as_str(), receipt.as_str()), ("/b", "/a", "7"));
        // It is held all the same: two names may be one room.
        assert_eq!(commit(&mut session, "COMMIT\ntransaction:1\n\n\0").0.len(), 3);
    }
}
