//! Traces of SENDs through two edges and real Kafka, as a collector gets them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kit;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use kit::edge::Edge;
use kit::kafka::Kafka;
use kit::wire::{PATIENCE, Wire};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use prost::Message;

/// What a client says of itself: not sampled.
const CLIENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// A collector: takes OTLP over HTTP, and keeps each span with the instance that made it.
struct Collector {
    address: String,
    spans: Arc<Mutex<Vec<(String, Span)>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, spans) = (listener.local_addr().unwrap().to_string(), Arc::<Mutex<Vec<_>>>::default());
        let kept = spans.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
                assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
                let head = head.to_ascii_lowercase();
                assert!(head.contains("content-type: application/x-protobuf"), "{head}");
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                let mut body = vec![0; length.parse().unwrap()];
                reader.read_exact(&mut body).unwrap();
                kept.lock().unwrap().extend(spans_of(&body));
                reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
        });
        Self { address, spans }
    }

    /// So far.
    fn spans(&self, kind: SpanKind) -> Vec<(String, Span)> {
        let spans = self.spans.lock().unwrap();
        spans.iter().filter(|(_, span)| span.kind == kind as i32).cloned().collect()
    }
}

fn spans_of(body: &[u8]) -> Vec<(String, Span)> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut spans = Vec::new();
    for resource in request.resource_spans {
        let of = &resource.resource.unwrap().attributes;
        assert_eq!(text(of, "service.name"), "klatsch-edge");
        let instance = text(of, "service.instance.id");
        let all = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.extend(all.map(|span| (instance.clone(), span)));
    }
    spans
}

/// An attribute, as text.
fn text(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{name}: {other:?} in {attributes:?}"),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn a_send_is_one_span_and_each_edge_that_reads_it_links_to_it() {
    if !kit::require_kafka() {
        return;
    }
    let (kafka, collector) = (Kafka::start(1), Collector::start());
    let endpoint = format!("http://{}", collector.address);
    let traced = ["--create-topic", "--otlp-endpoint", &endpoint, "--trace-sample", "1"];
    let mut edges = [Edge::on(&kafka, "edge-a", &traced), Edge::on(&kafka, "edge-b", &traced)];
    // It has the collector's address, and was not told to trace.
    let plain = Edge::on(&kafka, "edge-c", &["--otlp-endpoint", &endpoint]);

    let listen = |edge: &Edge, id: &str| {
        let mut wire = Wire::connect(edge);
        wire.subscribe(id, "/topic/lobby");
        wire
    };
    let mut all: Vec<Wire> =
        (0..3).map(|_| listen(&edges[0], "0")).chain((0..2).map(|_| listen(&edges[1], "0"))).collect();
    let mut sender = Wire::connect(&edges[0]);
    sender.say("SEND", &[("destination", "/topic/lobby"), ("receipt", "r"), ("traceparent", CLIENT)], "traced");
    let receipt = sender.receipt("r");
    Wire::connect(&plain).send("/topic/lobby", "not traced");
    for wire in &mut all {
        assert_eq!([wire.message(), wire.message()], ["traced", "not traced"]);
    }
    for edge in &mut edges {
        assert_eq!(edge.terminate(PATIENCE).code(), Some(0));
    }

    let sends = collector.spans(SpanKind::Producer);
    assert_eq!(sends.len(), 1, "{sends:?}");
    let (instance, send) = &sends[0];
    assert_eq!((instance.as_str(), send.name.as_str()), ("edge-a", "send chat.events.v1"));
    let id = receipt.header("message-id").unwrap();
    let (partition, rest) = id.split_once('-').unwrap();
    for (name, value) in [
        ("messaging.system", "kafka"),
        ("messaging.operation.type", "send"),
        ("messaging.destination.name", "chat.events.v1"),
        ("messaging.destination.partition.id", partition),
        ("messaging.kafka.offset", rest.split('-').next().unwrap()),
        ("messaging.message.id", id),
        ("messaging.client.id", "edge-a"),
        ("server.address", &kafka.bootstrap()),
    ] {
        assert_eq!(text(&send.attributes, name), value, "{name}");
    }
    assert!(send.parent_span_id.is_empty() && send.end_time_unix_nano > send.start_time_unix_nano);
    // Its own word decides nothing: it is sampled, in a trace of ours, with a link to the client's.
    let links: Vec<_> =
        send.links.iter().map(|link| format!("00-{}-{}-00", hex(&link.trace_id), hex(&link.span_id))).collect();
    assert_eq!(links, [CLIENT]);
    assert!(!CLIENT.contains(&hex(&send.trace_id)));

    let mut processed = collector.spans(SpanKind::Consumer);
    processed.sort_by(|a, b| a.0.cmp(&b.0));
    let seen: Vec<_> =
        processed.iter().map(|(of, span)| (of.as_str(), text(&span.attributes, "klatsch.recipients"))).collect();
    assert_eq!(
        seen,
        [("edge-a", "3".to_owned()), ("edge-b", "2".to_owned())],
        "one for each edge, none for a recipient"
    );
    for (_, span) in &processed {
        assert_eq!((span.name.as_str(), span.links.len()), ("process chat.events.v1", 1));
        assert_eq!((&span.links[0].trace_id, &span.links[0].span_id), (&send.trace_id, &send.span_id));
        assert_ne!(span.trace_id, send.trace_id, "a link, not a parent");
        assert_eq!(text(&span.attributes, "messaging.kafka.offset"), text(&send.attributes, "messaging.kafka.offset"));
    }
    let others = collector.spans.lock().unwrap().len() - 3;
    assert_eq!(others, 0, "nothing of the edge that was not told to");
    for (_, span) in collector.spans.lock().unwrap().iter() {
        assert!(
            span.attributes.iter().all(|attribute| !format!("{attribute:?}").contains("lobby")),
            "the room is the key"
        );
    }
}
