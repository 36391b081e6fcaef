//! Messages that were read from the log, until they have been given out; and how much of an edge's memory they may take.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{message::Message, metrics::Metrics};

/// Messages of one room from one scan, shared by all subscriptions that wait for them.
#[derive(Debug)]
pub struct Scanned {
    /// In log order.
    pub messages: Vec<Arc<Message>>,
    pub(super) _share: Share,
}

/// A part of a [`Scanned`]: what one subscription still has to get.
#[derive(Debug, Clone)]
pub struct Excerpt {
    scanned: Arc<Scanned>,
    left: Range<usize>,
}

impl Excerpt {
    /// The messages with offsets from `begin` to `end` (exclusive); at most the last `most` of them.
    pub fn new(scanned: Arc<Scanned>, begin: i64, end: i64, most: usize) -> Self {
        let place = |offset| scanned.messages.partition_point(|message| message.id.offset < offset);
        let (first, last) = (place(begin), place(end));
        let left = first.max(last.saturating_sub(most))..last.max(first);
        Self { scanned, left }
    }

    /// How many messages are left.
    pub fn len(&self) -> usize {
        self.left.len()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// What is left holds about this many octets.
    pub fn bytes(&self) -> usize {
        self.scanned.messages[self.left.clone()].iter().map(|message| message.cost()).sum()
    }

    /// The next message.
    pub fn take(&mut self) -> Option<Arc<Message>> {
        self.left.next().map(|at| self.scanned.messages[at].clone())
    }
}

/// How much memory scanned messages may take: all of an edge's, and those of one room in one scan.
#[derive(Debug)]
pub struct Allowance {
    left: AtomicUsize,
    /// Of one room in one scan, in octets.
    pub of_a_room: usize,
    metrics: Arc<Metrics>,
}

impl Allowance {
    /// So many octets for an edge, and for one room in one scan.
    pub fn new(of_the_edge: usize, of_a_room: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(of_the_edge), of_a_room, metrics })
    }
}

/// Part of an [`Allowance`]; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) of: Arc<Allowance>,
    pub(super) bytes: usize,
}

impl Share {
    /// Takes so many octets more, if there are that many.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        let taken = self.of.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        if taken {
            self.change(bytes as i64);
        }
        taken
    }

    pub(super) fn shrink(&mut self, bytes: usize) {
        self.of.left.fetch_add(bytes, Ordering::Relaxed);
        self.change(-(bytes as i64));
    }

    fn change(&mut self, bytes: i64) {
        self.bytes = self.bytes.saturating_add_signed(bytes as isize);
        self.of.metrics.delivery.replay_bytes.inc_by(bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}
