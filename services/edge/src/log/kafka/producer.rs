//! Writing: one idempotent producer, its delivery reports, and its replacement when it is beyond repair.

use std::{
    sync::{
        Arc, Condvar, Mutex, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer},
};

use super::{
    super::{LogError, NewRecord, Outcome, Reason, Reports, Ticket},
    context::{Alarm, Context, Fault, Role, State, lock},
    in_flight::InFlight,
    settings::KafkaSettings,
};

/// The longest that a new producer may take to get its producer id before it is used cold.
const WARM: Duration = Duration::from_secs(20);

pub(super) struct Producer {
    settings: KafkaSettings,
    shared: Arc<Shared>,
    /// Empty while a producer beyond repair is being replaced.
    current: RwLock<Option<ThreadedProducer<Delivery>>>,
    /// Producers made so far.
    made: AtomicUsize,
}

struct Shared {
    state: Arc<State>,
    reports: Arc<dyn Reports>,
    in_flight: InFlight,
    /// The embedded log's reports carry a false timestamp: the place is learnt by reading back.
    unplaced: bool,
}

/// Travels through librdkafka with its record.
pub(super) struct Sent {
    ticket: Ticket,
    slot: usize,
}

/// The context of one producer.
pub(super) struct Delivery {
    inner: Context,
    shared: Arc<Shared>,
    /// Whether the producer id has been assigned.
    warm: Mutex<bool>,
    warmed: Condvar,
}

impl ClientContext for Delivery {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        if fac == "IDEMPSTATE" {
            *lock(&self.warm) = message.ends_with("-> Assigned");
            self.warmed.notify_all();
        }
        self.inner.log(level, fac, message);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.inner.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // A fatal error comes under its cause's name, so any error is a reason to look.
        self.inner.state.call(|calls| calls.producer = true);
        self.inner.error(error, reason);
    }
}

impl ProducerContext for Delivery {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let _alarm = Alarm { reports: &*self.shared.reports, name: "producer" };
        let outcome = match result {
            Ok(message) => {
                self.shared.state.connected.store(true, Relaxed);
                match message.timestamp().to_millis() {
                    Some(timestamp_ms) if message.offset() >= 0 && !self.shared.unplaced => {
                        Outcome::Stored { partition: message.partition(), offset: message.offset(), timestamp_ms }
                    }
                    _ => Outcome::StoredUnplaced,
                }
            }
            Err((error, _)) => {
                let outcome = outcome_of(error.rdkafka_error_code());
                tracing::debug!(%error, ?outcome, "a record was not acknowledged");
                outcome
            }
        };
        self.shared.reports.settled(sent.ticket, outcome);
        self.shared.in_flight.settled(sent.slot);
    }
}

/// *Refused* only where no broker can have the record; everything else after hand-over is *unknown*.
fn outcome_of(code: Option<Code>) -> Outcome {
    match code {
        Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => Outcome::Refused(Reason::TooLarge),
        Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            Outcome::Refused(Reason::NotAuthorized)
        }
        // "Purged in queue" is no proof: a record that waits to be sent again stands in the queue too.
        Some(Code::PurgeQueue | Code::PurgeInflight) => Outcome::Unknown(Reason::Purged),
        Some(Code::MessageTimedOut | Code::RequestTimedOut) => Outcome::Unknown(Reason::TimedOut),
        Some(Code::Fatal) => Outcome::Unknown(Reason::Fatal),
        _ => Outcome::Unknown(Reason::Unavailable),
    }
}

/// Why librdkafka did not take a record at all.
fn refusal_of(code: Option<Code>) -> Reason {
    match code {
        Some(Code::QueueFull) => Reason::QueueFull,
        Some(Code::MessageSizeTooLarge) => Reason::TooLarge,
        Some(Code::Fatal) => Reason::Fatal,
        _ => Reason::Unavailable,
    }
}

impl Producer {
    pub(super) fn open(
        settings: &KafkaSettings,
        state: Arc<State>,
        reports: Arc<dyn Reports>,
        unplaced: bool,
    ) -> Result<Self, KafkaError> {
        let shared = Arc::new(Shared { state, reports, in_flight: InFlight::new(), unplaced });
        let first = Self::make(settings, &shared)?;
        let (current, made) = (RwLock::new(Some(first)), AtomicUsize::new(1));
        Ok(Self { settings: settings.clone(), shared, current, made })
    }

    fn make(settings: &KafkaSettings, shared: &Arc<Shared>) -> Result<ThreadedProducer<Delivery>, KafkaError> {
        let delivery = Delivery {
            inner: Context { role: Role::Producer, state: Arc::clone(&shared.state) },
            shared: Arc::clone(shared),
            warm: Mutex::new(false),
            warmed: Condvar::new(),
        };
        settings.producer().create_with_context(delivery)
    }

    pub(super) fn in_flight(&self) -> &InFlight {
        &self.shared.in_flight
    }

    /// How often the producer has been replaced.
    pub(super) fn replacements(&self) -> usize {
        self.made.load(Relaxed) - 1
    }

    pub(super) fn publish(&self, record: &NewRecord, ticket: Ticket) -> Result<(), Reason> {
        if self.shared.state.fatal.load(Relaxed) {
            return Err(Reason::Fatal);
        }
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let Some(producer) = current.as_ref() else { return Err(Reason::Fatal) };
        let slot = self.shared.in_flight.handed_over();
        let sent = Box::new(Sent { ticket, slot });
        let out = BaseRecord::with_opaque_to(&self.settings.topic, sent)
            .partition(record.partition)
            .key(&record.room[..])
            .payload(&record.value[..]);
        producer.send(out).map_err(|(error, _)| {
            self.shared.in_flight.settled(slot);
            let reason = refusal_of(error.rdkafka_error_code());
            if reason == Reason::Fatal {
                self.shared.state.call(|calls| calls.producer = true);
            }
            reason
        })
    }

    /// Whether the producer is beyond repair; from then on nothing is published.
    pub(super) fn is_condemned(&self) -> bool {
        let state = &self.shared.state;
        if !state.fatal.load(Relaxed)
            && let Some(producer) = self.current.read().unwrap_or_else(PoisonError::into_inner).as_ref()
            && let Some((_, why)) = producer.client().fatal_error()
        {
            state.fatal.store(true, Relaxed);
            state.set_fault(Fault::Writing, Some(format!("the producer is being replaced: {why}")));
        }
        state.fatal.load(Relaxed)
    }

    /// Connects to every leader and waits for the producer id, so that the first SEND does not: up to a second.
    /// `Ok(false)` when the time is up; an error when the producer is beyond repair already.
    pub(super) fn warm(&self) -> Result<bool, LogError> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map_or(Ok(false), |producer| self.warm_up(producer))
    }

    fn warm_up(&self, producer: &ThreadedProducer<Delivery>) -> Result<bool, LogError> {
        let until = Instant::now() + WARM;
        let (client, topic) = (producer.client(), self.settings.topic.as_str());
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
            let left = until.saturating_duration_since(Instant::now()).min(Duration::from_millis(200));
            warm = delivery.warmed.wait_timeout(warm, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(*warm)
    }

    /// Puts a new producer in the place of one beyond repair, once that has settled all it had: a room's records
    /// never wait in two producers. The keeper calls this until it succeeds.
    pub(super) fn replace(&self) -> Result<(), LogError> {
        let old = self.current.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(old) = old {
            old.purge(PurgeConfig::default().queue().inflight());
            self.shared.in_flight.wait_until_settled(Duration::from_secs(5));
            // Dropping reports whatever may be left.
            drop(old);
        }
        let fresh = Self::make(&self.settings, &self.shared).map_err(|e| LogError(e.to_string()))?;
        self.warm_up(&fresh)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
        self.made.fetch_add(1, Relaxed);
        self.shared.state.fatal.store(false, Relaxed);
        self.shared.state.set_fault(Fault::Writing, None);
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
        if let Some(producer) = self.current.read().unwrap_or_else(PoisonError::into_inner).as_ref() {
            producer.purge(PurgeConfig::default().queue().inflight());
        }
        in_flight.wait_until_settled(Duration::from_secs(2));
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DESIGN §6, "Outcomes of a SEND": promise 5 rests on this table.
    #[test]
    fn only_what_no_broker_can_have_is_refused() {
        for code in [Code::MessageSizeTooLarge, Code::TopicAuthorizationFailed] {
            assert!(matches!(outcome_of(Some(code)), Outcome::Refused(_)), "{code:?}");
        }
        for code in [
            Code::MessageTimedOut,
            Code::RequestTimedOut,
            Code::PurgeInflight,
            Code::PurgeQueue,
            Code::NotEnoughReplicas,
            Code::NotEnoughReplicasAfterAppend,
            Code::Fatal,
            Code::BrokerTransportFailure,
        ] {
            assert!(matches!(outcome_of(Some(code)), Outcome::Unknown(_)), "{code:?}");
        }
        assert_eq!(outcome_of(None), Outcome::Unknown(Reason::Unavailable));
        assert_eq!(refusal_of(Some(Code::QueueFull)), Reason::QueueFull);
    }
}
