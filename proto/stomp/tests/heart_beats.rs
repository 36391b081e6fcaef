//! Family B: heart-beats.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use common::*;
use std::time::Duration;
use stomp_proto::{Config, ErrorKind, Session, Version};

fn beating(config: Config, heart_beat: &str) -> Session {
    connect(config, &format!("CONNECT\naccept-version:1.2\nheart-beat:{heart_beat}\n\n\0"))
}

fn seconds(session: &Session) -> (Option<f64>, Option<f64>) {
    let (send, receive) = session.heart_beats();
    (send.map(|time| time.as_secs_f64()), receive.map(|time| time.as_secs_f64()))
}

#[test]
fn b01_the_header_is_two_numbers() {
    for bad in ["0", "T,0", "1,2,3", "-1,0", "0,-5", "", ","] {
        let frame = format!("CONNECT\naccept-version:1.2\nheart-beat:{bad}\n\n\0");
        let error = fault(&mut fresh(Default::default()), frame);
        assert!(error.code() == 400 && error.detail().contains("heart-beat"), "{bad:?}");
    }
    assert_eq!(seconds(&open(Version::V1_2)), (None, None), "a missing header is 0,0");
    let huge = beating(Config::default(), "99999999999999999999,0");
    assert!(seconds(&huge).1.unwrap() > 4e6, "huge values saturate");
}

#[test]
fn b02_b03_each_direction_beats_at_the_longer_of_two_intervals_or_never() {
    for (client, agreed) in [
        ("10000,20000", (Some(20.0), Some(10.0))),
        ("0,10000", (Some(10.0), None)),
        ("10000,0", (None, Some(10.0))),
        ("1,1", (Some(1.0), Some(1.0))),
        ("60000,60000", (Some(60.0), Some(60.0))),
        ("0,0", (None, None)),
    ] {
        assert_eq!(seconds(&beating(Config::default(), client)), agreed, "{client}");
    }
}

#[test]
fn b03_connected_carries_the_servers_offer() {
    for (client, server) in [("10000,5000", "5000,10000"), ("1,60000", "25000,1000"), ("0,0", "0,0")] {
        let mut session = fresh(Default::default());
        events(&mut session, format!("CONNECT\naccept-version:1.1\nheart-beat:{client}\n\n\0"));
        accept(&mut session);
        assert_eq!(sent(&mut session)[0].headers.get("heart-beat"), Some(server));
    }
}

#[test]
fn b04_any_octet_is_a_sign_of_life() {
    let mut session = beating(strict(), "10000,0");
    assert_eq!(session.poll_timeout(), Some(after(30.0)));
    session.handle_input(b"SE", after(5.0)).unwrap();
    assert_eq!(session.poll_timeout(), Some(after(35.0)));
    session.handle_input(b"", after(6.0)).unwrap();
    assert_eq!(session.poll_timeout(), Some(after(35.0)), "no octet, no life");
}

#[test]
fn b05_b10_a_beat_is_one_lf_of_its_own() {
    let mut session = beating(Config::default(), "10000,10000");
    session.handle_input(b"\n\r\nBEGIN\ntransaction:1\nreceipt:1\n\n\0\r\n", after(8.0)).unwrap();
    assert!(session.poll_event().unwrap().is_none());
    session.handle_timeout(after(9.0)).unwrap();
    assert_eq!(raw(&mut session), ["RECEIPT\nreceipt-id:1\n\n\0", "\n"]);
    // Before CONNECTED there is none.
    let mut fresh = fresh(Default::default());
    events(&mut fresh, "CONNECT\naccept-version:1.2\nheart-beat:1000,1000\n\n\0");
    fresh.handle_timeout(after(9.0)).unwrap();
    assert!(raw(&mut fresh).is_empty());
}

/// B06, Q02: late beats are endured.
#[test]
fn b06_lateness_is_tolerated_three_intervals_long() {
    let mut session = beating(strict(), "10000,0");
    session.handle_timeout(after(29.9)).unwrap();
    let error = session.handle_timeout(after(30.0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Silent);
    assert_eq!(session.poll_timeout(), None);
    let mut patient = strict();
    patient.heart_beat.tolerance = 5;
    assert_eq!(beating(patient, "10000,0").poll_timeout(), Some(after(50.0)));
}

/// B07, Q02: early enough for a client that endures no lateness at all; Q03: frames take the place of no beat.
#[test]
fn b07_q03_ours_come_early_and_on_schedule_even_when_frames_flow() {
    let mut session = beating(strict(), "0,10000");
    for beat in 1..=20 {
        let at = after(9.0 * f64::from(beat));
        assert_eq!(session.poll_timeout(), Some(at));
        session.receipt("busy", &[]);
        session.handle_timeout(at - Duration::from_millis(1)).unwrap();
        assert_eq!(raw(&mut session).len(), 1);
        session.handle_timeout(at).unwrap();
        assert_eq!(raw(&mut session), ["\n"]);
    }
}

#[test]
fn b08_hidden_tabs_get_a_floor_and_pongs_count() {
    let mut session = beating(Config::default(), "10000,0");
    assert_eq!(session.poll_timeout(), Some(after(75.0)));
    session.handle_life_sign(after(60.0));
    assert_eq!(session.poll_timeout(), Some(after(135.0)));
    assert_eq!(beating(Config::default(), "30000,0").poll_timeout(), Some(after(90.0)));
    assert_eq!(beating(strict(), "10000,0").poll_timeout(), Some(after(30.0)), "not in the strict profile");
    let mut config = Config::default();
    config.heart_beat.browser_floor = None;
    assert_eq!(beating(config, "10000,0").poll_timeout(), Some(after(30.0)));
}

/// Q01, B08: a hidden tab whose timers fire once a minute stays for hours.
#[test]
fn q01_a_tab_that_beats_once_a_minute_stays() {
    let mut session = beating(Config::default(), "10000,10000");
    for minute in 1..=180 {
        let now = after(60.0 * f64::from(minute));
        session.handle_timeout(now).unwrap();
        session.handle_input(b"\n", now).unwrap();
    }
    assert!(session.is_open());
    let mut strict = beating(strict(), "10000,10000");
    assert_eq!(strict.handle_timeout(after(60.0)).unwrap_err().kind(), ErrorKind::Silent);
}

#[test]
fn b08_a_socket_that_is_not_read_is_not_silent() {
    let mut session = beating(strict(), "10000,10000");
    session.pause();
    let mut beats = 0;
    for second in 0..100 {
        session.handle_timeout(after(second.into())).unwrap();
        beats += raw(&mut session).len();
    }
    assert!((10..=12).contains(&beats), "our beats go on: {beats}");
    session.resume(after(100.0));
    assert!(session.handle_timeout(after(129.9)).is_ok());
    assert!(session.handle_timeout(after(130.0)).is_err());
}

#[test]
fn b09_a_client_that_wants_none_gets_none() {
    let mut session = beating(Config::default(), "0,0");
    assert_eq!((session.heart_beats(), session.poll_timeout()), ((None, None), None));
    session.handle_timeout(after(1e6)).unwrap();
    assert!(raw(&mut session).is_empty());
}

#[test]
fn b11_no_beats_at_1_0() {
    for beats in ["1000,1000", "nonsense"] {
        let session = connect(Config::default(), &format!("CONNECT\nheart-beat:{beats}\n\n\0"));
        assert_eq!((session.heart_beats(), session.poll_timeout()), ((None, None), None));
    }
}

#[test]
fn e03_nothing_beats_after_error() {
    let mut session = beating(Config::default(), "10000,10000");
    let error = fault(&mut session, "NONSENSE\n\n\0");
    session.reject(&error);
    assert_eq!(sent(&mut session).len(), 1);
    assert_eq!(session.poll_timeout(), None);
    session.handle_timeout(after(1e6)).unwrap();
    assert!(raw(&mut session).is_empty());
}
