//! What a fault was to those who sent: how soon they noticed it, and how long until SENDs were answered as before.
//!
//! A SEND is troubled if it failed, or if its RECEIPT took much longer than nine in ten of those before the first fault.

use serde::Serialize;

use super::statistics::Spread;

/// A fault as users saw it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Fault {
    /// When it began, in milliseconds since 1970.
    pub at_ms: u64,
    /// From then until the first SEND was late or failed, or a session ended or was refused; `None`: nobody noticed.
    pub noticed_ms: Option<f64>,
    /// From then until the last troubled SEND was answered and the last session was back; `None`: nobody noticed.
    pub recovered_ms: Option<f64>,
    /// Troubled SENDs.
    pub troubled: u64,
    /// Of these, those that got no RECEIPT.
    pub failed: u64,
    /// A RECEIPT that took longer than this was late.
    pub late_ms: f64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    /// In microseconds.
    at: Vec<u64>,
    /// SENDs: when, until when, with RECEIPT?
    sends: Vec<(u64, u64, bool)>,
    troubles: Vec<u64>,
    backs: Vec<u64>,
}

impl Faults {
    pub(super) fn new(at_ms: &[u64]) -> Faults {
        let mut at: Vec<_> = at_ms.iter().map(|ms| ms * 1_000).collect();
        at.sort_unstable();
        Faults { at, ..Faults::default() }
    }

    pub(super) fn trouble(&mut self, t: u64) {
        self.troubles.extend((!self.at.is_empty()).then_some(t));
    }

    pub(super) fn back(&mut self, t: u64) {
        self.backs.extend((!self.at.is_empty()).then_some(t));
    }

    pub(super) fn answered(&mut self, sent: u64, t: u64, receipted: bool) {
        self.sends.extend((!self.at.is_empty()).then_some((sent, t, receipted)));
    }

    pub(super) fn finish(self) -> Vec<Fault> {
        let Some(first) = self.at.first().copied() else { return Vec::new() };
        let before = self.sends.iter().filter(|(_, t, receipted)| *receipted && *t < first);
        let usual = Spread::of(before.map(|(sent, t, _)| t.saturating_sub(*sent)).collect()).p90_ms;
        let late = ((usual * 4.0).max(usual + 100.0) * 1e3) as u64;
        let ends = self.at.iter().copied().skip(1).chain([u64::MAX]);
        self.at.iter().zip(ends).map(|(at, end)| self.fault(*at, end, late)).collect()
    }

    fn fault(&self, at: u64, end: u64, late: u64) -> Fault {
        let window = at..end;
        let troubled = |(sent, t, receipted): &&(u64, u64, bool)| {
            window.contains(t) && (!*receipted || t.saturating_sub(*sent) > late)
        };
        let (mut noticed, mut recovered) = (None::<u64>, None::<u64>);
        let (mut count, mut failed) = (0, 0);
        for (sent, t, receipted) in self.sends.iter().filter(troubled) {
            count += 1;
            failed += u64::from(!receipted);
            let seen = if *receipted { sent + late } else { *t.min(&(sent + late)) }.max(at);
            noticed = Some(noticed.map_or(seen, |noticed| noticed.min(seen)));
            recovered = recovered.max(Some(*t));
        }
        let troubles = self.troubles.iter().copied().filter(|t| window.contains(t));
        noticed = noticed.into_iter().chain(troubles.min()).min();
        recovered = recovered.max(self.backs.iter().copied().filter(|t| window.contains(t)).max());
        let since = |t: u64| (t - at) as f64 / 1e3;
        Fault {
            at_ms: at / 1_000,
            noticed_ms: noticed.map(since),
            recovered_ms: recovered.map(since),
            troubled: count,
            failed,
            late_ms: late as f64 / 1e3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_noticed_and_over_with_its_last_late_receipt() {
        let mut faults = Faults::new(&[10_000]);
        // Every 10 ms a SEND, answered within 5 ms; from 10 s on all wait until 12 s.
        for sent in (0..20_000_000).step_by(10_000) {
            let t = if (10_000_000..12_000_000).contains(&sent) { 12_000_000 } else { sent + 5_000 };
            faults.answered(sent, t, true);
        }
        let [fault] = faults.finish().try_into().unwrap_or_else(|_| panic!("one fault"));
        assert_eq!((fault.noticed_ms, fault.recovered_ms), (Some(105.0), Some(2_000.0)));
        assert_eq!((fault.troubled, fault.failed, fault.late_ms), (190, 0, 105.0));
    }

    #[test]
    fn nobody_notices_nothing() {
        let mut faults = Faults::new(&[1]);
        faults.answered(0, 100, true);
        faults.answered(2_000, 2_100, true);
        let faults = faults.finish();
        assert_eq!((faults[0].noticed_ms, faults[0].recovered_ms), (None, None));
    }
}
