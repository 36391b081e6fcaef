//! Who writes what readers read: STOMP, so that a message costs what it always does. Each says which of its room it is, and
//! when it was written.

use std::{io::Write as _, ops::Range};

use crate::{
    bench::sessions::{Sessions, put},
    clock,
    target::Target,
};

/// Octets of a body.
const BODY: usize = 200;

/// A session that sends into rooms in turn.
pub(crate) struct Writer {
    sessions: Sessions,
    own: Range<usize>,
    rooms: String,
    /// Messages by room.
    sent: Vec<u64>,
    next: usize,
    frame: Vec<u8>,
    out: Vec<u8>,
}

impl Writer {
    /// Into this many rooms, whose names begin like this.
    ///
    /// # Errors
    /// It is not let in.
    pub(crate) fn new(target: &Target, rooms: &str, count: usize) -> Result<Writer, String> {
        let mut sessions = Sessions::new(target)?;
        let own = sessions.open(1, 0, |_| format!("{rooms}writer"))?;
        let sent = vec![0; count.max(1)];
        Ok(Writer { sessions, own, rooms: rooms.to_owned(), sent, next: 0, frame: Vec::new(), out: Vec::new() })
    }

    /// How many rooms there are.
    pub(super) fn rooms(&self) -> usize {
        self.sent.len()
    }

    /// Messages that a room has got.
    pub(super) fn sent_to(&self, room: usize) -> u64 {
        self.sent.get(room).copied().unwrap_or_default()
    }

    /// The next message; its room's number.
    ///
    /// # Errors
    /// The session is over.
    pub(crate) fn send(&mut self) -> Result<usize, String> {
        let room = self.next;
        self.next = (room + 1) % self.sent.len();
        let (number, written, name) = (self.sent[room], clock::now(), &self.rooms);
        self.sent[room] += 1;
        self.frame.clear();
        let head = format!("{number} {written} ");
        // Writing into a Vec cannot fail.
        let _ = write!(self.frame, "SEND\ndestination:/topic/{name}{room}\n\n{head:.<BODY$}\0");
        self.out.clear();
        put(&mut self.out, &self.frame);
        self.sessions.tell(self.own.start, &self.out)?;
        Ok(room)
    }

    /// Waits until the edge has taken everything.
    ///
    /// # Errors
    /// It refused something.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        let name = &self.rooms;
        let last = format!("SEND\ndestination:/topic/{name}settled\nreceipt:r\n\n.\0");
        self.sessions.ask(self.own.clone(), |_, out| put(out, last.as_bytes()), |_, answer| Ok(answer.is("RECEIPT")))
    }
}
