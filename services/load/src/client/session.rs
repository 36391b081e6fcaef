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
    failure::{error_code, error_text, retry_after},
    outstanding::Outstanding,
    wire::{Input, Wire},
};
use crate::history::{Event, Why};

/// Silence of this many heart-beat intervals is the end.
const TOLERANCE: u32 = 3;
/// How long a server may take to confirm SUBSCRIBE, or the goodbye.
const PATIENCE: Duration = Duration::from_secs(20);
/// A client counts as subscribed this much later where nothing confirms it.
const NO_BARRIER: Duration = Duration::from_secs(1);

pub(super) const JOIN: &str = "join";
const BYE: &str = "bye";
/// The subscription on which soft errors come.
pub(super) const ERRORS: &str = "errors";

/// How a session ended.
pub(super) enum End {
    /// The run is over.
    Asked,
    /// Cut.
    Cut { lasted: Duration, retry_after: Option<Duration>, hopeless: bool },
}

/// The end as it was seen.
pub(super) struct Ended {
    code: u16,
    why: Why,
    text: String,
}

impl Ended {
    /// Nobody said anything.
    pub(super) fn cut(text: String) -> Ended {
        Ended { code: 1006, why: Why::Cut, text }
    }
}

pub(super) struct Session<'a> {
    pub(super) run: &'a Run,
    pub(super) client: &'a mut Client,
    pub(super) wire: Wire,
    pub(super) version: Version,
    beat: Option<Duration>,
    pulse: Option<Duration>,
    pub(super) outstanding: Outstanding,
    pub(super) joined: bool,
    pub(super) leaving: bool,
    /// The next SEND is late because of the server.
    pub(super) held_up: bool,
    since: Instant,
    heard: Instant,
    error: bool,
    retry_after: Option<Duration>,
    hopeless: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(run: &'a Run, client: &'a mut Client, connection: Connection) -> Session<'a> {
        let Connection { wire, version, beat, pulse, user, server } = connection;
        let now = Instant::now();
        client.record(run, 0, || Event::Connected {
            user: user.as_deref().map(Into::into),
            server: server.as_deref().map(Into::into),
        });
        // Under another name the same key is another message.
        if client.user != user {
            client.give_up(run);
            client.user = user;
        }
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
            error: false,
            retry_after: None,
            hopeless: false,
        }
    }

    /// From SUBSCRIBE to the end.
    pub(super) async fn live(mut self, end: watch::Receiver<bool>) -> End {
        let Ended { code, why, text } = self.until_closed(end).await;
        let run = self.run;
        let last = self.client.token.as_deref();
        self.client.record(run, 0, || Event::Close {
            code,
            why,
            text: text.as_str().into(),
            last: last.map(Into::into),
        });
        if self.leaving {
            // What is still owed or unanswered now is for the checker to judge.
            return End::Asked;
        }
        if self.joined {
            run.counters.joined.down();
            let may_resume = !run.settings.no_resume && self.client.token.is_some();
            if may_resume { run.checker.cut(self.client.member) } else { run.checker.left(self.client.member) }
        }
        self.outstanding.drain().for_each(|send| self.client.unknown(run, send, None));
        run.counters.closes.up(&text);
        End::Cut { lasted: self.since.elapsed(), retry_after: self.retry_after, hopeless: self.hopeless }
    }

    /// Says how it ended.
    async fn until_closed(&mut self, mut end: watch::Receiver<bool>) -> Ended {
        if let Err(ended) = self.subscribe() {
            return ended;
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
            let again = self.client.again_in().filter(|pause| sends && !pause.is_zero());
            let step = tokio::select! {
                input = self.wire.next() => self.handle(input),
                () = run.timetable.turn(number), if sends => Ok(()),
                () = sleep(again.unwrap_or_default()), if again.is_some() => Ok(()),
                _ = end.wait_for(|end| *end), if !self.leaving => self.leave(),
                _ = beats.tick() => self.tick(),
                () = &mut barrier, if run.settings.dialect.no_barrier && !self.joined => { self.join(None); Ok(()) }
            };
            if let Err(ended) = step.and_then(|()| self.send_due()) {
                return ended;
            }
        }
    }

    fn handle(&mut self, input: Input) -> Result<(), Ended> {
        self.heard = Instant::now();
        match input {
            Input::Frame(frame) => match frame.command {
                Command::Message if frame.headers.get("subscription") == Some(ERRORS) => {
                    return self.soft_error(&frame);
                }
                Command::Message => self.message(&frame),
                Command::Receipt => return self.receipt(&frame),
                Command::Error => self.error(&frame),
                _ => {}
            },
            Input::Life | Input::Drained => {}
            Input::Closed(Ok(code)) => {
                self.hopeless |= code >= 4500;
                let why = if self.error { Why::Error } else { Why::Server };
                return Err(Ended { code, why, text: code.to_string() });
            }
            Input::Closed(Err(why)) => return Err(Ended::cut(why)),
        }
        Ok(())
    }

    fn receipt(&mut self, frame: &ServerFrame) -> Result<(), Ended> {
        match frame.headers.get("receipt-id").unwrap_or_default() {
            JOIN => self.join(Some(frame)),
            BYE => return Err(Ended { code: 1000, why: Why::Asked, text: "goodbye".to_owned() }),
            receipt => self.receipted(receipt, frame),
        }
        Ok(())
    }

    /// The close follows.
    fn error(&mut self, frame: &ServerFrame) {
        self.run.counters.errors.up(&error_text(frame));
        self.error = true;
        self.retry_after = retry_after(frame);
        let code = error_code(frame);
        self.hopeless |= matches!(code, Some(401 | 403 | 404 | 426));
        if self.failed(frame, false) {
            return;
        }
        if code == Some(410) {
            let room = self.client.room.as_str();
            self.client.record(self.run, 0, || Event::Gap { room: room.into(), code: 410 });
            // Nothing told it `x-recovered:false`.
            if !self.joined {
                self.client.token = None;
            }
        } else {
            self.client.record(self.run, 0, || Event::Error { code, text: error_text(frame).into() });
        }
    }

    /// The session goes on, unless it could not join.
    fn soft_error(&mut self, frame: &ServerFrame) -> Result<(), Ended> {
        self.run.counters.errors.up(&format!("soft {}", error_text(frame)));
        if self.failed(frame, true) {
            return Ok(());
        }
        let code = error_code(frame);
        self.client.record(self.run, 0, || Event::Error { code, text: error_text(frame).into() });
        if frame.headers.get("receipt-id") != Some(JOIN) {
            return Ok(());
        }
        self.hopeless = matches!(code, Some(403 | 404));
        Err(Ended { code: 1006, why: Why::Error, text: error_text(frame) })
    }

    fn tick(&mut self) -> Result<(), Ended> {
        let silence = self.heard.elapsed();
        if self.pulse.is_some_and(|pulse| silence > pulse * TOLERANCE) {
            return Err(Ended::cut("no heart-beat of the server".to_owned()));
        }
        if !self.joined && self.since.elapsed() > PATIENCE {
            return Err(Ended::cut("SUBSCRIBE was not confirmed".to_owned()));
        }
        if self.beat.is_some() { self.wire.send(b"\n".to_vec()).map_err(Ended::cut) } else { Ok(()) }
    }

    /// Whatever is on its way comes before the RECEIPT of DISCONNECT.
    fn leave(&mut self) -> Result<(), Ended> {
        self.leaving = true;
        self.wire.send(encode(Command::Disconnect, [("receipt", BYE)], b"", self.version)).map_err(Ended::cut)
    }
}
