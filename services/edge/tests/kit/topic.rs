//! A topic's records as they are, read and written without the edge.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::kafka::Kafka;

/// One record.
#[derive(Clone, Debug)]
pub struct Stored {
    pub partition: i32,
    pub offset: i64,
    /// Append time in milliseconds since the epoch.
    pub timestamp: i64,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

impl Stored {
    /// The message-id that every edge gives this record.
    pub fn message_id(&self) -> MessageId {
        MessageId { partition: self.partition, offset: self.offset, check: crc32fast::hash(&self.value) }
    }

    /// The record's uuid: field 1 of `chat.v1.Message`, which stands first. None for a record that no edge wrote.
    pub fn uuid(&self) -> Option<[u8; 16]> {
        self.value.strip_prefix(&[0x0a, 16])?.get(..16)?.try_into().ok()
    }
}

/// A record to write as it is: partition, key, value.
pub type Raw<'a> = (i32, Option<&'a [u8]>, Option<&'a [u8]>);

/// `{partition}-{offset}-{check}`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId {
    pub partition: i32,
    pub offset: i64,
    pub check: u32,
}

impl MessageId {
    /// Reads what [`std::fmt::Display`] writes and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (partition, offset, check) = (parts.next()?, parts.next()?, parts.next()?);
        let id = Self {
            partition: partition.parse().ok()?,
            offset: offset.parse().ok()?,
            check: u32::from_str_radix(check, 16).ok()?,
        };
        (parts.next().is_none() && id.to_string() == text).then_some(id)
    }
}

impl std::fmt::Display for MessageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{:08x}", self.partition, self.offset, self.check)
    }
}

impl Kafka {
    /// Every record of the topic, in order within each partition.
    #[track_caller]
    pub fn dump(&self, topic: &str) -> Vec<Stored> {
        let mut config = self.client();
        config
            .set("group.id", "klatsch-test-dump")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true");
        let consumer: BaseConsumer = config.create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(20)).unwrap();
        let mut all = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            all.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
        }
        consumer.assign(&all).unwrap();

        let deadline = Instant::now() + Duration::from_secs(60);
        let mut ended = HashMap::new();
        let mut records = Vec::new();
        while ended.len() < all.count() {
            assert!(Instant::now() < deadline, "a dump of {topic}: {} of {} partitions read", ended.len(), all.count());
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(record)) => records.push(Stored {
                    partition: record.partition(),
                    offset: record.offset(),
                    timestamp: record.timestamp().to_millis().unwrap_or(-1),
                    key: record.key().unwrap_or_default().to_vec(),
                    value: record.payload().unwrap_or_default().to_vec(),
                }),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition, ())),
                Some(Err(_)) | None => {} // a broker that was killed; librdkafka tries on
            }
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// Writes records as they are, to the partition given; returns when all are acknowledged.
    #[track_caller]
    pub fn produce(&self, topic: &str, records: &[Raw<'_>]) {
        // Brokers refuse a batch above the topic's max.message.bytes as a whole.
        let producer: BaseProducer = self.client().set("acks", "all").set("batch.size", "65536").create().unwrap();
        for (partition, key, value) in records {
            let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(*partition);
            record.key = *key;
            record.payload = *value;
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
        assert_eq!(producer.in_flight_count(), 0);
    }
}
