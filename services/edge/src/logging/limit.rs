//! How often lines of one kind are written: what thousands of clients meet at once is said a few times, and counted.

use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Lines of one kind in one second.
const LINES: u64 = 10;

/// Counts lines by kind. Kinds are a closed set, so this is bounded.
#[derive(Debug, Default)]
pub(super) struct Limit(Mutex<HashMap<String, Window>>);

#[derive(Debug, Default)]
struct Window {
    second: u64,
    lines: u64,
    suppressed: u64,
    /// Those that are suppressed have been so since [`Limit::take_silent`] last looked.
    fresh: bool,
}

impl Limit {
    /// Whether a line of this kind may be written now; if so, how many have not been since the last one.
    pub(super) fn admit(&self, kind: &str, now: Duration) -> Option<u64> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !windows.contains_key(kind) {
            windows.insert(kind.to_owned(), Window::default());
        }
        let window = windows.get_mut(kind)?;
        if window.second != now.as_secs() {
            (window.second, window.lines) = (now.as_secs(), 0);
        }
        if window.lines == LINES {
            window.suppressed += 1;
            window.fresh = true;
            return None;
        }
        window.lines += 1;
        Some(mem::take(&mut window.suppressed))
    }

    /// The kinds of which lines were suppressed, and none since this was last called: nobody would hear of them.
    pub(super) fn take_silent(&self) -> Vec<(String, u64)> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut silent = Vec::new();
        for (kind, window) in windows.iter_mut() {
            if window.suppressed > 0 && !mem::take(&mut window.fresh) {
                silent.push((kind.clone(), mem::take(&mut window.suppressed)));
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_some_and_counts_the_rest() {
        let limit = Limit::default();
        let at = |ms| Duration::from_millis(ms);
        let said = (0..100).filter(|ms| limit.admit("slow", at(1000 + ms)).is_some()).count();
        assert_eq!(said as u64, LINES);
        assert_eq!(limit.admit("gap", at(1500)), Some(0), "each kind has its own");
        assert_eq!(limit.admit("slow", at(2000)), Some(90));
        assert_eq!(limit.admit("slow", at(2001)), Some(0));
    }

    #[test]
    fn the_end_of_a_burst_is_told_once_it_is_over() {
        let limit = Limit::default();
        for _ in 0..15 {
            limit.admit("slow", Duration::ZERO);
        }
        assert_eq!(limit.take_silent(), [], "it may go on");
        assert_eq!(limit.take_silent(), [("slow".to_owned(), 5)]);
        assert_eq!(limit.take_silent(), []);
        assert_eq!(limit.admit("slow", Duration::from_secs(9)), Some(0), "told already");
    }
}
