//! The example frames of the three specifications, as data: `tests/data/{1.0,1.1,1.2}.txt`. A line `## …` says what the
//! frame under it means; `^@` stands for NUL.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;
use common::*;
use std::collections::HashSet;
use stomp_proto::{Command, Event, ServerDecoder, Version};

/// A client's frame in a session that knows subscription 0 (`/queue/known`), has delivered message 007 to it, and has
/// transaction tx1 open.
fn outcome(version: Version, frame: &[u8]) -> String {
    let mut session = fresh(Default::default());
    if !frame.starts_with(b"CONNECT") && !frame.starts_with(b"STOMP") {
        session = open(version);
        let id = if version == Version::V1_0 { "" } else { "id:0\n" };
        let known = subscribe(&mut session, format!("SUBSCRIBE\n{id}ack:client\ndestination:/queue/known\n\n\0"));
        session.delivered(known.handle, "007").unwrap();
        events(&mut session, "BEGIN\ntransaction:tx1\n\n\0");
    }
    let event = match try_events(&mut session, frame) {
        Ok(mut events) => events.pop(),
        Err(error) => return format!("error {}", error.code()),
    };
    let or_dash = |text: &Option<stomp_proto::Text>| text.as_deref().unwrap_or("-").to_owned();
    match event {
        None => "nothing".into(),
        Some(Event::Connect(connect)) => {
            let named = [("host", &connect.host), ("login", &connect.login), ("passcode", &connect.passcode)];
            let given = named.iter().filter_map(|(name, value)| Some(format!(" {name}={}", value.as_deref()?)));
            format!("Connect {}{}", connect.version, given.collect::<String>())
        }
        Some(Event::Send(send)) => format!("Send {} {}", send.destination, send.body.len()),
        Some(Event::Subscribe(one)) => format!("Subscribe {} {} {:?}", or_dash(&one.id), one.destination, one.ack),
        Some(Event::Unsubscribe { handle, .. }) => format!("Unsubscribe {}", handle.map_or("unknown", |_| "known")),
        Some(Event::Acked(acked)) => format!("Acked {}", acked.count),
        Some(Event::Held { destination, .. }) => format!("Held {destination}"),
        Some(Event::Commit { sends, .. }) => format!("Commit {}", sends.len()),
        Some(Event::Disconnect { receipt }) => format!("Disconnect {}", or_dash(&receipt)),
    }
}

/// A server's frame as a client of that version reads it.
fn reading(version: Version, frame: &[u8]) -> String {
    let mut decoder = ServerDecoder::new();
    if !frame.starts_with(b"CONNECTED") {
        decoder.push(format!("CONNECTED\nversion:{version}\n\n\0").as_bytes());
        decoder.poll().unwrap().unwrap();
    }
    decoder.push(frame);
    let frame = decoder.poll().unwrap().unwrap();
    let mut seen = HashSet::new();
    let first = frame.headers.iter().filter(|(name, _)| seen.insert(*name));
    let mut text = frame.command.as_str().to_owned();
    text.extend(first.map(|(name, value)| format!(" {name}={value}")));
    if !frame.body.is_empty() {
        text += &format!(" body {}", frame.body.len());
    }
    text
}

fn check(version: Version, data: &str) {
    let mut checked = 0;
    for example in data.split("## ").skip(1) {
        let (expected, frame) = example.split_once('\n').unwrap();
        let frame = frame.replace("^@", "\0");
        let command = Command::parse(frame.lines().next().unwrap().as_bytes()).unwrap();
        let actual = match command {
            Command::Connected | Command::Message | Command::Receipt | Command::Error => {
                reading(version, frame.as_bytes())
            }
            _ => outcome(version, frame.as_bytes()),
        };
        assert_eq!(actual, expected, "{frame}");
        checked += 1;
    }
    assert!(checked >= 14);
}

#[test]
fn f01_the_examples_of_1_0() {
    check(Version::V1_0, include_str!("data/1.0.txt"));
}

#[test]
fn f01_the_examples_of_1_1() {
    check(Version::V1_1, include_str!("data/1.1.txt"));
}

#[test]
fn f01_f22_the_examples_of_1_2() {
    check(Version::V1_2, include_str!("data/1.2.txt"));
}
