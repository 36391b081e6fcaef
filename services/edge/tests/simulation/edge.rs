//! An edge without a process: the follower and the workers' cores, and between them the mail, stepped one at a time.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use klatsch_edge::{
    auth::{Identity, Rights, UpgradeCredentials},
    context::{AuthJob, Settings},
    follower::Follower,
    follower_thread::FollowerInbox,
    log::{Feed, Log, Outcome, Ticket, memory::MemoryFeed},
    looker::{Looking, Question},
    message::ToFollower,
    metrics::Metrics,
    tokens::Checked,
    transport::Kind,
    upgrade::ConnectionGuard,
    worker::{Authenticated, Core, Identities, LogGate, Outlets},
};

use crate::{
    kafka::{Cluster, Producer},
    link::{Shared, SimSocket},
    plan::Plan,
    rng::Rng,
    worker::Worker,
};

/// Messages that may wait at a worker; the follower stands still then.
const AT_WORKER: usize = 64;

/// Users are called what they say, sessions and messages by the seed.
pub struct Names {
    rng: Mutex<Rng>,
    later: Mutex<Vec<(usize, Authenticated)>>,
}

impl Identities for Names {
    fn check(&self, worker: usize, job: AuthJob) -> Checked {
        let user = Arc::from(job.headers.get("login").unwrap_or("nobody"));
        let result = Ok(Identity { user, rights: Rights::all(), expires_at: None });
        match self.rng.lock().unwrap().below(20) {
            0 => Checked::Busy,
            1..10 => {
                let AuthJob { connection, generation, .. } = job;
                self.later.lock().unwrap().push((worker, Authenticated { connection, generation, result }));
                Checked::Later
            }
            _ => Checked::Now(result),
        }
    }

    fn session_id(&self) -> String {
        format!("{:032x}", self.rng.lock().unwrap().next())
    }

    fn message_uuid(&self) -> [u8; 16] {
        let mut rng = self.rng.lock().unwrap();
        (u128::from(rng.next()) << 64 | u128::from(rng.next())).to_be_bytes()
    }
}

/// A running edge.
pub struct Edge {
    pub follower: Follower,
    feed: MemoryFeed,
    inbox: Arc<FollowerInbox>,
    inbox_size: usize,
    asked: VecDeque<ToFollower>,
    /// The log's version that has been read to its end.
    read: u64,
    next_tick: Duration,
    pub follower_stalled_until: Duration,
    pub workers: Vec<Worker>,
    pub producer: Arc<Producer>,
    looking: Looking,
    /// Questions that lookers have, and when the log answers them.
    looks: VecDeque<(Duration, Question)>,
    /// Delivery reports on their way, and when they arrive.
    acknowledged: VecDeque<(Duration, Ticket, Outcome)>,
    pub gate: Arc<LogGate>,
    names: Arc<Names>,
    pub metrics: Arc<Metrics>,
    /// Since when it drains.
    pub draining: Option<Duration>,
}

impl Edge {
    pub fn start(index: usize, plan: &Plan, cluster: &Cluster, rng: &mut Rng, now: Duration) -> Self {
        let metrics = Arc::new(Metrics::new());
        let settings: Arc<Settings> = Arc::new(plan.settings(index));
        let producer = Producer::new(cluster, plan.producer_queue);
        let inbox = Arc::new(FollowerInbox::new(plan.follower_inbox));
        let gate = Arc::new(LogGate::default());
        let names = Arc::new(Names { rng: Mutex::new(rng.fork()), later: Mutex::default() });
        let worker = |worker| {
            let (log, follower, gate, identities) = (producer.clone(), inbox.clone(), gate.clone(), names.clone());
            let outlets = Outlets { log, follower, identities, gate, worker, unasked: VecDeque::new() };
            Worker {
                core: Core::new(worker, outlets, settings.clone(), metrics.clone()).with_slice(plan.slice),
                links: BTreeMap::new(),
                arriving: Vec::new(),
                told: VecDeque::new(),
                reports: VecDeque::new(),
                full: BTreeMap::new(),
                wake_at: now,
                stalled_until: Duration::ZERO,
            }
        };
        Self {
            follower: Follower::new(plan.workers, plan.partitions, plan.bounds(), metrics.clone()),
            feed: producer.feed(plan.start()).unwrap(),
            workers: (0..plan.workers).map(worker).collect(),
            inbox,
            inbox_size: plan.follower_inbox,
            asked: VecDeque::new(),
            read: 0,
            next_tick: now,
            follower_stalled_until: Duration::ZERO,
            producer,
            looking: plan.looking(&metrics),
            looks: VecDeque::new(),
            acknowledged: VecDeque::new(),
            gate,
            names,
            metrics,
            draining: None,
        }
    }

    /// Clients are let in.
    pub fn is_open(&self) -> bool {
        self.follower.is_caught_up() && self.draining.is_none()
    }

    /// Somebody's place is still looked for, and nobody else may know of it.
    pub fn is_looking(&self) -> bool {
        !self.looks.is_empty()
    }

    pub fn connections(&self) -> usize {
        self.workers.iter().map(|worker| worker.links.len() + worker.arriving.len()).sum()
    }

    pub fn accept(&mut self, link: Shared, rng: &mut Rng) {
        let worker = rng.below(self.workers.len());
        self.workers[worker].arriving.push(link);
    }

    /// When the follower has something to do.
    pub fn follower_due(&self, cluster: &Cluster, now: Duration) -> Duration {
        if self.workers.iter().any(|worker| worker.told.len() >= AT_WORKER) {
            return Duration::MAX;
        }
        let asked = !self.asked.is_empty() || !self.inbox.commands.is_empty();
        let unread = self.read != cluster.truth.version;
        let due = match (asked, unread) {
            (true, _) => now,
            (_, true) => cluster.stalled_until.max(now),
            _ => self.next_tick,
        };
        due.max(self.follower_stalled_until)
    }

    /// A round of the follower, as its thread does it, with smaller portions.
    pub fn step_follower(&mut self, cluster: &Cluster, rng: &mut Rng, now: Duration) {
        let mut taken = Vec::new();
        self.inbox.commands.take(&mut taken);
        self.asked.extend(taken);
        for _ in 0..1 + rng.below(8) {
            let Some(command) = self.asked.pop_front() else { break };
            self.follower.handle_command(command, now);
        }
        if cluster.stalled_until <= now && self.read != cluster.truth.version {
            let portion = *rng.pick(&[1, 3, 64]);
            let follower = &mut self.follower;
            if self.feed.drain(portion, &mut |event| follower.handle_feed(event)).unwrap() < portion {
                self.read = cluster.truth.version;
            }
        }
        self.follower.set_wall_clock(Cluster::clock_ms(now));
        if now >= self.next_tick {
            self.follower.handle_tick(now);
            self.next_tick = now + Duration::from_secs(1);
        }
        self.follower.handle_round(now);
        while let Some(question) = self.follower.poll_question() {
            if rng.one_in(20) {
                let answer = self.follower.nobody_looks(question);
                self.follower.handle_command(ToFollower::Looked(answer), now);
            } else {
                self.looks.push_back((now + rng.millis(0, 6000), question));
            }
        }
        for (index, worker) in self.workers.iter_mut().enumerate() {
            self.follower.poll_outbox(index).into_iter().for_each(|told| worker.told.append(told));
        }
    }

    /// When the log answers a looker.
    pub fn looker_due(&self, cluster: &Cluster, now: Duration) -> Duration {
        let full = self.inbox.commands.len() >= self.inbox_size;
        let first = self.looks.iter().map(|(at, _)| *at).min().filter(|_| !full);
        first.map_or(Duration::MAX, |at| at.max(cluster.stalled_until).max(now))
    }

    /// One of the lookers, whichever the log answers first, tells the follower what it has found.
    pub fn step_looker(&mut self, now: Duration) {
        let Some(at) = self.looks.iter().position(|(at, _)| *at <= now) else { return };
        let Some((_, question)) = self.looks.remove(at) else { return };
        let answer = self.looking.answer(&*self.producer, &question);
        assert!(self.inbox.commands.try_push(ToFollower::Looked(answer)).is_ok(), "there was room a moment ago");
    }

    /// When a record reaches the brokers, or a report the workers.
    pub fn producer_due(&self, cluster: &Cluster, now: Duration) -> Duration {
        let report = self.acknowledged.front().map_or(Duration::MAX, |(at, ..)| *at);
        let record = if self.producer.is_empty() { Duration::MAX } else { cluster.stalled_until.max(now) };
        report.min(record)
    }

    pub fn step_producer(&mut self, cluster: &mut Cluster, plan: &Plan, rng: &mut Rng, now: Duration) {
        while self.acknowledged.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, ticket, outcome)) = self.acknowledged.pop_front() else { return };
            self.workers[ticket.worker as usize].reports.push_back((ticket, outcome));
        }
        if cluster.stalled_until > now {
            return;
        }
        if let Some((record, ticket)) = self.producer.next() {
            let outcome = cluster.take(record, plan, rng, now);
            let late = if plan.late > 0 && rng.one_in(plan.late) { rng.millis(0, 16_000) } else { rng.millis(0, 40) };
            let before = self.acknowledged.back().map_or(now, |(at, ..)| *at);
            // In order, as one connection carries them.
            self.acknowledged.push_back((before.max(now + late), ticket, outcome));
        }
    }

    /// When a worker has something to do.
    pub fn worker_due(&self, index: usize, now: Duration) -> Duration {
        let worker = &self.workers[index];
        let has_mail = !worker.told.is_empty() || !worker.reports.is_empty() || !worker.arriving.is_empty();
        let ready = has_mail || worker.links.values().any(|link| link.borrow().has_events());
        let later = self.names.later.lock().unwrap().iter().any(|(at, _)| *at == index);
        let due = if ready || later { now } else { worker.wake_at };
        due.max(worker.stalled_until)
    }

    /// A turn of a worker, with some of what waits for it.
    pub fn step_worker(&mut self, index: usize, plan: &Plan, rng: &mut Rng, now: Duration) -> Result<(), String> {
        let worker = &mut self.workers[index];
        worker.core.begin_turn(now);
        for link in std::mem::take(&mut worker.arriving) {
            let slot = worker.core.next_slot();
            worker.links.insert(slot, link.clone());
            let (credentials, guard) = (UpgradeCredentials::default(), ConnectionGuard::uncounted());
            worker.core.open(SimSocket { link, slot }, Kind::WebSocket, credentials, guard, &[], &[]);
        }
        let mut later = self.names.later.lock().unwrap();
        let (ours, others) = std::mem::take(&mut *later).into_iter().partition(|(at, _)| *at == index);
        *later = others;
        drop(later);
        let ours: Vec<(usize, Authenticated)> = ours;
        ours.into_iter().for_each(|(_, answer)| worker.core.handle_authenticated(answer));
        let some = |rng: &mut Rng, most: usize| if rng.percent(60) { most } else { rng.below(most + 1) };
        for (ticket, outcome) in worker.reports.drain(..some(rng, worker.reports.len())) {
            worker.core.handle_outcome(ticket, outcome);
        }
        for what in worker.told.drain(..some(rng, worker.told.len())) {
            worker.core.handle_follower(what);
        }
        for (slot, link) in &worker.links {
            let events = link.borrow_mut().take_events();
            if let Some((readable, writable, read_closed)) = events {
                worker.core.handle_readiness(*slot, readable, writable, read_closed);
            }
        }
        worker.core.finish_turn();
        for socket in worker.core.take_closed() {
            worker.links.remove(&socket.slot);
        }
        worker.wake_at = now + worker.core.patience(now);
        worker.judge_growth(plan)
    }

    /// What is still on its way to the brokers when the process dies may arrive: some of it, in order.
    pub fn die(self, cluster: &mut Cluster, plan: &Plan, rng: &mut Rng, now: Duration) {
        while rng.percent(60)
            && let Some((record, _)) = self.producer.next()
        {
            cluster.take(record, plan, rng, now);
        }
    }
}
