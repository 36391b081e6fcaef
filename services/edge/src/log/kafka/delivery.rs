//! What a producer reports: when it is warm, and what became of each record.

use std::sync::{
    Arc, Condvar, Mutex, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use rdkafka::{
    ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{DeliveryResult, ProducerContext},
};

use super::{
    super::{Outcome, Reason, Reports, Ticket},
    context::{Alarm, Context, State, lock},
    handover::Handover,
    in_flight::InFlight,
};

/// What all producers of a log share.
pub(super) struct Shared {
    pub(super) state: Arc<State>,
    pub(super) reports: Arc<dyn Reports>,
    pub(super) in_flight: InFlight,
    /// The embedded log's reports carry a false timestamp: the place is learnt by reading back.
    pub(super) unplaced: bool,
}

impl Shared {
    /// Tells what became of a record.
    pub(super) fn settle(&self, sent: Sent, outcome: Outcome) {
        self.reports.settled(sent.ticket, outcome);
        self.in_flight.settled(sent.slot);
    }
}

/// Travels through librdkafka with its record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) ticket: Ticket,
    /// See [`InFlight`].
    pub(super) slot: usize,
    pub(super) partition: i32,
}

/// How many records of each partition one producer has and has not settled.
pub(super) struct Flights {
    of: Box<[AtomicUsize]>,
    /// Whoever waits until there are none.
    pub(super) next: OnceLock<Arc<Handover>>,
    /// Why those that are left have been given up.
    pub(super) given_up: OnceLock<Reason>,
}

impl Flights {
    pub(super) fn new(partitions: i32) -> Self {
        let of = (0..partitions.max(0)).map(|_| AtomicUsize::new(0)).collect();
        Self { of, next: OnceLock::new(), given_up: OnceLock::new() }
    }

    fn counter(&self, partition: i32) -> Option<&AtomicUsize> {
        usize::try_from(partition).ok().and_then(|p| self.of.get(p))
    }

    pub(super) fn count(&self) -> usize {
        self.of.iter().map(|count| count.load(Ordering::SeqCst)).sum()
    }

    pub(super) fn are_none(&self, partition: i32) -> bool {
        self.counter(partition).is_none_or(|count| count.load(Ordering::SeqCst) == 0)
    }

    pub(super) fn began(&self, partition: i32) {
        if let Some(count) = self.counter(partition) {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(super) fn ended(&self, partition: i32) {
        let last = self.counter(partition).is_some_and(|count| count.fetch_sub(1, Ordering::SeqCst) == 1);
        if last && let Some(handover) = self.next.get() {
            handover.release(partition, self);
        }
    }
}

/// The context of one producer.
pub(super) struct Delivery {
    pub(super) inner: Context,
    pub(super) shared: Arc<Shared>,
    pub(super) flights: Arc<Flights>,
    /// Whether the producer id has been assigned.
    pub(super) warm: Mutex<bool>,
    pub(super) warmed: Condvar,
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
                self.shared.state.connected.store(true, Ordering::Relaxed);
                self.shared.state.took_write();
                self.shared.in_flight.stored();
                match message.timestamp().to_millis() {
                    Some(timestamp_ms) if message.offset() >= 0 && !self.shared.unplaced => {
                        Outcome::Stored { partition: message.partition(), offset: message.offset(), timestamp_ms }
                    }
                    _ => Outcome::StoredUnplaced,
                }
            }
            Err((error, _)) => {
                let outcome = match (outcome_of(error.rdkafka_error_code()), self.flights.given_up.get()) {
                    (Outcome::Unknown(Reason::Purged), Some(why)) => Outcome::Unknown(*why),
                    (outcome, _) => outcome,
                };
                tracing::debug!(event = "not_acknowledged", %error, ?outcome, "a record was not acknowledged");
                if outcome == Outcome::Refused(Reason::NotAuthorized) {
                    self.shared.state.refuse_write();
                }
                outcome
            }
        };
        self.shared.settle(*sent, outcome);
        self.flights.ended(sent.partition);
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
pub(super) fn refusal_of(code: Option<Code>) -> Reason {
    match code {
        Some(Code::QueueFull) => Reason::QueueFull,
        Some(Code::MessageSizeTooLarge) => Reason::TooLarge,
        Some(Code::Fatal) => Reason::Fatal,
        _ => Reason::Unavailable,
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
