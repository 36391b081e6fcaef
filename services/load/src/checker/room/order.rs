//! Order: of a room, inside each session; of a sender, in its room.

use super::{Answer, Breaches, Kind, Room};

impl Room {
    /// Offsets, or ranks, rise inside a session.
    pub(super) fn room_order(&mut self, seat: u32, turn: u64, comparable: bool, breaches: &Breaches) {
        let Some((rank, id)) = self.find(turn).and_then(|send| Some((send.rank?, send.id.clone()?))) else { return };
        if !comparable {
            return;
        }
        match &self.seats[seat as usize].last {
            Some((_, last)) if last.place().map(|p| p.partition) != id.place().map(|p| p.partition) => {
                let what = format!("{id} lies in another partition than {last}, which came before it");
                self.breach(seat, Kind::OutOfOrder, what, breaches);
            }
            Some((last_rank, last)) if *last_rank >= rank => {
                let what = format!("{id} came after {last}, which is behind it in the room's order");
                return self.breach(seat, Kind::OutOfOrder, what, breaches);
            }
            _ => {}
        }
        self.seats[seat as usize].last = Some((rank, id));
    }

    /// The SENDs of one session lie in the order in which they were written.
    pub(super) fn sender_order(&mut self, turn: u64, breaches: &Breaches) {
        let Some(send) = self.find(turn) else { return };
        let (Some(rank), Some(id)) = (send.rank, send.id.clone()) else { return };
        let (seat, session, number) = (send.seat, send.session, send.number);
        // It may appear late, once.
        if send.repeated || matches!(send.answer, Answer::Unknown | Answer::ToRepeat) {
            return;
        }
        let sender = &mut self.seats[seat as usize];
        match &sender.furthest {
            Some((known, last, last_rank, last_id)) if *known == session && (number > *last) != (rank > *last_rank) => {
                let what = format!("SEND {number} of this connection is {id}, its SEND {last} is {last_id}");
                self.breach(seat, Kind::OutOfOrder, what, breaches);
            }
            Some((known, last, ..)) if (*known, *last) > (session, number) => {}
            _ => sender.furthest = Some((session, number, rank, id)),
        }
    }
}
