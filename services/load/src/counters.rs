//! What a run counts beside its checks.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// A number that every task may raise.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn up(&self) {
        self.add(1);
    }

    /// `by` more.
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// One less; only for what was counted up before.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that is counted on the wire.
#[derive(Debug, Default)]
pub struct Counters {
    /// Clients that are subscribed now.
    pub joined: Counter,
    /// SENDs written.
    pub sent: Counter,
    /// SENDs left out because their client was not connected when they were due.
    pub skipped: Counter,
    /// SENDs that were late because the server did not read, or answered too few of those before.
    pub held_up: Counter,
    /// SENDs written once more, because their outcome was unknown.
    pub again: Counter,
    /// SENDs answered with RECEIPT.
    pub receipted: Counter,
    /// SENDs answered with an ERROR that says they are not stored.
    pub refused: Counter,
    /// MESSAGEs of this run.
    pub delivered: Counter,
    /// MESSAGEs of somebody else.
    pub foreign: Counter,
    /// Sessions that began after their client's first one.
    pub reconnects: Counter,
    /// Sessions that went on where the one before had ended.
    pub recovered: Counter,
    /// Sessions that were told that they may have missed something.
    pub not_recovered: Counter,
    /// Attempts to connect that failed.
    pub failures: Counter,
    /// How sessions ended before the run did: close code, or why there was none.
    pub closes: Tally,
    /// What ERROR frames said.
    pub errors: Tally,
    /// Why attempts to connect failed.
    pub reasons: Tally,
}

/// Counts by name; for things that are rare.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<String, u64>>);

/// More different names than this are counted together.
const NAMES: usize = 64;

impl Tally {
    /// One more of `name`.
    pub fn up(&self, name: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(name) {
            *count += 1;
            return;
        }
        let name = if counts.len() < NAMES { name } else { "other" };
        *counts.entry(name.to_owned()).or_default() += 1;
    }

    /// All counts, by name.
    pub fn get(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The most frequent name.
    pub fn first(&self) -> Option<String> {
        self.get().into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name)
    }
}
