//! What librdkafka measures, reduced to what an operator needs.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{Statistics, statistics::Window};

use super::{
    super::{BrokerMeasured, ClientMeasured, Measured},
    context::RawStatistics,
};

/// Measured by librdkafka every 15 s (`statistics.interval.ms`); empty before the first time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaStatistics {
    /// Records that wait in the producer or for their acknowledgement.
    pub queued_records: u64,
    /// The same in bytes.
    pub queued_bytes: u64,
    /// Most records that the producer takes.
    pub queue_limit: u64,
    /// Records in one ProduceRequest, on average over the last interval: above 1 when brokers answer slower than
    /// records come.
    pub records_per_request: i64,
    /// The producer.
    pub producer: ClientMeasured,
    /// The reader.
    pub reader: ClientMeasured,
    /// The brokers that either of them knows, by their numbers.
    pub brokers: Vec<BrokerMeasured>,
    /// One for each partition that is read, in order.
    pub partitions: Vec<PartitionStatistics>,
}

/// One partition, as its reader sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartitionStatistics {
    /// Kafka partition.
    pub partition: i32,
    /// One past the last offset that the broker has told of.
    pub high: i64,
    /// The offset that the follower reads next.
    pub position: i64,
    /// `high − position`, never below 0.
    pub lag: i64,
}

impl KafkaStatistics {
    /// `positions` are the follower's own, newer than what librdkafka measured, each with the end as it was last asked:
    /// a reader that stands still hears of no end.
    pub(super) fn parse(raw: &RawStatistics, topic: &str, positions: &[(i64, i64)]) -> Self {
        let (mut result, mut brokers) = (Self::default(), BTreeMap::new());
        if let Ok(producer) = serde_json::from_slice::<Statistics>(&raw.producer) {
            (result.queued_records, result.queued_bytes) = (producer.msg_cnt, producer.msg_size);
            result.queue_limit = producer.msg_max;
            result.records_per_request = producer.topics.get(topic).map_or(0, |t| t.batchcnt.avg);
            result.producer = client(&producer, &mut brokers);
        }
        let feed = serde_json::from_slice::<Statistics>(&raw.feed).ok();
        if let Some(feed) = &feed {
            result.reader = client(feed, &mut brokers);
        }
        result.brokers = brokers.into_values().collect();
        let known = feed.as_ref().and_then(|feed| feed.topics.get(topic));
        for (partition, &(position, end)) in (0_i32..).zip(positions) {
            let told = known.and_then(|t| t.partitions.get(&partition)).map_or(position, |p| p.hi_offset);
            let high = told.max(end).max(position);
            result.partitions.push(PartitionStatistics { partition, high, position, lag: high - position });
        }
        result
    }

    pub(super) fn measured(self) -> Measured {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Measured {
            assigned: signed(self.partitions.len() as u64),
            lags: self.partitions.iter().map(|it| (it.partition, it.lag)).collect(),
            queued_records: signed(self.queued_records),
            queued_bytes: signed(self.queued_bytes),
            queue_limit: signed(self.queue_limit),
            producer: self.producer,
            reader: self.reader,
            brokers: self.brokers,
        }
    }
}

/// A client's own figures; what it knows of brokers goes to the others'.
fn client(statistics: &Statistics, brokers: &mut BTreeMap<i32, BrokerMeasured>) -> ClientMeasured {
    let mut client = ClientMeasured { reply_queue: statistics.replyq, ..ClientMeasured::default() };
    for broker in statistics.brokers.values() {
        client.request_timeouts += broker.req_timeouts;
        client.retries += broker.txretries;
        client.connects += counted(broker.connects);
        client.disconnects += counted(broker.disconnects);
        // The one window that is in milliseconds.
        let throttle = broker.throttle.as_ref().map_or(0, |window| window.p99);
        client.throttle_p99 = client.throttle_p99.max(Duration::from_millis(counted(Some(throttle))));
        // Bootstrap addresses and the coordinator are brokers too, under their own numbers.
        if broker.nodeid < 0 || broker.source == "logical" {
            continue;
        }
        let seen =
            brokers.entry(broker.nodeid).or_insert_with(|| BrokerMeasured { id: broker.nodeid, ..Default::default() });
        seen.up |= broker.state == "UP";
        seen.rtt_p99 = seen.rtt_p99.max(micros(broker.rtt.as_ref()));
    }
    client
}

fn counted(count: Option<i64>) -> u64 {
    count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0)
}

fn micros(window: Option<&Window>) -> Duration {
    Duration::from_micros(counted(window.map(|window| window.p99)))
}
