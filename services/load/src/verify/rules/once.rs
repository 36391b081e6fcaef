//! Promise 4: no duplicate inside a session, and a SEND repeated with the same key within two minutes of log time is shown
//! once, on every edge alike.
//!
//! No message-id comes twice inside a session. Which copy of a repeated SEND is shown is a function of the log alone
//! (`log/repeats.rs`): a record that it hides must come to nobody, so every session makes the same choice.

use super::super::{
    Judge,
    findings::{Rule, Scene},
    log::At,
};

impl Judge {
    /// A record came that had come before.
    pub(in super::super) fn came_again(&mut self, scene: Scene, at: At) {
        let id = self.log.id(at);
        self.findings.broken(Rule::P4, 1, scene, Some(at), || format!("{id} came again"));
    }

    /// A record came that repeats an earlier one.
    pub(in super::super) fn shown_repeat(&mut self, scene: Scene, at: At) {
        let id = self.log.id(at);
        let what = || format!("{id} came, which repeats an earlier record: its key or its uuid is the same");
        self.findings.broken(Rule::P4, 1, scene, Some(at), what);
    }
}
