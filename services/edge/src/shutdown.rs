//! How a process ends: signals start the drain, and a thread that ends takes the process with it.
//!
//! The first SIGTERM or SIGINT starts the drain, as `POST /drain` does; the second signal exits at once with 128 + the
//! signal's number (143 or 130), as a shell would report a process that the signal killed.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

type Wake = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    draining: AtomicBool,
    wakes: Mutex<Vec<Wake>>,
    begun: OnceLock<Instant>,
}

/// The latch "this edge drains". Clones share it.
#[derive(Clone, Default)]
pub struct Shutdown {
    state: Arc<State>,
}

impl Shutdown {
    /// A latch that nothing has pulled yet and no signal pulls until [`Shutdown::on_signals`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the drain has begun. It never ends.
    pub fn is_draining(&self) -> bool {
        self.state.draining.load(Ordering::Acquire)
    }

    /// How long ago the drain has begun.
    pub fn drained_for(&self) -> Option<Duration> {
        self.state.begun.get().map(Instant::elapsed)
    }

    /// Begins the drain and wakes everybody who asked for it. Every call but the first does nothing.
    pub fn drain(&self) {
        let wakes = {
            let mut wakes = self.state.wakes.lock().unwrap_or_else(PoisonError::into_inner);
            self.state.begun.get_or_init(Instant::now);
            self.state.draining.store(true, Ordering::Release);
            std::mem::take(&mut *wakes)
        };
        for wake in wakes {
            wake();
        }
    }

    /// Runs `wake` once when the drain begins, on the thread that begins it; at once if it has begun. It must not block.
    pub fn on_drain(&self, wake: impl FnOnce() + Send + 'static) {
        let mut wakes = self.state.wakes.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_draining() {
            drop(wakes);
            wake();
        } else {
            wakes.push(Box::new(wake));
        }
    }

    /// Lets SIGTERM and SIGINT begin the drain, and a second one exit at once.
    ///
    /// # Errors
    /// If the handlers or their thread cannot be installed.
    pub fn on_signals(&self) -> io::Result<()> {
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let shutdown = self.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut seen = false;
            for signal in signals.forever() {
                if seen {
                    std::process::exit(128 + signal);
                }
                seen = true;
                shutdown.drain();
            }
        })?;
        Ok(())
    }
}

/// How a supervised thread ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Its function returned.
    Returned,
    /// It panicked, with this message.
    Panicked(String),
}

/// The report of a thread that is no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadEnd {
    /// The name it was started with.
    pub name: String,
    /// Whether it returned or panicked.
    pub how: End,
}

/// An environment variable that names a supervised thread, which then panics as it starts. It is how a test sees that a
/// dead thread is a dead process, and no setting: it is read here alone and `--help` does not know it.
pub const TEST_PANIC: &str = "KLATSCH_TEST_PANIC";

/// Starts the threads without which an edge is none, and hears of their end.
#[derive(Debug, Clone)]
pub struct Supervisor {
    ends: SyncSender<ThreadEnd>,
    some_ended: Arc<AtomicBool>,
}

impl Supervisor {
    /// The main thread keeps the receiver: an end that it did not ask for means log, stop accepting, exit 70.
    pub fn new() -> (Self, Receiver<ThreadEnd>) {
        // One unexpected end is enough to act on, so reports beyond the bound may be lost.
        let (ends, reports) = sync_channel(256);
        (Self { ends, some_ended: Arc::default() }, reports)
    }

    /// Whether any thread has ended: for whoever waits for something else than the reports.
    pub fn some_ended(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let some_ended = Arc::clone(&self.some_ended);
        move || some_ended.load(Ordering::Acquire)
    }

    /// Runs `body` on a thread of that name and reports its end, whatever the way.
    ///
    /// # Errors
    /// If the system has no thread left to give.
    pub fn supervise<F>(&self, name: &str, body: F) -> io::Result<JoinHandle<()>>
    where
        F: FnOnce() + Send + 'static,
    {
        let guard = self.guard(name);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut guard = guard;
            let asked = std::env::var_os(TEST_PANIC).is_some_and(|thread| thread == *guard.name);
            let body = || if asked { panic!("{TEST_PANIC} asked for it") } else { body() };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
                guard.how = End::Panicked(panic_message(panic.as_ref()));
            }
        })
    }

    /// The same for a task on somebody else's thread. One that is dropped with its runtime has not ended by itself.
    pub fn watch<F: Future<Output = ()>>(&self, name: &str, body: F) -> impl Future<Output = ()> + use<F> {
        let (supervisor, name) = (self.clone(), name.to_owned());
        async move {
            let asked = std::env::var_os(TEST_PANIC).is_some_and(|task| task == *name);
            let body = async || if asked { panic!("{TEST_PANIC} asked for it") } else { body.await };
            let result = AssertUnwindSafe(body()).catch_unwind().await;
            let mut guard = supervisor.guard(&name);
            if let Err(panic) = result {
                guard.how = End::Panicked(panic_message(panic.as_ref()));
            }
        }
    }

    /// For a thread that somebody else starts: the value reports the end of its owner when it is dropped.
    pub fn guard(&self, name: &str) -> ThreadGuard {
        let (ends, some_ended) = (self.ends.clone(), Arc::clone(&self.some_ended));
        ThreadGuard { name: name.to_owned(), how: End::Returned, ends, some_ended }
    }
}

/// Reports "thread X ended" when it is dropped, also while its thread unwinds.
#[derive(Debug)]
pub struct ThreadGuard {
    name: String,
    how: End,
    ends: SyncSender<ThreadEnd>,
    some_ended: Arc<AtomicBool>,
}

impl Drop for ThreadGuard {
    fn drop(&mut self) {
        let how = match (&self.how, std::thread::panicking()) {
            (End::Returned, true) => End::Panicked("panicked".to_owned()),
            (how, _) => how.clone(),
        };
        // Nobody listens any more: the process is already on its way out.
        let _ = self.ends.try_send(ThreadEnd { name: std::mem::take(&mut self.name), how });
        self.some_ended.store(true, Ordering::Release);
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&'static str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
