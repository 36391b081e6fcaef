//! One session of a client: into its room, then SENDs by the timetable and whatever comes, until the end.

use std::{
    future::poll_fn,
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    Client, Run,
    link::{Connection, Heard, Joined, Link, Problem},
    outstanding::Outstanding,
};
use crate::history::{Event, Why};

/// Silence of this many heart-beat intervals is the end.
const TOLERANCE: u32 = 3;
/// How long a server may take to confirm SUBSCRIBE, or the goodbye.
const PATIENCE: Duration = Duration::from_secs(20);
/// A client counts as subscribed this much later where nothing confirms it.
const NO_BARRIER: Duration = Duration::from_secs(1);

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
    pub(super) link: Box<dyn Link + 'a>,
    /// SENDs can carry keys.
    pub(super) keys: bool,
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
    pub(super) fn new(
        run: &'a Run,
        client: &'a mut Client,
        connection: Connection<'a>,
        from: Option<&str>,
    ) -> Session<'a> {
        let Connection { link, beat, pulse, user, server, keys, repeats } = connection;
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
        client.repeats = repeats;
        client.record(run, 0, || Event::Subscribe {
            room: (*client.room).into(),
            from: from.map(Into::into),
            history: None,
        });
        Session {
            run,
            client,
            link,
            keys,
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
        if let Err(why) = self.link.join() {
            return Ended::cut(why);
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
                heard = poll_fn(|cx| self.link.poll_next(cx)) => self.handle(heard),
                () = run.timetable.turn(number), if sends => Ok(()),
                () = sleep(again.unwrap_or_default()), if again.is_some() => Ok(()),
                _ = end.wait_for(|end| *end), if !self.leaving => self.leave(),
                _ = beats.tick() => self.tick(),
                () = &mut barrier, if run.settings.dialect.no_barrier && !self.joined => { self.join(Joined::default()); Ok(()) }
            };
            if let Err(ended) = step.and_then(|()| self.send_due()) {
                return ended;
            }
        }
    }

    fn handle(&mut self, heard: Heard) -> Result<(), Ended> {
        self.heard = Instant::now();
        match heard {
            Heard::Life | Heard::Drained => {}
            Heard::Joined(joined) => self.join(joined),
            Heard::Message(message) => self.message(&message),
            Heard::Place(token) => self.client.token = Some(token),
            Heard::Stored { receipt, id, ts } => self.receipted(receipt, id.as_deref(), ts),
            Heard::Failed(receipt, problem) => return self.failed(receipt, &problem),
            Heard::Problem(problem) => return self.problem(&problem),
            Heard::Goodbye => return Err(Ended { code: 1000, why: Why::Asked, text: "goodbye".to_owned() }),
            Heard::Closed(Ok(code)) => {
                self.hopeless |= code >= 4500;
                let why = if self.error { Why::Error } else { Why::Server };
                return Err(Ended { code, why, text: code.to_string() });
            }
            Heard::Closed(Err(why)) => return Err(Ended::cut(why)),
        }
        Ok(())
    }

    /// Counts it; unless it is soft, the end follows.
    pub(super) fn note(&mut self, problem: &Problem) {
        let errors = &self.run.counters.errors;
        if problem.soft {
            return errors.up(&format!("soft {}", problem.text));
        }
        errors.up(&problem.text);
        self.error = true;
        self.retry_after = problem.retry_after;
        self.hopeless |= matches!(problem.code, Some(401 | 403 | 404 | 426));
    }

    /// What answers no SEND.
    fn problem(&mut self, problem: &Problem) -> Result<(), Ended> {
        self.note(problem);
        self.tell(problem)
    }

    pub(super) fn tell(&mut self, problem: &Problem) -> Result<(), Ended> {
        let Problem { code, soft, joining, .. } = *problem;
        let text = problem.text.as_str();
        if code == Some(410) && !soft {
            self.client.record(self.run, 0, || Event::Gap { room: (*self.client.room).into(), code: 410 });
            // Nothing told it that what it asked for is gone.
            if !self.joined {
                self.client.token = None;
            }
        } else {
            self.client.record(self.run, 0, || Event::Error { code, text: text.into() });
        }
        if !soft || !joining {
            return Ok(());
        }
        self.hopeless = matches!(code, Some(403 | 404));
        Err(Ended { code: 1006, why: Why::Error, text: text.to_owned() })
    }

    fn tick(&mut self) -> Result<(), Ended> {
        let silence = self.heard.elapsed();
        if self.pulse.is_some_and(|pulse| silence > pulse * TOLERANCE) {
            return Err(Ended::cut("no heart-beat of the server".to_owned()));
        }
        if !self.joined && self.since.elapsed() > PATIENCE {
            return Err(Ended::cut("SUBSCRIBE was not confirmed".to_owned()));
        }
        if self.beat.is_some() { self.link.beat().map_err(Ended::cut) } else { Ok(()) }
    }

    fn leave(&mut self) -> Result<(), Ended> {
        self.leaving = true;
        self.link.leave().map_err(Ended::cut)
    }
}
