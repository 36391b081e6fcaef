//! A client over all its sessions: what it wants to read and has said, and what it does next.

use std::{collections::BTreeMap, time::Duration};

use chat_proto::MessageId;
use stomp_proto::Command;

use crate::{
    kafka::Cluster,
    link::Shared,
    rng::Rng,
    session::{Eyes, Pending, Session, Told},
    subscription::{Asked, Subscription},
};

/// Something said, maybe more than once.
pub struct Message {
    pub room: String,
    body: String,
    /// Empty: it is not sent again when its outcome is unknown.
    key: String,
    pub attempts: Vec<String>,
    pub state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    UnderWay,
    Stored,
    Refused,
    /// To be sent again, if it has a key.
    Unknown,
}

impl Message {
    pub fn has_key(&self) -> bool {
        !self.key.is_empty()
    }
}

pub struct Client {
    pub name: String,
    rng: Rng,
    /// Rooms it wants to be in, and how: subscription id → room, ack mode.
    pub wishes: BTreeMap<String, (String, &'static str)>,
    /// Where it can go on in each room.
    pub places: BTreeMap<String, MessageId>,
    pub messages: Vec<Message>,
    /// Attempts that were certainly not stored.
    pub refused: Vec<String>,
    pub session: Option<Session>,
    /// What its sessions have sent, in order: room, attempt, whether a RECEIPT came.
    pub history: Vec<Vec<(String, String, bool)>>,
    pub next_at: Duration,
    attempts: u32,
    /// What its last session said and heard, if somebody wants to read it.
    pub notes: Vec<String>,
    /// Actions so far.
    pub acted: usize,
}

impl Client {
    pub fn new(number: usize, rng: Rng) -> Self {
        Self {
            name: format!("user-{number}"),
            rng,
            wishes: BTreeMap::new(),
            places: BTreeMap::new(),
            messages: Vec::new(),
            refused: Vec::new(),
            session: None,
            history: Vec::new(),
            next_at: Duration::ZERO,
            attempts: 0,
            notes: Vec::new(),
            acted: 0,
        }
    }

    /// When it has something to do.
    pub fn due(&self, now: Duration) -> Duration {
        let Some(session) = &self.session else { return self.next_at };
        let link = session.link.borrow();
        let readable = !link.down.arrived.is_empty() || link.down.fin_arrived || link.reset;
        let writable = !session.out.is_empty() && link.client_can_write();
        if (readable || writable) && session.frozen_until <= now {
            return now;
        }
        let beat =
            if session.beats.0 > 0 && session.connected { session.spoke_at + beat_gap(session) } else { Duration::MAX };
        self.next_at.min(beat).max(session.frozen_until)
    }

    /// A new connection to an edge.
    pub fn connect(&mut self, link: Shared, eyes: &Eyes<'_>) {
        let now = eyes.now;
        let mut session = Session::new(&self.name, link, now);
        let rng = &mut self.rng;
        // What each side can send, and wants to hear of the other.
        let (ours, theirs) = *rng.pick(&[(0, 0), (1000, 1000), (10_000, 10_000), (0, 2000), (5000, 0)]);
        session.beats = (ours, theirs);
        session.soft = rng.one_in(4);
        let wish = format!("{ours},{theirs}");
        let mut headers = vec![
            ("accept-version", "1.2"),
            ("host", "localhost"),
            ("login", self.name.as_str()),
            ("heart-beat", &wish),
        ];
        headers.extend(session.soft.then_some(("x-errors", "soft")));
        session.write(Command::Connect, &headers, "", rng, now);
        if session.soft {
            session.write(Command::Subscribe, &[("id", "errors"), ("destination", "/user/queue/errors")], "", rng, now);
        }
        self.session = Some(session);
        // Some do not wait for CONNECTED.
        if self.rng.one_in(3) {
            self.resume(eyes);
        }
    }

    /// Subscribes to everything it wants, from where it was.
    fn resume(&mut self, eyes: &Eyes<'_>) {
        for (id, (room, mode)) in self.wishes.clone() {
            self.subscribe(&id, &room, mode, eyes);
        }
    }

    fn subscribe(&mut self, id: &str, room: &str, mode: &'static str, eyes: &Eyes<'_>) {
        let Self { rng, session: Some(session), places, .. } = self else { return };
        // The id is free again only after its UNSUBSCRIBE.
        if session.subscriptions.iter().any(|it| it.id == id && !it.leaving) {
            return;
        }
        let partition = eyes.truth.partition_of(room);
        let known = places.get(room).copied();
        let asked = match known {
            Some(token) if rng.percent(90) => Asked::From { token, genuine: true },
            _ => match rng.below(8) {
                0 => Asked::First,
                1 => Asked::Last(rng.between(0, 12) as u32),
                2 => Asked::Since(Cluster::clock_ms(eyes.now) - rng.between(0, 30_000) as i64),
                3 | 4 if !places.is_empty() => {
                    // A token of any room of the partition is as good; one of another partition is none.
                    let all: Vec<MessageId> = places.values().copied().collect();
                    let mut token = *rng.pick(&all);
                    let broken = rng.one_in(4) && token.offset >= 0;
                    token.check ^= u32::from(broken);
                    Asked::From { token, genuine: token.partition == partition && !broken }
                }
                _ => Asked::Now,
            },
        };
        let receipt = !matches!(asked, Asked::From { genuine: true, .. } | Asked::Now) || !rng.one_in(6);
        let mut subscription = Subscription::new(id, room, asked, receipt);
        let destination = format!("{}{room}", rng.pick(&["/topic/", "/sub/"]));
        let from = match asked {
            Asked::Now => None,
            Asked::From { token, .. } => Some(("x-from", token.to_string())),
            Asked::First => Some(("x-from", "first".to_owned())),
            Asked::Since(ms) => Some(("x-from", format!("@{ms}"))),
            Asked::Last(count) => Some(("x-history", count.to_string())),
        };
        let prefetch = rng.between(1, 6);
        let window = prefetch.to_string();
        let mut headers = vec![("id", id), ("destination", destination.as_str()), ("ack", mode)];
        headers.extend(from.as_ref().map(|(name, value)| (*name, value.as_str())));
        if mode != "auto" {
            (subscription.mode, subscription.prefetch) = (mode, prefetch as usize);
            headers.push(("prefetch-count", &window));
        }
        let expected = receipt.then(|| session.expect(Pending::Subscribe { subscription: id.to_owned() }));
        headers.extend(expected.as_ref().map(|id| ("receipt", id.as_str())));
        session.write(Command::Subscribe, &headers, "", rng, eyes.now);
        session.subscriptions.push(subscription);
    }

    fn unsubscribe(&mut self, eyes: &Eyes<'_>) {
        let Self { rng, session: Some(session), wishes, .. } = self else { return };
        let open: Vec<usize> =
            (0..session.subscriptions.len()).filter(|at| !session.subscriptions[*at].leaving).collect();
        if open.is_empty() {
            return;
        }
        let at = *rng.pick(&open);
        session.subscriptions[at].leaving = true;
        let id = session.subscriptions[at].id.clone();
        wishes.remove(&id);
        let receipt = session.expect(Pending::Unsubscribe { subscription: id.clone() });
        session.write(Command::Unsubscribe, &[("id", &id), ("receipt", &receipt)], "", rng, eyes.now);
    }

    /// Sends a message for the first time or again.
    fn send(&mut self, at: usize, transaction: Option<&str>, eyes: &Eyes<'_>) -> Option<String> {
        let Self { rng, session: Some(session), messages, attempts, name, .. } = self else { return None };
        let message = &mut messages[at];
        *attempts += 1;
        let attempt = format!("{name}-{attempts}");
        message.attempts.push(attempt.clone());
        message.state = State::UnderWay;
        let destination = format!("{}{}", rng.pick(&["/topic/", "/app/"]), message.room);
        let receipt = session.expect(Pending::Send {
            message: at,
            attempt: attempt.clone(),
            key: message.key.clone(),
            since: eyes.now,
        });
        let mut headers = vec![("destination", destination.as_str()), ("receipt", &receipt), ("attempt", &attempt)];
        if !message.key.is_empty() {
            headers.push(("x-idempotency-key", &message.key));
        }
        headers.extend(transaction.map(|id| ("transaction", id)));
        session.write(Command::Send, &headers, &message.body, rng, eyes.now);
        session.sent.push((message.room.clone(), attempt, false));
        Some(receipt)
    }

    fn say_something(&mut self, eyes: &Eyes<'_>) {
        let room = self.rng.pick(&eyes.plan.rooms).clone();
        let count = if self.rng.one_in(8) { self.rng.between(2, 4) } else { 1 };
        let transaction = (count > 1).then(|| format!("tx-{}", self.attempts));
        let Self { rng, session: Some(session), .. } = self else { return };
        if let Some(id) = &transaction {
            session.write(Command::Begin, &[("transaction", id)], "", rng, eyes.now);
        }
        let mut receipts = Vec::new();
        for _ in 0..count {
            let at = self.messages.len();
            let key = if eyes.plan.keys && self.rng.percent(80) { format!("key-{at}") } else { String::new() };
            let padding = "x".repeat(self.rng.below(eyes.plan.largest_body + 1));
            let body = format!("{}-{at}-{padding}", self.name);
            let room = room.clone();
            self.messages.push(Message { room, body, key, attempts: Vec::new(), state: State::UnderWay });
            receipts.extend(self.send(at, transaction.as_deref(), eyes));
        }
        let Self { rng, session: Some(session), .. } = self else { return };
        if let Some(id) = &transaction {
            let receipt = session.expect(Pending::Commit { since: eyes.now, receipts });
            session.write(Command::Commit, &[("transaction", id), ("receipt", &receipt)], "", rng, eyes.now);
        }
    }

    /// Acknowledges what one subscription has got, or a part of it.
    fn acknowledge(&mut self, eyes: &Eyes<'_>) {
        let Self { rng, session: Some(session), .. } = self else { return };
        let waiting = |it: &Subscription| !it.unacked.is_empty();
        let Some(at) = session.subscriptions.iter().position(waiting) else { return };
        let it = &mut session.subscriptions[at];
        let last = if eyes.calm { it.unacked.len() } else { 1 + rng.below(it.unacked.len()) };
        let settled: Vec<String> = it.unacked.drain(..last).collect();
        let named = if it.mode == "client" { &settled[last - 1..] } else { &settled[..] };
        for id in named {
            let command = if rng.one_in(10) { Command::Nack } else { Command::Ack };
            session.write(command, &[("id", id)], "", rng, eyes.now);
        }
    }
}

#[path = "habits.rs"]
mod habits;

/// A little less than agreed.
fn beat_gap(session: &Session) -> Duration {
    Duration::from_millis(session.beats.0 * 8 / 10)
}
