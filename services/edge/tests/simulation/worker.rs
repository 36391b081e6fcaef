//! One worker of an edge: its core, its sockets, and what waits for it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use klatsch_edge::{
    log::{Outcome, Ticket},
    message::FromFollower,
    worker::{Core, Outlets},
};

use crate::{
    edge::Names,
    kafka::Producer,
    link::{Shared, SimSocket},
    plan::Plan,
};

/// RECEIPTs, ERROR, beats: what may be added to a full queue.
const ANSWERS: usize = 4096;
/// What a cursor reads at a time.
const SLICE: usize = 32 * 1024;

/// One worker, and what waits for it.
pub struct Worker {
    pub core: Core<SimSocket, Outlets<Producer, Names>>,
    pub links: BTreeMap<usize, Shared>,
    pub arriving: Vec<Shared>,
    pub told: VecDeque<FromFollower>,
    pub reports: VecDeque<(Ticket, Outcome)>,
    /// Slots of clients that take nothing and for whom as much waits as may, and how much that was at first.
    pub full: BTreeMap<usize, usize>,
    /// When it asked to be woken.
    pub wake_at: Duration,
    pub stalled_until: Duration,
}

impl Worker {
    /// Octets that wait, by slot.
    fn queued(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        // Both in the order of slots.
        self.links.keys().copied().zip(self.core.queued())
    }

    /// Promise 7: to what waits for a client that takes nothing, nothing is added but answers, and the one slice that had
    /// been asked for before.
    pub fn judge_growth(&mut self, plan: &Plan) -> Result<(), String> {
        let most = SLICE + plan.largest_body + 512 + ANSWERS;
        let queued: Vec<_> = self.queued().collect();
        self.full.retain(|slot, _| queued.iter().any(|(of, _)| of == slot));
        for (slot, queued) in queued {
            if queued < plan.outbound_bytes || !self.links[&slot].borrow().blocked {
                self.full.remove(&slot);
                continue;
            }
            let before = *self.full.entry(slot).or_insert(queued);
            if queued > before + most {
                return Err(format!("p7: {before} octets waited for a client that takes none, now {queued}"));
            }
        }
        Ok(())
    }
}
