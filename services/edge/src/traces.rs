//! Traces, for those who ask for them (`--trace-sample`): where the time of one SEND in so many went, on all edges.
//!
//! The edge of a sampled SEND makes a span `send`, from the frame to Kafka's acknowledgement, and names it in the record's
//! Kafka headers. Every edge that reads such a record makes a span `process`, of a trace of its own that links to it, until
//! its workers are done with it; one for a record, with the number of its recipients, never one for each. What a client says
//! in `traceparent` becomes a link, and decides nothing.
//!
//! Names and attributes are those of OpenTelemetry's conventions for messaging, 1.44. The room is the record's key and
//! stands nowhere.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{
        Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState, Tracer as _,
        TracerProvider as _,
    },
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracer, SdkTracerProvider, Span},
};

use crate::{chance, log::TraceHeaders};

mod collector;

/// What a scrape of the collector may take at the end.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// What the settings say of traces.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSettings {
    /// The collector's URL for traces.
    pub endpoint: String,
    /// One SEND in so many: above 0, at most 1.
    pub sample: f64,
}

/// The one of this process; none while nobody asks for traces.
static TRACES: OnceLock<Arc<Traces>> = OnceLock::new();

/// Makes spans.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    /// A SEND is sampled if a random number is below it.
    below: u64,
    topic: String,
    client: String,
    brokers: String,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Whether records' headers are of any interest.
pub fn are_on() -> bool {
    TRACES.get().is_some()
}

/// The process's own, if there are to be any.
pub fn get() -> Option<&'static Arc<Traces>> {
    TRACES.get()
}

/// Begins to make them, for an edge of this name.
///
/// # Errors
/// What stands in the way of telling the collector.
pub fn start(settings: &TraceSettings, topic: &str, instance: &str, brokers: &str) -> Result<(), String> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(collector::Collector::new().map_err(|error| error.to_string())?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&settings.endpoint)
        .build()
        .map_err(|error| error.to_string())?;
    let resource = Resource::builder()
        .with_service_name("klatsch-edge")
        .with_attributes([
            KeyValue::new("service.instance.id", instance.to_owned()),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ])
        .build();
    // What is to be sampled is decided here, and handed on with the record.
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build();
    let traces = Traces {
        tracer: provider.tracer("klatsch-edge"),
        provider,
        below: (settings.sample * u64::MAX as f64) as u64,
        topic: topic.to_owned(),
        client: instance.to_owned(),
        brokers: brokers.to_owned(),
    };
    let _ = TRACES.set(Arc::new(traces));
    Ok(())
}

/// Tells the collector what it has not been told yet.
pub fn stop() {
    if let Some(traces) = TRACES.get() {
        // A collector that does not answer holds nobody up.
        let _ = traces.provider.shutdown_with_timeout(LAST_SPANS);
    }
}

/// A sampled SEND on its way. Ends when it is dropped.
pub struct SendSpan(Span);

/// A sampled record while the workers have it. Ends when it is dropped.
pub struct Processing {
    span: Option<Span>,
    recipients: AtomicU64,
}

impl fmt::Debug for Processing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processing").field("recipients", &self.recipients).finish_non_exhaustive()
    }
}

impl Traces {
    /// A SEND: one in so many gets a span. `client` is its own `traceparent`.
    pub fn send(&self, client: Option<&str>) -> Option<Box<SendSpan>> {
        (u64::from_le_bytes(chance::octets()) <= self.below).then(|| {
            let links = client.and_then(|text| parse(text, "")).map(|context| Link::new(context, Vec::new(), 0));
            let mut attributes = self.attributes("send");
            attributes.push(KeyValue::new("server.address", self.brokers.clone()));
            Box::new(SendSpan(self.span(SpanKind::Producer, "send", links, attributes)))
        })
    }

    /// A record that was read: a span if its producer sampled it.
    pub fn process(&self, headers: (&str, &str), partition: i32, offset: i64) -> Option<Box<Processing>> {
        let creation = parse(headers.0, headers.1).filter(SpanContext::is_sampled)?;
        let mut attributes = self.attributes("process");
        attributes.extend(place(partition, offset));
        let link = Some(Link::new(creation, Vec::new(), 0));
        let span = self.span(SpanKind::Consumer, "process", link, attributes);
        Some(Box::new(Processing { span: Some(span), recipients: AtomicU64::new(0) }))
    }

    fn attributes(&self, operation: &'static str) -> Vec<KeyValue> {
        vec![
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.operation.type", operation),
            KeyValue::new("messaging.operation.name", operation),
            KeyValue::new("messaging.destination.name", self.topic.clone()),
            KeyValue::new("messaging.client.id", self.client.clone()),
        ]
    }

    fn span(&self, kind: SpanKind, what: &str, links: Option<Link>, attributes: Vec<KeyValue>) -> Span {
        let builder = self.tracer.span_builder(format!("{what} {}", self.topic)).with_kind(kind);
        let builder = builder.with_links(links.into_iter().collect()).with_attributes(attributes);
        self.tracer.build_with_context(builder, &Context::new())
    }
}

fn place(partition: i32, offset: i64) -> [KeyValue; 2] {
    let partition = KeyValue::new("messaging.destination.partition.id", partition.to_string());
    [partition, KeyValue::new("messaging.kafka.offset", offset)]
}

impl SendSpan {
    /// What the record is to carry.
    pub fn headers(&self) -> TraceHeaders {
        let context = self.0.span_context();
        let (trace, span, flags) = (context.trace_id(), context.span_id(), context.trace_flags().to_u8());
        TraceHeaders { parent: format!("00-{trace}-{span}-{flags:02x}"), state: context.trace_state().header() }
    }

    /// Where the record is.
    pub fn stored(&mut self, partition: i32, offset: i64, message_id: String) {
        self.0.set_attributes(place(partition, offset));
        self.0.set_attribute(KeyValue::new("messaging.message.id", message_id));
    }

    /// It did not get there, or nobody knows.
    pub fn failed(&mut self, code: &'static str) {
        self.0.set_attribute(KeyValue::new("error.type", code));
        self.0.set_status(Status::error(code));
    }
}

impl Processing {
    /// So many subscriptions of one worker get it.
    pub fn add(&self, recipients: usize) {
        self.recipients.fetch_add(recipients as u64, Relaxed);
    }
}

impl Drop for Processing {
    fn drop(&mut self) {
        if let Some(mut span) = self.span.take() {
            let recipients = i64::try_from(*self.recipients.get_mut()).unwrap_or(i64::MAX);
            span.set_attribute(KeyValue::new("klatsch.recipients", recipients));
            span.end_with_timestamp(SystemTime::now());
        }
    }
}

/// W3C Trace Context: `traceparent` and `tracestate`.
fn parse(parent: &str, state: &str) -> Option<SpanContext> {
    let mut parts = parent.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex =
        |text: &str, length| text.len() == length && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    let known = is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    if !known || !is_hex(trace, 32) || !is_hex(span, 16) || !is_hex(flags, 2) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let state: TraceState = state.parse().unwrap_or_default();
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, state)).filter(SpanContext::is_valid)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_others_say_is_read_to_the_letter() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = parse(good, "vendor=value").unwrap();
        assert!(context.is_sampled() && context.is_remote());
        assert_eq!(context.trace_state().header(), "vendor=value");
        assert!(!parse(&good.replace("-01", "-00"), "").unwrap().is_sampled());
        assert!(
            parse(&good.replace("00-", "01-"), "").is_some()
                && parse(&format!("{}-x", good.replace("00-", "01-")), "").is_some()
        );
        for bad in [
            "",
            "00",
            &good.replace("00-", "ff-"),
            &format!("{good}-x"),
            &good.to_uppercase(),
            &good.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            &good.replace("b7ad6b7169203331", "0000000000000000"),
            &good.replace("b7ad", "b7a"),
        ] {
            assert!(parse(bad, "").is_none(), "{bad}");
        }
    }
}
