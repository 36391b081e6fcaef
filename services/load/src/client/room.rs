//! A session's room: SUBSCRIBE, from where the client was cut if that is possible, and the MESSAGEs.

use chat_proto::MessageId;
use stomp_proto::{Command, ServerFrame, frame::client::encode};

use super::session::{ERRORS, Ended, JOIN, Session};
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
    pub(super) fn subscribe(&mut self) -> Result<(), Ended> {
        let (run, settings) = (self.run, &self.run.settings);
        if settings.soft_errors {
            let headers = [("id", ERRORS), ("destination", "/user/queue/errors")];
            self.wire.send(encode(Command::Subscribe, headers, b"", self.version)).map_err(Ended::cut)?;
        }
        let destination = format!("{}{}", settings.dialect.destination_prefix, self.client.room);
        // Another server's message-ids say nothing about a place.
        let token = self.client.token.as_deref().filter(|token| token.parse::<MessageId>().is_ok());
        let from = token.filter(|_| !settings.no_resume);
        let optional = [("receipt", (!settings.dialect.no_barrier).then_some(JOIN)), ("x-from", from)];
        let headers = [("id", "0"), ("destination", destination.as_str())];
        let headers = headers.into_iter().chain(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        self.client.record(run, 0, || Event::Subscribe {
            room: self.client.room.as_str().into(),
            from: from.map(Into::into),
            history: None,
        });
        self.wire.send(encode(Command::Subscribe, headers, b"", self.version)).map_err(Ended::cut)
    }

    /// SUBSCRIBE was confirmed, or must have been heard by now.
    pub(super) fn join(&mut self, receipt: Option<&ServerFrame>) {
        if self.joined {
            return;
        }
        let get = |name| receipt.and_then(|frame| frame.headers.get(name));
        let (run, position) = (self.run, get("x-position"));
        let recovered = get("x-recovered").map(|recovered| recovered == "true");
        self.joined = true;
        run.counters.joined.up();
        run.checker.joined(self.client.member, recovered == Some(true));
        self.client.record(run, 0, || Event::Joined {
            room: self.client.room.as_str().into(),
            position: position.map(Into::into),
            recovered,
            count: get("x-history-count").and_then(|count| count.parse().ok()),
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
        self.client.token = position.map(str::to_owned);
    }

    pub(super) fn message(&mut self, frame: &ServerFrame) {
        let run = self.run;
        let id = frame.headers.get("message-id").unwrap_or_default();
        let token = self.client.token.get_or_insert_default();
        token.clear();
        token.push_str(id);
        let payload = Payload::read(&frame.body);
        self.tell_message(frame, id, payload.as_ref());
        let Some(payload) = payload.filter(|payload| payload.run == run.id) else {
            return run.counters.foreign.up();
        };
        let now = clock::now();
        run.counters.delivered.up();
        latency::record(&mut run.latency.of(self.client.number).delivery, now.saturating_sub(payload.due));
        run.checker.delivered(self.client.member, &payload, id, frame.body.len(), run.settings.body as usize);
    }

    fn tell_message(&self, frame: &ServerFrame, id: &str, payload: Option<&Payload>) {
        let (run, get) = (self.run, |name| frame.headers.get(name));
        let room = self.client.room.as_str();
        let Some(payload) = payload else {
            return self.client.record(run, 0, || Event::Foreign { room: room.into(), id: id.into() });
        };
        self.client.record(run, 0, || Event::Message {
            room: room.into(),
            id: id.into(),
            ts: get("timestamp").and_then(|ts| ts.parse().ok()),
            sender: get("sender").map(Into::into),
            from: payload.sender,
            n: payload.number,
            attempt: payload.attempt,
            run: Some(payload.run).filter(|id| *id != run.id),
            replayed: get("x-replayed") == Some("true"),
            size: frame.body.len(),
            damaged: payload.run == run.id && frame.body.len() != run.settings.body as usize,
            leaked: frame.headers.iter().map(|(name, _)| name).find(|name| is_secret(name)).map(Into::into),
        });
    }
}

/// Must a header of this name never reach a room?
pub fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}
