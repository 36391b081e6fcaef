//! The SENDs of one session that have no answer yet.

use std::collections::VecDeque;

/// A SEND without answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Its number at its client; the same when it is sent again.
    pub(super) number: u64,
    /// From 1.
    pub(super) attempt: u32,
    /// Its turn in the room.
    pub(super) turn: u64,
    /// When it was due.
    pub(super) due: u64,
}

/// Receipts are numbered by one, so a ring finds each at once.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    first: u64,
    ring: VecDeque<Option<Waiting>>,
}

impl Outstanding {
    /// A SEND is about to be written; returns the number of its receipt.
    pub(super) fn push(&mut self, waiting: Waiting) -> u64 {
        self.ring.push_back(Some(waiting));
        self.first + self.ring.len() as u64 - 1
    }

    /// The SEND with this receipt was answered; `None` if none waits for it.
    pub(super) fn take(&mut self, receipt: u64) -> Option<Waiting> {
        let at = usize::try_from(receipt.checked_sub(self.first)?).ok()?;
        let waiting = self.ring.get_mut(at)?.take();
        while let Some(None) = self.ring.front() {
            self.ring.pop_front();
            self.first += 1;
        }
        waiting
    }

    /// Whether a SEND with this receipt waits.
    pub(super) fn has(&self, receipt: u64) -> bool {
        let at = receipt.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.ring.get(at)).is_some_and(Option::is_some)
    }

    /// All that wait, because the session is over.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Waiting> {
        self.ring.drain(..).flatten()
    }

    /// How many wait, give or take those answered out of turn.
    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn answers_come_in_any_order_and_once() {
        let mut outstanding = Outstanding::default();
        let waiting = |number| Waiting { number, attempt: 1, turn: 0, due: 0 };
        let receipts: Vec<_> = (5..9).map(|number| outstanding.push(waiting(number))).collect();
        assert_eq!(receipts, [0, 1, 2, 3]);
        assert!(outstanding.has(1) && !outstanding.has(4));
        assert_eq!(outstanding.take(1), Some(waiting(6)));
        assert_eq!((outstanding.take(1), outstanding.has(1)), (None, false));
        assert_eq!(outstanding.take(4), None);
        assert_eq!(outstanding.take(0), Some(waiting(5)));
        assert_eq!(outstanding.len(), 2);
        assert_eq!(outstanding.push(waiting(9)), 4);
        assert_eq!(outstanding.drain().map(|waiting| waiting.number).collect::<Vec<_>>(), [7, 8, 9]);
    }
}
