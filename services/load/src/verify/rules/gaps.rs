//! Promise 3: no silent gap. Promise 7: who was closed for being slow, for a gap, or because its edge drained, goes on without
//! missing anything.
//!
//! A subscription begins behind its RECEIPT's `x-position`, or, if that says `x-recovered:true`, behind the token that it gave.
//! From there to its last message it gets exactly the shown records of its room, none missing. If it ends because the client
//! said goodbye, then everything that somebody had heard of five seconds before has come. A new session that is recovered goes
//! on from the token, so nothing between is missing either, whether the one before has ended or is about to; one that is told `x-recovered:false`, or 410, begins anew.

use chat_proto::MessageId;

use super::super::{
    Judge,
    client::{Closed, Session, Step},
    findings::{Rule, Scene},
    log::{At, Found, HIDDEN},
};

/// What was known for this long, in microseconds, has come.
const QUIET: u64 = 5_000_000;
/// After these the client may come back and hope for better (DESIGN §8).
const RESUMABLE: [u16; 7] = [1001, 1012, 1013, 4001, 4002, 4003, 4004];

impl Judge {
    /// RECEIPT of SUBSCRIBE.
    pub(in super::super) fn joined(
        &mut self,
        session: &mut Session,
        scene: Scene,
        position: Option<&str>,
        recovered: Option<bool>,
        before: Option<Closed>,
    ) {
        session.joined = true;
        session.recovered = recovered == Some(true);
        let room = session.room;
        let position = position.and_then(|position| position.parse::<MessageId>().ok());
        session.view = Default::default();
        if recovered == Some(true) {
            session.resumed_after = before.map(|closed| closed.code).filter(|code| RESUMABLE.contains(code));
            if session.resumed_after.is_some() {
                self.findings.checked(Rule::P7);
            }
        }
        let begins = if recovered == Some(true) { session.from.filter(|_| !session.history) } else { position };
        let Some(begins) = begins else { return };
        let several = self.log.generations() > 1;
        let generation = match self.log.find(begins) {
            Found::Here(at) => at.generation,
            // Of which log the place is, nothing says; its first message will.
            Found::Trimmed(_) if several => return,
            Found::Missing if begins.check == 0 && several => return,
            Found::Trimmed(generation) => generation,
            // Before the first record there is nothing to verify.
            Found::Missing if begins.check == 0 => 0,
            Found::Missing => {
                let how = if recovered == Some(true) { "was recovered from" } else { "began behind" };
                let what = || format!("a subscription {how} {begins}, which the log does not hold");
                return self.findings.broken(Rule::P3, 1, scene, None, what);
            }
        };
        let begin = self.log.rank_behind(generation, room, begins.offset);
        session.view.begin = Some((generation, begin));
        session.view.next = begin;
        session.view.replayed = position.map_or(0, |position| self.log.rank_behind(generation, room, position.offset));
    }

    /// A record came to a subscription.
    pub(in super::super) fn came(&mut self, session: &mut Session, scene: Scene, at: At) {
        [Rule::P2, Rule::P3, Rule::P4].iter().for_each(|rule| self.findings.checked(*rule));
        let record = self.log.record(at);
        if record.room != session.room {
            let (what, room) = (self.log.tell(at), self.log.rooms.name(session.room).to_owned());
            let what = || format!("a subscription of room {room} got {what}");
            return self.findings.broken(Rule::P3, 1, scene, Some(at), what);
        }
        let rank = record.rank;
        if rank == HIDDEN {
            return self.shown_repeat(scene, at);
        }
        if session.view.begin.is_none() {
            // Nothing said where it begins.
            (session.view.begin, session.view.next) = (Some((at.generation, rank)), rank);
        }
        if session.view.begin.is_some_and(|(generation, _)| generation != at.generation) {
            let id = self.log.id(at);
            let what = || format!("{id} is of a new log; nothing announced that the old one is gone");
            return self.findings.broken(Rule::P3, 1, scene, Some(at), what);
        }
        match session.view.step(rank, scene) {
            Step::Onward => {}
            Step::Late => self.came_late(scene, at),
            Step::Again => self.came_again(scene, at),
            Step::Early => {
                let id = self.log.id(at);
                let what = || format!("{id} came, which lies before the place at which the subscription began");
                self.findings.broken(Rule::P3, 1, scene, Some(at), what);
            }
        }
        self.log.heard_of(at, scene.t);
    }

    /// The subscription is over. `goodbye`: the client ended it, and everything was to come before.
    pub(in super::super) fn judge_missed(&mut self, session: &mut Session, scene: Scene, goodbye: bool) {
        let Some((generation, _)) = session.view.begin else { return };
        for (ranks, seen) in std::mem::take(&mut session.view.missed) {
            let replayed = session.resumed_after.filter(|_| ranks.start < session.view.replayed);
            let at = self.log.shown(generation, session.room, ranks.clone()).next();
            let first = at.map_or_else(|| "a record".to_owned(), |at| self.log.id(at).to_string());
            let more = ranks.len() - 1;
            let (rule, after) = match replayed {
                Some(code) => (Rule::P7, format!(", though the session was recovered after its close {code}")),
                None => (Rule::P3, String::new()),
            };
            let what = || format!("{first} never came ({more} more behind it neither), what lies behind did{after}");
            self.findings.broken(rule, ranks.len() as u64, seen, at, what);
        }
        if goodbye {
            self.judge_end(session, scene, generation);
        }
    }

    fn judge_end(&mut self, session: &Session, scene: Scene, generation: usize) {
        let rest = self.log.shown(generation, session.room, session.view.next..u32::MAX);
        let known = |at: &At| {
            let known = self.log.record(*at).known;
            known != 0 && known + QUIET <= scene.t
        };
        let missing: Vec<At> = rest.filter(known).collect();
        let Some(first) = missing.first() else { return };
        let (id, more) = (self.log.id(*first), missing.len() - 1);
        let what = || format!("{id}, which others knew of long before, never came ({more} more neither) until goodbye");
        self.findings.broken(Rule::P3, missing.len() as u64, scene, Some(*first), what);
    }
}
