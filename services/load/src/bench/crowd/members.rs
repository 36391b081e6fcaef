//! Members: ballast that is swept, probes that are read at once.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    io::{self, Read as _, Write as _},
    thread,
    time::{Duration, Instant},
};

use mio::net::TcpStream;
use stomp_proto::Command;

use super::{
    Crowd,
    drive::STILL,
    join::{Joined, error_text},
    publish::Timetable,
    tally::Tally,
    wire::{self, Inbox, Item, Kind, Walk},
};
use crate::{clock, latency::record, payload::Payload};

/// Members swept between two looks at the timetable.
const SLICE: usize = 64;

/// A connection with a subscription.
pub(super) struct Member {
    socket: TcpStream,
    walk: Walk,
    /// Messages of the present load.
    got: u64,
    room: u32,
    open: bool,
    stalled: bool,
    probe: bool,
}

impl Member {
    pub(super) fn new(joined: Joined, room: u32) -> Member {
        let mut member = Member {
            socket: joined.socket,
            walk: Walk::default(),
            got: 0,
            room,
            open: true,
            stalled: false,
            probe: false,
        };
        member.walk.over(&joined.rest, |_, _| {});
        member
    }

    pub(super) fn become_probe(&mut self) -> &mut TcpStream {
        self.probe = true;
        &mut self.socket
    }

    pub(super) fn stall(&mut self, stalled: bool) -> bool {
        if !self.probe {
            self.stalled = stalled;
        }
        !self.probe
    }

    /// Reads all there is and counts it.
    pub(super) fn drain(&mut self, buffer: &mut [u8], tally: &mut Tally) {
        while self.open {
            let read = match self.socket.read(buffer) {
                Ok(0) => return self.end(tally),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.end(tally),
            };
            tally.octets += read as u64;
            let (mut messages, mut pongs) = (0, Vec::new());
            self.walk.over(&buffer[..read], |kind, rest| match kind {
                Kind::Message => messages += 1,
                Kind::Error => {
                    tally.error.get_or_insert_with(|| format!("E{}", String::from_utf8_lossy(rest)));
                }
                // The payload's first octet has been passed; klatsch's and tungstenite's pings have none.
                Kind::Ping => wire::pong(&mut pongs, b""),
                Kind::Receipt | Kind::Close | Kind::Other => {}
            });
            self.got += messages;
            tally.deliveries += messages;
            if !pongs.is_empty() {
                // An answer that does not fit is missed by nobody on this machine.
                let _ = self.socket.write(&pongs);
            }
            // A short read has emptied the socket.
            if read < buffer.len() {
                return;
            }
        }
    }

    pub(super) fn beat(&mut self) {
        let mut out = Vec::with_capacity(8);
        wire::text(&mut out, b"\n");
        // Reading says why, if it fails.
        let _ = self.socket.write(&out);
    }

    fn end(&mut self, tally: &mut Tally) {
        self.open = false;
        tally.closed += 1;
    }
}

/// What a member that checks each message remembers of the present load.
pub(super) struct Probe {
    member: usize,
    inbox: Inbox,
    /// By publisher: the turn that comes next.
    next: HashMap<u32, u64>,
    /// Of those passed over, how many have not come.
    missing: u64,
    order: u64,
}

impl Probe {
    pub(super) fn new(member: usize) -> Probe {
        Probe { member, inbox: Inbox::default(), next: HashMap::new(), missing: 0, order: 0 }
    }

    fn checked(&mut self, payload: &Payload, room: u32, run: u32, table: &Timetable, tally: &mut Tally) {
        if payload.run != run || payload.room != room {
            tally.repeated += 1;
            return;
        }
        let next = self.next.entry(payload.sender).or_insert_with(|| table.first_turn(room, payload.sender));
        if payload.turn >= *next {
            self.missing += table.turns_between(*next, payload.turn);
            *next = table.next_turn(payload.turn);
        } else if self.missing > 0 {
            self.missing -= 1;
            tally.disordered += 1;
        } else {
            tally.repeated += 1;
        }
        // Fixed keys: the same order gives the same number in every probe.
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        self.order = hasher.hash_one((self.order, payload.sender, payload.turn));
    }
}

impl Crowd {
    /// Forgets what was counted before.
    pub(super) fn begin(&mut self) {
        self.run = self.run.wrapping_add(1);
        for member in &mut self.members {
            member.got = 0;
        }
        for probe in &mut self.probes {
            (probe.missing, probe.order) = (0, 0);
            probe.next.clear();
        }
    }

    /// The next few members; `false` when the sweep is over.
    pub(super) fn sweep_slice(&mut self, tally: &mut Tally) -> bool {
        let end = self.cursor.saturating_add(SLICE).min(self.members.len());
        let Some(slice) = self.members.get_mut(self.cursor..end) else { return false };
        for member in slice.iter_mut().filter(|member| !member.probe && !member.stalled) {
            member.drain(&mut self.buffer, tally);
        }
        self.cursor = if end == self.members.len() { usize::MAX } else { end };
        self.cursor != usize::MAX
    }

    /// Reads what a probe got.
    pub(super) fn read_probe(&mut self, index: usize, table: &Timetable, tally: &mut Tally) {
        let Some(probe) = self.probes.get_mut(index) else { return };
        let member = &mut self.members[probe.member];
        while member.open {
            let read = match member.socket.read(&mut self.buffer) {
                Ok(0) => return member.end(tally),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return member.end(tally),
            };
            let now = clock::now();
            tally.octets += read as u64;
            probe.inbox.push(&self.buffer[..read]);
            loop {
                match probe.inbox.next() {
                    Ok(Some(Item::Frame(frame))) if frame.command == Command::Message => {
                        member.got += 1;
                        tally.deliveries += 1;
                        let Some(payload) = Payload::read(&frame.body) else {
                            tally.repeated += 1;
                            continue;
                        };
                        record(&mut tally.latency.delivery, now.saturating_sub(payload.due));
                        probe.checked(&payload, member.room, self.run, table, tally);
                    }
                    Ok(Some(Item::Frame(frame))) if frame.command == Command::Error => {
                        tally.error.get_or_insert_with(|| error_text(&frame));
                    }
                    Ok(Some(Item::Ping(payload))) => {
                        let mut out = Vec::new();
                        wire::pong(&mut out, &payload);
                        let _ = member.socket.write(&out);
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(why) => {
                        tally.error.get_or_insert(why);
                        return member.end(tally);
                    }
                }
            }
        }
    }

    /// Reads whoever was stalled, until they have all of the last load, or nothing comes any more: what came, and what did
    /// not.
    ///
    /// # Errors
    /// There was no load.
    pub(crate) fn catch_up(&mut self) -> Result<Tally, String> {
        let table = self.last.ok_or("nothing has been sent that could be caught up with")?;
        let mut tally = Tally::new();
        let (mut moved, mut since) = (0, Instant::now());
        let wanted = |member: &Member| table.events_of(member.room).saturating_sub(member.got);
        tally.expected = self.members.iter().filter(|member| member.stalled).map(wanted).sum();
        while tally.deliveries < tally.expected && since.elapsed() < STILL {
            for member in self.members.iter_mut().filter(|member| member.stalled) {
                member.drain(&mut self.buffer, &mut tally);
            }
            if tally.deliveries != moved {
                (moved, since) = (tally.deliveries, Instant::now());
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.members.iter_mut().for_each(|member| member.stalled = false);
        self.judge(&table, &mut tally);
        Ok(tally)
    }

    /// MESSAGEs that are still to come, to members that are read.
    pub(super) fn expected(&self, table: &Timetable) -> u64 {
        self.members.iter().filter(|member| !member.stalled).map(|member| table.events_of(member.room)).sum()
    }

    /// What is missing or too much, and whether the probes of each room saw one order.
    pub(super) fn judge(&self, table: &Timetable, tally: &mut Tally) {
        for member in self.members.iter().filter(|member| !member.stalled) {
            let wanted = table.events_of(member.room);
            tally.lost += wanted.saturating_sub(member.got);
            // A probe has noticed what came to it too often.
            if !member.probe {
                tally.repeated += member.got.saturating_sub(wanted);
            }
        }
        let mut orders: HashMap<u32, u64> = HashMap::new();
        for probe in &self.probes {
            let member = &self.members[probe.member];
            // One that lacks a message is counted as lost already.
            if member.got == table.events_of(member.room) {
                let first = *orders.entry(member.room).or_insert(probe.order);
                tally.orders += u64::from(first != probe.order);
            }
        }
    }
}
