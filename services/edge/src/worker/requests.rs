//! The sessions of requests that are answered within HTTP: a [`Core`] as one more worker, but a task of the HTTP side's
//! runtime instead of a thread, with [`Pipes`] instead of sockets. Between two turns it lets the others of that thread run.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Notify, task::yield_now, time::timeout};

use super::{
    Core, Mailboxes, Outlets,
    pipe::{Newcomer, News, PipeSocket, Pipes},
    taken::Taken,
};
use crate::{context::Settings, log::Log, metrics::Metrics, moment::wall_ms, readiness::Heartbeat};

/// What requests need of the core that serves them, before it runs.
#[derive(Clone)]
pub struct Reception {
    /// Where the other threads write to the core.
    pub mail: Arc<Mailboxes>,
    /// Where requests open sessions.
    pub pipes: Arc<Pipes>,
    bell: Arc<Notify>,
}

impl Reception {
    /// For so many requests at a time; `in_flight` is the most records that the log's producer holds.
    pub fn new(most: usize, in_flight: usize) -> Self {
        let bell = Arc::new(Notify::new());
        let ring = Arc::clone(&bell);
        let mail = Arc::new(Mailboxes::new(move || ring.notify_one(), in_flight));
        let pipes = Pipes::new(most, mail.ring());
        Self { mail, pipes, bell }
    }
}

/// The worker of requests.
pub struct Requests<L> {
    core: Core<PipeSocket, Outlets<L>>,
    reception: Reception,
    taken: Taken,
    newcomers: Vec<Newcomer>,
    news: Vec<News>,
    origin: Instant,
}

impl<L: Log> Requests<L> {
    /// A worker without sessions.
    pub fn new(reception: Reception, outlets: Outlets<L>, settings: Arc<Settings>, metrics: Arc<Metrics>) -> Self {
        let core = Core::new(outlets.worker, outlets, settings, metrics);
        let (taken, newcomers, news) = (Taken::default(), Vec::new(), Vec::new());
        Self { core, reception, taken, newcomers, news, origin: Instant::now() }
    }

    /// Runs until the runtime ends.
    pub async fn run(mut self, heartbeat: Heartbeat) {
        loop {
            let patience = self.core.patience(self.origin.elapsed());
            if self.reception.mail.may_sleep() && patience > Duration::ZERO {
                // Over time, something is due.
                let _ = timeout(patience, self.reception.bell.notified()).await;
            } else {
                yield_now().await;
            }
            heartbeat.beat(Instant::now());
            self.turn();
        }
    }

    fn turn(&mut self) {
        let Self { core, reception, taken, newcomers, news, origin } = self;
        core.begin_turn(origin.elapsed());
        if reception.mail.answer_bell() {
            // Nobody hands sockets to this one.
            taken.hand_over(&reception.mail, core, |_, _| ());
            reception.pipes.newcomers.take(newcomers);
            newcomers.drain(..).for_each(|newcomer| open(core, newcomer));
            reception.pipes.news.take(news);
            for News { slot, readable, writable, closed } in news.drain(..) {
                core.handle_readiness(slot, readable, writable, closed);
            }
        }
        core.finish_turn();
        core.measure_delivery(|| (origin.elapsed(), wall_ms()));
        core.take_closed().for_each(drop);
    }
}

fn open<L: Log>(core: &mut Core<PipeSocket, Outlets<L>>, newcomer: Newcomer) {
    let Newcomer { socket, kind, credentials, guard, opening } = newcomer;
    let slot = core.next_slot();
    let (before, gone) = socket.settle(slot);
    core.open(socket, kind, credentials, guard, &opening, &before);
    if gone {
        core.handle_readiness(slot, true, false, true);
    }
}
