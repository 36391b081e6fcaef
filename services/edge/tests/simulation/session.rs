//! One STOMP session as its client sees it: octets out and in, what it waits for, and whether it may end as it does.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use chat_proto::MessageId;
use klatsch_edge::log::memory::MemoryLog;
use stomp_proto::{Command, Headers, ServerDecoder, ServerFrame, Version, frame::client::encode};

use crate::{
    link::Shared,
    plan::Plan,
    rng::Rng,
    subscription::{Begun, Subscription},
    truth::Truth,
    websocket::{self, Heard},
};

/// A SEND ends by then (promise 5): the send time-out, and two seconds.
const SEND_ENDS: Duration = Duration::from_secs(17);
/// What the way there and back may take when nothing disturbs it.
const ON_THE_WAY: Duration = Duration::from_millis(1500);

/// A socket that takes less than this makes a message take many steps.
const SLOW: usize = 1000;

/// What the simulation knows.
pub struct Eyes<'a> {
    pub now: Duration,
    pub truth: &'a Truth,
    pub log: &'a MemoryLog,
    pub plan: &'a Plan,
    /// No more faults.
    pub calm: bool,
}

/// What a RECEIPT is for.
#[derive(Debug, Clone)]
pub enum Pending {
    Send {
        message: usize,
        attempt: String,
        key: String,
        since: Duration,
    },
    Subscribe {
        subscription: String,
    },
    Unsubscribe {
        subscription: String,
    },
    /// With the receipts of its SENDs.
    Commit {
        since: Duration,
        receipts: Vec<String>,
    },
    Disconnect,
}

/// What a client learns from its session.
#[derive(Debug)]
pub enum Told {
    Connected,
    /// A SEND is stored.
    Stored {
        message: usize,
        attempt: String,
    },
    /// A SEND is certainly not stored.
    Refused {
        message: usize,
        attempt: String,
    },
    /// Nobody knows.
    Unknown {
        message: usize,
    },
    /// Where a room can be gone on from; `None` if not from where it was wanted.
    Place {
        room: String,
        token: Option<MessageId>,
    },
    Ended,
}

pub struct Session {
    user: String,
    pub link: Shared,
    decoder: ServerDecoder,
    raw: Vec<u8>,
    pub out: VecDeque<u8>,
    pub connected: bool,
    pub soft: bool,
    /// Nothing is read until then.
    pub frozen_until: Duration,
    /// Until then something was in the way that the session cannot help.
    pub disturbed_until: Duration,
    /// Intervals of the heart-beats agreed on, in milliseconds: ours, the edge's.
    pub beats: (u64, u64),
    pub heard_at: Duration,
    /// Depends on every octet that came.
    pub heard_hash: u64,
    pub spoke_at: Duration,
    pub subscriptions: Vec<Subscription>,
    pub pending: BTreeMap<String, Pending>,
    pub receipts: u32,
    /// `x-error` of the ERROR that came.
    error: Option<String>,
    pub close: Option<Option<u16>>,
    /// The client has said that it leaves.
    pub leaving: bool,
    has_sent: bool,
    /// What it said and heard, if somebody wants to read it.
    pub notes: Option<Vec<String>>,
    /// Its SENDs in order: room, attempt, whether a RECEIPT came.
    pub sent: Vec<(String, String, bool)>,
}

impl Session {
    pub fn new(user: &str, link: Shared, now: Duration) -> Self {
        Self {
            user: user.to_owned(),
            link,
            decoder: ServerDecoder::new(),
            raw: Vec::new(),
            out: VecDeque::new(),
            connected: false,
            soft: false,
            frozen_until: Duration::ZERO,
            disturbed_until: now,
            beats: (0, 0),
            heard_at: now,
            heard_hash: 0,
            spoke_at: now,
            subscriptions: Vec::new(),
            pending: BTreeMap::new(),
            receipts: 0,
            error: None,
            close: None,
            leaving: false,
            has_sent: false,
            notes: None,
            sent: Vec::new(),
        }
    }

    pub fn write(&mut self, command: Command, headers: &[(&str, &str)], body: &str, rng: &mut Rng, now: Duration) {
        let frame = encode(command, headers.iter().copied(), body.as_bytes(), Version::V1_2);
        self.has_sent |= command == Command::Send;
        self.note(|| format!("> {} {headers:?}", command.as_str()));
        self.say(&websocket::message(&frame, rng), now);
    }

    pub fn say(&mut self, octets: &[u8], now: Duration) {
        self.spoke_at = now;
        self.out.extend(octets);
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(notes) = &mut self.notes {
            notes.push(what());
        }
    }

    /// Asks for a RECEIPT: its id.
    pub fn expect(&mut self, pending: Pending) -> String {
        self.receipts += 1;
        let id = format!("r{}", self.receipts);
        self.pending.insert(id.clone(), pending);
        id
    }

    /// Everything that the client can see happens here.
    pub fn look(&mut self, eyes: &Eyes<'_>, rng: &mut Rng, told: &mut Vec<Told>) -> Result<(), String> {
        let octets = self.link.borrow_mut().client_reads();
        if !octets.is_empty() {
            self.heard_at = eyes.now;
            self.heard_hash = octets
                .iter()
                .fold(self.heard_hash, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x100_0000_01b3));
        }
        self.raw.extend(octets);
        while let Some(heard) = websocket::next(&mut self.raw)? {
            match heard {
                Heard::Stomp(octets) => {
                    self.decoder.push(&octets);
                    while let Some(frame) = self.decoder.poll().map_err(|error| format!("a broken frame: {error}"))? {
                        self.handle_frame(&frame, eyes, told)?;
                    }
                }
                Heard::Ping(payload) => self.say(&websocket::pong(&payload, rng), eyes.now),
                Heard::Close(code) => {
                    self.close = Some(code);
                    self.note(|| format!("< close {code:?}"));
                    self.say(&websocket::close(rng), eyes.now);
                }
            }
        }
        let mut link = self.link.borrow_mut();
        link.client_writes(&mut self.out);
        if self.close.is_some() && self.out.is_empty() {
            link.client_finishes();
        }
        let over = link.reset || link.down.fin_arrived;
        drop(link);
        if over {
            self.note(|| "its connection is over".to_owned());
            self.judge_end(eyes)?;
            self.end(told);
        }
        Ok(())
    }

    fn handle_frame(&mut self, frame: &ServerFrame, eyes: &Eyes<'_>, told: &mut Vec<Told>) -> Result<(), String> {
        let headers = &frame.headers;
        self.note(|| format!("< {} {:?}", frame.command.as_str(), headers.iter().collect::<Vec<_>>()));
        if let Some(error) = &self.error {
            return Err(format!("E03: {:?} behind ERROR {error}", frame.command));
        }
        match frame.command {
            Command::Connected => {
                self.connected = true;
                told.push(Told::Connected);
                Ok(())
            }
            Command::Message if headers.get("destination") == Some("/user/queue/errors") => {
                self.fail(headers, eyes, told)
            }
            Command::Message => self.handle_message(frame, eyes, told),
            Command::Receipt => {
                let id = headers.get("receipt-id").unwrap_or_default();
                let pending =
                    self.pending.remove(id).ok_or_else(|| format!("R01: RECEIPT {id} that nobody waits for"))?;
                self.handle_receipt(pending, headers, eyes, told)
            }
            _ => {
                self.error = Some(headers.get("x-error").unwrap_or_default().to_owned());
                self.fail(headers, eyes, told)
            }
        }
    }

    fn handle_message(&mut self, frame: &ServerFrame, eyes: &Eyes<'_>, told: &mut Vec<Told>) -> Result<(), String> {
        let id = frame.headers.get("subscription").unwrap_or_default();
        // The oldest of that name: the id is free again only after its UNSUBSCRIBE's RECEIPT.
        let Some(subscription) = self.subscriptions.iter_mut().find(|it| it.id == id) else {
            return Err(format!("U10: MESSAGE for subscription {id}, which is over: {:?}", frame.headers));
        };
        let place = subscription.handle_message(&frame.headers, &frame.body, eyes.truth)?;
        told.push(Told::Place { room: subscription.room.clone(), token: Some(place) });
        Ok(())
    }

    fn handle_receipt(
        &mut self,
        pending: Pending,
        headers: &Headers,
        eyes: &Eyes<'_>,
        told: &mut Vec<Told>,
    ) -> Result<(), String> {
        match pending {
            Pending::Send { message, attempt, key, .. } => {
                let id = headers.get("message-id").ok_or("R02: RECEIPT of a SEND without message-id")?;
                let place: MessageId = id.parse().map_err(|_| format!("message-id {id}"))?;
                let Some(stored) = eyes.truth.get(place.partition, place.offset) else {
                    return Err(format!("p1: receipted as {id}, which is not in the log"));
                };
                if stored.check != place.check || headers.get("timestamp") != Some(&stored.timestamp_ms.to_string()) {
                    return Err(format!("p1: receipted as {id}, where something else lies"));
                }
                // A repeat may be answered with the message that it repeats.
                let repeats = !key.is_empty() && stored.shown && stored.key == key && stored.sender == self.user;
                if stored.attempt != attempt && !repeats {
                    return Err(format!("p1: {attempt} is receipted as {id}, which is {}", stored.attempt));
                }
                if let Some(sent) = self.sent.iter_mut().find(|(_, of, _)| *of == attempt) {
                    sent.2 = true;
                }
                told.push(Told::Stored { message, attempt });
            }
            Pending::Subscribe { subscription } => {
                let Some(it) = self.subscriptions.iter_mut().find(|it| it.id == subscription && it.joining) else {
                    return Err(format!("RECEIPT for subscription {subscription}, which does not wait for one"));
                };
                // It ends before it has begun, with UNSUBSCRIBE or with the session: nothing comes any more.
                if headers.get("x-position").is_none() {
                    (it.joining, it.start) = (false, Some(i64::MAX));
                    return Ok(());
                }
                let begun = it.handle_receipt(headers, eyes.truth, eyes.plan)?;
                let position = headers.get("x-position").and_then(|text| text.parse().ok());
                match begun {
                    Begun::Plain | Begun::NotRecovered => {
                        told.push(Told::Place { room: it.room.clone(), token: position });
                    }
                    Begun::Recovered => {}
                }
            }
            Pending::Unsubscribe { subscription } => {
                if let Some(at) = self.subscriptions.iter().position(|it| it.id == subscription) {
                    self.subscriptions.remove(at);
                }
            }
            Pending::Commit { receipts, .. } => {
                if let Some(open) = receipts.iter().find_map(|id| self.pending.get(id)) {
                    return Err(format!("T08: COMMIT's RECEIPT, but {open:?} has none"));
                }
            }
            Pending::Disconnect => {
                if let Some(open) = self.pending.values().find(|it| matches!(it, Pending::Send { .. })) {
                    return Err(format!("D02: DISCONNECT's RECEIPT, but {open:?} has none"));
                }
            }
        }
        Ok(())
    }

    /// ERROR, or a MESSAGE that stands for one.
    fn fail(&mut self, headers: &Headers, eyes: &Eyes<'_>, told: &mut Vec<Told>) -> Result<(), String> {
        let label = headers.get("x-error").unwrap_or_default();
        let known = label.starts_with("send_") || label.starts_with("log_") || label == "too_large";
        if label == "not_recovered" {
            let (destination, silent) = (headers.get("x-destination").unwrap_or_default(), self.error.is_none());
            let is_meant = |it: &Subscription| {
                !it.receipt && it.last.is_none() && (!silent || destination.ends_with(&format!("/{}", it.room)))
            };
            for gone in self.subscriptions.extract_if(.., |it| is_meant(it)) {
                told.push(Told::Place { room: gone.room, token: None });
            }
        }
        match headers.get("receipt-id").and_then(|id| self.pending.remove(id)) {
            Some(Pending::Send { message, attempt, .. }) if known && label != "send_unknown" => {
                if eyes.truth.attempts.contains_key(&attempt) {
                    return Err(format!("p5: {attempt} is refused ({label}), but in the log"));
                }
                told.push(Told::Refused { message, attempt });
            }
            Some(Pending::Send { message, .. }) => told.push(Told::Unknown { message }),
            _ => {}
        }
        Ok(())
    }

    /// Promise 5, and the edge's heart-beats: what takes too long although nothing is in the way.
    pub fn judge_delays(&mut self, plan: &Plan, now: Duration) -> Result<(), String> {
        // A socket that takes next to nothing is a slow client all the time.
        if plan.socket_bytes < SLOW && (self.link.borrow().is_moving() || !self.out.is_empty()) {
            self.disturbed_until = self.disturbed_until.max(now);
        }
        let undisturbed = |since: Duration| now.saturating_sub(since.max(self.disturbed_until));
        for pending in self.pending.values() {
            match pending {
                Pending::Send { since, .. } | Pending::Commit { since, .. }
                    if undisturbed(*since) > SEND_ENDS + ON_THE_WAY && !self.leaving =>
                {
                    return Err(format!("p5: {pending:?} has met no outcome at {now:?}"));
                }
                _ => {}
            }
        }
        if self.connected && self.close.is_none() && !self.leaving && self.error.is_none() && self.beats.1 > 0 {
            let interval = Duration::from_millis(self.beats.1);
            if undisturbed(self.heard_at) > interval + ON_THE_WAY {
                return Err(format!("B05: nothing heard since {:?}, agreed on every {interval:?}", self.heard_at));
            }
        }
        Ok(())
    }

    /// Whether the session may end as it does.
    fn judge_end(&self, eyes: &Eyes<'_>) -> Result<(), String> {
        let link = self.link.borrow();
        let (plan, faults) = (eyes.plan, &eyes.plan.faults);
        // A bound in time may be met some time after what has slowed things down.
        let disturbed = |seconds: u64| eyes.now < self.disturbed_until + Duration::from_secs(seconds);
        let allowed = match self.close.flatten() {
            _ if link.broken_by_fault || self.leaving => true,
            // Linger zero, or octets that crossed the close.
            None => link.finished || (link.cut && disturbed(13)),
            Some(1012 | 1001) => faults.drain,
            Some(1013) => !self.connected || disturbed(16),
            Some(1002) => disturbed(90) && self.error.as_deref() == Some("heart_beat_lost"),
            Some(4002) => disturbed(13),
            Some(1008) => disturbed(12) && self.error.as_deref() == Some("connect_timeout"),
            Some(4003) => !plan.remembers_all() || self.error.as_deref() == Some("not_recovered"),
            Some(4004 | 1009) => self.has_sent,
            Some(_) => false,
        };
        if allowed {
            return Ok(());
        }
        let (close, error) = (self.close, &self.error);
        Err(format!(
            "p10: a session ended without reason: close {close:?}, error {error:?}, disturbed until {:?}",
            self.disturbed_until
        ))
    }

    /// Nothing more comes: what is open stays unknown.
    pub fn end(&mut self, told: &mut Vec<Told>) {
        for pending in std::mem::take(&mut self.pending).into_values() {
            if let Pending::Send { message, .. } = pending {
                told.push(Told::Unknown { message });
            }
        }
        told.push(Told::Ended);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.link.borrow_mut().client_open = false;
    }
}
