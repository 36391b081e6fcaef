//! Several edges of one log, each with a crowd of its own in rooms of its own, under load at the same time.

use std::{thread, time::Duration};

use hdrhistogram::Histogram;

use super::{
    crowd::{Crowd, Load, Plan, Tally},
    kafka::Kafka,
    meter::{Reading, Spent},
    server::Server,
    stage::{EdgeLog, Stage},
};

/// Edges with their clients.
pub(crate) struct Fleet {
    edges: Vec<Server>,
    crowds: Vec<Crowd>,
}

/// What a load did, and what it cost.
pub(crate) struct Cost {
    /// SENDs, of all crowds.
    pub(crate) events: u64,
    /// MESSAGEs that came, to all crowds.
    pub(crate) deliveries: u64,
    /// What each edge used.
    pub(crate) edges: Vec<Spent>,
    /// Microseconds of all brokers; `None` where they are not ours.
    pub(crate) brokers: Option<f64>,
    /// Microseconds from due until read by a probe.
    pub(crate) delivery: Histogram<u64>,
    /// The generator's own lateness, 99 of 100, in milliseconds.
    pub(crate) lateness_ms: f64,
    /// What went wrong.
    pub(crate) broken: Option<String>,
}

impl Fleet {
    /// Starts `edges` edges on the server's core and lets the clients join: `members` and `rooms` of the plan are each
    /// edge's own.
    ///
    /// # Errors
    /// An edge does not start, or a client cannot join.
    pub(crate) fn open(
        stage: &Stage,
        log: &EdgeLog,
        edges: u32,
        args: &[&str],
        plan: impl Fn(&Server) -> Plan,
    ) -> Result<Fleet, String> {
        let mut fleet = Fleet { edges: Vec::new(), crowds: Vec::new() };
        for number in 0..edges {
            let name = format!("bench-{number}");
            let args: Vec<&str> = [&["--instance", name.as_str(), "--workers", "1"], args].concat();
            let edge = stage.edge(log, &args)?;
            let mut plan = plan(&edge);
            plan.dialect.room_prefix = format!("edge-{number}-");
            fleet.crowds.push(Crowd::open(&plan).map_err(|why| format!("{why}\n  {}", edge.said()))?);
            fleet.edges.push(edge);
        }
        Ok(fleet)
    }

    /// What each edge has used so far.
    ///
    /// # Errors
    /// An edge has ended.
    pub(crate) fn read(&self) -> Result<Vec<Reading>, String> {
        let read = |edge: &Server| edge.meter().read().map_err(|error| format!("edge: {error}: {}", edge.said()));
        self.edges.iter().map(read).collect()
    }

    /// Records that all edges together have read.
    ///
    /// # Errors
    /// An edge does not tell.
    pub(crate) fn consumed(&self) -> Result<f64, String> {
        self.edges.iter().map(|edge| Ok(edge.metrics()?.sum("klatsch_records_consumed_total", ""))).sum()
    }

    /// Waits until the edges have read whatever has been written.
    ///
    /// # Errors
    /// They go on reading for a long time.
    pub(crate) fn catch_up(&self) -> Result<(), String> {
        let mut before = self.consumed()?;
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(200));
            let now = self.consumed()?;
            if now <= before {
                return Ok(());
            }
            before = now;
        }
        Err("an edge does not keep up with the log".to_owned())
    }

    /// What each edge uses within `time` of whatever goes on.
    ///
    /// # Errors
    /// An edge has ended.
    pub(crate) fn watch(&self, time: Duration) -> Result<Vec<Spent>, String> {
        let before = self.read()?;
        thread::sleep(time);
        let after = self.read()?;
        Ok(after.iter().zip(&before).map(|(after, before)| after.since(before)).collect())
    }

    /// Puts a load on all edges, the rate shared out evenly.
    ///
    /// # Errors
    /// An edge has ended; what a server does wrong is in the result.
    pub(crate) fn drive(&mut self, kafka: Option<&Kafka>, load: &Load) -> Result<Cost, String> {
        let share = Load { rate: load.rate / self.crowds.len().max(1) as f64, ..*load };
        let (before, brokers) = (self.read()?, kafka.and_then(Kafka::read));
        let tallies: Vec<Tally> = thread::scope(|scope| {
            let driven: Vec<_> = self.crowds.iter_mut().map(|crowd| scope.spawn(move || crowd.drive(&share))).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, Result<Tally, String>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            driven.into_iter().map(join).collect::<Result<_, _>>()
        })?;
        let after = self.read()?;
        let brokers = brokers.zip(kafka.and_then(Kafka::read)).map(|(before, after)| after.since(&before));
        Ok(Cost {
            events: tallies.iter().map(|tally| tally.events).sum(),
            deliveries: tallies.iter().map(|tally| tally.deliveries).sum(),
            edges: after.iter().zip(&before).map(|(after, before)| after.since(before)).collect(),
            brokers,
            delivery: Tally::latencies(&tallies),
            lateness_ms: tallies.iter().map(Tally::lateness_p99_ms).fold(0.0, f64::max),
            broken: tallies.iter().find_map(Tally::broken),
        })
    }
}

impl Cost {
    /// Broker microseconds for each event.
    pub(crate) fn broker_us(&self) -> Option<f64> {
        self.brokers.map(|us| us / (self.events as f64).max(1.0))
    }

    /// Microseconds of all edges.
    pub(crate) fn edges_us(&self) -> f64 {
        self.edges.iter().map(|spent| spent.cpu_us).sum()
    }
}

/// A quantile in milliseconds.
pub(crate) fn ms(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e3
}
