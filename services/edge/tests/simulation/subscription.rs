//! One SUBSCRIBE as its client sees it, held against what is true: from where it begins to where it ends it gets exactly
//! what is to be shown, once and in order (promises 2, 3, 4 and 7).

use std::{collections::VecDeque, ops::Not};

use chat_proto::MessageId;
use stomp_proto::Headers;

use crate::{session::Eyes, truth::Truth};

/// Where a SUBSCRIBE asks to begin.
#[derive(Debug, Clone, Copy)]
pub enum Asked {
    Now,
    /// Behind a token; `genuine` if it is one for this room's partition, unchanged.
    From {
        token: MessageId,
        genuine: bool,
    },
    First,
    Since(i64),
    Last(u32),
}

/// A subscription of a session.
#[derive(Debug)]
pub struct Subscription {
    pub id: String,
    pub room: String,
    pub asked: Asked,
    /// A RECEIPT was asked for.
    pub receipt: bool,
    /// It has not come yet.
    pub joining: bool,
    /// Everything behind this offset is to come. `None`: not known, what comes first decides.
    pub start: Option<i64>,
    /// The offset of the last message.
    pub last: Option<i64>,
    /// The partition's end at the RECEIPT.
    position: Option<i64>,
    /// The log's first offset when `First` was answered.
    pub low: i64,
    /// UNSUBSCRIBE has been sent.
    pub leaving: bool,
    pub mode: &'static str,
    pub prefetch: usize,
    /// `ack` headers of what has not been acknowledged.
    pub unacked: VecDeque<String>,
}

/// What a session got to know of a subscription's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    Plain,
    Recovered,
    NotRecovered,
}

impl Subscription {
    pub fn new(id: &str, room: &str, asked: Asked, receipt: bool) -> Self {
        let start = match asked {
            // Without a receipt it goes on, or the session hears of the gap.
            Asked::From { token, .. } if !receipt => Some(token.offset),
            _ => None,
        };
        Self {
            id: id.to_owned(),
            room: room.to_owned(),
            asked,
            receipt,
            joining: receipt,
            start,
            last: None,
            position: None,
            low: 0,
            leaving: false,
            mode: "auto",
            prefetch: usize::MAX,
            unacked: VecDeque::new(),
        }
    }

    /// The RECEIPT of SUBSCRIBE.
    pub fn handle_receipt(&mut self, headers: &Headers, eyes: &Eyes<'_>) -> Result<Begun, String> {
        let Eyes { truth, plan, log, .. } = *eyes;
        self.joining = false;
        let remembers_all = plan.remembers_all();
        let position = headers.get("x-position").ok_or("RECEIPT of SUBSCRIBE without x-position")?;
        let position: MessageId = position.parse().map_err(|_| format!("x-position {position}"))?;
        let at = position.offset;
        if position.partition != truth.partition_of(&self.room) {
            return Err(format!("x-position {position} is of another partition than {}", self.room));
        }
        if at >= truth.end(position.partition) || (position.check != 0 && position != truth.id(position.partition, at))
        {
            return Err(format!("p7: x-position {position} is no place of the log"));
        }
        self.position = Some(at);
        let begun = match (self.asked, headers.get("x-recovered")) {
            (Asked::Now, None) => Begun::Plain,
            (Asked::Now, Some(_)) | (_, None) => return Err("x-recovered exactly when it was asked for".to_owned()),
            (_, Some("true")) => Begun::Recovered,
            (_, Some(_)) => Begun::NotRecovered,
        };
        if begun != Begun::Recovered {
            let known = match self.asked {
                Asked::From { token, genuine } => {
                    // Of what nobody can read a tail keeps nothing.
                    let kept = truth.get(token.partition, token.offset).map_or(!plan.faults.poison, |it| it.readable);
                    genuine && kept && token.offset <= at
                }
                Asked::Now => false,
                // A log that begins with what no edge can read has no known beginning.
                _ => !plan.faults.poison,
            };
            if known && remembers_all {
                return Err(format!(
                    "p7: {:?} in {} is not recovered at {position}, but all of it is known",
                    self.asked, self.room
                ));
            }
            self.start = Some(at);
            return Ok(begun);
        }
        self.start = match self.asked {
            Asked::Now => Some(at),
            Asked::From { genuine: false, token } => return Err(format!("{token} is recovered in {}", self.room)),
            Asked::From { token, .. } => Some(token.offset),
            Asked::First => {
                // Retention goes on while the log is asked.
                self.low = log.offsets(position.partition).start;
                (self.low == 0).then_some(-1)
            }
            Asked::Since(ms) => {
                let late =
                    |offset: &i64| truth.get(position.partition, *offset).is_some_and(|it| it.timestamp_ms >= ms);
                Some((0..=at).find(late).map_or(at, |first| first - 1))
            }
            Asked::Last(most) => {
                let count = headers.get("x-history-count").and_then(|count| count.parse::<usize>().ok());
                let count = count.ok_or("recovered history without x-history-count")?;
                let all = truth.shown_between(&self.room, -1, at);
                if count > most as usize
                    || (count > all.len() && !plan.faults.poison)
                    || (remembers_all && !plan.faults.poison && count != all.len().min(most as usize))
                {
                    return Err(format!("history of {count}, asked for {most}, there are {}", all.len()));
                }
                // What comes first is the first of the last `count`. Records that nobody can read are among them: an
                // edge finds out only when it delivers them.
                let first = all.len().checked_sub(count + 1).map_or(-1, |before| all[before]);
                plan.faults.poison.not().then_some(first)
            }
        };
        Ok(begun)
    }

    /// A MESSAGE for it.
    pub fn handle_message(&mut self, headers: &Headers, body: &[u8], truth: &Truth) -> Result<MessageId, String> {
        let text = headers.get("message-id").ok_or("MESSAGE without message-id")?;
        let id: MessageId = text.parse().map_err(|_| format!("message-id {text}"))?;
        let (room, subscription) = (&self.room, &self.id);
        let Some(stored) = truth.get(id.partition, id.offset) else {
            return Err(format!("p1: {id} in {room} is shown, but not in the log"));
        };
        let same = stored.check == id.check && stored.room == *room && stored.body == body;
        let headers_of = [("sender", &stored.sender), ("x-idempotency-key", &stored.key), ("attempt", &stored.attempt)];
        let same = same && headers_of.iter().all(|(name, value)| headers.get(name).unwrap_or("") == value.as_str());
        if !same {
            return Err(format!("p6: {id} in {room} is not what the log holds: {headers:?}"));
        }
        if !stored.shown {
            return Err(format!("p4: {id} in {room} repeats an earlier record and is shown all the same"));
        }
        if self.joining {
            return Err(format!("U07: {id} in {room} before the RECEIPT of its SUBSCRIBE"));
        }
        match self.last.or(self.start) {
            Some(after) if id.offset <= after => {
                return Err(format!("p4: {id} in {room} again, or late: subscription {subscription} has had {after}"));
            }
            Some(after) => {
                let expected = truth.next_shown(room, after);
                if expected != Some(id.offset) {
                    return Err(format!(
                        "p3: subscription {subscription} of {room} got {id} behind {after}; {expected:?} is missing"
                    ));
                }
            }
            None if matches!(self.asked, Asked::First) => {
                let first = truth.next_shown(room, self.low - 1);
                if first.is_some_and(|first| first < id.offset) {
                    return Err(format!("p3: from the first, got {id} and not {first:?} in {room}"));
                }
            }
            None => {}
        }
        let replayed = headers.get("x-replayed") == Some("true");
        if self.position.is_some_and(|position| replayed != (id.offset <= position)) {
            return Err(format!("{id} in {room}: x-replayed:{replayed}, but the position was {:?}", self.position));
        }
        self.last = Some(id.offset);
        if self.mode != "auto" {
            self.unacked.push_back(headers.get("ack").ok_or("M04: MESSAGE without ack")?.to_owned());
            if self.unacked.len() > self.prefetch {
                return Err(format!(
                    "subscription {subscription}: more than prefetch-count {} unacknowledged",
                    self.prefetch
                ));
            }
        }
        Ok(id)
    }

    /// Whether everything that is to come has come.
    pub fn missing(&self, truth: &Truth) -> Option<i64> {
        if self.joining {
            return Some(-1);
        }
        match (self.last.or(self.start), self.asked) {
            (Some(after), _) => truth.next_shown(&self.room, after),
            (None, Asked::First) => truth.next_shown(&self.room, self.low - 1),
            (None, _) => None,
        }
    }
}
