//! One session of a client: SUBSCRIBE, then SENDs by the timetable and whatever comes, until the end.

use std::time::{Duration, Instant};

use stomp_proto::{Command, ServerFrame, Version, frame::client::encode};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    Client, Run,
    connect::Connection,
    failure::{error_text, retry_after},
    outstanding::{Outstanding, Waiting},
    wire::{Input, Wire},
};
use crate::{clock, latency, payload::Payload};

/// Silence of this many heart-beat intervals is the end.
const TOLERANCE: u32 = 3;
/// How long a server may take to confirm SUBSCRIBE, or the goodbye.
const PATIENCE: Duration = Duration::from_secs(20);
/// A client counts as subscribed this much later where nothing confirms it.
const NO_BARRIER: Duration = Duration::from_secs(1);
/// SENDs that may wait for an answer in one session; the edge's own limit is as high.
const WINDOW: usize = 1_000;

const JOIN: &str = "join";
const BYE: &str = "bye";

/// Labels of ERRORs after which a SEND is certainly not stored; those with `send_refused_` are, too.
const REFUSALS: [&str; 6] = ["log_away", "forbidden", "unknown_destination", "too_large", "rate_limited", "too_many"];

/// How a session ended.
pub(super) enum End {
    /// The run is over.
    Asked,
    /// Cut.
    Cut { lasted: Duration, retry_after: Option<Duration>, hopeless: bool },
}

pub(super) struct Session<'a> {
    run: &'a Run,
    client: &'a mut Client,
    wire: Wire,
    version: Version,
    beat: Option<Duration>,
    pulse: Option<Duration>,
    outstanding: Outstanding,
    joined: bool,
    leaving: bool,
    /// The next SEND is late because of the server.
    held_up: bool,
    since: Instant,
    heard: Instant,
    retry_after: Option<Duration>,
    hopeless: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(run: &'a Run, client: &'a mut Client, connection: Connection) -> Session<'a> {
        let Connection { wire, version, beat, pulse } = connection;
        let now = Instant::now();
        Session {
            run,
            client,
            wire,
            version,
            beat,
            pulse,
            outstanding: Outstanding::default(),
            joined: false,
            leaving: false,
            held_up: false,
            since: now,
            heard: now,
            retry_after: None,
            hopeless: false,
        }
    }

    /// From SUBSCRIBE to the end.
    pub(super) async fn live(mut self, end: watch::Receiver<bool>) -> End {
        let why = self.until_closed(end).await;
        if self.leaving {
            // What is still owed or unanswered now is for the checker to judge.
            return End::Asked;
        }
        let (run, member) = (self.run, self.client.member);
        if self.joined {
            run.counters.joined.down();
            run.checker.left(member);
        }
        self.outstanding.drain().for_each(|waiting| run.checker.unknown(member, waiting.turn));
        run.counters.closes.up(&why);
        End::Cut { lasted: self.since.elapsed(), retry_after: self.retry_after, hopeless: self.hopeless }
    }

    /// Says how it ended.
    async fn until_closed(&mut self, mut end: watch::Receiver<bool>) -> String {
        if let Err(why) = self.subscribe() {
            return why;
        }
        let run = self.run;
        let number = self.client.number;
        let every = self.beat.or(self.pulse).unwrap_or(PATIENCE).min(PATIENCE);
        let mut beats = interval(every);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let barrier = sleep(NO_BARRIER);
        tokio::pin!(barrier);
        loop {
            let sends = self.joined && !self.leaving;
            let step = tokio::select! {
                input = self.wire.next() => self.handle(input),
                () = run.timetable.turn(number), if sends => Ok(()),
                _ = end.wait_for(|end| *end), if !self.leaving => self.leave(),
                _ = beats.tick() => self.tick(),
                () = &mut barrier, if run.settings.no_barrier && !self.joined => { self.join(); Ok(()) }
            };
            if let Err(why) = step.and_then(|()| self.send_due()) {
                return why;
            }
        }
    }

    fn subscribe(&mut self) -> Result<(), String> {
        let settings = &self.run.settings;
        let destination = format!("{}{}{}", settings.destination_prefix, settings.room_prefix, self.client.member.room);
        let receipt = (!settings.no_barrier).then_some(("receipt", JOIN));
        let headers = [("id", "0"), ("destination", &destination)];
        self.wire.send(encode(Command::Subscribe, headers.into_iter().chain(receipt), b"", self.version))
    }

    fn join(&mut self) {
        if !self.joined {
            self.joined = true;
            self.run.counters.joined.up();
            self.run.checker.joined(self.client.member);
        }
    }

    /// Sends everything that is due, as long as the server reads and answers. What waits for that keeps its time.
    fn send_due(&mut self) -> Result<(), String> {
        if !self.joined || self.leaving {
            return Ok(());
        }
        while let Some(due) = self.run.timetable.due(self.client.number, self.client.turn) {
            let now = clock::now();
            if due > now {
                break;
            }
            if self.wire.is_blocked() || self.outstanding.len() >= WINDOW {
                self.held_up = true;
                break;
            }
            if std::mem::take(&mut self.held_up) {
                self.run.counters.held_up.up();
            } else {
                latency::record(&mut self.run.latency.of(self.client.number).lateness, now - due);
            }
            self.send(due)?;
        }
        Ok(())
    }

    fn send(&mut self, due: u64) -> Result<(), String> {
        let (run, member) = (self.run, self.client.member);
        let number = self.client.sent;
        self.client.sent += 1;
        self.client.turn += 1;
        let turn = run.checker.sent(member, self.client.sessions, number, due);
        let payload = Payload { run: run.id, room: member.room, turn, sender: self.client.number, number, due };
        let body = payload.write(run.settings.body as usize);
        let settings = &run.settings;
        let prefix = settings.send_prefix.as_ref().unwrap_or(&settings.destination_prefix);
        let destination = format!("{prefix}{}{}", settings.room_prefix, member.room);
        let receipt = number.to_string();
        let receipt = (!settings.no_receipts).then_some(("receipt", receipt.as_str()));
        let headers = [("destination", destination.as_str()), ("content-type", "text/plain")];
        if receipt.is_some() {
            self.outstanding.push(number, Waiting { turn, due });
        }
        run.counters.sent.up();
        self.wire.send(encode(Command::Send, headers.into_iter().chain(receipt), &body, self.version))
    }

    fn handle(&mut self, input: Input) -> Result<(), String> {
        self.heard = Instant::now();
        match input {
            Input::Frame(frame) => match frame.command {
                Command::Message => self.message(&frame),
                Command::Receipt => return self.receipt(&frame),
                Command::Error => self.error(&frame),
                _ => {}
            },
            Input::Life | Input::Drained => {}
            Input::Closed(Ok(code)) => {
                self.hopeless |= code >= 4500;
                return Err(code.to_string());
            }
            Input::Closed(Err(why)) => return Err(why),
        }
        Ok(())
    }

    fn message(&mut self, frame: &ServerFrame) {
        let run = self.run;
        let Some(payload) = Payload::read(&frame.body).filter(|payload| payload.run == run.id) else {
            return run.counters.foreign.up();
        };
        let now = clock::now();
        run.counters.delivered.up();
        latency::record(&mut run.latency.of(self.client.number).delivery, now.saturating_sub(payload.due));
        let id = frame.headers.get("message-id").unwrap_or_default();
        run.checker.delivered(self.client.member, &payload, id, frame.body.len(), run.settings.body as usize);
    }

    fn receipt(&mut self, frame: &ServerFrame) -> Result<(), String> {
        let run = self.run;
        match frame.headers.get("receipt-id").unwrap_or_default() {
            JOIN => self.join(),
            BYE => return Err("goodbye".to_owned()),
            number => {
                let Some(waiting) = number.parse().ok().and_then(|number| self.outstanding.take(number)) else {
                    run.counters.errors.up("RECEIPT that nobody waits for");
                    return Ok(());
                };
                run.counters.receipted.up();
                let late = clock::now().saturating_sub(waiting.due);
                latency::record(&mut run.latency.of(self.client.number).receipt, late);
                run.checker.receipted(self.client.member, waiting.turn, frame.headers.get("message-id"));
            }
        }
        Ok(())
    }

    /// The close follows; the SEND that failed is known already.
    fn error(&mut self, frame: &ServerFrame) {
        let run = self.run;
        run.counters.errors.up(&error_text(frame));
        self.retry_after = retry_after(frame);
        self.hopeless |= matches!(frame.headers.get("x-error-code"), Some("401" | "403" | "404" | "426"));
        let label = frame.headers.get("x-error").unwrap_or_default();
        let number = frame.headers.get("receipt-id").and_then(|number| number.parse().ok());
        let Some(waiting) = number.and_then(|number| self.outstanding.take(number)) else { return };
        if label.starts_with("send_refused_") || REFUSALS.contains(&label) {
            run.counters.refused.up();
            run.checker.refused(self.client.member, waiting.turn);
        } else {
            run.checker.unknown(self.client.member, waiting.turn);
        }
    }

    fn tick(&mut self) -> Result<(), String> {
        let silence = self.heard.elapsed();
        if self.pulse.is_some_and(|pulse| silence > pulse * TOLERANCE) {
            return Err("no heart-beat of the server".to_owned());
        }
        if !self.joined && self.since.elapsed() > PATIENCE {
            return Err("SUBSCRIBE was not confirmed".to_owned());
        }
        if self.beat.is_some() { self.wire.send(b"\n".to_vec()) } else { Ok(()) }
    }

    /// Whatever is on its way comes before the RECEIPT of DISCONNECT.
    fn leave(&mut self) -> Result<(), String> {
        self.leaving = true;
        self.wire.send(encode(Command::Disconnect, [("receipt", BYE)], b"", self.version))
    }
}
