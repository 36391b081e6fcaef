//! What the probes answer: named checks for readiness, one latch for "started", heartbeats for liveness.
//!
//! Readiness follows progress: whoever makes progress sets its own check. Nothing here asks Kafka anything, so a probe
//! costs microseconds and can never hang behind a broker. Liveness looks at this process's threads only.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What can make an edge unready. The order is the one in which `/readyz` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The topic exists and has the shape that the settings ask for.
    Topic,
    /// The follower has caught up with the log, and keeps up.
    Tail,
    /// The producer can take records.
    Producer,
    /// Kafka answers: not away for long.
    Log,
    /// There is room for more connections.
    Capacity,
    /// The edge is not draining.
    Drain,
    /// Every watched thread moves.
    Threads,
}

impl Check {
    /// All of them, in the order of the answers.
    pub const ALL: [Check; 7] =
        [Check::Topic, Check::Tail, Check::Producer, Check::Log, Check::Capacity, Check::Drain, Check::Threads];

    /// The name that `/readyz` prints in front of the reason.
    pub fn name(self) -> &'static str {
        match self {
            Check::Topic => "topic",
            Check::Tail => "tail",
            Check::Producer => "producer",
            Check::Log => "log",
            Check::Capacity => "capacity",
            Check::Drain => "drain",
            Check::Threads => "threads",
        }
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

type Probe = Box<dyn Fn() -> Result<(), String> + Send + Sync>;
type OnStarted = Box<dyn FnOnce() + Send>;

struct Reasons {
    of: [Option<String>; Check::ALL.len()],
    probes: Vec<(Check, Probe)>,
    on_started: Option<OnStarted>,
}

struct Watched {
    name: String,
    limit: Duration,
    last: Arc<AtomicU64>,
}

/// Marks a thread that ended in an orderly way; it is not watched any more.
const RETIRED: u64 = u64::MAX;

/// The state behind the probes, shared by all threads.
pub struct Readiness {
    origin: Instant,
    failing: AtomicU32,
    started: AtomicBool,
    reasons: Mutex<Reasons>,
    threads: Mutex<Vec<Watched>>,
}

impl Readiness {
    /// Topic, tail and producer begin as failing ("starting"), everything else as passing. `on_started` runs once, on
    /// the thread whose report makes all reported checks pass for the first time.
    pub fn new(on_started: impl FnOnce() + Send + 'static) -> Arc<Self> {
        let mut of: [Option<String>; Check::ALL.len()] = Default::default();
        let mut failing = 0;
        for check in [Check::Topic, Check::Tail, Check::Producer] {
            of[check as usize] = Some("starting".to_owned());
            failing |= check.bit();
        }
        Arc::new(Self {
            origin: Instant::now(),
            failing: AtomicU32::new(failing),
            started: AtomicBool::new(false),
            reasons: Mutex::new(Reasons { of, probes: Vec::new(), on_started: Some(Box::new(on_started)) }),
            threads: Mutex::new(Vec::new()),
        })
    }

    /// Reports a check; the latest report holds. The reason is one line for an operator: no credentials, no rooms.
    pub fn set(&self, check: Check, state: Result<(), String>) {
        let mut reasons = lock(&self.reasons);
        let failing = match &state {
            Ok(()) => self.failing.fetch_and(!check.bit(), Ordering::AcqRel) & !check.bit(),
            Err(_) => self.failing.fetch_or(check.bit(), Ordering::AcqRel) | check.bit(),
        };
        reasons.of[check as usize] = state.err();
        if failing != 0 || self.started() {
            return;
        }
        self.started.store(true, Ordering::Release);
        let on_started = reasons.on_started.take();
        drop(reasons);
        if let Some(on_started) = on_started {
            on_started();
        }
    }

    /// Adds a question that is asked whenever somebody wants to know; it must be cheap and must not call back here.
    pub fn probe(&self, check: Check, probe: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        lock(&self.reasons).probes.push((check, Box::new(probe)));
    }

    /// Whether a reported check fails at the moment (probes and heartbeats are not asked): one atomic load.
    pub fn fails(&self, check: Check) -> bool {
        self.failing.load(Ordering::Acquire) & check.bit() != 0
    }

    /// Whether the edge has been ready at least once. It never becomes false again.
    pub fn started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// The failing checks with their reasons; empty means ready. A silent thread fails [`Check::Threads`].
    pub fn ready(&self, now: Instant) -> Vec<(Check, String)> {
        let mut failing = Vec::new();
        let reasons = lock(&self.reasons);
        for check in Check::ALL {
            failing.extend(reasons.of[check as usize].iter().map(|reason| (check, reason.clone())));
            for (_, probe) in reasons.probes.iter().filter(|(of, _)| *of == check) {
                failing.extend(probe().err().map(|reason| (check, reason)));
            }
        }
        drop(reasons);
        failing.extend(self.silent(now).into_iter().map(|reason| (Check::Threads, reason)));
        failing
    }

    /// Watches a thread: it counts as silent when it has not beaten for `limit`. It has beaten now, by definition.
    pub fn heartbeat(&self, name: &str, limit: Duration) -> Heartbeat {
        let last = Arc::new(AtomicU64::new(self.millis(Instant::now())));
        lock(&self.threads).push(Watched { name: name.to_owned(), limit, last: Arc::clone(&last) });
        Heartbeat { origin: self.origin, last }
    }

    /// One line per thread that is silent for longer than its limit; empty means alive.
    pub fn silent(&self, now: Instant) -> Vec<String> {
        let now = self.millis(now);
        let threads = lock(&self.threads);
        let silent = threads.iter().filter_map(|thread| {
            let last = thread.last.load(Ordering::Relaxed);
            let quiet = Duration::from_millis(now.saturating_sub(last));
            (last != RETIRED && quiet > thread.limit)
                .then(|| format!("{} silent for {} s", thread.name, quiet.as_secs()))
        });
        silent.collect()
    }

    fn millis(&self, now: Instant) -> u64 {
        millis_since(self.origin, now)
    }
}

/// A thread's sign of life: one relaxed store per beat. Dropping it ends the watch; a thread that *died* is noticed by
/// [`crate::shutdown::Supervisor`].
#[derive(Debug)]
pub struct Heartbeat {
    origin: Instant,
    last: Arc<AtomicU64>,
}

impl Heartbeat {
    /// Says that the thread moves. Call it once per turn of its loop, with the time that the loop has at hand.
    pub fn beat(&self, now: Instant) {
        self.last.store(millis_since(self.origin, now), Ordering::Relaxed);
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.last.store(RETIRED, Ordering::Relaxed);
    }
}

fn millis_since(origin: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(origin).as_millis()).unwrap_or(RETIRED - 1)
}

/// A panic elsewhere must not turn the probes into panics too; every write under these locks is complete in itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
