//! Family A: ACK and NACK.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use common::*;
use stomp_proto::{Acked, ErrorKind, Event, Session, SubscriptionHandle, Version};

fn member(session: &mut Session, id: &str, mode: &str) -> SubscriptionHandle {
    let frame = format!("SUBSCRIBE\nid:{id}\nack:{mode}\nprefetch-count:5\ndestination:/a\n\n\0");
    subscribe(session, frame).handle
}

/// Delivers m1, m2, … and returns the ack ids.
fn deliver(session: &mut Session, to: SubscriptionHandle, count: usize) -> Vec<String> {
    (1..=count).map(|n| session.delivered(to, &format!("m{n}")).unwrap().to_string()).collect()
}

/// What ACK or NACK names at each version.
fn naming(version: Version, ack: &str, message_id: &str, subscription: &str) -> String {
    match version {
        Version::V1_0 => format!("message-id:{message_id}"),
        Version::V1_1 => format!("message-id:{message_id}\nsubscription:{subscription}"),
        Version::V1_2 => format!("id:{ack}"),
    }
}

fn acked(session: &mut Session, frame: &str) -> Option<Acked> {
    let mut events = events(session, frame);
    assert!(events.len() <= 1);
    events.pop().map(|event| match event {
        Event::Acked(acked) => acked,
        other => panic!("Acked expected, {other:?} came"),
    })
}

#[test]
fn a01_a02_a03_the_headers_of_each_version() {
    for (version, lacking, header) in [
        (Version::V1_0, "id:1\nsubscription:1", "message-id"),
        (Version::V1_1, "id:1\nsubscription:1", "message-id"),
        (Version::V1_1, "id:1\nmessage-id:m1", "subscription"),
        (Version::V1_2, "message-id:m1\nsubscription:1", "id"),
    ] {
        let mut session = open(version);
        let one = member(&mut session, "1", "client");
        deliver(&mut session, one, 1);
        let error = fault(&mut session, format!("ACK\nreceipt:7\n{lacking}\n\n\0"));
        assert_eq!((error.code(), error.detail()), (400, &*format!("ACK lacks the header {header}")));
        assert_eq!(error.receipt().unwrap(), "7");
    }
}

#[test]
fn a04_unknown_and_settled_ids_are_errors() {
    for version in VERSIONS {
        let setup = || {
            let mut session = open(version);
            let one = member(&mut session, "1", "client");
            let acks = deliver(&mut session, one, 2);
            (session, acks)
        };
        let (mut session, acks) = setup();
        let frame = format!("ACK\n{}\nreceipt:7\n\n\0", naming(version, &acks[0], "m1", "1"));
        acked(&mut session, &frame);
        let error = fault(&mut session, &frame);
        assert_eq!((error.kind(), error.receipt().unwrap().as_str()), (ErrorKind::Unknown, "7"));
        for ack in ["0-1-99", "7-1-1", "undefined", "", "0-1", "0-1-1-1", "0-99-1"] {
            let (mut session, _) = setup();
            let error = fault(&mut session, format!("ACK\n{}\n\n\0", naming(version, ack, "m9", "1")));
            assert_eq!(error.kind(), ErrorKind::Unknown, "{version} {ack}");
        }
    }
    let mut session = open(Version::V1_1);
    member(&mut session, "1", "client");
    assert_eq!(fault(&mut session, "ACK\nmessage-id:m1\nsubscription:2\n\n\0").kind(), ErrorKind::Unknown);
    assert_eq!(fault(&mut open(Version::V1_2), "ACK\nid:1\n\n\0").kind(), ErrorKind::Unknown, "no subscription at all");
}

/// A04, Q10: clients that look for an `ack` header in auto mode answer `id:undefined`.
#[test]
fn a04_in_auto_mode_they_are_ignored() {
    for version in VERSIONS {
        let mut session = open(version);
        let one = member(&mut session, "1", "auto");
        assert_eq!((session.delivered(one, "m1"), session.window(one)), (None, usize::MAX));
        let naming = naming(version, "undefined", "m1", "1");
        assert_eq!(acked(&mut session, &format!("ACK\nreceipt:7\n{naming}\n\n\0")), None);
        assert_eq!(receipts(&mut session), ["7"]);
    }
    // Beside a subscription in client mode, `subscription` tells them apart.
    let mut session = open(Version::V1_2);
    member(&mut session, "1", "auto");
    member(&mut session, "2", "client");
    assert_eq!(acked(&mut session, "ACK\nid:undefined\nsubscription:1\n\n\0"), None);
    assert_eq!(fault(&mut session, "ACK\nid:undefined\n\n\0").kind(), ErrorKind::Unknown);
}

#[test]
fn a05_client_mode_is_cumulative_within_its_subscription() {
    for version in VERSIONS {
        for command in ["ACK", "NACK"] {
            if (version, command) == (Version::V1_0, "NACK") {
                continue;
            }
            let mut session = open(version);
            let (one, two) = (member(&mut session, "1", "client"), member(&mut session, "2", "client"));
            let acks = deliver(&mut session, one, 5);
            session.delivered(two, "other").unwrap();
            assert_eq!((session.window(one), session.window(two)), (0, 4));
            let frame = format!("{command}\n{}\n\n\0", naming(version, &acks[2], "m3", "1"));
            let expected = Acked { handle: one, count: 3, nack: command == "NACK" };
            assert_eq!(acked(&mut session, &frame), Some(expected));
            assert_eq!((session.window(one), session.window(two)), (3, 4), "the other one is untouched");
        }
    }
}

#[test]
fn a06_client_individual_settles_one() {
    for version in SINCE_1_1 {
        let mut session = open(version);
        let one = member(&mut session, "1", "client-individual");
        let acks = deliver(&mut session, one, 5);
        for n in [2, 4, 0] {
            let naming = naming(version, &acks[n], &format!("m{}", n + 1), "1");
            assert_eq!(
                acked(&mut session, &format!("ACK\n{naming}\n\n\0")),
                Some(Acked { handle: one, count: 1, nack: false })
            );
        }
        assert_eq!(session.window(one), 3);
    }
}

#[test]
fn a07_nack_is_unknown_at_1_0() {
    let mut session = open(Version::V1_0);
    let one = member(&mut session, "1", "client");
    deliver(&mut session, one, 1);
    let error = fault(&mut session, "NACK\nmessage-id:m1\nreceipt:7\n\n\0");
    assert_eq!((error.message(), error.receipt().unwrap().as_str()), ("unknown command", "7"));
    for version in SINCE_1_1 {
        let error = fault(&mut open(version), "NACK\nx:1\n\n\0");
        assert!(error.detail().starts_with("NACK lacks the header"));
    }
}

#[test]
fn a08_a_transaction_holds_them_back() {
    let mut session = open(Version::V1_2);
    let one = member(&mut session, "1", "client");
    let acks = deliver(&mut session, one, 3);
    let ack = |n: usize| format!("ACK\nid:{}\ntransaction:t\nreceipt:r{n}\n\n\0", acks[n]);
    assert_eq!(acked(&mut session, &format!("BEGIN\ntransaction:t\n\n\0{}", ack(0))), None);
    assert_eq!(session.window(one), 2);
    assert_eq!(acked(&mut session, "ABORT\ntransaction:t\n\n\0"), None);
    assert_eq!((session.window(one), raw(&mut session).len()), (2, 0), "dropped");
    acked(&mut session, &format!("BEGIN\ntransaction:t\n\n\0{}{}", ack(0), ack(2)));
    let Some(Event::Commit { sends, acked, receipt: None }) = events(&mut session, "COMMIT\ntransaction:t\n\n\0").pop()
    else {
        panic!("COMMIT expected")
    };
    assert!(sends.is_empty());
    let of = |count| Acked { handle: one, count, nack: false };
    assert_eq!((acked, session.window(one)), (vec![of(1), of(2)], 5));
    assert_eq!(receipts(&mut session), ["r0", "r2"]);
}

#[test]
fn a08_settled_twice_by_the_time_of_commit_is_an_error_but_unsubscribed_is_not() {
    for (between, passes) in [("ACK\nid:0-1-1\n\n\0", false), ("UNSUBSCRIBE\nid:1\n\n\0", true)] {
        let mut session = open(Version::V1_2);
        let one = member(&mut session, "1", "client");
        deliver(&mut session, one, 1);
        events(&mut session, format!("BEGIN\ntransaction:t\n\n\0ACK\nid:0-1-1\ntransaction:t\n\n\0{between}"));
        assert_eq!(try_events(&mut session, "COMMIT\ntransaction:t\n\n\0").is_ok(), passes);
    }
}

#[test]
fn a09_ack_after_unsubscribe_was_under_way_and_is_ignored() {
    let mut session = open(Version::V1_2);
    let one = member(&mut session, "1", "client");
    let acks = deliver(&mut session, one, 1);
    events(&mut session, "UNSUBSCRIBE\nid:1\n\n\0");
    let again = member(&mut session, "1", "client");
    assert_eq!(acked(&mut session, &format!("ACK\nid:{}\nreceipt:7\n\n\0", acks[0])), None);
    assert_eq!((receipts(&mut session), session.window(again)), (vec!["7".into()], 5));
}

#[test]
fn a10_surplus_headers_are_tolerated() {
    let mut session = open(Version::V1_2);
    let one = member(&mut session, "1", "client");
    let acks = deliver(&mut session, one, 1);
    let frame = format!("ACK\nid:{}\nsubscription:1\nmessage-id:m1\nfoo:bar\n\n\0", acks[0]);
    assert!(acked(&mut session, &frame).is_some());
}

/// M04, Q10: a 1.2 client is always told what to acknowledge.
#[test]
fn m04_ack_ids_are_unique_and_need_no_escaping() {
    let mut session = open(Version::V1_2);
    let (one, two) = (member(&mut session, "1", "client"), member(&mut session, "2", "client-individual"));
    let mut all: Vec<_> = [deliver(&mut session, one, 5), deliver(&mut session, two, 5)].concat();
    assert!(all.iter().all(|id| id.bytes().all(|octet| octet.is_ascii_digit() || octet == b'-')));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 10);
}
