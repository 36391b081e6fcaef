//! Family U: SUBSCRIBE and UNSUBSCRIBE.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use common::*;
use stomp_proto::{AckMode, ErrorKind, Event, Session, SubscriptionHandle, Version};

fn unsubscribed(session: &mut Session, frame: &str) -> Option<SubscriptionHandle> {
    match events(session, frame).pop() {
        Some(Event::Unsubscribe { handle, receipt }) => {
            assert_eq!(receipt.is_some(), frame.contains("receipt"));
            handle
        }
        other => panic!("UNSUBSCRIBE expected, {other:?} came"),
    }
}

#[test]
fn u01_u02_destination_and_id_are_needed() {
    for version in VERSIONS {
        let error = fault(&mut open(version), "SUBSCRIBE\nid:1\nreceipt:7\n\n\0");
        assert_eq!(error.detail(), "SUBSCRIBE lacks the header destination");
        assert_eq!(error.receipt().unwrap(), "7");
    }
    for version in SINCE_1_1 {
        let error = fault(&mut open(version), "SUBSCRIBE\ndestination:/a\n\n\0");
        assert_eq!(error.detail(), "SUBSCRIBE lacks the header id");
    }
    let one = subscribe(&mut open(Version::V1_0), "SUBSCRIBE\ndestination:/a\n\n\0");
    assert_eq!((one.id, &*one.destination), (None, "/a"));
}

#[test]
fn u03_an_id_names_one_live_subscription() {
    for version in VERSIONS {
        let mut session = open(version);
        let frame = "SUBSCRIBE\nid:1\ndestination:/a\n\n\0";
        let first = subscribe(&mut session, frame).handle;
        assert_eq!(unsubscribed(&mut session, "UNSUBSCRIBE\nid:1\n\n\0"), Some(first));
        let second = subscribe(&mut session, frame).handle;
        assert_ne!(first, second);
        assert_eq!((first.index, session.window(first), session.window(second)), (second.index, 0, usize::MAX));
        assert_eq!(fault(&mut session, "SUBSCRIBE\nid:1\ndestination:/b\n\n\0").kind(), ErrorKind::Conflict);
    }
}

#[test]
fn u03_a_refused_subscription_frees_its_id() {
    let mut session = open(Version::V1_2);
    let refused = subscribe(&mut session, "SUBSCRIBE\nid:1\nack:client\ndestination:/a\n\n\0").handle;
    session.cancel(refused);
    session.cancel(refused);
    assert_eq!((session.window(refused), session.delivered(refused, "m")), (0, None));
    assert_ne!(subscribe(&mut session, "SUBSCRIBE\nid:1\nack:client\ndestination:/a\n\n\0").handle, refused);
}

#[test]
fn u04_two_ids_on_one_destination_live_apart() {
    let mut session = open(Version::V1_2);
    let one = subscribe(&mut session, "SUBSCRIBE\nid:1\ndestination:/a\n\n\0").handle;
    let two = subscribe(&mut session, "SUBSCRIBE\nid:2\ndestination:/a\n\n\0").handle;
    assert_eq!(unsubscribed(&mut session, "UNSUBSCRIBE\nid:1\n\n\0"), Some(one));
    assert_eq!((session.window(one), session.window(two)), (0, usize::MAX));
}

#[test]
fn u05_ack_modes_by_version() {
    let mode = |version, header: &str| {
        let frame = format!("SUBSCRIBE\nid:1\ndestination:/a\n{header}\n\0");
        try_events(&mut open(version), frame).map(|mut events| match events.pop() {
            Some(Event::Subscribe(subscribe)) => subscribe.ack,
            other => panic!("SUBSCRIBE expected, {other:?} came"),
        })
    };
    for version in VERSIONS {
        assert_eq!(mode(version, ""), Ok(AckMode::Auto));
        assert_eq!(mode(version, "ack:auto\n"), Ok(AckMode::Auto));
        assert_eq!(mode(version, "ack:client\n"), Ok(AckMode::Client));
        let individual = mode(version, "ack:client-individual\n");
        match version {
            Version::V1_0 => assert_eq!(individual.unwrap_err().code(), 400),
            _ => assert_eq!(individual, Ok(AckMode::ClientIndividual)),
        }
        for bad in ["ack:\n", "ack:Client\n", "ack:none\n"] {
            assert_eq!(mode(version, bad).unwrap_err().code(), 400);
        }
    }
}

#[test]
fn u05_the_window_is_what_prefetch_count_says() {
    let prefetch = |headers: &str| {
        let frame = format!("SUBSCRIBE\nid:1\ndestination:/a\n{headers}\n\0");
        let mut session = open(Version::V1_2);
        let one = subscribe(&mut session, frame);
        assert_eq!(session.window(one.handle), one.prefetch);
        one.prefetch
    };
    assert_eq!(prefetch("ack:client\n"), 100);
    assert_eq!(prefetch("ack:client\nprefetch-count:7\n"), 7);
    assert_eq!(prefetch("ack:client\nprefetch-count:0\n"), 4096);
    assert_eq!(prefetch("ack:client\nprefetch-count:99999999999999999999\n"), 4096);
    assert_eq!(prefetch("prefetch-count:7\n"), usize::MAX);
    assert_eq!(prefetch("prefetch-count:many\n"), usize::MAX);
    let bad = "SUBSCRIBE\nid:1\ndestination:/a\nack:client\nprefetch-count:-1\n\n\0";
    assert!(fault(&mut open(Version::V1_2), bad).detail().contains("prefetch-count"));
}

/// U06, U07: the owner decides about destination and receipt; it is told all it needs.
#[test]
fn u06_u07_the_owner_sees_every_header() {
    let mut session = open(Version::V1_2);
    let one = subscribe(&mut session, "SUBSCRIBE\nid:1\ndestination:/a\nreceipt:r\nx-from:0-5\nx-history:20\n\n\0");
    assert_eq!((one.headers.get("x-from"), one.headers.get("x-history")), (Some("0-5"), Some("20")));
    assert_eq!(one.receipt.as_deref(), Some("r"));
    assert!(raw(&mut session).is_empty(), "the RECEIPT is the owner's, when the barrier holds");
    session.receipt("r", &[("x-recovered", "true")]);
    assert_eq!(raw(&mut session), ["RECEIPT\nreceipt-id:r\nx-recovered:true\n\n\0"]);
}

#[test]
fn u08_unsubscribe_needs_an_id_or_at_1_0_a_destination() {
    for version in SINCE_1_1 {
        let error = fault(&mut open(version), "UNSUBSCRIBE\ndestination:/a\n\n\0");
        assert_eq!(error.detail(), "UNSUBSCRIBE lacks the header id");
    }
    let mut session = open(Version::V1_0);
    let one = subscribe(&mut session, "SUBSCRIBE\ndestination:/a\n\n\0").handle;
    let two = subscribe(&mut session, "SUBSCRIBE\nid:/a\ndestination:/b\n\n\0").handle;
    assert_eq!(unsubscribed(&mut session, "UNSUBSCRIBE\ndestination:/a\nreceipt:1\n\n\0"), Some(one));
    assert_eq!(unsubscribed(&mut session, "UNSUBSCRIBE\nid:/a\n\n\0"), Some(two));
    assert_eq!(fault(&mut session, "UNSUBSCRIBE\n\n\0").code(), 400);
}

#[test]
fn u09_an_unknown_id_is_ignored_or_in_the_strict_profile_an_error() {
    for version in VERSIONS {
        let frame = "UNSUBSCRIBE\nid:/topic/42\nreceipt:r\n\n\0";
        assert_eq!(unsubscribed(&mut open(version), frame), None);
        let error = fault(&mut open_with(strict(), version), frame);
        assert_eq!((error.kind(), error.receipt().unwrap().as_str()), (ErrorKind::Unknown, "r"));
    }
}

#[test]
fn u10_nothing_can_be_delivered_after_unsubscribe() {
    let mut session = open(Version::V1_2);
    let one = subscribe(&mut session, "SUBSCRIBE\nid:1\nack:client\ndestination:/a\n\n\0").handle;
    assert!(session.delivered(one, "m").is_some());
    unsubscribed(&mut session, "UNSUBSCRIBE\nid:1\n\n\0");
    assert_eq!((session.window(one), session.delivered(one, "m")), (0, None));
}

#[test]
fn u11_selector_is_never_evaluated() {
    let frame = "SUBSCRIBE\nid:1\ndestination:/a\nselector:T(java.lang.Runtime)\n\n\0";
    assert_eq!(events(&mut open(Version::V1_2), frame).len(), 1);
    let error = fault(&mut open_with(strict(), Version::V1_2), frame);
    assert_eq!((error.code(), error.detail()), (400, "selector is not supported"));
}

/// Handles are never used again, however slots are.
#[test]
fn u03_generations_never_mix() {
    let mut session = open(Version::V1_2);
    let mut seen = std::collections::HashSet::new();
    for round in 0..100 {
        for id in 0..=round % 3 {
            let one = subscribe(&mut session, format!("SUBSCRIBE\nid:{id}\ndestination:/a\n\n\0"));
            assert!(one.handle.index < 3 && seen.insert(one.handle));
        }
        for id in 0..=round % 3 {
            unsubscribed(&mut session, &format!("UNSUBSCRIBE\nid:{id}\n\n\0"));
        }
    }
}
