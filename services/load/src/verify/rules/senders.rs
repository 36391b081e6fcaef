//! Promise 6: `sender` comes from the token only, and no credential that a client wrote reaches a room.
//!
//! The sender of every record, and of every MESSAGE of it, is the user as whom the client that sent it was connected. No
//! record and no MESSAGE carries a header that holds credentials.

use super::super::{
    Judge,
    findings::{Rule, Scene},
    log::{At, NOBODY},
    rules::Told,
};

impl Judge {
    /// A MESSAGE of this record.
    pub(in super::super) fn sender(&mut self, scene: Scene, at: At, told: Told<'_>) {
        self.findings.checked(Rule::P6);
        let (record, id) = (self.log.record(at), self.log.id(at));
        let sender = self.log.users.name(record.sender);
        if told.sender.unwrap_or_default() != sender {
            let what = format!("MESSAGE {id} says that its sender is {:?}, the log says {sender:?}", told.sender);
            self.findings.broken(Rule::P6, 1, scene, Some(at), || what);
        }
        if let Some(header) = told.leaked {
            let what = || format!("MESSAGE {id} carries the header {header}");
            self.findings.broken(Rule::P6, 1, scene, Some(at), what);
        }
    }

    /// Every record, once all histories are read.
    pub(in super::super) fn judge_senders(&mut self, scene: Scene) {
        let sends: Vec<_> = self.log.sends().collect();
        for (load, at) in sends {
            let (record, id) = (self.log.record(at), self.log.id(at));
            let scene =
                Scene { run: load.run, client: load.client, session: 0, t: record.ts.unsigned_abs() * 1_000, ..scene };
            if record.user != NOBODY && record.user != record.sender {
                let (sender, user) = (self.log.users.name(record.sender), self.log.users.name(record.user));
                let what = format!("{id} says that its sender is {sender}; client {} was {user}", load.client);
                self.findings.broken(Rule::P6, 1, scene, Some(at), || what);
            }
            if self.log.record(at).leaked {
                let what = || format!("{id} carries credentials that a client wrote");
                self.findings.broken(Rule::P6, 1, scene, Some(at), what);
            }
        }
    }
}
