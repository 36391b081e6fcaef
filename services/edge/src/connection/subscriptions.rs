//! SUBSCRIBE and UNSUBSCRIBE: what a connection listens to.

use bytes::Bytes;
use stomp_proto::{Subscribe, SubscriptionHandle, Text};

use super::{Connection, resume::begin_of};
use crate::{
    context::Context,
    destination::Target,
    disconnect::Ending,
    hub::MembershipId,
    looker::Excerpt,
    message::{Begin, Subscriber, ToFollower},
    metrics::Subscribed,
    tail::Seq,
};

/// One subscription, in the slot that the session gave it. What most are most of the time takes 16 octets.
pub(super) enum Slot {
    Free,
    /// Gets every message as it comes.
    Live(Seat),
    /// The follower has been asked; RECEIPT follows its answer, as a barrier (`stomp.md` U07).
    Joining(Box<Joining>),
    /// A cursor.
    Behind(Box<Behind>),
    /// The session's own `/user/queue/errors`, under this id.
    Errors(Box<Option<Text>>),
    /// The same for `/session/notices`.
    Notices(Box<Option<Text>>),
}

pub(super) struct Joining {
    pub(super) destination: Text,
    pub(super) id: Option<Text>,
    pub(super) receipt: Option<Text>,
    /// Where it asked to begin.
    pub(super) begin: Option<Begin>,
}

#[derive(Clone, Copy)]
pub(super) struct Seat {
    pub(super) membership: MembershipId,
    /// It acknowledges nothing, so that its window is endless.
    pub(super) auto: bool,
    /// Each message is said together with where the client is in all of its rooms.
    pub(super) placed: bool,
    /// Everything of the room up to here has been queued, or came before the subscription.
    pub(super) through: Seq,
}

pub(super) struct Behind {
    pub(super) seat: Seat,
    /// What was stored up to here was there before the subscription.
    pub(super) replayed: Seq,
    /// An answer of the follower is on its way.
    pub(super) reading: bool,
    /// What was read from the log comes first.
    pub(super) past: Option<Excerpt>,
}

/// The subscriptions of one connection, by the session's index. Which of them are alive the session knows.
#[derive(Default)]
pub(super) struct Subscriptions {
    pub(super) slots: Vec<Slot>,
    /// How many are cursors.
    pub(super) behind: u32,
    /// Where the next cursor is looked for, so that each gets its turn.
    pub(super) turn: u32,
    /// Soft errors sent so far; they have no place in the log to be named after.
    errors: u32,
}

impl Subscriptions {
    /// The id of the subscription to `/user/queue/errors` and the number of the next MESSAGE there; `None` without one.
    pub(super) fn next_error(&mut self) -> Option<(Option<&str>, u32)> {
        let id = self.slots.iter().find_map(|slot| if let Slot::Errors(id) = slot { Some(id) } else { None })?;
        self.errors += 1;
        Some((id.as_deref(), self.errors))
    }

    /// The id of the subscription to `/session/notices`; `None` without one.
    pub(super) fn notices(&self) -> Option<Option<&str>> {
        self.slots.iter().find_map(|slot| if let Slot::Notices(id) = slot { Some(id.as_deref()) } else { None })
    }

    fn set(&mut self, index: u32, slot: Slot) {
        let index = index as usize;
        if self.slots.len() <= index {
            if self.slots.capacity() <= index {
                // Most sessions have one; growing by a quarter wastes less than by doubling.
                self.slots.reserve_exact(index + 1 + index / 4 - self.slots.len());
            }
            self.slots.resize_with(index + 1, || Slot::Free);
        }
        self.slots[index] = slot;
    }
}

impl Connection {
    /// SUBSCRIBE.
    pub(super) fn subscribe(&mut self, subscribe: Subscribe, cx: &mut Context<'_>) {
        let begin = begin_of(&subscribe.headers);
        let Subscribe { handle, id, destination, receipt, .. } = subscribe;
        let target = match cx.settings.destinations.subscribe(&destination) {
            Ok(target) => target,
            Err(error) => {
                let text = error.text();
                return self.refuse_subscribe((error.ending(), Some(&text)), handle, &destination, receipt, cx);
            }
        };
        let slot = match target {
            Target::Errors | Target::Notices => {
                if let Some(receipt) = receipt {
                    self.session.receipt(&receipt, &[]);
                }
                if target == Target::Errors { Slot::Errors(Box::new(id)) } else { Slot::Notices(Box::new(id)) }
            }
            Target::Room(room) => {
                if !self.may(|rights| rights.may_subscribe(room)) {
                    return self.refuse_subscribe((Ending::Forbidden, None), handle, &destination, receipt, cx);
                }
                let who = self.subscriber(handle, cx);
                let from = begin.unwrap_or(Begin::Now);
                cx.shell.ask(ToFollower::Subscribe { who, room: Bytes::copy_from_slice(room.as_bytes()), from });
                cx.metrics.stomp.subscribed.of(Subscribed::Ok).inc();
                Slot::Joining(Box::new(Joining { destination: destination.clone(), id, receipt, begin }))
            }
        };
        self.subscriptions.set(handle.index, slot);
    }

    fn refuse_subscribe(
        &mut self,
        (ending, detail): (Ending, Option<&str>),
        handle: SubscriptionHandle,
        destination: &str,
        receipt: Option<Text>,
        cx: &mut Context<'_>,
    ) {
        self.session.cancel(handle);
        let denied = if ending == Ending::Forbidden { Subscribed::Denied } else { Subscribed::BadDestination };
        cx.metrics.stomp.subscribed.of(denied).inc();
        self.refuse(ending, detail, Some(destination), receipt, cx);
    }

    /// UNSUBSCRIBE; no message for this id leaves after its RECEIPT (`stomp.md` U10).
    pub(super) fn unsubscribe(
        &mut self,
        handle: Option<SubscriptionHandle>,
        receipt: Option<Text>,
        cx: &mut Context<'_>,
    ) {
        if let Some(handle) = handle {
            // The session has let go of it just now, and nothing has taken its slot since.
            self.leave(handle.index, cx);
        }
        if let Some(receipt) = receipt {
            self.session.receipt(&receipt, &[]);
        }
    }

    /// Takes one subscription out of its room.
    pub(super) fn leave(&mut self, index: u32, cx: &mut Context<'_>) {
        let Some(slot) = self.subscriptions.slots.get_mut(index as usize) else { return };
        let seat = match std::mem::replace(slot, Slot::Free) {
            // Its answer will find nobody and be taken back then; its RECEIPT is owed all the same (`stomp.md` R01).
            Slot::Joining(joining) => {
                if let Some(receipt) = joining.receipt {
                    self.session.receipt(&receipt, &[]);
                }
                return;
            }
            Slot::Errors(_) | Slot::Notices(_) | Slot::Free => return,
            Slot::Live(seat) => seat,
            Slot::Behind(behind) => {
                self.subscriptions.behind -= 1;
                cx.metrics.delivery.cursors.dec();
                behind.seat
            }
        };
        cx.metrics.stomp.subscriptions.dec();
        if let Some(room) = cx.hub.leave(seat.membership) {
            cx.shell.ask(ToFollower::Leave { worker: cx.worker, room });
        }
    }

    /// Takes it out of all rooms; it still hears of its errors.
    pub(super) fn leave_rooms(&mut self, cx: &mut Context<'_>) {
        for index in 0..self.subscriptions.slots.len() {
            if !matches!(self.subscriptions.slots[index], Slot::Errors(_)) {
                self.leave(index as u32, cx);
            }
        }
    }

    /// Takes all of them out; the connection is ending.
    pub(super) fn leave_all(&mut self, cx: &mut Context<'_>) {
        (0..self.subscriptions.slots.len()).for_each(|index| self.leave(index as u32, cx));
        self.subscriptions.slots = Vec::new();
    }

    /// The slot of a subscription, unless another one has it since.
    pub(super) fn slot(&mut self, handle: SubscriptionHandle) -> Option<&mut Slot> {
        let is_alive = self.session.subscription(handle.index) == Some(handle);
        self.subscriptions.slots.get_mut(handle.index as usize).filter(|_| is_alive)
    }

    pub(super) fn subscriber(&self, subscription: SubscriptionHandle, cx: &Context<'_>) -> Subscriber {
        Subscriber { worker: cx.worker, connection: cx.slot, generation: self.generation, subscription }
    }
}
