//! The background thread of a log: asks about the topic on a client of its own, so that nobody waits behind a fetch.
//!
//! Every other second: does a broker answer. Every ten seconds (every second while none does, and at once when called):
//! have partitions been added, has the log been replaced under a reader, does a reader stand still. It also replaces a
//! producer beyond repair, and all clients when the properties have been renewed or the topic has been made anew.

use std::{
    ops::Range,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rdkafka::error::KafkaError;

use super::{
    super::Reports,
    context::{Alarm, Fault, State, lock},
    marks::{self, Place},
    observer::{ANSWER, Found, Observer, number},
    pace::{LEVELS, Pace},
    producer::Producer,
    rate::{Feeds, position},
    reader::{FeedShared, News},
    renewal::Renewal,
    scan::Scanners,
    settings::KafkaSettings,
};

/// How often the client's log lines are served.
const SERVE: Duration = Duration::from_secs(1);
/// How often a broker is asked for a sign of life: an edge without SENDs would not notice that it is cut off.
const ASK: Duration = Duration::from_secs(2);

/// What the thread works on.
pub(super) struct Keeper {
    pub(super) state: Arc<State>,
    pub(super) settings: Arc<Mutex<KafkaSettings>>,
    pub(super) renewal: Arc<Renewal>,
    pub(super) observer: Arc<Observer>,
    pub(super) producer: Arc<Producer>,
    pub(super) scanners: Arc<Scanners>,
    pub(super) feeds: Feeds,
    pub(super) reports: Arc<dyn Reports>,
}

/// Stops and joins the thread when dropped.
pub(super) struct KeeperThread {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(super) fn start(self) -> std::io::Result<KeeperThread> {
        let state = Arc::clone(&self.state);
        let thread = std::thread::Builder::new().name("log-keeper".into()).spawn(move || self.run())?;
        Ok(KeeperThread { state, thread: Some(thread) })
    }

    fn run(self) {
        let _alarm = Alarm { reports: &*self.reports, name: "log-keeper" };
        let (mut looked, mut asked) = (Instant::now(), Instant::now());
        let (mut stopped, mut pace) = (Stopped::default(), Pace::default());
        // The topic has been made anew, and some client still knows the one before.
        let mut outdated = false;
        loop {
            let healthy = stopped.missing == 0
                && !outdated
                && self.state.connected.load(Relaxed)
                && !self.state.fatal.load(Relaxed);
            let interval = Duration::from_secs(if healthy { 10 } else { 1 });
            let calls = self.state.await_call(interval.saturating_sub(looked.elapsed()).min(SERVE));
            if calls.stop {
                return;
            }
            let settings = lock(&self.settings).clone();
            if self.producer.is_condemned() {
                match self.producer.replace(&settings) {
                    Ok(()) => tracing::info!(event = "producer_replaced", "the producer has been replaced"),
                    Err(error) => {
                        tracing::warn!(event = "producer_not_replaced", %error, "cannot replace the producer yet")
                    }
                }
            }
            if self.producer.is_late(&settings)
                && let Err(error) = self.producer.give_up(&settings)
            {
                tracing::warn!(event = "sends_not_given_up", %error, "cannot give up late records yet");
            }
            self.state.forget_write_refusal();
            self.renew();
            if healthy {
                self.keep_pace(&mut pace);
            }
            self.feeds().iter().for_each(|feed| feed.close_retired());
            self.observer.serve();
            self.scanners.serve();
            // Errors come in bursts; brokers are not asked for each of them.
            let now = stopped.add(calls.resets) || calls.urgent;
            let soon = if calls.look { Duration::from_millis(500) } else { interval };
            if now || looked.elapsed() >= soon {
                if let Some(partitions) = self.ask() {
                    outdated |= self.look(partitions, &mut stopped);
                }
                (looked, asked) = (Instant::now(), Instant::now());
            } else if asked.elapsed() >= ASK {
                self.ask();
                asked = Instant::now();
            }
            if outdated {
                outdated = self
                    .start_anew()
                    .inspect_err(|why| tracing::warn!(event = "not_started_anew", why, "cannot start anew yet"))
                    .is_err();
            }
        }
    }

    /// Lets fetches wait where the cluster is busy.
    fn keep_pace(&self, pace: &mut Pace) {
        let Some(level) = pace.look(position(&self.feeds), Instant::now()) else { return };
        let settings = lock(&self.settings).clone();
        if !settings.lets_fetches_wait() {
            return;
        }
        for feed in self.feeds() {
            if let Err(error) = feed.set_level(level, &settings, &self.state) {
                return tracing::warn!(event = "reader_not_renewed", %error, "cannot make the reader anew for this load yet");
            }
        }
        pace.set(level);
        let least = LEVELS[level].least;
        tracing::info!(
            event = "reader_pace",
            step = level,
            least,
            "fetches wait at the brokers under load, and only then"
        );
    }

    /// Whether a broker answers, and how many partitions the topic has.
    fn ask(&self) -> Option<usize> {
        let asked = Instant::now();
        let known = self.observer.partitions();
        match &known {
            Ok(_) => {
                self.state.connected.store(true, Relaxed);
                self.state.set_fault(Fault::Topic, None);
                self.state.set_fault(Fault::Authentication, None);
            }
            Err(KafkaError::Global(code)) => {
                self.state.connected.store(true, Relaxed);
                self.state.set_fault(Fault::Topic, Some(format!("topic {}: {code}", self.observer.topic)));
            }
            Err(error) => {
                // Frozen brokers answer nothing, but they are there: that is a stall, and nobody is refused for it yet.
                let listens = self.observer.some_broker_listens();
                self.state.connected.store(listens, Relaxed);
                tracing::debug!(event = "no_answer", %error, listens, "no broker answers");
                self.state.asked(asked, false);
                return None;
            }
        }
        self.state.asked(asked, true);
        known.ok()
    }

    /// Compares every reader with the topic; whether the topic has been made anew.
    fn look(&self, partitions: usize, stopped: &mut Stopped) -> bool {
        let mut anew = false;
        for feed in self.feeds() {
            anew |= self.compare(&feed, partitions, stopped);
        }
        anew
    }

    /// Clients keep what they know of a topic that was deleted: one that has met its successor may never read or write
    /// some partition of it. What it had under way is given up; its outcome is unknown.
    fn start_anew(&self) -> Result<(), String> {
        let settings = lock(&self.settings).clone();
        for feed in self.feeds() {
            feed.renew(&settings, &self.state).map_err(|error| error.to_string())?;
        }
        self.observer.renew(&settings, &self.state).map_err(|error| error.to_string())?;
        self.scanners.renew(&settings);
        self.producer.renew(&settings).map_err(|error| error.to_string())?;
        tracing::info!(event = "started_anew", "the topic has been made anew, and so have all clients");
        Ok(())
    }

    /// The readers that there are.
    pub(super) fn feeds(&self) -> Vec<Arc<FeedShared>> {
        let mut feeds = Vec::new();
        lock(&self.feeds).retain(|feed| feed.upgrade().map(|feed| feeds.push(feed)).is_some());
        feeds
    }

    /// Compares a reader's positions with the partitions as they are; whether these are of another topic than those it
    /// has read.
    fn compare(&self, feed: &FeedShared, partitions: usize, stopped: &mut Stopped) -> bool {
        // Taken before the brokers are asked: a position below the high watermark cannot become one above it.
        let places = feed.places();
        let positions: Vec<i64> = places.iter().map(Place::next).collect();
        if partitions > positions.len() {
            feed.tell(News::Partitions(partitions));
        }
        let (mut lows, mut ends) = (vec![None; positions.len()], vec![None; positions.len()]);
        let (mut found, mut anew) = (0, false);
        for (partition, &seen) in positions.iter().enumerate() {
            if self.state.is_stopping() {
                return false;
            }
            let Ok(Range { start: low, end: high }) = self.observer.range(number(partition), ANSWER) else {
                continue;
            };
            (lows[partition], ends[partition]) = (Some(low), Some(high));
            places[partition].ends_at(high);
            // Below the low watermark a reader that lags may still hold what it fetched before; only a partition
            // that stopped has lost it.
            if seen > high || (stopped.missing > 0 && seen < low) {
                found += 1;
                anew |= seen > high;
                feed.tell(News::OutOfRange { partition, seen, resume_at: low });
            }
        }
        if let Some(partition) = feed.stuck(&positions, &ends) {
            let (at, end) = (positions[partition], ends[partition]);
            tracing::warn!(
                event = "reader_stuck",
                partition,
                at,
                end,
                "nothing is read any more; the reader is made anew"
            );
            if let Err(error) = feed.renew(&lock(&self.settings).clone(), &self.state) {
                tracing::warn!(event = "reader_not_renewed", %error, "cannot make the reader anew yet");
            }
        }
        match marks::replaced(&self.observer, &places, &lows) {
            Ok(replaced) => {
                found += replaced.len();
                anew |= !replaced.is_empty();
                for (partition, mark) in replaced {
                    let resume_at = lows[partition].unwrap_or(0);
                    feed.tell(News::Replaced { partition, mark, resume_at });
                }
            }
            Err(error) => {
                tracing::debug!(event = "not_looked", %error, "cannot look whether the log has been replaced")
            }
        }
        // A partition stopped, all offsets are in range by now, and no mark is missing. Nobody can say which it was, so
        // every partition that stands still is started again, and its gap is announced.
        if stopped.missing > 0 && found == 0 && lows.iter().all(Option::is_some) {
            (stopped.missing, anew) = (0, true);
            for (partition, seen) in positions.into_iter().enumerate() {
                feed.tell(News::OutOfRange { partition, seen, resume_at: seen });
            }
        }
        stopped.found(found);
        if self.state.reading_faulty.load(Relaxed) && self.may_read(&places) {
            self.state.set_fault(Fault::Reading, None);
        }
        anew
    }

    /// Whether every partition hands over what lies at the reader's place: the reader itself says nothing while nothing
    /// new is there.
    fn may_read(&self, places: &[Place]) -> bool {
        let next: Vec<_> = places.iter().map(|place| Some(place.next())).collect();
        let found = self.observer.first_at(&next, ANSWER, |_| ());
        found.is_ok_and(|found| found.iter().all(|found| *found != Found::Nothing))
    }
}

/// Partitions that have stopped with their offset out of range. Each says so once, not by name, and perhaps later
/// than a look at the watermarks has found it.
#[derive(Default)]
struct Stopped {
    missing: usize,
    /// Found before they have said so.
    early: usize,
    found_at: Option<Instant>,
}

impl Stopped {
    /// So many more have stopped. Whether any of them is still to be found.
    fn add(&mut self, resets: usize) -> bool {
        if self.found_at.is_none_or(|at| at.elapsed() > Duration::from_secs(30)) {
            self.early = 0;
        }
        let known = self.early.min(resets);
        self.early -= known;
        self.missing += resets - known;
        resets > known
    }

    fn found(&mut self, found: usize) {
        if found > 0 {
            self.early += found.saturating_sub(self.missing);
            self.missing = self.missing.saturating_sub(found);
            self.found_at = Some(Instant::now());
        }
    }
}

impl Drop for KeeperThread {
    fn drop(&mut self) {
        self.state.call(|calls| calls.stop = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_found_early_is_not_looked_for_again() {
        let mut stopped = Stopped::default();
        assert!(stopped.add(1));
        stopped.found(3);
        assert!(!stopped.add(2));
        assert!(stopped.add(2));
        assert_eq!(stopped.missing, 2);
        stopped.found(1);
        assert!(!stopped.add(0));
        assert_eq!(stopped.missing, 1);
    }
}
