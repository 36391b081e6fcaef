//! How a run was for its users: what failed, how long they were away, how long nothing was confirmed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    client::Closed,
    faults::{Fault, Faults},
};
use crate::history::{Outcome, Why};

/// The figures of a distribution, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// Half of them were shorter.
    pub p50_ms: f64,
    /// One in ten was longer.
    pub p90_ms: f64,
    /// One in a hundred was longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Spread {
    /// Of microseconds.
    pub(super) fn of(mut samples: Vec<u64>) -> Spread {
        samples.sort_unstable();
        let Some(last) = samples.len().checked_sub(1) else { return Spread::default() };
        let ms = |part: f64| samples[((last as f64 * part).ceil() as usize).min(last)] as f64 / 1e3;
        Spread { count: samples.len(), p50_ms: ms(0.5), p90_ms: ms(0.9), p99_ms: ms(0.99), max_ms: ms(1.0) }
    }
}

/// The counts and times of all histories together.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Statistics {
    /// Lines read.
    pub lines: u64,
    /// SENDs, each counted once.
    pub sends: u64,
    /// SENDs written once more.
    pub again: u64,
    /// Receipts.
    pub receipted: u64,
    /// ERRORs that said refused.
    pub refused: u64,
    /// ERRORs that said unknown.
    pub unknown: u64,
    /// SENDs that the end of their session left without answer: unknown, too.
    pub unanswered: u64,
    /// MESSAGEs.
    pub messages: u64,
    /// Receipts and MESSAGEs of records that lie before the first one of the dump: nothing was said about them.
    pub trimmed: u64,
    /// Sessions.
    pub sessions: u64,
    /// Of these, those that were not their client's first.
    pub reconnects: u64,
    /// Attempts to connect that failed.
    pub connect_failures: u64,
    /// Subscriptions that went on without a gap.
    pub recovered: u64,
    /// Subscriptions that were told that they may have missed something.
    pub not_recovered: u64,
    /// ERRORs 410.
    pub gaps: u64,
    /// How sessions ended before their client said goodbye, by close code.
    pub closes: BTreeMap<u16, u64>,
    /// From SEND to RECEIPT.
    pub receipt: Spread,
    /// From the end of a session to the next one's subscription.
    pub session_gap: Spread,
    /// The longest time without any RECEIPT while SENDs waited for one.
    pub longest_silence_ms: f64,
    /// What each fault was to those who sent.
    pub faults: Vec<Fault>,
    #[serde(skip)]
    latencies: Vec<u64>,
    #[serde(skip)]
    away: Vec<u64>,
    #[serde(skip)]
    waiting: u64,
    #[serde(skip)]
    waiting_since: u64,
    #[serde(skip)]
    silence: u64,
    #[serde(skip)]
    watched: Faults,
}

impl Statistics {
    pub(super) fn new(fault_at: &[u64]) -> Statistics {
        Statistics { watched: Faults::new(fault_at), ..Statistics::default() }
    }

    pub(super) fn connected(&mut self, session: u32) {
        self.sessions += 1;
        self.reconnects += u64::from(session > 1);
    }

    pub(super) fn refused_to_connect(&mut self, t: u64) {
        self.connect_failures += 1;
        self.watched.trouble(t);
    }

    pub(super) fn joined(&mut self, before: Option<Closed>, t: u64, recovered: Option<bool>) {
        self.recovered += u64::from(recovered == Some(true));
        self.not_recovered += u64::from(recovered == Some(false));
        if let Some(before) = before {
            self.away.push(t.saturating_sub(before.t));
            self.watched.back(t);
        }
    }

    pub(super) fn sent(&mut self, t: u64, attempt: u32) {
        self.sends += u64::from(attempt == 1);
        self.again += u64::from(attempt > 1);
        if self.waiting == 0 {
            self.waiting_since = t;
        }
        self.waiting += 1;
    }

    pub(super) fn receipted(&mut self, t: u64, sent: Option<u64>) {
        self.receipted += 1;
        let Some(sent) = sent else { return };
        self.latencies.push(t.saturating_sub(sent));
        self.watched.answered(sent, t, true);
        self.heard(t, 1);
        self.waiting_since = t;
    }

    pub(super) fn failed(&mut self, t: u64, sent: Option<u64>, outcome: Outcome) {
        match outcome {
            Outcome::Refused => self.refused += 1,
            Outcome::Unknown => self.unknown += 1,
        }
        self.watched.trouble(t);
        let Some(sent) = sent else { return };
        self.watched.answered(sent, t, false);
        self.heard(t, 1);
    }

    pub(super) fn closed(&mut self, t: u64, code: u16, why: Why, waiting: Vec<u64>) {
        if why != Why::Asked {
            *self.closes.entry(code).or_default() += 1;
            self.watched.trouble(t);
        }
        self.unanswered += waiting.len() as u64;
        self.heard(t, waiting.len() as u64);
        waiting.into_iter().for_each(|sent| self.watched.answered(sent, t, false));
    }

    fn heard(&mut self, t: u64, answered: u64) {
        if self.waiting > 0 {
            self.silence = self.silence.max(t.saturating_sub(self.waiting_since));
        }
        self.waiting = self.waiting.saturating_sub(answered);
    }

    pub(super) fn finish(&mut self) {
        self.receipt = Spread::of(std::mem::take(&mut self.latencies));
        self.session_gap = Spread::of(std::mem::take(&mut self.away));
        self.longest_silence_ms = self.silence as f64 / 1e3;
        self.faults = std::mem::take(&mut self.watched).finish();
    }
}
