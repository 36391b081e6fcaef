//! How long a session may wait, and for which reasons it may end.

use std::time::Duration;

use super::{Eyes, Pending, Session};
use crate::plan::Plan;

/// A SEND ends by then (promise 5): the send time-out, and two seconds.
const SEND_ENDS: Duration = Duration::from_secs(17);
/// What the way there and back may take when nothing disturbs it.
const ON_THE_WAY: Duration = Duration::from_millis(1500);

/// A socket that takes less than this makes a message take many steps.
const SLOW: usize = 1000;

impl Session {
    /// Promise 5, and the edge's heart-beats: what takes too long although nothing is in the way.
    pub fn judge_delays(&mut self, plan: &Plan, now: Duration) -> Result<(), String> {
        // A socket that takes next to nothing is a slow client all the time.
        if plan.socket_bytes < SLOW && (self.link.borrow().is_moving() || !self.out.is_empty()) {
            self.disturbed_until = self.disturbed_until.max(now);
        }
        let undisturbed = |since: Duration| now.saturating_sub(since.max(self.disturbed_until));
        for pending in self.pending.values() {
            match pending {
                Pending::Send { since, .. } | Pending::Commit { since, .. }
                    if undisturbed(*since) > SEND_ENDS + ON_THE_WAY && !self.leaving =>
                {
                    return Err(format!("p5: {pending:?} has met no outcome at {now:?}"));
                }
                _ => {}
            }
        }
        if self.connected && self.close.is_none() && !self.leaving && self.error.is_none() && self.beats.1 > 0 {
            let interval = Duration::from_millis(self.beats.1);
            if undisturbed(self.heard_at) > interval + ON_THE_WAY {
                return Err(format!("B05: nothing heard since {:?}, agreed on every {interval:?}", self.heard_at));
            }
        }
        Ok(())
    }

    /// Whether the session may end as it does.
    pub(super) fn judge_end(&self, eyes: &Eyes<'_>) -> Result<(), String> {
        let link = self.link.borrow();
        let (plan, faults) = (eyes.plan, &eyes.plan.faults);
        // A bound in time may be met some time after what has slowed things down.
        let disturbed = |seconds: u64| eyes.now < self.disturbed_until + Duration::from_secs(seconds);
        let allowed = match self.close.flatten() {
            _ if link.broken_by_fault || self.leaving => true,
            // Linger zero, or octets that crossed the close.
            None => link.finished || (link.cut && disturbed(13)),
            Some(1012 | 1001) => faults.drain,
            Some(1013) => !self.connected || disturbed(16),
            Some(1002) => disturbed(90) && self.error.as_deref() == Some("heart_beat_lost"),
            Some(4002) => disturbed(13),
            Some(1008) => disturbed(12) && self.error.as_deref() == Some("connect_timeout"),
            Some(4003) => !plan.remembers_all() || self.error.as_deref() == Some("not_recovered"),
            Some(4004 | 1009) => self.has_sent,
            Some(_) => false,
        };
        if allowed {
            return Ok(());
        }
        let (close, error) = (self.close, &self.error);
        Err(format!(
            "p10: a session ended without reason: close {close:?}, error {error:?}, disturbed until {:?}",
            self.disturbed_until
        ))
    }
}
