//! What an operator sees (operations.md §5): typed handles, made once; one atomic addition per event or, on hot paths,
//! per batch. Gauges that follow a state are set by its owner, never counted twice.
//!
//! Labels are closed sets ([`labels`]) plus partition and broker numbers; rooms, users, sessions and addresses never are.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use crate::{auth::AuthError, disconnect::Ending, readiness::Check};

mod events;
mod format;
mod kafka;
pub mod labels;
mod log;
mod parts;
mod process;

#[cfg(test)]
mod tests;
mod threads;
mod times;

pub use format::Format;
pub use kafka::KafkaMetrics;
pub use labels::{
    ClientCommand, Discarded, Handshake, KafkaClient, Label, Opened, Poison, RateLimit, Resumed, Scanned, Sent,
    ServerCommand, Spoken, Subscribed, Ticker,
};
use parts::Registrar;
pub use parts::Split;
pub use times::Times;

/// A gauge of seconds.
pub type Seconds = Gauge<f64, AtomicU64>;

/// From a SEND to its acknowledgement: loopback at one end, the send time-out at the other.
const ACK_BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0];
/// An idle session takes less of the process's memory (row 4 of `deploy/README.md` for STOMP, `tests/events.rs` and
/// `tests/room_socket.rs` for the others); the kernel's share is not in it.
pub const IDLE_BYTES: i64 = 2_048;
/// The same for a request that waits (`tests/rooms_crowd.rs`): most of it is its connection's, which hyper serves.
pub const WAITING_BYTES: i64 = 32_768;
/// Connections live between a moment and days.
const LIFE_BUCKETS: [f64; 9] = [1.0, 10.0, 60.0, 300.0, 1_800.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0];

/// All metrics of an edge. Cheap to share behind an `Arc`; the handles may be cloned out of it.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Sockets and sessions.
    pub connections: Connections,
    /// STOMP frames and bytes.
    pub stomp: Stomp,
    /// SEND until RECEIPT.
    pub sends: Sends,
    /// Reading the log.
    pub log: LogMetrics,
    /// What librdkafka says of itself.
    pub kafka: KafkaMetrics,
    /// How long things take.
    pub times: Times,
    /// Log to client.
    pub delivery: Delivery,
    /// Readiness and drain.
    pub state: State,
}

/// Sockets and sessions.
#[derive(Debug)]
pub struct Connections {
    /// WebSockets that are open.
    pub open: Gauge,
    /// Most that may be.
    pub limit: Gauge,
    /// Sessions: connections whose CONNECT was accepted.
    pub sessions: Gauge,
    /// The same by transport.
    pub by_transport: Split<Spoken, Gauge>,
    /// Upgrades by result.
    pub opened: Split<Opened, Counter>,
    /// Ended connections by [`Ending`].
    pub closed: Split<Ending, Counter>,
    /// From upgrade to close.
    pub duration: Histogram,
    /// CONNECTs by result; `None` is success.
    pub auth: Split<Option<AuthError>, Counter>,
    /// What was refused because somebody was too fast, or too many.
    pub rate_limited: Split<RateLimit, Counter>,
}

/// STOMP frames and bytes.
#[derive(Debug)]
pub struct Stomp {
    /// Open subscriptions.
    pub subscriptions: Gauge,
    /// Rooms with a subscription on this edge.
    pub rooms: Gauge,
    /// SUBSCRIBEs by result.
    pub subscribed: Split<Subscribed, Counter>,
    /// SUBSCRIBEs that asked for a resume or for history, by where it came from.
    pub resumed: Split<Resumed, Counter>,
    /// SUBSCRIBEs that wait for the log, or for this edge to reach their token.
    pub waiting: Gauge,
    /// Frames of clients.
    pub received: Split<ClientCommand, Counter>,
    /// Frames of the edge.
    pub sent: Split<ServerCommand, Counter>,
    /// Octets read from client sockets.
    pub received_bytes: Counter,
    /// Octets written to client sockets.
    pub sent_bytes: Counter,
    /// Frames that ended a connection because they broke the protocol or a limit.
    pub protocol_errors: Split<Ending, Counter>,
    /// CONNECTs that agreed on another version than their WebSocket's subprotocol says (`stomp.md` W03).
    pub subprotocol_mismatches: Counter,
    /// Refusals that left the session open (`x-errors:soft`).
    pub soft_errors: Split<Ending, Counter>,
}

/// SEND until RECEIPT.
#[derive(Debug)]
pub struct Sends {
    /// SENDs by result.
    pub results: Split<Sent, Counter>,
    /// Frame parsed until delivery report.
    pub ack: Histogram,
    /// Handed to the log and not settled.
    pub in_flight: Gauge,
    /// Age of the oldest of them; 0 when there is none.
    pub oldest_in_flight: Seconds,
}

/// Reading the log.
#[derive(Debug)]
pub struct LogMetrics {
    /// Records read.
    pub records: Counter,
    /// Octets of their keys and values.
    pub bytes: Counter,
    /// Records of rooms that nobody here listens to.
    pub unwanted: Counter,
    /// Records that repeat an earlier one and are not shown.
    pub repeated: Counter,
    /// Records that could not be read.
    pub poison: Split<Poison, Counter>,
    /// Broker's append until the follower hands the record on. Observed once per batch, for its oldest record.
    pub record_age: Histogram,
    /// Times that records were lost before this edge read them.
    pub gaps: Counter,
    /// Partitions of the topic.
    pub partitions: Gauge,
    /// How late what this edge reads is: the age of records as they are read, or, while some wait and none is read, since
    /// when.
    pub lag_time: Seconds,
    /// The highest age of records since somebody asked, in milliseconds.
    read_age_ms: AtomicU64,
    lag: Family<[(&'static str, String); 1], Gauge>,
}

/// Log to client.
#[derive(Debug)]
pub struct Delivery {
    /// MESSAGE frames queued for clients.
    pub deliveries: Counter,
    /// Write calls on client sockets: deliveries ÷ writes is the messages that one call carries.
    pub writes: Counter,
    /// Octets that wait in outbound queues.
    pub queued_bytes: Gauge,
    /// Octets that waited for clients whose connections ended.
    pub discarded: Split<Discarded, Counter>,
    /// Clients cut because they took nothing any more.
    pub slow_closes: Counter,
    /// Subscriptions that read from the tail because they could not keep up live.
    pub cursors: Gauge,
    /// Octets in the tail.
    pub tail_bytes: Gauge,
    /// Records in the tail.
    pub tail_records: Gauge,
    /// Age of the tail's oldest record.
    pub tail_age: Seconds,
    /// Looks into the log's past, by how they ended.
    pub scans: Split<Scanned, Counter>,
    /// How long a look took.
    pub scan_time: Histogram,
    /// Records that were read for them.
    pub scan_records: Counter,
    /// Octets of messages that were read from the log and wait to be given out.
    pub replay_bytes: Gauge,
}

/// Readiness and drain.
#[derive(Debug)]
pub struct State {
    /// 1 while a check passes.
    pub ready: Split<Check, Gauge>,
    /// 1 while draining.
    pub draining: Gauge,
    /// How many connections there were when the drain began.
    pub drain_begun: Gauge,
    /// The longest that a drain may last.
    pub drain_limit: Seconds,
    /// Connections still to be moved.
    pub drain_remaining: Gauge,
    /// How long the drain has lasted.
    pub drain_time: Seconds,
}

impl Metrics {
    /// Registers everything. Called once per edge.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process::default()));
        registry.register_collector(Box::new(threads::Threads::default()));
        let mut r = Registrar(registry.sub_registry_with_prefix("klatsch"));
        r.0.register("build", "What is running", Info::new(build()));
        let connections = Connections::register(&mut r);
        let stomp = Stomp::register(&mut r);
        let sends = Sends::register(&mut r);
        let log = LogMetrics::register(&mut r);
        let (kafka, times) = (KafkaMetrics::register(&mut r), Times::register(&mut r));
        let delivery = Delivery::register(&mut r);
        let state = State::register(&mut r);
        Metrics { registry, connections, stomp, sends, log, kafka, times, delivery, state }
    }

    /// All of it as text.
    pub fn text(&self, format: Format) -> String {
        format.of(self.encode())
    }

    /// OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(32 * 1024);
        match text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Writing into a String cannot fail; half an answer would be worse than none.
            Err(_) => String::from("# EOF\n"),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

fn build() -> [(&'static str, String); 3] {
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    let revision = option_env!("KLATSCH_REVISION").unwrap_or("unknown");
    [("version", env!("CARGO_PKG_VERSION").to_owned()), ("revision", revision.to_owned()), ("librdkafka", librdkafka)]
}

impl Connections {
    fn register(r: &mut Registrar<'_>) -> Self {
        let stated = vec![Spoken::WebSocket, Spoken::Tcp, Spoken::Events, Spoken::Socket, Spoken::Poll];
        let memory: Split<Spoken, Gauge> =
            r.bytes_of("connection_memory", "Memory of an idle session at most", stated.clone());
        for transport in stated {
            memory.of(transport).set(if transport == Spoken::Poll { WAITING_BYTES } else { IDLE_BYTES });
        }
        Connections {
            by_transport: r.split("transport_sessions", "Sessions by what they are spoken over", Spoken::all()),
            open: r.add("connections", "Open client connections"),
            limit: r.add("connections_limit", "Most client connections that may be open"),
            sessions: r.add("sessions", "Connections whose CONNECT was accepted"),
            opened: r.counters("connections_opened", "Upgrades, and connections for STOMP on TCP, by result"),
            closed: r.counters("connections_closed", "Ended connections by reason"),
            duration: r.histogram("connection_duration", "From upgrade to close", &LIFE_BUCKETS),
            auth: r.counters("auth", "CONNECTs by the result of authentication"),
            rate_limited: r.counters("rate_limited", "SENDs and connections refused because there were too many"),
        }
    }
}

impl Stomp {
    fn register(r: &mut Registrar<'_>) -> Self {
        let soft = Ending::all().filter(|ending| ending.may_be_soft()).collect();
        let fatal = Ending::all().filter(|ending| ending.is_protocol_error()).collect();
        Stomp {
            subscriptions: r.add("subscriptions", "Open subscriptions"),
            rooms: r.add("rooms_active", "Rooms with a subscription on this edge"),
            subscribed: r.counters("subscribe", "SUBSCRIBEs by result"),
            resumed: r.counters("resume", "SUBSCRIBEs with x-from or x-history by where they were served from"),
            waiting: r.add("resume_waiting", "SUBSCRIBEs that wait for the log or for this edge to reach their token"),
            received: r.counters("frames_received", "STOMP frames of clients"),
            sent: r.counters("frames_sent", "STOMP frames sent to clients"),
            received_bytes: r.bytes("received", "Read from client sockets"),
            sent_bytes: r.bytes("sent", "Written to client sockets"),
            protocol_errors: r.split("protocol_errors", "Connections ended by a frame that broke a rule", fatal),
            subprotocol_mismatches: r
                .add("subprotocol_mismatches", "CONNECTs of another version than the subprotocol's"),
            soft_errors: r.split("soft_errors", "Refusals that left the session open", soft),
        }
    }
}

impl Sends {
    fn register(r: &mut Registrar<'_>) -> Self {
        Sends {
            results: r.counters("sends", "SENDs by result"),
            ack: r.histogram("send_ack", "From a SEND to its delivery report", &ACK_BUCKETS),
            in_flight: r.add("sends_in_flight", "SENDs handed to the log and not settled"),
            oldest_in_flight: r.seconds("send_oldest_in_flight", "Age of the oldest unsettled SEND"),
        }
    }
}
