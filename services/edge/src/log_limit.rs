//! Log lines about clients, at a bounded rate: what thousands of them meet at once is said a few times and counted.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Lines of one kind in one second.
const LINES: u64 = 10;

/// Counts lines by kind.
#[derive(Debug, Default)]
pub struct LogLimit(Mutex<HashMap<&'static str, Window>>);

#[derive(Debug, Default)]
struct Window {
    second: u64,
    lines: u64,
    suppressed: u64,
}

impl LogLimit {
    /// Whether a line of this kind may be written now; if so, how many have not been since the last one.
    pub fn admit(&self, kind: &'static str, now: Duration) -> Option<u64> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(kind).or_default();
        if window.second != now.as_secs() {
            (window.second, window.lines) = (now.as_secs(), 0);
        }
        if window.lines == LINES {
            window.suppressed += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_some_and_counts_the_rest() {
        let limit = LogLimit::default();
        let at = |ms| Duration::from_millis(ms);
        let said = (0..100).filter(|ms| limit.admit("slow", at(1000 + ms)).is_some()).count();
        assert_eq!(said as u64, LINES);
        assert_eq!(limit.admit("gap", at(1500)), Some(0), "each kind has its own");
        assert_eq!(limit.admit("slow", at(2000)), Some(90));
        assert_eq!(limit.admit("slow", at(2001)), Some(0));
    }
}
