//! One STOMP session as its client sees it: octets out and in, what it waits for, and whether it may end as it does.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use chat_proto::MessageId;
use klatsch_edge::log::memory::MemoryLog;
use stomp_proto::{Command, ServerDecoder, Version, frame::client::encode};

use crate::{
    link::Shared,
    plan::Plan,
    rng::Rng,
    subscription::Subscription,
    truth::Truth,
    websocket::{self, Heard},
};

#[path = "heard.rs"]
mod heard;
#[path = "limits.rs"]
mod limits;

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
