//! One room of the tail, in one cache line: an edge may know a million, and each record looks at one of them.

use super::{NONE_KEPT, Seq};

/// Names up to this many octets lie in the room itself.
const SHORT: usize = 22;

/// A room's name, if it is not too long without an allocation of its own.
#[derive(Debug)]
pub(super) enum Name {
    Short { length: u8, octets: [u8; SHORT] },
    Long(Box<[u8]>),
}

impl From<&[u8]> for Name {
    fn from(name: &[u8]) -> Self {
        if name.len() > SHORT {
            return Name::Long(name.into());
        }
        let mut octets = [0; SHORT];
        octets[..name.len()].copy_from_slice(name);
        Name::Short { length: name.len() as u8, octets }
    }
}

impl Name {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Name::Short { length, octets } => &octets[..usize::from(*length)],
            Name::Long(name) => name,
        }
    }
}

/// Which workers hold subscriptions, and how many.
#[derive(Debug, Default)]
enum Interest {
    #[default]
    Nobody,
    One {
        worker: u16,
        count: u32,
    },
    #[expect(clippy::box_collection, reason = "rare, and the vector itself would make every room larger")]
    Many(Box<Vec<u32>>),
}

#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Room {
    pub(super) name: Name,
    pub(super) hash: u64,
    pub(super) last: Seq,
    /// The newest entry of this room that has been forgotten.
    pub(super) forgotten: Seq,
    interest: Interest,
}

impl Room {
    pub(super) fn new(name: &[u8], hash: u64) -> Self {
        Self { name: name.into(), hash, last: NONE_KEPT, forgotten: 0, interest: Interest::Nobody }
    }

    /// A slot that is nobody's.
    pub(super) fn free() -> Self {
        Self::new(&[], 0)
    }

    pub(super) fn is_free(&self) -> bool {
        self.name.as_slice().is_empty()
    }

    pub(super) fn is_called(&self, name: &[u8], hash: u64) -> bool {
        self.hash == hash && self.name.as_slice() == name
    }

    pub(super) fn is_wanted(&self) -> bool {
        !matches!(self.interest, Interest::Nobody)
    }

    /// One more subscription of a worker.
    pub(super) fn join(&mut self, worker: usize) {
        let this = worker as u16;
        match &mut self.interest {
            none @ Interest::Nobody => *none = Interest::One { worker: this, count: 1 },
            Interest::One { worker, count } if *worker == this => *count += 1,
            Interest::One { worker: other, count } => {
                let mut counts = vec![0; worker.max(usize::from(*other)) + 1];
                (counts[usize::from(*other)], counts[worker]) = (*count, 1);
                self.interest = Interest::Many(Box::new(counts));
            }
            Interest::Many(counts) => {
                counts.resize(counts.len().max(worker + 1), 0);
                counts[worker] += 1;
            }
        }
    }

    /// One less.
    pub(super) fn leave(&mut self, worker: usize) {
        let is_over = match &mut self.interest {
            Interest::Nobody => true,
            Interest::One { worker: only, count } if usize::from(*only) == worker => {
                *count -= 1;
                *count == 0
            }
            Interest::One { .. } => false,
            Interest::Many(counts) => {
                if let Some(count) = counts.get_mut(worker) {
                    *count = count.saturating_sub(1);
                }
                counts.iter().all(|count| *count == 0)
            }
        };
        if is_over {
            self.interest = Interest::Nobody;
        }
    }

    /// The workers that hold a subscription.
    pub(super) fn interested(&self) -> impl Iterator<Item = usize> + '_ {
        let (one, many) = match &self.interest {
            Interest::Nobody => (None, &[][..]),
            Interest::One { worker, .. } => (Some(usize::from(*worker)), &[][..]),
            Interest::Many(counts) => (None, &counts[..]),
        };
        one.into_iter().chain(many.iter().enumerate().filter(|(_, count)| **count > 0).map(|(worker, _)| worker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_5_a_room_is_a_cache_line() {
        assert_eq!(size_of::<Room>(), 64);
    }

    #[test]
    fn names_of_all_lengths_are_what_they_were() {
        for length in 0..200 {
            let name: Vec<u8> = (0..length).map(|at| at as u8).collect();
            assert_eq!(Name::from(&name[..]).as_slice(), name);
        }
    }

    #[test]
    fn whoever_joined_is_interested_until_it_has_left() {
        let mut room = Room::new(b"a", 1);
        let interested = |room: &Room| room.interested().collect::<Vec<_>>();
        for worker in [3, 3, 1, 5, 1] {
            room.join(worker);
        }
        assert_eq!(interested(&room), [1, 3, 5]);
        for worker in [1, 3, 5, 0, 9] {
            room.leave(worker);
        }
        assert_eq!(interested(&room), [1, 3]);
        room.leave(1);
        room.leave(3);
        assert!(!room.is_wanted() && interested(&room).is_empty());
    }
}
