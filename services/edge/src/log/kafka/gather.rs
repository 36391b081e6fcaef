//! Under load records wait a moment, so that many go to the brokers at once: what a broker spends depends on how often it
//! is asked, by producers and by the fetches that each record sets off on every edge. In a quiet cluster nothing waits.
//!
//! Every edge hands over at the same moments of the wall clock: then one answer to an edge's fetch carries the records of
//! all edges. Clocks that differ cost processor time, nothing else.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    super::{NewRecord, Reason, Reports, Ticket},
    context::{Alarm, lock},
    delivery::Sent,
    producer::Producer,
    rate::{Feeds, Rate, position},
};

/// From one hand-over to the next. A record waits half of it; with what brokers take, the median stays below 3 ms.
const WINDOW: Duration = Duration::from_millis(3);
/// So many wait at most; at rates that fill this sooner, records are many at once by themselves.
const MOST_RECORDS: usize = 64;
const MOST_BYTES: usize = 64 << 10;
/// Records of the whole cluster in a second: from here on it pays to wait…
const BUSY: f64 = 700.0;
/// …and below this not any more.
const QUIET: f64 = 500.0;
/// How often the rate is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Stands before the producer.
pub(super) struct Gather {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    producer: Arc<Producer>,
    held: Mutex<Held>,
    /// The first record is held, or it is over.
    woken: Condvar,
    gathered: AtomicU64,
}

#[derive(Default)]
struct Held {
    /// Records are to wait.
    busy: bool,
    stop: bool,
    records: Vec<(NewRecord, Sent)>,
    bytes: usize,
}

impl Gather {
    /// `feeds` tell how busy the cluster is.
    pub(super) fn start(
        producer: Arc<Producer>,
        feeds: Feeds,
        reports: Arc<dyn Reports>,
        enabled: bool,
    ) -> std::io::Result<Self> {
        let held = Mutex::default();
        let shared = Arc::new(Shared { producer, held, woken: Condvar::new(), gathered: AtomicU64::new(0) });
        let thread = if enabled {
            let shared = Arc::clone(&shared);
            let run = move || {
                let _alarm = Alarm { reports: &*reports, name: "gather" };
                shared.run(&feeds);
            };
            Some(std::thread::Builder::new().name("kafka-gather".into()).spawn(run)?)
        } else {
            None
        };
        Ok(Self { shared, thread })
    }

    /// See [`Log::publish`](super::super::Log::publish).
    pub(super) fn publish(&self, record: NewRecord, ticket: Ticket) -> Result<(), Reason> {
        let mut held = lock(&self.shared.held);
        // Nothing may pass what waits.
        if !held.busy && held.records.is_empty() {
            drop(held);
            return self.shared.producer.publish(&record, ticket);
        }
        let sent = self.shared.producer.accept(record.partition, ticket)?;
        held.bytes += record.room.len() + record.value.len();
        held.records.push((record, sent));
        if held.records.len() >= MOST_RECORDS || held.bytes >= MOST_BYTES {
            self.shared.hand_over(&mut held);
        } else if held.records.len() == 1 {
            self.shared.woken.notify_one();
        }
        Ok(())
    }

    /// What waits goes to the producer now.
    pub(super) fn release(&self) {
        self.shared.hand_over(&mut lock(&self.shared.held));
    }

    /// How many records have waited.
    pub(super) fn gathered(&self) -> u64 {
        self.shared.gathered.load(Relaxed)
    }

    /// Whether records wait at present.
    pub(super) fn is_busy(&self) -> bool {
        lock(&self.shared.held).busy
    }
}

impl Drop for Gather {
    fn drop(&mut self) {
        lock(&self.shared.held).stop = true;
        self.shared.woken.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Under the lock, so that a record published meanwhile stays behind.
    fn hand_over(&self, held: &mut Held) {
        self.gathered.fetch_add(held.records.len() as u64, Relaxed);
        held.bytes = 0;
        for (record, sent) in held.records.drain(..) {
            if let Err(reason) = self.producer.hand_over(&record, sent) {
                self.producer.refused(sent, reason);
            }
        }
    }

    fn run(&self, feeds: &Feeds) {
        let mut rate = Rate::new(LOOK);
        let mut held = lock(&self.held);
        while !held.stop {
            if held.records.is_empty() {
                held = self.wait(held, LOOK);
            } else {
                let end = Instant::now() + until_window(SystemTime::now());
                // A full hand-over may come before, and the next record be held already; it goes at the same moment.
                while !held.stop
                    && let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
                {
                    held = self.wait(held, left);
                }
                self.hand_over(&mut held);
            }
            let now = Instant::now();
            if rate.is_due(now) {
                drop(held);
                let records = rate.look(position(feeds), now);
                held = lock(&self.held);
                held.busy = is_busy(records, held.busy);
            }
        }
        self.hand_over(&mut held);
    }

    fn wait<'a>(&self, held: std::sync::MutexGuard<'a, Held>, time: Duration) -> std::sync::MutexGuard<'a, Held> {
        self.woken.wait_timeout(held, time).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Time until the next moment at which all edges hand over.
fn until_window(now: SystemTime) -> Duration {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() % WINDOW.as_nanos();
    WINDOW - Duration::from_nanos(since as u64)
}

/// Whether records are to wait from now on, at this rate of the cluster.
fn is_busy(rate: Option<f64>, busy: bool) -> bool {
    rate.is_some_and(|rate| rate >= if busy { QUIET } else { BUSY })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_from_a_rate_on_and_stops_at_a_lower_one() {
        let mut busy = false;
        for (rate, wanted) in [
            (Some(699.0), false),
            (Some(700.0), true),
            (Some(600.0), true),
            (Some(500.0), true),
            (Some(499.0), false),
            (Some(600.0), false),
            (Some(800.0), true),
            (None, false),
        ] {
            busy = is_busy(rate, busy);
            assert_eq!(busy, wanted, "{rate:?}");
        }
    }

    #[test]
    fn all_edges_hand_over_at_the_same_moments() {
        for (now, left) in [(0, 3_000), (1, 2_999), (2_999, 1), (3_000, 3_000), (1_234_567_891_234, 1_766)] {
            let now = UNIX_EPOCH + Duration::from_micros(now);
            assert_eq!(until_window(now), Duration::from_micros(left));
        }
    }
}
