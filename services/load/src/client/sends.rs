//! SENDs: when they are due, what became of them, and again what may have been lost.

use std::{collections::VecDeque, time::Duration};

use super::{
    Client, Run,
    link::{Problem, Say},
    outstanding::Waiting,
    session::{Ended, Session},
    talk::Talk,
};
use crate::{
    clock,
    history::{Event, Outcome},
    latency,
    payload::Payload,
};

/// SENDs that may wait for an answer in one session; the edge's own limit is as high.
const WINDOW: usize = 1_000;
/// A repeat counts as one for two minutes of log time; what is older than this is not sent again.
const REPEATABLE: u64 = 100_000_000_000;

/// SENDs whose outcome is unknown and that are to be sent again, with the same key.
#[derive(Default)]
pub(super) struct Again {
    /// Each with the time at which it was written first.
    sends: VecDeque<Waiting>,
    /// Not before this time.
    at: u64,
}

impl Client {
    /// What may or may not be stored: to be sent again, if that is asked for, or left at that.
    pub(super) fn unknown(&mut self, run: &Run, mut send: Waiting, pause: Option<Duration>) {
        let again = run.settings.retry && self.repeats && clock::now().saturating_sub(send.due) < REPEATABLE;
        run.checker.unknown(self.member, send.turn, again);
        if again {
            send.attempt += 1;
            self.again.sends.push_back(send);
            let pause = pause.unwrap_or_default().as_nanos();
            self.again.at = self.again.at.max(clock::now() + u64::try_from(pause).unwrap_or(u64::MAX));
        }
    }

    /// Nothing will be sent again.
    pub(super) fn give_up(&mut self, run: &Run) {
        self.again.sends.drain(..).for_each(|send| run.checker.unknown(self.member, send.turn, false));
    }

    /// How long until there is something to send again.
    pub(super) fn again_in(&self) -> Option<Duration> {
        self.again.sends.front().map(|_| Duration::from_nanos(self.again.at.saturating_sub(clock::now())))
    }
}

impl<'a> Session<'a> {
    /// Sends everything that is due, as long as the server reads and answers. What waits for that keeps its time.
    pub(super) fn send_due(&mut self) -> Result<(), Ended> {
        if !self.joined || self.leaving {
            return Ok(());
        }
        while self.client.again_in() == Some(Duration::ZERO) && !self.is_full() {
            let Some(send) = self.client.again.sends.pop_front() else { break };
            let now = clock::now();
            if now.saturating_sub(send.due) < REPEATABLE {
                self.run.counters.again.up();
                self.run.checker.again(self.client.member, send.turn, now);
                self.write(send)?;
            } else {
                self.run.checker.unknown(self.client.member, send.turn, false);
            }
        }
        while let Some(due) = self.run.timetable.due(self.client.number, self.client.turn) {
            let now = clock::now();
            if due > now {
                break;
            }
            if self.is_full() {
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

    fn is_full(&self) -> bool {
        self.talk.link.is_full() || self.talk.outstanding.len() >= WINDOW
    }

    fn send(&mut self, due: u64) -> Result<(), Ended> {
        let (run, member) = (self.run, self.client.member);
        let number = self.client.sent;
        self.client.sent += 1;
        self.client.turn += 1;
        let turn = run.checker.sent(member, self.talk.number, number, due);
        run.counters.sent.up();
        self.write(Waiting { number, attempt: 1, turn, due })
    }

    fn write(&mut self, send: Waiting) -> Result<(), Ended> {
        let run = self.run;
        let (settings, client) = (&run.settings, &*self.client);
        let Waiting { number, attempt, turn, due } = send;
        let payload =
            Payload { run: run.id, room: client.member.room, turn, sender: client.number, number, due, attempt };
        let body = payload.write(settings.body as usize);
        let key = (settings.keys && self.talk.keys).then(|| format!("{:08x}-{}-{number}", run.id, client.number));
        let receipt = (!settings.dialect.no_receipts).then(|| self.talk.outstanding.push(send));
        // First the line, then the message: what comes of it lies behind it.
        self.client.record(run, self.talk.number, || Event::Send {
            n: number,
            attempt,
            room: (*client.room).into(),
            key: key.as_deref().map(Into::into),
            size: body.len(),
        });
        self.talk.link.say(Say { receipt, key, body }).map_err(Ended::cut)
    }

    /// The connection whose session has this number.
    fn talk_of(&mut self, number: u32) -> Option<&mut Talk<'a>> {
        if self.talk.number == number { Some(&mut self.talk) } else { self.moving.talk() }
    }

    /// A SEND is stored, says that session.
    pub(super) fn receipted(&mut self, number: u32, receipt: u64, id: Option<&str>, ts: Option<i64>) {
        let run = self.run;
        let Some(send) = self.talk_of(number).and_then(|talk| talk.outstanding.take(receipt)) else {
            return run.counters.errors.up("RECEIPT that nobody waits for");
        };
        run.counters.receipted.up();
        let late = clock::now().saturating_sub(send.due);
        latency::record(&mut run.latency.of(self.client.number).receipt, late);
        run.checker.receipted(self.client.member, send.turn, id);
        let Waiting { number: n, attempt, .. } = send;
        self.client.record(run, number, || Event::Receipt { n, attempt, id: id.map(Into::into), ts });
    }

    /// A problem that answers a SEND of that session.
    pub(super) fn failed(&mut self, number: u32, receipt: u64, problem: &Problem) {
        let run = self.run;
        let Some(send) = self.talk_of(number).and_then(|talk| talk.outstanding.take(receipt)) else { return };
        let Problem { code, refused, soft, retry_after, .. } = *problem;
        self.client.record(run, number, || Event::Failed {
            n: send.number,
            attempt: send.attempt,
            code,
            outcome: if refused { Outcome::Refused } else { Outcome::Unknown },
            soft,
            why: problem.text.as_str().into(),
        });
        if !refused {
            self.client.unknown(run, send, retry_after);
        } else if send.attempt > 1 {
            // This copy is not stored; of those before it nobody knows.
            run.checker.unknown(self.client.member, send.turn, false);
        } else {
            run.counters.refused.up();
            run.checker.refused(self.client.member, send.turn);
        }
    }
}
