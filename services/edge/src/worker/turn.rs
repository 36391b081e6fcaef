//! What a turn of the worker's loop does to single connections: hand them something, and at its end their one write.

use std::sync::Arc;

use slab::Slab;

use super::{
    core::{Core, Slot},
    socket::ClientSocket,
};
use crate::{
    connection::{Connection, Offered},
    context::{Context, Shell},
    frames::Frames,
    hub::{Audience, Member},
    log::Ticket,
    message::Message,
    metrics::{Discarded, Metrics},
    outbound::{Queues, Written},
};

impl<S: ClientSocket, O: Shell> Core<S, O> {
    /// Hands something to a connection, and sees to what follows at the end of the turn.
    pub(super) fn with(&mut self, slot: usize, act: impl FnOnce(&mut Connection, &mut Context<'_>)) {
        self.act_on(slot, act);
        self.touch(slot);
    }

    fn act_on(&mut self, slot: usize, act: impl FnOnce(&mut Connection, &mut Context<'_>)) {
        let Some(it) = self.slots.get_mut(slot) else { return };
        it.connection.stirred = true;
        let mut cx = Context {
            now: self.now,
            worker: self.index,
            slot,
            settings: &self.settings,
            hub: &mut self.hub,
            shell: &mut self.outlets,
            spares: &mut self.spares,
            metrics: &self.metrics,
        };
        act(&mut it.connection, &mut cx);
    }

    /// The same, if the slot's tenant is still the one that is meant.
    pub(super) fn with_tenant(
        &mut self,
        slot: usize,
        generation: u32,
        act: impl FnOnce(&mut Connection, &mut Context<'_>),
    ) {
        if self.is_tenant(slot, generation) {
            self.with(slot, act);
        }
    }

    pub(super) fn is_tenant(&self, slot: usize, generation: u32) -> bool {
        self.slots.get(slot).is_some_and(|it| it.connection.generation == generation)
    }

    pub(super) fn touch(&mut self, slot: usize) {
        if let Some(it) = self.slots.get_mut(slot)
            && !it.connection.touched
        {
            it.connection.touched = true;
            self.touched.push(slot);
        }
    }

    /// Gives every touched connection its write and its timer, and drops the dead.
    pub(super) fn settle_touched(&mut self) {
        let mut written = Written::default();
        // Swapped, so that what is touched meanwhile has its next turn, and neither list is ever made anew.
        std::mem::swap(&mut self.touched, &mut self.settling);
        for at in 0..self.settling.len() {
            self.settle(self.settling[at], &mut written);
        }
        self.settling.clear();
        self.metrics.delivery.writes.inc_by(written.writes);
        self.metrics.stomp.sent_bytes.inc_by(written.bytes);
        self.metrics.delivery.queued_bytes.inc_by(std::mem::take(&mut self.queued_bytes));
    }

    fn settle(&mut self, slot: usize, written: &mut Written) {
        let Some(it) = self.slots.get_mut(slot) else { return };
        it.connection.touched = false;
        match it.connection.outbound.flush(&mut it.socket, self.now, &mut self.spares.queues) {
            Ok(more) => {
                *written += more;
                // By far the most: it got a message and has taken it.
                if it.connection.is_as_before() {
                    return;
                }
            }
            Err(_) => self.act_on(slot, Connection::cannot_write),
        }
        self.act_on(slot, Connection::handle_flushed);
        let Some(it) = self.slots.get_mut(slot) else { return };
        let connection = &mut it.connection;
        connection.stirred = false;
        let waiting = connection.outbound.bytes();
        let before = std::mem::replace(&mut connection.counted_bytes, waiting);
        self.queued_bytes += waiting as i64 - before as i64;
        if let Some(linger_zero) = connection.is_dead() {
            return self.close(slot, linger_zero);
        }
        if let Some(deadline) = connection.deadline(&self.settings) {
            connection.armed = self.wheel.arm(slot, deadline, connection.armed);
        }
        if connection.take_end() {
            it.socket.finish();
        }
        if connection.readable && connection.wants_input() {
            self.ready.push(slot);
        }
        // Having written may have made room for more to be said.
        if connection.outbound.is_writable() {
            self.touch(slot);
        }
    }

    fn close(&mut self, slot: usize, linger_zero: bool) {
        // A membership must not outlive its connection: the slot's next tenant would get its messages.
        self.act_on(slot, Connection::depart);
        let mut it = self.slots.remove(slot);
        it.connection.retire(&self.metrics, self.now);
        let (worker, connection, generation) = (self.index as u32, slot as u32, it.connection.generation);
        let unsettled = it.connection.unsettled().map(|send| Ticket { worker, connection, generation, send });
        self.orphans.extend(unsettled);
        let waited = it.connection.counted_bytes;
        self.queued_bytes -= waited as i64;
        let why = if linger_zero { Discarded::Slow } else { Discarded::Closed };
        self.metrics.delivery.discarded.of(why).inc_by(waited as u64);
        if linger_zero {
            it.socket.cut();
        } else {
            it.socket.finish();
        }
        self.closed.push(it.socket);
    }
}

/// What a batch came to: one addition to each counter, not one for each delivery.
#[derive(Default)]
pub(super) struct Count {
    queued: usize,
    fell_behind: usize,
}

impl Count {
    pub(super) fn add(&mut self, Offered { queued, fell_behind }: Offered) {
        self.queued += queued;
        self.fell_behind += usize::from(fell_behind);
    }

    /// Whether anything was queued.
    pub(super) fn is_some(&self) -> bool {
        self.queued > 0
    }

    pub(super) fn report(&self, metrics: &Metrics) {
        metrics.delivery.deliveries.inc_by(self.queued as u64);
        metrics.delivery.cursors.inc_by(self.fell_behind as i64);
    }
}

/// The connections of a worker, as the hub sees them.
pub(super) struct Connections<'a, S> {
    pub(super) slots: &'a mut Slab<Slot<S>>,
    pub(super) touched: &'a mut Vec<usize>,
    pub(super) queues: &'a mut Queues,
    /// What may wait for each, in octets.
    pub(super) cap: usize,
    pub(super) count: Count,
    /// When the first message was sent that was offered to anybody.
    pub(super) oldest: Option<i64>,
}

impl<S> Audience for Connections<'_, S> {
    /// Offers a run to one member of a room and notes who has to be written to.
    fn offer(&mut self, member: Member, run: &[Arc<Message>], frames: &mut Frames) {
        let slot = member.connection as usize;
        let Some(it) = self.slots.get_mut(slot) else { return };
        self.oldest = self.oldest.or_else(|| run.first().map(|message| message.sent_ms()));
        self.count.add(it.connection.offer(member, run, frames, self.queues, self.cap));
        if !it.connection.touched {
            it.connection.touched = true;
            self.touched.push(slot);
        }
    }
}
