//! What a record costs that nobody here wants, in our own code: judged, looked up by its room, kept in the tail; and how
//! that grows with the rooms. performance.md rows 8 and 14.
//!
//! `cargo bench -p klatsch-edge --bench unwanted [-- ROUNDS]` prints nanoseconds per record for 1 k, 100 k and 1 M rooms
//! drawn evenly (the worst case), the tail full and as many records in it as in production.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chat_proto::{Outgoing, encode, partition_of};
use klatsch_edge::{
    follower::Follower,
    log::{AHEAD, FeedEvent, ReadRecord},
    metrics::Metrics,
    tail::Bounds,
};

const PARTITIONS: i32 = 12;
/// Records that are made before they are read: few enough to lie in the cache, as librdkafka's do.
const BATCH: usize = 512;
/// Batches of one round.
const ROUND: usize = 64;

struct Made {
    partition: i32,
    room: String,
    value: Bytes,
}

/// Numbers as good as chance, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 33
    }
}

fn make(numbers: &mut Numbers, rooms: u64) -> Made {
    let room = format!("room-{}", numbers.next() % rooms);
    let mut uuid = [0; 16];
    uuid[..8].copy_from_slice(&numbers.next().to_be_bytes());
    uuid[8..].copy_from_slice(&numbers.next().to_be_bytes());
    let value = encode(&Outgoing {
        uuid,
        room: &room,
        sender: "somebody",
        content_type: "text/plain",
        headers: &[],
        body: &[b'x'; 150],
        idempotency_key: "",
        origin: "edge-1",
    });
    Made { partition: partition_of(room.as_bytes(), PARTITIONS), room, value }
}

struct Bench {
    follower: Follower,
    offsets: [i64; PARTITIONS as usize],
    numbers: Numbers,
    rooms: u64,
}

impl Bench {
    fn new(rooms: u64) -> Self {
        let bounds = Bounds { bytes: 64 << 20, age: Duration::from_secs(600) };
        let mut follower = Follower::new(1, PARTITIONS, bounds, Arc::new(Metrics::new()));
        follower.handle_feed(FeedEvent::Partitions(PARTITIONS));
        let mut bench = Self { follower, offsets: [0; PARTITIONS as usize], numbers: Numbers(rooms), rooms };
        // The tail holds some 200,000 such records, and repeats are known for 65,536 of each partition.
        for _ in 0..30 {
            bench.round();
        }
        bench
    }

    /// Nanoseconds per record.
    fn round(&mut self) -> f64 {
        let spent: Duration = (0..ROUND).map(|_| self.batch()).sum();
        spent.as_nanos() as f64 / (ROUND * BATCH) as f64
    }

    fn batch(&mut self) -> Duration {
        let made: Vec<Made> = (0..BATCH).map(|_| make(&mut self.numbers, self.rooms)).collect();
        let begun = on_cpu();
        let mut records = Vec::with_capacity(AHEAD);
        for made in made.chunks(AHEAD) {
            records.clear();
            records.extend(made.iter().map(|Made { partition, room, value }| {
                let offset = &mut self.offsets[*partition as usize];
                let record = ReadRecord {
                    partition: *partition,
                    offset: *offset,
                    timestamp_ms: 1_700_000_000_000 + *offset,
                    room: room.as_bytes(),
                    value,
                    trace: None,
                };
                *offset += 1;
                record
            }));
            // As Kafka's feed tells them.
            self.follower.handle_feed(FeedEvent::Soon(&records));
            for record in &records {
                self.follower.handle_feed(FeedEvent::Record(record));
            }
        }
        on_cpu() - begun
    }
}

/// This thread's time on a CPU: others on the machine do not count, but for what they do to its caches.
fn on_cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).unwrap())
}

fn main() {
    let rounds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(9);
    let mut benches: Vec<Bench> = [1_000, 100_000, 1_000_000].into_iter().map(Bench::new).collect();
    let mut figures = vec![Vec::new(); benches.len()];
    for _ in 0..rounds {
        for (bench, figures) in benches.iter_mut().zip(&mut figures) {
            figures.push(bench.round());
        }
    }
    let medians: Vec<f64> = figures
        .iter_mut()
        .map(|figures| {
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        })
        .collect();
    for (bench, (median, figures)) in benches.iter().zip(medians.iter().zip(&figures)) {
        println!("{:>9} rooms: {median:>6.0} ns per record (least {:.0})", bench.rooms, figures[0]);
    }
    println!("1 k to 1 M rooms: {:+.0} ns", medians[2] - medians[0]);
}
