//! The main thread of a running edge: hears of threads that end, watches the log's health, and begins the drain.

use super::*;

/// A log that has not acknowledged the oldest record for this long is stalled; nothing is dropped for it.
const STALLED: Duration = Duration::from_secs(2);
/// No sign of life for this long, however often asked, is a stall as well: without SENDs nothing else would show it.
const SILENT_LOG: Duration = Duration::from_secs(6);
/// After this long it is away: SENDs are refused at once, one a second is let through.
const AWAY: Duration = Duration::from_secs(15);
const PROBE: Duration = Duration::from_secs(1);
/// How often what is costly to measure is measured.
const GAUGES: Duration = Duration::from_secs(5);

/// An edge this many records behind the end of a partition does not keep up.
const FAR_BEHIND: i64 = 50_000;

impl Edge {
    /// Stays until the edge has drained or a thread has ended.
    pub(super) fn watch<L: Log>(&self, log: &L, gate: &LogGate) -> Exit {
        let (mut unreachable_since, mut reading) = (None, Reading::default());
        let (mut last_probe, mut last_gauges) = (Instant::now(), Instant::now());
        while !self.shutdown.is_draining() {
            let begun = Instant::now();
            match self.ends.recv_timeout(WATCH) {
                Ok(end) => return self.thread_died(&end),
                Err(RecvTimeoutError::Timeout) => {
                    let late = begun.elapsed().saturating_sub(WATCH);
                    self.metrics.times.tick.of(Ticker::Main).observe(late.as_secs_f64());
                }
                Err(RecvTimeoutError::Disconnected) => return Exit::ThreadDied,
            }
            self.count_connections();
            let health = log.health();
            self.judge(&health, &mut unreachable_since, gate);
            if last_probe.elapsed() >= PROBE {
                last_probe = Instant::now();
                gate.probe.store(true, Ordering::Relaxed);
                self.metrics.readiness(&self.readiness.ready(Instant::now()));
                logging::tell_suppressed();
            }
            if last_gauges.elapsed() >= GAUGES {
                last_gauges = Instant::now();
                self.update_gauges(log, &mut reading);
            }
        }
        self.drain(log)
    }

    fn judge(&self, health: &Health, unreachable_since: &mut Option<Instant>, gate: &LogGate) {
        let oldest = health.oldest_in_flight.unwrap_or_default();
        self.metrics.sends.in_flight.set(i64::try_from(health.in_flight).unwrap_or(i64::MAX));
        self.metrics.sends.oldest_in_flight.set(oldest.as_secs_f64());
        let broken = !health.connected || health.fault.is_some();
        *unreachable_since = if broken { unreachable_since.or_else(|| Some(Instant::now())) } else { None };
        // Away once it is more than a hiccup between two connections or two leaders.
        let unreachable = unreachable_since.is_some_and(|since| since.elapsed() >= STALLED);
        let away = unreachable || oldest > AWAY || health.unanswered > AWAY;
        if away != gate.away.swap(away, Ordering::Relaxed) {
            if away {
                tracing::warn!(event = "log_away", "the log is away: SENDs are refused, everybody stays");
            } else {
                tracing::info!(event = "log_back", "the log is back");
            }
        }
        let log = match &health.fault {
            Some(fault) => Err(fault.clone()),
            None if unreachable => Err("no broker takes a connection".to_owned()),
            None if oldest > AWAY => Err(format!("away: nothing acknowledged for {} s", oldest.as_secs())),
            None if oldest > STALLED => Err(format!("stalled: nothing acknowledged for {} s", oldest.as_secs())),
            None if health.unanswered > SILENT_LOG => {
                Err(format!("stalled: no broker has answered for {} s", health.unanswered.as_secs()))
            }
            None => Ok(()),
        };
        self.readiness.set(Check::Log, log);
    }

    /// A thread ended: no guess is made at what still works.
    pub(super) fn thread_died(&self, end: &ThreadEnd) -> Exit {
        let how = match &end.how {
            End::Returned => "it returned",
            End::Panicked(message) => message,
        };
        tracing::error!(event = "thread_died", thread = end.name, how, "a thread ended that must not: exit 70");
        self.server.stop();
        Exit::ThreadDied
    }

    /// Brings the gauge of connections up to date.
    pub(super) fn count_connections(&self) {
        self.metrics.connections.open.set(i64::try_from(self.server.connections()).unwrap_or(i64::MAX));
    }

    fn update_gauges<L: Log>(&self, log: &L, reading: &mut Reading) {
        let measured = log.measured();
        self.metrics.kafka.show(&measured);
        for &(partition, lag) in &measured.lags {
            self.metrics.log.set_lag(partition, lag);
        }
        let behind = measured.lags.iter().map(|(_, lag)| *lag).max().unwrap_or(0);
        let read = self.metrics.log.records.get();
        let stands = std::mem::replace(&mut reading.records, read) == read;
        reading.note(behind, stands, self.metrics.log.take_age(), Instant::now());
        self.metrics.log.lag_time.set(reading.late.as_secs_f64());
        if self.readiness.started() {
            self.readiness.set(Check::Tail, keeps_up(behind, stands));
        }
    }
}

/// How the reader gets on, from one look to the next.
#[derive(Default)]
struct Reading {
    /// Read so far.
    records: u64,
    looked: Option<Instant>,
    /// How late what is read is.
    late: Duration,
}

impl Reading {
    /// While records are read they say how late they are; while some wait and none is read, the time that passes does.
    fn note(&mut self, behind: i64, stands: bool, age: Duration, now: Instant) {
        let since = self.looked.replace(now).map_or(Duration::ZERO, |before| now.saturating_duration_since(before));
        self.late = match (stands, behind) {
            (false, _) => age,
            (true, 1..) => self.late + since,
            (true, _) => Duration::ZERO,
        };
    }
}

/// Readiness follows progress (promise 9): an edge that falls far behind, or stands still behind, takes nobody new.
fn keeps_up(behind: i64, stands: bool) -> Result<(), String> {
    match behind {
        FAR_BEHIND.. => Err(format!("{behind} records behind the end of a partition")),
        1.. if stands => Err(format!("{behind} records behind the end of a partition, and none is read")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::{
        config::Command,
        log::{NewRecord, Ticket},
    };

    #[test]
    fn p9_readiness_follows_progress() {
        assert_eq!(keeps_up(0, true), Ok(()), "a quiet log");
        assert_eq!(keeps_up(500, false), Ok(()), "a burst");
        assert!(keeps_up(500, true).is_err());
        assert!(keeps_up(FAR_BEHIND, false).is_err());
    }

    /// A reader that really stands still: an edge around a log whose reader is told nothing for a while.
    #[test]
    fn p9_a_reader_that_stands_still_makes_the_edge_unready() {
        let log = Arc::new(MemoryLog::new(2, 1000, Arc::new(NoReports)));
        let args =
            ["klatsch-edge", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--partitions", "2", "--log-memory"];
        let Ok(Command::Run(config)) = Config::load(args.map(Into::into), []) else { panic!("no configuration") };
        let (edge, _polls) = start::prepare(*config, Shutdown::new()).unwrap();
        edge.start_follower(&log).unwrap();
        let tail = || edge.readiness.ready(Instant::now()).into_iter().find(|(check, _)| *check == Check::Tail);
        let eventually = |what: &str, done: &dyn Fn() -> bool| {
            let began = Instant::now();
            while !done() {
                assert!(began.elapsed() < Duration::from_secs(20), "not in time: {what}");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let publish = |n: usize| {
            for _ in 0..n {
                let record = NewRecord { partition: 1, room: "room".into(), value: "value".into(), trace: None };
                log.publish(record, Ticket::default()).unwrap();
            }
        };
        let is_read = || log.measured().lags.iter().all(|(_, lag)| *lag == 0);
        eventually("caught up", &|| tail().is_none());
        edge.readiness.set(Check::Topic, Ok(()));
        edge.readiness.set(Check::Producer, Ok(()));
        edge.readiness.set(Check::Log, Ok(()));
        eventually("started", &|| edge.readiness.ready(Instant::now()).is_empty() && edge.readiness.started());

        let mut before = Reading::default();
        publish(3);
        eventually("read", &is_read);
        edge.update_gauges(&*log, &mut before);
        assert_eq!(tail(), None, "it keeps up");
        log.hold_reading(true);
        publish(5);
        edge.update_gauges(&*log, &mut before);
        let (_, why) = tail().expect("unready");
        assert_eq!(why, "5 records behind the end of a partition, and none is read");
        let late = before.late;
        edge.update_gauges(&*log, &mut before);
        assert!(before.late > late && edge.metrics.log.lag_time.get() == before.late.as_secs_f64());
        log.hold_reading(false);
        eventually("read", &is_read);
        edge.update_gauges(&*log, &mut before);
        assert_eq!(tail(), None, "ready again by itself");
        edge.update_gauges(&*log, &mut before);
        assert_eq!(before.late, Duration::ZERO, "nothing waits");
        edge.server.stop();
    }

    struct NoReports;
    impl Reports for NoReports {
        fn settled(&self, _: Ticket, _: crate::log::Outcome) {}
    }
}
