//! The values of the kept records, one after the other in large blocks: keeping one allocates nothing, and forgetting
//! one touches nothing.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A block is freed when all its records are gone.
const BLOCK_BYTES: usize = 256 * 1024;

/// Where a value lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The number of its segment: a piece of a block that is whole.
    pub(super) segment: u32,
    at: u32,
    pub(super) length: u32,
}

/// Blocks in segments. A segment ends with its block, or where somebody wanted to share a value.
#[derive(Default)]
pub(super) struct Values {
    whole: VecDeque<Bytes>,
    /// The number of the oldest whole segment; numbers wrap.
    first: u32,
    open: BytesMut,
    /// A block whose records are all gone: fresh memory would cost a page fault for every few records.
    spare: BytesMut,
}

impl Values {
    /// Keeps a value.
    pub(super) fn put(&mut self, value: &[u8]) -> Place {
        if self.open.capacity() - self.open.len() < value.len() {
            self.close();
            self.open = if self.spare.capacity() >= value.len().max(BLOCK_BYTES) {
                std::mem::take(&mut self.spare)
            } else {
                BytesMut::with_capacity(BLOCK_BYTES.max(value.len()))
            };
        }
        let at = self.open.len() as u32;
        self.open.extend_from_slice(value);
        Place { segment: self.first.wrapping_add(self.whole.len() as u32), at, length: value.len() as u32 }
    }

    /// A kept value.
    pub(super) fn get(&self, place: Place) -> &[u8] {
        let Place { segment, at, length } = place;
        let segment = self.whole.get(segment.wrapping_sub(self.first) as usize).map_or(&self.open[..], |whole| whole);
        segment.get(at as usize..(at + length) as usize).unwrap_or_default()
    }

    /// A kept value that stays when it is forgotten.
    pub(super) fn share(&mut self, place: Place) -> Bytes {
        let number = place.segment.wrapping_sub(self.first) as usize;
        if number == self.whole.len() {
            self.close();
        }
        let (from, to) = (place.at as usize, (place.at + place.length) as usize);
        let segment = self.whole.get(number).filter(|segment| segment.len() >= to);
        segment.map_or_else(Bytes::new, |segment| segment.slice(from..to))
    }

    /// Nothing before this segment is kept any more.
    pub(super) fn forget_before(&mut self, segment: u32) {
        while self.first != segment
            && let Some(gone) = self.whole.pop_front()
        {
            self.first = self.first.wrapping_add(1);
            // Whole again only if nobody holds a value of it.
            if let Ok(mut block) = gone.try_into_mut() {
                block.clear();
                if block.capacity() >= BLOCK_BYTES {
                    self.spare = block;
                }
            }
        }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.whole.push_back(self.open.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// performance.md row 8: in the long run nothing is allocated for values.
    #[test]
    fn row_8_blocks_are_used_again_unless_somebody_holds_a_value() {
        let mut values = Values::default();
        let fill = |values: &mut Values, octet: u8| {
            let first = values.put(&[octet; 1_000]);
            for _ in 1..BLOCK_BYTES / 1_000 {
                values.put(&[octet; 1_000]);
            }
            (first, values.get(first).as_ptr())
        };
        let (_, one) = fill(&mut values, 1);
        let (two, _) = fill(&mut values, 2);
        values.forget_before(two.segment);
        let (three, again) = fill(&mut values, 3);
        assert_eq!(again, one);
        let held = values.share(two);
        let (four, _) = fill(&mut values, 4);
        values.forget_before(three.segment);
        let (_, other) = fill(&mut values, 5);
        assert_ne!(other, held.as_ptr());
        assert_eq!((held, values.get(four)), (Bytes::from(vec![2; 1_000]), &[4; 1_000][..]));
    }

    #[test]
    fn values_are_what_was_put_whatever_is_shared_and_forgotten() {
        let mut values = Values { first: u32::MAX - 3, ..Values::default() };
        let mut kept = VecDeque::new();
        for n in 0..20_000_u32 {
            let value = vec![n as u8; (n as usize * 7919) % 300 + usize::from(n % 997 == 0) * 300_000];
            let place = values.put(&value);
            kept.push_back((place, value));
            if n % 5 == 0 {
                let (place, value) = &kept[(n as usize * 31) % kept.len()];
                assert_eq!(values.share(*place), *value);
            }
            if kept.len() > 500 {
                kept.pop_front();
                values.forget_before(kept[0].0.segment);
            }
            let (place, value) = &kept[(n as usize * 17) % kept.len()];
            assert_eq!(values.get(*place), *value);
        }
        assert!(values.whole.len() <= 501, "{}", values.whole.len());
    }
}
