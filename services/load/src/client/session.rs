//! One session of a client: into its room, then SENDs by the timetable and whatever comes, until the end.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    Client, Run,
    link::{Connection, Heard, Joined, Problem},
    takeover::{Moved, Moving},
    talk::Talk,
};
use crate::history::{Event, Why};

/// How long a server may take to confirm SUBSCRIBE, or the goodbye.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// A client counts as subscribed this much later where nothing confirms it.
const NO_BARRIER: Duration = Duration::from_secs(1);

/// How a session ended.
pub(super) enum End {
    /// The run is over.
    Asked,
    /// Cut.
    Cut { code: u16, lasted: Duration, retry_after: Option<Duration>, hopeless: bool },
}

/// The end as it was seen.
pub(super) struct Ended {
    pub(super) code: u16,
    pub(super) why: Why,
    pub(super) text: String,
}

impl Ended {
    /// Nobody said anything.
    pub(super) fn cut(text: String) -> Ended {
        Ended { code: 1006, why: Why::Cut, text }
    }

    /// We asked for it.
    pub(super) fn goodbye() -> Ended {
        Ended { code: 1000, why: Why::Asked, text: "goodbye".to_owned() }
    }
}

pub(super) struct Session<'a> {
    pub(super) run: &'a Run,
    pub(super) client: &'a mut Client,
    pub(super) talk: Talk<'a>,
    pub(super) moving: Moving<'a>,
    /// Which of the URLs came last.
    pub(super) attempt: usize,
    pub(super) joined: bool,
    pub(super) leaving: bool,
    /// The next SEND is late because of the server.
    pub(super) held_up: bool,
    /// It could not even ask for its room.
    stillborn: Option<Ended>,
    error: bool,
    retry_after: Option<Duration>,
    hopeless: bool,
}

enum Step<'a> {
    Heard(Heard),
    Moved(Moved<'a>),
}

impl<'a> Session<'a> {
    pub(super) fn new(
        run: &'a Run,
        client: &'a mut Client,
        connection: Connection<'a>,
        from: Option<&str>,
        attempt: usize,
    ) -> Session<'a> {
        let (talk, stillborn) = Talk::begin(run, client, connection, from);
        Session {
            run,
            client,
            talk,
            moving: Moving::Not,
            attempt,
            joined: false,
            leaving: false,
            held_up: false,
            stillborn,
            error: false,
            retry_after: None,
            hopeless: false,
        }
    }

    /// From SUBSCRIBE to the end.
    pub(super) async fn live(mut self, end: watch::Receiver<bool>) -> End {
        let ended = match self.stillborn.take() {
            Some(ended) => ended,
            None => self.until_closed(end).await,
        };
        self.stop_moving();
        let run = self.run;
        if self.leaving {
            // What is still owed or unanswered now is for the checker to judge.
            self.talk.outstanding.drain().for_each(drop);
        }
        if self.joined && !self.leaving {
            run.counters.joined.down();
            let may_resume = !run.settings.no_resume && self.client.token.is_some();
            if may_resume { run.checker.cut(self.client.member) } else { run.checker.left(self.client.member) }
        }
        self.talk.close(run, self.client, &ended);
        if self.leaving {
            return End::Asked;
        }
        run.counters.closes.up(&ended.text);
        let (code, lasted) = (ended.code, self.talk.since.elapsed());
        End::Cut { code, lasted, retry_after: self.retry_after, hopeless: self.hopeless }
    }

    /// Says how it ended.
    async fn until_closed(&mut self, mut end: watch::Receiver<bool>) -> Ended {
        let run = self.run;
        let number = self.client.number;
        let mut beats = interval(self.talk.every().unwrap_or(PATIENCE).min(PATIENCE));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let barrier = sleep(NO_BARRIER);
        tokio::pin!(barrier);
        loop {
            let sends = self.joined && !self.leaving;
            let again = self.client.again_in().filter(|pause| sends && !pause.is_zero());
            // Who is on the move arrives first.
            let stays = !self.leaving && self.moving.has_left();
            let step = tokio::select! {
                step = poll_fn(|cx| self.poll(cx)) => self.handle(step),
                () = run.timetable.turn(number), if sends => Ok(()),
                () = sleep(again.unwrap_or_default()), if again.is_some() => Ok(()),
                _ = end.wait_for(|end| *end), if stays => self.leave(),
                _ = beats.tick() => self.tick(),
                () = &mut barrier, if run.settings.dialect.no_barrier && !self.joined => { self.enter(&Joined::default()); Ok(()) }
            };
            if let Err(ended) = step.and_then(|()| self.send_due()) {
                return ended;
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step<'a>> {
        if let Poll::Ready(heard) = self.talk.link.poll_next(cx) {
            return Poll::Ready(Step::Heard(heard));
        }
        self.moving.poll(cx).map(Step::Moved)
    }

    fn handle(&mut self, step: Step<'a>) -> Result<(), Ended> {
        let heard = match step {
            Step::Heard(heard) => heard,
            Step::Moved(moved) => {
                self.moved(moved);
                return Ok(());
            }
        };
        self.talk.heard = Instant::now();
        let number = self.talk.number;
        match heard {
            Heard::Life | Heard::Drained => {}
            Heard::Joined(joined) if self.joined => drop(joined),
            Heard::Joined(joined) => self.enter(&joined),
            Heard::Message(message) => self.message(number, &message),
            Heard::Place(token) => self.client.token = Some(token),
            Heard::Stored { receipt, id, ts } => self.receipted(number, receipt, id.as_deref(), ts),
            Heard::Notice { after, deadline } => self.noticed(after, deadline),
            Heard::Failed(receipt, problem) => {
                self.note(&problem);
                if !self.talk.outstanding.has(receipt) {
                    return self.tell(&problem);
                }
                self.failed(number, receipt, &problem);
            }
            Heard::Problem(problem) => return self.problem(&problem),
            Heard::Goodbye => return Err(Ended::goodbye()),
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
    fn note(&mut self, problem: &Problem) {
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

    fn tell(&mut self, problem: &Problem) -> Result<(), Ended> {
        let Problem { code, soft, joining, .. } = *problem;
        let (text, number) = (problem.text.as_str(), self.talk.number);
        if code == Some(410) && !soft {
            self.client.record(self.run, number, || Event::Gap { room: (*self.client.room).into(), code: 410 });
            // Nothing told it that what it asked for is gone.
            if !self.joined {
                self.client.token = None;
            }
        } else {
            self.client.record(self.run, number, || Event::Error { code, text: text.into() });
        }
        if !soft || !joining {
            return Ok(());
        }
        self.hopeless = matches!(code, Some(403 | 404));
        Err(Ended { code: 1006, why: Why::Error, text: text.to_owned() })
    }

    fn tick(&mut self) -> Result<(), Ended> {
        self.tick_other();
        if !self.joined && self.talk.since.elapsed() > PATIENCE {
            return Err(Ended::cut("SUBSCRIBE was not confirmed".to_owned()));
        }
        self.talk.tick()
    }

    fn leave(&mut self) -> Result<(), Ended> {
        self.stop_moving();
        self.leaving = true;
        self.talk.link.leave().map_err(Ended::cut)
    }
}
