//! Promise 5: every SEND ends within the send time-out and two seconds: with RECEIPT, or with ERROR and close. ERROR says
//! whether the outcome is refused or unknown; what was refused is not in the log.
//!
//! The end of the session counts as an answer. A SEND that is still waiting where the history stops breaks the promise only if
//! its time was over by then.

use super::super::{
    Judge,
    client::{Sent, Session},
    findings::{Rule, Scene},
};
use crate::{dump::Load, history::Outcome};

/// Beside the send time-out, in microseconds.
const GRACE: u64 = 2_000_000;

impl Judge {
    /// RECEIPT or ERROR of a SEND. Returns when it was written.
    pub(in super::super) fn answered(
        &mut self,
        session: &mut Session,
        scene: Scene,
        (n, attempt): (u64, u32),
    ) -> Option<Sent> {
        let sent = session.unanswered.remove(&(n, attempt))?;
        self.in_time(sent.scene, scene.t, n, "was answered");
        Some(sent)
    }

    /// ERROR, or a soft one.
    pub(in super::super) fn failed(&mut self, scene: Scene, send: Load, outcome: Outcome) {
        if outcome == Outcome::Unknown {
            return;
        }
        if let Some((_, at)) = self.log.of_send(send).first().copied() {
            let (id, Load { n, attempt, .. }) = (self.log.id(at), send);
            let what = || format!("SEND {n} (try {attempt}) was refused, but it lies in the log as {id}");
            self.findings.broken(Rule::P5, 1, scene, Some(at), what);
        }
    }

    /// The session is over, or the history is, at time `t`: what waits is unknown, and was it in time?
    pub(in super::super) fn judge_unanswered(&mut self, session: &mut Session, t: u64, how: &'static str) {
        let mut left: Vec<_> = session.unanswered.drain().collect();
        left.sort_unstable_by_key(|(send, _)| *send);
        for ((n, _), sent) in left {
            self.in_time(sent.scene, t, n, how);
        }
    }

    fn in_time(&mut self, sent: Scene, t: u64, n: u64, how: &'static str) {
        self.findings.checked(Rule::P5);
        let took = t.saturating_sub(sent.t);
        if !self.options.late_answers && took > self.send_timeout(sent.file) + GRACE {
            let seconds = took as f64 / 1e6;
            let what = || format!("SEND {n} {how} {seconds:.1} s after it was written, with nothing before");
            self.findings.broken(Rule::P5, 1, sent, None, what);
        }
    }
}
