//! Looks into the log for what the tail does not hold: on threads of their own, since that blocks.
//!
//! The follower asks with messages and hears through its own mailbox. It asks for all that wait for one partition at
//! once and for a few partitions at a time, so a crowd that comes back costs a few bounded scans.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    follower_thread::FollowerInbox,
    log::{Budget, Log},
    message::{Begin, Message, ToFollower},
    metrics::{Metrics, Scanned as Counted},
    readiness::Heartbeat,
};

mod recall;
mod rooms;

/// How many threads look at once, and so how many scans run at once.
pub const LOOKERS: usize = 2;
/// Questions that may wait. The follower has at most one open for each partition, and this many of them.
const WAITING: usize = 64;
/// How long the log may take to say what it retains.
const RETAINED: Duration = Duration::from_secs(2);
/// A follower that takes no answer for this long is stuck, and with it the process.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the follower asks.
#[derive(Debug)]
pub struct Question {
    /// Of which partition.
    pub partition: i32,
    /// What.
    pub what: Asked,
}

/// What is asked of a partition.
#[derive(Debug)]
pub enum Asked {
    /// Where it ends.
    End,
    /// Its past up to the offset `end`, for these subscriptions.
    Past {
        /// Everything from here on is in the tail.
        from: i64,
        /// Exclusive; the tail can go on from there.
        end: i64,
        /// What each of them wants.
        wants: Vec<Want>,
    },
}

/// What a subscription wants of the past.
#[derive(Debug, Clone)]
pub struct Want {
    /// Its room.
    pub room: Bytes,
    /// Where it begins.
    pub from: Begin,
}

/// What the follower hears.
#[derive(Debug)]
pub struct Answer {
    /// Of which partition.
    pub partition: i32,
    /// What was found.
    pub found: Found,
}

/// What was found in a partition.
#[derive(Debug)]
pub enum Found {
    /// One past its last record; `None` if it could not be asked.
    End(Option<i64>),
    /// Its past.
    Past(Past),
}

/// What a scan found.
#[derive(Debug)]
pub struct Past {
    /// For each subscription, in the order of the question.
    pub recalled: Vec<Recalled>,
    /// Offset and check of the record right below the end that was asked for, as far as it was read.
    pub last: Option<(i64, u32)>,
}

/// What was found for one subscription.
#[derive(Debug, Clone)]
pub enum Recalled {
    /// Everything of its room from the offset `begin` up to `end`.
    All {
        /// Inclusive.
        begin: i64,
        /// Exclusive.
        end: i64,
        /// `None` if there is nothing.
        messages: Option<Arc<Scanned>>,
    },
    /// Others wanted more than could be read: ask again without them.
    Again,
    /// It cannot be served; of history, nothing that the tail does not have.
    No,
}

/// Messages of one room from one scan, shared by all subscriptions that wait for them.
#[derive(Debug)]
pub struct Scanned {
    /// In log order.
    pub messages: Vec<Arc<Message>>,
    _share: Share,
}

/// A part of a [`Scanned`]: what one subscription still has to get.
#[derive(Debug, Clone)]
pub struct Excerpt {
    scanned: Arc<Scanned>,
    left: Range<usize>,
}

impl Excerpt {
    /// The messages with offsets from `begin` to `end` (exclusive); at most the last `most` of them.
    pub fn new(scanned: Arc<Scanned>, begin: i64, end: i64, most: usize) -> Self {
        let place = |offset| scanned.messages.partition_point(|message| message.id.offset < offset);
        let (first, last) = (place(begin), place(end));
        let left = first.max(last.saturating_sub(most))..last.max(first);
        Self { scanned, left }
    }

    /// How many messages are left.
    pub fn len(&self) -> usize {
        self.left.len()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// What is left holds about this many octets.
    pub fn bytes(&self) -> usize {
        self.scanned.messages[self.left.clone()].iter().map(|message| message.cost()).sum()
    }

    /// The next message.
    pub fn take(&mut self) -> Option<Arc<Message>> {
        self.left.next().map(|at| self.scanned.messages[at].clone())
    }
}

/// How much memory scanned messages may take: all of an edge's, and those of one room in one scan.
#[derive(Debug)]
pub struct Allowance {
    left: AtomicUsize,
    /// Of one room in one scan, in octets.
    pub of_a_room: usize,
    metrics: Arc<Metrics>,
}

impl Allowance {
    /// So many octets for an edge, and for one room in one scan.
    pub fn new(of_the_edge: usize, of_a_room: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(of_the_edge), of_a_room, metrics })
    }
}

/// Part of an [`Allowance`]; given back when it is dropped.
#[derive(Debug)]
struct Share {
    of: Arc<Allowance>,
    bytes: usize,
}

impl Share {
    /// Takes so many octets more, if there are that many.
    fn grow(&mut self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        let taken = self.of.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        if taken {
            self.change(bytes as i64);
        }
        taken
    }

    fn shrink(&mut self, bytes: usize) {
        self.of.left.fetch_add(bytes, Ordering::Relaxed);
        self.change(-(bytes as i64));
    }

    fn change(&mut self, bytes: i64) {
        self.bytes = self.bytes.saturating_add_signed(bytes as isize);
        self.of.metrics.delivery.replay_bytes.inc_by(bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

/// What a look back may cost and how the log is laid out.
#[derive(Debug, Clone)]
pub struct Looking {
    /// Of one look, whatever it takes.
    pub budget: Budget,
    /// The pinned partition count.
    pub partitions: i32,
    /// Memory for what is found.
    pub allowance: Arc<Allowance>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

impl Looking {
    /// Answers a question. Blocks; a simulation may call it on a log that does not.
    pub fn answer<L: Log>(&self, log: &L, question: &Question) -> Answer {
        let partition = question.partition;
        let found = match &question.what {
            Asked::End => Found::End(log.retained(partition, RETAINED).ok().map(|retained| retained.end)),
            Asked::Past { from, end, wants } => {
                let begun = Instant::now();
                let (past, counted) = recall::recall(self, log, partition, (*from, *end), wants);
                self.metrics.delivery.scans.of(counted).inc();
                self.metrics.delivery.scan_time.observe(begun.elapsed().as_secs_f64());
                Found::Past(past)
            }
        };
        Answer { partition, found }
    }
}

impl Question {
    /// The answer when nobody can look.
    pub fn unanswered(self, metrics: &Metrics) -> Answer {
        let found = match self.what {
            Asked::End => Found::End(None),
            Asked::Past { wants, .. } => {
                metrics.delivery.scans.of(Counted::Busy).inc();
                Found::Past(Past { recalled: vec![Recalled::No; wants.len()], last: None })
            }
        };
        Answer { partition: self.partition, found }
    }
}

/// Where questions wait for a thread.
#[derive(Default)]
pub struct Desk {
    waiting: Mutex<VecDeque<Question>>,
    bell: Condvar,
}

impl Desk {
    /// Leaves a question, or gives it back when too many wait. Never blocks.
    pub fn ask(&self, question: Question) -> Result<(), Question> {
        let mut waiting = self.lock();
        if waiting.len() >= WAITING {
            return Err(question);
        }
        match question.what {
            // Quickly answered, and somebody may be served from memory then.
            Asked::End => waiting.push_front(question),
            Asked::Past { .. } => waiting.push_back(question),
        }
        self.bell.notify_one();
        Ok(())
    }

    fn take(&self, patience: Duration) -> Option<Question> {
        let waiting = self.lock();
        let waited = self.bell.wait_timeout_while(waiting, patience, |waiting| waiting.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Question>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers questions until the follower takes no answers.
pub fn run<L: Log>(log: &L, desk: &Desk, looking: &Looking, follower: &FollowerInbox, heartbeat: &Heartbeat) {
    loop {
        heartbeat.beat(Instant::now());
        let Some(question) = desk.take(Duration::from_secs(1)) else { continue };
        let answer = looking.answer(log, &question);
        heartbeat.beat(Instant::now());
        if follower.commands.push(ToFollower::Looked(answer), PATIENCE).is_err() {
            return tracing::error!(event = "follower_stuck", "the follower takes no answers");
        }
    }
}
