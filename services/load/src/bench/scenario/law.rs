//! The broker's share: what a broker spends on an event, against the rate, the edges and the partitions, and against the
//! settings that could change it.

use std::time::Duration;

use super::broker::{AT_ONCE, one_each, settled};
use crate::{
    bench::{
        crowd::Load,
        fit::{Fit, Sample},
        fleet::{Fleet, ms},
        kafka::Kafka,
        row::short,
        stage::Stage,
    },
    outcome::complain,
};

/// What is set, and what comes at once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setting {
    /// In the table.
    pub(super) name: &'static str,
    /// For the edges.
    pub(super) args: &'static [&'static str],
    /// Events a second, all edges together.
    pub(super) rate: f64,
    /// Edges.
    pub(super) edges: u32,
    /// Partitions.
    pub(super) partitions: u32,
}

/// A setting, measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Share {
    /// Under what.
    pub(super) setting: Setting,
    /// Broker CPU for each event, microseconds.
    pub(super) broker_us: f64,
    /// CPU of all edges for each event, microseconds; an event is delivered once.
    pub(super) edges_us: f64,
    /// From due to read.
    pub(super) p50_ms: f64,
    /// The same.
    pub(super) p99_ms: f64,
}

pub(super) const DEFAULT: &str = "as it is";
pub(super) const NEVER: &str = "fetch.min.bytes=1";

const fn setting(name: &'static str, args: &'static [&'static str], rate: f64, edges: u32, partitions: u32) -> Setting {
    Setting { name, args, rate, edges, partitions }
}

/// A setting in words.
pub(super) fn described(name: &'static str) -> &'static str {
    match name {
        DEFAULT => "wait under load",
        NEVER => "never wait",
        other => other,
    }
}

/// The grid of the law, the default last where both are measured.
pub(super) fn grid() -> Vec<Setting> {
    let mut all = Vec::new();
    for rate in [100.0, 1_000.0, 4_000.0] {
        for (edges, partitions) in [(1, 6), (1, 12), (1, 24), (2, 12), (4, 6), (4, 12), (4, 24)] {
            all.push(setting(DEFAULT, &[], rate, edges, partitions));
        }
    }
    for (rate, edges) in [(1_000.0, 1), (1_000.0, 4), (4_000.0, 1), (4_000.0, 4)] {
        all.push(setting(NEVER, &AT_ONCE, rate, edges, 12));
    }
    all
}

/// Single settings, at 1,000 events a second.
pub(super) fn others() -> Vec<Setting> {
    let at = |name, args| setting(name, args, 1_000.0, 1, 12);
    vec![
        at(NEVER, &AT_ONCE),
        at("linger.ms=2", &["--kafka-property", "linger.ms=2"]),
        at("linger.ms=5", &["--kafka-property", "linger.ms=5"]),
        at(DEFAULT, &[]),
        at(
            "fetch.min.bytes=4000 fetch.wait.max.ms=3",
            &["--kafka-property", "fetch.min.bytes=4000", "--kafka-property", "fetch.wait.max.ms=3"],
        ),
        at("fetch.wait.max.ms=100", &["--kafka-property", "fetch.wait.max.ms=100"]),
        at("compression.type=lz4", &["--kafka-property", "compression.type=lz4"]),
    ]
}

/// Measures one.
///
/// # Errors
/// An edge does not start, or something was lost.
pub(super) fn measure(stage: &Stage, kafka: &Kafka, setting: &Setting) -> Result<Option<Share>, String> {
    let partitions = setting.partitions.to_string();
    let args = [&["--partitions", partitions.as_str()], setting.args].concat();
    let mut fleet = Fleet::open(stage, &kafka.log(), setting.edges, &args, one_each)?;
    // At a low rate an event is a larger part of what is measured.
    let time = stage.round().max(Duration::from_secs(4));
    let cost = settled(&mut fleet, kafka, &Load::steady(setting.rate, time))?;
    if let Some(why) = cost.broken {
        return Err(why);
    }
    let Some(broker_us) = cost.broker_us() else { return Ok(None) };
    let share = Share {
        setting: setting.clone(),
        broker_us,
        edges_us: cost.edges_us() / (cost.events as f64).max(1.0),
        p50_ms: ms(&cost.delivery, 0.5),
        p99_ms: ms(&cost.delivery, 0.99),
    };
    complain(&format!(
        "  {} at {} events/s, {} edges, {} partitions: broker {} us, p50 {} ms",
        setting.name,
        short(setting.rate),
        setting.edges,
        setting.partitions,
        short(broker_us),
        short(share.p50_ms)
    ));
    Ok(Some(share))
}

/// How often in a second an edge fetches at least under load, and how many events an answer has at most.
const FETCHES: f64 = 1_000.0 / 3.0;
const EVENTS: f64 = 4.0;
/// Events a second from which fetches wait.
const BUSY: f64 = 700.0;

/// What brokers are asked in a second: requests to produce, one for each event, and fetches of all edges: one for each
/// event, or fewer where they wait.
pub(super) fn requests(setting: &Setting) -> (f64, f64) {
    let Setting { rate, .. } = *setting;
    let each = if setting.name == NEVER || rate < BUSY { rate } else { (rate / EVENTS).max(FETCHES) };
    (rate, each * f64::from(setting.edges))
}

/// Broker CPU a second = c₀ + c₁ × requests to produce + fetches × (c₂ + c₃ × partitions), microseconds.
pub(super) fn law(shares: &[Share]) -> Option<Fit<4>> {
    let sample = |share: &Share| {
        let setting = &share.setting;
        Sample { terms: terms(setting), value: share.broker_us * setting.rate }
    };
    Fit::of(&shares.iter().map(sample).collect::<Vec<_>>())
}

/// The law's terms.
pub(super) fn terms(setting: &Setting) -> [f64; 4] {
    let (produce, fetches) = requests(setting);
    [1.0, produce, fetches, fetches * f64::from(setting.partitions)]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_quiet_cluster_is_asked_for_each_event_and_a_busy_one_for_some() {
        assert_eq!(requests(&setting(DEFAULT, &[], 100.0, 3, 12)), (100.0, 300.0));
        assert_eq!(requests(&setting(NEVER, &[], 4_000.0, 2, 12)), (4_000.0, 8_000.0));
        assert_eq!(requests(&setting(DEFAULT, &[], 4_000.0, 2, 12)), (4_000.0, 2_000.0));
        assert_eq!(requests(&setting(DEFAULT, &[], 1_000.0, 4, 12)), (1_000.0, 4.0 * FETCHES));
    }

    #[test]
    fn the_law_is_found_again() {
        let share = |setting: Setting| {
            let [one, produce, fetches, listed] = terms(&setting);
            let broker_us = (10_000.0 * one + 80.0 * produce + 40.0 * fetches + 3.0 * listed) / setting.rate;
            Share { setting, broker_us, edges_us: 0.0, p50_ms: 0.0, p99_ms: 0.0 }
        };
        let shares: Vec<_> = grid().into_iter().map(share).collect();
        let fit = law(&shares).unwrap();
        for (found, wanted) in fit.constants.iter().zip([10_000.0, 80.0, 40.0, 3.0]) {
            assert!((found / wanted - 1.0).abs() < 1e-3, "{fit:?}");
        }
    }
}
