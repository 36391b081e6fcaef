//! A whole topic as JSON lines, up to where it ended when the dump began.

use std::{
    io::{self, BufWriter},
    time::{Duration, Instant},
};

use bytes::Bytes;
use chat_proto::MessageId;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::BorrowedMessage,
};
use serde::Serialize;

use crate::{
    cli::DumpSettings,
    outcome::{Outcome, could_not_run},
};

/// How long Kafka may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Without a record for this long the dump is given up.
const STILL: Duration = Duration::from_secs(30);

/// One line.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Kafka's partition.
    pub partition: i32,
    /// Kafka's offset.
    pub offset: i64,
    /// Kafka's time, in milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// The record's key, which is the room; octets that are no UTF-8 are replaced.
    pub key: String,
    /// As edges write it.
    pub message_id: String,
    /// What the record says, or why it cannot be shown.
    #[serde(flatten)]
    pub record: Record,
    /// Octets of the value.
    pub size: usize,
}

/// What a record says.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// A message.
    Readable {
        /// In hex.
        uuid: String,
        /// Who sent it.
        sender: String,
        /// The sender's own key; empty if none.
        idempotency_key: String,
    },
    /// No edge shows it.
    Unreadable {
        /// Why.
        error: String,
    },
}

impl Line {
    /// Of a record.
    pub fn new(partition: i32, offset: i64, timestamp: Option<i64>, key: &[u8], value: &[u8]) -> Line {
        let record = match chat_proto::decode(Bytes::copy_from_slice(value), key) {
            Ok(message) => Record::Readable {
                uuid: message.uuid.iter().map(|octet| format!("{octet:02x}")).collect(),
                sender: message.sender,
                idempotency_key: message.idempotency_key,
            },
            Err(error) => Record::Unreadable { error: error.to_string() },
        };
        Line {
            partition,
            offset,
            timestamp,
            key: String::from_utf8_lossy(key).into_owned(),
            message_id: MessageId { partition, offset, check: MessageId::check_of(value) }.to_string(),
            record,
            size: value.len(),
        }
    }
}

/// Prints the topic to stdout.
pub fn run(settings: &DumpSettings) -> Outcome {
    match dump(settings, &mut BufWriter::new(io::stdout().lock())) {
        Ok(()) => Outcome::Held,
        Err(why) => could_not_run(&why),
    }
}

fn dump(settings: &DumpSettings, out: &mut impl io::Write) -> Result<(), String> {
    let DumpSettings { kafka, topic, kafka_property } = settings;
    let mut config = ClientConfig::new();
    // Nothing joins this group and nothing is committed; librdkafka wants a name.
    config.set("bootstrap.servers", kafka).set("group.id", "klatsch-load").set("client.id", "klatsch-load");
    config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    config.set("auto.offset.reset", "error").set("enable.partition.eof", "true");
    // A fetch at the end of one partition would hold up the next one.
    config.set("allow.auto.create.topics", "false").set("fetch.wait.max.ms", "10");
    kafka_property.iter().for_each(|(name, value)| _ = config.set(name, value));
    let consumer: BaseConsumer = config.create().map_err(|error| format!("librdkafka: {error}"))?;

    let asked = |error: KafkaError| format!("{kafka}: {error}\n  is Kafka running there? `make kafka` starts one");
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER).map_err(asked)?;
    let partitions = metadata.topics().first().map(|topic| topic.partitions()).unwrap_or_default();
    if partitions.is_empty() {
        return Err(format!("{kafka} has no topic {topic}; --topic names another"));
    }
    let mut ids: Vec<i32> = partitions.iter().map(|partition| partition.id()).collect();
    ids.sort_unstable();
    for id in ids {
        let (low, high) = consumer.fetch_watermarks(topic, id, ANSWER).map_err(asked)?;
        partition(&consumer, topic, id, low, high, out)?;
    }
    out.flush().map_err(|error| format!("stdout: {error}"))
}

fn partition(
    consumer: &BaseConsumer,
    topic: &str,
    id: i32,
    low: i64,
    high: i64,
    out: &mut impl io::Write,
) -> Result<(), String> {
    if low >= high {
        return Ok(());
    }
    let failed = |error: KafkaError| format!("partition {id}: {error}");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, id, Offset::Offset(low)).map_err(failed)?;
    consumer.assign(&list).map_err(failed)?;
    let mut since = Instant::now();
    loop {
        match consumer.poll(Duration::from_millis(200)) {
            None if since.elapsed() > STILL => {
                return Err(format!("partition {id}: no record for {STILL:?}; is its leader up?"));
            }
            None => {}
            // What ends a partition may be a marker that is no record.
            Some(Err(KafkaError::PartitionEOF(ended))) if ended == id => return Ok(()),
            Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) if is_passing(&error) => {}
            Some(Err(error)) => return Err(failed(error)),
            // Of the partition before.
            Some(Ok(record)) if record.partition() != id => {}
            Some(Ok(record)) if record.offset() >= high => return Ok(()),
            Some(Ok(record)) => {
                since = Instant::now();
                write(&record, out).map_err(|error| format!("stdout: {error}"))?;
                if record.offset() + 1 >= high {
                    return Ok(());
                }
            }
        }
    }
}

/// librdkafka goes on by itself.
fn is_passing(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut | Code::Resolve)
    )
}

fn write(record: &BorrowedMessage<'_>, out: &mut impl io::Write) -> io::Result<()> {
    let (key, value) = (record.key().unwrap_or_default(), record.payload().unwrap_or_default());
    let line = Line::new(record.partition(), record.offset(), record.timestamp().to_millis(), key, value);
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use chat_proto::{Outgoing, encode};

    use super::*;

    #[test]
    fn a_line_says_what_the_record_says() {
        let value = encode(&Outgoing {
            uuid: [0xab; 16],
            room: "tea",
            sender: "ann",
            content_type: "text/plain",
            headers: &[],
            body: b"hello",
            idempotency_key: "k1",
            origin: "edge-1",
        });
        let line = Line::new(3, 7, Some(1_700_000_000_000), b"tea", &value);
        let check = MessageId::check_of(&value);
        let wanted = format!(
            "{{\"partition\":3,\"offset\":7,\"timestamp\":1700000000000,\"key\":\"tea\",\"message_id\":\"3-7-{check:08x}\",\
             \"uuid\":\"{}\",\"sender\":\"ann\",\"idempotency_key\":\"k1\",\"size\":{}}}",
            "ab".repeat(16),
            value.len()
        );
        assert_eq!(serde_json::to_string(&line).unwrap(), wanted);
    }

    #[test]
    fn a_record_that_cannot_be_shown_says_why() {
        let line = serde_json::to_string(&Line::new(0, 0, None, b"tea", b"\xff")).unwrap();
        assert!(line.contains("\"error\":\"not a chat.v1.Message") && !line.contains("uuid"), "{line}");
        assert!(line.contains("\"timestamp\":null") && line.contains("\"size\":1"), "{line}");
    }
}
