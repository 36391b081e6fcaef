//! Two real edges in this process on one log in memory, which one of them, or both, see through a liar.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

mod feed;
mod log;
mod proxy;

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use klatsch_edge::{
    Exit,
    config::{Command, Config},
    edge::run_on_log,
    log::{Budget, Log as _, NewRecord, Outcome, Reports, Ticket, memory::MemoryLog},
    shutdown::Shutdown,
};
use klatsch_load::{
    dump::Line,
    verify::{Loader, Options, Report, Row, Source, judge},
};

use crate::kit::load;
use proxy::Proxy;

const PARTITIONS: i32 = 12;
/// Which SEND, or which record, is lied about.
pub const AT: usize = 50;

/// What the log does to the SENDs of all edges, or to what the first edge reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// It is honest.
    None,
    /// Stored, but the outcome is unknown: no lie, yet a repeat follows.
    Unknown,
    /// Acknowledged, not stored.
    AcknowledgeOnly,
    /// The same, from then on, at the first edge.
    AcknowledgeOnlyAtTheEnd,
    /// Acknowledged at a place where it does not lie.
    OtherOffset,
    /// Stored twice as it is.
    StoreTwice,
    /// Stored twice under two uuids.
    ShowTwice,
    /// Stored behind the next one of the same session.
    SwapSends,
    /// Read behind the next one of the same room.
    SwapReads,
    /// Never read.
    DropRead,
    /// A part of the log is skipped, and no gap is told.
    HideGap,
    /// Stored without its key, and the outcome is unknown.
    IgnoreKey,
    /// Stored, and refused.
    RefuseStored,
    /// Stored, and never acknowledged.
    NeverAnswer,
    /// Stored with another sender.
    OtherSender,
    /// Stored with a header that holds credentials.
    Credentials,
    /// The second edge reads only a part of what comes while the first one drains.
    ForgetWhileDraining,
}

/// What all that take part in a lie know.
pub struct Plot {
    pub lie: Lie,
    /// SENDs so far.
    published: AtomicUsize,
    /// The one that is lied about.
    target: Mutex<Option<(usize, Ticket)>>,
    /// The one that waits for the next of its session.
    held: Mutex<Option<(NewRecord, Ticket)>>,
    /// The first edge drains.
    draining: AtomicUsize,
}

struct Nobody;

impl Reports for Nobody {
    fn settled(&self, _: Ticket, _: Outcome) {}
}

/// The two edges.
pub struct Stage {
    log: MemoryLog,
    plot: Arc<Plot>,
    edges: Vec<Edge>,
    /// In front of the first edge.
    proxy: Proxy,
}

struct Edge {
    address: String,
    shutdown: Shutdown,
    thread: Option<JoinHandle<Exit>>,
}

impl Stage {
    pub fn open(lie: Lie) -> Stage {
        let log = MemoryLog::new(PARTITIONS, 20_000, Arc::new(Nobody));
        let plot = Arc::new(Plot {
            lie,
            published: AtomicUsize::new(0),
            target: Mutex::default(),
            held: Mutex::default(),
            draining: AtomicUsize::new(0),
        });
        let edges: Vec<_> = (0..2).map(|number| Edge::start(number, &log, &plot)).collect();
        let proxy = Proxy::start(&edges[0].address);
        Stage { log, plot, edges, proxy }
    }

    /// A crowd chats, `meanwhile` something happens; then the verdict.
    pub fn perform(self, crowd: &[&str], meanwhile: impl FnOnce(&Stage) + Send) -> Report {
        let dir = tempfile::tempdir().unwrap();
        let history = dir.path().join("history.jsonl");
        let urls = [&self.proxy.address, &self.edges[1].address].map(|address| format!("ws://{address}/ws"));
        let args = ["chat", "--json", "--url", &urls[0], "--url", &urls[1], "--record", history.to_str().unwrap()];
        let ended = thread::scope(|scope| {
            let chat = scope.spawn(|| load(&[&args[..], crowd].concat()));
            meanwhile(&self);
            chat.join().unwrap()
        });
        // Whether chat itself has found something out is no matter here.
        assert!(matches!(ended.code, Some(0 | 1)), "{}{}", ended.stdout, ended.stderr);
        let mut loader = Loader::default();
        for line in self.dump() {
            loader.add(&Row::from(&line)).unwrap();
        }
        let lines = Box::new(BufReader::new(std::fs::File::open(&history).unwrap()));
        let source = Source { name: "history".to_owned(), lines };
        judge(vec![source], loader.finish(), Options::default()).unwrap()
    }

    fn dump(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        let budget = Budget { records: usize::MAX, bytes: usize::MAX, time: Duration::from_secs(10) };
        for partition in 0..PARTITIONS {
            let range = self.log.offsets(partition);
            self.log
                .scan(partition, range, budget, &mut |record| {
                    let (room, value) = (record.room, record.value);
                    lines.push(Line::new(partition, record.offset, Some(record.timestamp_ms), room, value));
                })
                .unwrap();
        }
        lines
    }

    /// The first edge drains once so many SENDs have come.
    pub fn drain_after(&self, sends: usize) {
        self.wait_for(sends);
        self.plot.draining.store(1, Ordering::SeqCst);
        self.edges[0].shutdown.drain();
    }

    /// All connections to the first edge are cut once so many SENDs have come, and no new ones taken.
    pub fn kill_after(&self, sends: usize) {
        self.wait_for(sends);
        self.proxy.kill();
    }

    fn wait_for(&self, sends: usize) {
        eventually("SENDs", || self.plot.published.load(Ordering::SeqCst) >= sends);
    }
}

fn eventually(what: &str, mut there: impl FnMut() -> bool) {
    let since = Instant::now();
    while !there() {
        assert!(since.elapsed() < Duration::from_secs(60), "not in time: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.edges.iter().for_each(|edge| edge.shutdown.drain());
        for edge in &mut self.edges {
            if let Some(thread) = edge.thread.take() {
                let _ = thread.join();
            }
        }
    }
}

impl Edge {
    fn start(number: usize, log: &MemoryLog, plot: &Arc<Plot>) -> Edge {
        let [listen, admin] = [(); 2].map(|()| free_address());
        let instance = format!("edge-{number}");
        let args = ["klatsch-edge", "--dev", "--workers", "1", "--listen", &listen, "--admin", &admin];
        // A SEND that the log never answers is this long without answer, so that it shows.
        let more = ["--send-timeout", "60s", "--drain-rate", "20", "--instance", &instance, "--grace", "10s"];
        let args = args.iter().chain(&more).map(Into::into);
        let Ok(Command::Run(config)) = Config::load(args, []) else { panic!("the settings are in order") };
        let shutdown = Shutdown::new();
        let (log, plot, latch) = (log.clone(), Arc::clone(plot), shutdown.clone());
        let open = move |reports| log::Sabotaged::new(&log, reports, plot, number);
        let thread = thread::spawn(move || run_on_log(*config, latch, open));
        eventually("the edge is ready", || is_ready(&admin));
        Edge { address: listen, shutdown, thread: Some(thread) }
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn is_ready(admin: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(admin) else { return false };
    let mut answer = String::new();
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.0 200")
        || answer.starts_with("HTTP/1.1 200")
}
