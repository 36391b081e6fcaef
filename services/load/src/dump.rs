//! A whole topic as JSON lines, up to where it ended when the dump began.

use std::{
    io::{self, BufWriter, Write as _},
    thread::sleep,
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
    client::is_secret,
    outcome::{Outcome, could_not_run},
    payload::Payload,
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
        /// Which SEND it is, if a load generator sent it.
        #[serde(flatten)]
        load: Option<Load>,
        /// A header that must never reach a room.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        leaked: Option<String>,
    },
    /// No edge shows it.
    Unreadable {
        /// Why.
        error: String,
    },
}

/// Which SEND of which run a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Load {
    /// The run.
    pub run: u32,
    /// The client.
    pub client: u32,
    /// Its SEND's number.
    pub n: u64,
    /// Which copy of it.
    #[serde(rename = "try")]
    pub attempt: u32,
}

impl From<Payload> for Load {
    fn from(payload: Payload) -> Load {
        Load { run: payload.run, client: payload.sender, n: payload.number, attempt: payload.attempt }
    }
}

impl Line {
    /// Of a record.
    pub fn new(partition: i32, offset: i64, timestamp: Option<i64>, key: &[u8], value: &[u8]) -> Line {
        let record = match chat_proto::decode(Bytes::copy_from_slice(value), key) {
            Ok(message) => Record::Readable {
                uuid: message.uuid.iter().map(|octet| format!("{octet:02x}")).collect(),
                load: Payload::read(&message.body).map(Load::from),
                leaked: message.headers.into_iter().map(|header| header.name).find(|name| is_secret(name)),
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
    let mut out = BufWriter::new(io::stdout().lock());
    let write = |line: Line| {
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")
    };
    let dumped = each(settings, write).and_then(|()| out.flush().map_err(|error| format!("stdout: {error}")));
    match dumped {
        Ok(()) => Outcome::Held,
        Err(why) => could_not_run(&why),
    }
}

/// Hands over every record, partition by partition, up to where the topic ended when this began.
///
/// # Errors
/// What went wrong, and what would help.
pub fn each(settings: &DumpSettings, mut take: impl FnMut(Line) -> io::Result<()>) -> Result<(), String> {
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
    let metadata = patiently(|| consumer.fetch_metadata(Some(topic), ANSWER)).map_err(asked)?;
    let partitions = metadata.topics().first().map(|topic| topic.partitions()).unwrap_or_default();
    if partitions.is_empty() {
        return Err(format!("{kafka} has no topic {topic}; --topic names another"));
    }
    let mut ids: Vec<i32> = partitions.iter().map(|partition| partition.id()).collect();
    ids.sort_unstable();
    for id in ids {
        let (low, high) = patiently(|| consumer.fetch_watermarks(topic, id, ANSWER)).map_err(asked)?;
        partition(&consumer, topic, id, low, high, &mut take)?;
    }
    Ok(())
}

/// Asks again for a while: a leader that has just moved answers soon.
fn patiently<T>(ask: impl Fn() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    let until = Instant::now() + ANSWER;
    loop {
        match ask() {
            Err(_) if Instant::now() < until => sleep(Duration::from_millis(200)),
            answer => return answer,
        }
    }
}

fn partition(
    consumer: &BaseConsumer,
    topic: &str,
    id: i32,
    low: i64,
    high: i64,
    take: &mut impl FnMut(Line) -> io::Result<()>,
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
                take(line_of(&record)).map_err(|error| format!("stdout: {error}"))?;
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

fn line_of(record: &BorrowedMessage<'_>) -> Line {
    let (key, value) = (record.key().unwrap_or_default(), record.payload().unwrap_or_default());
    Line::new(record.partition(), record.offset(), record.timestamp().to_millis(), key, value)
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
    fn a_load_generators_record_says_which_send_it_is() {
        let body = Payload { run: 7, room: 0, turn: 1, sender: 2, number: 3, due: 4, attempt: 5 }.write(0);
        let value = encode(&Outgoing {
            uuid: [1; 16],
            room: "tea",
            sender: "ann",
            content_type: "",
            headers: &[("Authorization", "x")],
            body: &body,
            idempotency_key: "",
            origin: "",
        });
        let line = Line::new(0, 0, Some(1), b"tea", &value);
        let text = serde_json::to_string(&line).unwrap();
        assert!(text.contains("\"run\":7,\"client\":2,\"n\":3,\"try\":5,\"leaked\":\"Authorization\""), "{text}");
    }

    #[test]
    fn a_record_that_cannot_be_shown_says_why() {
        let line = serde_json::to_string(&Line::new(0, 0, None, b"tea", b"\xff")).unwrap();
        assert!(line.contains("\"error\":\"not a chat.v1.Message") && !line.contains("uuid"), "{line}");
        assert!(line.contains("\"timestamp\":null") && line.contains("\"size\":1"), "{line}");
    }
}
