//! SENDs: which is due when, by whom, into which room. All of it is known before the first one.

use std::io::{self, Read as _, Write as _};

use mio::net::TcpStream;
use stomp_proto::{Command, Version, frame::client::encode};

use super::{
    Plan,
    drive::Load,
    join::{Joined, error_text},
    tally::Tally,
    wire::{self, Inbox, Item},
};
use crate::payload::Payload;

/// The order of a load's SENDs: `burst` of them at a time into one room, the rooms in turn, by the publishers in turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timetable {
    start: u64,
    interval_ns: f64,
    burst: u64,
    bursts: u64,
    rooms: u64,
    publishers: u64,
}

impl Timetable {
    pub(super) fn new(load: &Load, plan: &Plan, start: u64) -> Timetable {
        let burst = u64::from(load.burst.max(1));
        let per_second = load.rate / burst as f64;
        let bursts = if per_second > 0.0 { (per_second * load.time.as_secs_f64()).round() as u64 } else { 0 };
        let interval_ns = if bursts == 0 { 0.0 } else { 1e9 / per_second };
        let (rooms, publishers) = (plan.rooms.into(), plan.publishers.max(1).into());
        Timetable { start, interval_ns, burst, bursts, rooms, publishers }
    }

    /// Bursts in all.
    pub(super) fn bursts(&self) -> u64 {
        self.bursts
    }

    /// SENDs in all.
    pub(super) fn events(&self) -> u64 {
        self.bursts * self.burst
    }

    /// SENDs into this room.
    pub(super) fn events_of(&self, room: u32) -> u64 {
        let (room, rest) = (u64::from(room), self.bursts % self.rooms);
        (self.bursts / self.rooms + u64::from(room < rest)) * self.burst
    }

    /// When a burst is due.
    pub(super) fn due(&self, burst: u64) -> u64 {
        self.start + (burst as f64 * self.interval_ns) as u64
    }

    fn room(&self, burst: u64) -> u64 {
        burst % self.rooms
    }

    fn publisher(&self, burst: u64) -> u64 {
        (self.room(burst) + burst / self.rooms) % self.publishers
    }

    /// The first turn in this room that is this publisher's.
    pub(super) fn first_turn(&self, room: u32, publisher: u32) -> u64 {
        let ahead = u64::from(publisher) + self.publishers - u64::from(room) % self.publishers;
        ahead % self.publishers * self.burst
    }

    /// The publisher's next turn in the same room.
    pub(super) fn next_turn(&self, turn: u64) -> u64 {
        if (turn + 1).is_multiple_of(self.burst) { turn + 1 + (self.publishers - 1) * self.burst } else { turn + 1 }
    }

    /// How many turns of one publisher lie from the first of these to before the second.
    pub(super) fn turns_between(&self, from: u64, to: u64) -> u64 {
        let place = |turn: u64| turn / (self.burst * self.publishers) * self.burst + turn % self.burst;
        place(to).saturating_sub(place(from))
    }

    /// Who sends a burst, and its SENDs.
    pub(super) fn sends(&self, burst: u64, run: u32) -> (usize, impl Iterator<Item = Payload> + use<>) {
        let (room, publisher, due) = (self.room(burst), self.publisher(burst), self.due(burst));
        let (size, first_turn) = (self.burst, burst / self.rooms * self.burst);
        let sends = (0..size).map(move |step| Payload {
            run,
            room: room as u32,
            turn: first_turn + step,
            sender: publisher as u32,
            number: burst * size + step,
            due,
            attempt: 1,
        });
        (publisher as usize, sends)
    }
}

/// A connection that only sends.
pub(super) struct Publisher {
    socket: TcpStream,
    inbox: Inbox,
    /// What the kernel has not taken.
    waiting: Vec<u8>,
    receipts: u64,
    open: bool,
}

impl Publisher {
    pub(super) fn new(joined: Joined) -> Publisher {
        let mut inbox = Inbox::default();
        inbox.push(&joined.rest);
        Publisher { socket: joined.socket, inbox, waiting: Vec::new(), receipts: 0, open: true }
    }

    pub(super) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// RECEIPTs since the last call.
    pub(super) fn take_receipts(&mut self) -> u64 {
        std::mem::take(&mut self.receipts)
    }

    /// Sends in one write; what the server does not take waits.
    pub(super) fn send(&mut self, plan: &Plan, sends: impl Iterator<Item = Payload>) {
        for payload in sends {
            wire::text(&mut self.waiting, &frame(plan, &payload));
        }
        self.flush();
    }

    /// A heart-beat.
    pub(super) fn beat(&mut self) {
        wire::text(&mut self.waiting, b"\n");
        self.flush();
    }

    pub(super) fn flush(&mut self) {
        while !self.waiting.is_empty() && self.open {
            match self.socket.write(&self.waiting) {
                Ok(written) => {
                    self.waiting.drain(..written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Reading says why.
                Err(_) => return,
            }
        }
    }

    /// Reads RECEIPTs and ERRORs.
    pub(super) fn read(&mut self, buffer: &mut [u8], tally: &mut Tally) {
        while self.open {
            match self.socket.read(buffer) {
                Ok(0) => self.end(tally),
                Ok(read) => {
                    self.inbox.push(&buffer[..read]);
                    self.take(tally);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.end(tally),
            }
        }
    }

    fn take(&mut self, tally: &mut Tally) {
        loop {
            match self.inbox.next() {
                Ok(Some(Item::Frame(frame))) if frame.command == Command::Receipt => self.receipts += 1,
                Ok(Some(Item::Frame(frame))) if frame.command == Command::Error => {
                    tally.error.get_or_insert_with(|| error_text(&frame));
                }
                Ok(Some(Item::Ping(payload))) => {
                    wire::pong(&mut self.waiting, &payload);
                    self.flush();
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(why) => {
                    tally.error.get_or_insert(why);
                    return self.end(tally);
                }
            }
        }
    }

    fn end(&mut self, tally: &mut Tally) {
        self.open = false;
        tally.closed += 1;
    }
}

fn frame(plan: &Plan, payload: &Payload) -> Vec<u8> {
    let dialect = &plan.dialect;
    let prefix = dialect.send_prefix.as_ref().unwrap_or(&dialect.destination_prefix);
    let destination = format!("{prefix}{}{}", dialect.room_prefix, payload.room);
    let receipt = (!dialect.no_receipts).then(|| payload.number.to_string());
    let headers = [("destination", destination.as_str()), ("content-type", "text/plain")];
    let headers = headers.into_iter().chain(receipt.as_deref().map(|receipt| ("receipt", receipt)));
    encode(Command::Send, headers, &payload.write(plan.body), Version::V1_2)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::{collections::HashMap, time::Duration};

    use super::*;

    #[test]
    fn every_turn_of_a_publisher_can_be_foretold() {
        let target = "ws://127.0.0.1:1".parse().unwrap();
        for (rooms, publishers, burst) in [(1, 8, 1), (1, 3, 16), (5, 8, 1), (100, 8, 4), (7, 1, 2)] {
            let plan = Plan { rooms, publishers, ..Plan::new(&target, 10, rooms) };
            let load = Load { rate: 1000.0 * f64::from(burst), burst, time: Duration::from_secs(1) };
            let table = Timetable::new(&load, &plan, 5);
            assert_eq!((table.bursts(), table.events()), (1000, 1000 * u64::from(burst)));
            let (mut next, mut counted) = (HashMap::new(), HashMap::new());
            for index in 0..table.bursts() {
                for send in table.sends(index, 1).1 {
                    let expected =
                        next.entry((send.room, send.sender)).or_insert(table.first_turn(send.room, send.sender));
                    assert_eq!(send.turn, *expected, "{rooms} {publishers} {burst}");
                    *expected = table.next_turn(send.turn);
                    assert_eq!(table.turns_between(send.turn, *expected), 1);
                    assert_eq!(send.due, 5 + index * 1_000_000);
                    *counted.entry(send.room).or_insert(0) += 1;
                }
            }
            assert!(counted.iter().all(|(room, count)| table.events_of(*room) == *count), "{counted:?}");
        }
    }
}
