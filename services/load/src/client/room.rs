//! A session's room: that it is joined, from where the client was cut if that was possible, and its messages.

use super::{
    link::{Joined, Message},
    session::Session,
    takeover::Moving,
};
use crate::{clock, history::Event, latency, payload::Payload};

/// Headers that must never reach a room, whoever wrote them.
const SECRETS: [&str; 10] = [
    "authorization",
    "proxy-authorization",
    "login",
    "passcode",
    "cookie",
    "set-cookie",
    "x-auth-token",
    "x-access-token",
    "access_token",
    "x-api-key",
];

impl Session<'_> {
    /// SUBSCRIBE was confirmed, or must have been heard by now.
    pub(super) fn enter(&mut self, joined: &Joined) {
        let (run, Joined { position, recovered, count }) = (self.run, joined);
        let (recovered, count) = (*recovered, *count);
        if !std::mem::replace(&mut self.joined, true) {
            run.counters.joined.up();
        }
        run.checker.joined(self.client.member, recovered == Some(true));
        self.client.record(run, self.talk.number, || Event::Joined {
            room: (*self.client.room).into(),
            position: position.as_deref().map(Into::into),
            recovered,
            count,
        });
        match recovered {
            Some(true) => {
                run.counters.recovered.up();
                // What is replayed has not come yet: the token that was asked from is still the place to go on at.
                return;
            }
            Some(false) => run.counters.not_recovered.up(),
            None => {}
        }
        self.client.token.clone_from(position);
    }

    /// A message came in that session.
    pub(super) fn message(&mut self, number: u32, message: &Message) {
        let run = self.run;
        let id = message.id.as_str();
        let payload = Payload::read(&message.body);
        let new = self.client.overlap.is_new(id, matches!(self.moving, Moving::Not));
        self.tell_message(number, message, payload.as_ref(), !new);
        if !new {
            return;
        }
        let token = self.client.token.get_or_insert_default();
        token.clear();
        token.push_str(id);
        let Some(payload) = payload.filter(|payload| payload.run == run.id) else {
            return run.counters.foreign.up();
        };
        let now = clock::now();
        run.counters.delivered.up();
        latency::record(&mut run.latency.of(self.client.number).delivery, now.saturating_sub(payload.due));
        run.checker.delivered(self.client.member, &payload, id, message.body.len(), run.settings.body as usize);
    }

    fn tell_message(&self, number: u32, message: &Message, payload: Option<&Payload>, discarded: bool) {
        let (run, id) = (self.run, message.id.as_str());
        let room = &*self.client.room;
        let Some(payload) = payload else {
            let foreign = || Event::Foreign { room: room.into(), id: id.into(), discarded };
            return self.client.record(run, number, foreign);
        };
        self.client.record(run, number, || Event::Message {
            room: room.into(),
            id: id.into(),
            ts: message.ts,
            sender: message.sender.as_deref().map(Into::into),
            from: payload.sender,
            n: payload.number,
            attempt: payload.attempt,
            run: Some(payload.run).filter(|id| *id != run.id),
            replayed: message.replayed,
            size: message.body.len(),
            damaged: payload.run == run.id && message.body.len() != run.settings.body as usize,
            leaked: message.leaked.as_deref().map(Into::into),
            discarded,
        });
    }
}

/// Must a header of this name never reach a room?
pub fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}
