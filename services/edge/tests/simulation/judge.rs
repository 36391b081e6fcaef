//! What has to hold: always, once all is calm, and at the end.

use std::time::Duration;

use crate::{
    client::{Client, Message, State},
    world::{Place, Stage, World},
};

/// The chaos ends then at the latest, however little the clients have done.
const LONGEST_CHAOS: Duration = Duration::from_secs(900);
/// Everybody has everything by then, once nothing goes wrong any more.
const SETTLED: Duration = Duration::from_secs(90);
/// Nothing is on its way any more by then.
const CALM: Duration = Duration::from_secs(2);
/// How long nobody says anything after that.
const QUIET: Duration = Duration::from_secs(60);
/// Everybody is gone by then.
const GONE: Duration = Duration::from_secs(30);
/// What a cursor reads at a time.
const SLICE: usize = 32 * 1024;

impl World {
    /// What has to hold after every step.
    pub fn check(&mut self) -> Result<(), String> {
        for client in &mut self.clients {
            match &mut client.session {
                Some(session) => {
                    session.judge_delays(&self.plan, self.now).map_err(|why| format!("{}: {why}", client.name))?
                }
                None if self.stage == Stage::Quiet => {
                    return Err(format!("p10: {} was quiet and its session has ended", client.name));
                }
                None => {}
            }
        }
        // One turn's deliveries, judged only after a write came back with "would block".
        let frame = self.plan.largest_body + 512;
        let bound = self.plan.outbound_bytes.max(2 * frame) + SLICE + 128 * frame;
        for place in &self.edges {
            let Place::Up(edge) = place else { continue };
            let most = edge.workers.iter().flat_map(|worker| worker.core.queued()).max().unwrap_or(0);
            if most > bound {
                return Err(format!("p7: {most} octets wait for one client, the bound is {bound}"));
            }
        }
        Ok(())
    }

    /// Goes on to the next stage when its time has come.
    pub fn change_stage(&mut self) -> Result<(), String> {
        let since = self.now.saturating_sub(self.stage_since);
        match self.stage {
            Stage::Chaos => {
                let acted: usize = self.clients.iter().map(|client| client.acted).sum();
                if acted >= self.plan.actions || self.now > LONGEST_CHAOS {
                    self.enter(Stage::Settling);
                    self.calm();
                }
            }
            Stage::Settling if self.steps.is_multiple_of(8) || since > SETTLED => match self.unsettled() {
                // For a while, so that nothing is on its way any more.
                None if self.now > self.unsettled_at + CALM => self.enter(Stage::Quiet),
                None => {}
                Some(why) if since > SETTLED => {
                    return Err(format!("p3: nothing has gone wrong for a long time, and still {why}"));
                }
                Some(_) => self.unsettled_at = self.now,
            },
            Stage::Quiet if since > QUIET => {
                if let Some(why) = self.unsettled() {
                    return Err(format!("nobody has said anything, and now {why}"));
                }
                self.enter(Stage::Leaving);
                let now = self.now;
                self.clients.iter_mut().for_each(|client| client.leave(now));
            }
            Stage::Leaving => {
                let connections: usize = self.edges.iter().map(|place| place.connections()).sum();
                let sessions = self.clients.iter().filter(|client| client.session.is_some()).count();
                // The followers hear of it a little later.
                if connections + sessions == 0 && since > Duration::from_secs(3) {
                    self.judge_the_end()?;
                    self.enter(Stage::Over);
                } else if since > GONE {
                    return Err(format!("all have left, and still {connections} connections, {sessions} sessions"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn enter(&mut self, stage: Stage) {
        self.tell(|| format!("===== {stage:?}"));
        (self.stage, self.stage_since, self.unsettled_at) = (stage, self.now, self.now);
    }

    /// What is still to come.
    fn unsettled(&self) -> Option<String> {
        if let Some(at) = self.edges.iter().position(|place| !matches!(place, Place::Up(edge) if edge.is_open())) {
            return Some(format!("edge {at} is not ready"));
        }
        if self.edges.iter().any(|place| matches!(place, Place::Up(edge) if edge.is_looking())) {
            return Some("a place is looked for in the log".to_owned());
        }
        self.clients.iter().find_map(|client| Some(format!("{}: {}", client.name, self.lacks(client)?)))
    }

    fn lacks(&self, client: &Client) -> Option<String> {
        let Some(session) = client.session.as_ref().filter(|it| it.connected && !it.leaving && it.close.is_none())
        else {
            return Some("has no session".to_owned());
        };
        if let Some(open) = session.pending.values().next() {
            return Some(format!("waits for {open:?}"));
        }
        for (id, (room, _)) in &client.wishes {
            let Some(it) = session.subscriptions.iter().find(|it| it.id == *id && !it.leaving) else {
                return Some(format!("is not in {room}"));
            };
            if let Some(missing) = it.missing(&self.cluster.truth) {
                return Some(format!("lacks offset {missing} of {room}: {it:?}"));
            }
            if !it.unacked.is_empty() {
                return Some(format!("has not acknowledged {:?}", it.unacked));
            }
        }
        let is_open = |it: &&Message| it.state == State::UnderWay || (it.state == State::Unknown && it.has_key());
        let open = client.messages.iter().find(is_open)?;
        Some(format!("does not know what has become of {:?}", open.attempts))
    }

    /// What has to hold when everybody has left.
    fn judge_the_end(&self) -> Result<(), String> {
        let truth = &self.cluster.truth;
        for client in &self.clients {
            if let Some(attempt) = client.refused.iter().find(|it| truth.attempts.contains_key(*it)) {
                return Err(format!("p5: {attempt} was refused, and is in the log"));
            }
            for sent in &client.history {
                for room in &self.plan.rooms {
                    let receipted = sent.iter().filter(|(of, _, stored)| of == room && *stored);
                    let places: Vec<i64> =
                        receipted.filter_map(|(_, it, _)| Some(truth.attempts.get(it)?.first()?.1)).collect();
                    if !places.is_sorted() {
                        return Err(format!("p2: {}'s SENDs to {room} lie at {places:?}", client.name));
                    }
                }
            }
        }
        for (at, place) in self.edges.iter().enumerate() {
            let Place::Up(edge) = place else { continue };
            let metrics = &edge.metrics;
            let left = [
                ("sessions", metrics.connections.sessions.get()),
                ("subscriptions", metrics.stomp.subscriptions.get()),
                ("rooms", metrics.stomp.rooms.get()),
                ("cursors", metrics.delivery.cursors.get()),
                ("queued bytes", metrics.delivery.queued_bytes.get()),
            ];
            if left.iter().any(|(_, count)| *count != 0) {
                return Err(format!("everybody has left edge {at}, and it still has {left:?}"));
            }
        }
        Ok(())
    }
}
