//! The log: where every message is stored, and the only place that decides order.
//!
//! Three twins stand behind one trait: [`kafka`] (production), [`embedded`] (librdkafka's mock broker inside the
//! process, through the same code) and [`memory`] (plain vectors, for tests and simulations). One contract test,
//! `tests/log_contract.rs`, runs against all of them.
//!
//! Nothing outside this module knows which twin is in use.

use std::{fmt, future::Future, ops::Range, time::Duration};

use bytes::Bytes;

pub mod embedded;
pub mod kafka;
pub mod memory;

/// A record on its way into the log.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// Chosen by [`chat_proto::partition_of`] from the room and the pinned partition count, never by the log.
    pub partition: i32,
    /// The room, UTF-8: Kafka's record key.
    pub room: Bytes,
    /// An encoded `chat.v1.Message`.
    pub value: Bytes,
    /// The trace that the SEND belongs to, if it is sampled.
    pub trace: Option<Box<TraceHeaders>>,
}

/// A record's headers that say which span made it (W3C Trace Context).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceHeaders {
    /// `traceparent`.
    pub parent: String,
    /// `tracestate`; mostly empty.
    pub state: String,
}

/// Names the SEND that a delivery report answers. The log carries it and never looks inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Ticket {
    /// The worker that owns the connection.
    pub worker: u32,
    /// The connection's slot on that worker.
    pub connection: u32,
    /// The slot's generation: a report for an earlier tenant of the slot is dropped.
    pub generation: u32,
    /// Counts the SENDs of one connection.
    pub send: u32,
}

/// What became of a record (DESIGN §6, "Outcomes of a SEND").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged by all in-sync replicas, at this place.
    Stored {
        /// Kafka partition.
        partition: i32,
        /// Offset inside the partition.
        offset: i64,
        /// Append time, milliseconds since the Unix epoch.
        timestamp_ms: i64,
    },
    /// Acknowledged, but where is not known (an acknowledged retry carries no offset). The place is learnt by
    /// reading the record back.
    StoredUnplaced,
    /// Certainly not in the log: nothing was handed to a broker, or the broker refused it whole.
    Refused(Reason),
    /// May be in the log. To be sent again with the same idempotency key.
    Unknown(Reason),
}

/// Why a record was not, or may not have been, stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The producer's queue is full.
    QueueFull,
    /// Larger than the topic takes.
    TooLarge,
    /// The edge may not write to the topic.
    NotAuthorized,
    /// Taken back out of the producer's queue before it was sent.
    Purged,
    /// No acknowledgement within the delivery time-out.
    TimedOut,
    /// Too few in-sync replicas, or another broker-side failure.
    Unavailable,
    /// The producer is beyond repair and is being replaced.
    Fatal,
}

/// Takes delivery reports. Called from the log's own thread; must not block.
pub trait Reports: Send + Sync + 'static {
    /// `ticket`'s record has met `outcome`. Called exactly once for each record that [`Log::publish`] accepted.
    fn settled(&self, ticket: Ticket, outcome: Outcome);

    /// A thread of the log has panicked: the log does not work any more, and the process is to end.
    fn thread_died(&self, _name: &'static str) {}
}

/// A record read from the log. Borrowed from the log's buffer: copy what is to be kept.
#[derive(Debug, Clone, Copy)]
pub struct ReadRecord<'a> {
    /// Kafka partition.
    pub partition: i32,
    /// Offset inside the partition; increasing, with holes.
    pub offset: i64,
    /// Append time, milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// The record's key; empty when there was none.
    pub room: &'a [u8],
    /// The record's value; empty when there was none.
    pub value: &'a [u8],
    /// Its `traceparent` and `tracestate`, if it has any and anybody asks for traces.
    pub trace: Option<(&'a str, &'a str)>,
}

/// As many records as the processor may fetch things for at once.
pub const AHEAD: usize = 32;

/// What a [`Feed`] tells, in log order within each partition.
#[derive(Debug, Clone, Copy)]
pub enum FeedEvent<'a> {
    /// The next record of a partition.
    Record(&'a ReadRecord<'a>),
    /// Everything below `offset` has been handed over; nothing more is there yet.
    EndOfPartition {
        /// Kafka partition.
        partition: i32,
        /// The offset that the next record will have at least.
        offset: i64,
    },
    /// Records were lost (retention, truncation, a replaced topic): reading goes on at `resumed_at`.
    Gap {
        /// Kafka partition.
        partition: i32,
        /// Where reading goes on.
        resumed_at: i64,
    },
    /// Records below `until` are told for knowing repeats alone: what came before them has not been read. Told, if at
    /// all, before the partition's first record.
    Prelude {
        /// Kafka partition.
        partition: i32,
        /// The first offset of what was asked for.
        until: i64,
    },
    /// The topic has this many partitions now; the new ones are read from their beginning.
    Partitions(i32),
    /// A hint: these records, at most [`AHEAD`], will be told in a moment, before anything else is waited for. Nothing
    /// follows from it, but what they will need can be fetched from memory all at once.
    Soon(&'a [ReadRecord<'a>]),
}

/// The one reader of the log in an edge. Lives on the follower's thread.
pub trait Feed: Send + 'static {
    /// Waits for the next event and hands it to `sink`. Cancel-safe: dropping the future loses nothing.
    /// An error means that reading cannot go on at all.
    fn wait(
        &mut self,
        sink: &mut (dyn FnMut(FeedEvent<'_>) + Send),
    ) -> impl Future<Output = Result<(), LogError>> + Send;

    /// Hands over what is there already, at most `budget` events, without waiting. Returns how many.
    fn drain(&mut self, budget: usize, sink: &mut (dyn FnMut(FeedEvent<'_>) + Send)) -> Result<usize, LogError>;
}

/// Where a [`Feed`] begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the end of every partition.
    Now,
    /// At most this many offsets before the end of each partition, clipped to what is retained.
    Rewind(i64),
    /// As an edge begins.
    Recent(Rewind),
    /// At this offset of every partition (tests; a gap is announced if it is no longer retained).
    At(i64),
}

/// What an edge reads of each partition before it is ready. A log that knows no append times goes by the counts alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewind {
    /// To be kept: at most this many offsets before the end, but always the last record…
    pub records: i64,
    /// …and nothing that was appended longer than this before the partition's last record.
    pub age: Duration,
    /// A prelude to those: what was appended at most this long before the first of them…
    pub window: Duration,
    /// …and lies at most this many offsets before it.
    pub span: i64,
}

/// Limits of a [`Log::scan`].
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// At most this many records are read.
    pub records: usize,
    /// At most this many bytes of keys and values are read.
    pub bytes: usize,
    /// At most this long.
    pub time: Duration,
}

/// How a [`Log::scan`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanEnd {
    /// Every record of the range, up to the end that stood when the scan began, was handed over.
    Complete,
    /// The budget ended first, or the range's beginning is no longer retained: what was handed over is not the whole.
    Incomplete,
}

/// What the log knows about itself, for readiness and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether any broker is connected.
    pub connected: bool,
    /// For how long nothing that was asked has been answered; asked every other second, without SENDs too.
    pub unanswered: Duration,
    /// Records handed over and not yet settled.
    pub in_flight: usize,
    /// Age of the oldest unsettled record; `None` when there is none.
    pub oldest_in_flight: Option<Duration>,
    /// Set once reading or writing cannot go on as things are (a topic error, an authentication failure).
    pub fault: Option<String>,
}

/// What a log measures of itself, as far as it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Measured {
    /// For each partition how many records the reader is behind its end.
    pub lags: Vec<(i32, i64)>,
    /// Partitions that are read.
    pub assigned: i64,
    /// Records that wait in the producer or for their acknowledgement.
    pub queued_records: i64,
    /// The same in octets.
    pub queued_bytes: i64,
    /// Most records that may wait.
    pub queue_limit: i64,
    /// The client that writes.
    pub producer: ClientMeasured,
    /// The client that reads.
    pub reader: ClientMeasured,
    /// Each broker of the cluster.
    pub brokers: Vec<BrokerMeasured>,
}

/// What one client of a log's servers counts since it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientMeasured {
    /// Requests without an answer in time.
    pub request_timeouts: u64,
    /// Requests sent again.
    pub retries: u64,
    /// Attempts to connect.
    pub connects: u64,
    /// Connections that ended.
    pub disconnects: u64,
    /// For how long servers hold it back; the 99th percentile of the worst of them.
    pub throttle_p99: Duration,
    /// What waits to be taken from the client.
    pub reply_queue: i64,
}

/// One server of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerMeasured {
    /// Its number.
    pub id: i32,
    /// Whether a client is connected to it.
    pub up: bool,
    /// The 99th percentile of its answers.
    pub rtt_p99: Duration,
}

/// A partitioned, append-only log of rooms' messages.
pub trait Log: Send + Sync + 'static {
    /// The reader of this log.
    type Feed: Feed;

    /// Queues before returning, so that order is call order within a partition. Never blocks.
    /// On `Err` nothing was queued and no report will come.
    fn publish(&self, record: NewRecord, ticket: Ticket) -> Result<(), Reason>;

    /// A reader of every record of every room. The first event of all is [`FeedEvent::Partitions`].
    fn feed(&self, start: Start) -> Result<Self::Feed, LogError>;

    /// The offsets that a partition retains now: the first, and one past the last. Blocks its thread up to `timeout`;
    /// uses a client of its own, never the feed's, which would wait behind a long poll.
    fn retained(&self, partition: i32, timeout: Duration) -> Result<Range<i64>, LogError>;

    /// An offset at or before the first record of a partition that was appended at `ms` (since the Unix epoch) or later,
    /// as near to it as the log can tell; the end when there is none. Blocks its thread up to `timeout`.
    fn offset_at(&self, partition: i32, ms: i64, timeout: Duration) -> Result<i64, LogError>;

    /// A bounded look back: reads the offsets `range` of one partition, clipped to the end that stands now.
    /// Blocks its thread up to `budget.time`; uses a client of its own.
    fn scan(
        &self,
        partition: i32,
        range: Range<i64>,
        budget: Budget,
        sink: &mut dyn FnMut(ReadRecord<'_>),
    ) -> Result<ScanEnd, LogError>;

    /// Waits until everything published is settled, at most `timeout`; what is left then is purged and reported.
    /// Returns how many records were left.
    fn flush(&self, timeout: Duration) -> usize;

    /// A snapshot; cheap enough for every scrape and probe.
    fn health(&self) -> Health;

    /// What it has measured of itself; not for every scrape.
    fn measured(&self) -> Measured {
        Measured::default()
    }
}

/// The log cannot be used.
#[derive(Debug)]
pub struct LogError(pub String);

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LogError {}
