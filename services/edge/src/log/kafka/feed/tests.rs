//! A reader whose client has lost its way, over the embedded broker.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use super::*;
use crate::log::{Log as _, NewRecord, Outcome, Reports, Start, Ticket, embedded::EmbeddedLog};

struct NoReports;
impl Reports for NoReports {
    fn settled(&self, _: Ticket, _: Outcome) {}
}

/// Hands over until `enough` says so; at most 40 seconds.
async fn read_until(feed: &mut KafkaFeed, mut enough: impl FnMut(&FeedEvent<'_>) -> bool + Send) {
    let until = Instant::now() + Duration::from_secs(40);
    let mut done = false;
    while !done {
        let left = until.saturating_duration_since(Instant::now());
        let mut sink = |event: FeedEvent<'_>| done |= enough(&event);
        tokio::time::timeout(left, feed.wait(&mut sink)).await.expect("nothing is read any more").unwrap();
    }
}

/// Promise 4: a partition that its client has silently stopped reading (here: paused) is read on, from where it stood.
#[tokio::test]
async fn p4_a_reader_that_stands_still_is_made_anew() {
    let log = EmbeddedLog::open(1, Arc::new(NoReports)).unwrap();
    let write = |value: &'static [u8]| {
        log.publish(NewRecord { partition: 0, room: "r".into(), value: value.into(), trace: None }, Ticket::default())
            .unwrap();
        assert_eq!(log.flush(Duration::from_secs(10)), 0);
    };
    write(b"one");
    let mut feed = log.feed(Start::Rewind(10)).unwrap();
    let mut read = Vec::new();
    let mut note = |event: &FeedEvent<'_>| {
        if let FeedEvent::Record(record) = event {
            read.push((record.offset, record.value.to_vec()));
        }
        matches!(event, FeedEvent::EndOfPartition { .. }) || read.len() == 3
    };
    read_until(&mut feed, &mut note).await;

    let mut partition = TopicPartitionList::new();
    partition.add_partition(&feed.topic, 0);
    feed.consumer.pause(&partition).unwrap();
    write(b"two");
    write(b"three");
    read_until(&mut feed, |event| note(event) && matches!(event, FeedEvent::Record(_))).await;
    assert_eq!(read, [(0, b"one".to_vec()), (1, b"two".to_vec()), (2, b"three".to_vec())]);
}
