//! A queue whose items have numbers, each one higher than the one before, and are found by them.
//!
//! Unlike `VecDeque` it can be asked for the places that are written next: what has been round once lies in memory that
//! no cache holds, and who writes there waits, unless it was fetched before.

/// A power of two of places, or none.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    places: Vec<T>,
    first: u64,
    len: usize,
}

const SMALLEST: usize = 8;

impl<T: Copy + Default> Ring<T> {
    /// An empty ring; the first item will have this number.
    pub(crate) fn new(first: u64) -> Self {
        Self { places: Vec::new(), first, len: 0 }
    }

    /// The number of the oldest item, or of the next where there is none.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next item will have.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.len as u64
    }

    /// How many items there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The item with this number.
    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        self.holds(number).then(|| &self.places[self.place(number)])
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let place = self.place(number);
        self.holds(number).then(|| &mut self.places[place])
    }

    /// The oldest item.
    pub(crate) fn front(&self) -> Option<&T> {
        self.get(self.first)
    }

    /// Adds an item; its number.
    pub(crate) fn push(&mut self, item: T) -> u64 {
        if self.len == self.places.len() {
            self.grow();
        }
        let number = self.next();
        let place = self.place(number);
        self.places[place] = item;
        self.len += 1;
        number
    }

    /// Takes the oldest item out.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let item = *self.front()?;
        self.skip();
        Some(item)
    }

    /// Takes the oldest item out without looking at it.
    pub(crate) fn skip(&mut self) {
        if self.len > 0 {
            (self.first, self.len) = (self.first + 1, self.len - 1);
        }
    }

    /// All items, oldest first, to be changed.
    pub(crate) fn for_each_mut(&mut self, mut change: impl FnMut(&mut T)) {
        (self.first..self.next()).for_each(|number| self.get_mut(number).into_iter().for_each(&mut change));
    }

    /// What lies in the place of the item that comes after so many more: to have it fetched from memory.
    pub(crate) fn fetch(&self, later: usize) -> Option<&T> {
        self.places.get(self.place(self.next() + later as u64))
    }

    fn holds(&self, number: u64) -> bool {
        number.wrapping_sub(self.first) < self.len as u64
    }

    fn place(&self, number: u64) -> usize {
        number as usize & self.places.len().saturating_sub(1)
    }

    fn grow(&mut self) {
        let larger = vec![T::default(); (self.places.len() * 2).max(SMALLEST)];
        let before = Ring { places: std::mem::replace(&mut self.places, larger), ..*self };
        for number in self.first..self.next() {
            let place = self.place(number);
            self.places[place] = before.places[before.place(number)];
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_ring_is_a_queue_whose_items_have_numbers(
            first in prop_oneof![Just(0), Just(1), Just(1_u64 << 40)],
            pushed in prop::collection::vec(any::<bool>(), 1..300),
        ) {
            let (mut ring, mut queue, mut oldest) = (Ring::new(first), VecDeque::new(), first);
            for (item, push) in pushed.into_iter().enumerate() {
                if push {
                    prop_assert_eq!(ring.push(item), oldest + queue.len() as u64);
                    queue.push_back(item);
                } else {
                    oldest += u64::from(!queue.is_empty());
                    prop_assert_eq!(ring.pop(), queue.pop_front());
                }
                prop_assert_eq!((ring.first(), ring.next(), ring.len()), (oldest, oldest + queue.len() as u64, queue.len()));
                for (number, item) in (oldest..).zip(&queue) {
                    prop_assert_eq!(ring.get(number), Some(item));
                }
                prop_assert_eq!(ring.get(oldest.wrapping_sub(1)), None);
                prop_assert_eq!(ring.get(ring.next()), None);
                prop_assert!(ring.get_mut(ring.next()).is_none());
            }
        }
    }

    #[test]
    fn the_places_that_are_written_next_can_be_looked_at() {
        let mut ring = Ring::new(1);
        assert_eq!(ring.fetch(0), None::<&i32>);
        for item in 0..8 {
            ring.push(item);
        }
        ring.skip();
        ring.skip();
        assert_eq!((ring.fetch(0), ring.fetch(1)), (Some(&0), Some(&1)), "what has gone lies there");
        ring.for_each_mut(|item| *item += 10);
        assert_eq!((ring.front(), ring.get(8)), (Some(&12), Some(&17)));
    }
}
