//! From a SEND's outcome to its RECEIPT or ERROR.

use std::{fmt::Display, io::Write, str};

use bytes::Bytes;
use chat_proto::MessageId;

use super::{
    Connection,
    sends::{KEYED_PATIENCE, Open, Stage},
};
use crate::{
    context::Context,
    disconnect::Ending,
    log::{Outcome, Reason, Ticket},
    message::{Stored, ToFollower},
};

impl Connection {
    /// What the log says became of a SEND.
    pub fn handle_outcome(&mut self, ticket: Ticket, outcome: Outcome, cx: &mut Context<'_>) {
        let Some(at) = self.sends.find(ticket.send) else { return };
        let send = &mut self.sends.open[at];
        // One that has been read back is in the log, whatever its delivery report says.
        if !matches!(send.stage, Stage::Published) {
            return;
        }
        match outcome {
            Outcome::Stored { partition, offset, timestamp_ms } => {
                cx.metrics.send_stored(cx.now.saturating_sub(send.since));
                let place = Stored { id: MessageId { partition, offset, check: send.check }, timestamp_ms };
                send.end_trace(place);
                if send.waits_for_read_back() {
                    send.stage = Stage::Unread(place);
                    let number = send.number;
                    return self.sends.wait_for_read_back(number, cx.now + KEYED_PATIENCE);
                }
                self.stored(at, Some(place));
            }
            Outcome::StoredUnplaced if send.receipt.is_some() => {
                // The RECEIPT waits until the record has been read back.
                let (room, uuid) = (send.room.clone(), send.uuid);
                return cx.shell.ask(ToFollower::Locate { ticket, room, uuid });
            }
            Outcome::StoredUnplaced => {
                cx.metrics.send_stored(cx.now.saturating_sub(send.since));
                self.stored(at, None);
            }
            Outcome::Refused(reason) => self.failed(ticket.send, Ending::SendRefused(reason), cx),
            Outcome::Unknown(_) => self.failed(ticket.send, Ending::SendUnknown, cx),
        }
        self.after_outcome(cx);
    }

    /// A SEND has been read back; of a repeat, `place` is the first one's.
    pub fn handle_located(&mut self, ticket: Ticket, place: Stored, cx: &mut Context<'_>) {
        let Some(at) = self.sends.find(ticket.send) else { return };
        match self.sends.open[at].stage {
            // What can be read is acknowledged by all in-sync replicas: the delivery report has nothing to add.
            Stage::Published => {
                cx.metrics.send_stored(cx.now.saturating_sub(self.sends.open[at].since));
                self.sends.open[at].end_trace(place);
            }
            Stage::Unread(_) => {}
            Stage::Held(_) | Stage::Done(_) => return,
        }
        self.stored(at, Some(place));
        self.after_outcome(cx);
    }

    fn after_outcome(&mut self, cx: &mut Context<'_>) {
        self.sends.release_if_idle(&mut cx.spares.sends);
        self.settle(cx);
        self.advance(cx);
    }

    /// A SEND is in the log, and where is known, if anybody wants to.
    pub(super) fn stored(&mut self, at: usize, place: Option<Stored>) {
        if self.sends.is_ordered() {
            self.sends.set_done(at, place);
            return self.answer_in_order();
        }
        if let Some(send) = self.sends.remove(at) {
            self.answer(send, place);
        }
    }

    /// Answers what is done and has nothing unanswered before it in its room (`stomp.md` R03). Without keyed SENDs the
    /// log's own order does that.
    pub(super) fn answer_in_order(&mut self) {
        let (mut at, mut waiting): (usize, Vec<Bytes>) = (0, Vec::new());
        while let Some(send) = self.sends.open.get(at) {
            match send.stage {
                Stage::Done(place) if !waiting.contains(&send.room) => {
                    if let Some(send) = self.sends.remove(at) {
                        self.answer(send, place);
                    }
                }
                _ => {
                    if !waiting.contains(&send.room) {
                        waiting.push(send.room.clone());
                    }
                    at += 1;
                }
            }
        }
    }

    fn answer(&mut self, send: Open, place: Option<Stored>) {
        let stored = send.receipt.zip(place);
        // One whose transaction has failed meanwhile is stored all the same.
        let commit = send.commit.filter(|number| self.sends.has_commit(*number));
        let Some(commit) = commit else {
            return stored.iter().for_each(|(receipt, place)| self.acknowledge(receipt, place));
        };
        if let Some(commit) = self.sends.committed(commit, stored) {
            commit.stored.iter().for_each(|(receipt, place)| self.acknowledge(receipt, place));
            commit.receipt.iter().for_each(|receipt| self.session.receipt(receipt, &[]));
        }
    }

    fn acknowledge(&mut self, receipt: &str, place: &Stored) {
        let (mut id, mut timestamp) = ([0; MessageId::MAX_LEN], [0; 20]);
        let headers =
            [("message-id", place.id.spelled(&mut id)), ("timestamp", written(&mut timestamp, place.timestamp_ms))];
        self.session.receipt(receipt, &headers);
    }

    pub(super) fn failed(&mut self, number: u32, ending: Ending, cx: &mut Context<'_>) {
        let Some(send) = self.sends.find(number).and_then(|at| self.sends.remove(at)) else { return };
        self.give_up(send, ending, cx);
        self.answer_in_order();
    }

    /// What has taken too long: a SEND without an answer (it may still appear, once), one that the follower said
    /// nothing of (it is written, or answered with its own place).
    pub(super) fn give_up_on_sends(&mut self, cx: &mut Context<'_>) {
        // With every beat of an idle connection.
        if self.sends.in_flight() == 0 {
            return;
        }
        self.publish_ready(cx);
        while let Some((at, own)) = self.sends.next_overdue(cx.now) {
            self.stored(at, Some(own));
        }
        let (patience, now) = (cx.settings.send_timeout, cx.now);
        while let Some(first) = self.sends.open.front().filter(|send| send.since + patience <= now) {
            match first.stage {
                Stage::Unread(own) => self.stored(0, Some(own)),
                Stage::Done(place) => self.stored(0, place),
                Stage::Held(_) => self.failed(first.number, Ending::SendRefused(Reason::TimedOut), cx),
                Stage::Published => self.failed(first.number, Ending::SendUnknown, cx),
            }
        }
        self.sends.release_if_idle(&mut cx.spares.sends);
    }

    /// A SEND has failed, and with it the transaction it belongs to.
    pub(super) fn give_up(&mut self, mut send: Open, ending: Ending, cx: &mut Context<'_>) {
        cx.metrics.send_failed(ending);
        if let Some(mut span) = send.trace.take() {
            span.failed(ending.facts().label);
        }
        let commit = self.sends.commits.iter().position(|commit| Some(commit.number) == send.commit);
        let commit = commit.map(|at| self.sends.commits.swap_remove(at));
        // What is stored is stored, whatever has become of the rest.
        for (receipt, place) in commit.iter().flat_map(|commit| &commit.stored) {
            self.acknowledge(receipt, place);
        }
        self.refuse(ending, None, Some(&send.destination), send.receipt, cx);
        let Some(commit) = commit else { return };
        while let Some(member) = self.sends.drop_held(Some(commit.number)) {
            self.take_back(member.receipt, &member.destination, cx);
        }
        if commit.receipt.is_some() {
            self.refuse(ending, None, Some(&send.destination), commit.receipt, cx);
        }
    }
}

/// The text of `what`, without an allocation; `buffer` is as large as it can become.
fn written(buffer: &mut [u8], what: impl Display) -> &str {
    let mut rest = &mut *buffer;
    let whole = write!(rest, "{what}").is_ok();
    let length = if whole { rest.len() } else { 0 };
    let length = buffer.len() - length;
    str::from_utf8(&buffer[..length]).unwrap_or_default()
}
