//! Promise 4: no duplicate inside a session, and a SEND repeated with the same key within two minutes of log time is shown
//! once, on every edge alike.
//!
//! No message-id comes twice inside a session. Which copy of a repeated SEND is shown is a function of the log alone
//! (`log/repeats.rs`): a record that it hides must come to nobody, so every session makes the same choice. For that, the log
//! keeps every record under the key that it was sent with, and no copy of a SEND is shown at two places.
//!
//! A client that moves while its edge drains has two sessions for a while, and may get a message in both. It shows the first
//! and discards the other: over all its sessions, too, nothing is shown twice.

use super::super::{
    Judge,
    client::{Others, Session},
    findings::{Rule, Scene},
    log::{At, HIDDEN},
};
use crate::dump::Load;

impl Judge {
    /// A record came that had come before.
    pub(in super::super) fn came_again(&mut self, scene: Scene, at: At) {
        let id = self.log.id(at);
        self.findings.broken(Rule::P4, 1, scene, Some(at), || format!("{id} came again"));
    }

    /// What the client made of a record: shown, or discarded as one that its other session has shown. Of two sessions at once,
    /// and of one that goes on where another one was, none shows anything again, and none discards what is new.
    pub(in super::super) fn shown(
        &mut self,
        session: &mut Session,
        others: Others,
        scene: Scene,
        at: Option<At>,
        discarded: bool,
    ) {
        let Some(at) = at.filter(|at| self.log.record(*at).rank != HIDDEN) else { return };
        let place = Some((at.generation, self.log.record(at).rank));
        let id = self.log.id(at);
        // One that begins anew says so, and its beginning is judged elsewhere.
        let known = others.beside.max(others.before.filter(|_| session.recovered));
        if discarded && place > others.beside.max(others.before) {
            let what = || format!("{id} was discarded as known, but no other session of the client has shown it");
            self.findings.broken(Rule::P3, 1, scene, Some(at), what);
        } else if !discarded && place <= known {
            let what = || format!("{id} was shown, which another session of the client has shown already");
            self.findings.broken(Rule::P4, 1, scene, Some(at), what);
        }
        if !discarded {
            session.shown = session.shown.max(place);
        }
    }

    /// A record came that repeats an earlier one.
    pub(in super::super) fn shown_repeat(&mut self, scene: Scene, at: At) {
        let id = self.log.id(at);
        let what = || format!("{id} came, which repeats an earlier record: its key or its uuid is the same");
        self.findings.broken(Rule::P4, 1, scene, Some(at), what);
    }

    /// Every record, once all histories are read.
    pub(in super::super) fn judge_copies(&mut self, scene: Scene) {
        let sends: Vec<_> = self.log.sends().collect();
        let mut before = None;
        for (load, at) in sends {
            let (record, id) = (self.log.record(at), self.log.id(at));
            let shown = record.rank != HIDDEN;
            let Load { run, client, n, attempt } = load;
            let scene = Scene { run, client, session: 0, t: record.ts.unsigned_abs() * 1_000, ..scene };
            if record.other_key {
                let what = || format!("{id} does not carry the key that SEND {n} (try {attempt}) was sent with");
                self.findings.broken(Rule::P4, 1, scene, Some(at), what);
            }
            if !shown {
                continue;
            }
            if let Some((_, first)) = before.replace((load, id)).filter(|(known, _)| *known == load) {
                let what = || format!("SEND {n} (try {attempt}) is shown as {first} and as {id}");
                self.findings.broken(Rule::P4, 1, scene, Some(at), what);
            }
        }
    }
}
