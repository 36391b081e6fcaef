//! What a session has to say.

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};
use core::{mem, ops::Deref};

/// One piece of the stream to the client, as octets by `Deref`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// One LF.
    Beat,
    /// One whole frame. There is room behind it for what a transport has to add.
    Frame(Vec<u8>),
}

impl Deref for Transmit {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Transmit::Beat => b"\n",
            Transmit::Frame(frame) => frame,
        }
    }
}

/// Frames in their order. Mostly there is one at a time, which takes no allocation beside its own.
#[derive(Default)]
pub(super) struct Transmits {
    /// The next one; empty if there is none.
    next: Vec<u8>,
    #[expect(clippy::box_collection, reason = "rare, and the queue itself would make every session larger")]
    later: Option<Box<VecDeque<Vec<u8>>>>,
}

impl Transmits {
    pub(super) fn push(&mut self, frame: Vec<u8>) {
        if self.next.is_empty() {
            self.next = frame;
        } else {
            self.later.get_or_insert_default().push_back(frame);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let next = mem::take(&mut self.next);
        if let Some(later) = &mut self.later {
            self.next = later.pop_front().unwrap_or_default();
            if later.is_empty() {
                self.later = None;
            }
        }
        (!next.is_empty()).then_some(next)
    }
}
