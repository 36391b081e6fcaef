//! Hard input: one octet at a time, mixtures, floods, forgeries; and the client's side of the codec.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use common::*;
use std::time::Instant;
use stomp_proto::{Command, Event, ServerDecoder, Version, frame::client};

#[test]
fn f20_one_octet_at_a_time() {
    let input = "\n\r\nSEND\r\ndestination:/a\nx:한\\n\r\ncontent-length:9\r\n\r\na\0\r\n\0b\0\n.\0\r\n\n\0SEND\ndestination:/b\n\nplain\0";
    let mut session = open(Version::V1_2);
    let mut sends = Vec::new();
    for octet in input.as_bytes() {
        sends.extend(events(&mut session, [*octet]));
    }
    let [Event::Send(first), Event::Send(second)] = &sends[..] else { panic!("two SENDs expected, {sends:?} came") };
    assert_eq!((headers(first), &first.body[..]), (vec![("x", "한\n")], &b"a\0\r\n\0b\0\n."[..]));
    assert_eq!(&second.body[..], b"plain");
    assert_eq!(session.buffered(), 0);
}

/// F20, L01: a large frame in small pieces is looked at once, not once per piece.
#[test]
fn f20_l01_small_pieces_cost_linear_time() {
    let spent = |body: usize| {
        let frame = format!("SEND\ndestination:/a\n{}\n{}\0", "h:1\n".repeat(90), "x".repeat(body));
        let mut session = open_with(limited(|limits| limits.body_bytes = 1 << 20), Version::V1_2);
        let started = Instant::now();
        let sends: usize = frame.as_bytes().chunks(1).map(|piece| events(&mut session, piece).len()).sum();
        assert_eq!(sends, 1);
        started.elapsed()
    };
    let best = |body| (0..3).map(|_| spent(body)).min().unwrap();
    let (small, large) = (best(10_000), best(1_000_000));
    // A hundred times the octets; a quadratic decoder would need ten thousand times as long.
    assert!(large < small * 1500, "{small:?} for 10 kB, {large:?} for 1 MB");
}

#[test]
fn f21_ten_thousand_tiny_frames_and_beats_in_one_read() {
    let mut session = open(Version::V1_2);
    let frames = "\nBEGIN\ntransaction:1\nreceipt:7\n\n\0\r\nABORT\ntransaction:1\n\n\0\0".repeat(5_000);
    assert!(events(&mut session, frames).is_empty());
    assert_eq!(receipts(&mut session).len(), 5_000);
    assert!(events(&mut session, "\n".repeat(1 << 20)).is_empty());
    assert_eq!(session.buffered(), 0);
}

#[test]
fn l03_a_header_line_of_100_kib_before_connect() {
    for piece in [1, 100, 4096, 200_000] {
        let mut session = fresh(Default::default());
        let line = format!("CONNECT\nAuthorization:{}", "x".repeat(100 << 10));
        let refused = line.as_bytes().chunks(piece).position(|piece| session.handle_input(piece, T0).is_err());
        let taken = (refused.unwrap() + 1) * piece;
        assert!(taken <= (8 << 10) + piece, "{taken} octets were taken in pieces of {piece}");
    }
}

#[test]
fn f14_a_huge_content_length_reserves_nothing() {
    for digits in [5, 19, 20, 40, 4000] {
        let mut session = open(Version::V1_2);
        let error = fault(&mut session, format!("SEND\ndestination:/a\ncontent-length:{}\n\n", "9".repeat(digits)));
        assert!(error.too_large());
        assert_eq!(session.buffered(), 0);
    }
}

#[test]
fn f05_h09_nothing_but_nuls_and_nuls_everywhere() {
    let mut session = open(Version::V1_2);
    assert!(events(&mut session, "\0".repeat(100_000)).is_empty());
    let frame = b"SEND\ndestination:/a\nx:1\n\n";
    for at in 1..frame.len() - 1 {
        let mut broken = frame.to_vec();
        broken[at] = 0;
        assert_eq!(fault(&mut open(Version::V1_2), broken).code(), 400, "NUL at {at}");
    }
}

/// F10: a random octet anywhere never panics, and what passes is UTF-8.
#[test]
fn f10_every_octet_at_every_place() {
    let frame = b"SEND\r\ndestination:/a\nx:\\n\ncontent-length:2\n\nhi\0";
    for version in VERSIONS {
        for at in 0..frame.len() {
            for octet in 0..=255 {
                let mut broken = frame.to_vec();
                broken[at] = octet;
                match try_events(&mut open(version), broken) {
                    Ok(events) => assert!(events.len() <= 1),
                    Err(error) => assert!(matches!(error.code(), 400 | 413)),
                }
            }
        }
    }
}

#[test]
fn v03_foreign_protocols() {
    for hello in [
        &b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ] {
        let mut session = fresh(Default::default());
        let refused = session.handle_input(hello, T0).is_err() || session.poll_event().is_err();
        assert!(refused, "{hello:?}");
    }
}

/// A clone of an event's texts outlives the session and the input.
#[test]
fn s02_events_own_what_they_show() {
    let send = {
        let mut session = open(Version::V1_2);
        send(&mut session, b"SEND\ndestination:/a\nx:\\c\n\nhi\0")
    };
    let kept = send.destination.detached();
    assert_eq!((&*kept, &*send.destination, headers(&send)), ("/a", "/a", vec![("x", ":")]));
}

#[test]
fn f13_the_clients_encoder_writes_what_the_session_reads() {
    for version in VERSIONS {
        let headers = [("destination", "/topic/방"), ("x", "1"), ("receipt", "r")];
        let frame = client::encode(Command::Send, headers, "a\0b".as_bytes(), version);
        let send = send(&mut open(version), &frame);
        assert_eq!(
            (&*send.destination, &send.body[..], send.receipt.as_deref()),
            ("/topic/방", &b"a\0b"[..], Some("r"))
        );
        let connect = client::encode(
            Command::Connect,
            [("accept-version", version.as_str()), ("passcode", "a\\cb:c")],
            b"",
            version,
        );
        let events = events(&mut fresh(Default::default()), connect);
        assert!(matches!(&events[..], [Event::Connect(connect)] if connect.passcode.as_deref() == Some("a\\cb:c")));
    }
}

#[test]
fn f20_the_clients_decoder_takes_any_pieces_and_refuses_clients() {
    let mut decoder = ServerDecoder::new();
    let mut commands = Vec::new();
    for octet in b"\nCONNECTED\nversion:1.1\n\n\0\n\nRECEIPT\nreceipt-id:a\\cb\n\n\0\n" {
        decoder.push(&[*octet]);
        while let Some(frame) = decoder.poll().unwrap() {
            commands.push((frame.command, frame.headers.get("receipt-id").map(str::to_owned)));
        }
    }
    assert_eq!(commands, [(Command::Connected, None), (Command::Receipt, Some("a:b".into()))]);
    decoder.push(b"SEND\ndestination:/a\n\n\0");
    assert!(decoder.poll().is_err());
}
