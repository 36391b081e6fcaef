//! The subscriptions of one session: ids, generations, delivery windows (families U and A).

use crate::{AckMode, ErrorKind, ProtocolError, Text, Version};
use alloc::{boxed::Box, collections::VecDeque, format, vec::Vec};

/// The session's own name of a subscription: a slot and a generation, so that SUBSCRIBE 0, UNSUBSCRIBE 0, SUBSCRIBE 0
/// never mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionHandle {
    /// The slot; small numbers, used again.
    pub index: u32,
    /// Never used again within a session.
    pub generation: u32,
}

/// One subscription. `name` is its id, or at 1.0 its destination when it has none.
struct Subscription {
    generation: u32,
    /// The window; `u32::MAX` in auto mode.
    prefetch: u32,
    name: Box<str>,
    by_id: bool,
    mode: AckMode,
    unacked: VecDeque<Delivery>,
}

struct Delivery {
    number: u64,
    /// What ACK names before 1.2.
    message_id: Option<Box<str>>,
}

/// What a new subscription asks for.
pub(crate) struct Request<'a> {
    pub(crate) id: Option<&'a str>,
    pub(crate) destination: &'a str,
    pub(crate) mode: AckMode,
    pub(crate) prefetch: usize,
}

/// What ACK and NACK point at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Something that needs no ACK: auto mode, or a subscription that is gone. Ignored.
    Nothing,
    /// A delivery.
    Delivery(SubscriptionHandle, u64),
}

#[derive(Default)]
pub(crate) struct Subscriptions {
    slots: Vec<Option<Box<Subscription>>>,
    generation: u32,
    /// The sum of all windows.
    reserved: u32,
    deliveries: u64,
}

impl Subscriptions {
    /// Notes a subscription; the window granted is the smaller of the wish and what is left of the session's budget.
    pub(crate) fn add(
        &mut self,
        request: &Request<'_>,
        most: usize,
        budget: usize,
    ) -> Result<(SubscriptionHandle, usize), ProtocolError> {
        let name = request.id.unwrap_or(request.destination);
        if self.find(name, request.id.is_some()).is_some() {
            let error = "the id of SUBSCRIBE is in use; UNSUBSCRIBE it first or choose another one";
            return Err(ProtocolError::new(ErrorKind::Conflict, "duplicate subscription", error));
        }
        if self.slots.iter().flatten().count() >= most {
            let error = format!("a connection may have {most} subscriptions");
            return Err(ProtocolError::new(ErrorKind::TooMany, "too many subscriptions", error));
        }
        let prefetch = match request.mode {
            AckMode::Auto => u32::MAX,
            _ => {
                let left = u32::try_from(budget).unwrap_or(u32::MAX - 1).saturating_sub(self.reserved);
                if left == 0 {
                    let error = format!("the windows of a connection may add up to {budget} deliveries");
                    return Err(ProtocolError::new(ErrorKind::TooMany, "no delivery window left", error));
                }
                let granted = u32::try_from(request.prefetch).unwrap_or(u32::MAX).min(left);
                self.reserved += granted;
                granted
            }
        };
        let index = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.generation = self.generation.wrapping_add(1);
        let handle = SubscriptionHandle { index: index as u32, generation: self.generation };
        self.slots[index] = Some(Box::new(Subscription {
            generation: self.generation,
            prefetch,
            name: name.into(),
            by_id: request.id.is_some(),
            mode: request.mode,
            unacked: VecDeque::new(),
        }));
        Ok((handle, if request.mode == AckMode::Auto { usize::MAX } else { prefetch as usize }))
    }

    /// The live subscription of that id, or at 1.0 of that destination.
    pub(crate) fn find(&self, name: &str, by_id: bool) -> Option<SubscriptionHandle> {
        self.iter().find(|(_, live)| live.by_id == by_id && *live.name == *name).map(|(handle, _)| handle)
    }

    pub(crate) fn remove(&mut self, handle: SubscriptionHandle) {
        if self.get(handle).is_none() {
            return;
        }
        if let Some(live) = self.slots.get_mut(handle.index as usize).and_then(Option::take)
            && live.mode != AckMode::Auto
        {
            self.reserved -= live.prefetch;
        }
        if self.slots.iter().all(Option::is_none) {
            self.slots = Vec::new();
        }
    }

    pub(crate) fn window(&self, handle: SubscriptionHandle) -> usize {
        match self.get(handle) {
            None => 0,
            Some(live) if live.mode == AckMode::Auto => usize::MAX,
            Some(live) => (live.prefetch as usize).saturating_sub(live.unacked.len()),
        }
    }

    /// Records a delivery and names it: slot, generation, number. No character of it ever needs escaping (W17).
    pub(crate) fn delivered(&mut self, handle: SubscriptionHandle, message_id: &str, version: Version) -> Option<Text> {
        let number = self.deliveries + 1;
        let live = self.get_mut(handle).filter(|live| live.mode != AckMode::Auto)?;
        let message_id = (version < Version::V1_2).then(|| message_id.into());
        live.unacked.push_back(Delivery { number, message_id });
        self.deliveries = number;
        Some(format!("{}-{}-{number}", handle.index, handle.generation).into())
    }

    /// What `id` of a 1.2 ACK means. `subscription` is surplus, but tells ACKs of auto mode apart (A03, A04, A10).
    pub(crate) fn by_ack_id(&self, id: &str, subscription: Option<&str>) -> Result<Target, ProtocolError> {
        if let Some((handle, number)) = parse_ack_id(id).filter(|&(_, number)| number <= self.deliveries) {
            match self.get(handle) {
                // Its subscription has ended meanwhile; the ACK was under way.
                None if self.has_ended(handle.generation) => return Ok(Target::Nothing),
                Some(live) if live.position(number).is_some() => return Ok(Target::Delivery(handle, number)),
                _ => return Err(unknown_ack()),
            }
        }
        let auto = subscription.and_then(|id| self.find(id, true)).and_then(|handle| self.get(handle));
        match auto {
            Some(live) if live.mode == AckMode::Auto => Ok(Target::Nothing),
            _ => self.nothing_if_all_auto(),
        }
    }

    /// What `message-id` of a 1.0 or 1.1 ACK means, within one subscription or in all (A01, A02).
    pub(crate) fn by_message_id(&self, id: &str, subscription: Option<&str>) -> Result<Target, ProtocolError> {
        let named = match subscription {
            None => None,
            Some(name) => Some(self.find(name, true).ok_or_else(unknown_ack)?),
        };
        let mut searched = self.iter().filter(|(handle, _)| named.is_none_or(|named| named == *handle));
        let found = searched.find_map(|(handle, live)| {
            let delivery = live.unacked.iter().find(|delivery| delivery.message_id.as_deref() == Some(id))?;
            Some(Target::Delivery(handle, delivery.number))
        });
        match (found, named.and_then(|named| self.get(named))) {
            (Some(target), _) => Ok(target),
            (None, Some(live)) if live.mode == AckMode::Auto => Ok(Target::Nothing),
            (None, Some(_)) => Err(unknown_ack()),
            (None, None) => self.nothing_if_all_auto(),
        }
    }

    /// Settles a delivery and, in client mode, all before it; returns how many. Nothing when the subscription is gone.
    pub(crate) fn settle(&mut self, handle: SubscriptionHandle, number: u64) -> Result<usize, ProtocolError> {
        let Some(live) = self.get_mut(handle) else { return Ok(0) };
        let at = live.position(number).ok_or_else(unknown_ack)?;
        let settled = if live.mode == AckMode::Client { live.unacked.drain(..=at).count() } else { 1 };
        if live.mode == AckMode::ClientIndividual {
            live.unacked.remove(at);
        }
        if live.unacked.is_empty() {
            live.unacked = VecDeque::new();
        }
        Ok(settled)
    }

    fn has_ended(&self, generation: u32) -> bool {
        (1..=self.generation).contains(&generation) && self.iter().all(|(live, _)| live.generation != generation)
    }

    fn nothing_if_all_auto(&self) -> Result<Target, ProtocolError> {
        let mut live = self.slots.iter().flatten().peekable();
        if live.peek().is_some() && live.all(|live| live.mode == AckMode::Auto) {
            return Ok(Target::Nothing);
        }
        Err(unknown_ack())
    }

    fn iter(&self) -> impl Iterator<Item = (SubscriptionHandle, &Subscription)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let live = slot.as_deref()?;
            Some((SubscriptionHandle { index: index as u32, generation: live.generation }, live))
        })
    }

    fn get(&self, handle: SubscriptionHandle) -> Option<&Subscription> {
        let live = self.slots.get(handle.index as usize)?.as_deref()?;
        (live.generation == handle.generation).then_some(live)
    }

    fn get_mut(&mut self, handle: SubscriptionHandle) -> Option<&mut Subscription> {
        let live = self.slots.get_mut(handle.index as usize)?.as_deref_mut()?;
        (live.generation == handle.generation).then_some(live)
    }
}

impl Subscription {
    /// Deliveries are in ascending order.
    fn position(&self, number: u64) -> Option<usize> {
        self.unacked.binary_search_by_key(&number, |delivery| delivery.number).ok()
    }
}

fn parse_ack_id(id: &str) -> Option<(SubscriptionHandle, u64)> {
    let mut parts = id.split('-');
    let handle = SubscriptionHandle { index: parts.next()?.parse().ok()?, generation: parts.next()?.parse().ok()? };
    let number = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some((handle, number))
}

fn unknown_ack() -> ProtocolError {
    let detail = "ACK or NACK names a delivery that is unknown or settled already";
    ProtocolError::new(ErrorKind::Unknown, "unknown ack", detail)
}
