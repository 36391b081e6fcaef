//! From one producer to the next without changing a room's order (DESIGN §6): the next one gets a partition's records only
//! when the one before has settled all that it had of that partition. Until then they wait here, in order.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    error::KafkaError,
    producer::{BaseRecord, Producer as _, PurgeConfig},
};

use super::{
    super::{NewRecord, Outcome, Reason},
    context::{Context, Role, lock},
    delivery::{Delivery, Flights, Sent, Shared, refusal_of},
    headers,
    served::Served,
};

/// Records that may wait, and their octets: as much as a producer's queue takes.
const MOST_RECORDS: usize = 20_000;
const MOST_BYTES: usize = 32 << 20;

/// One producer of a log: there is one, and for a moment two.
pub(super) struct Generation {
    pub(super) producer: Served,
    topic: String,
    flights: Arc<Flights>,
}

impl Generation {
    pub(super) fn make(
        config: &ClientConfig,
        topic: &str,
        partitions: i32,
        shared: &Arc<Shared>,
    ) -> Result<Self, KafkaError> {
        let flights = Arc::new(Flights::new(partitions));
        let delivery = Delivery {
            inner: Context { role: Role::Producer, state: Arc::clone(&shared.state) },
            shared: Arc::clone(shared),
            flights: Arc::clone(&flights),
            warm: Mutex::new(false),
            warmed: Condvar::new(),
        };
        Ok(Self { producer: Served::start(config, delivery)?, topic: topic.to_owned(), flights })
    }

    /// Queues the record, or says why not.
    pub(super) fn send(&self, record: &NewRecord, sent: Sent) -> Result<(), Reason> {
        let out = BaseRecord::with_opaque_to(&self.topic, Box::new(sent))
            .partition(record.partition)
            .key(&record.room[..])
            .payload(&record.value[..]);
        let out = match &record.trace {
            Some(trace) => out.headers(headers::of(trace)),
            None => out,
        };
        self.flights.began(record.partition);
        self.producer.send(out).map_err(|(error, _)| {
            self.flights.ended(record.partition);
            refusal_of(error.rdkafka_error_code())
        })
    }

    /// Gives up everything that is not settled; it is reported.
    pub(super) fn purge(&self) {
        self.producer.purge(PurgeConfig::default().queue().inflight());
    }

    /// The same, for this reason; how many records those are.
    pub(super) fn give_up(&self, why: Reason) -> usize {
        let records = self.flights.count();
        let _ = self.flights.given_up.set(why);
        self.purge();
        records
    }
}

/// The time between two producers.
pub(super) struct Handover {
    from: Weak<Generation>,
    to: Arc<Generation>,
    shared: Arc<Shared>,
    gates: Box<[Mutex<Gate>]>,
    /// Partitions that still wait.
    closed: Mutex<usize>,
    opened: Condvar,
    records: AtomicUsize,
    bytes: AtomicUsize,
    /// What waits is refused, not sent: the log is being closed.
    ending: AtomicBool,
}

#[derive(Default)]
struct Gate {
    open: bool,
    waiting: VecDeque<(NewRecord, Sent)>,
}

impl Handover {
    /// Begins one. Nobody may send to `from` from now on.
    pub(super) fn begin(
        from: &Arc<Generation>,
        to: Arc<Generation>,
        partitions: i32,
        shared: Arc<Shared>,
    ) -> Arc<Self> {
        let gates: Box<[_]> = (0..partitions.max(0)).map(|_| Mutex::default()).collect();
        let handover = Arc::new(Self {
            from: Arc::downgrade(from),
            to,
            shared,
            closed: Mutex::new(gates.len()),
            gates,
            opened: Condvar::new(),
            records: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            ending: AtomicBool::new(false),
        });
        let _ = from.flights.next.set(Arc::clone(&handover));
        (0..partitions).for_each(|partition| handover.release(partition, &from.flights));
        handover
    }

    fn gate(&self, partition: i32) -> Option<&Mutex<Gate>> {
        usize::try_from(partition).ok().and_then(|p| self.gates.get(p))
    }

    /// Sends the record, now or when its partition's turn has come.
    pub(super) fn send(&self, record: &NewRecord, sent: Sent) -> Result<(), Reason> {
        if let Some(gate) = self.gate(record.partition) {
            let mut gate = lock(gate);
            if !gate.open {
                let octets = record.room.len() + record.value.len();
                let full = self.records.load(Ordering::Relaxed) >= MOST_RECORDS
                    || self.bytes.load(Ordering::Relaxed) + octets > MOST_BYTES;
                if full {
                    return Err(Reason::QueueFull);
                }
                self.records.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(octets, Ordering::Relaxed);
                gate.waiting.push_back((record.clone(), sent));
                return Ok(());
            }
        }
        self.to.send(record, sent)
    }

    /// Sends what waits, if the producer before has settled all that it had of the partition.
    pub(super) fn release(&self, partition: i32, before: &Flights) {
        let Some(gate) = self.gate(partition) else { return };
        let mut gate = lock(gate);
        if gate.open || !before.are_none(partition) {
            return;
        }
        while let Some((record, sent)) = gate.waiting.pop_front() {
            let ending = self.ending.load(Ordering::Relaxed);
            let result = if ending { Err(Reason::Purged) } else { self.to.send(&record, sent) };
            if let Err(reason) = result {
                self.shared.settle(sent, Outcome::Refused(reason));
            }
        }
        gate.open = true;
        *lock(&self.closed) -= 1;
        self.opened.notify_all();
    }

    /// Whether every partition's turn has come, now or within `timeout`.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let waited = self.opened.wait_timeout_while(lock(&self.closed), timeout, |closed| *closed > 0);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Gives up what the producer before has not settled, and refuses what waits for that.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Some(from) = self.from.upgrade() {
            from.purge();
        }
    }
}
