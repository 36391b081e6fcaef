//! Family L: limits, counted while bytes arrive.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use common::*;
use stomp_proto::{ErrorKind, Event, Limits, ProtocolError, Session, Version};

/// Feeds forever until the session complains; returns how much it took and the fault.
fn flood(session: &mut Session, start: &str, filler: &str) -> (usize, ProtocolError) {
    session.handle_input(start.as_bytes(), T0).unwrap();
    assert!(session.poll_event().unwrap().is_none());
    let mut taken = start.len();
    for _ in 0..10_000_000 {
        taken += filler.len();
        if let Err(error) = session.handle_input(filler.as_bytes(), T0) {
            assert_eq!(session.buffered(), 0, "nothing is kept after a fault");
            return (taken, error);
        }
    }
    panic!("{start:?} may go on for ever");
}

#[test]
fn l01_l02_every_size_has_its_limit_while_bytes_arrive() {
    let config = Limits::default();
    for version in VERSIONS {
        for (start, filler, most) in [
            ("", "A", config.command_bytes + 2),
            ("SEND\nx:", "a", config.header_line_bytes + 5),
            ("SEND\n", "a:12345678\n", config.headers * 11 + 11 + 5),
            ("SEND\ndestination:/a\n\n", "x", config.body_bytes + 1 + 22),
        ] {
            let (taken, error) = flood(&mut open(version), start, filler);
            assert!(error.too_large() && error.code() == 413 && taken <= most, "{start:?} took {taken}");
        }
        let long = format!("a:{}\n", "x".repeat(1000));
        let (taken, error) = flood(&mut open(version), "SEND\n", &long);
        assert!(error.too_large() && taken <= config.header_block_bytes + long.len());
    }
}

#[test]
fn l01_what_is_exactly_at_a_limit_passes() {
    let config = || {
        limited(|limits| {
            limits.body_bytes = 10;
            limits.headers = 3;
            limits.header_line_bytes = 20;
            limits.header_block_bytes = 5 + 15 + 20 + 4 + 1;
        })
    };
    let open = || open_with(config(), Version::V1_2);
    assert!(send(&mut open(), "SEND\ndestination:/a\na:34567890123456789\nb:1\n\n0123456789\0").body.len() == 10);
    assert!(send(&mut open(), "SEND\ndestination:/a\ncontent-length:7\n\n0123456\0").body.len() == 7);
    for (over, what) in [
        ("SEND\ndestination:/a\na:1\nb:1\nc:1\n\n\0", "more headers than allowed"),
        ("SEND\ndestination:/a\n\n01234567890", "the body is longer than allowed"),
        ("SEND\ndestination:/a\ncontent-length:11\n\n", "the body is longer than allowed"),
        ("SEND\ndestination:/a\na:345678901234567890\n\n\0", "a header line is longer than allowed"),
        ("SEND\ndestination:/a\na:34567890123456789\nb:12\n\n\0", "command and headers are longer than allowed"),
    ] {
        let error = fault(&mut open(), over);
        assert_eq!((error.code(), error.detail()), (413, what), "{over:?}");
    }
}

#[test]
fn l02_the_receipt_of_a_frame_that_is_too_large_is_found() {
    let mut session = open(Version::V1_2);
    let error = fault(&mut session, format!("SEND\nreceipt:a\\cb\ndestination:/a\n\n{}", "x".repeat(70_000)));
    assert_eq!(error.receipt().unwrap(), "a:b");
}

#[test]
fn l03_before_connect_the_small_limits_hold() {
    let most = Limits::default().connect_frame_bytes;
    let line = format!("a:{}\n", "x".repeat(500));
    for (start, filler) in [("CONNECT\nx:", "a"), ("CONNECT\n", &*line), ("CONNECT\na:b\n\n", "x")] {
        let (taken, error) = flood(&mut fresh(Default::default()), start, filler);
        assert!(error.too_large() && taken <= most + filler.len(), "{start:?} took {taken}");
    }
    let error = fault(&mut fresh(Default::default()), format!("CONNECT\na:{}", "x".repeat(100 << 10)));
    assert!(error.too_large());
    let error = fault(&mut fresh(Default::default()), "CONNECT\ncontent-length:9000\n\n");
    assert!(error.too_large());
}

#[test]
fn l03_what_waits_behind_connect_is_bounded() {
    let mut session = fresh(Default::default());
    assert_eq!(events(&mut session, "CONNECT\naccept-version:1.2\n\n\0").len(), 1);
    let (taken, error) = flood(&mut session, "", "SEND\ndestination:/a\n\nhello\0");
    assert!(error.too_large() && taken <= Limits::default().pipelined_bytes + 30);
    // In one read with CONNECT it is the same.
    let sends = "SEND\ndestination:/a\n\nhello\0".repeat(2000);
    assert!(fault(&mut fresh(Default::default()), format!("CONNECT\n\n\0{sends}")).too_large());
}

#[test]
fn l04_subscriptions_are_capped() {
    let mut session = open_with(limited(|limits| limits.subscriptions = 2), Version::V1_2);
    events(&mut session, "SUBSCRIBE\nid:1\ndestination:/a\n\n\0SUBSCRIBE\nid:2\ndestination:/a\n\n\0");
    events(&mut session, "UNSUBSCRIBE\nid:1\n\n\0SUBSCRIBE\nid:3\ndestination:/a\n\n\0");
    let error = fault(&mut session, "SUBSCRIBE\nid:4\nreceipt:r\ndestination:/a\n\n\0");
    assert_eq!((error.kind(), error.receipt().unwrap().as_str()), (ErrorKind::TooMany, "r"));
}

#[test]
fn l04_transactions_are_capped_in_number_length_and_size() {
    let config = || {
        limited(|limits| {
            limits.transactions = 2;
            limits.transaction_actions = 3;
            limits.transaction_bytes = 4000;
        })
    };
    let begun = || {
        let mut session = open_with(config(), Version::V1_2);
        events(&mut session, "BEGIN\ntransaction:1\n\n\0BEGIN\ntransaction:2\n\n\0");
        session
    };
    assert_eq!(fault(&mut begun(), "BEGIN\ntransaction:3\n\n\0").kind(), ErrorKind::TooMany);
    let send = "SEND\ndestination:/a\ntransaction:1\n\n\0";
    assert_eq!(fault(&mut begun(), send.repeat(4)).kind(), ErrorKind::TooMany);
    assert!(events(&mut begun(), send.repeat(3)).is_empty());
    let large = format!("SEND\ndestination:/a\ntransaction:1\n\n{}\0", "x".repeat(2000));
    let mut session = begun();
    events(&mut session, &large);
    let error = fault(&mut session, large.replace("transaction:1", "transaction:2"));
    assert!(error.too_large());
    // What is closed no longer counts.
    let mut session = begun();
    events(&mut session, format!("{large}ABORT\ntransaction:1\n\n\0BEGIN\ntransaction:1\n\n\0{large}"));
}

#[test]
fn l04_unacked_deliveries_are_capped_over_all_subscriptions() {
    let mut session = open_with(limited(|limits| limits.unacked = 150), Version::V1_2);
    let one = subscribe(&mut session, "SUBSCRIBE\nid:1\nack:client\ndestination:/a\n\n\0");
    let two = subscribe(&mut session, "SUBSCRIBE\nid:2\nack:client\nprefetch-count:1000\ndestination:/a\n\n\0");
    assert_eq!((one.prefetch, two.prefetch), (100, 50));
    let frame = "SUBSCRIBE\nid:3\nack:client\ndestination:/a\n\n\0";
    events(&mut session, format!("UNSUBSCRIBE\nid:1\n\n\0{frame}"));
    assert_eq!(fault(&mut session, frame.replace("id:3", "id:4")).kind(), ErrorKind::TooMany);
}

#[test]
fn l05_no_connect_in_time_is_an_error() {
    let mut session = fresh(Default::default());
    assert_eq!(session.poll_timeout(), Some(after(10.0)));
    // A partial CONNECT buys no time.
    session.handle_input(b"CONNECT\n", after(9.0)).unwrap();
    assert_eq!(session.poll_timeout(), Some(after(10.0)));
    session.handle_timeout(after(9.999)).unwrap();
    assert_eq!(session.handle_timeout(after(10.0)).unwrap_err().kind(), ErrorKind::ConnectTimeout);
    assert_eq!(session.poll_timeout(), None);
    let mut open = open(Version::V1_0);
    assert_eq!(open.poll_timeout(), None);
    open.handle_timeout(after(1e6)).unwrap();
}

#[test]
fn l06_rapid_connects_and_disconnects() {
    for _ in 0..1000 {
        let mut session = open(Version::V1_2);
        assert!(matches!(events(&mut session, "DISCONNECT\n\n\0")[..], [Event::Disconnect { receipt: None }]));
    }
}

/// L07's share here: a session never writes on its own account faster than it is read, but for one beat.
#[test]
fn l07_unread_beats_do_not_pile_up() {
    let mut session = connect(Default::default(), "CONNECT\naccept-version:1.2\nheart-beat:0,1000\n\n\0");
    for second in 1..1000 {
        session.handle_timeout(after(second.into())).unwrap();
    }
    assert_eq!(raw(&mut session), ["\n"]);
}
