//! What a session and a SEND cost in memory.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use allocation_counter::measure;
use common::*;
use std::hint::black_box;
use stomp_proto::{Event, Session, Version};

/// performance.md row 4, the session's part.
#[test]
fn row_4_l07_a_session_is_small() {
    assert!(size_of::<Session>() <= 168, "{} octets", size_of::<Session>());
}

/// Opened, used and quiet again: no buffer stays.
#[test]
fn l07_an_idle_session_holds_no_heap() {
    let mut kept = Vec::with_capacity(1);
    let mut config = Some(std::sync::Arc::new(stomp_proto::Config::default()));
    let info = measure(|| {
        let mut session = Session::new(config.take().unwrap(), T0);
        session.handle_input(b"CONNECT\naccept-version:1.2\nheart-beat:10000,10000\n\n\0", T0).unwrap();
        session.poll_event().unwrap().unwrap();
        accept(&mut session);
        for piece in
            b"SEND\ndestination:/a\ncontent-length:3\n\nx\0y\0\r\n\nBEGIN\ntransaction:1\nreceipt:1\n\n\0".chunks(7)
        {
            drop(events(&mut session, piece));
        }
        drop(events(&mut session, "SEND\ndestination:/a\ntransaction:1\n\nx\0ABORT\ntransaction:1\n\n\0\n"));
        drop(events(&mut session, "SUBSCRIBE\nid:1\nack:client\ndestination:/a\n\n\0UNSUBSCRIBE\nid:1\n\n\0"));
        session.handle_timeout(after(9.0)).unwrap();
        while session.poll_transmit().is_some() {}
        kept.push(session);
    });
    assert_eq!((info.count_current, info.bytes_current), (0, 0), "{info:?}");
    assert!(kept[0].is_open());
}

/// performance.md row 5, the session's part.
#[test]
fn row_5_l07_a_subscription_costs_sixteen_octets() {
    let mut session = open(Version::V1_2);
    let info = measure(|| drop(events(&mut session, "SUBSCRIBE\nid:sub-0\ndestination:/topic/tea\n\n\0")));
    assert_eq!(info.bytes_current, 16, "{info:?}");
    let info = measure(|| {
        for n in 1..40 {
            drop(events(&mut session, format!("SUBSCRIBE\nid:sub-{n}\ndestination:/topic/tea\n\n\0")));
        }
    });
    assert!(info.bytes_current <= 39 * 20, "{info:?}");
    // A long id, or acknowledgements, cost more.
    let info = measure(|| {
        drop(events(&mut session, "SUBSCRIBE\nid:0123456789abcdef\nack:client\ndestination:/topic/tea\n\n\0"));
    });
    assert!(info.bytes_current <= 256, "{info:?}");
}

/// performance.md row 19, the session's part: the decoder while it has something, the frame, its sharing, its fields.
#[test]
fn row_19_l07_a_send_costs_four_allocations() {
    let mut session = open(Version::V1_2);
    let frame =
        b"SEND\ndestination:/topic/tea\ncontent-type:text/plain\nreceipt:r-1\nx-idempotency-key:k\nx-mine:1\n\nhello\0";
    let mut polled = None;
    let info = measure(|| {
        session.handle_input(frame, T0).unwrap();
        polled = session.poll_event().unwrap();
    });
    assert!(matches!(polled, Some(Event::Send(_))) && info.count_total <= 4, "{info:?}");
    // In a read with others it costs less: they share the bytes.
    let ten = frame.repeat(10);
    let info = measure(|| {
        session.handle_input(&ten, T0).unwrap();
        while let Some(event) = session.poll_event().unwrap() {
            black_box(event);
        }
    });
    assert!(info.count_total <= 13, "{info:?}");
}

/// A beat in either direction costs nothing.
#[test]
fn l07_a_beat_allocates_nothing() {
    let mut session = connect(Default::default(), "CONNECT\naccept-version:1.2\nheart-beat:1000,1000\n\n\0");
    let info = measure(|| {
        for second in 1..100 {
            session.handle_input(if second % 2 == 0 { b"\n" } else { b"\r\n" }, after(second.into())).unwrap();
            assert!(session.poll_event().unwrap().is_none());
            session.handle_timeout(after(second.into())).unwrap();
            assert!(session.poll_transmit().is_some_and(|beat| beat[..] == *b"\n"));
        }
    });
    assert_eq!(info.count_total, 0);
}

/// What is left of a read after its last whole frame does not keep that read in memory.
#[test]
fn l07_a_partial_frame_lets_go_of_the_frames_before_it() {
    let mut session = open(Version::V1_2);
    let large = format!("SEND\ndestination:/a\n\n{}\0SEND\ndest", "x".repeat(60_000));
    let info = measure(|| drop(events(&mut session, &large)));
    assert!(info.bytes_current < 200, "{info:?}");
    assert_eq!(session.buffered(), 9);
}

/// A SEND held in a transaction lets go of the read it came in.
#[test]
fn l04_a_deferred_send_pins_its_own_frame_only() {
    let mut session = open(Version::V1_2);
    events(&mut session, "BEGIN\ntransaction:1\n\n\0");
    let frames = format!("SEND\ndestination:/a\n\n{}\0SEND\ndestination:/a\ntransaction:1\n\nx\0", "x".repeat(60_000));
    let info = measure(|| drop(events(&mut session, &frames)));
    assert!(info.bytes_current < 3000, "{info:?}");
}
