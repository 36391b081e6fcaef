//! Events of other edges: records written straight into the topic, for rooms of which nobody is here; and the control, a
//! bare consumer that reads them back.

use std::{
    hint,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use chat_proto::{Outgoing, encode, partition_of};
use hdrhistogram::Histogram;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};

use crate::{
    clock,
    latency::{Latency, record},
};

/// How long Kafka may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Octets of a body.
const BODY: usize = 150;
/// The stamp is at the body's beginning: nanoseconds at which the record was due, in decimal.
const STAMP: usize = 20;
/// Records behind the timetable are written this many at a time.
const AT_ONCE: u64 = 256;

/// What other edges write.
#[derive(Debug, Clone)]
pub(crate) struct Foreign {
    /// Bootstrap brokers.
    pub(crate) brokers: String,
    /// The topic; it is there.
    pub(crate) topic: String,
    /// Its partitions.
    pub(crate) partitions: i32,
    /// Rooms, all drawn alike.
    pub(crate) rooms: u32,
    /// Records a second.
    pub(crate) rate: f64,
    /// How long librdkafka gathers, in milliseconds.
    pub(crate) linger: u32,
}

/// A thread that writes until it is dropped.
#[derive(Debug)]
pub(crate) struct Writing {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Foreign {
    /// Begins to write, on the core of the calling thread.
    ///
    /// # Errors
    /// There is no such topic, or no thread can be started.
    pub(crate) fn start(&self) -> Result<Writing, String> {
        let failed = |error: rdkafka::error::KafkaError| format!("a producer: {error}");
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("linger.ms", self.linger.to_string());
        config.set("enable.idempotence", "true").set("enable.metrics.push", "false");
        let producer: ThreadedProducer<DefaultProducerContext> = config.create().map_err(failed)?;
        producer.client().fetch_metadata(Some(&self.topic), ANSWER).map_err(failed)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (plan, ending) = (self.clone(), Arc::clone(&stop));
        let run = move || plan.write(&producer, &ending);
        let thread = thread::Builder::new().name("foreign".to_owned()).spawn(run);
        let thread = thread.map_err(|error| format!("a thread cannot be started: {error}"))?;
        Ok(Writing { stop, thread: Some(thread) })
    }

    fn write(&self, producer: &ThreadedProducer<DefaultProducerContext>, stop: &AtomicBool) {
        let (start, gap) = (clock::now(), 1e9 / self.rate.max(1e-3));
        let mut number = 0;
        while !stop.load(Relaxed) {
            let due = |number: u64| start + (number as f64 * gap) as u64;
            let now = clock::now();
            let mut at_once = 0;
            while due(number) <= now && at_once < AT_ONCE {
                self.send(producer, number, due(number));
                (number, at_once) = (number + 1, at_once + 1);
            }
            let left = due(number).saturating_sub(clock::now()).min(50_000_000);
            if left > 0 {
                // At high rates many at a time: a wake-up for each would cost more than the records.
                thread::sleep(Duration::from_nanos(left.max(if self.rate > 2_000.0 { 1_000_000 } else { 0 })));
            }
        }
        let _ = producer.flush(ANSWER);
    }

    /// Writes one; none if the producer's queue is full.
    fn send(&self, producer: &ThreadedProducer<DefaultProducerContext>, number: u64, due: u64) {
        // Drawn by multiplication, so that neighbours in time are no neighbours in number.
        let drawn = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let room = format!("foreign-{}", (drawn * u64::from(self.rooms.max(1))) >> 32);
        let mut uuid = [0x42; 16];
        uuid[..8].copy_from_slice(&start_of(due).to_be_bytes());
        uuid[8..].copy_from_slice(&number.to_be_bytes());
        let body = format!("{due:0STAMP$}{:x<1$}", "", BODY - STAMP);
        let value = encode(&Outgoing {
            uuid,
            room: &room,
            sender: "somebody",
            content_type: "text/plain",
            headers: &[],
            body: body.as_bytes(),
            idempotency_key: "",
            origin: "elsewhere",
        });
        let partition = partition_of(room.as_bytes(), self.partitions);
        let _ = producer.send(BaseRecord::to(&self.topic).partition(partition).key(&room).payload(&value[..]));
    }
}

/// The first half of an identity: two writings differ in it.
fn start_of(due: u64) -> u64 {
    due | 1
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A bare consumer of the whole topic, as an edge sets its own: what Kafka alone takes.
#[derive(Debug)]
pub(crate) struct Control {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Histogram<u64>>>,
    thread: Option<JoinHandle<()>>,
}

/// What a [`Control`] is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// When records come: each is looked through for its stamp, and a broker answers at once.
    Latency,
    /// What a record costs: its fields are asked for, as by whoever reads records at all, and its octets are not looked
    /// at. Brokers answer as they answer an edge at this rate.
    Cost,
}

impl Control {
    /// Begins to read at the end of each partition.
    ///
    /// # Errors
    /// There is no such topic, or no thread can be started.
    pub(crate) fn start(brokers: &str, topic: &str, partitions: i32, purpose: Purpose) -> Result<Control, String> {
        let failed = |error: rdkafka::error::KafkaError| format!("a consumer: {error}");
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("group.id", "klatsch-bench").set("enable.metrics.push", "false");
        // The last level of the edge's log/kafka/pace.rs, or the first.
        let (most_ms, least_bytes) = match purpose {
            Purpose::Cost => ("4", "131072"),
            Purpose::Latency => ("500", "1"),
        };
        config.set("enable.auto.commit", "false");
        config.set("fetch.wait.max.ms", most_ms).set("fetch.min.bytes", least_bytes);
        let consumer: BaseConsumer = config.create().map_err(failed)?;
        consumer.fetch_metadata(Some(topic), ANSWER).map_err(failed)?;
        let mut all = TopicPartitionList::new();
        for partition in 0..partitions {
            let (_, high) = consumer.fetch_watermarks(topic, partition, ANSWER).map_err(failed)?;
            all.add_partition_offset(topic, partition, Offset::Offset(high)).map_err(failed)?;
        }
        consumer.assign(&all).map_err(failed)?;
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Latency::new().delivery)));
        let (ending, into) = (Arc::clone(&stop), Arc::clone(&seen));
        let run = move || {
            while !ending.load(Relaxed) {
                let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else { continue };
                if purpose == Purpose::Cost {
                    hint::black_box((message.partition(), message.offset(), message.timestamp().to_millis()));
                    hint::black_box((message.key(), message.payload()));
                    continue;
                }
                let now = clock::now();
                let stamp = message.payload().and_then(stamp);
                if let Some(due) = stamp {
                    let mut seen = into.lock().unwrap_or_else(PoisonError::into_inner);
                    record(&mut seen, now.saturating_sub(due));
                }
            }
        };
        let thread = thread::Builder::new().name("control".to_owned()).spawn(run);
        let thread = thread.map_err(|error| format!("a thread cannot be started: {error}"))?;
        Ok(Control { stop, seen, thread: Some(thread) })
    }

    /// What it has read since the last call: microseconds from due until read.
    pub(crate) fn take(&self) -> Histogram<u64> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *seen, Latency::new().delivery)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// When a foreign record was due; `None` for others.
fn stamp(value: &[u8]) -> Option<u64> {
    // The body is the field before the last; the stamp stands where the filling begins.
    let filled = value.windows(STAMP + 8).rposition(|window| window.ends_with(b"xxxxxxxx") && is_number(window))?;
    std::str::from_utf8(&value[filled..filled + STAMP]).ok()?.parse().ok()
}

fn is_number(window: &[u8]) -> bool {
    window[..STAMP].iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_stamp_is_read_back() {
        let due = 123_456_789_u64;
        let body = format!("{due:0STAMP$}{:x<1$}", "", BODY - STAMP);
        let encoded = |body: &str| {
            encode(&Outgoing {
                uuid: [1; 16],
                room: "foreign-7",
                sender: "somebody",
                content_type: "text/plain",
                headers: &[],
                body: body.as_bytes(),
                idempotency_key: "",
                origin: "elsewhere",
            })
        };
        assert_eq!(body.len(), BODY);
        assert_eq!(stamp(&encoded(&body)), Some(123_456_789));
        assert_eq!(stamp(&encoded("hello")), None);
        assert_eq!(stamp(b""), None);
    }
}
