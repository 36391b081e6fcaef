//! An edge, put together: builds the parts, starts the threads, watches them, and takes everything down in order.

use std::{
    io::{self, Write},
    sync::{
        Arc, OnceLock,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use mio::Poll;

use crate::{
    config::{Config, LogChoice},
    context::Settings,
    destination::Destinations,
    follower::Follower,
    follower_thread::{self, FollowerInbox},
    log::{Health, Log, LogError, Reports, embedded::EmbeddedLog, kafka::KafkaLog, memory::MemoryLog},
    logging,
    metrics::{Metrics, Ticker},
    readiness::{Check, Readiness},
    server::{Server, ServerHandle, ServerParts, ServerSettings},
    shutdown::{End, Shutdown, Supervisor, ThreadEnd},
    tail::Bounds,
    tokens::{self, TokenDesk},
    traces,
    worker::{self, Control, LogGate, Mailboxes, Outlets, Reception, ReportsToWorkers, Requests, Worker},
};

mod drain;
mod kafka;
mod start;
mod watch;

pub use start::raise_open_files;

/// Records that the producer may hold; a worker's mailbox for delivery reports is as large.
const IN_FLIGHT: usize = 20_000;
/// Questions that may wait at the follower.
const FOLLOWER_INBOX: usize = 16_384;
/// A thread that has not moved for this long fails `/livez`.
const SILENT: Duration = Duration::from_secs(10);
/// How often the main thread looks at the log's health.
const WATCH: Duration = Duration::from_millis(200);

/// How an edge ended; `code` is the process's (DESIGN §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Drained, or told to end before it was ready.
    Drained,
    /// The settings cannot be used on this machine.
    Settings,
    /// The topic is not what it must be.
    TopicRefused,
    /// A thread ended that must not.
    ThreadDied,
}

impl Exit {
    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Drained => 0,
            Exit::Settings => 64,
            Exit::TopicRefused => 69,
            Exit::ThreadDied => 70,
        }
    }
}

/// What all threads of an edge share.
struct Edge {
    config: Config,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    shutdown: Shutdown,
    supervisor: Supervisor,
    ends: Receiver<ThreadEnd>,
    /// The workers', and behind them that of the requests.
    mail: Vec<Arc<Mailboxes>>,
    reception: Reception,
    server: ServerHandle,
}

/// Runs an edge until it has drained or cannot go on. Prints its addresses and `ready` to stdout, nothing else.
pub fn run(config: Config, shutdown: Shutdown) -> Exit {
    start_traces(&config);
    let exit = match start::prepare(config, shutdown) {
        Ok((edge, polls)) => edge.open_log(polls),
        Err(error) => {
            tracing::error!(event = "start_failed", %error, "the edge does not start");
            Exit::Settings
        }
    };
    traces::stop();
    exit
}

/// A chat is worth more than its traces: without a way to the collector it goes on without them.
fn start_traces(config: &Config) {
    let Some(settings) = &config.traces else { return };
    let brokers = match &config.log {
        LogChoice::Kafka { brokers, .. } => brokers,
        LogChoice::Embedded | LogChoice::Memory => "localhost",
    };
    if let Err(why) = traces::start(settings, &config.topic.name, &config.instance, brokers) {
        tracing::error!(event = "traces_failed", why, "no traces are made");
    }
}

/// Runs an edge on a log that `open` makes for it, whatever the settings say: for tests that watch, or falsify, what an edge
/// writes and reads.
pub fn run_on_log<L: Log>(config: Config, shutdown: Shutdown, open: impl FnOnce(Arc<dyn Reports>) -> L) -> Exit {
    match start::prepare(config, shutdown) {
        Ok((edge, polls)) => {
            let log = open(edge.reports());
            edge.run_on(log, polls)
        }
        Err(error) => {
            tracing::error!(event = "start_failed", %error, "the edge does not start");
            Exit::Settings
        }
    }
}

impl Edge {
    fn reports(&self) -> Arc<dyn Reports> {
        Arc::new(ReportsToWorkers { workers: self.mail.clone(), supervisor: self.supervisor.clone() })
    }

    /// Opens the log that the settings ask for; the one place that knows which there are.
    fn open_log(self, polls: Vec<Poll>) -> Exit {
        let reports = self.reports();
        let partitions = self.config.topic.partitions;
        match &self.config.log {
            LogChoice::Memory => self.run_on(MemoryLog::new(partitions, IN_FLIGHT, reports), polls),
            LogChoice::Embedded => match EmbeddedLog::open(partitions, reports) {
                Ok(log) => {
                    tracing::warn!(
                        event = "embedded_log",
                        "the log lives in this process: NOTHING IS KEPT, no other edge sees it"
                    );
                    self.run_on(log, polls)
                }
                Err(error) => {
                    tracing::error!(event = "log_failed", %error, "the embedded log does not start");
                    Exit::ThreadDied
                }
            },
            LogChoice::Kafka { .. } => match self.open_kafka(&reports) {
                Ok(log) => self.run_on(log, polls),
                // A thread that ended meanwhile ends the process, whatever else is wrong.
                Err(error) => {
                    self.ends.try_recv().map_or_else(|_| kafka::refused(&error), |end| self.thread_died(&end))
                }
            },
        }
    }

    /// Starts the threads around an open log and stays until the end.
    fn run_on<L: Log>(self, log: L, polls: Vec<Poll>) -> Exit {
        let log = Arc::new(log);
        self.readiness.set(Check::Topic, Ok(()));
        self.readiness.set(Check::Producer, Ok(()));
        let gate = Arc::new(LogGate::default());
        let started = self.start_follower(&log).and_then(|follower| self.start_workers(&log, &follower, &gate, polls));
        if let Err(error) = started {
            if self.shutdown.is_draining() {
                self.server.stop();
                return Exit::Drained;
            }
            tracing::error!(event = "start_failed", %error, "a thread does not start");
            return Exit::ThreadDied;
        }
        let exit = self.watch(&*log, &gate);
        if exit == Exit::Drained {
            let left = log.flush(self.flush_time());
            tracing::info!(event = "flushed", left, "the producer has settled");
        }
        self.server.stop();
        exit
    }
}
