//! Time grows with the input and no faster, whatever it is made of: each shape once, and four times as much of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use common::*;
use std::time::{Duration, Instant};
use stomp_proto::{Config, Event, ServerDecoder, Version};

/// Quadratic would be sixteen, linear is four; the machine has other work, too.
const MOST: u32 = 10;

/// No limit but the largest number.
fn unlimited() -> Config {
    limited(|limits| {
        let most = 1 << 28;
        (limits.headers, limits.header_line_bytes, limits.header_block_bytes) = (most, most, most);
        (limits.body_bytes, limits.transaction_actions, limits.transaction_bytes) = (most, most, most);
        (limits.prefetch, limits.unacked, limits.pipelined_bytes) = (most, most, most);
    })
}

/// The best of some runs over inputs of both sizes, in turns.
fn is_linear(what: &str, size: usize, run: impl Fn(usize) -> Duration) {
    run(size);
    let mut ratio = f64::MAX;
    // A busy machine spoils a run, never all of them; a quadratic path spoils all.
    for _ in 0..6 {
        let best = |size| (0..5).map(|_| run(size)).min().unwrap();
        let (small, large) = (best(size), best(4 * size));
        ratio = ratio.min(large.as_secs_f64() / small.as_secs_f64().max(1e-6));
        if ratio < f64::from(MOST) {
            return;
        }
    }
    panic!("{what}: four times the input takes {ratio:.1} times as long");
}

fn reading(input: &str, version: Version) -> Duration {
    let mut session = open_with(unlimited(), version);
    let begun = Instant::now();
    let count = events(&mut session, input).len();
    let spent = begun.elapsed();
    assert!(count > 0 || !input.contains("SEND"));
    spent
}

#[test]
fn f20_l01_one_frame_of_any_shape() {
    let numbered = |n: usize, line: fn(usize) -> String| (0..n).map(line).collect::<String>();
    is_linear("different headers", 1_000, |n| {
        reading(&format!("SEND\ndestination:/a\n{}\n\0", numbered(n, |i| format!("x-{i}:{i}\n"))), Version::V1_2)
    });
    is_linear("one header again and again", 4_000, |n| {
        reading(&format!("SEND\ndestination:/a\n{}\n\0", "x:1\n".repeat(n)), Version::V1_2)
    });
    is_linear("escapes", 20_000, |n| {
        reading(&format!("SEND\ndestination:/a\nx:{}\n\n\0", "\\c\\n\\\\".repeat(n)), Version::V1_2)
    });
    is_linear("a body up to its NUL", 1 << 18, |n| {
        reading(&format!("SEND\ndestination:/a\n\n{}\0", "x".repeat(n)), Version::V1_1)
    });
    is_linear("a body of a known length", 1 << 18, |n| {
        reading(&format!("SEND\ndestination:/a\ncontent-length:{n}\n\n{}\0", "\n".repeat(n)), Version::V1_2)
    });
}

#[test]
fn f21_many_frames_in_one_read() {
    is_linear("SENDs", 2_000, |n| reading(&"SEND\ndestination:/a\n\nx\0".repeat(n), Version::V1_2));
    is_linear("line ends between frames", 1 << 18, |n| reading(&"\r\n".repeat(n), Version::V1_2));
    is_linear("NULs between frames", 1 << 18, |n| reading(&"\0".repeat(n), Version::V1_2));
    is_linear("a transaction", 2_000, |n| {
        let sends = "SEND\ndestination:/a\ntransaction:t\n\nx\0".repeat(n);
        reading(&format!("BEGIN\ntransaction:t\n\n\0{sends}COMMIT\ntransaction:t\n\n\0"), Version::V1_2)
    });
    is_linear("frames before CONNECT is answered", 2_000, |n| {
        let mut session = fresh(unlimited());
        let begun = Instant::now();
        session.handle_input(b"CONNECT\naccept-version:1.2\n\n\0", T0).unwrap();
        assert!(matches!(session.poll_event(), Ok(Some(Event::Connect(_)))));
        for _ in 0..n {
            session.handle_input(b"SEND\ndestination:/a\n\nx\0", T0).unwrap();
        }
        accept(&mut session);
        let sends = std::iter::from_fn(|| session.poll_event().unwrap()).count();
        assert_eq!(sends, n);
        begun.elapsed()
    });
}

#[test]
fn f20_any_number_of_pieces() {
    let pieces = |n: usize, size: usize| {
        let input = format!("SEND\ndestination:/a\nx:{}\n\n{}\0", "y".repeat(n), "z".repeat(n));
        let mut session = open_with(unlimited(), Version::V1_2);
        let begun = Instant::now();
        let sends: usize = input.as_bytes().chunks(size).map(|piece| events(&mut session, piece).len()).sum();
        assert_eq!(sends, 1);
        begun.elapsed()
    };
    is_linear("octet by octet", 10_000, |n| pieces(n, 1));
    is_linear("in pieces of 100", 200_000, |n| pieces(n, 100));
}

/// Acknowledged one by one, from the newest to the oldest and the other way round.
#[test]
fn a06_deliveries_that_are_settled_one_by_one() {
    for newest_first in [false, true] {
        is_linear("ACKs", 1_000, |n| {
            let mut session = open_with(unlimited(), Version::V1_2);
            let frame =
                format!("SUBSCRIBE\nid:0\ndestination:/a\nack:client-individual\nprefetch-count:{}\n\n\0", 1 << 20);
            let handle = subscribe(&mut session, frame).handle;
            let mut acks: Vec<_> = (0..n).map(|i| session.delivered(handle, &i.to_string()).unwrap()).collect();
            if newest_first {
                acks.reverse();
            }
            let input: String = acks.iter().map(|ack| format!("ACK\nid:{ack}\n\n\0")).collect();
            let begun = Instant::now();
            assert_eq!(events(&mut session, input).len(), n);
            begun.elapsed()
        });
    }
}

#[test]
fn f20_what_servers_send() {
    is_linear("MESSAGEs", 2_000, |n| {
        let mut decoder = ServerDecoder::new();
        let begun = Instant::now();
        decoder.push(b"CONNECTED\nversion:1.2\n\n\0");
        decoder.push("MESSAGE\ndestination:/a\nmessage-id:1\nsubscription:0\n\nx\0".repeat(n).as_bytes());
        let frames = std::iter::from_fn(|| decoder.poll().unwrap()).count();
        assert_eq!(frames, n + 1);
        begun.elapsed()
    });
}
