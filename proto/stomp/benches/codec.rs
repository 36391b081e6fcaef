//! What a frame costs: `cargo bench -p stomp-proto`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stomp_proto::{
    Accept, Command, Config, Event, MessageFrame, ServerDecoder, Session, Version, encode, frame::client,
};

const NOW: Duration = Duration::from_secs(1);
const BODIES: [(&str, usize); 3] = [("200 B", 200), ("1 KiB", 1 << 10), ("64 KiB", 64 << 10)];

fn open() -> Session {
    let mut session = Session::new(Arc::new(Config::default()), NOW);
    session.handle_input(b"CONNECT\naccept-version:1.2\n\n\0", NOW).unwrap();
    assert!(matches!(session.poll_event(), Ok(Some(Event::Connect(_)))));
    session.accept(Accept::default(), NOW);
    while session.poll_transmit().is_some() {}
    session
}

fn send(body: usize) -> Vec<u8> {
    let headers = [("destination", "/topic/kitchen"), ("content-type", "text/plain"), ("receipt", "4711")];
    client::encode(Command::Send, headers, &vec![b'x'; body], Version::V1_2)
}

fn message(body: &[u8]) -> MessageFrame<'_> {
    MessageFrame {
        destination: "/topic/kitchen",
        content_type: Some("text/plain"),
        subscription: Some("sub-0"),
        message_id: "7-123456-9f86d081",
        ack: None,
        headers: &[("sender", "ann"), ("timestamp", "1763900000000")],
        body,
    }
}

fn codec(criterion: &mut Criterion) {
    for (name, size) in BODIES {
        let (frame, mut session) = (send(size), open());
        let mut group = criterion.benchmark_group("codec");
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(format!("read a SEND of {name}"), |bencher| {
            bencher.iter(|| {
                session.handle_input(black_box(&frame), NOW).unwrap();
                session.poll_event().unwrap()
            });
        });
        let body = vec![b'x'; size];
        let mut out = Vec::with_capacity(size + 512);
        group.bench_function(format!("write a MESSAGE of {name}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                encode::message(Version::V1_2, black_box(&message(&body)), [("x-kind", "talk")], &mut out);
                out.len()
            });
        });
        group.finish();
    }
    let mut session = open();
    criterion.bench_function("write a RECEIPT", |bencher| {
        bencher.iter(|| {
            session.receipt(black_box("4711"), &[]);
            session.poll_transmit()
        });
    });
    criterion.bench_function("read a beat", |bencher| {
        bencher.iter(|| session.handle_input(black_box(b"\n"), NOW));
    });
    let mut frame = Vec::new();
    encode::message(Version::V1_2, &message(&[b'x'; 200]), [], &mut frame);
    let mut decoder = ServerDecoder::new();
    decoder.push(b"CONNECTED\nversion:1.2\n\n\0");
    decoder.poll().unwrap();
    criterion.bench_function("read a MESSAGE of 200 B (client)", |bencher| {
        bencher.iter(|| {
            decoder.push(black_box(&frame));
            decoder.poll().unwrap()
        });
    });
}

criterion_group!(benches, codec);
criterion_main!(benches);
