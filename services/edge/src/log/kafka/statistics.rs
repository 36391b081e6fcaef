//! What librdkafka measures, reduced to what an operator needs.

use rdkafka::Statistics;

use super::context::RawStatistics;

/// Measured by librdkafka every 15 s (`statistics.interval.ms`); empty before the first time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaStatistics {
    /// Records that wait in the producer or for their acknowledgement.
    pub queued_records: u64,
    /// The same in bytes.
    pub queued_bytes: u64,
    /// Records in one ProduceRequest, on average over the last interval: above 1 when brokers answer slower than
    /// records come.
    pub records_per_request: i64,
    /// Produce and metadata requests sent again since the start.
    pub retries: u64,
    /// Requests that timed out since the start.
    pub request_timeouts: u64,
    /// Worst 99th percentile of a broker's round trip, in microseconds.
    pub round_trip_p99_us: i64,
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
        let mut result = Self::default();
        if let Ok(producer) = serde_json::from_slice::<Statistics>(&raw.producer) {
            (result.queued_records, result.queued_bytes) = (producer.msg_cnt, producer.msg_size);
            result.records_per_request = producer.topics.get(topic).map_or(0, |t| t.batchcnt.avg);
            for broker in producer.brokers.values() {
                result.retries += broker.txretries;
                result.request_timeouts += broker.req_timeouts;
                let p99 = broker.rtt.as_ref().map_or(0, |rtt| rtt.p99);
                result.round_trip_p99_us = result.round_trip_p99_us.max(p99);
            }
        }
        let feed = serde_json::from_slice::<Statistics>(&raw.feed).ok();
        let known = feed.as_ref().and_then(|feed| feed.topics.get(topic));
        for (partition, &(position, end)) in (0_i32..).zip(positions) {
            let told = known.and_then(|t| t.partitions.get(&partition)).map_or(position, |p| p.hi_offset);
            let high = told.max(end).max(position);
            result.partitions.push(PartitionStatistics { partition, high, position, lag: high - position });
        }
        result
    }
}
