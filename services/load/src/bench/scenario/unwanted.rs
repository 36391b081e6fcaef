//! Rows 8 and 14: what an edge spends on an event that nobody here wants; and on one of many rooms.

use std::{thread, time::Duration};

use super::Scenario;
use crate::{
    bench::{
        crowd::{Load, Plan},
        fleet::{Cost, Fleet},
        foreign::{Control, Foreign, Purpose},
        kafka::{Kafka, place_of},
        meter::Meter,
        place::Place,
        row::{Row, Spread, short},
        server::Server,
        stage::{EdgeLog, Stage},
        targets,
    },
    outcome::complain,
};

pub(super) const UNWANTED: Scenario = Scenario {
    name: "unwanted",
    what: "events of other edges, 50 k/s: the whole edge, our code beside a bare consumer; of 1 k and of 1 M rooms",
    rows: &["8", "14"],
    quick: false,
    kafka: true,
    run,
};

/// Records a second; batches as a cluster of that rate has them.
pub(crate) const RATE: f64 = 50_000.0;
const LINGER_MS: u32 = 5;
pub(crate) const PARTITIONS: i32 = 12;
/// From the first record until all goes evenly.
const SETTLE: Duration = Duration::from_secs(1);
/// The same for an edge whose reader goes with the load.
const IN_PACE: Duration = Duration::from_millis(2_500);
/// How often a round is done again that a busy machine has spoilt.
const ATTEMPTS: usize = 5;
/// The tail is full after so long at this rate.
const FILL: Duration = Duration::from_secs(6);

/// An edge that listens to ten rooms, and what others write into its topic.
pub(crate) struct Listener {
    fleet: Fleet,
    foreign: Foreign,
    /// Microseconds a second without any record.
    idle: f64,
}

/// What one event cost.
pub(crate) struct Unwanted {
    /// The whole edge, microseconds.
    pub(crate) whole_us: f64,
    /// Its follower's thread, microseconds.
    follower_us: f64,
    /// The bare consumer's thread, microseconds; none ran: zero.
    control_us: f64,
}

fn run(stage: &Stage) -> Result<Vec<Row>, String> {
    let kafka = stage.kafka()?;
    let (mut few, mut many) = (Listener::open(stage, kafka, 1_000)?, Listener::open(stage, kafka, 1_000_000)?);
    few.fill(stage)?;
    many.fill(stage)?;
    let (brokers, topic) = (few.foreign.brokers.clone(), few.foreign.topic.clone());
    let time = stage.round();
    let (mut alone, mut beside, mut rooms) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..stage.rounds() {
        alone.push(few.measure(RATE, time)?);
        rooms.push(many.measure(RATE, time)?);
        let control = stage.at(Place::Server, || Control::start(&brokers, &topic, PARTITIONS, Purpose::Cost))?;
        beside.push(few.measure(RATE, time)?);
        drop(control);
        let [own, control] = [beside[round].follower_us, beside[round].control_us].map(|us| us * 1e3);
        let [few, many] = [alone[round].whole_us, rooms[round].whole_us];
        complain(&format!(
            "  round {}: {few:.2} us, of 1 M rooms {many:.2} us; follower {own:.0} ns, bare consumer {control:.0} ns",
            round + 1
        ));
        if stage.stop.asked() {
            return Err("ended before all rounds were done".to_owned());
        }
    }
    let whole = Spread::of(alone.iter().map(|cost| cost.whole_us));
    let own = Spread::of(beside.iter().map(|cost| (cost.follower_us - cost.control_us) * 1e3));
    let more = Spread::of(rooms.iter().zip(&alone).map(|(many, few)| (many.whole_us - few.whole_us) * 1e3));
    let control = Spread::of(beside.iter().map(|cost| cost.control_us * 1e3));
    let follower = Spread::of(beside.iter().map(|cost| cost.follower_us * 1e3));
    let (Some(whole), Some(own), Some(more), Some(control), Some(follower)) = (whole, own, more, control, follower)
    else {
        return Ok(Vec::new());
    };
    let load = "50 k/s";
    Ok(vec![
        Row::judged(&targets::UNWANTED, load, whole.median).note(spread(whole, "us")),
        Row::judged(&targets::UNWANTED_OWN, load, own.median)
            .measured(format!("{:.0} ns", own.median), format!("{:.0} ns in a bare consumer", control.median))
            .note(format!("{:.0} ns on the follower's thread; {}", follower.median, spread(own, "ns"))),
        Row::judged(&targets::MORE_ROOMS, load, more.median).note(spread(more, "ns")),
    ])
}

fn spread(it: Spread, unit: &str) -> String {
    format!("{}–{} {unit}", short(it.min), short(it.max))
}

impl Listener {
    /// Starts the edge.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn open(stage: &Stage, kafka: &Kafka, rooms: u32) -> Result<Listener, String> {
        let log = kafka.log();
        let fleet = Fleet::open(stage, &log, 1, &[], |edge: &Server| Plan::new(&edge.target, 20, 10))?;
        Listener::of(fleet, &log, rooms)
    }

    /// Takes an edge of this log.
    ///
    /// # Errors
    /// The log is not in Kafka, or the edge has ended.
    pub(crate) fn of(fleet: Fleet, log: &EdgeLog, rooms: u32) -> Result<Listener, String> {
        let (brokers, topic) = place_of(log).ok_or("unwanted events need a Kafka")?;
        let foreign = Foreign {
            brokers: brokers.to_owned(),
            topic: topic.to_owned(),
            partitions: PARTITIONS,
            rooms,
            rate: RATE,
            linger: LINGER_MS,
        };
        thread::sleep(SETTLE);
        let idle = idle(&fleet)?;
        Ok(Listener { fleet, foreign, idle })
    }

    /// Fills the tail.
    ///
    /// # Errors
    /// Kafka does not take the records.
    pub(crate) fn fill(&self, stage: &Stage) -> Result<(), String> {
        let writing = self.foreign.start()?;
        thread::sleep(if stage.quick { SETTLE } else { FILL });
        drop(writing);
        self.fleet.catch_up()
    }

    /// Puts SENDs on the edge until all goes evenly.
    ///
    /// # Errors
    /// The edge has ended.
    pub(crate) fn settle(&mut self, rate: f64) -> Result<(), String> {
        self.fleet.drive(None, &Load::steady(rate, SETTLE)).map(|_| ())
    }

    /// Puts SENDs on the edge.
    ///
    /// # Errors
    /// The edge has ended.
    pub(crate) fn drive(&mut self, load: &Load) -> Result<Cost, String> {
        self.fleet.drive(None, load)
    }

    /// See [`Fleet::consumed`].
    ///
    /// # Errors
    /// The edge does not tell.
    pub(crate) fn consumed(&self) -> Result<f64, String> {
        self.fleet.consumed()
    }

    /// See [`Fleet::catch_up`].
    ///
    /// # Errors
    /// The edge does not keep up.
    pub(crate) fn catch_up(&self) -> Result<(), String> {
        self.fleet.catch_up()
    }

    /// Microseconds a second without any record.
    pub(crate) fn idle(&self) -> f64 {
        self.idle
    }

    /// What an event costs at this rate, idle cost taken off.
    ///
    /// # Errors
    /// Kafka does not take the records, or the edge has ended or does not keep up.
    pub(crate) fn measure(&mut self, rate: f64, time: Duration) -> Result<Unwanted, String> {
        for _ in 0..ATTEMPTS {
            let (cost, events) = self.attempt(rate, time)?;
            if events >= 0.7 * rate * time.as_secs_f64() {
                return Ok(cost);
            }
            complain(&format!("  only {events:.0} records were read: the machine is too busy, once more"));
        }
        Err(format!("{rate:.0} records a second do not get through"))
    }

    /// And how many events there were.
    fn attempt(&mut self, rate: f64, time: Duration) -> Result<(Unwanted, f64), String> {
        let own = Meter::new(std::process::id());
        let failed = |error: std::io::Error| format!("/proc/self: {error}");
        let writing = Foreign { rate, ..self.foreign.clone() }.start()?;
        thread::sleep(IN_PACE);
        let (read, before) = (self.fleet.consumed()?, own.read().map_err(failed)?);
        let spent = self.fleet.watch(time)?;
        let (after, read) = (own.read().map_err(failed)?, self.fleet.consumed()? - read);
        drop(writing);
        self.fleet.catch_up()?;
        let (events, ours) = (read.max(1.0), after.since(&before));
        let sum = |of: &dyn Fn(&crate::bench::meter::Spent) -> f64| spent.iter().map(of).sum::<f64>();
        let whole = sum(&|spent| spent.cpu_us) - self.idle * sum(&|spent| spent.wall.as_secs_f64());
        let cost = Unwanted {
            whole_us: whole / events,
            follower_us: sum(&|spent| spent.of("follower")) / events,
            control_us: ours.of("control") / events,
        };
        Ok((cost, read))
    }
}

/// Microseconds a second that an edge uses when nothing happens: the least of some looks, as what disturbs only adds.
fn idle(fleet: &Fleet) -> Result<f64, String> {
    let mut least = f64::MAX;
    for _ in 0..4 {
        let share: f64 = fleet.watch(SETTLE / 2)?.iter().map(|spent| spent.share() * 1e6).sum();
        least = least.min(share);
    }
    Ok(least)
}
