//! Who is in the room, who is on its way back, and what both are owed.

use super::{Breaches, Room};

impl Room {
    pub(in crate::checker) fn join(&mut self, seat: u32, recovered: bool, breaches: &Breaches) {
        if recovered && std::mem::take(&mut self.seats[seat as usize].away) {
            return;
        }
        self.let_go(seat);
        self.shed(breaches);
        self.seats[seat as usize].joined = Some(self.base + self.ring.len() as u64);
        self.present += 1;
    }

    pub(in crate::checker) fn cut(&mut self, seat: u32) {
        let seat = &mut self.seats[seat as usize];
        seat.away = seat.joined.is_some();
    }

    pub(in crate::checker) fn leave(&mut self, seat: u32, breaches: &Breaches) {
        self.let_go(seat);
        self.shed(breaches);
    }

    /// Nothing is owed to this seat.
    fn let_go(&mut self, seat: u32) {
        let state = &mut self.seats[seat as usize];
        state.last = None;
        state.away = false;
        let joined = state.joined.take();
        self.present -= u32::from(joined.is_some());
        for (turn, send) in (self.base..).zip(&mut self.ring) {
            let held = send.holders.remove(seat);
            if !held && joined.is_some_and(|joined| joined <= turn) {
                send.owed -= 1;
            }
        }
    }

    /// Who is away is owed nothing any more.
    pub(super) fn let_go_of_all_away(&mut self) {
        for seat in 0..self.seats.len() {
            if self.seats[seat].away {
                self.let_go(seat as u32);
            }
        }
    }
}
