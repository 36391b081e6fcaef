//! The end in order: nobody new, outstanding SENDs settled, everybody sent to another edge at a steady pace.

use super::*;

/// What is kept of the grace for those who did not go by themselves.
const RESERVE: Duration = Duration::from_secs(5);
/// However few connections there are, this many a second are closed.
const SLOWEST: f64 = 20.0;
/// However short the grace is, so long is a drain that has to be paced.
const SHORTEST: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(20);
/// What connections that only speak HTTP get for the answer under way, once they are alone. Browsers keep idle ones open
/// to the host of the page they show, and those end only when we do.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// How long the producer gets for what it still holds, once nobody is there any more; the grace is over by then.
const FLUSH: Duration = Duration::from_secs(8);

impl Edge {
    /// Closes every connection within the grace.
    pub(super) fn drain<L: Log>(&self, log: &L) -> Exit {
        let begun = Instant::now();
        let (open, grace) = (self.server.connections(), self.config.times.grace);
        let within = grace.saturating_sub(RESERVE).max(SHORTEST);
        let rate = (open as f64 / within.as_secs_f64()).max(SLOWEST).min(f64::from(self.config.limits.drain_rate));
        tracing::info!(event = "draining", open, rate, "draining; a second signal exits at once");
        let in_time = (rate * within.as_secs_f64()) as usize;
        if in_time + 1 < open {
            let late = open - in_time;
            tracing::warn!(
                event = "drain_too_short",
                late,
                "so many connections are closed together at the end: give --grace or --drain-rate more"
            );
        }
        self.tell_workers(Control::Drain { rate, open, within });
        // With a grace that is shorter than what is kept of it, everybody still gets the time of a paced drain.
        let last = grace.saturating_sub(RESERVE / 2).max(within);
        let mut cut = false;
        let mut alone: Option<Instant> = None;
        while self.server.connections() > 0 && begun.elapsed() < grace {
            if self.server.connections() > self.server.idle() {
                alone = None;
            } else if alone.get_or_insert_with(Instant::now).elapsed() > LAST_ANSWERS {
                break;
            }
            if let Ok(end) = self.ends.recv_timeout(LOOK) {
                return self.thread_died(&end);
            }
            self.show(begun);
            if begun.elapsed() >= last && !std::mem::replace(&mut cut, true) {
                self.tell_workers(Control::CloseAll);
            }
        }
        self.show(begun);
        let left = self.server.connections();
        let in_flight = log.health().in_flight;
        tracing::info!(event = "drained", left, in_flight, seconds = begun.elapsed().as_secs_f64(), "drained");
        Exit::Drained
    }

    fn show(&self, begun: Instant) {
        self.metrics.state.drain_remaining.set(i64::try_from(self.server.connections()).unwrap_or(i64::MAX));
        self.metrics.state.drain_time.set(begun.elapsed().as_secs_f64());
    }

    /// What the flush may take.
    pub(super) fn flush_time(&self) -> Duration {
        self.config.times.grace.min(FLUSH)
    }

    fn tell_workers(&self, what: Control) {
        for (index, mail) in self.mail.iter().enumerate() {
            if mail.control.try_push(what).is_err() {
                tracing::error!(event = "worker_stuck", worker = index, "a worker does not listen");
            }
        }
    }
}
