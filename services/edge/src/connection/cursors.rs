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
    subscriptions::{Mode, Subscription},
};
use crate::{
    context::Context,
    follower::SLICE_BYTES,
    frames::Frames,
    hub::Member,
    looker::Excerpt,
    message::{Message, Subscriber, ToFollower},
    tail::Seq,
};

/// The window of a subscription that acknowledges nothing.
const UNLIMITED: usize = usize::MAX;

/// What a subscription did with a message that was offered to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It is on its way.
    Queued,
    /// It became a cursor that will read it from the tail.
    FellBehind,
    /// It has it already, or will read it later.
    No,
}

impl Connection {
    /// A new message for one of the subscriptions: queued, unless it cannot take more.
    pub fn offer(&mut self, member: Member, message: &Message, frames: &mut Frames, cap: usize) -> Offered {
        let Some(Some(subscription)) = self.subscriptions.slots.get_mut(member.subscription as usize) else {
            return Offered::No;
        };
        let Mode::Live(seat) = &mut subscription.mode else { return Offered::No };
        if message.seq <= seat.through {
            return Offered::No;
        }
        let window = self.session.window(subscription.handle);
        if self.outbound.is_full(cap) || window == 0 {
            subscription.mode = Mode::Behind { seat: *seat, reading: false, past: None };
            self.subscriptions.behind += 1;
            return Offered::FellBehind;
        }
        seat.through = message.seq;
        let frame = match window {
            UNLIMITED => frames.shared(member.shape, message),
            _ => {
                let ack = self.session.delivered(subscription.handle, &message.id.to_string());
                frames.single(member.shape, message, ack.as_deref(), false)
            }
        };
        self.outbound.push(frame);
        Offered::Queued
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
        let Some(subscription) = self.subscriptions.get(who.subscription) else { return };
        let Mode::Behind { seat, reading, .. } = &mut subscription.mode else { return };
        *reading = false;
        for message in messages {
            let ack = match self.session.window(subscription.handle) {
                0 => return,
                UNLIMITED => None,
                _ => self.session.delivered(subscription.handle, &message.id.to_string()),
            };
            seat.through = message.seq;
            let frame = cx.hub.frames.single(seat.shape, message, ack.as_deref(), message.seq <= seat.replayed);
            self.outbound.push(frame);
            cx.metrics.delivery.deliveries.inc();
        }
        seat.through = through;
        if end {
            subscription.mode = Mode::Live(*seat);
            self.subscriptions.behind -= 1;
            cx.metrics.delivery.cursors.dec();
        }
    }

    /// A subscription becomes a cursor from its beginning on: it begins in the past.
    pub(super) fn begin_behind(&mut self, handle: SubscriptionHandle, past: Option<Excerpt>, cx: &Context<'_>) {
        if let Some(subscription) = self.subscriptions.get(handle)
            && let Mode::Live(seat) = subscription.mode
        {
            subscription.mode = Mode::Behind { seat, reading: false, past: past.map(Box::new) };
            self.subscriptions.behind += 1;
            cx.metrics.delivery.cursors.inc();
        }
    }

    /// What the scanned messages hold that have not been queued yet, in octets.
    pub(super) fn past_bytes(&self) -> usize {
        let modes = self.subscriptions.slots.iter().flatten().map(|subscription| &subscription.mode);
        modes.map(|mode| if let Mode::Behind { past: Some(past), .. } = mode { past.bytes() } else { 0 }).sum()
    }

    /// Lets a cursor read on, once everything that was queued has left and its window is open.
    pub(super) fn read_on(&mut self, cx: &mut Context<'_>) {
        if self.subscriptions.behind == 0 || !self.outbound.is_empty() || !matches!(self.phase, Phase::Open) {
            return;
        }
        let count = self.subscriptions.slots.len();
        for step in 0..count {
            let at = (self.subscriptions.turn + step) % count;
            let Some(subscription) = &mut self.subscriptions.slots[at] else { continue };
            match &mut subscription.mode {
                // One at a time: its answer is a whole queue full.
                Mode::Behind { reading: true, .. } => return,
                Mode::Behind { seat, reading, past } if self.session.window(subscription.handle) > 0 => {
                    self.subscriptions.turn = at + 1;
                    if past.is_some() {
                        return self.give_out_past(at, cx);
                    }
                    *reading = true;
                    let (handle, room, after) = (subscription.handle, seat.room, seat.through);
                    let who = self.subscriber(handle, cx);
                    return cx.shell.ask(ToFollower::Read { who, room, after });
                }
                _ => {}
            }
        }
    }

    /// Queues the next of what was read from the log; at its end the subscription reads on from the tail.
    fn give_out_past(&mut self, at: usize, cx: &mut Context<'_>) {
        let Some(Subscription { handle, mode }) = &mut self.subscriptions.slots[at] else { return };
        let Mode::Behind { seat, past, .. } = mode else { return };
        let mut bytes = 0;
        while bytes < SLICE_BYTES {
            let ack = match self.session.window(*handle) {
                0 => return,
                window => window != UNLIMITED,
            };
            let Some(message) = past.as_mut().and_then(|past| past.take()) else {
                *past = None;
                break;
            };
            let ack = if ack { self.session.delivered(*handle, &message.id.to_string()) } else { None };
            let frame = cx.hub.frames.single(seat.shape, &message, ack.as_deref(), true);
            bytes += frame.len();
            self.outbound.push(frame);
            cx.metrics.delivery.deliveries.inc();
        }
        if bytes == 0 {
            self.read_on(cx);
        }
    }
}
