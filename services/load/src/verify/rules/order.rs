//! Promise 2: a room has one order, and every session sees it; a session's own SENDs keep theirs.
//!
//! Every MESSAGE must be a record of the log, at its place, with its check, as it was sent: so all sessions agree. Inside a
//! session places rise. The first copies of a session's receipted SENDs lie in the log in the order in which they were
//! written; those whose outcome was unknown, and those sent again, may appear late, once.

use super::super::{
    Judge,
    client::Session,
    findings::{Rule, Scene},
    log::At,
};
use crate::dump::Load;

/// What a MESSAGE says of itself beside its message-id.
#[derive(Clone, Copy)]
pub(in super::super) struct Told<'a> {
    pub(in super::super) load: Load,
    pub(in super::super) ts: Option<i64>,
    pub(in super::super) sender: Option<&'a str>,
    pub(in super::super) damaged: bool,
    pub(in super::super) leaked: Option<&'a str>,
}

impl Judge {
    /// A RECEIPT's record, against those of the session's other SENDs.
    pub(in super::super) fn sent_order(&mut self, session: &mut Session, scene: Scene, n: u64, at: At) {
        // A topic that was made anew begins at 0.
        let offset = (at.generation, self.log.record(at).offset);
        if let Some((before, place)) = session.furthest {
            let known = (place.generation, self.log.record(place).offset);
            if place.partition == at.partition && (n > before) != (offset > known) {
                let (one, other) = (self.log.id(place), self.log.id(at));
                let what = || format!("SEND {before} of this session is {one}, its SEND {n} is {other}");
                return self.findings.broken(Rule::P2, 1, scene, Some(at), what);
            }
            if n < before {
                return;
            }
        }
        session.furthest = Some((n, at));
    }

    /// A MESSAGE that names no record of the log.
    pub(in super::super) fn no_record(&mut self, scene: Scene, id: &str) {
        self.findings.broken(Rule::P2, 1, scene, None, || format!("MESSAGE {id} came, which the log does not hold"));
    }

    /// A MESSAGE came behind one that lies behind it.
    pub(in super::super) fn came_late(&mut self, scene: Scene, at: At) {
        let id = self.log.id(at);
        let what = || format!("{id} came after messages that lie behind it in the log");
        self.findings.broken(Rule::P2, 1, scene, Some(at), what);
    }

    /// Is the MESSAGE what the log holds?
    pub(in super::super) fn agrees(&mut self, scene: Scene, at: At, told: Option<Told<'_>>) {
        let record = self.log.record(at);
        let differs = match told {
            Some(Told { load, ts, damaged, .. }) => {
                record.load != Some(load) || ts.is_some_and(|ts| ts != record.ts) || damaged
            }
            None => record.load.is_some(),
        };
        if differs {
            let said = told.map_or_else(
                || "a message of nobody's".to_owned(),
                |Told { load, ts, damaged, .. }| {
                    let body = if damaged { ", damaged" } else { "" };
                    format!("SEND {} try {} of client {}, {ts:?}{body}", load.n, load.attempt, load.client)
                },
            );
            let (here, ts) = (self.log.tell(at), record.ts);
            let what = || format!("MESSAGE says {said}; the log says {here}, {ts}");
            self.findings.broken(Rule::P2, 1, scene, Some(at), what);
        }
    }
}
