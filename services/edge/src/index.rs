//! A hash index of numbers: what they stand for lies elsewhere, in the order that its owner wants.
//!
//! Each number lies beside 32 bits of its hash, so that a look-up touches one cache line of the index and, when it is
//! found, the thing itself; and taking one out leaves no tombstone behind, so that an index whose entries come and go
//! with the log is never rebuilt. `hashbrown` needs two lines for each, and rebuilds.

/// No thing has this number.
const NONE: u32 = u32::MAX;
const SMALLEST: usize = 8;

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    number: u32,
}

const EMPTY: Slot = Slot { hash: 0, number: NONE };

/// Linear probing in a table whose size is a power of two; at most five eighths of it are in use.
#[derive(Debug, Default)]
pub struct Index {
    slots: Vec<Slot>,
    len: usize,
}

impl Index {
    /// The number with this hash that `is_it`.
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.place(hash as u32, is_it).map(|at| self.slots[at].number)
    }

    /// Something of what lies where this hash is looked for first, to have it fetched from memory.
    pub fn fetch(&self, hash: u64) -> u32 {
        self.slots.get(hash as usize & self.slots.len().saturating_sub(1)).map_or(0, |slot| slot.number)
    }

    /// Adds a number, below `u32::MAX`, that is not there.
    pub fn insert(&mut self, hash: u64, number: u32) {
        if (self.len + 1) * 8 > self.slots.len() * 5 {
            self.grow();
        }
        self.len += 1;
        self.put(Slot { hash: hash as u32, number });
    }

    /// Puts `new` in the place of the number with this hash that `is_it`, or adds it; the one before.
    pub fn replace(&mut self, hash: u64, new: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        match self.place(hash as u32, is_it) {
            Some(at) => Some(std::mem::replace(&mut self.slots[at].number, new)),
            None => {
                self.insert(hash, new);
                None
            }
        }
    }

    /// Takes a number out, if it is there.
    pub fn remove(&mut self, hash: u64, number: u32) {
        let Some(mut gap) = self.place(hash as u32, |other| other == number) else { return };
        self.len -= 1;
        let mask = self.slots.len() - 1;
        // What was pushed behind its place by others moves up.
        let mut at = gap;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot.number == NONE {
                break;
            }
            let home = slot.hash as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(gap) & mask {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap] = EMPTY;
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn place(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.number == NONE {
                return None;
            }
            if slot.hash == hash && is_it(slot.number) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    fn put(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = slot.hash as usize & mask;
        while self.slots[at].number != NONE {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    fn grow(&mut self) {
        let larger = vec![EMPTY; (self.slots.len() * 2).max(SMALLEST)];
        let before = std::mem::replace(&mut self.slots, larger);
        before.into_iter().filter(|slot| slot.number != NONE).for_each(|slot| self.put(slot));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u8),
        Remove(u8),
        Replace(u8),
    }

    proptest! {
        /// Against a map, with hashes that collide in their place and in all their bits.
        #[test]
        fn an_index_is_a_map(
            bits in 1u32..6,
            steps in prop::collection::vec(prop_oneof![
                any::<u8>().prop_map(Step::Insert), any::<u8>().prop_map(Step::Remove), any::<u8>().prop_map(Step::Replace),
            ], 1..400),
        ) {
            let hash = |key: u8| u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits);
            let (mut index, mut map, mut keys) = (Index::default(), HashMap::new(), Vec::new());
            for step in steps {
                let number = keys.len() as u32;
                match step {
                    Step::Insert(key) if map.contains_key(&key) => {}
                    Step::Insert(key) => {
                        keys.push(key);
                        map.insert(key, number);
                        index.insert(hash(key), number);
                    }
                    Step::Remove(key) => {
                        index.remove(hash(key), map.remove(&key).unwrap_or(NONE - 1));
                    }
                    Step::Replace(key) => {
                        keys.push(key);
                        let before = index.replace(hash(key), number, |other| keys[other as usize] == key);
                        prop_assert_eq!(before, map.insert(key, number));
                    }
                }
                prop_assert_eq!(index.len(), map.len());
                for key in 0..=u8::MAX {
                    let found = index.find(hash(key), |number| keys[number as usize] == key);
                    prop_assert_eq!(found, map.get(&key).copied());
                }
            }
        }
    }
}
