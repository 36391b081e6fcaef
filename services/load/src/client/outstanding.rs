//! The SENDs of one session that have no answer yet, by number.

use std::collections::VecDeque;

/// A SEND without answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Its turn in the room.
    pub(super) turn: u64,
    /// When it was due.
    pub(super) due: u64,
}

/// Numbers rise by one, so a ring finds each at once.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    first: u64,
    ring: VecDeque<Option<Waiting>>,
}

impl Outstanding {
    /// SEND `number` was written.
    pub(super) fn push(&mut self, number: u64, waiting: Waiting) {
        if self.ring.is_empty() {
            self.first = number;
        }
        self.ring.push_back(Some(waiting));
    }

    /// SEND `number` was answered; `None` if it does not wait for an answer.
    pub(super) fn take(&mut self, number: u64) -> Option<Waiting> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let waiting = self.ring.get_mut(at)?.take();
        while let Some(None) = self.ring.front() {
            self.ring.pop_front();
            self.first += 1;
        }
        waiting
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
        let waiting = |turn| Waiting { turn, due: 0 };
        (5..9).for_each(|number| outstanding.push(number, waiting(number * 10)));
        assert_eq!(outstanding.take(6), Some(waiting(60)));
        assert_eq!(outstanding.take(6), None);
        assert_eq!(outstanding.take(4), None);
        assert_eq!(outstanding.take(9), None);
        assert_eq!(outstanding.take(5), Some(waiting(50)));
        assert_eq!(outstanding.len(), 2);
        assert_eq!(outstanding.drain().map(|waiting| waiting.turn).collect::<Vec<_>>(), [70, 80]);
        outstanding.push(20, waiting(1));
        assert_eq!(outstanding.take(20), Some(waiting(1)));
    }
}
