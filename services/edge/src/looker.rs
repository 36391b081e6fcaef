//! Looks into the log for what the tail does not hold: on threads of their own, since that blocks.
//!
//! The follower asks with messages and hears through its own mailbox. It asks for all that wait for one partition at
//! once and for a few partitions at a time, so a crowd that comes back costs a few bounded scans.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    follower_thread::FollowerInbox,
    log::{Budget, Log},
    message::{Begin, ToFollower},
    metrics::{Metrics, Scanned as Counted},
    readiness::Heartbeat,
};

mod reading;
mod recall;
mod rooms;
mod scanned;

pub use scanned::{Allowance, Excerpt, Scanned};

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
