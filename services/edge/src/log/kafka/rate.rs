//! How many records a second the whole cluster writes: what waits under load goes by it.

use std::{
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use super::{context::lock, reader::FeedShared};

/// The readers of a log, as long as they live.
pub(super) type Feeds = Arc<Mutex<Vec<Weak<FeedShared>>>>;

/// Records read by the feed, all partitions together.
pub(super) fn position(feeds: &Feeds) -> i64 {
    let feed = lock(feeds).iter().find_map(Weak::upgrade);
    feed.map_or(0, |feed| feed.positions().iter().map(|(next, _)| next).sum())
}

/// A rate that is looked at every now and then.
pub(super) struct Rate {
    every: Duration,
    last: Option<(i64, Instant)>,
}

impl Rate {
    /// Looked at so often.
    pub(super) fn new(every: Duration) -> Self {
        Self { every, last: None }
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.last.is_none_or(|(_, at)| now.saturating_duration_since(at) >= self.every)
    }

    /// Records a second since the last look; `None` where nothing is known, as of another log or a feed that begins.
    pub(super) fn look(&mut self, position: i64, now: Instant) -> Option<f64> {
        let (before, at) = self.last.replace((position, now))?;
        let seconds = now.saturating_duration_since(at).as_secs_f64();
        (position >= before && before > 0 && seconds > 0.0).then(|| (position - before) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_that_begins_or_begins_anew_is_no_load() {
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        let mut rate = Rate::new(second / 4);
        assert!(rate.is_due(begun));
        assert_eq!(rate.look(0, begun), None);
        assert!(!rate.is_due(begun + second / 5) && rate.is_due(begun + second / 4));
        assert_eq!(rate.look(1_000_000, begun + second), None);
        assert_eq!(rate.look(1_000_500, begun + second * 3), Some(250.0));
        assert_eq!(rate.look(10, begun + second * 4), None);
    }
}
