//! A world as files: the history's lines, the dump's, and what `verify` says of them.

use std::io::Cursor;

use klatsch_load::{
    history::{Event, Head, VERSION, write},
    verify::{Loader, Options, Report, Row, Source, judge},
};
use serde_json::json;

use super::{RUN, Stored, World};

impl World {
    /// What `verify` says of it.
    pub fn judge(&self, options: Options) -> Report {
        let mut loader = Loader::default();
        for log in [&self.log, &self.second] {
            for row in self.rows(log) {
                let row: Row<'_> = serde_json::from_str(&row).unwrap();
                loader.add(&row).unwrap();
            }
            loader.next_dump();
        }
        let lines = Box::new(Cursor::new(self.text()));
        judge(vec![Source { name: "history".to_owned(), lines }], loader.finish(), options).unwrap()
    }

    /// The history's text.
    pub fn text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let head = |t| Head { t, c: None, s: None };
        let run = Event::Run {
            run: self.run,
            pid: 1,
            version: VERSION,
            send_timeout_ms: 15_000,
            urls: vec!["ws://edge/ws".to_owned()],
            connections: self.clients.len() as u32,
            rooms: 1,
            rate: 1.0,
            receipts: true,
        };
        write(&mut out, head(0), &run).unwrap();
        self.lines.iter().for_each(|(head, event)| write(&mut out, *head, event).unwrap());
        write(&mut out, head(u64::MAX), &Event::End {}).unwrap();
        out
    }

    /// The histories of two processes, two runs, that had every other client.
    pub fn split(&mut self) -> [Vec<u8>; 2] {
        self.two_runs = true;
        [0, 1].map(|part| {
            let mut world = World { run: RUN + part, ..World::default() };
            for (head, event) in self.lines.iter().filter(|(head, _)| head.c.unwrap() % 2 == part) {
                let mut event = event.clone();
                if let Event::Message { from, run, .. } = &mut event {
                    *run = Some(RUN + *from % 2).filter(|run| *run != world.run);
                }
                world.lines.push((*head, event));
            }
            world.text()
        })
    }

    /// The topic is deleted and made anew, and everything begins again, with other clients.
    pub fn replaced_by(&mut self, seed: u64) {
        let after = World::from(seed, self.t + 1_000_000, 1 << 20);
        let other = |client: u32| client + 100;
        self.second = after.log;
        self.second.iter_mut().filter_map(|record| record.load.as_mut()).for_each(|load| load.0 = other(load.0));
        for (mut head, mut event) in after.lines {
            head.c = head.c.map(other);
            if let Event::Message { from, .. } = &mut event {
                *from = other(*from);
            }
            self.lines.push((head, event));
        }
    }

    /// The dump's lines.
    pub fn rows(&self, log: &[Stored]) -> impl Iterator<Item = String> {
        log.iter().map(|record| {
            let mut row = json!({
                "partition": record.partition,
                "offset": record.offset,
                "timestamp": record.ts,
                "key": format!("room-{}", record.room),
                "message_id": record.id(),
                "uuid": format!("{:032x}", record.uuid),
                "sender": record.sender,
                "idempotency_key": record.key,
                "size": 300,
            });
            if let Some((client, n, attempt)) = record.load {
                let run = if self.two_runs { self.run + client % 2 } else { self.run };
                (row["run"], row["client"], row["n"], row["try"]) =
                    (run.into(), client.into(), n.into(), attempt.into());
            }
            if record.leaked {
                row["leaked"] = "Authorization".into();
            }
            row.to_string()
        })
    }
}

/// The MESSAGE of a record.
pub fn message(record: &Stored) -> Event<'static> {
    let (room, id) = (format!("room-{}", record.room).into(), record.id().into());
    let Some((from, n, attempt)) = record.load else { return Event::Foreign { room, id, discarded: false } };
    Event::Message {
        room,
        id,
        ts: Some(record.ts),
        sender: Some(record.sender.clone().into()),
        from,
        n,
        attempt,
        run: None,
        replayed: false,
        size: 200,
        damaged: false,
        leaked: None,
        discarded: false,
    }
}

pub fn is_message(event: &Event<'_>) -> bool {
    matches!(event, Event::Message { .. } | Event::Foreign { .. })
}
