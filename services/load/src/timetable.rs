//! When which client sends. The table is fixed before the first SEND (open loop): nothing that the server does moves it,
//! so a stall shows in the latencies instead of vanishing from them.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::sync::Notify;

use crate::clock;

/// SENDs at even intervals, handed round the senders in turn.
#[derive(Debug)]
pub struct Timetable {
    senders: Vec<Notify>,
    interval_ns: f64,
    total: u64,
    /// When SEND 0 is due; 0: not known yet.
    start: AtomicU64,
    stopped: AtomicBool,
}

impl Timetable {
    /// `rate` SENDs a second for `duration`, by `senders` clients. None at all if any of them is zero.
    pub fn new(rate: f64, duration: Duration, senders: u32) -> Timetable {
        let total = if senders == 0 || rate <= 0.0 { 0 } else { (rate * duration.as_secs_f64()).round() as u64 };
        Timetable {
            senders: (0..senders).map(|_| Notify::new()).collect(),
            interval_ns: if total == 0 { 0.0 } else { 1e9 / rate },
            total,
            start: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// SENDs in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// When the `turn`th SEND of this sender is due; `None` before the start, behind the end, after a stop, and for
    /// clients that do not send.
    pub fn due(&self, sender: u32, turn: u64) -> Option<u64> {
        let start = self.start.load(Ordering::Acquire);
        if start == 0 || self.stopped.load(Ordering::Acquire) || sender as usize >= self.senders.len() {
            return None;
        }
        let send = turn.checked_mul(self.senders.len() as u64)? + u64::from(sender);
        (send < self.total).then(|| start + (send as f64 * self.interval_ns) as u64)
    }

    /// How many SENDs are due by `time`.
    pub fn due_by(&self, time: u64) -> u64 {
        let start = self.start.load(Ordering::Acquire);
        if start == 0 || time < start || self.total == 0 {
            return 0;
        }
        (((time - start) as f64 / self.interval_ns) as u64 + 1).min(self.total)
    }

    /// Resolves when a SEND of this sender has become due since the last call; never for clients that do not send.
    pub async fn turn(&self, sender: u32) {
        match self.senders.get(sender as usize) {
            Some(sender) => sender.notified().await,
            None => std::future::pending().await,
        }
    }

    /// No SEND is due from now on.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// The first SEND is due now. A thread of its own keeps the times: a runtime's timers count in milliseconds.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(self: &Arc<Self>) -> io::Result<()> {
        // A little later, so that the first one is not late already.
        self.start.store(clock::now() + 5_000_000, Ordering::Release);
        let table = Arc::clone(self);
        thread::Builder::new().name("timetable".to_owned()).spawn(move || table.keep())?;
        Ok(())
    }

    fn keep(&self) {
        for send in 0..self.total {
            let sender = (send % self.senders.len() as u64) as u32;
            let Some(due) = self.due(sender, send / self.senders.len() as u64) else { return };
            loop {
                let left = due.saturating_sub(clock::now());
                if left == 0 {
                    break;
                }
                if self.stopped.load(Ordering::Acquire) {
                    return;
                }
                thread::sleep(Duration::from_nanos(left.min(100_000_000)));
            }
            self.senders[sender as usize].notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn sends_are_evenly_spread_over_time_and_senders() {
        let table = Timetable::new(100.0, Duration::from_secs(1), 3);
        assert_eq!(table.total(), 100);
        assert_eq!(table.due(0, 0), None, "not started");
        table.start.store(1_000, Ordering::Release);
        let mut all: Vec<u64> = (0..4)
            .flat_map(|sender| (0..100).map_while(move |turn| Some((sender, turn))))
            .filter_map(|(sender, turn)| table.due(sender, turn))
            .collect();
        all.sort_unstable();
        let wanted: Vec<u64> = (0..100).map(|send| 1_000 + send * 10_000_000).collect();
        assert_eq!(all, wanted);
        assert_eq!([0, 1_000, 10_000_999, 10_001_000, u64::MAX].map(|time| table.due_by(time)), [0, 1, 1, 2, 100]);
        table.stop();
        assert_eq!(table.due(0, 0), None);
    }

    #[tokio::test]
    async fn the_thread_calls_each_sender_not_before_its_time() {
        let table = Arc::new(Timetable::new(1_000.0, Duration::from_millis(20), 2));
        table.start().unwrap();
        for sender in 0..2 {
            let (mut calls, mut turn) = (0, 0);
            while turn < 10 {
                table.turn(sender).await;
                assert!(clock::now() >= table.due(sender, calls).unwrap());
                calls += 1;
                // A late sender is called once for all that has become due meanwhile.
                while table.due(sender, turn).is_some_and(|due| due <= clock::now()) {
                    turn += 1;
                }
            }
        }
    }
}
