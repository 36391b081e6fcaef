//! The values of the kept records, one after the other in large blocks: keeping one allocates nothing, and forgetting
//! one touches nothing.

use std::{collections::VecDeque, ops::Range};

use bytes::{Bytes, BytesMut};

/// A block is freed when all its records are gone.
const BLOCK_BYTES: usize = 256 * 1024;
/// What memory hands over at a time.
const LINE: usize = 64;

/// Where a value lies.
///
/// Two words and not four, of the sizes that they are copied with: a processor that has to put a copy together from
/// smaller writes waits for all writes before them, and those are the value's, into cold memory.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, packed(4))]
pub(super) struct Place {
    /// The number of its segment above, its place in there below.
    start: u64,
    length: u32,
}

impl Place {
    fn new(segment: u32, at: u32, length: u32) -> Self {
        Self { start: u64::from(segment) << 32 | u64::from(at), length }
    }

    /// The number of its segment: a piece of a block that is whole.
    pub(super) fn segment(self) -> u32 {
        (self.start >> 32) as u32
    }

    /// Octets.
    pub(super) fn length(self) -> usize {
        self.length as usize
    }

    fn range(self) -> Range<usize> {
        let at = self.start as u32 as usize;
        at..at + self.length()
    }
}

/// Blocks in segments. A segment ends with its block, or where somebody wanted to share a value.
#[derive(Default)]
pub(super) struct Values {
    whole: VecDeque<Bytes>,
    /// The number of the oldest whole segment; numbers wrap.
    first: u32,
    /// Filled so far as `filled` says. The rest is initialised, so that it can be fetched from memory before it is written.
    open: BytesMut,
    filled: usize,
    /// A block whose records are all gone: fresh memory would cost a page fault for every few records.
    spare: BytesMut,
}

impl Values {
    /// Keeps a value.
    pub(super) fn put(&mut self, value: &[u8]) -> Place {
        if self.open.len() - self.filled < value.len() {
            self.close();
            self.open = if self.spare.len() >= value.len().max(BLOCK_BYTES) {
                std::mem::take(&mut self.spare)
            } else {
                BytesMut::zeroed(BLOCK_BYTES.max(value.len()))
            };
        }
        let at = self.filled;
        self.filled += value.len();
        self.open[at..self.filled].copy_from_slice(value);
        Place::new(self.first.wrapping_add(self.whole.len() as u32), at as u32, value.len() as u32)
    }

    /// A kept value.
    pub(super) fn get(&self, place: Place) -> &[u8] {
        let number = place.segment().wrapping_sub(self.first) as usize;
        let segment = self.whole.get(number).map_or(&self.open[..], |whole| whole);
        segment.get(place.range()).unwrap_or_default()
    }

    /// A kept value that stays when it is forgotten.
    pub(super) fn share(&mut self, place: Place) -> Bytes {
        let number = place.segment().wrapping_sub(self.first) as usize;
        if number == self.whole.len() {
            self.close();
        }
        let segment = self.whole.get(number).filter(|segment| segment.len() >= place.range().end);
        segment.map_or_else(Bytes::new, |segment| segment.slice(place.range()))
    }

    /// Nothing before this segment is kept any more.
    pub(super) fn forget_before(&mut self, segment: u32) {
        while self.first != segment
            && let Some(gone) = self.whole.pop_front()
        {
            self.first = self.first.wrapping_add(1);
            // Whole again only if nobody holds a value of it.
            if let Ok(mut block) = gone.try_into_mut()
                && block.capacity() >= BLOCK_BYTES
            {
                block.resize(block.capacity(), 0);
                self.spare = block;
            }
        }
    }

    fn close(&mut self) {
        if self.filled > 0 {
            self.whole.push_back(self.open.split_to(self.filled).freeze());
            self.filled = 0;
        }
    }

    /// Something of each line of memory that so many octets will be put into, to have it fetched.
    pub(super) fn fetch(&self, octets: usize) -> u8 {
        self.open[self.filled..].iter().take(octets).step_by(LINE).fold(0, |sum, octet| sum ^ octet)
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
        values.forget_before(two.segment());
        let (three, again) = fill(&mut values, 3);
        assert_eq!(again, one);
        let held = values.share(two);
        let (four, _) = fill(&mut values, 4);
        values.forget_before(three.segment());
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
                values.forget_before(kept[0].0.segment());
            }
            let (place, value) = &kept[(n as usize * 17) % kept.len()];
            assert_eq!(values.get(*place), *value);
        }
        assert!(values.whole.len() <= 501, "{}", values.whole.len());
    }
}
