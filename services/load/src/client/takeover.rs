//! Moving before the server goes: it said that it drains, so another connection is made while this one still works, takes
//! the room over from where the client is, and only then this one is ended. What both bring is shown once.

use std::{
    collections::HashSet,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::time::{Sleep, sleep};

use super::{
    failure::Failure,
    link::{self, Connection, Heard, Joined, Opened},
    session::{Ended, PATIENCE, Session},
    talk::Talk,
};
use crate::history::{Event, Why};

/// How far it is.
#[derive(Default)]
pub(super) enum Moving<'a> {
    /// Nobody said anything.
    #[default]
    Not,
    /// Not yet.
    Soon(Pin<Box<Sleep>>),
    /// The other connection is being made, to go on from this token.
    Opening(Opened<'a>, Option<String>),
    /// SUBSCRIBE is written on it.
    Joining(Talk<'a>),
    /// SENDs go to the other one. What this one still owes comes, then its goodbye.
    Leaving(Talk<'a>),
}

/// What happened to it.
pub(super) enum Moved<'a> {
    Due,
    Opened(Result<Connection<'a>, Failure>, Option<String>),
    Heard(Heard),
}

impl<'a> Moving<'a> {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Moved<'a>> {
        match self {
            Moving::Not => Poll::Pending,
            Moving::Soon(pause) => pause.as_mut().poll(cx).map(|()| Moved::Due),
            Moving::Opening(opening, from) => {
                opening.as_mut().poll(cx).map(|opened| Moved::Opened(opened, from.take()))
            }
            Moving::Joining(talk) | Moving::Leaving(talk) => talk.link.poll_next(cx).map(Moved::Heard),
        }
    }

    pub(super) fn talk(&mut self) -> Option<&mut Talk<'a>> {
        match self {
            Moving::Joining(talk) | Moving::Leaving(talk) => Some(talk),
            _ => None,
        }
    }

    /// The old connection has said what it had to say, or there is none.
    pub(super) fn has_left(&self) -> bool {
        !matches!(self, Moving::Leaving(_))
    }
}

/// The messages that two connections may both bring; known by their ids, while there are two and until the one that stays
/// brings one that is new.
#[derive(Default)]
pub(super) struct Overlap(Option<HashSet<String>>);

impl Overlap {
    fn begin(&mut self) {
        self.0 = Some(HashSet::new());
    }

    fn over(&mut self) {
        self.0 = None;
    }

    /// Whether to show it. `alone`: there is no other connection any more.
    pub(super) fn is_new(&mut self, id: &str, alone: bool) -> bool {
        let Some(seen) = &mut self.0 else { return true };
        let new = seen.insert(id.to_owned());
        if new && alone {
            self.0 = None;
        }
        new
    }
}

impl<'a> Session<'a> {
    /// The server drains.
    pub(super) fn noticed(&mut self, after: Duration, deadline: Duration) {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let notice = || Event::Notice { after_ms: ms(after), deadline_ms: ms(deadline) };
        self.client.record(self.run, self.talk.number, notice);
        if matches!(self.moving, Moving::Not) {
            self.moving = Moving::Soon(Box::pin(sleep(after)));
        }
    }

    pub(super) fn moved(&mut self, moved: Moved<'a>) {
        match moved {
            Moved::Due => self.open_another(),
            Moved::Opened(Ok(connection), from) => {
                self.moving = match Talk::begin(self.run, self.client, connection, from.as_deref()) {
                    (talk, None) => Moving::Joining(talk),
                    (talk, Some(ended)) => return self.lost(talk, &ended),
                };
            }
            Moved::Opened(Err(failure), _) => {
                self.client.refused(self.run, &failure);
                self.later(failure.retry_after);
            }
            Moved::Heard(heard) => self.other_heard(heard),
        }
    }

    fn open_another(&mut self) {
        let (run, client) = (self.run, &mut *self.client);
        // One who has not joined yet has nothing to take over: its connection ends as others do.
        if !self.joined || self.leaving {
            self.moving = Moving::Not;
            return;
        }
        self.attempt += 1;
        let opening = client.open(run, self.attempt);
        let from = opening.from.clone();
        client.overlap.begin();
        self.moving = Moving::Opening(Box::pin(link::open(opening)), from);
    }

    fn other_heard(&mut self, heard: Heard) {
        let Some(talk) = self.moving.talk() else { return };
        talk.heard = Instant::now();
        let number = talk.number;
        match heard {
            Heard::Joined(joined) => self.take_over(joined),
            Heard::Message(message) => self.message(number, &message),
            Heard::Stored { receipt, id, ts } => self.receipted(number, receipt, id.as_deref(), ts),
            Heard::Goodbye => self.other_ended(&Ended::goodbye()),
            Heard::Closed(Ok(code)) => self.other_ended(&Ended { code, why: Why::Server, text: code.to_string() }),
            Heard::Closed(Err(why)) => self.other_ended(&Ended::cut(why)),
            Heard::Failed(receipt, problem) => {
                self.run.counters.errors.up(&problem.text);
                self.failed(number, receipt, &problem);
            }
            // The close that follows is what counts.
            Heard::Problem(problem) => self.run.counters.errors.up(&problem.text),
            Heard::Life | Heard::Drained | Heard::Place(_) | Heard::Notice { .. } => {}
        }
    }

    /// The other connection is in the room: from now on it is the one.
    fn take_over(&mut self, joined: Joined) {
        let Moving::Joining(next) = std::mem::take(&mut self.moving) else { return };
        let mut old = std::mem::replace(&mut self.talk, next);
        if joined.recovered == Some(true) {
            // For the checker it is one session that goes on.
            self.run.checker.cut(self.client.member);
        }
        self.enter(&joined);
        let left = old.link.leave().map_err(Ended::cut);
        // Its goodbye has a time of its own.
        old.since = Instant::now();
        self.moving = Moving::Leaving(old);
        if let Err(ended) = left {
            self.other_ended(&ended);
        }
    }

    /// Looks after the other connection.
    pub(super) fn tick_other(&mut self) {
        let Some(talk) = self.moving.talk() else { return };
        let late = (talk.since.elapsed() > PATIENCE).then(|| Ended::cut("no answer in time".to_owned()));
        if let Err(ended) = late.map_or_else(|| talk.tick(), Err) {
            self.other_ended(&ended);
        }
    }

    fn other_ended(&mut self, ended: &Ended) {
        match std::mem::take(&mut self.moving) {
            Moving::Joining(talk) => self.lost(talk, ended),
            Moving::Leaving(mut talk) => {
                talk.close(self.run, self.client, ended);
                if ended.why != Why::Asked {
                    self.run.counters.closes.up(&ended.text);
                }
            }
            _ => {}
        }
    }

    /// A connection that should have taken over has ended before it did.
    fn lost(&mut self, mut talk: Talk<'a>, ended: &Ended) {
        talk.close(self.run, self.client, ended);
        self.run.counters.closes.up(&ended.text);
        self.later(None);
    }

    fn later(&mut self, retry_after: Option<Duration>) {
        self.client.overlap.over();
        self.moving = Moving::Soon(Box::pin(sleep(self.client.back_off.next(retry_after))));
    }

    /// This connection is over, so whatever was to take over or was left behind is, too.
    pub(super) fn stop_moving(&mut self) {
        self.client.overlap.over();
        if let Moving::Joining(mut talk) | Moving::Leaving(mut talk) = std::mem::take(&mut self.moving) {
            let ended = Ended { text: "given up".to_owned(), ..Ended::goodbye() };
            talk.close(self.run, self.client, &ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_bring_is_shown_once_until_only_one_is_left_and_ahead() {
        let mut overlap = Overlap::default();
        assert!(overlap.is_new("1", false) && overlap.is_new("1", false), "nobody moves");
        overlap.begin();
        let shown = ["2", "3", "2", "3", "4"].map(|id| overlap.is_new(id, false));
        assert_eq!(shown, [true, true, false, false, true]);
        // The other one is gone; what it had brought may still come.
        assert!(!overlap.is_new("4", true) && overlap.is_new("5", true));
        assert!(overlap.0.is_none());
    }
}
