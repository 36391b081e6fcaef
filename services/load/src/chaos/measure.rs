//! How long the flow of RECEIPTs was disturbed: buckets of 100 ms, against the rate and the latency before the fault.

use super::seen::{Answer, What};

/// The width of a bucket, in microseconds.
pub(crate) const BUCKET: u64 = 100_000;
/// The flow is judged over this many buckets, one second.
const WINDOW: usize = 10;
/// A second with less than this share of the normal RECEIPTs is disturbed.
const ENOUGH: f64 = 0.7;
/// A bucket with less than this share is where a disturbance begins or goes on.
const SOME: f64 = 0.5;
/// No RECEIPT is late before this, however fast the log is when it is quiet: the machine does other things too.
const LATE: u64 = 500_000;
/// And each is after this.
const TOO_LATE: u64 = 1_000_000;

/// What RECEIPTs are like without a fault.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Normal {
    /// RECEIPTs a second.
    pub(crate) rate: f64,
    /// 99th percentile from SEND to RECEIPT, in microseconds.
    pub p99: u64,
}

/// A time in which RECEIPTs did not flow as they should, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outage {
    /// The first bucket that lacked RECEIPTs.
    pub(crate) from: u64,
    /// The end of the first bucket that had them again; `None`: none had while anybody looked.
    pub(crate) until: Option<u64>,
}

impl Normal {
    /// From the answers of a quiet time; `None` if there were none.
    pub(crate) fn of(answers: &[Answer], from: u64, until: u64) -> Option<Normal> {
        let receipts = answers.iter().filter(|answer| answer.what == What::Receipt);
        let mut latencies: Vec<u64> = receipts
            .filter(|answer| (from..until).contains(&answer.at))
            .map(|answer| answer.at.saturating_sub(answer.sent))
            .collect();
        let rate = latencies.len() as f64 / (until.saturating_sub(from) as f64 / 1e6).max(1e-3);
        Some(Normal { rate, p99: percentile(&mut latencies, 0.99)? })
    }

    /// The log answers as it does when it is warm.
    pub(crate) fn is_calm(&self) -> bool {
        self.p99 <= LATE
    }

    fn late(&self) -> u64 {
        (3 * self.p99).clamp(LATE, TOO_LATE)
    }
}

/// Every disturbance that began in `from..until`.
pub(crate) fn outages(answers: &[Answer], normal: &Normal, from: u64, until: u64) -> Vec<Outage> {
    let mut buckets = vec![0_u32; (until.saturating_sub(from) / BUCKET) as usize];
    for answer in answers {
        let in_time = answer.what == What::Receipt && answer.at.saturating_sub(answer.sent) <= normal.late();
        let bucket = answer.at.checked_sub(from).and_then(|since| buckets.get_mut((since / BUCKET) as usize));
        if let (true, Some(bucket)) = (in_time, bucket) {
            *bucket += 1;
        }
    }
    let lacks = |bucket: usize| f64::from(buckets[bucket]) < SOME * normal.rate * (BUCKET as f64 / 1e6);
    let disturbed = |bucket: usize| {
        let window = &buckets[bucket..bucket + WINDOW];
        f64::from(window.iter().sum::<u32>()) < ENOUGH * normal.rate * (WINDOW as f64 * BUCKET as f64 / 1e6)
    };
    let at = |bucket: usize| from + bucket as u64 * BUCKET;
    let windows = (buckets.len() + 1).saturating_sub(WINDOW);
    let (mut outages, mut bucket) = (Vec::new(), 0);
    while bucket < windows {
        if !disturbed(bucket) {
            bucket += 1;
            continue;
        }
        // The window looks ahead: the disturbance begins where RECEIPTs begin to lack.
        let begun = (bucket..bucket + WINDOW).find(|bucket| lacks(*bucket)).unwrap_or(bucket);
        let over = (begun..windows).find(|bucket| !lacks(*bucket) && !disturbed(*bucket));
        outages.push(Outage { from: at(begun), until: over.map(|bucket| at(bucket + 1)) });
        bucket = over.unwrap_or(windows);
    }
    outages
}

/// A percentile, `None` of nothing. Sorts.
pub(crate) fn percentile(values: &mut [u64], share: f64) -> Option<u64> {
    values.sort_unstable();
    let last = values.len().checked_sub(1)?;
    values.get((last as f64 * share).round() as usize).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    /// 100 a second for 20 s from 1 s on, 5 ms late, but those of `held` come when that is over.
    fn flow(held: &[(u64, u64)]) -> Vec<Answer> {
        let sends = (0..2_000_u64).map(|n| 1_000_000 + n * 10_000);
        let answers = sends.map(|sent| {
            let at = held.iter().find(|(from, until)| (*from..*until).contains(&sent)).map_or(sent, |held| held.1);
            Answer { sent, at: at + 5_000, what: What::Receipt }
        });
        answers.collect()
    }

    const S: u64 = 1_000_000;

    #[test]
    fn a_quiet_time_says_what_is_normal() {
        let normal = Normal::of(&flow(&[]), 2 * S, 6 * S).unwrap();
        assert!((normal.rate - 100.0).abs() < 1.0 && normal.p99 == 5_000, "{normal:?}");
        assert_eq!(Normal::of(&[], 0, S), None);
        assert_eq!(outages(&flow(&[]), &normal, 2 * S, 20 * S), []);
    }

    #[test]
    fn a_stall_is_measured_to_the_bucket() {
        let normal = Normal { rate: 100.0, p99: 5_000 };
        // The last half second of the held ones comes in time, but all at once: the bucket from 8.2 s on has RECEIPTs.
        let found = outages(&flow(&[(5 * S, 8_200_000)]), &normal, 4 * S, 20 * S);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].from, found[0].until), (5 * S, Some(8_300_000)), "{found:?}");
    }

    #[test]
    fn two_stalls_are_two_and_an_endless_one_has_no_end() {
        let normal = Normal { rate: 100.0, p99: 5_000 };
        let found = outages(&flow(&[(5 * S, 7 * S), (12 * S, 13 * S)]), &normal, 4 * S, 20 * S);
        assert_eq!(found.len(), 2, "{found:?}");
        let found = outages(&flow(&[(15 * S, 60 * S)]), &normal, 4 * S, 20 * S);
        assert_eq!((found[0].from, found[0].until, found.len()), (15 * S, None, 1));
    }

    #[test]
    fn refusals_and_a_third_of_the_clients_missing_are_disturbances() {
        let normal = Normal { rate: 100.0, p99: 5_000 };
        let mut answers = flow(&[]);
        for (n, answer) in answers.iter_mut().enumerate() {
            if (5 * S..6 * S).contains(&answer.at) && n % 3 == 0 {
                answer.what = What::Refused;
            }
        }
        let found = outages(&answers, &normal, 4 * S, 20 * S);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn percentiles() {
        assert_eq!(percentile(&mut [], 0.5), None);
        assert_eq!(percentile(&mut [3, 1, 2], 0.5), Some(2));
        assert_eq!(percentile(&mut [3, 1, 2], 0.99), Some(3));
    }
}
