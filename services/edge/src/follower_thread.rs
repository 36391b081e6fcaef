//! The shell around [`Follower`]: a thread of its own that owns the log's feed, the clock and the mailboxes.

use std::{
    collections::VecDeque,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{self, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::{
    follower::Follower,
    inbox::Inbox,
    log::{Feed, FeedEvent, LogError},
    looker::Desk,
    message::{FromFollower, ToFollower},
    moment::wall_ms,
    readiness::{Check, Heartbeat, Readiness},
};

/// How long the follower works on records before it looks at its mailbox again.
const SLICE: Duration = Duration::from_millis(1);
/// Records between two looks at the clock.
const DRAIN: usize = 128;
/// How often the follower is told the time if nothing happens.
const TICK: Duration = Duration::from_secs(1);
/// Catching up that takes longer than this is said, again and again.
const CATCHING_UP: Duration = Duration::from_secs(10);
/// A worker that takes nothing for this long is dead (DESIGN §4).
const PATIENCE: Duration = Duration::from_secs(10);

/// The mailbox of the follower; any worker writes to it and none ever waits for it.
pub struct FollowerInbox {
    /// What workers ask.
    pub commands: Inbox<ToFollower>,
    notify: Arc<Notify>,
}

impl FollowerInbox {
    /// A mailbox for at most `capacity` commands.
    pub fn new(capacity: usize) -> Self {
        let notify = Arc::new(Notify::new());
        let wake = notify.clone();
        Self { commands: Inbox::new(capacity, move || wake.notify_one()), notify }
    }
}

/// Runs until the log fails or a worker stops taking its messages. Never returns otherwise.
pub fn run<F: Feed>(
    feed: F,
    follower: Follower,
    inbox: &FollowerInbox,
    desk: &Desk,
    workers: &[Arc<Inbox<FromFollower>>],
    readiness: &Readiness,
    heartbeat: &Heartbeat,
) -> Result<(), LogError> {
    let origin = Instant::now();
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (taken, waiting) = (Vec::new(), VecDeque::new());
    let mut shell = Shell { feed, follower, inbox, desk, workers, waker, origin, next_tick: origin, taken, waiting };
    let (mut caught_up, mut said) = (false, origin);
    loop {
        heartbeat.beat(Instant::now());
        shell.round()?;
        let first = shell.follower.take_first();
        if caught_up {
            first.into_iter().for_each(|appended_ms| shell.follower.observe_age(wall_ms() - appended_ms));
        } else if shell.follower.is_caught_up() {
            caught_up = true;
            readiness.set(Check::Tail, Ok(()));
        } else if said.elapsed() >= CATCHING_UP {
            said = Instant::now();
            let partitions = shell.follower.missing();
            tracing::warn!(event = "catching_up", ?partitions, "the end of these partitions has not been reached yet");
        }
    }
}

/// Wakes the follower's thread. It has one future at a time and sleeps between two polls of it, so a runtime would only
/// stand between it and the one who wakes it.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// What the future comes to, unless the deadline comes first.
fn wait<F: Future>(future: F, waker: &Waker, deadline: Instant) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut cx = task::Context::from_waker(waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

struct Shell<'a, F> {
    feed: F,
    follower: Follower,
    inbox: &'a FollowerInbox,
    desk: &'a Desk,
    workers: &'a [Arc<Inbox<FromFollower>>],
    waker: Waker,
    origin: Instant,
    next_tick: Instant,
    taken: Vec<ToFollower>,
    waiting: VecDeque<ToFollower>,
}

impl<F: Feed> Shell<'_, F> {
    /// Waits for something, then handles commands and records for about a millisecond each, then hands over.
    fn round(&mut self) -> Result<(), LogError> {
        if self.waiting.is_empty() {
            let Self { feed, follower, inbox, waker, next_tick, .. } = self;
            let mut first = |event: FeedEvent<'_>| follower.handle_feed(event);
            let something = async {
                tokio::select! {
                    biased;
                    () = inbox.notify.notified() => Ok(()),
                    result = feed.wait(&mut first) => result,
                }
            };
            wait(something, waker, *next_tick).unwrap_or(Ok(()))?;
        }
        let now = self.origin.elapsed();
        self.follower.set_wall_clock(wall_ms());
        if self.origin + now >= self.next_tick {
            self.next_tick = self.origin + now + TICK;
            self.follower.handle_tick(now);
        }
        self.handle_commands(now);
        let begun = Instant::now();
        while begun.elapsed() < SLICE && !self.follower.batch_is_full() {
            let follower = &mut self.follower;
            if self.feed.drain(DRAIN, &mut |event| follower.handle_feed(event))? < DRAIN {
                break;
            }
        }
        self.follower.handle_round(now);
        while let Some(question) = self.follower.poll_question() {
            if let Err(question) = self.desk.ask(question) {
                let answer = self.follower.nobody_looks(question);
                self.follower.handle_command(ToFollower::Looked(answer), now);
            }
        }
        self.hand_over()
    }

    /// In order; what a millisecond does not suffice for waits until new records have had their turn.
    fn handle_commands(&mut self, now: Duration) {
        if self.waiting.is_empty() {
            self.inbox.commands.take(&mut self.taken);
            self.waiting.extend(self.taken.drain(..));
        }
        let begun = Instant::now();
        while let Some(command) = self.waiting.pop_front() {
            self.follower.handle_command(command, now);
            if begun.elapsed() >= SLICE {
                return;
            }
        }
    }

    fn hand_over(&mut self) -> Result<(), LogError> {
        for (worker, inbox) in self.workers.iter().enumerate() {
            if let Some(outbox) = self.follower.poll_outbox(worker) {
                // Workers never wait for the follower, so waiting for one of them cannot lock both.
                if !inbox.push_all(outbox, PATIENCE) {
                    return Err(LogError(format!("worker {worker} takes no messages")));
                }
            }
        }
        Ok(())
    }
}
