//! The subscriptions of one session: ids, generations, delivery windows (families U and A).

use crate::{AckMode, ErrorKind, ProtocolError, Text, Version};
use alloc::{boxed::Box, collections::VecDeque, format, vec::Vec};
use core::mem;

/// The session's own name of a subscription: a slot and a generation, so that SUBSCRIBE 0, UNSUBSCRIBE 0, SUBSCRIBE 0
/// never mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionHandle {
    /// The slot; small numbers, used again.
    pub index: u32,
    /// Never used again within a session.
    pub generation: u32,
}

/// One subscription. Most clients acknowledge nothing and use short ids: those take no allocation of their own.
enum Slot {
    Free,
    /// In auto mode, under an id of at most [`SHORT`] octets.
    Short {
        length: u8,
        id: [u8; SHORT],
        generation: u32,
    },
    Long {
        generation: u32,
        rest: Box<Long>,
    },
}

/// As much as makes both kinds equally large.
const SHORT: usize = 10;

/// `name` is its id, or at 1.0 its destination when it has none.
struct Long {
    /// The window; `u32::MAX` in auto mode.
    prefetch: u32,
    by_id: bool,
    mode: AckMode,
    name: Box<str>,
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
    slots: Vec<Slot>,
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
        if self.slots.iter().filter(|slot| slot.generation().is_some()).count() >= most {
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
        let index = self.slots.iter().position(|slot| matches!(slot, Slot::Free)).unwrap_or_else(|| {
            // Most sessions have one subscription; growing by a quarter wastes less than by doubling.
            self.slots.reserve_exact(if self.slots.len() < self.slots.capacity() {
                0
            } else {
                1 + self.slots.len() / 4
            });
            self.slots.push(Slot::Free);
            self.slots.len() - 1
        });
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let handle = SubscriptionHandle { index: index as u32, generation };
        let short = request.id.filter(|id| id.len() <= SHORT && request.mode == AckMode::Auto);
        self.slots[index] = match short {
            Some(short) => {
                let mut id = [0; SHORT];
                id[..short.len()].copy_from_slice(short.as_bytes());
                Slot::Short { length: short.len() as u8, id, generation }
            }
            None => Slot::Long {
                generation,
                rest: Box::new(Long {
                    prefetch,
                    by_id: request.id.is_some(),
                    mode: request.mode,
                    name: name.into(),
                    unacked: VecDeque::new(),
                }),
            },
        };
        Ok((handle, if request.mode == AckMode::Auto { usize::MAX } else { prefetch as usize }))
    }

    /// The live subscription of that id, or at 1.0 of that destination.
    pub(crate) fn find(&self, name: &str, by_id: bool) -> Option<SubscriptionHandle> {
        self.iter().find(|(_, live)| live.is_called(name, by_id)).map(|(handle, _)| handle)
    }

    pub(crate) fn remove(&mut self, handle: SubscriptionHandle) {
        if self.get(handle).is_none() {
            return;
        }
        let Some(slot) = self.slots.get_mut(handle.index as usize) else { return };
        if let Slot::Long { rest, .. } = mem::replace(slot, Slot::Free)
            && rest.mode != AckMode::Auto
        {
            self.reserved -= rest.prefetch;
        }
        if self.slots.iter().all(|slot| matches!(slot, Slot::Free)) {
            self.slots = Vec::new();
        }
    }

    /// The live subscription in that slot.
    pub(crate) fn at(&self, index: u32) -> Option<SubscriptionHandle> {
        let generation = self.slots.get(index as usize)?.generation()?;
        Some(SubscriptionHandle { index, generation })
    }

    pub(crate) fn window(&self, handle: SubscriptionHandle) -> usize {
        match self.get(handle) {
            None => 0,
            Some(live) => match live.windowed() {
                None => usize::MAX,
                Some(live) => (live.prefetch as usize).saturating_sub(live.unacked.len()),
            },
        }
    }

    /// Records a delivery and names it: slot, generation, number. No character of it ever needs escaping (W17).
    pub(crate) fn delivered(&mut self, handle: SubscriptionHandle, message_id: &str, version: Version) -> Option<Text> {
        let number = self.deliveries + 1;
        let live = self.get_mut(handle)?;
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
                Some(live) if live.windowed().is_some_and(|live| live.position(number).is_some()) => {
                    return Ok(Target::Delivery(handle, number));
                }
                _ => return Err(unknown_ack()),
            }
        }
        let auto = subscription.and_then(|id| self.find(id, true)).and_then(|handle| self.get(handle));
        match auto {
            Some(live) if live.windowed().is_none() => Ok(Target::Nothing),
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
            let delivery =
                live.windowed()?.unacked.iter().find(|delivery| delivery.message_id.as_deref() == Some(id))?;
            Some(Target::Delivery(handle, delivery.number))
        });
        match (found, named.and_then(|named| self.get(named))) {
            (Some(target), _) => Ok(target),
            (None, Some(live)) if live.windowed().is_none() => Ok(Target::Nothing),
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
        let mut live = self.iter().peekable();
        if live.peek().is_some() && live.all(|(_, live)| live.windowed().is_none()) {
            return Ok(Target::Nothing);
        }
        Err(unknown_ack())
    }

    fn iter(&self) -> impl Iterator<Item = (SubscriptionHandle, &Slot)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let generation = slot.generation()?;
            Some((SubscriptionHandle { index: index as u32, generation }, slot))
        })
    }

    fn get(&self, handle: SubscriptionHandle) -> Option<&Slot> {
        let live = self.slots.get(handle.index as usize)?;
        (live.generation() == Some(handle.generation)).then_some(live)
    }

    /// A subscription that acknowledges.
    fn get_mut(&mut self, handle: SubscriptionHandle) -> Option<&mut Long> {
        match self.slots.get_mut(handle.index as usize)? {
            Slot::Long { generation, rest } if *generation == handle.generation && rest.mode != AckMode::Auto => {
                Some(rest)
            }
            _ => None,
        }
    }
}

impl Slot {
    /// `None`: nobody's.
    fn generation(&self) -> Option<u32> {
        match self {
            Slot::Free => None,
            Slot::Short { generation, .. } | Slot::Long { generation, .. } => Some(*generation),
        }
    }

    fn is_called(&self, name: &str, by_id: bool) -> bool {
        match self {
            Slot::Free => false,
            Slot::Short { length, id, .. } => by_id && id[..usize::from(*length)] == *name.as_bytes(),
            Slot::Long { rest, .. } => rest.by_id == by_id && *rest.name == *name,
        }
    }

    /// What acknowledging needs; `None` in auto mode.
    fn windowed(&self) -> Option<&Long> {
        match self {
            Slot::Long { rest, .. } if rest.mode != AckMode::Auto => Some(rest),
            _ => None,
        }
    }
}

impl Long {
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
