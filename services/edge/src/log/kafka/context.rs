//! What librdkafka's clients tell about themselves: logs, errors, statistics, the state that health shows.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
};

use super::super::Reports;

/// How long a refusal for want of permission makes an edge unready: without SENDs nobody could tell when it is over.
const REFUSAL: Duration = Duration::from_secs(30);

/// Locks; a panic elsewhere does not make the data worse.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Raises the alarm when the thread that holds it panics.
pub(super) struct Alarm<'a> {
    pub(super) reports: &'a dyn Reports,
    pub(super) name: &'static str,
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.reports.thread_died(self.name);
        }
    }
}

/// Which client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Producer,
    Feed,
    Observer,
    Scan,
    /// Tries out renewed properties.
    Trial,
}

/// What all clients of one log know together.
#[derive(Default)]
pub(super) struct State {
    pub(super) connected: AtomicBool,
    /// When the keeper first asked without an answer, if it has had none since.
    unanswered_since: Mutex<Option<Instant>>,
    /// The producer is beyond repair; it takes nothing until it has been replaced.
    pub(super) fatal: AtomicBool,
    /// Set as long as `faults.reading` may be: spares the lock for each record.
    pub(super) reading_faulty: AtomicBool,
    /// The same for `faults.authorization`.
    pub(super) write_refused: AtomicBool,
    write_refused_at: Mutex<Option<Instant>>,
    faults: Mutex<Faults>,
    last_error: Mutex<Option<String>>,
    warned: Mutex<Option<Instant>>,
    pub(super) statistics: Mutex<RawStatistics>,
    calls: Mutex<Calls>,
    called: Condvar,
}

/// What stands in the way of reading and writing, by where it was seen.
#[derive(Default)]
struct Faults {
    authentication: Option<String>,
    topic: Option<String>,
    reading: Option<String>,
    writing: Option<String>,
    authorization: Option<String>,
    /// No fault of itself: what is used is what was used before.
    renewal: Option<String>,
}

impl Faults {
    fn at(&mut self, at: Fault) -> &mut Option<String> {
        match at {
            Fault::Authentication => &mut self.authentication,
            Fault::Topic => &mut self.topic,
            Fault::Reading => &mut self.reading,
            Fault::Writing => &mut self.writing,
            Fault::Authorization => &mut self.authorization,
            Fault::Renewal => &mut self.renewal,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Authentication,
    Topic,
    Reading,
    Writing,
    /// The topic may not be written to.
    Authorization,
    /// Renewed properties are not used.
    Renewal,
}

/// The last statistics as librdkafka wrote them; parsed only when somebody asks.
#[derive(Default)]
pub(super) struct RawStatistics {
    pub(super) producer: Vec<u8>,
    pub(super) feed: Vec<u8>,
}

/// What the keeper is asked to do now.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) stop: bool,
    /// So many partitions stopped because their offset was out of range: find out which.
    pub(super) resets: usize,
    pub(super) look: bool,
    /// The producer has met an error: see whether it is beyond repair.
    pub(super) producer: bool,
    /// Look even if it was done a moment ago.
    pub(super) urgent: bool,
}

impl State {
    /// Wakes the keeper.
    pub(super) fn call(&self, ask: impl FnOnce(&mut Calls)) {
        ask(&mut lock(&self.calls));
        self.called.notify_all();
    }

    /// The keeper asked at this moment: has a broker answered?
    pub(super) fn asked(&self, at: Instant, answered: bool) {
        let mut since = lock(&self.unanswered_since);
        *since = if answered { None } else { since.or(Some(at)) };
    }

    /// For how long nothing that the keeper asks has been answered.
    pub(super) fn unanswered(&self) -> Duration {
        lock(&self.unanswered_since).map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The log is being closed: nobody waits for anything longer than he must.
    pub(super) fn is_stopping(&self) -> bool {
        lock(&self.calls).stop
    }

    /// Waits for a call, at most `timeout`, and takes it. `stop` stays set.
    pub(super) fn await_call(&self, timeout: Duration) -> Calls {
        let idle = |calls: &mut Calls| *calls == Calls::default();
        let waited = self.called.wait_timeout_while(lock(&self.calls), timeout, idle);
        let (mut calls, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let taken = *calls;
        *calls = Calls { stop: taken.stop, ..Calls::default() };
        taken
    }

    pub(super) fn set_fault(&self, at: Fault, fault: Option<String>) {
        let mut faults = lock(&self.faults);
        if at == Fault::Reading {
            self.reading_faulty.store(fault.is_some(), Relaxed);
        }
        let slot = faults.at(at);
        if *slot != fault {
            match &fault {
                Some(why) if at == Fault::Renewal => {
                    tracing::error!(
                        event = "kafka_properties_not_used",
                        why,
                        "the renewed properties are not used yet"
                    );
                }
                None if at == Fault::Renewal => {}
                Some(text) => tracing::error!(event = "log_fault", fault = %text, "the log cannot be used as it is"),
                None => tracing::info!(event = "log_fault_gone", was = slot.as_deref(), "the fault of the log is gone"),
            }
            *slot = fault;
        }
    }

    pub(super) fn fault(&self) -> Option<String> {
        let Faults { authentication, topic, reading, writing, authorization, renewal } = &*lock(&self.faults);
        let fault = [authentication, topic, authorization, writing, reading].into_iter().flatten().next()?;
        // The old credentials may do for long; why they were not exchanged matters once they do not.
        let more =
            renewal.as_ref().map_or_else(String::new, |why| format!("; the renewed properties are not used: {why}"));
        Some(format!("{fault}{more}"))
    }

    /// A broker has refused a record for want of permission.
    pub(super) fn refuse_write(&self) {
        *lock(&self.write_refused_at) = Some(Instant::now());
        self.write_refused.store(true, Relaxed);
        self.set_fault(Fault::Authorization, Some("the edge may not write to the topic".into()));
    }

    /// A broker has taken a record.
    pub(super) fn took_write(&self) {
        if self.write_refused.swap(false, Relaxed) {
            self.set_fault(Fault::Authorization, None);
        }
    }

    /// Nobody has tried for long: the next one finds out.
    pub(super) fn forget_write_refusal(&self) {
        let old = lock(&self.write_refused_at).is_some_and(|at| at.elapsed() > REFUSAL);
        if old && self.write_refused.load(Relaxed) {
            self.took_write();
        }
    }

    pub(super) fn has_fault(&self, at: Fault) -> bool {
        lock(&self.faults).at(at).is_some()
    }

    /// Why the last connection failed, for somebody who waits.
    pub(super) fn last_error(&self) -> Option<String> {
        lock(&self.last_error).clone()
    }

    /// An error that passes by itself. Logged at most every two seconds: each lost broker brings several.
    pub(super) fn note(&self, role: Role, code: Option<RDKafkaErrorCode>, text: &str) {
        // Asked for with enable.partition.eof: an event, not an error.
        if code == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        let mut warned = lock(&self.warned);
        if warned.is_none_or(|at| at.elapsed() > Duration::from_secs(2)) {
            *warned = Some(Instant::now());
            tracing::warn!(event = "kafka_error", client = ?role, error = text, "librdkafka has met an error");
        } else {
            tracing::debug!(event = "kafka_error", client = ?role, error = text, "librdkafka has met an error");
        }
        drop(warned);
        match code {
            // Each client knows some brokers only; the keeper finds out whether any answers.
            Some(RDKafkaErrorCode::AllBrokersDown) if matches!(role, Role::Producer | Role::Feed) => {
                self.call(|calls| calls.look = true);
            }
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
                self.set_fault(Fault::Authentication, Some(text.to_owned()));
            }
            _ => {}
        }
    }
}

/// The context of every client; the producer's is wrapped once more.
pub(super) struct Context {
    pub(super) role: Role,
    pub(super) state: Arc<State>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        use RDKafkaLogLevel as L;
        let client = self.role;
        macro_rules! say {
            ($how:ident) => {
                tracing::$how!(target: "librdkafka", event = "librdkafka", ?client, fac, err = message, "librdkafka says")
            };
        }
        match level {
            L::Emerg | L::Alert | L::Critical | L::Error => say!(warn),
            L::Warning | L::Notice => say!(info),
            L::Info | L::Debug => say!(debug),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let mut raw = lock(&self.state.statistics);
        match self.role {
            Role::Producer => statistics.clone_into(&mut raw.producer),
            Role::Feed => statistics.clone_into(&mut raw.feed),
            Role::Observer | Role::Scan | Role::Trial => {}
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        *lock(&self.state.last_error) = Some(reason.to_owned());
        self.state.note(self.role, error.rdkafka_error_code(), reason);
    }
}

impl ConsumerContext for Context {}
