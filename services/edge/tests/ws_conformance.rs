//! RFC 6455 on raw sockets, in the groups that public suites have, against `--ws-echo` and, where STOMP would answer the
//! same, against the path for STOMP (W09, W10). `cases.rs` is the table.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "ws_conformance/case.rs"]
mod case;
#[path = "ws_conformance/cases.rs"]
mod cases;
mod kit;

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use case::{BINARY, Case, FIN, PING, TEXT, fragments, frame, header};
use kit::edge::Edge;
use kit::wire::{Incoming, Wire};

const MIB: usize = 1 << 20;

fn start() -> Edge {
    Edge::start(&["--log-memory", "--ws-echo", "/echo"])
}

/// Each case whole, and octet by octet where that does not take for ever; what fits STOMP also there.
fn play(cases: &[Case]) {
    let edge = start();
    for case in cases {
        case.play(&edge, "/echo", usize::MAX);
        if case.says.len() < 4096 {
            case.play(&edge, "/echo", 1);
        }
        if case.fits_stomp() {
            case.play(&edge, "/ws", usize::MAX);
        }
    }
}

#[test]
fn w09_framing() {
    play(&cases::framing());
}

#[test]
fn w10_pings_and_pongs() {
    play(&cases::pings());
}

#[test]
fn w10_reserved_bits_and_opcodes() {
    play(&cases::reserved());
}

#[test]
fn w09_fragmentation() {
    play(&cases::fragmentation());
}

#[test]
fn w10_text_is_utf8() {
    play(&cases::utf8());
}

#[test]
fn w10_w19_closing() {
    play(&cases::closing());
}

#[test]
fn w08_too_large_is_known_by_the_header() {
    let edge = start();
    cases::limits().iter().for_each(|case| case.play(&edge, "/echo", usize::MAX));
    // For STOMP the limit is another, and there is an ERROR in front of the close.
    let mut wire = Wire::open(&edge);
    wire.raw(&[header(FIN | TEXT, 1 << 40), vec![0; 4]].concat());
    wire.refused("413", 1009);
}

/// A fault in the middle of much more: what follows is passed over, and the close arrives all the same (7.1.7).
#[test]
fn w19_the_close_arrives_however_much_follows() {
    let edge = start();
    for bad in [frame(FIN | 3, b""), frame(FIN | 0x40 | TEXT, b"x"), say_too_much(), frame(FIN | TEXT, b"\xff")] {
        let mut wire = Wire::ask(&edge, "/echo", &[]).unwrap();
        wire.raw(&bad);
        let code = match bad[0] {
            0x82 => 1009,
            0x81 => 1007,
            _ => 1002,
        };
        // Some of it arrives before the close is written, some after.
        let junk = frame(FIN | BINARY, &vec![0x55; 300_000]);
        let _ = (0..5).all(|_| wire.try_raw(&junk));
        assert!(matches!(wire.next(), Incoming::Close(heard, _) if heard == code), "close {code}");
        assert_eq!(wire.next(), Incoming::End { reset: false });
    }
}

fn say_too_much() -> Vec<u8> {
    [header(FIN | BINARY, (16 * MIB + 1) as u64), vec![0; 4]].concat()
}

/// Large messages, whole and in fragments, up to the limit.
#[test]
fn w09_large_messages() {
    let edge = start();
    let mut wire = Wire::ask(&edge, "/echo", &[]).unwrap();
    for (size, piece) in [(64 << 10, 0), (MIB, 0), (MIB, 64), (4 * MIB, 4096), (16 * MIB, 0), (16 * MIB, 256 << 10)] {
        for opcode in [TEXT, BINARY] {
            let payload: Vec<u8> = (0..size).map(|at| b'a' + (at / 3 % 26) as u8).collect();
            let whole = || frame(FIN | opcode, &payload);
            wire.raw(&if piece == 0 { whole() } else { fragments(opcode, &payload, piece) });
            let heard = wire.next();
            let same =
                if opcode == TEXT { heard == Incoming::Text(payload) } else { heard == Incoming::Binary(payload) };
            assert!(same, "{size} octets in pieces of {piece}");
        }
    }
    wire.raw(&fragments(BINARY, &vec![0; 16 * MIB + 1], MIB));
    wire.closed(1009);
}

/// Many small messages on one connection, sent before any is read.
#[test]
fn w06_a_thousand_small_messages() {
    let edge = start();
    let mut wire = Wire::ask(&edge, "/echo", &[]).unwrap();
    for length in [0, 16, 64, 256, 1024] {
        let message = |at: usize| format!("{at:0length$}");
        let all: Vec<u8> = (0..1000).flat_map(|at| frame(FIN | TEXT, &message(at).as_bytes()[..length])).collect();
        wire.raw(&all);
        (0..1000).for_each(|at| assert_eq!(wire.next(), Incoming::Text(message(at).as_bytes()[..length].to_vec())));
    }
}

/// p7: a client that sends and does not read is not read either. What waits for it is bounded, and nothing is lost.
#[test]
fn p7_an_echo_that_nobody_reads_is_bounded() {
    const EACH: usize = 16 << 10;
    let edge = start();
    let mut wire = Wire::ask(&edge, "/echo", &[]).unwrap();
    wire.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let message = frame(FIN | BINARY, &vec![7; EACH]);
    let (mut sent, began) = (0, Instant::now());
    let blocked = loop {
        match wire.stream.write(&message[sent % message.len()..]) {
            Ok(count) => sent += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break true,
            Err(_) => break false,
        }
        assert!(sent < 64 * MIB && began.elapsed() < Duration::from_secs(8), "{sent} octets taken");
    };
    assert!(blocked, "it is not cut while it could still begin to read");
    let queued = edge.metric("klatsch_outbound_queued_bytes");
    assert!(queued > 0.0 && queued < 512.0 * 1024.0, "{queued} octets wait");

    // It begins to read: everything comes back, whole.
    let whole = sent / message.len();
    let mut rest = wire.stream.try_clone().unwrap();
    let reader =
        std::thread::spawn(move || (0..whole).map(|_| wire.next()).all(|it| it == Incoming::Binary(vec![7; EACH])));
    rest.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    let last = &message[sent % message.len()..];
    rest.write_all(if sent % message.len() == 0 { &[] } else { last }).unwrap();
    assert!(reader.join().unwrap());
}

/// It is there only when asked for, and takes nothing from the path for STOMP.
#[test]
fn the_echo_is_off_by_default() {
    let edge = Edge::start(&["--log-memory"]);
    assert_eq!(Wire::ask(&edge, "/echo", &[]).err(), Some(404));
    let mut wire = Wire::open(&edge);
    wire.raw(&frame(FIN | PING, b"here"));
    assert_eq!(wire.next(), Incoming::Pong(b"here".to_vec()));
    wire.raw(&frame(FIN | TEXT, b"no STOMP\n\n\0"));
    wire.refused("400", 1002);
    let mut nothing = [0];
    assert_eq!(wire.stream.read(&mut nothing).unwrap_or(0), 0);
}
