//! The end in order: nobody new, outstanding SENDs settled, everybody sent to another edge at a steady pace.

use super::*;

/// What is kept of the grace for the flush and for those that did not go by themselves.
const RESERVE: Duration = Duration::from_secs(5);
/// However few connections there are, this many a second are closed.
const SLOWEST: f64 = 20.0;
const LOOK: Duration = Duration::from_millis(20);
/// What connections that only speak HTTP get for the answer under way, once they are alone. Browsers keep idle ones open
/// to the host of the page they show, and those end only when we do.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

impl Edge {
    /// Closes every connection within the grace.
    pub(super) fn drain<L: Log>(&self, log: &L) -> Exit {
        let begun = Instant::now();
        let open = self.server.connections();
        let pace = self.config.times.grace.saturating_sub(RESERVE).max(Duration::from_millis(500));
        let rate = (open as f64 / pace.as_secs_f64()).max(SLOWEST).min(f64::from(self.config.limits.drain_rate));
        tracing::info!(event = "draining", open, rate, "draining; a second signal exits at once");
        self.metrics.state.draining.set(1);
        self.metrics.state.drain_begun.set(i64::try_from(open).unwrap_or(i64::MAX));
        self.tell_workers(Control::Drain { rate, open });
        let mut cut = false;
        let mut alone: Option<Instant> = None;
        while self.server.connections() > 0 && begun.elapsed() < self.config.times.grace {
            if self.server.connections() > self.server.idle() {
                alone = None;
            } else if alone.get_or_insert_with(Instant::now).elapsed() > LAST_ANSWERS {
                break;
            }
            if let Ok(end) = self.ends.recv_timeout(LOOK) {
                return self.thread_died(&end);
            }
            self.count_connections();
            self.metrics.state.drain_remaining.set(i64::try_from(self.server.connections()).unwrap_or(i64::MAX));
            self.metrics.state.drain_time.set(begun.elapsed().as_secs_f64());
            let late = begun.elapsed() + RESERVE / 2 > self.config.times.grace;
            if late && !std::mem::replace(&mut cut, true) {
                self.tell_workers(Control::CloseAll);
            }
        }
        let left = self.server.connections();
        let in_flight = log.health().in_flight;
        tracing::info!(event = "drained", left, in_flight, seconds = begun.elapsed().as_secs_f64(), "drained");
        Exit::Drained
    }

    /// What the flush may take: the rest of the grace is over by then, or nearly.
    pub(super) fn flush_time(&self) -> Duration {
        self.config.times.grace.min(RESERVE / 2)
    }

    fn tell_workers(&self, what: Control) {
        for (index, mail) in self.mail.iter().enumerate() {
            if mail.control.try_push(what).is_err() {
                tracing::error!(event = "worker_stuck", worker = index, "a worker does not listen");
            }
        }
    }
}
