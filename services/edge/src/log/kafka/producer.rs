//! Writing: one idempotent producer, and the next one: when it is beyond repair, when a record has waited in it for too
//! long, or when its credentials have been renewed.

use std::{
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rdkafka::{error::KafkaError, producer::Producer as _};

use super::{
    super::{LogError, NewRecord, Reason, Reports, Ticket},
    context::{Fault, State, lock},
    delivery::{Sent, Shared},
    handover::{Generation, Handover},
    in_flight::InFlight,
    settings::KafkaSettings,
};

/// The longest that a new producer may take to get its producer id before it is used cold.
const WARM: Duration = Duration::from_secs(20);
/// The longest that a producer with old credentials may take to settle what it has…
const SETTLE: Duration = Duration::from_secs(10);
/// …if it is not known that no broker takes them any more.
const SETTLE_REFUSED: Duration = Duration::from_secs(1);
/// The longest that a producer in which records have waited for too long may take to settle what it can.
const SETTLE_LATE: Duration = Duration::from_millis(500);
/// How often a wait looks whether the log is being closed.
const STEP: Duration = Duration::from_millis(200);

pub(super) struct Producer {
    shared: Arc<Shared>,
    /// Empty while a producer beyond repair is being replaced.
    current: RwLock<Option<Current>>,
    /// Replacements of producers beyond repair.
    replaced: AtomicUsize,
}

struct Current {
    to: Arc<Generation>,
    /// While the producer before it has records.
    handover: Option<Arc<Handover>>,
}

impl Producer {
    pub(super) fn open(
        settings: &KafkaSettings,
        state: Arc<State>,
        reports: Arc<dyn Reports>,
        unplaced: bool,
    ) -> Result<Self, KafkaError> {
        let shared = Arc::new(Shared { state, reports, in_flight: InFlight::new(), unplaced });
        let first = Current { to: Arc::new(make(settings, &shared)?), handover: None };
        Ok(Self { shared, current: RwLock::new(Some(first)), replaced: AtomicUsize::new(0) })
    }

    fn make(&self, settings: &KafkaSettings) -> Result<Arc<Generation>, LogError> {
        make(settings, &self.shared).map(Arc::new).map_err(|error| LogError(error.to_string()))
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Current>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<Current>> {
        self.current.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn in_flight(&self) -> &InFlight {
        &self.shared.in_flight
    }

    /// How often the producer was beyond repair and has been replaced.
    pub(super) fn replacements(&self) -> usize {
        self.replaced.load(Relaxed)
    }

    /// See [`Log::publish`](super::super::Log::publish).
    pub(super) fn publish(&self, record: &NewRecord, ticket: Ticket) -> Result<(), Reason> {
        if self.shared.state.fatal.load(Relaxed) {
            return Err(Reason::Fatal);
        }
        let sent = Sent { ticket, slot: self.shared.in_flight.handed_over(), partition: record.partition };
        let result = match self.read().as_ref() {
            None => Err(Reason::Fatal),
            Some(Current { to, handover: None }) => to.send(record, sent),
            Some(Current { handover: Some(handover), .. }) => handover.send(record, sent),
        };
        result.inspect_err(|reason| {
            // No report will come.
            self.shared.in_flight.settled(sent.slot);
            if *reason == Reason::Fatal {
                self.shared.state.call(|calls| calls.producer = true);
            }
        })
    }

    /// Whether the producer is beyond repair; from then on nothing is published.
    pub(super) fn is_condemned(&self) -> bool {
        let state = &self.shared.state;
        if !state.fatal.load(Relaxed)
            && let Some(current) = self.read().as_ref()
            && let Some((_, why)) = current.to.producer.client().fatal_error()
        {
            state.fatal.store(true, Relaxed);
            state.set_fault(Fault::Writing, Some(format!("the producer is being replaced: {why}")));
        }
        state.fatal.load(Relaxed)
    }

    /// Connects to every leader and waits for the producer id, so that the first SEND does not: up to a second.
    /// `Ok(false)` when the time is up; an error when the producer is beyond repair already.
    pub(super) fn warm(&self, topic: &str) -> Result<bool, LogError> {
        self.read().as_ref().map_or(Ok(false), |current| self.warm_up(&current.to, topic))
    }

    fn warm_up(&self, fresh: &Generation, topic: &str) -> Result<bool, LogError> {
        let until = Instant::now() + WARM;
        let client = fresh.producer.client();
        let metadata = client.fetch_metadata(Some(topic), Duration::from_secs(5));
        let mut leaders = Vec::new();
        for p in metadata.iter().flat_map(|m| m.topics()).flat_map(|t| t.partitions()) {
            if !leaders.contains(&p.leader()) {
                leaders.push(p.leader());
                // Only for the connection; the answer does not matter.
                let _ = client.fetch_watermarks(topic, p.id(), Duration::from_secs(2));
            }
        }
        let delivery = client.context();
        let mut warm = lock(&delivery.warm);
        while !*warm && Instant::now() < until && !self.shared.state.is_stopping() {
            if let Some((_, why)) = client.fatal_error() {
                return Err(LogError(why));
            }
            let left = until.saturating_duration_since(Instant::now()).min(STEP);
            warm = delivery.warmed.wait_timeout(warm, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(*warm)
    }

    /// Puts a new producer in the place of one beyond repair, once that has settled all it had: a room's records
    /// never wait in two producers. The keeper calls this until it succeeds.
    pub(super) fn replace(&self, settings: &KafkaSettings) -> Result<(), LogError> {
        let old = self.write().take();
        if let Some(old) = old {
            old.to.purge();
            self.shared.in_flight.wait_until_settled(Duration::from_secs(5));
            // Dropping reports whatever may be left.
            drop(old);
        }
        let to = self.make(settings)?;
        self.warm_up(&to, &settings.topic)?;
        *self.write() = Some(Current { to, handover: None });
        self.replaced.fetch_add(1, Relaxed);
        self.shared.state.fatal.store(false, Relaxed);
        self.shared.state.set_fault(Fault::Writing, None);
        Ok(())
    }

    /// Goes over to a producer with these settings. On an error everything is as it was.
    pub(super) fn renew(&self, settings: &KafkaSettings) -> Result<(), LogError> {
        let to = self.make(settings)?;
        if !self.warm_up(&to, &settings.topic)? {
            return Err(LogError("no producer id".into()));
        }
        let refused = self.shared.state.has_fault(Fault::Authentication);
        self.go_over(to, settings.partitions, if refused { SETTLE_REFUSED } else { SETTLE }, Reason::Purged)
    }

    /// Whether a record has been on its way for too long.
    pub(super) fn is_late(&self, settings: &KafkaSettings) -> bool {
        self.in_flight().oldest().is_some_and(|age| age >= settings.give_up_after())
    }

    /// Gives up what is on its way and not settled in a moment, and goes on with another producer: nothing that was given
    /// up is sent again. A record that timed out inside librdkafka would make it send all others a second time.
    pub(super) fn give_up(&self, settings: &KafkaSettings) -> Result<(), LogError> {
        let to = self.make(settings)?;
        self.in_flight().give_up();
        self.go_over(to, settings.partitions, SETTLE_LATE, Reason::TimedOut)
    }

    /// Puts `to` in the place of the producer there is, one partition after the other as that settles them. What it has
    /// not settled in time is given up: its outcome is unknown.
    fn go_over(&self, to: Arc<Generation>, partitions: i32, settle: Duration, why: Reason) -> Result<(), LogError> {
        let (old, handover) = {
            let mut current = self.write();
            let Some(old) = current.take() else {
                return Err(LogError("the producer is being replaced".into()));
            };
            let shared = Arc::clone(&self.shared);
            let handover = Handover::begin(&old.to, Arc::clone(&to), partitions, shared);
            *current = Some(Current { to, handover: Some(Arc::clone(&handover)) });
            (old, handover)
        };
        let until = Instant::now() + settle;
        while !handover.wait(STEP) {
            if Instant::now() >= until || self.shared.state.is_stopping() {
                let records = old.to.give_up(why);
                tracing::warn!(
                    event = "sends_given_up",
                    records,
                    ?why,
                    "no broker has confirmed them: outcome unknown"
                );
                handover.wait(Duration::from_secs(5));
                break;
            }
        }
        // Dropping reports whatever may be left, which opens the last gate.
        drop(old);
        if let Some(current) = self.write().as_mut() {
            current.handover = None;
        }
        Ok(())
    }

    /// See [`Log::flush`](super::super::Log::flush). The producer's own thread goes on serving the reports, so that
    /// they keep their order.
    pub(super) fn flush(&self, timeout: Duration) -> usize {
        let in_flight = &self.shared.in_flight;
        if in_flight.wait_until_settled(timeout) {
            return 0;
        }
        let left = in_flight.count();
        if let Some(current) = self.read().as_ref() {
            current.handover.iter().for_each(|handover| handover.end());
            current.to.purge();
        }
        in_flight.wait_until_settled(Duration::from_secs(2));
        left
    }
}

fn make(settings: &KafkaSettings, shared: &Arc<Shared>) -> Result<Generation, KafkaError> {
    Generation::make(&settings.producer(), &settings.topic, settings.partitions, shared)
}
