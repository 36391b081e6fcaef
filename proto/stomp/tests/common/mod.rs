//! What the families share: sessions at each version, and eyes for what they say.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::{sync::Arc, time::Duration};
use stomp_proto::{
    Accept, Command, Config, Event, Limits, Profile, ProtocolError, Send, ServerDecoder, ServerFrame, Session,
    Subscribe, Version,
};

pub(crate) const T0: Duration = Duration::from_secs(1000);
pub(crate) const VERSIONS: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];
pub(crate) const SINCE_1_1: [Version; 2] = [Version::V1_1, Version::V1_2];

pub(crate) fn after(seconds: f64) -> Duration {
    T0 + Duration::from_secs_f64(seconds)
}

pub(crate) fn strict() -> Config {
    Config { profile: Profile::Strict, ..Config::default() }
}

pub(crate) fn limited(change: impl FnOnce(&mut Limits)) -> Config {
    let mut config = Config::default();
    change(&mut config.limits);
    config
}

/// A session that has seen nothing.
pub(crate) fn fresh(config: Config) -> Session {
    Session::new(Arc::new(config), T0)
}

/// An open session of that version; its CONNECTED is out already.
pub(crate) fn open(version: Version) -> Session {
    open_with(Config::default(), version)
}

pub(crate) fn open_with(config: Config, version: Version) -> Session {
    connect(config, &format!("CONNECT\naccept-version:{version}\n\n\0"))
}

/// An open session whose client began with that frame.
pub(crate) fn connect(config: Config, frame: &str) -> Session {
    let mut session = fresh(config);
    session.handle_input(frame.as_bytes(), T0).unwrap();
    assert!(matches!(session.poll_event().unwrap(), Some(Event::Connect(_))));
    accept(&mut session);
    assert_eq!(sent(&mut session).len(), 1);
    session
}

pub(crate) fn accept(session: &mut Session) {
    session.accept(Accept { session: "s1", user: Some("tea"), headers: &[] }, T0);
}

/// All events of some input; fails when the input does.
pub(crate) fn events(session: &mut Session, input: impl AsRef<[u8]>) -> Vec<Event> {
    try_events(session, input).unwrap()
}

pub(crate) fn try_events(session: &mut Session, input: impl AsRef<[u8]>) -> Result<Vec<Event>, ProtocolError> {
    session.handle_input(input.as_ref(), T0)?;
    let mut events = Vec::new();
    while let Some(event) = session.poll_event()? {
        events.push(event);
    }
    Ok(events)
}

/// The fault that some input is.
#[track_caller]
pub(crate) fn fault(session: &mut Session, input: impl AsRef<[u8]>) -> ProtocolError {
    let input = input.as_ref();
    match try_events(session, input) {
        Ok(events) => panic!("{:?} passed as {events:?}", String::from_utf8_lossy(input)),
        Err(error) => error,
    }
}

/// The one SEND that some input is.
#[track_caller]
pub(crate) fn send(session: &mut Session, input: impl AsRef<[u8]>) -> Send {
    let mut events = events(session, input);
    match (events.pop(), events.is_empty()) {
        (Some(Event::Send(send)), true) => send,
        (other, _) => panic!("one SEND expected, {other:?} came"),
    }
}

/// The one SUBSCRIBE that some input is.
#[track_caller]
pub(crate) fn subscribe(session: &mut Session, input: impl AsRef<[u8]>) -> Subscribe {
    match events(session, input).pop() {
        Some(Event::Subscribe(subscribe)) => subscribe,
        other => panic!("SUBSCRIBE expected, {other:?} came"),
    }
}

pub(crate) fn headers(send: &Send) -> Vec<(&str, &str)> {
    send.headers.iter().collect()
}

/// What the session sends, in raw bytes.
pub(crate) fn raw(session: &mut Session) -> Vec<String> {
    std::iter::from_fn(|| session.poll_transmit()).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).collect()
}

/// What the session sends, as its client reads it; beats are left out.
pub(crate) fn sent(session: &mut Session) -> Vec<ServerFrame> {
    let version = session.version();
    raw(session).iter().filter(|text| *text != "\n").map(|text| read(version, text.as_bytes())).collect()
}

/// One frame of a server, read by a client of that version.
pub(crate) fn read(version: Version, bytes: &[u8]) -> ServerFrame {
    let mut decoder = ServerDecoder::new();
    decoder.push(format!("CONNECTED\nversion:{version}\n\n\0").as_bytes());
    decoder.poll().unwrap().unwrap();
    decoder.push(bytes);
    let frame = decoder.poll().unwrap().unwrap();
    assert!(decoder.poll().unwrap().is_none());
    frame
}

/// The receipts that went out.
pub(crate) fn receipts(session: &mut Session) -> Vec<String> {
    let frames = sent(session);
    assert!(frames.iter().all(|frame| frame.command == Command::Receipt && frame.body.is_empty()));
    frames.iter().map(|frame| frame.headers.get("receipt-id").unwrap().to_owned()).collect()
}
