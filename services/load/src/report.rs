//! What a run of `chat` says at its end.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    checker::{Breach, Kind, Totals},
    client::Run,
    latency::{Figures, Latency},
};

/// The generator is trusted up to this lateness (p99).
const TRUSTED_MS: f64 = 1.0;

/// The result; as JSON its fields are what scripts read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Every promise held.
    pub held: bool,
    /// How long was sent.
    pub seconds: f64,
    /// Clients.
    pub connections: u32,
    /// Rooms.
    pub rooms: u32,
    /// SENDs written.
    pub sent: u64,
    /// SENDs that were due and not written: their client was not connected.
    pub not_sent: u64,
    /// SENDs written late because the server did not read, or left 1000 of a session unanswered.
    pub held_up: u64,
    /// SENDs written once more, because their outcome was unknown.
    pub again: u64,
    /// SENDs answered with RECEIPT.
    pub receipted: u64,
    /// SENDs refused: not stored.
    pub refused: u64,
    /// SENDs that asked for a RECEIPT and were neither receipted nor refused.
    pub unknown: u64,
    /// SENDs without receipt that nobody got.
    pub unseen: u64,
    /// MESSAGEs of this run.
    pub delivered: u64,
    /// Deliveries owed: each stored message, to each who was subscribed before the SEND and stayed.
    pub expected: u64,
    /// MESSAGEs that this run did not send.
    pub foreign: u64,
    /// Deliveries that were owed and never came.
    pub lost: u64,
    /// Second deliveries inside a session.
    pub duplicates: u64,
    /// Deliveries against the order of a room, or of a sender.
    pub out_of_order: u64,
    /// Message-ids that disagree.
    pub wrong_ids: u64,
    /// Messages of another room.
    pub wrong_room: u64,
    /// Bodies that were not sent like that.
    pub damaged: u64,
    /// Refused SENDs that were delivered.
    pub refused_yet_delivered: u64,
    /// SENDs with neither RECEIPT nor ERROR in time.
    pub unanswered: u64,
    /// MESSAGEs a second, while sending.
    pub deliveries_per_second: f64,
    /// From due to RECEIPT.
    pub receipt: Option<Figures>,
    /// From due to MESSAGE.
    pub delivery: Option<Figures>,
    /// How late the generator itself was.
    pub lateness: Option<Figures>,
    /// Sessions after a client's first.
    pub reconnects: u64,
    /// Of these, how many went on where the one before had ended.
    pub recovered: u64,
    /// And how many were told that they may have missed something.
    pub not_recovered: u64,
    /// Attempts to connect that failed.
    pub connect_failures: u64,
    /// Why they failed.
    pub failures: BTreeMap<String, u64>,
    /// How sessions ended before the run did: close codes, or what was seen instead.
    pub closes: BTreeMap<String, u64>,
    /// What ERROR frames said.
    pub errors: BTreeMap<String, u64>,
    /// The first counter-example of each kind.
    pub breaches: Vec<Breach>,
}

impl Report {
    /// Of a run that sent for `seconds` and was judged. `due`: SENDs of the timetable up to its end.
    pub fn new(run: &Run, totals: Totals, latency: &Latency, seconds: f64, due: u64) -> Report {
        let (counters, breaches) = (&run.counters, run.checker.breaches());
        let (sent, receipted, refused) = (counters.sent.get(), counters.receipted.get(), counters.refused.get());
        let delivered = counters.delivered.get();
        let asked = if run.settings.dialect.no_receipts { 0 } else { sent };
        Report {
            held: breaches.none(),
            seconds,
            connections: run.settings.connections,
            rooms: run.settings.rooms,
            sent,
            not_sent: due.saturating_sub(sent),
            held_up: counters.held_up.get(),
            again: counters.again.get(),
            receipted,
            refused,
            unknown: asked.saturating_sub(receipted + refused),
            unseen: totals.unseen,
            delivered,
            expected: totals.expected,
            foreign: counters.foreign.get(),
            lost: breaches.count(Kind::Lost),
            duplicates: breaches.count(Kind::Duplicate),
            out_of_order: breaches.count(Kind::OutOfOrder),
            wrong_ids: breaches.count(Kind::WrongId),
            wrong_room: breaches.count(Kind::Misdelivered),
            damaged: breaches.count(Kind::Damaged),
            refused_yet_delivered: breaches.count(Kind::RefusedYetDelivered),
            unanswered: breaches.count(Kind::Unanswered),
            deliveries_per_second: delivered as f64 / seconds.max(1e-3),
            receipt: Figures::of(&latency.receipt),
            delivery: Figures::of(&latency.delivery),
            lateness: Figures::of(&latency.lateness),
            reconnects: counters.reconnects.get(),
            recovered: counters.recovered.get(),
            not_recovered: counters.not_recovered.get(),
            connect_failures: counters.failures.get(),
            failures: counters.reasons.get(),
            closes: counters.closes.get(),
            errors: counters.errors.get(),
            breaches: breaches.first(),
        }
    }

    /// What makes the figures doubtful, though no promise broke.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(late) = self.lateness.filter(|late| late.p99_ms > TRUSTED_MS) {
            let p99 = late.p99_ms;
            warnings.push(format!(
                "the generator was late (p99 {p99:.1} ms): the machine is too busy for the latencies to be trusted"
            ));
        }
        if self.not_sent > 0 {
            warnings.push(format!("{} SENDs were due while their client was not connected", self.not_sent));
        }
        if self.sent > 0 && self.delivered == 0 {
            warnings.push("nothing was delivered: this run proves little".to_owned());
        }
        warnings
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} clients, {} rooms, {:.1} s", self.connections, self.rooms, self.seconds)?;
        let rows = [
            ("sent", self.sent, true),
            ("  receipted", self.receipted, true),
            ("  refused", self.refused, true),
            ("  unknown", self.unknown, true),
            ("  seen by nobody", self.unseen, false),
            ("  sent again", self.again, false),
            ("  held up", self.held_up, false),
            ("delivered", self.delivered, true),
            ("expected", self.expected, true),
            ("of others", self.foreign, false),
            (Kind::Lost.name(), self.lost, true),
            (Kind::Duplicate.name(), self.duplicates, true),
            (Kind::OutOfOrder.name(), self.out_of_order, true),
            (Kind::WrongId.name(), self.wrong_ids, true),
            (Kind::Misdelivered.name(), self.wrong_room, false),
            (Kind::Damaged.name(), self.damaged, false),
            (Kind::RefusedYetDelivered.name(), self.refused_yet_delivered, false),
            (Kind::Unanswered.name(), self.unanswered, false),
        ];
        for (name, number, always) in rows {
            if always || number > 0 {
                writeln!(f, "  {name:<24}{number:>12}")?;
            }
        }
        writeln!(f, "  {:<24}{:>12.0}", "deliveries/s", self.deliveries_per_second)?;
        writeln!(f, "{:<26}{:>12}{:>10}{:>10}{:>10}", "latency from due, ms", "p50", "p90", "p99", "max")?;
        let figures = [("receipt", self.receipt), ("delivery", self.delivery), ("generator's own", self.lateness)];
        for (name, figures) in figures {
            let Some(Figures { p50_ms, p90_ms, p99_ms, max_ms }) = figures else { continue };
            writeln!(f, "  {name:<24}{p50_ms:>12.2}{p90_ms:>10.2}{p99_ms:>10.2}{max_ms:>10.2}")?;
        }
        writeln!(f, "{:<26}{:>12}", "reconnects", self.reconnects)?;
        if self.recovered + self.not_recovered > 0 {
            writeln!(f, "  {:<24}{:>12}", "went on without a gap", self.recovered)?;
            writeln!(f, "  {:<24}{:>12}", "told of a gap", self.not_recovered)?;
        }
        for (title, names) in
            [("sessions ended by", &self.closes), ("ERROR frames", &self.errors), ("failed to connect", &self.failures)]
        {
            if !names.is_empty() {
                writeln!(f, "{title}")?;
            }
            names.iter().try_for_each(|(name, count)| writeln!(f, "  {count:>8} × {name}"))?;
        }
        self.breaches.iter().try_for_each(|breach| writeln!(f, "\n{breach}"))?;
        self.warnings().iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))?;
        let verdict = if self.held { "every promise held" } else { "A PROMISE BROKE" };
        write!(f, "{verdict}")
    }
}
