//! Latencies, from the time a SEND was due, in HDR histograms (3 digits, 1 µs to 60 s).

use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Three histograms: µs until RECEIPT, µs until each MESSAGE, and µs by which the generator itself was late.
pub struct Latency {
    /// From due to the RECEIPT.
    pub receipt: Histogram<u64>,
    /// From due to a MESSAGE at one of its receivers.
    pub delivery: Histogram<u64>,
    /// From due to the moment the generator wrote the SEND.
    pub lateness: Histogram<u64>,
}

impl Latency {
    /// Empty ones.
    pub fn new() -> Latency {
        Latency { receipt: histogram(), delivery: histogram(), lateness: histogram() }
    }

    /// Takes over what `other` holds and leaves it empty.
    pub fn absorb(&mut self, other: &mut Latency) {
        let pairs = [
            (&mut self.receipt, &mut other.receipt),
            (&mut self.delivery, &mut other.delivery),
            (&mut self.lateness, &mut other.lateness),
        ];
        for (into, from) in pairs {
            if !from.is_empty() {
                // Both have the same bounds, so every value fits.
                let _ = into.add(&*from);
                from.reset();
            }
        }
    }
}

impl Default for Latency {
    fn default() -> Self {
        Latency::new()
    }
}

/// Some histograms, so that the threads of a run seldom wait for each other.
pub struct Shards(Vec<Mutex<Latency>>);

impl Shards {
    /// `count` of them, at least one.
    pub fn new(count: usize) -> Shards {
        Shards((0..count.max(1)).map(|_| Mutex::new(Latency::new())).collect())
    }

    /// The one for this client.
    pub fn of(&self, client: u32) -> MutexGuard<'_, Latency> {
        // A panic while recording a number leaves a usable histogram behind.
        self.0[client as usize % self.0.len()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has been recorded since the last call.
    pub fn take(&self) -> Latency {
        let mut all = Latency::new();
        for shard in &self.0 {
            all.absorb(&mut shard.lock().unwrap_or_else(PoisonError::into_inner));
        }
        all
    }
}

/// Records nanoseconds as microseconds; more than a minute counts as a minute.
pub fn record(histogram: &mut Histogram<u64>, nanoseconds: u64) {
    histogram.saturating_record((nanoseconds / 1_000).max(1));
}

/// The figures of a histogram that a report shows, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Median.
    pub p50_ms: f64,
    /// Nine of ten are faster.
    pub p90_ms: f64,
    /// 99 of 100 are faster.
    pub p99_ms: f64,
    /// The slowest one.
    pub max_ms: f64,
}

impl Figures {
    /// `None` if nothing was recorded.
    pub fn of(histogram: &Histogram<u64>) -> Option<Figures> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        (!histogram.is_empty()).then(|| Figures {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            max_ms: histogram.max() as f64 / 1e3,
        })
    }
}

fn histogram() -> Histogram<u64> {
    // These bounds are constants that the library takes; the other arm cannot be reached.
    Histogram::new_with_bounds(1, 60_000_000, 3).unwrap_or_else(|_| unreachable!("1 µs to 60 s, 3 digits"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn shards_are_one_histogram_to_the_reader() {
        let shards = Shards::new(2);
        for client in 0..100 {
            record(&mut shards.of(client).receipt, u64::from(client + 1) * 1_000_000);
        }
        record(&mut shards.of(0).delivery, u64::MAX);
        let all = shards.take();
        let figures = Figures::of(&all.receipt).unwrap();
        assert!((figures.p50_ms - 50.0).abs() < 0.1 && (figures.max_ms - 100.0).abs() < 0.1, "{figures:?}");
        assert!(Figures::of(&all.delivery).unwrap().max_ms > 59_000.0);
        assert_eq!(Figures::of(&all.lateness), None);
        assert!(shards.take().receipt.is_empty());
    }
}
