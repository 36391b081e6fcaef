//! Histories as a server makes them that keeps every promise: small, seeded, with all that may happen: cuts, resumption,
//! gaps that are announced, repeats with keys, SENDs refused and unknown, records of others.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

pub mod mutations;
mod written;

pub use written::{is_message, message};

use std::collections::VecDeque;

use klatsch_load::history::{Event, Head, Outcome, Why};

pub const RUN: u32 = 77;
pub type Line = (Head, Event<'static>);

/// Numbers that follow from a seed (SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len())).cloned()
    }
}

/// A record of the log.
#[derive(Clone, Debug)]
pub struct Stored {
    pub partition: i32,
    pub offset: i64,
    pub ts: i64,
    pub room: usize,
    pub uuid: u64,
    pub sender: String,
    pub key: String,
    /// Client, number, try.
    pub load: Option<(u32, u64, u32)>,
    pub hidden: bool,
    pub leaked: bool,
}

impl Stored {
    pub fn id(&self) -> String {
        format!("{}-{}-{:08x}", self.partition, self.offset, self.uuid as u32)
    }
}

struct InFlight {
    n: u64,
    attempt: u32,
    key: String,
    user: String,
}

#[derive(Default)]
struct Client {
    room: usize,
    session: u32,
    joined: bool,
    sent: u64,
    /// The offset behind which it goes on.
    cursor: i64,
    token: Option<String>,
    in_flight: VecDeque<InFlight>,
    /// Number and next try.
    unknown: Vec<(u64, u32)>,
}

/// A history and its log.
#[derive(Default)]
pub struct World {
    pub lines: Vec<Line>,
    pub log: Vec<Stored>,
    /// The log of the same name that came after it.
    pub second: Vec<Stored>,
    run: u32,
    /// Every other client is of a second run.
    two_runs: bool,
    t: u64,
    uuid: u64,
    keys: bool,
    clients: Vec<Client>,
    /// SENDs of sessions that are over: they may still be stored.
    adrift: Vec<(u32, InFlight)>,
}

impl World {
    /// What follows from a seed.
    pub fn new(seed: u64) -> World {
        World::from(seed, 1_700_000_000_000_000, 0)
    }

    fn from(seed: u64, t: u64, uuid: u64) -> World {
        let mut dice = Dice(seed);
        let (rooms, clients) = (1 + dice.below(3), 2 + dice.below(5));
        let clients = (0..clients).map(|number| Client { room: number % rooms, ..Client::default() }).collect();
        let mut world = World { run: RUN, t, uuid, keys: !dice.one_in(3), clients, ..World::default() };
        for _ in 0..dice.below(10) {
            world.store(dice.below(rooms), "before", "", None);
        }
        for _ in 0..60 + dice.below(200) {
            world.t += dice.next() % 20_000;
            let client = dice.below(world.clients.len());
            world.step(client, &mut dice);
        }
        world.settle();
        world
    }

    fn tell(&mut self, client: usize, event: Event<'static>) {
        self.t += 1;
        let session = self.clients[client].session;
        self.lines.push((Head { t: self.t, c: Some(client as u32), s: Some(session) }, event));
    }

    fn store(&mut self, room: usize, sender: &str, key: &str, load: Option<(u32, u64, u32)>) -> Stored {
        let partition = room as i32 % 2;
        let offset = self.log.iter().filter(|record| record.partition == partition).count() as i64;
        let ts = (self.t / 1_000) as i64;
        self.uuid += 1;
        let same = |r: &&Stored| r.room == room && r.sender == sender && r.key == key && ts - r.ts <= 120_000;
        let hidden = !key.is_empty() && self.log.iter().rfind(same).is_some();
        let (sender, key, uuid) = (sender.to_owned(), key.to_owned(), self.uuid);
        let record = Stored { partition, offset, ts, room, uuid, sender, key, load, hidden, leaked: false };
        self.log.push(record.clone());
        record
    }

    fn step(&mut self, client: usize, dice: &mut Dice) {
        match dice.below(20) {
            0 if self.clients[client].joined => self.cut(client, dice),
            1 => _ = self.store(self.clients[client].room, "somebody", "", None),
            2 => self.strand(dice),
            3..=6 => self.send(client, dice),
            7..=11 => self.answer(client, dice),
            _ => self.deliver(client, 1 + dice.below(4)),
        }
        if !self.clients[client].joined && dice.one_in(3) {
            self.join(client, dice);
        }
    }

    fn join(&mut self, client: usize, dice: &mut Dice) {
        let (user, partition) = (format!("user-{client}"), self.clients[client].room as i32 % 2);
        self.clients[client].session += 1;
        self.tell(client, Event::Opening { url: "ws://edge/ws".into() });
        if dice.one_in(5) {
            self.tell(client, Event::Refused { status: Some(503), why: "starting".into(), retry_after: Some(1) });
        }
        self.tell(client, Event::Connected { user: Some(user.into()), server: None, edge: None });
        let (room, from) = (self.clients[client].room, self.clients[client].token.clone());
        let name = format!("room-{room}");
        let asked = from.is_some();
        self.tell(client, Event::Subscribe { room: name.clone().into(), from: from.map(Into::into), history: None });
        let last = self.log.iter().rfind(|record| record.partition == partition);
        let position = last.map_or_else(|| format!("{partition}--1-00000000"), Stored::id);
        let end = last.map_or(-1, |record| record.offset);
        let recovered = asked.then(|| !dice.one_in(4));
        if recovered != Some(true) {
            self.clients[client].cursor = end;
            self.clients[client].token = Some(position.clone());
        }
        let position = Some(position.into());
        self.tell(client, Event::Joined { room: name.into(), position, recovered, count: None });
        self.clients[client].joined = true;
    }

    fn send(&mut self, client: usize, dice: &mut Dice) {
        if !self.clients[client].joined {
            return;
        }
        let again = self.keys && dice.one_in(2) && !self.clients[client].unknown.is_empty();
        let (n, attempt) = if again {
            self.clients[client].unknown.remove(0)
        } else {
            self.clients[client].sent += 1;
            (self.clients[client].sent - 1, 1)
        };
        let key = if self.keys { format!("{client}-{n}") } else { String::new() };
        let room = format!("room-{}", self.clients[client].room).into();
        let told = self.keys.then(|| key.clone().into());
        self.tell(client, Event::Send { n, attempt, room, key: told, size: 200 });
        let user = format!("user-{client}");
        self.clients[client].in_flight.push_back(InFlight { n, attempt, key, user });
    }

    fn answer(&mut self, client: usize, dice: &mut Dice) {
        let Some(InFlight { n, attempt, key, user }) = self.clients[client].in_flight.pop_front() else { return };
        let room = self.clients[client].room;
        let load = Some((client as u32, n, attempt));
        if !dice.one_in(8) {
            let stored = self.store(room, &user, &key, load);
            self.t += dice.next() % 3_000;
            // A repeat may be answered with the first copy's place.
            let first = self.log.iter().find(|r| !key.is_empty() && r.key == key && r.ts + 120_000 >= stored.ts);
            let named = first.filter(|_| dice.one_in(2)).unwrap_or(&stored);
            let (id, ts) = (named.id(), named.ts);
            return self.tell(client, Event::Receipt { n, attempt, id: Some(id.into()), ts: Some(ts) });
        }
        let outcome = if dice.one_in(2) { Outcome::Refused } else { Outcome::Unknown };
        if outcome == Outcome::Unknown {
            self.clients[client].unknown.push((n, attempt + 1));
            self.adrift.push((client as u32, InFlight { n, attempt, key, user }));
        }
        self.tell(client, Event::Failed { n, attempt, code: Some(503), outcome, soft: true, why: "away".into() });
    }

    /// What was unknown is stored after all, perhaps twice, or never.
    fn strand(&mut self, dice: &mut Dice) {
        if self.adrift.is_empty() {
            return;
        }
        let (client, InFlight { n, attempt, key, user }) = self.adrift.swap_remove(dice.below(self.adrift.len()));
        let room = self.clients[client as usize].room;
        if !dice.one_in(3) {
            let first = self.store(room, &user, &key, Some((client, n, attempt)));
            if dice.one_in(3) {
                self.uuid -= 1;
                self.store(room, &user, &key, Some((client, n, attempt)));
                let last = self.log.last_mut().unwrap();
                (last.uuid, last.hidden) = (first.uuid, true);
            }
        }
    }

    fn deliver(&mut self, client: usize, most: usize) {
        let Client { room, joined, cursor, .. } = self.clients[client];
        if !joined {
            return;
        }
        let mine = |r: &&Stored| r.room == room && r.offset > cursor && !r.hidden;
        let due: Vec<_> = self.log.iter().filter(mine).take(most).cloned().collect();
        for record in due {
            self.clients[client].cursor = record.offset;
            self.clients[client].token = Some(record.id());
            self.tell(client, message(&record));
        }
    }

    fn cut(&mut self, client: usize, dice: &mut Dice) {
        let code = dice.pick(&[1006, 1006, 4002, 4003, 1012, 4004]).unwrap();
        // Who has nothing to do with the log being away is not closed for it.
        let sent = self.clients[client].in_flight.iter().any(|send| send.attempt > 0);
        let code = if code == 4004 && !sent { 1012 } else { code };
        if code == 4003 {
            let room = format!("room-{}", self.clients[client].room).into();
            self.tell(client, Event::Gap { room, code: 410 });
        }
        let why = if code == 1006 { Why::Cut } else { Why::Server };
        let last = self.clients[client].token.clone().map(Into::into);
        self.tell(client, Event::Close { code, why, text: code.to_string().into(), last });
        self.clients[client].joined = false;
        for send in std::mem::take(&mut self.clients[client].in_flight) {
            self.clients[client].unknown.push((send.n, send.attempt + 1));
            self.adrift.push((client as u32, send));
        }
    }

    /// Everybody is there, everything is answered, delivered, and long known at the end.
    fn settle(&mut self) {
        let mut sure = Dice(1);
        for client in 0..self.clients.len() {
            if !self.clients[client].joined {
                self.join(client, &mut sure);
            }
            while !self.clients[client].in_flight.is_empty() {
                self.answer(client, &mut sure);
            }
        }
        (0..self.clients.len()).for_each(|client| self.deliver(client, usize::MAX));
        self.t += 30_000_000;
        for client in 0..self.clients.len() {
            let last = self.clients[client].token.clone().map(Into::into);
            self.tell(client, Event::Close { code: 1000, why: Why::Asked, text: "goodbye".into(), last });
        }
    }
}
