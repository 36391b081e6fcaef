//! SUBSCRIBE and UNSUBSCRIBE: what a connection listens to.

use bytes::Bytes;
use stomp_proto::{Subscribe, SubscriptionHandle, Text};

use super::{Connection, resume::begin_of};
use crate::{
    context::Context,
    destination::Target,
    disconnect::Ending,
    frames::{Shape, ShapeId},
    hub::MembershipId,
    looker::Excerpt,
    message::{Begin, Subscriber, ToFollower},
    metrics::Subscribed,
    tail::{RoomId, Seq},
};

pub(super) enum Mode {
    /// The follower has been asked; RECEIPT follows its answer, as a barrier (`stomp.md` U07).
    Joining(Box<Joining>),
    /// Gets every message as it comes.
    Live(Seat),
    /// A cursor; `reading` while an answer of the follower is on its way. What was read from the log comes first.
    Behind { seat: Seat, reading: bool, past: Option<Box<Excerpt>> },
    /// The session's own `/user/queue/errors`.
    Errors(Box<Shape>),
}

pub(super) struct Joining {
    pub(super) shape: Shape,
    pub(super) receipt: Option<Text>,
    /// Where it asked to begin.
    pub(super) begin: Option<Begin>,
}

#[derive(Clone, Copy)]
pub(super) struct Seat {
    pub(super) membership: MembershipId,
    pub(super) room: RoomId,
    pub(super) shape: ShapeId,
    /// Everything of the room up to here has been queued, or came before the subscription.
    pub(super) through: Seq,
    /// What was stored up to here was there before the subscription.
    pub(super) replayed: Seq,
}

pub(super) struct Subscription {
    pub(super) handle: SubscriptionHandle,
    pub(super) mode: Mode,
}

/// The subscriptions of one connection, by the session's index.
#[derive(Default)]
pub(super) struct Subscriptions {
    pub(super) slots: Vec<Option<Subscription>>,
    /// How many are cursors.
    pub(super) behind: u32,
    /// Where the next cursor is looked for, so that each gets its turn.
    pub(super) turn: usize,
    /// Soft errors sent so far; they have no place in the log to be named after.
    errors: u32,
}

impl Subscriptions {
    /// How the next MESSAGE on `/user/queue/errors` looks, and its number; `None` without a subscription to it.
    pub(super) fn next_error(&mut self) -> Option<(Shape, u32)> {
        let shape = self.slots.iter().flatten().find_map(|subscription| match &subscription.mode {
            Mode::Errors(shape) => Some(Shape::clone(shape)),
            _ => None,
        })?;
        self.errors += 1;
        Some((shape, self.errors))
    }

    pub(super) fn get(&mut self, handle: SubscriptionHandle) -> Option<&mut Subscription> {
        self.slots.get_mut(handle.index as usize)?.as_mut().filter(|subscription| subscription.handle == handle)
    }
}

impl Connection {
    /// SUBSCRIBE.
    pub(super) fn subscribe(&mut self, subscribe: Subscribe, cx: &mut Context<'_>) {
        let begin = begin_of(&subscribe.headers);
        let Subscribe { handle, id, destination, receipt, .. } = subscribe;
        let target = match cx.settings.destinations.subscribe(&destination) {
            Ok(target) => target,
            Err(_) => return self.refuse_subscribe(Ending::UnknownDestination, handle, &destination, receipt, cx),
        };
        let mode = match target {
            Target::Errors => {
                let shape = Shape { version: self.version(), destination: destination.clone(), subscription: id };
                if let Some(receipt) = receipt {
                    self.session.receipt(&receipt, &[]);
                }
                Mode::Errors(Box::new(shape))
            }
            Target::Room(room) => {
                if !self.identity().is_some_and(|identity| identity.rights.may_subscribe(room)) {
                    return self.refuse_subscribe(Ending::Forbidden, handle, &destination, receipt, cx);
                }
                let who = self.subscriber(handle, cx);
                let from = begin.unwrap_or(Begin::Now);
                cx.shell.ask(ToFollower::Subscribe { who, room: Bytes::copy_from_slice(room.as_bytes()), from });
                cx.metrics.stomp.subscribed.of(Subscribed::Ok).inc();
                let shape = Shape { version: self.version(), destination: destination.clone(), subscription: id };
                Mode::Joining(Box::new(Joining { shape, receipt, begin }))
            }
        };
        let slots = &mut self.subscriptions.slots;
        let index = handle.index as usize;
        if slots.len() <= index {
            slots.resize_with(index + 1, || None);
        }
        slots[index] = Some(Subscription { handle, mode });
    }

    fn refuse_subscribe(
        &mut self,
        ending: Ending,
        handle: SubscriptionHandle,
        destination: &str,
        receipt: Option<Text>,
        cx: &mut Context<'_>,
    ) {
        self.session.cancel(handle);
        let denied = if ending == Ending::Forbidden { Subscribed::Denied } else { Subscribed::BadDestination };
        cx.metrics.stomp.subscribed.of(denied).inc();
        self.refuse(ending, Some(destination), receipt, cx);
    }

    /// UNSUBSCRIBE; no message for this id leaves after its RECEIPT (`stomp.md` U10).
    pub(super) fn unsubscribe(
        &mut self,
        handle: Option<SubscriptionHandle>,
        receipt: Option<Text>,
        cx: &mut Context<'_>,
    ) {
        if let Some(handle) = handle {
            self.leave(handle, cx);
        }
        if let Some(receipt) = receipt {
            self.session.receipt(&receipt, &[]);
        }
    }

    /// Takes one subscription out of its room.
    pub(super) fn leave(&mut self, handle: SubscriptionHandle, cx: &mut Context<'_>) {
        if self.subscriptions.get(handle).is_none() {
            return;
        }
        let Some(subscription) = self.subscriptions.slots[handle.index as usize].take() else { return };
        let seat = match subscription.mode {
            // Its answer will find nobody and be taken back then; its RECEIPT is owed all the same (`stomp.md` R01).
            Mode::Joining(joining) => {
                if let Some(receipt) = joining.receipt {
                    self.session.receipt(&receipt, &[]);
                }
                return;
            }
            Mode::Errors(_) => return,
            Mode::Live(seat) => seat,
            Mode::Behind { seat, .. } => {
                self.subscriptions.behind -= 1;
                cx.metrics.delivery.cursors.dec();
                seat
            }
        };
        cx.hub.leave(seat.membership);
        cx.metrics.stomp.subscriptions.dec();
        cx.shell.ask(ToFollower::Leave { worker: cx.worker, room: seat.room });
    }

    /// Takes all of them out; the connection is ending.
    pub(super) fn leave_all(&mut self, cx: &mut Context<'_>) {
        let handles: Vec<_> =
            self.subscriptions.slots.iter().flatten().map(|subscription| subscription.handle).collect();
        for handle in handles {
            self.leave(handle, cx);
        }
        self.subscriptions.slots = Vec::new();
    }

    pub(super) fn has_subscription(&mut self, handle: SubscriptionHandle) -> bool {
        self.subscriptions.get(handle).is_some()
    }

    pub(super) fn subscriber(&self, subscription: SubscriptionHandle, cx: &Context<'_>) -> Subscriber {
        Subscriber { worker: cx.worker, connection: cx.slot, generation: self.generation, subscription }
    }
}
