//! Family B over the wire: what is agreed, who beats when, and what silence leads to.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod kit;

use std::io::Write;
use std::time::{Duration, Instant};

use kit::edge::Edge;
use kit::wire::{Incoming, PATIENCE, Wire, opcode, websocket};

fn connect(edge: &Edge, heart_beat: &str) -> (Wire, String) {
    let mut wire = Wire::open(edge);
    wire.say("CONNECT", &[("accept-version", "1.2"), ("heart-beat", heart_beat)], "");
    let agreed = wire.expect("CONNECTED").header("heart-beat").unwrap().to_owned();
    (wire, agreed)
}

/// Writes these octets every 300 ms until told to stop (by dropping the sender).
fn keep_saying(wire: &Wire, octets: Vec<u8>) -> std::sync::mpsc::Sender<()> {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let mut writer = wire.stream.try_clone().unwrap();
    std::thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_millis(300)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            if writer.write_all(&octets).is_err() {
                break;
            }
        }
    });
    stop
}

/// B01, B02, B03, V10: the edge mirrors the client's wish between its floor and its cap; what cannot be read is refused.
#[test]
fn b01_b02_b03_what_is_agreed() {
    let edge = Edge::start(&["--log-memory", "--heart-beat-floor", "500ms", "--heart-beat-cap", "3s"]);
    for (wish, answer) in [
        ("1000,2000", "2000,1000"),
        ("0,0", "0,0"),
        ("1,1", "500,500"),
        ("0,99999999999", "3000,0"),
        ("60000,0", "0,3000"),
    ] {
        assert_eq!(connect(&edge, wish).1, answer, "{wish}");
    }
    for bad in ["0", "T,0", "1,2,3", "-1,0", "1.5,0", ""] {
        let mut wire = Wire::open(&edge);
        wire.say("CONNECT", &[("accept-version", "1.2"), ("heart-beat", bad)], "");
        let error = wire.refused("400", 1002);
        assert!(String::from_utf8_lossy(&error.body).contains("heart-beat"), "{bad}");
    }
    // B11: 1.0 has none.
    let mut wire = Wire::open(&edge);
    wire.say("CONNECT", &[("accept-version", "1.0"), ("heart-beat", "1000,1000")], "");
    assert_eq!(wire.expect("CONNECTED").header("heart-beat"), Some("0,0"));
}

/// B05, B07, W11: the edge's beat is a text message of one LF, early enough for a peer that endures no lateness, also
/// while it sends frames.
#[test]
fn b05_b07_w11_our_beats() {
    let edge = Edge::start(&["--log-memory"]);
    let (mut wire, _) = connect(&edge, "0,1000");
    let mut last = Instant::now();
    for _ in 0..3 {
        assert_eq!(wire.next(), Incoming::Text(b"\n".to_vec()));
        assert!(last.elapsed() < Duration::from_millis(1300), "{:?}", last.elapsed());
        last = Instant::now();
    }
}

/// B06, B04, B08: silence ends the session after three intervals; any octet and any pong is a sign of life; the spring
/// profile endures a hidden tab for longer.
#[test]
fn b04_b06_b08_silence() {
    let strict = Edge::start(&["--log-memory", "--profile", "strict", "--heart-beat-floor", "500ms"]);
    let spring = Edge::start(&["--log-memory", "--heart-beat-floor", "500ms"]);
    let (mut silent, _) = connect(&strict, "500,0");
    let began = Instant::now();
    let (beating, _) = connect(&strict, "500,0");
    let beats = keep_saying(&beating, websocket(opcode::BINARY, true, b"\r\n"));
    let (ponging, _) = connect(&strict, "500,0");
    let pongs = keep_saying(&ponging, websocket(opcode::PONG, true, b""));
    let (hidden, _) = connect(&spring, "500,0");
    let error = silent.refused("400", 1002);
    assert_eq!(error.header("x-error"), Some("heart_beat_lost"));
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1200) && took < Duration::from_secs(4), "{took:?}");
    // One more patience of the strict edge, seen by a second client that falls silent now.
    connect(&strict, "500,0").0.refused("400", 1002);
    drop((beats, pongs));
    for mut wire in [beating, ponging, hidden] {
        wire.send("/topic/r", "alive");
    }
}

/// B09, Q04, Q16: a client that wants no heart-beats is pinged by WebSocket; one that answers stays, one that is gone is noticed.
#[test]
fn b09_pings_where_no_heart_beats_are_wanted() {
    let edge = Edge::start(&["--log-memory", "--heart-beat-cap", "1s"]);
    let (mut answers, agreed) = connect(&edge, "0,0");
    assert_eq!(agreed, "0,0");
    let (mut gone, _) = connect(&edge, "0,0");
    for _ in 0..5 {
        match answers.next() {
            Incoming::Ping(payload) => answers.raw(&websocket(opcode::PONG, true, &payload)),
            other => panic!("{other:?}"),
        }
    }
    let mut pings = 0;
    loop {
        match gone.next_within(PATIENCE).expect("a ping or the end") {
            Incoming::Ping(_) => pings += 1,
            Incoming::Text(error) => {
                assert!(error.starts_with(b"ERROR\n"));
                break gone.closed(1002);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pings, 3);
    answers.send("/topic/r", "alive");
}
