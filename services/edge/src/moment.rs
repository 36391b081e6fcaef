//! A moment on the worker's clock in eight octets: every idle connection has several, or room for them. And the wall's.

use std::{
    num::NonZeroU64,
    time::{Duration, SystemTime},
};

/// What this machine's clock says, milliseconds since the Unix epoch.
pub fn wall_ms() -> i64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// Nanoseconds since the worker's origin. An `Option` of it is as large, half of what one of a `Duration` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(NonZeroU64);

impl From<Duration> for Moment {
    /// 584 years are enough for any origin.
    fn from(since_origin: Duration) -> Self {
        let nanos = u64::try_from(since_origin.as_nanos()).unwrap_or(u64::MAX);
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }
}

impl From<Moment> for Duration {
    fn from(moment: Moment) -> Self {
        Duration::from_nanos(moment.0.get() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_4_there_and_back_in_eight_octets() {
        for nanos in [0, 1, 1_500_000_000, u64::MAX - 1] {
            let moment = Duration::from_nanos(nanos);
            assert_eq!(Duration::from(Moment::from(moment)), moment);
        }
        assert_eq!(size_of::<Option<Moment>>(), 8);
    }
}
