//! Every transition that a frame causes.

use super::{Session, State};
use crate::{
    ErrorKind, Event, Headers, Profile, ProtocolError, Text, Version,
    event::Acked,
    frame::{
        Command, Frame,
        client::{AckMode, Connect, Send, Subscribe},
    },
    heart_beat::Pair,
    subscription::{Request, Target},
    transaction::Settle,
};
use alloc::{format, vec::Vec};
use bytes::Bytes;

type Outcome = Result<Option<Event>, ProtocolError>;

impl Session {
    /// One whole frame. Errors carry its receipt (E02), except on CONNECT, which has none (V12).
    pub(super) fn dispatch(&mut self, frame: Frame) -> Outcome {
        if self.state == State::Fresh {
            return self.first(frame);
        }
        let receipt = match frame.command {
            Command::Connect | Command::Stomp => None,
            _ => frame.headers.text("receipt"),
        };
        self.route(frame, receipt.clone()).map_err(|error| error.with_receipt(receipt))
    }

    fn first(&mut self, frame: Frame) -> Outcome {
        match frame.command {
            Command::Connect | Command::Stomp => self.connect(frame.headers, &frame.body).map(Some),
            command => {
                let detail = format!("the first frame has to be CONNECT, not {}", command.as_str());
                let error = ProtocolError::new(ErrorKind::NotConnected, "not connected", detail);
                Err(error.with_receipt(frame.headers.text("receipt")))
            }
        }
    }

    fn route(&mut self, frame: Frame, receipt: Option<Text>) -> Outcome {
        let Frame { command, headers, body } = frame;
        if !body.is_empty() && command != Command::Send && self.version > Version::V1_0 {
            return Err(body_not_allowed(command));
        }
        match command {
            Command::Send => self.send_frame(headers, body, receipt),
            Command::Subscribe => self.subscribe(headers, receipt),
            Command::Unsubscribe => self.unsubscribe(&headers, receipt),
            Command::Ack => self.settle(&headers, receipt, false),
            Command::Nack if self.version > Version::V1_0 => self.settle(&headers, receipt, true),
            Command::Begin => self.begin(&headers, receipt),
            Command::Commit => self.commit(&headers, receipt),
            Command::Abort => self.abort(&headers, receipt),
            Command::Disconnect => {
                self.release();
                self.state = State::Leaving;
                Ok(Some(Event::Disconnect { receipt }))
            }
            Command::Connect | Command::Stomp => match self.config.profile {
                Profile::Spring => Ok(None),
                Profile::Strict => {
                    let detail = "a connection has one CONNECT";
                    Err(ProtocolError::new(ErrorKind::Conflict, "already connected", detail))
                }
            },
            Command::Nack | Command::Connected | Command::Message | Command::Receipt | Command::Error => {
                let detail = format!("{} is not a command of STOMP {} clients", command.as_str(), self.version);
                Err(ProtocolError::new(ErrorKind::Malformed, "unknown command", detail))
            }
        }
    }

    fn connect(&mut self, mut headers: Headers, body: &[u8]) -> Result<Event, ProtocolError> {
        let Some(version) = Version::negotiate(headers.get("accept-version")) else {
            let detail = "accept-version names none of the supported versions: 1.0, 1.1, 1.2";
            return Err(ProtocolError::new(ErrorKind::Version, "unsupported version", detail));
        };
        match version {
            Version::V1_0 => headers.trim_values(),
            _ if !body.is_empty() => return Err(body_not_allowed(Command::Connect)),
            Version::V1_2 if headers.iter().any(|(name, value)| name.contains('\r') || value.contains('\r')) => {
                return Err(ProtocolError::malformed("a header has a CR that is not part of a line end"));
            }
            _ => {}
        }
        self.wish = match headers.get("heart-beat").filter(|_| version > Version::V1_0) {
            None => Pair::default(),
            Some(text) => Pair::parse(text)
                .ok_or_else(|| ProtocolError::malformed("heart-beat has to be two non-negative integers: x,y"))?,
        };
        self.bound_pipeline()?;
        self.version = version;
        self.state = State::Connecting;
        Ok(Event::Connect(Connect {
            version,
            host: headers.text("host"),
            login: headers.text("login"),
            passcode: headers.text("passcode"),
            headers,
        }))
    }

    fn send_frame(&mut self, mut headers: Headers, mut body: Bytes, receipt: Option<Text>) -> Outcome {
        let Some(transaction) = headers.text("transaction") else {
            let send = Send::new(headers, body, receipt).ok_or_else(|| missing(Command::Send, "destination"))?;
            return Ok(Some(Event::Send(send)));
        };
        // It may be held for long, so it lets go of the read that it came in.
        let frame = headers.frame().clone();
        headers.detach();
        let start = frame.len() - 1 - body.len();
        body = headers.frame().slice(start..frame.len() - 1);
        let receipt = receipt.and_then(|_| headers.text("receipt"));
        let send = Send::new(headers, body, receipt).ok_or_else(|| missing(Command::Send, "destination"))?;
        let config = self.config.clone();
        let (destination, receipt) = (send.destination.clone(), send.receipt.clone());
        let other = self.hold(|open| open.send(&transaction, send, &config.limits))?;
        Ok(other.map(|first| Event::Held { destination, first, receipt }))
    }

    fn subscribe(&mut self, headers: Headers, receipt: Option<Text>) -> Outcome {
        let destination = headers.get("destination").ok_or_else(|| missing(Command::Subscribe, "destination"))?;
        let id = headers.get("id");
        if id.is_none() && self.version > Version::V1_0 {
            return Err(missing(Command::Subscribe, "id"));
        }
        let mode = match headers.get("ack") {
            None | Some("auto") => AckMode::Auto,
            Some("client") => AckMode::Client,
            Some("client-individual") if self.version > Version::V1_0 => AckMode::ClientIndividual,
            Some(_) => {
                return Err(ProtocolError::malformed("ack has to be auto, client or (from 1.1) client-individual"));
            }
        };
        if self.config.profile == Profile::Strict && headers.get("selector").is_some() {
            return Err(ProtocolError::malformed("selector is not supported"));
        }
        let limits = &self.config.limits;
        let prefetch = match headers.get("prefetch-count").filter(|_| mode != AckMode::Auto) {
            None => limits.prefetch,
            Some(count) if !count.is_empty() && count.bytes().all(|octet| octet.is_ascii_digit()) => {
                // Zero asks for the most, as with RabbitMQ.
                count.parse().ok().filter(|&count| count > 0).unwrap_or(usize::MAX)
            }
            Some(_) => return Err(ProtocolError::malformed("prefetch-count is not a decimal number")),
        };
        let request = Request { id, destination, mode, prefetch };
        let (handle, prefetch) = self.subscriptions.add(&request, limits.subscriptions, limits.unacked)?;
        let (id, destination) = (id.map(Text::from), Text::from(destination));
        Ok(Some(Event::Subscribe(Subscribe { handle, id, destination, ack: mode, prefetch, receipt, headers })))
    }

    fn unsubscribe(&mut self, headers: &Headers, receipt: Option<Text>) -> Outcome {
        let handle = match (headers.get("id"), headers.get("destination")) {
            (Some(id), _) => self.subscriptions.find(id, true),
            (None, Some(destination)) if self.version == Version::V1_0 => self.subscriptions.find(destination, false),
            _ => return Err(missing(Command::Unsubscribe, "id")),
        };
        match handle {
            Some(handle) => self.subscriptions.remove(handle),
            None if self.config.profile == Profile::Strict => {
                let detail = "UNSUBSCRIBE names a subscription that does not exist";
                return Err(ProtocolError::new(ErrorKind::Unknown, "unknown subscription", detail));
            }
            None => {}
        }
        Ok(Some(Event::Unsubscribe { handle, receipt }))
    }

    /// ACK and NACK. Their target is looked up at once, so that a wrong one fails its own frame.
    fn settle(&mut self, headers: &Headers, receipt: Option<Text>, nack: bool) -> Outcome {
        let command = if nack { Command::Nack } else { Command::Ack };
        let get = |name| headers.get(name).ok_or_else(|| missing(command, name));
        let target = match self.version {
            Version::V1_0 => self.subscriptions.by_message_id(get("message-id")?, headers.get("subscription"))?,
            Version::V1_1 => self.subscriptions.by_message_id(get("message-id")?, Some(get("subscription")?))?,
            Version::V1_2 => self.subscriptions.by_ack_id(get("id")?, headers.get("subscription"))?,
        };
        let settle = Settle { target, nack, receipt };
        match headers.get("transaction") {
            Some(transaction) => {
                let config = self.config.clone();
                self.hold(|open| open.settle(transaction, settle, &config.limits))?;
                Ok(None)
            }
            None => Ok(self.apply(settle)?.map(Event::Acked)),
        }
    }

    /// Queues the RECEIPT too.
    fn apply(&mut self, settle: Settle) -> Result<Option<Acked>, ProtocolError> {
        let acked = match settle.target {
            Target::Nothing => None,
            Target::Delivery(handle, number) => {
                let count = self.subscriptions.settle(handle, number)?;
                (count > 0).then_some(Acked { handle, count, nack: settle.nack })
            }
        };
        self.answer(settle.receipt);
        Ok(acked)
    }

    fn begin(&mut self, headers: &Headers, receipt: Option<Text>) -> Outcome {
        let id = headers.text("transaction").ok_or_else(|| missing(Command::Begin, "transaction"))?;
        let config = self.config.clone();
        self.hold(|open| open.begin(&id, &config.limits))?;
        self.answer(receipt);
        Ok(None)
    }

    fn commit(&mut self, headers: &Headers, receipt: Option<Text>) -> Outcome {
        let id = headers.get("transaction").ok_or_else(|| missing(Command::Commit, "transaction"))?;
        let transaction = self.transactions().end(id);
        self.tidy_transactions();
        let transaction = transaction?;
        let mut acked = Vec::new();
        for settle in transaction.settles {
            acked.extend(self.apply(settle)?);
        }
        Ok(Some(Event::Commit { sends: transaction.sends, acked, receipt }))
    }

    fn abort(&mut self, headers: &Headers, receipt: Option<Text>) -> Outcome {
        let id = headers.get("transaction").ok_or_else(|| missing(Command::Abort, "transaction"))?;
        let ended = self.transactions().end(id).map(|_| ());
        self.tidy_transactions();
        ended?;
        self.answer(receipt);
        Ok(None)
    }

    fn hold<T>(
        &mut self,
        change: impl FnOnce(&mut crate::transaction::Transactions) -> Result<T, ProtocolError>,
    ) -> Result<T, ProtocolError> {
        let outcome = change(self.transactions());
        self.tidy_transactions();
        outcome
    }

    fn answer(&mut self, receipt: Option<Text>) {
        if let Some(receipt) = receipt {
            self.receipt(&receipt, &[]);
        }
    }
}

fn missing(command: Command, header: &'static str) -> ProtocolError {
    let detail = format!("{} lacks the header {header}", command.as_str());
    ProtocolError::new(ErrorKind::Malformed, "missing header", detail)
}

fn body_not_allowed(command: Command) -> ProtocolError {
    ProtocolError::malformed(format!("{} may not have a body", command.as_str()))
}
