//! Promise 1: a RECEIPT for a SEND means that the record is in Kafka, and says where. Promise 8: so it is when the edge died
//! afterwards.
//!
//! The message-id of every RECEIPT must be in the dump: that partition, that offset, that check. What lies there must be that
//! very SEND; or, where it was sent again with a key, another copy of it. Its append time must be the RECEIPT's. The uuid of
//! a copy that was receipted itself lies at one offset only.

use chat_proto::MessageId;

use super::super::{
    Judge,
    client::{Sent, Session},
    findings::{Rule, Scene},
    log::{At, Found},
};
use crate::{dump::Load, history::Why};

impl Judge {
    /// RECEIPT of a SEND. Returns the record.
    pub(in super::super) fn receipt(
        &mut self,
        session: &mut Session,
        scene: Scene,
        send: Load,
        sent: Option<Sent>,
        (id, ts): (Option<&str>, Option<i64>),
    ) -> Option<At> {
        self.findings.checked(Rule::P1);
        session.receipts += 1;
        let Load { n, attempt, .. } = send;
        let Some(place) = id.and_then(|id| id.parse::<MessageId>().ok()) else {
            let what = || format!("the RECEIPT of SEND {n} names no place in the log: {id:?}");
            self.findings.broken(Rule::P1, 1, scene, None, what);
            return None;
        };
        let at = match self.log.find(place) {
            Found::Here(at) => at,
            Found::Trimmed(_) => {
                self.statistics.trimmed += 1;
                return None;
            }
            Found::Missing => {
                // Whether that is promise 1 or 8 is known when the session ends.
                let what = format!("SEND {n} (try {attempt}) was receipted as {place}, which the log does not hold");
                session.lost.push((scene, what));
                return None;
            }
        };
        let record = self.log.record(at);
        let same = |load: Load| {
            let keyed = sent.is_some_and(|sent| sent.keyed);
            (load.run, load.client, load.n) == (send.run, send.client, n) && (keyed || load.attempt == attempt)
        };
        let wrong = if !record.load.is_some_and(same) {
            Some(format!("SEND {n} (try {attempt}) was receipted as {place}, but there lies {}", self.log.tell(at)))
        } else if ts.is_some_and(|ts| ts != record.ts) {
            Some(format!("the RECEIPT of SEND {n} says that {place} is of {ts:?}, the log says {}", record.ts))
        } else if record.twin && record.load == Some(send) {
            Some(format!("{place}, receipted for SEND {n}, lies in the log twice, with the same uuid"))
        } else {
            None
        };
        if let Some(what) = wrong {
            self.findings.broken(Rule::P1, 1, scene, Some(at), || what);
        }
        self.log.heard_of(at, scene.t);
        Some(at)
    }

    /// The session is over: what was receipted and is not there was lost, by whom?
    pub(in super::super) fn judge_lost(&mut self, session: &mut Session, why: Option<Why>) {
        let killed = why == Some(Why::Cut);
        if killed {
            (0..session.receipts).for_each(|_| self.findings.checked(Rule::P8));
        }
        let rule = if killed { Rule::P8 } else { Rule::P1 };
        for (scene, what) in session.lost.drain(..) {
            self.findings.broken(rule, 1, scene, None, || what);
        }
    }
}
