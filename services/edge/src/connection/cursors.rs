//! Live delivery, and cursors.
//!
//! A subscription that cannot take more (its socket is full, its window shut) becomes a cursor: nothing is queued for
//! it any more, it only knows up to where it has everything. When there is room again it reads on from the tail, a
//! slice at a time, and at the end it is live again. So a slow client costs its queue's bound and nothing else; one
//! that begins in the past also holds what was read from the log for it until that has been given out.

use std::sync::Arc;

use stomp_proto::SubscriptionHandle;

use super::{
    Connection, Phase,
    subscriptions::{Behind, Slot},
};
use crate::{
    context::Context,
    follower::SLICE_BYTES,
    frames::Frames,
    hub::Member,
    looker::Excerpt,
    message::{Message, Subscriber, ToFollower},
    outbound::Queues,
    tail::Seq,
    transport::{Transport, take_event},
};

/// The window of a subscription that acknowledges nothing.
const UNLIMITED: usize = usize::MAX;

/// What a subscription did with a run that was offered to it. What it neither queued nor fell behind of, it has already
/// or will read later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offered {
    /// So many messages are on their way.
    pub queued: usize,
    /// It became a cursor that will read the others from the tail.
    pub fell_behind: bool,
}

impl Connection {
    /// New messages for one of the subscriptions: queued, unless it cannot take more.
    pub fn offer(
        &mut self,
        member: Member,
        run: &[Arc<Message>],
        frames: &mut Frames,
        queues: &mut Queues,
        cap: usize,
    ) -> Offered {
        let mut offered = Offered::default();
        let Some(slot) = self.subscriptions.slots.get_mut(member.subscription as usize) else { return offered };
        let Slot::Live(seat) = slot else { return offered };
        // Who has come in the middle of it has the first of them already.
        let new = &run[run.iter().take_while(|message| message.seq <= seat.through).count()..];
        let Some(last) = new.last() else { return offered };
        let windowed = if seat.auto { None } else { self.session.subscription(member.subscription) };
        if let Some(handle) = windowed {
            for message in new {
                if self.outbound.is_full(cap) || self.session.window(handle) == 0 {
                    offered.fell_behind = true;
                    break;
                }
                seat.through = message.seq;
                let ack = self.session.delivered(handle, &message.id.to_string());
                self.outbound.push(frames.single(member.shape, message, ack.as_deref(), false), queues);
                offered.queued += 1;
            }
        } else if self.outbound.is_full(cap) {
            offered.fell_behind = true;
        } else {
            seat.through = last.seq;
            let all = new.len() == run.len();
            let mut octets = if all { frames.shared(member.shape, run) } else { frames.together(member.shape, new) };
            if seat.placed {
                for message in new {
                    self.outbound.push(self.transport.place(member.subscription, message.id), queues);
                    self.outbound.push(take_event(&mut octets), queues);
                }
            } else {
                self.outbound.push(octets, queues);
            }
            offered.queued = new.len();
        }
        if offered.fell_behind {
            let behind = Behind { seat: *seat, replayed: seat.through, reading: false, past: None };
            *slot = Slot::Behind(Box::new(behind));
            self.subscriptions.behind += 1;
        }
        offered
    }

    /// The next messages for a cursor.
    pub fn handle_slice(
        &mut self,
        who: Subscriber,
        messages: &[Arc<Message>],
        end: bool,
        through: Seq,
        cx: &mut Context<'_>,
    ) {
        let handle = who.subscription;
        if self.session.subscription(handle.index) != Some(handle) {
            return;
        }
        let Some(slot) = self.subscriptions.slots.get_mut(handle.index as usize) else { return };
        let Slot::Behind(behind) = slot else { return };
        behind.reading = false;
        let Some((_, shape)) = cx.hub.seat(behind.seat.membership) else { return };
        for message in messages {
            let ack = match self.session.window(handle) {
                0 => return,
                UNLIMITED => None,
                _ => self.session.delivered(handle, &message.id.to_string()),
            };
            behind.seat.through = message.seq;
            let frame = cx.hub.frames.single(shape, message, ack.as_deref(), message.seq <= behind.replayed);
            if behind.seat.placed {
                self.outbound.push(self.transport.place(handle.index, message.id), &mut cx.spares.queues);
            }
            self.outbound.push(frame, &mut cx.spares.queues);
            cx.metrics.delivery.deliveries.inc();
        }
        behind.seat.through = through;
        if end {
            *slot = Slot::Live(behind.seat);
            self.subscriptions.behind -= 1;
            cx.metrics.delivery.cursors.dec();
            self.outbound.push(self.transport.caught_up(), &mut cx.spares.queues);
        }
    }

    /// What the scanned messages hold that have not been queued yet, in octets.
    pub(super) fn past_bytes(&self) -> usize {
        let past = |slot: &Slot| match slot {
            Slot::Behind(behind) => behind.past.as_ref().map_or(0, Excerpt::bytes),
            _ => 0,
        };
        self.subscriptions.slots.iter().map(past).sum()
    }

    /// Lets a cursor read on, once everything that was queued has left and its window is open.
    pub(super) fn read_on(&mut self, cx: &mut Context<'_>) {
        if self.subscriptions.behind == 0 || !self.outbound.is_empty() || !matches!(self.phase, Phase::Open) {
            return;
        }
        let count = self.subscriptions.slots.len();
        for step in 0..count {
            let at = (self.subscriptions.turn as usize + step) % count;
            let Slot::Behind(behind) = &mut self.subscriptions.slots[at] else { continue };
            // One at a time: its answer is a whole queue full.
            if behind.reading {
                return;
            }
            let Some(handle) = self.session.subscription(at as u32) else { continue };
            if self.session.window(handle) > 0 {
                self.subscriptions.turn = at as u32 + 1;
                if behind.past.is_some() {
                    return self.give_out_past(handle, cx);
                }
                let Some((room, _)) = cx.hub.seat(behind.seat.membership) else { continue };
                behind.reading = true;
                let after = behind.seat.through;
                let who = self.subscriber(handle, cx);
                return cx.shell.ask(ToFollower::Read { who, room, after });
            }
        }
    }

    /// Queues the next of what was read from the log; at its end the subscription reads on from the tail.
    fn give_out_past(&mut self, handle: SubscriptionHandle, cx: &mut Context<'_>) {
        let Slot::Behind(behind) = &mut self.subscriptions.slots[handle.index as usize] else { return };
        let Some((_, shape)) = cx.hub.seat(behind.seat.membership) else { return };
        let past = &mut behind.past;
        let mut bytes = 0;
        while bytes < SLICE_BYTES {
            let ack = match self.session.window(handle) {
                0 => return,
                window => window != UNLIMITED,
            };
            let Some(message) = past.as_mut().and_then(|past| past.take()) else {
                *past = None;
                break;
            };
            let ack = if ack { self.session.delivered(handle, &message.id.to_string()) } else { None };
            let frame = cx.hub.frames.single(shape, &message, ack.as_deref(), true);
            bytes += frame.len();
            if behind.seat.placed {
                self.outbound.push(self.transport.place(handle.index, message.id), &mut cx.spares.queues);
            }
            self.outbound.push(frame, &mut cx.spares.queues);
            cx.metrics.delivery.deliveries.inc();
        }
        if bytes == 0 {
            self.read_on(cx);
        }
    }
}
