//! What must hold for any input. The fuzz targets call it with libFuzzer's data, `tests/fuzz_seeds.rs` with the seeds, so
//! that a stable compiler tests it too.
#![allow(dead_code)]

use std::{sync::Arc, time::Duration};
use stomp_proto::{
    Accept, Acked, Command, Config, Event, Limits, MessageFrame, Profile, ProtocolError, Send, ServerDecoder, Session,
    SubscriptionHandle, Version, encode,
};

/// Everything that can be seen of a session: events in order, what it sent, how it failed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Trace {
    pub(crate) events: Vec<String>,
    pub(crate) sent: Vec<Vec<u8>>,
    pub(crate) error: Option<String>,
}

/// The first octet chooses what comes before the rest: a CONNECT of one of the versions, or nothing.
fn stream(data: &[u8]) -> (Profile, Vec<u8>) {
    let (choice, rest) = data.split_first().map_or((0, data), |(first, rest)| (*first, rest));
    let mut stream: Vec<u8> = match choice % 4 {
        0 => b"CONNECT\naccept-version:1.2\nheart-beat:5000,5000\n\n\0".to_vec(),
        1 => b"CONNECT\naccept-version:1.1\n\n\0".to_vec(),
        2 => b"CONNECT\n\n\0".to_vec(),
        _ => Vec::new(),
    };
    stream.extend_from_slice(rest);
    (if choice & 4 == 0 { Profile::Spring } else { Profile::Strict }, stream)
}

/// Small limits, so that inputs of a few octets reach them.
pub(crate) fn small(profile: Profile) -> Arc<Config> {
    let limits = Limits {
        connect_frame_bytes: 256,
        pipelined_bytes: 16 << 10,
        command_bytes: 16,
        headers: 8,
        header_line_bytes: 96,
        header_block_bytes: 256,
        body_bytes: 200,
        subscriptions: 4,
        transactions: 2,
        transaction_actions: 3,
        transaction_bytes: 4096,
        prefetch: 2,
        unacked: 6,
    };
    Arc::new(Config { limits, profile, ..Config::default() })
}

pub(crate) fn trace<'a>(config: Arc<Config>, pieces: impl IntoIterator<Item = &'a [u8]>) -> Trace {
    let now = Duration::ZERO;
    let mut session = Session::new(config, now);
    let mut trace = Trace::default();
    for piece in pieces {
        let outcome = session.handle_input(piece, now).and_then(|()| {
            while let Some(event) = session.poll_event()? {
                trace.events.push(describe(&event));
                answer(&mut session, event, now);
            }
            Ok(())
        });
        if let Err(error) = outcome {
            trace.error = Some(format!("{error:?}"));
            session.reject(&error);
        }
        trace.sent.extend(std::iter::from_fn(|| session.poll_transmit()).map(|frame| frame.to_vec()));
    }
    trace
}

pub(crate) fn cuts_change_nothing(data: &[u8]) {
    let (profile, stream) = stream(data);
    let whole = trace(small(profile), [&stream[..]]);
    let size = usize::from(data.get(1).copied().unwrap_or(7) % 61) + 2;
    assert_eq!(whole, trace(small(profile), stream.chunks(1)), "one octet at a time");
    assert_eq!(whole, trace(small(profile), stream.chunks(size)), "{size} octets at a time");
    let (head, tail) = stream.split_at(stream.len() / 2);
    assert_eq!(whole, trace(small(profile), [head, tail]), "in two halves");
}

/// An owner that accepts everybody and answers every receipt.
fn answer(session: &mut Session, event: Event, now: Duration) {
    let receipts: Vec<_> = match event {
        Event::Connect(_) => return session.accept(Accept { session: "s", user: None, headers: &[] }, now),
        Event::Send(send) => vec![send.receipt],
        Event::Subscribe(subscribe) => vec![subscribe.receipt],
        Event::Unsubscribe { receipt, .. } | Event::Disconnect { receipt } => vec![receipt],
        Event::Commit { sends, receipt, .. } => sends.into_iter().map(|send| send.receipt).chain([receipt]).collect(),
        Event::Acked(_) | Event::Held { .. } => vec![],
    };
    for receipt in receipts.into_iter().flatten() {
        session.receipt(&receipt, &[]);
    }
}

/// Every value, which `Debug` leaves out on purpose.
fn describe(event: &Event) -> String {
    let send = |send: &Send| format!("{send:?} {:?}", send.headers.iter().collect::<Vec<_>>());
    match event {
        Event::Connect(connect) => format!("{:?} {:?}", connect.version, connect.headers.iter().collect::<Vec<_>>()),
        Event::Send(one) => send(one),
        Event::Subscribe(one) => format!("{one:?} {:?}", one.headers.iter().collect::<Vec<_>>()),
        Event::Commit { sends, acked, receipt } => {
            format!("{:?} {acked:?} {receipt:?}", sends.iter().map(send).collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    }
}

/// Drives a session the way an edge does (deliveries, beats, errors) and watches it.
pub(crate) fn session_keeps_its_promises(data: &[u8]) {
    let (profile, stream) = stream(data);
    let config = small(profile);
    let most = config.limits.header_block_bytes + config.limits.body_bytes + 1;
    let mut now = Duration::ZERO;
    let mut session = Session::new(config, now);
    let mut watch = Watch::default();
    let mut room = Vec::new();
    let size = usize::from(data.last().copied().unwrap_or_default()) + 1;
    for piece in stream.chunks(size) {
        now += Duration::from_millis(700);
        if let Err(error) = step(&mut session, piece, now, &mut room, &mut watch) {
            watch.see(&mut session);
            session.reject(&error);
            watch.failed = true;
        }
        watch.see(&mut session);
        assert!(session.buffered() <= most, "{} octets are kept, the limits add up to {most}", session.buffered());
    }
    assert!(!watch.failed || (session.poll_event().is_ok_and(|event| event.is_none()) && session.buffered() == 0));
}

/// A subscriber: its handle, its id, the deliveries it has not settled.
struct Member {
    handle: SubscriptionHandle,
    id: Option<String>,
    open: usize,
}

fn step(
    session: &mut Session,
    piece: &[u8],
    now: Duration,
    room: &mut Vec<Member>,
    watch: &mut Watch,
) -> Result<(), ProtocolError> {
    session.handle_timeout(now)?;
    session.handle_input(piece, now)?;
    while let Some(event) = session.poll_event()? {
        assert!(!watch.failed, "an event after an error");
        match &event {
            Event::Send(send) => deliver(session, send, room),
            Event::Commit { sends, acked, .. } => {
                acked.iter().for_each(|acked| settle(room, acked));
                sends.iter().for_each(|send| deliver(session, send, room));
            }
            Event::Subscribe(one) => {
                assert!(room.iter().all(|member| member.handle != one.handle), "a handle was used again");
                room.push(Member { handle: one.handle, id: one.id.as_ref().map(ToString::to_string), open: 0 });
            }
            Event::Unsubscribe { handle, .. } => room.retain(|member| Some(member.handle) != *handle),
            Event::Acked(acked) => settle(room, acked),
            Event::Connect(_) | Event::Held { .. } | Event::Disconnect { .. } => {}
        }
        answer(session, event, now);
    }
    Ok(())
}

fn settle(room: &mut [Member], acked: &Acked) {
    let member = room.iter_mut().find(|member| member.handle == acked.handle).expect("the subscription is live");
    member.open = member.open.checked_sub(acked.count).expect("no more is settled than was delivered");
}

/// Every subscriber gets the SEND; what is written for it must read back as it was meant, at every version.
fn deliver(session: &mut Session, send: &Send, room: &mut [Member]) {
    for member in room {
        if session.window(member.handle) == 0 {
            continue;
        }
        let ack = session.delivered(member.handle, "m-1");
        member.open += usize::from(ack.is_some());
        let frame = MessageFrame {
            destination: &send.destination,
            content_type: send.content_type.as_deref(),
            subscription: member.id.as_deref(),
            message_id: "m-1",
            ack: ack.as_deref(),
            headers: &[("sender", "tea")],
            body: &send.body,
        };
        for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
            reads_back(version, &frame, send);
        }
    }
}

fn reads_back(version: Version, frame: &MessageFrame<'_>, send: &Send) {
    let mut decoder = ServerDecoder::new();
    decoder.push(format!("CONNECTED\nversion:{version}\n\n\0").as_bytes());
    let mut out = Vec::new();
    encode::message(version, frame, send.headers.iter(), &mut out);
    decoder.push(&out);
    decoder.poll().expect("CONNECTED reads").expect("it is whole");
    let read = decoder.poll().expect("MESSAGE reads").expect("it is whole");
    assert_eq!((read.command, &read.body[..]), (Command::Message, frame.body));
    let fixed = [frame.content_type, frame.subscription, frame.ack].iter().flatten().count();
    assert_eq!(read.headers.len(), 4 + fixed + send.headers.len(), "a header broke out of its line");
    assert_eq!(read.headers.get("sender"), Some("tea"));
    if version == Version::V1_2 {
        assert!(send.headers.iter().all(|(name, value)| read.headers.get(name) == Some(value)));
    }
    assert!(decoder.poll().expect("nothing follows").is_none());
}

/// Reads what a session sends, as a client would.
#[derive(Default)]
struct Watch {
    decoder: ServerDecoder,
    frames: usize,
    failed: bool,
    ended: bool,
}

impl Watch {
    fn see(&mut self, session: &mut Session) {
        while let Some(bytes) = session.poll_transmit() {
            assert!(!self.ended, "something was sent after ERROR");
            self.decoder.push(&bytes);
            if bytes[..] == b"\n"[..] {
                continue;
            }
            let frame = self.decoder.poll().expect("what is sent reads").expect("one whole frame at a time");
            assert!(self.decoder.poll().is_ok_and(|more| more.is_none()), "two frames at a time");
            assert!((self.frames == 0) == (frame.command == Command::Connected) || frame.command == Command::Error);
            self.frames += 1;
            self.ended = frame.command == Command::Error;
        }
    }
}
