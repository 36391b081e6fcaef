//! How long it takes until the last member of a room has a message: all of them are looked at all the time, those that have
//! it no more, so that the end of the sweep is the end of the delivery.

use std::time::Duration;

use super::{Crowd, drive::Load, publish::Timetable, tally::Tally};
use crate::{clock, latency::record};

/// A message that has not reached everybody by then is lost.
const PATIENCE: u64 = 10_000_000_000;

impl Crowd {
    /// Sends `count` messages, one each `every`, and waits for each of them until the last member of its room has it; for
    /// crowds without probes. `latency.delivery` of the tally is that of the last members.
    ///
    /// # Errors
    /// Probes read behind this function's back.
    pub(crate) fn last(&mut self, count: u32, every: Duration) -> Result<Tally, String> {
        if !self.probes.is_empty() {
            return Err("the last member can only be found in a crowd without probes".to_owned());
        }
        self.begin();
        let start = clock::now() + every.as_nanos() as u64;
        let rate = 1.0 / every.as_secs_f64();
        let load = Load::steady(rate, Duration::from_secs_f64(f64::from(count) / rate));
        let table = Timetable::new(&load, &self.plan, start);
        let mut tally = Tally::new();
        (tally.events, tally.expected) = (table.events(), self.expected(&table));
        for burst in 0..table.bursts() {
            while clock::now() < table.due(burst) {
                std::hint::spin_loop();
            }
            self.publish(burst, &table, &mut tally);
            let room = burst % u64::from(self.plan.rooms);
            let mut waiting: Vec<usize> =
                (0..self.members.len()).filter(|member| *member as u64 % u64::from(self.plan.rooms) == room).collect();
            let deadline = clock::now() + PATIENCE;
            while !waiting.is_empty() && clock::now() < deadline {
                waiting.retain(|index| {
                    let before = tally.deliveries;
                    self.members[*index].drain(&mut self.buffer, &mut tally);
                    tally.deliveries == before
                });
            }
            record(&mut tally.latency.delivery, clock::now().saturating_sub(table.due(burst)));
        }
        tally.wall = Duration::from_nanos(clock::now().saturating_sub(start));
        self.judge(&table, &mut tally);
        for publisher in &mut self.publishers {
            publisher.read(&mut self.buffer, &mut tally);
        }
        Ok(tally)
    }
}
