//! Promise 10, as far as clients see it: when Kafka is away, sessions that do not send stay.
//!
//! No session that has sent nothing is closed with 4004 (log away). With `--expect-no-close` no session at all may end unless
//! its client asked for it: for faults that users must not notice.

use super::super::{
    Judge,
    client::Session,
    findings::{Rule, Scene},
};
use crate::history::Why;

const LOG_AWAY: u16 = 4004;

impl Judge {
    /// A session ended.
    pub(in super::super) fn closed(&mut self, session: &Session, scene: Scene, code: u16, why: Why) {
        self.findings.checked(Rule::P10);
        if why == Why::Asked {
            return;
        }
        if session.sends == 0 && code == LOG_AWAY {
            let what = || "a session that had sent nothing was closed because the log was away".to_owned();
            self.findings.broken(Rule::P10, 1, scene, None, what);
        } else if self.options.expect_no_close {
            let what = || format!("the session ended with {code}, though none was to end");
            self.findings.broken(Rule::P10, 1, scene, None, what);
        }
    }
}
