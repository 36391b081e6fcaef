//! What other threads say to a worker: one bounded mailbox for each of them, one wake-up for all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    auth::{AuthError, Identity},
    inbox::Inbox,
    log::{Outcome, Ticket},
    message::FromFollower,
    shutdown::Supervisor,
    upgrade::Socket,
};

/// Connections that wait to be taken over.
const SOCKETS: usize = 1024;
/// Batches and answers of the follower; it waits when they are this many.
const FROM_FOLLOWER: usize = 1024;
/// Token checks that wait to be heard of.
const AUTHENTICATED: usize = 4096;

/// The token check's answer.
pub struct Authenticated {
    /// The connection's slot.
    pub connection: usize,
    /// The slot's generation.
    pub generation: u32,
    /// Who it is, or why not.
    pub result: Result<Identity, AuthError>,
}

/// What main wants of a worker.
#[derive(Debug, Clone, Copy)]
pub enum Control {
    /// Close every connection, at the pace at which all workers are done together.
    Drain {
        /// Connections of the whole edge that are closed in a second.
        rate: f64,
        /// How many it has.
        open: usize,
        /// Whoever is left then is closed, whatever the pace.
        within: Duration,
    },
    /// Close what is left, at once.
    CloseAll,
    /// Cut every connection off, as a network does that breaks.
    Cut,
}

/// The mailboxes of one worker.
pub struct Mailboxes {
    /// Upgraded connections.
    pub sockets: Inbox<Socket>,
    /// Messages and answers, in order.
    pub follower: Arc<Inbox<FromFollower>>,
    /// Delivery reports. As large as the producer's queue, so that it is never full.
    pub reports: Inbox<(Ticket, Outcome)>,
    /// Token checks.
    pub authenticated: Inbox<Authenticated>,
    /// Main.
    pub control: Inbox<Control>,
    bell: Arc<Bell>,
}

/// Wakes the worker, but only out of its sleep: while it is awake it is enough that it looks before it falls asleep.
///
/// Both sides write one flag and then read the other, in one order for all (`SeqCst`), so one of them sees the other.
struct Bell {
    waker: Box<dyn Fn() + Send + Sync>,
    /// Something has come since the worker last looked.
    rung: AtomicBool,
    asleep: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            (self.waker)();
        }
    }
}

impl Mailboxes {
    /// `in_flight` is the most records that the log's producer holds; `waker` wakes the worker out of its sleep.
    pub fn new(waker: impl Fn() + Send + Sync + 'static, in_flight: usize) -> Self {
        let bell = Arc::new(Bell { waker: Box::new(waker), rung: false.into(), asleep: false.into() });
        fn ring(bell: &Arc<Bell>) -> impl Fn() + Send + Sync + 'static {
            let bell = bell.clone();
            move || bell.ring()
        }
        Self {
            sockets: Inbox::new(SOCKETS, ring(&bell)),
            follower: Arc::new(Inbox::new(FROM_FOLLOWER, ring(&bell))),
            reports: Inbox::new(in_flight, ring(&bell)),
            authenticated: Inbox::new(AUTHENTICATED, ring(&bell)),
            control: Inbox::new(8, ring(&bell)),
            bell,
        }
    }

    /// Rings for a mailbox of the worker's own.
    pub fn ring(&self) -> impl Fn() + Clone + Send + Sync + 'static {
        let bell = Arc::clone(&self.bell);
        move || bell.ring()
    }

    /// The worker is about to sleep: whoever writes from now on wakes it. Whether it may, because nothing has come.
    pub(super) fn may_sleep(&self) -> bool {
        self.bell.asleep.store(true, Ordering::SeqCst);
        !self.bell.rung.load(Ordering::SeqCst)
    }

    /// Whether something has come since the worker last looked.
    pub(super) fn has_rung(&self) -> bool {
        self.bell.rung.load(Ordering::Relaxed)
    }

    /// The worker is awake. Whether something has come since it last asked; whoever writes from now on rings again.
    pub(super) fn answer_bell(&self) -> bool {
        self.bell.asleep.store(false, Ordering::SeqCst);
        self.bell.rung.swap(false, Ordering::SeqCst)
    }
}

/// Where the log's delivery reports go.
pub struct ReportsToWorkers {
    /// Every worker, by number.
    pub workers: Vec<Arc<Mailboxes>>,
    /// Hears of a thread of the log that has died.
    pub supervisor: Supervisor,
}

impl crate::log::Reports for ReportsToWorkers {
    fn settled(&self, ticket: Ticket, outcome: Outcome) {
        let Some(worker) = self.workers.get(ticket.worker as usize) else { return };
        // The bound is the producer's own, so this waits for a worker only if it is stuck, which ends the process.
        if worker.reports.push((ticket, outcome), Duration::from_secs(10)).is_err() {
            tracing::error!(event = "report_lost", worker = ticket.worker, "a worker takes no delivery reports");
        }
    }

    fn thread_died(&self, name: &'static str) {
        drop(self.supervisor.guard(name));
    }
}
