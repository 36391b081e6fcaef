//! What becomes of a SEND.

use std::{
    ops::Range,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use chat_proto::{Outgoing, decode, encode};
use klatsch_edge::log::{
    Budget, Health, Log, LogError, NewRecord, Outcome, ReadRecord, Reason, Reports, ScanEnd, Start, Ticket,
    memory::MemoryLog,
};

use super::{AT, Lie, Plot, feed::LyingFeed};

/// A log that lies once.
pub struct Sabotaged {
    log: MemoryLog,
    reports: Arc<dyn Reports>,
    plot: Arc<Plot>,
    edge: usize,
}

/// Falsifies what the log answers.
struct LyingReports {
    reports: Arc<dyn Reports>,
    plot: Arc<Plot>,
    edge: usize,
}

impl Sabotaged {
    pub fn new(log: &MemoryLog, reports: Arc<dyn Reports>, plot: Arc<Plot>, edge: usize) -> Sabotaged {
        let lying = LyingReports { reports: Arc::clone(&reports), plot: Arc::clone(&plot), edge };
        Sabotaged { log: log.for_edge(Arc::new(lying)), reports, plot, edge }
    }

    /// Says that it is stored where the next record will lie.
    fn pretend(&self, record: &NewRecord, ticket: Ticket) {
        let offset = self.log.offsets(record.partition).end;
        let outcome = Outcome::Stored { partition: record.partition, offset, timestamp_ms: 1 };
        self.reports.settled(ticket, outcome);
    }

    /// Stores what nobody waits for.
    fn store(&self, record: NewRecord) {
        let nobody = Ticket { connection: u32::MAX, ..Ticket::default() };
        self.log.publish(record, nobody).unwrap();
    }
}

/// The same message, but for what `change` does.
fn forged(record: &NewRecord, change: impl FnOnce(&mut Outgoing<'_>)) -> NewRecord {
    let message = decode(record.value.clone(), &record.room).unwrap();
    let uuid = <[u8; 16]>::try_from(&message.uuid[..]).unwrap();
    let headers: Vec<_> = message.headers.iter().map(|h| (h.name.as_str(), h.value.as_str())).collect();
    let secret = [&headers[..], &[("Authorization", "Bearer secret")]].concat();
    let mut outgoing = Outgoing {
        uuid,
        room: &message.room,
        sender: &message.sender,
        content_type: &message.content_type,
        headers: &headers,
        body: &message.body,
        idempotency_key: &message.idempotency_key,
        origin: "forger",
    };
    change(&mut outgoing);
    if outgoing.origin == "leak" {
        outgoing.headers = &secret;
    }
    NewRecord { value: encode(&outgoing), ..record.clone() }
}

impl Log for Sabotaged {
    type Feed = LyingFeed;

    fn publish(&self, record: NewRecord, ticket: Ticket) -> Result<(), Reason> {
        let number = self.plot.published.fetch_add(1, Ordering::SeqCst);
        let lie = self.plot.lie;
        let held = {
            let mut held = self.plot.held.lock().unwrap_or_else(PoisonError::into_inner);
            let same = |other: &Ticket| (other.worker, other.connection) == (ticket.worker, ticket.connection);
            held.take_if(|(_, other)| self.edge == 0 && same(other))
        };
        if let Some((before, its)) = held {
            self.log.publish(record, ticket)?;
            return self.log.publish(before, its);
        }
        if lie == Lie::AcknowledgeOnlyAtTheEnd && self.edge == 0 && number > AT {
            self.pretend(&record, ticket);
            return Ok(());
        }
        let chosen = {
            let mut target = self.plot.target.lock().unwrap_or_else(PoisonError::into_inner);
            let chosen = number >= AT && self.edge == 0 && target.is_none();
            if chosen {
                *target = Some((self.edge, ticket));
            }
            chosen
        };
        if !chosen {
            return self.log.publish(record, ticket);
        }
        match lie {
            Lie::AcknowledgeOnly => self.pretend(&record, ticket),
            Lie::SwapSends => *self.plot.held.lock().unwrap_or_else(PoisonError::into_inner) = Some((record, ticket)),
            Lie::StoreTwice => {
                self.log.publish(record.clone(), ticket)?;
                self.store(record);
            }
            Lie::ShowTwice => {
                self.log.publish(record.clone(), ticket)?;
                self.store(forged(&record, |message| {
                    message.uuid = [7; 16];
                    // The edges hide what has the same key.
                    message.idempotency_key = "another";
                }));
            }
            Lie::IgnoreKey => {
                let stripped = forged(&record, |message| message.idempotency_key = "");
                self.log.publish(stripped, ticket)?;
            }
            Lie::OtherSender => self.log.publish(forged(&record, |message| message.sender = "eve"), ticket)?,
            Lie::Credentials => self.log.publish(forged(&record, |message| message.origin = "leak"), ticket)?,
            _ => self.log.publish(record, ticket)?,
        }
        Ok(())
    }

    fn feed(&self, start: Start) -> Result<LyingFeed, LogError> {
        Ok(LyingFeed::new(self.log.feed(start)?, Arc::clone(&self.plot), self.edge))
    }

    fn retained(&self, partition: i32, timeout: Duration) -> Result<Range<i64>, LogError> {
        self.log.retained(partition, timeout)
    }

    fn offset_at(&self, partition: i32, ms: i64, timeout: Duration) -> Result<i64, LogError> {
        self.log.offset_at(partition, ms, timeout)
    }

    fn scan(
        &self,
        partition: i32,
        range: Range<i64>,
        budget: Budget,
        sink: &mut dyn FnMut(ReadRecord<'_>),
    ) -> Result<ScanEnd, LogError> {
        self.log.scan(partition, range, budget, sink)
    }

    fn flush(&self, timeout: Duration) -> usize {
        self.log.flush(timeout)
    }

    fn health(&self) -> Health {
        self.log.health()
    }
}

impl Reports for LyingReports {
    fn settled(&self, ticket: Ticket, outcome: Outcome) {
        if ticket.connection == u32::MAX {
            return;
        }
        let target = *self.plot.target.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match (self.plot.lie, outcome) {
            (_, outcome) if target != Some((self.edge, ticket)) => outcome,
            (Lie::OtherOffset, Outcome::Stored { partition, offset, timestamp_ms }) => {
                Outcome::Stored { partition, offset: offset + 1_000, timestamp_ms }
            }
            (Lie::Unknown | Lie::IgnoreKey, _) => Outcome::Unknown(Reason::TimedOut),
            (Lie::RefuseStored, _) => Outcome::Refused(Reason::QueueFull),
            (Lie::NeverAnswer, _) => return,
            (_, outcome) => outcome,
        };
        self.reports.settled(ticket, outcome);
    }

    fn thread_died(&self, name: &'static str) {
        self.reports.thread_died(name);
    }
}

/// Octets that outlive the log's buffer.
pub fn owned(record: &ReadRecord<'_>) -> (i32, i64, i64, Bytes, Bytes) {
    let (room, value) = (Bytes::copy_from_slice(record.room), Bytes::copy_from_slice(record.value));
    (record.partition, record.offset, record.timestamp_ms, room, value)
}
