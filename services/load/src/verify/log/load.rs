//! Reading the dump. Several dumps of one topic become one log; a topic that was deleted and made anew becomes a second one
//! beside it.

use std::{borrow::Cow, collections::HashMap, mem};

use chat_proto::{MessageId, idempotency_hash};
use serde::Deserialize;

use super::{At, Generation, HIDDEN, Log, NOBODY, Partition, Record, repeats};
use crate::dump::{self, Load};

/// A line of a dump, as far as it is needed.
#[derive(Debug, Deserialize)]
pub struct Row<'a> {
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    message_id: Cow<'a, str>,
    #[serde(borrow, default)]
    uuid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    sender: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    idempotency_key: Option<Cow<'a, str>>,
    run: Option<u32>,
    client: Option<u32>,
    n: Option<u64>,
    #[serde(rename = "try")]
    attempt: Option<u32>,
    #[serde(borrow, default)]
    leaked: Option<Cow<'a, str>>,
}

impl<'a> From<&'a dump::Line> for Row<'a> {
    fn from(line: &'a dump::Line) -> Row<'a> {
        let mut row = Row {
            partition: line.partition,
            offset: line.offset,
            timestamp: line.timestamp,
            key: line.key.as_str().into(),
            message_id: line.message_id.as_str().into(),
            uuid: None,
            sender: None,
            idempotency_key: None,
            run: None,
            client: None,
            n: None,
            attempt: None,
            leaked: None,
        };
        if let dump::Record::Readable { uuid, sender, idempotency_key, load, leaked } = &line.record {
            row.uuid = Some(uuid.as_str().into());
            row.sender = Some(sender.as_str().into());
            row.idempotency_key = Some(idempotency_key.as_str().into());
            row.leaked = leaked.as_deref().map(Into::into);
            if let Some(Load { run, client, n, attempt }) = *load {
                (row.run, row.client, row.n, row.attempt) = (Some(run), Some(client), Some(n), Some(attempt));
            }
        }
        row
    }
}

/// Makes a [`Log`] of rows.
#[derive(Debug, Default)]
pub struct Loader {
    log: Log,
    /// Of the dump that is being read.
    partitions: HashMap<i32, Vec<Record>>,
}

impl Loader {
    /// The next record of the current dump.
    ///
    /// # Errors
    /// It has no message-id.
    pub fn add(&mut self, row: &Row<'_>) -> Result<(), String> {
        let id: MessageId = row.message_id.parse().map_err(|_| format!("{:?} is no message-id", row.message_id))?;
        let uuid = row.uuid.as_deref().and_then(|uuid| u128::from_str_radix(uuid, 16).ok());
        let (sender, key) = (row.sender.as_deref().unwrap_or_default(), row.idempotency_key.as_deref());
        let key = key.filter(|key| !key.is_empty());
        let load = match (row.run, row.client, row.n, row.attempt) {
            (Some(run), Some(client), Some(n), Some(attempt)) => Some(Load { run, client, n, attempt }),
            _ => None,
        };
        self.partitions.entry(row.partition).or_default().push(Record {
            offset: row.offset,
            check: id.check,
            ts: row.timestamp.unwrap_or_default(),
            room: self.log.rooms.number(&row.key),
            sender: self.log.users.number(sender),
            user: NOBODY,
            load,
            rank: HIDDEN,
            twin: false,
            leaked: row.leaked.is_some(),
            known: 0,
            other_key: false,
            uuid: uuid.unwrap_or_default(),
            hash: key.map_or(0, |key| idempotency_hash(&row.key, sender, key)),
            readable: uuid.is_some(),
        });
        Ok(())
    }

    /// The dump is over; another one may follow.
    pub fn next_dump(&mut self) {
        let read = mem::take(&mut self.partitions);
        let generations = &mut self.log.generations;
        let fits = |topic: &Generation| {
            read.iter().all(|(number, records)| topic.partitions.get(number).is_none_or(|known| known.agrees(records)))
        };
        let at = generations.iter().rposition(fits).unwrap_or(generations.len());
        if at == generations.len() {
            generations.push(Generation::default());
        }
        for (number, mut records) in read {
            let known = &mut generations[at].partitions.entry(number).or_default().records;
            known.append(&mut records);
            known.sort_by_key(|record| record.offset);
            known.dedup_by_key(|record| record.offset);
        }
    }

    /// All dumps are read.
    pub fn finish(mut self) -> Log {
        if !self.partitions.is_empty() {
            self.next_dump();
        }
        let mut log = self.log;
        for (generation, topic) in log.generations.iter_mut().enumerate() {
            topic.find_twins();
            topic.rank();
            for (number, partition) in &topic.partitions {
                let at = |index| At { generation, partition: *number, index };
                let sends = partition.records.iter().enumerate();
                log.sends.extend(sends.filter_map(|(index, record)| Some((record.load?, at(index)))));
            }
        }
        log.sends.sort_unstable();
        log
    }
}

impl Partition {
    /// Could these records be of the same log?
    fn agrees(&self, records: &[Record]) -> bool {
        let same = |record: &Record| self.find(record.offset).is_none_or(|at| self.records[at].check == record.check);
        records.iter().all(same)
    }
}

impl Generation {
    fn find_twins(&mut self) {
        let mut seen: HashMap<u128, (i32, usize)> = HashMap::new();
        let mut twins = Vec::new();
        for (number, partition) in &self.partitions {
            for (index, record) in partition.records.iter().enumerate().filter(|(_, record)| record.readable) {
                if let Some(first) = seen.insert(record.uuid, (*number, index)) {
                    twins.extend([first, (*number, index)]);
                }
            }
        }
        for (number, index) in twins {
            if let Some(partition) = self.partitions.get_mut(&number) {
                partition.records[index].twin = true;
            }
        }
    }

    /// A room lies in one partition; records of it elsewhere are shown by nobody.
    fn rank(&mut self) {
        let mut counts: HashMap<u32, HashMap<i32, usize>> = HashMap::new();
        for (number, partition) in &self.partitions {
            for record in partition.records.iter().filter(|record| record.readable) {
                *counts.entry(record.room).or_default().entry(*number).or_default() += 1;
            }
        }
        for (room, partitions) in counts {
            let home = partitions.into_iter().max_by_key(|(number, count)| (*count, -number));
            self.rooms.extend(home.map(|(number, _)| (room, (number, Vec::new()))));
        }
        for (number, partition) in &mut self.partitions {
            let shown = repeats::shown(&partition.records);
            for (index, record) in partition.records.iter_mut().enumerate().filter(|(index, _)| shown[*index]) {
                if let Some((home, ranks)) = self.rooms.get_mut(&record.room)
                    && home == number
                {
                    record.rank = ranks.len() as u32;
                    ranks.push(index as u32);
                }
            }
        }
    }
}
