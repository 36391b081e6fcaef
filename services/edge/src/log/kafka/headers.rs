//! The Kafka headers of a record: the trace that it belongs to, if its SEND was sampled.

use rdkafka::{
    Message as _,
    message::{BorrowedMessage, Header, Headers as _, OwnedHeaders},
};

use super::super::TraceHeaders;
use crate::traces;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// To be written.
pub(super) fn of(trace: &TraceHeaders) -> OwnedHeaders {
    let headers = OwnedHeaders::new().insert(Header { key: PARENT, value: Some(&trace.parent) });
    if trace.state.is_empty() { headers } else { headers.insert(Header { key: STATE, value: Some(&trace.state) }) }
}

/// As they were read; none where nobody asks for traces.
pub(super) fn trace<'a>(message: &'a BorrowedMessage<'_>) -> Option<(&'a str, &'a str)> {
    if !traces::are_on() {
        return None;
    }
    let headers = message.headers()?;
    let text =
        |name| headers.iter().find(|header| header.key == name).and_then(|header| str::from_utf8(header.value?).ok());
    Some((text(PARENT)?, text(STATE).unwrap_or_default()))
}
