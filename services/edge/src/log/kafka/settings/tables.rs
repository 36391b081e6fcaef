//! librdkafka's properties: what each client is given, with the reason, and what may not be overridden.

/// Both clients.
pub(super) const SHARED: &[(&str, &str)] = &[
    // A frozen broker holds a request this long; a crash is over well before that.
    ("socket.timeout.ms", "5000"),
    ("socket.keepalive.enable", "true"),
    // The defaults add up to 10 s to every outage.
    ("reconnect.backoff.ms", "50"),
    ("reconnect.backoff.max.ms", "500"),
    ("topic.metadata.refresh.interval.ms", "5000"),
    ("statistics.interval.ms", "15000"),
    // Nothing is sent to the brokers about this process.
    ("enable.metrics.push", "false"),
];

pub(super) const PRODUCER: &[(&str, &str)] = &[
    // Retries neither double nor reorder records; acks=all is what a RECEIPT promises.
    ("enable.idempotence", "true"),
    ("acks", "all"),
    // What many at a time spare, fetches that wait spare alone (`pace`), and here each record would wait once more.
    ("linger.ms", "0"),
    ("compression.type", "none"),
    // Only for records without an explicit partition, of which there are none; the same arithmetic as ours.
    ("partitioner", "murmur2_random"),
    // When a record times out inside librdkafka, it takes a new epoch and sends all others again, which the brokers no
    // longer recognise: stored twice. So nothing times out there; see `give_up_after`.
    ("delivery.timeout.ms", "0"),
    // Bounds memory and the worst delay; beyond it SEND is refused at once.
    ("queue.buffering.max.messages", "20000"),
    ("queue.buffering.max.kbytes", "32768"),
    ("retry.backoff.ms", "50"),
    ("retry.backoff.max.ms", "500"),
];

pub(super) const CONSUMER: &[(&str, &str)] = &[
    // Nothing joins, nothing commits: no state is left behind on a broker.
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // Records lost to retention must be announced, not jumped over.
    ("auto.offset.reset", "error"),
    // A foreign producer's hanging transaction must not stall every edge.
    ("isolation.level", "read_uncommitted"),
    // A ceiling for empty polls, not a delay: brokers wake them.
    ("fetch.wait.max.ms", "500"),
    ("fetch.min.bytes", "1"),
    // The defaults (500 ms, 1 s) delay recovery and stall a full local queue.
    ("fetch.error.backoff.ms", "50"),
    ("fetch.queue.backoff.ms", "20"),
    // Prefetched memory: about 310 B for a record of 200 B.
    ("queued.min.messages", "10000"),
    ("queued.max.messages.kbytes", "16384"),
    // One lagging partition must not hold a broker's connection.
    ("fetch.message.max.bytes", "1048576"),
    ("fetch.max.bytes", "8388608"),
    ("receive.message.max.bytes", "16777216"),
    // Tells when a partition has been caught up with.
    ("enable.partition.eof", "true"),
    ("check.crcs", "false"),
];

/// Belong to one client alone, beyond the tables above; the other would warn.
pub(super) const PRODUCER_ALONE: &[&str] = &[
    "batch.num.messages",
    "batch.size",
    "compression.codec",
    "compression.level",
    "enable.gapless.guarantee",
    "message.send.max.retries",
    "message.timeout.ms",
    "queue.buffering.backpressure.threshold",
    "queue.buffering.max.ms",
    "request.timeout.ms",
    "retries",
    "sticky.partitioning.linger.ms",
];

/// What may not be overridden, and why.
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("acks", "a RECEIPT promises that all in-sync replicas have the record"),
    ("auto.commit.enable", "edges commit nothing"),
    ("auto.offset.reset", "lost records must be announced, not skipped"),
    ("bootstrap.servers", "use --kafka"),
    ("delivery.report.only.error", "RECEIPT waits for the report of success"),
    ("enable.auto.commit", "edges commit nothing"),
    ("enable.auto.offset.store", "edges commit nothing"),
    ("enable.idempotence", "without it retries double and reorder records"),
    ("enable.partition.eof", "it tells when the edge has caught up"),
    ("group.id", "it is unique for each edge: use --instance"),
    ("group.instance.id", "edges join no group"),
    ("group.protocol", "edges join no group"),
    ("max.in.flight", "idempotence bounds it"),
    ("max.in.flight.requests.per.connection", "idempotence bounds it"),
    ("message.max.bytes", "it follows --max-body and --max-headers"),
    ("metadata.broker.list", "use --kafka"),
    ("partitioner", "a room's partition is computed by the edge"),
    ("request.required.acks", "a RECEIPT promises that all in-sync replicas have the record"),
    ("test.mock.num.brokers", "use --dev for a log inside the edge"),
    ("transactional.id", "edges write no transactions"),
];
