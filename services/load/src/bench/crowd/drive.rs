//! A load: SENDs by the timetable, everything that comes of them, until all of it has come.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{Crowd, PUBLISHERS, TIMER, publish::Timetable, tally::Tally};
use crate::{clock, latency::record};

/// Without a message for this long, what has not come is lost.
pub(super) const STILL: Duration = Duration::from_secs(3);
/// Sooner than this, sleeping is not worth it.
const SOON: u64 = 20_000;
/// From the call to the first SEND.
const LEAD: u64 = 2_000_000;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    /// SENDs a second, all publishers together; 0: nothing is sent, beats go on.
    pub(crate) rate: f64,
    /// SENDs at a time into one room, in one write.
    pub(crate) burst: u32,
    /// For how long.
    pub(crate) time: Duration,
}

impl Load {
    /// One SEND at a time.
    pub(crate) fn steady(rate: f64, time: Duration) -> Load {
        Load { rate, burst: 1, time }
    }

    /// `burst` SENDs at a time, `rate` SENDs a second in all.
    pub(crate) fn bursts(rate: f64, burst: u32, time: Duration) -> Load {
        Load { rate, burst, time }
    }
}

impl Crowd {
    /// Puts a load on the server, and waits until everybody has everything or nothing comes any more.
    ///
    /// # Errors
    /// The poll fails; what the server does wrong is in the tally.
    pub(crate) fn drive(&mut self, load: &Load) -> Result<Tally, String> {
        self.turn(load).map_err(|error| format!("{}: {error}", self.plan.target.url))
    }

    fn turn(&mut self, load: &Load) -> io::Result<Tally> {
        self.begin();
        let mut tally = Tally::new();
        let start = clock::now() + LEAD;
        let table = Timetable::new(load, &self.plan, start);
        self.last = Some(table);
        tally.expected = self.expected(&table);
        tally.events = table.events();
        let end = start + load.time.as_nanos() as u64;
        let asked = if self.plan.dialect.no_receipts { 0 } else { table.events() };
        let (mut burst, mut receipts, mut next_sweep) = (0, 0, start);
        let (mut moved, mut since) = (0, Instant::now());
        let interval = self.plan.sweep.as_nanos() as u64;
        loop {
            let now = clock::now();
            while burst < table.bursts() && table.due(burst) <= now {
                self.publish(burst, &table, &mut tally);
                burst += 1;
            }
            self.beats(now);
            if self.cursor == usize::MAX && now >= next_sweep {
                self.cursor = 0;
                next_sweep = (next_sweep + interval).max(now);
            }
            let swept = self.cursor != usize::MAX && !self.sweep_slice(&mut tally);
            let due = if burst < table.bursts() { table.due(burst) } else { end.max(now) };
            let mut wake = if self.cursor == usize::MAX { due.min(next_sweep) } else { now };
            if burst >= table.bursts() && now >= end {
                wake = wake.max(next_sweep);
            }
            self.wait(wake, &table, &mut tally)?;
            receipts += self.publishers.iter_mut().map(super::Publisher::take_receipts).sum::<u64>();
            if tally.deliveries + receipts != moved {
                (moved, since) = (tally.deliveries + receipts, Instant::now());
                tally.wall = Duration::from_nanos(clock::now().saturating_sub(start));
            }
            // Only a whole sweep knows what has come.
            if swept && burst >= table.bursts() && now >= end {
                let all = tally.deliveries >= tally.expected && receipts >= asked;
                if all || since.elapsed() > STILL {
                    break;
                }
            }
        }
        // What comes too often may come late.
        self.cursor = 0;
        while self.sweep_slice(&mut tally) {}
        self.wait(0, &table, &mut tally)?;
        tally.unanswered = asked.saturating_sub(receipts);
        self.judge(&table, &mut tally);
        Ok(tally)
    }

    pub(super) fn publish(&mut self, burst: u64, table: &Timetable, tally: &mut Tally) {
        let (publisher, sends) = table.sends(burst, self.run);
        if let Some(publisher) = self.publishers.get_mut(publisher) {
            publisher.send(&self.plan, sends);
        }
        record(&mut tally.latency.lateness, clock::now().saturating_sub(table.due(burst)));
    }

    /// Sends the beats that are due, one member after the other, evenly over the interval.
    fn beats(&mut self, now: u64) {
        let all = self.members.len() + self.publishers.len();
        if self.beat == 0 || all == 0 {
            return;
        }
        let step = (self.beat / all as u64).max(1);
        // After a pause between two loads everybody is due once, not once for each interval.
        self.next_beat = self.next_beat.max(now.saturating_sub(self.beat));
        while self.next_beat <= now {
            let index = self.next_beater % all;
            match self.members.get_mut(index) {
                Some(member) => member.beat(),
                None => self.publishers[index - self.members.len()].beat(),
            }
            self.next_beater = index + 1;
            self.next_beat += step;
        }
    }

    /// Sleeps until then, or until a probe or a publisher has something, and reads that.
    fn wait(&mut self, until: u64, table: &Timetable, tally: &mut Tally) -> io::Result<()> {
        let until = if self.beat > 0 { until.min(self.next_beat) } else { until };
        if until <= clock::now() + SOON {
            self.poll_once(Some(Duration::ZERO))?;
        } else {
            self.timer.set(until)?;
            self.poll_once(None)?;
        }
        let tokens: Vec<usize> = self
            .events
            .iter()
            .map(|event| event.token())
            .filter(|token| *token != TIMER)
            .map(|token| token.0)
            .collect();
        for token in tokens {
            match token.checked_sub(PUBLISHERS) {
                None => self.read_probe(token, table, tally),
                Some(publisher) => {
                    if let Some(publisher) = self.publishers.get_mut(publisher) {
                        publisher.flush();
                        publisher.read(&mut self.buffer, tally);
                    }
                }
            }
        }
        Ok(())
    }

    fn poll_once(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            // Nothing is lost: the next turn polls again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            other => other,
        }
    }
}
