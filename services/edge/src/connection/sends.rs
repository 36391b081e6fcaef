//! SEND and COMMIT: from the frame to the log, and back to a RECEIPT or an ERROR. Each SEND meets exactly one outcome
//! within the send time-out, also when nobody asked for a receipt (promise 5).

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use chat_proto::{MessageId, Outgoing, encode, partition_of};
use stomp_proto::{Send, Text};

use super::{Connection, Phase};
use crate::{
    context::Context,
    disconnect::Ending,
    log::{NewRecord, Outcome, Ticket},
    message::ToFollower,
};

/// A body above this must not stay in memory for the sake of a header of its frame.
const SHARED_BYTES: usize = 1024;

/// A SEND that is under way.
struct InFlight {
    number: u32,
    since: Duration,
    receipt: Option<Text>,
    destination: Text,
    /// COMMIT's number, for a SEND of a transaction.
    commit: Option<u32>,
    check: u32,
    uuid: [u8; 16],
    room: Bytes,
}

/// A COMMIT whose SENDs are under way. Their receipts are answered together with its own, when all are stored.
struct Commit {
    number: u32,
    open: usize,
    stored: Vec<Stored>,
    receipt: Option<Text>,
}

/// A RECEIPT of a SEND, ready to go.
struct Stored {
    receipt: Text,
    message_id: String,
    timestamp: String,
}

/// The SENDs of one connection that have not met their outcome.
#[derive(Default)]
pub(super) struct Sends {
    in_flight: VecDeque<InFlight>,
    commits: Vec<Commit>,
    next: u32,
}

impl Sends {
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// When the oldest SEND has taken too long.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Duration> {
        Some(self.in_flight.front()?.since + patience)
    }

    fn take(&mut self, number: u32) -> Option<InFlight> {
        // Numbers wrap, but those under way lie close together and in order.
        let first = self.in_flight.front()?.number;
        let at = self.in_flight.partition_point(|send| send.number.wrapping_sub(first) < number.wrapping_sub(first));
        (self.in_flight.get(at)?.number == number).then(|| self.in_flight.remove(at))?
    }

    /// Notes that a SEND of a transaction is stored; the whole transaction, if it was the last one.
    fn committed(&mut self, number: u32, stored: Option<Stored>) -> Option<Commit> {
        let at = self.commits.iter().position(|commit| commit.number == number)?;
        self.commits[at].stored.extend(stored);
        self.commits[at].open -= 1;
        (self.commits[at].open == 0).then(|| self.commits.swap_remove(at))
    }

    fn release_if_idle(&mut self) {
        if self.in_flight.is_empty() {
            self.in_flight = VecDeque::new();
            self.commits = Vec::new();
        }
    }
}

impl Connection {
    /// SEND.
    pub(super) fn send(&mut self, send: Send, cx: &mut Context<'_>) {
        if let Err(ending) = self.may_send(&send.destination, cx) {
            cx.metrics.send_failed(ending);
            return self.refuse(ending, Some(&send.destination), send.receipt, cx);
        }
        self.publish(send, None, cx);
    }

    /// COMMIT: its SENDs are queued to one partition in order; its RECEIPT comes when all are stored (`stomp.md` T04,
    /// T07, T08). One room per transaction, so that "in order" means something.
    pub(super) fn commit(&mut self, sends: Vec<Send>, receipt: Option<Text>, cx: &mut Context<'_>) {
        let mut only = None;
        for send in &sends {
            match self.may_send(&send.destination, cx) {
                Ok(room) if *only.get_or_insert_with(|| room.clone()) == room => {}
                Ok(_) => {
                    let detail = "a transaction holds SENDs to one room";
                    let receipt = send.receipt.clone().or(receipt);
                    return self.end(Ending::Malformed, Some(detail), receipt, cx);
                }
                Err(ending) => {
                    let receipt = send.receipt.clone().or(receipt);
                    return self.refuse(ending, Some(&send.destination), receipt, cx);
                }
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
        for send in sends {
            if matches!(self.phase, Phase::Open) {
                self.publish(send, Some(number), cx);
            }
        }
    }

    /// The room, if it is one, if the client may write to it and if there is a log to write to.
    fn may_send(&self, destination: &str, cx: &mut Context<'_>) -> Result<String, Ending> {
        let room = cx.settings.destinations.send(destination).map_err(|_| Ending::UnknownDestination)?;
        if !self.identity().is_some_and(|identity| identity.rights.may_send(room)) {
            return Err(Ending::Forbidden);
        }
        if cx.shell.is_log_away() {
            return Err(Ending::LogAway);
        }
        Ok(room.to_owned())
    }

    fn publish(&mut self, send: Send, commit: Option<u32>, cx: &mut Context<'_>) {
        let Ok(room) = cx.settings.destinations.send(&send.destination) else { return };
        let (uuid, user) = (cx.shell.message_uuid(), self.user());
        let forwarded = |(name, _): &(&str, &str)| !cx.settings.credentials.is_credential(name.trim());
        let headers: Vec<(&str, &str)> = send.headers.iter().filter(forwarded).collect();
        let value = encode(&Outgoing {
            uuid,
            room,
            sender: &user,
            content_type: send.content_type.as_deref().unwrap_or_default(),
            headers: &headers,
            body: &send.body,
            idempotency_key: send.idempotency_key.as_deref().unwrap_or_default(),
            origin: &cx.settings.instance,
        });
        let check = MessageId::check_of(&value);
        let room = Bytes::copy_from_slice(room.as_bytes());
        let partition = partition_of(&room, cx.settings.partitions);
        let number = self.sends.next;
        let ticket =
            Ticket { worker: cx.worker as u32, connection: cx.slot as u32, generation: self.generation, send: number };
        match cx.shell.publish(NewRecord { partition, room: room.clone(), value }, ticket) {
            Ok(()) => {
                self.sends.next = number.wrapping_add(1);
                let large = send.body.len() > SHARED_BYTES;
                let own = |text: Text| if large { text.detached() } else { text };
                let (receipt, destination) = (send.receipt.map(own), own(send.destination));
                let since = cx.now;
                let send = InFlight { number, since, receipt, destination, commit, check, uuid, room };
                self.sends.in_flight.push_back(send);
            }
            Err(reason) => {
                cx.metrics.send_failed(Ending::SendRefused(reason));
                self.refuse(Ending::SendRefused(reason), Some(&send.destination), send.receipt, cx);
            }
        }
    }

    /// What became of a SEND.
    pub fn handle_outcome(&mut self, ticket: Ticket, outcome: Outcome, cx: &mut Context<'_>) {
        let (partition, offset, timestamp_ms) = match outcome {
            Outcome::Stored { partition, offset, timestamp_ms } => (partition, offset, timestamp_ms),
            Outcome::StoredUnplaced => return self.locate(ticket, cx),
            Outcome::Refused(reason) => return self.failed(ticket, Ending::SendRefused(reason), cx),
            Outcome::Unknown(_) => return self.failed(ticket, Ending::SendUnknown, cx),
        };
        let Some(send) = self.sends.take(ticket.send) else { return };
        cx.metrics.send_stored(cx.now.saturating_sub(send.since));
        let stored = send.receipt.map(|receipt| Stored {
            receipt,
            message_id: MessageId { partition, offset, check: send.check }.to_string(),
            timestamp: timestamp_ms.to_string(),
        });
        match send.commit {
            None => stored.iter().for_each(|stored| self.acknowledge(stored)),
            Some(commit) => {
                if let Some(commit) = self.sends.committed(commit, stored) {
                    commit.stored.iter().for_each(|stored| self.acknowledge(stored));
                    commit.receipt.iter().for_each(|receipt| self.session.receipt(receipt, &[]));
                }
            }
        }
        self.sends.release_if_idle();
        self.settle(cx);
        self.advance(cx);
    }

    fn acknowledge(&mut self, stored: &Stored) {
        let headers = [("message-id", stored.message_id.as_str()), ("timestamp", stored.timestamp.as_str())];
        self.session.receipt(&stored.receipt, &headers);
    }

    /// Acknowledged, but not where: only a receipt needs to know, and waits until the record has been read back.
    fn locate(&mut self, ticket: Ticket, cx: &mut Context<'_>) {
        let Some(send) = self.sends.in_flight.iter().find(|send| send.number == ticket.send) else { return };
        cx.shell.ask(ToFollower::Locate { ticket, room: send.room.clone(), uuid: send.uuid });
    }

    fn failed(&mut self, ticket: Ticket, ending: Ending, cx: &mut Context<'_>) {
        let Some(send) = self.sends.take(ticket.send) else { return };
        self.give_up(send, ending, cx);
        self.sends.release_if_idle();
        self.settle(cx);
        self.advance(cx);
    }

    /// Gives up on SENDs that took too long: they may still appear, once.
    pub(super) fn give_up_on_sends(&mut self, cx: &mut Context<'_>) {
        while self.sends.deadline(cx.settings.send_timeout).is_some_and(|at| at <= cx.now) {
            let Some(send) = self.sends.in_flight.pop_front() else { return };
            self.give_up(send, Ending::SendUnknown, cx);
        }
        self.sends.release_if_idle();
    }

    /// A SEND has failed, and with it the transaction it belongs to.
    fn give_up(&mut self, send: InFlight, ending: Ending, cx: &mut Context<'_>) {
        cx.metrics.send_failed(ending);
        self.refuse(ending, Some(&send.destination), send.receipt, cx);
        let Some(at) = self.sends.commits.iter().position(|commit| Some(commit.number) == send.commit) else { return };
        let commit = self.sends.commits.swap_remove(at);
        if commit.receipt.is_some() {
            self.refuse(ending, Some(&send.destination), commit.receipt, cx);
        }
    }
}
