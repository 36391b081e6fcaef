//! What is known of records before they are kept.

use std::hint;

use super::{Likely, NONE_KEPT, Tail};
use crate::log::{AHEAD, ReadRecord};

impl Tail {
    /// Fetches from memory what records will need that come soon: their rooms, and the entries before them; the rooms of
    /// those that they drive out. What it found out of each record's room.
    pub fn look_ahead(&self, records: &[ReadRecord<'_>]) -> [Likely; AHEAD] {
        let oldest = (self.entries.first()..).map_while(|seq| self.entry(seq)).take(records.len());
        let mut fetched = self.rooms.fetch(oldest.map(|entry| entry.room));
        let (mut likely, mut newest) = ([Likely::UNKNOWN; AHEAD], [NONE_KEPT; AHEAD]);
        self.rooms.look_ahead(records, &mut likely, &mut newest);
        fetched ^= newest.iter().filter_map(|seq| self.entry(*seq)).fold(0, |sum, entry| sum ^ entry.next);
        let octets = records.iter().map(|record| record.value.len()).sum();
        let places = (0..records.len()).filter_map(|later| self.entries.fetch(later));
        let places = places.fold(0, |sum, entry| sum ^ entry.offset);
        hint::black_box((fetched, self.values.fetch(octets), places));
        likely
    }

    /// What [`look_ahead`](Self::look_ahead) would have found out of one.
    pub fn likely(&self, name: &[u8]) -> Likely {
        self.rooms.likely(name)
    }
}
