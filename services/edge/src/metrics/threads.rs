//! What each thread of the edge has used of a processor, read from the kernel at each scrape: nothing is measured on the
//! way of a message. A thread that uses a whole one is the bound of what an edge can do.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
    registry::Unit,
};

use super::process::cpu_seconds;

/// Threads that live as long as the edge. The others, librdkafka's above all, come and go, and are counted together.
#[derive(Debug, Default)]
pub(super) struct Threads {
    /// What the others had used at the last scrape, in microseconds: the kernel's clocks differ by a tick, and a counter
    /// that falls would count as begun anew.
    others: AtomicU64,
}

impl Collector for Threads {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut threads: Vec<(String, f64)> = tasks().unwrap_or_default();
        threads.sort_by(|a, b| a.0.cmp(&b.0));
        let others = cpu_seconds() - threads.iter().map(|(_, seconds)| seconds).sum::<f64>();
        let others = (others.max(0.0) * 1e6) as u64;
        let before = self.others.fetch_max(others, Relaxed);
        threads.push(("other".to_owned(), others.max(before) as f64 / 1e6));
        let help = "Processor time of a thread";
        let unit = Some(&Unit::Seconds);
        let mut family = encoder.encode_descriptor("klatsch_thread_cpu", help, unit, MetricType::Counter)?;
        for (name, seconds) in threads {
            ConstCounter::new(seconds).encode(family.encode_family(&[("thread", name)])?)?;
        }
        Ok(())
    }
}

/// The threads that last, with the seconds that they have used.
fn tasks() -> Option<Vec<(String, f64)>> {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let tasks = fs::read_dir("/proc/self/task").ok()?.flatten();
    Some(tasks.filter_map(|task| used(&fs::read_to_string(task.path().join("stat")).ok()?, ticks)).collect())
}

/// Name and seconds of a line of `/proc/self/task/*/stat`, if it is one of ours that lasts.
fn used(stat: &str, ticks: f64) -> Option<(String, f64)> {
    // The name stands in brackets and may hold some.
    let (head, rest) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    let worker = name.strip_prefix("worker-").is_some_and(|number| number.parse::<u16>().is_ok());
    if !worker && !matches!(name, "follower" | "http") {
        return None;
    }
    // The fields behind the name begin with the third.
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((name.to_owned(), (user + system) / ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_named_and_the_rest_is_not() {
        let line = |name: &str| format!("17 ({name}) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 77 1 2");
        assert_eq!(used(&line("worker-12"), 100.0), Some(("worker-12".to_owned(), 2.0)));
        assert_eq!(used(&line("follower"), 100.0), Some(("follower".to_owned(), 2.0)));
        for other in ["worker-a", "worker-", "rdk:broker1", "looker-0", "worker-1) S", "klatsch-edge"] {
            assert_eq!(used(&line(other), 100.0), None, "{other}");
        }
        assert_eq!(used("17 (follower) S 1", 100.0), None);
    }
}
