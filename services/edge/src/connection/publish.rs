//! SEND and COMMIT: from the frame to the log.

use std::borrow::Cow;

use chat_proto::{MessageId, Outgoing, encode_in, partition_of};
use stomp_proto::{Send, Text};

use super::{
    Connection, Phase,
    sends::{Commit, Held, KEYED_PATIENCE, Open, Stage},
};
use crate::{
    context::Context,
    disconnect::Ending,
    log::{NewRecord, Reason, Ticket},
    message::{Claim, Stored, ToFollower},
    metrics::Sent,
    traces,
};

/// A body above this must not stay in memory for the sake of a header of its frame.
const SHARED_BYTES: usize = 1024;

const ONE_ROOM: &str = "a transaction holds SENDs to one room";

/// Why a SEND is not taken: how that ends, and a sentence about it.
type Refused = (Ending, Option<Cow<'static, str>>);

impl Connection {
    /// SEND.
    pub(super) fn send(&mut self, send: &Send, cx: &mut Context<'_>) {
        match self.may_send(send, cx) {
            Ok(room) => self.publish(send, &room, None, cx),
            Err((ending, detail)) => {
                cx.metrics.send_failed(ending);
                self.refuse(ending, detail.as_deref(), Some(&send.destination), send.receipt.clone(), cx);
            }
        }
    }

    /// A SEND of a transaction names another destination than the first one there (`stomp.md` T08): two rooms are
    /// refused, two names of one room are not.
    pub(super) fn held(&mut self, destination: &str, first: &str, receipt: Option<Text>, cx: &mut Context<'_>) {
        let room = |destination| cx.settings.destinations.send(destination, b"").ok();
        // What is no room at all, or has its room in the body, is judged at COMMIT.
        if let (Some(this), Some(first)) = (room(destination), room(first))
            && this != first
        {
            self.end(Ending::Malformed, Some(ONE_ROOM), receipt, cx);
        }
    }

    /// COMMIT: its SENDs are queued to one partition in order; its RECEIPT comes when all are stored (`stomp.md` T04,
    /// T07). All of them are judged before the first is written.
    pub(super) fn commit(&mut self, sends: &[Send], receipt: Option<Text>, cx: &mut Context<'_>) {
        let mut rooms: Vec<Cow<'_, str>> = Vec::with_capacity(sends.len());
        for (at, send) in sends.iter().enumerate() {
            let room = self.may_send(send, cx).and_then(|room| match rooms.first() {
                Some(first) if *first != room => Err((Ending::Malformed, Some(ONE_ROOM.into()))),
                _ => Ok(room),
            });
            match room {
                Ok(room) => rooms.push(room),
                Err(refused) => return self.refuse_commit(&refused, sends, at, receipt, cx),
            }
        }
        if sends.is_empty() {
            if let Some(receipt) = receipt {
                self.session.receipt(&receipt, &[]);
            }
            return;
        }
        let number = self.sends.next;
        self.sends.commits.push(Commit { number, open: sends.len(), stored: Vec::new(), receipt });
        for (send, room) in sends.iter().zip(rooms) {
            // A refused one has ended the transaction; the rest of it is not written.
            if matches!(self.phase, Phase::Open) && self.sends.has_commit(number) {
                self.publish(send, &room, Some(number), cx);
            } else {
                self.take_back(send.receipt.clone(), &send.destination, cx);
            }
        }
    }

    /// Nothing of a transaction is written because of the SEND at `at`. In a session that stays open all of them hear of
    /// it, and COMMIT.
    fn refuse_commit(
        &mut self,
        (ending, detail): &Refused,
        sends: &[Send],
        at: usize,
        receipt: Option<Text>,
        cx: &mut Context<'_>,
    ) {
        let (send, own) = (&sends[at], receipt.clone().filter(|_| sends[at].receipt.is_some()));
        let (ending, detail) = (*ending, detail.as_deref());
        cx.metrics.send_failed(ending);
        self.refuse(ending, detail, Some(&send.destination), send.receipt.clone().or(receipt), cx);
        for (_, other) in sends.iter().enumerate().filter(|(other, _)| *other != at) {
            self.take_back(other.receipt.clone(), &other.destination, cx);
        }
        if own.is_some() {
            self.refuse(ending, detail, Some(&send.destination), own, cx);
        }
    }

    /// The room, if it is one, if the client may write to it and if there is a log to write to.
    fn may_send<'a>(&self, send: &'a Send, cx: &mut Context<'_>) -> Result<Cow<'a, str>, Refused> {
        let room = cx.settings.destinations.send(&send.destination, &send.body);
        let room = room.map_err(|error| (error.ending(), Some(error.text())))?;
        if !self.may(|rights| rights.may_send(&room)) {
            return Err((Ending::Forbidden, None));
        }
        if let (Some(rate), Some(user)) = (&cx.settings.send_rate, &self.user)
            && !rate.admit(user, cx.now)
        {
            return Err((Ending::RateLimited, None));
        }
        if cx.shell.is_log_away() {
            return Err((Ending::LogAway, None));
        }
        Ok(room)
    }

    fn publish(&mut self, send: &Send, room: &str, commit: Option<u32>, cx: &mut Context<'_>) {
        let uuid = cx.shell.message_uuid();
        let forwarded = |(name, _): &(&str, &str)| !cx.settings.credentials.is_credential(name.trim());
        let headers: Vec<(&str, &str)> = send.headers.iter().filter(forwarded).collect();
        let key = send.idempotency_key.as_deref().unwrap_or_default();
        let message = Outgoing {
            uuid,
            room,
            sender: self.user.as_deref().unwrap_or_default(),
            content_type: send.content_type.as_deref().unwrap_or_default(),
            headers: &headers,
            body: &send.body,
            idempotency_key: key,
            origin: &cx.settings.instance,
        };
        let trace = traces::get().and_then(|traces| traces.send(send.headers.get("traceparent")));
        let (value, room) = encode_in(&mut cx.spares.records, &message);
        let large = send.body.len() > SHARED_BYTES;
        let own = |text: &Text| if large { text.detached() } else { text.clone() };
        let mut open = Open {
            number: self.sends.next,
            since: cx.now,
            receipt: send.receipt.as_ref().map(own),
            destination: own(&send.destination),
            commit,
            check: MessageId::check_of(&value),
            uuid,
            room: room.clone(),
            keyed: !key.is_empty(),
            trace,
            stage: Stage::Published,
        };
        let partition = partition_of(&room, cx.settings.partitions);
        let trace = open.trace.as_ref().map(|span| Box::new(span.headers()));
        let record = NewRecord { partition, room, value, trace };
        if open.keyed || self.sends.is_holding() {
            if open.keyed {
                self.claim(&open, &record, cx);
            }
            let ready = !open.keyed;
            open.stage = Stage::Held(Box::new(Held { record, ready, first: None }));
            return self.sends.push(open, &mut cx.spares.sends);
        }
        match cx.shell.publish(record, self.ticket(open.number, cx)) {
            Ok(()) => self.sends.push(open, &mut cx.spares.sends),
            Err(reason) => self.give_up(open, Ending::SendRefused(reason), cx),
        }
    }

    /// Asks the follower for an earlier message with the same key.
    fn claim(&self, send: &Open, record: &NewRecord, cx: &mut Context<'_>) {
        let hash = chat_proto::peek(&record.value).map_or(0, |peek| peek.idempotency_hash);
        let (ticket, room, wait) = (self.ticket(send.number, cx), send.room.clone(), send.waits_for_read_back());
        cx.shell.ask(ToFollower::Claim(Claim { ticket, room, uuid: send.uuid, hash, wait }));
    }

    fn ticket(&self, number: u32, cx: &Context<'_>) -> Ticket {
        let (worker, connection) = (cx.worker as u32, cx.slot as u32);
        Ticket { worker, connection, generation: self.generation, send: number }
    }

    /// The follower's answer to a keyed SEND.
    pub fn handle_claimed(&mut self, ticket: Ticket, first: Option<Stored>, cx: &mut Context<'_>) {
        if let Some(at) = self.sends.find(ticket.send)
            && let Stage::Held(held) = &mut self.sends.open[at].stage
        {
            (held.ready, held.first) = (true, first);
            self.publish_ready(cx);
            self.settle(cx);
            self.advance(cx);
        }
    }

    /// Writes what was held and may go now, in order. Who has waited long enough may go in any case.
    pub(super) fn publish_ready(&mut self, cx: &mut Context<'_>) {
        while let Some(send) = self.sends.first_held() {
            let (number, since) = (send.number, send.since);
            let Stage::Held(held) = &send.stage else { return };
            if !held.ready && since + KEYED_PATIENCE > cx.now {
                return;
            }
            if let Some(first) = held.first {
                cx.metrics.sends.results.of(Sent::Repeated).inc();
                self.sends.let_go();
                if let Some(at) = self.sends.find(number) {
                    self.stored(at, Some(first));
                }
                continue;
            }
            let ticket = self.ticket(number, cx);
            let Some(held) = self.sends.let_go() else { return };
            if let Err(reason) = cx.shell.publish(held.record, ticket) {
                self.failed(number, Ending::SendRefused(reason), cx);
            }
        }
    }

    /// The connection goes: what it has sent is written, whatever the follower might have said of it (`stomp.md` D04).
    pub(super) fn publish_held(&mut self, cx: &mut Context<'_>) {
        while let Some(number) = self.sends.first_held().map(|send| send.number) {
            let ticket = self.ticket(number, cx);
            let Some(held) = self.sends.let_go() else { return };
            let result = match held.first {
                Some(_) => Err(Sent::Repeated),
                None => cx.shell.publish(held.record, ticket).map_err(sent),
            };
            if let Err(sent) = result {
                cx.metrics.sends.results.of(sent).inc();
                self.sends.find(number).and_then(|at| self.sends.remove(at));
            }
        }
    }

    /// A SEND that has not been written, and will not be.
    pub(super) fn take_back(&mut self, receipt: Option<Text>, destination: &str, cx: &mut Context<'_>) {
        let ending = Ending::SendRefused(Reason::Purged);
        cx.metrics.send_failed(ending);
        self.refuse(ending, None, Some(destination), receipt, cx);
    }

    /// The numbers of the SENDs that the log has yet to answer for.
    pub fn unsettled(&self) -> impl Iterator<Item = u32> + '_ {
        self.sends.published()
    }
}

fn sent(reason: Reason) -> Sent {
    if reason == Reason::QueueFull { Sent::QueueFull } else { Sent::Refused }
}
