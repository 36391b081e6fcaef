//! DESIGN §7 beyond the tail: what only the log still holds is read from there, in one bounded scan, and joins with the
//! tail and with what comes live. Promises 3, 4 and 7.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kit::edge::Edge;
use kit::eventually;
use kit::frame::Frame;
use kit::wire::{Wire, message};

const SOON: Duration = Duration::from_secs(10);
/// With this tail a few hundred short messages are all that is remembered.
const SMALL: [&str; 9] =
    ["--log-memory", "--partitions", "1", "--max-body", "4KiB", "--max-headers", "1KiB", "--tail-bytes", "64KiB"];

fn edge(more: &[&str]) -> Edge {
    Edge::start(&[&SMALL, more].concat())
}

/// SUBSCRIBE with these headers more; its RECEIPT.
#[track_caller]
fn subscribe(wire: &mut Wire, room: &str, more: &[(&str, &str)]) -> Frame {
    let destination = format!("/topic/{room}");
    wire.say("SUBSCRIBE", &[&[("id", "0"), ("destination", &destination), ("receipt", "s")], more].concat(), "");
    wire.receipt("s")
}

#[track_caller]
fn from(edge: &Edge, room: &str, token: &str) -> (bool, Wire) {
    let mut wire = Wire::connect(edge);
    let receipt = subscribe(&mut wire, room, &[("x-from", token)]);
    (receipt.header("x-recovered").unwrap() == "true", wire)
}

/// Sends so much to another room that the tail remembers nothing of what was there before.
#[track_caller]
fn forget(edge: &Edge, sender: &mut Wire) {
    let mut other = Wire::connect(edge);
    other.subscribe("0", "/topic/other");
    let body = "x".repeat(400);
    let all: Vec<u8> =
        (0..300).flat_map(|_| message("SEND", &[("destination", "/topic/other"), ("receipt", "r")], &body)).collect();
    sender.raw(&all);
    (0..300).for_each(|_| drop(sender.receipt("r")));
    (0..300).for_each(|_| drop(other.expect("MESSAGE")));
}

fn kafka(edge: &Edge) -> f64 {
    edge.metric("klatsch_resume_total{result=\"kafka\"}")
}

#[test]
fn p3_what_the_tail_has_forgotten_is_read_from_the_log() {
    let edge = edge(&[]);
    let (mut sender, mut wire) = (Wire::connect(&edge), Wire::connect(&edge));
    let empty = subscribe(&mut wire, "a", &[]).header("x-position").unwrap().to_owned();
    let ids: Vec<String> = ["1", "2", "3"].map(|body| sender.send("/topic/a", body)).into();
    let elsewhere = sender.send("/topic/b", "other");
    sender.send("/topic/a", "4");
    let times: Vec<String> = (0..4).map(|_| wire.expect("MESSAGE").header("timestamp").unwrap().to_owned()).collect();
    let at = format!("@{}", times[3]);
    let since = times.iter().position(|time| *time == times[3]).unwrap();
    forget(&edge, &mut sender);
    let mut all: Vec<String> = ["1", "2", "3", "4"].map(str::to_owned).into();
    for (token, skip) in
        [(&*empty, 0), ("first", 0), ("@0", 0), (&ids[0], 1), (&ids[2], 3), (&elsewhere, 3), (&at, since)]
    {
        let before = kafka(&edge);
        let (recovered, mut wire) = from(&edge, "a", token);
        assert!(recovered, "{token}");
        assert_eq!(kafka(&edge), before + 1.0);
        // The later ones are in the tail: what was scanned and what is remembered join.
        for body in &all[skip..] {
            let message = wire.expect("MESSAGE");
            assert_eq!((message.body.as_slice(), message.header("x-replayed")), (body.as_bytes(), Some("true")));
        }
        let live = format!("live {}", all.len());
        let id = sender.send("/topic/a", &live);
        let message = wire.expect("MESSAGE");
        assert_eq!((message.header("message-id"), message.header("x-replayed")), (Some(&*id), None), "{token}");
        assert_eq!(wire.leave().len(), 0);
        all.push(live);
    }
    let nobody = format!("{}00000001", ids[0].trim_end_matches(|octet: char| octet.is_ascii_hexdigit()));
    for token in [&*nobody, "0-99999-00000000"] {
        let (recovered, mut wire) = from(&edge, "a", token);
        assert!(!recovered, "{token}");
        let live = sender.send("/topic/a", "live");
        assert_eq!(wire.expect("MESSAGE").header("message-id"), Some(&*live), "never a partial replay");
    }
    assert_eq!(edge.metric("klatsch_resume_waiting"), 0.0);
}

/// Promise 4: a repeat stays hidden, also when it is read from the log again, and also when the first is before what
/// was asked for.
#[test]
fn p4_a_repeat_stays_hidden_in_what_is_read_from_the_log() {
    let edge = edge(&[]);
    let (mut sender, mut wire) = (Wire::connect(&edge), Wire::connect(&edge));
    subscribe(&mut wire, "a", &[]);
    let send = |key: &str| {
        let headers = [("destination", "/topic/a"), ("x-idempotency-key", key), ("receipt", key)];
        message("SEND", &headers, key)
    };
    // Both go off before either is known, most times.
    let mut keys: Vec<String> = Vec::new();
    while edge.metric("klatsch_records_repeated_total") < 5.0 {
        assert!(keys.len() < 1000);
        let key = keys.len().to_string();
        sender.raw(&[send(&key), send(&key)].concat());
        (0..2).for_each(|_| drop(sender.receipt(&key)));
        keys.push(key);
    }
    let seen: Vec<Frame> = keys.iter().map(|_| wire.expect("MESSAGE")).collect();
    forget(&edge, &mut sender);
    for (at, message) in seen.iter().enumerate().step_by(keys.len() / 5 + 1) {
        let (recovered, wire) = from(&edge, "a", message.header("message-id").unwrap());
        assert!(recovered);
        let rest: Vec<Vec<u8>> = wire.leave_after(keys.len() - at - 1);
        assert!(rest.iter().map(Vec::as_slice).eq(keys[at + 1..].iter().map(String::as_bytes)));
    }
}

#[test]
fn history_reaches_beyond_the_tail() {
    let edge = edge(&[]);
    let mut sender = Wire::connect(&edge);
    for n in 0..20 {
        sender.send("/topic/a", &n.to_string());
    }
    forget(&edge, &mut sender);
    sender.send("/topic/a", "20");
    for (asked, expected) in [("1", 20..21), ("5", 16..21), ("1000", 0..21), ("0", 21..21)] {
        let mut wire = Wire::connect(&edge);
        let receipt = subscribe(&mut wire, "a", &[("x-history", asked)]);
        assert_eq!(receipt.header("x-recovered"), Some("true"));
        assert_eq!(receipt.header("x-history-count"), Some(expected.len().to_string().as_str()), "{asked}");
        for n in expected {
            assert_eq!(wire.message(), n.to_string());
        }
        assert_eq!(wire.leave().len(), 0);
    }
}

/// A05, U10: a delivery window and an UNSUBSCRIBE hold for what was read from the log as for anything else.
#[test]
fn a05_u10_a_window_and_an_end_in_the_middle_of_the_past() {
    let edge = edge(&[]);
    let mut sender = Wire::connect(&edge);
    let first = sender.send("/topic/a", "0");
    for n in 1..30 {
        sender.send("/topic/a", &n.to_string());
    }
    forget(&edge, &mut sender);
    let mut wire = Wire::connect(&edge);
    subscribe(&mut wire, "a", &[("x-from", &first), ("ack", "client"), ("prefetch-count", "4")]);
    for n in 1..30 {
        let message = wire.expect("MESSAGE");
        assert_eq!(message.body, n.to_string().into_bytes());
        if n % 4 == 0 {
            assert_eq!(wire.next_within(Duration::from_millis(20)), None, "the window is shut");
            wire.say("ACK", &[("id", message.header("ack").unwrap())], "");
        }
    }
    let live = sender.send("/topic/a", "live");
    assert_eq!(wire.expect("MESSAGE").header("message-id"), Some(&*live));

    let mut wire = Wire::connect(&edge);
    for round in 0..20 {
        let headers = [("id", "0"), ("destination", "/topic/a"), ("x-from", &*first), ("receipt", "s")];
        wire.raw(
            &[message("SUBSCRIBE", &headers, ""), message("UNSUBSCRIBE", &[("id", "0"), ("receipt", "u")], "")]
                .concat(),
        );
        let mut left = vec!["s".to_owned(), "u".to_owned()];
        while !left.is_empty() {
            let frame = wire.frame();
            if let Some(receipt) = frame.header("receipt-id") {
                left.retain(|one| one != receipt);
            }
        }
        let probe = round.to_string();
        wire.say("BEGIN", &[("transaction", &probe), ("receipt", &probe)], "");
        wire.receipt(&probe);
        wire.say("ABORT", &[("transaction", &probe)], "");
    }
    eventually("what was read for them is given back", SOON, || {
        (edge.metric("klatsch_replay_bytes") == 0.0).then_some(())
    });
}

/// L07, promise 7: what is read from the log for one session is bounded, and whoever does not take it is cut like
/// anybody else, without harm to others; all of an edge's is bounded too.
#[test]
fn p7_l07_what_is_read_for_a_session_is_bounded() {
    let edge = edge(&["--replay-bytes", "256KiB", "--replay-bytes-total", "512KiB"]);
    let mut sender = Wire::connect(&edge);
    let large = "x".repeat(4000);
    let mut send = || {
        sender.say("SEND", &[("destination", "/topic/a"), ("receipt", "r")], &large);
        sender.receipt("r").header("message-id").unwrap().to_owned()
    };
    let ids: Vec<String> = (0..100).map(|_| send()).collect();
    forget(&edge, &mut sender);
    let (recovered, _) = from(&edge, "a", &ids[10]);
    assert!(!recovered, "360 KiB are more than a session may hold");
    let lazy: Vec<(bool, Wire)> = (0..10)
        .map(|_| {
            let one = from(&edge, "a", &ids[50]);
            assert!(edge.metric("klatsch_replay_bytes") <= 512.0 * 1024.0);
            one
        })
        .collect();
    let served = lazy.iter().filter(|(recovered, _)| *recovered).count();
    assert!((2..10).contains(&served), "each holds about 200 KiB until it has taken them: {served}");
    drop(lazy);
    eventually("given back", SOON, || (edge.metric("klatsch_replay_bytes") == 0.0).then_some(()));
    let (recovered, mut wire) = from(&edge, "a", &ids[97]);
    assert!(recovered);
    assert_eq!([wire.message(), wire.message()], [&*large, &*large]);
}

/// While a room is busy, sessions come back again and again behind what lies beyond the tail: one unbroken sequence.
#[test]
fn p3_p4_log_tail_and_live_join_without_gap_or_duplicate() {
    let edge = edge(&["--tail-bytes", "256KiB"]);
    let mut sender = Wire::connect(&edge);
    let tokens: Vec<String> = (0..600).map(|n| sender.send("/topic/a", &n.to_string())).collect();
    (0..2).for_each(|_| forget(&edge, &mut sender));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = &over;
        scope.spawn(move || {
            let mut sent = 600;
            while !over.load(Ordering::Relaxed) && sent < 20_000 {
                sender.send("/topic/a", &sent.to_string());
                sent += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        for round in 0..60 {
            let first = round * 9 % 300;
            let (recovered, mut wire) = from(&edge, "a", &tokens[first]);
            assert!(recovered, "{round}");
            for n in first + 1..first + 900 {
                assert_eq!(wire.message(), n.to_string(), "{round}");
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(kafka(&edge) >= 60.0);
}

/// The budget of a look is a setting; beyond it the answer is `false`, and soon.
#[test]
fn p3_beyond_the_budget_nothing_is_replayed() {
    let edge = edge(&["--scan-records", "500"]);
    let mut sender = Wire::connect(&edge);
    let first = sender.send("/topic/a", "1");
    forget(&edge, &mut sender);
    assert!(from(&edge, "a", &first).0);
    forget(&edge, &mut sender);
    for token in [&*first, "first"] {
        let (recovered, mut wire) = from(&edge, "a", token);
        assert!(!recovered, "{token}");
        let live = sender.send("/topic/a", "live");
        assert_eq!(wire.expect("MESSAGE").header("message-id"), Some(&*live));
    }
    // Without a RECEIPT it is an ERROR.
    let mut wire = Wire::connect(&edge);
    wire.say("SUBSCRIBE", &[("id", "0"), ("destination", "/topic/a"), ("x-from", &first)], "");
    wire.refused("410", 4003);
}
