//! What goes wrong, and how all of it ends.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use chat_proto::{Outgoing, encode};
use klatsch_edge::log::NewRecord;

use crate::{
    rng::Rng,
    world::{Place, Stage, World},
};

/// A drain that takes longer is cut short.
const GRACE: Duration = Duration::from_secs(20);

type Fault = fn(&mut World);

impl World {
    /// The next fault; without faults, only what an edge's main thread does.
    pub fn disturb(&mut self) {
        self.see_to_edges();
        if self.stage != Stage::Chaos {
            self.next_fault = self.now + Duration::from_millis(500);
            return;
        }
        self.next_fault = self.now + self.rng.millis(1, self.plan.calm_ms);
        let faults = &self.plan.faults;
        let all: [(bool, &str, Fault); 13] = [
            (faults.kill, "kills an edge", Self::kill_edge),
            (faults.drain, "drains an edge", Self::drain_edge),
            (faults.stall, "stalls a follower", Self::stall_follower),
            (faults.stall, "stalls a worker", Self::stall_worker),
            (faults.log_stall, "stalls Kafka", Self::stall_log),
            (faults.away, "lets an edge think that Kafka is away, or back", Self::toggle_away),
            (faults.network, "breaks a connection", Self::break_link),
            (faults.network, "stalls a connection", Self::stall_link),
            (faults.slow, "freezes a client", Self::freeze_client),
            (faults.trim, "trims the log", Self::trim),
            (faults.grow, "adds partitions", Self::grow),
            (faults.poison, "writes a record of its own", Self::poison),
            (faults.lull, "lets time pass", Self::lull),
        ];
        let enabled: Vec<_> = all.iter().filter(|(on, ..)| *on).collect();
        if enabled.is_empty() {
            return;
        }
        let (_, name, fault) = self.rng.pick(&enabled);
        self.tell(|| format!("chaos {name}"));
        fault(self);
    }

    /// Nothing goes wrong any more, and what has is repaired.
    pub fn calm(&mut self) {
        let now = self.now;
        (self.cluster.stalled_until, self.next_fault) = (now, now);
        (self.plan.faults.lies, self.plan.faults.doubles, self.plan.late) = (0, 0, 0);
        for place in &mut self.edges {
            match place {
                Place::Down(until) => *until = (*until).min(now),
                Place::Up(edge) => {
                    edge.follower_stalled_until = now;
                    edge.workers.iter_mut().for_each(|worker| worker.stalled_until = now);
                    edge.gate.away.store(false, Ordering::Relaxed);
                }
            }
        }
        for client in &mut self.clients {
            client.next_at = now;
            if let Some(session) = &mut client.session {
                session.frozen_until = now;
                session.disturbed_until = session.disturbed_until.min(now);
            }
        }
        self.links.iter().for_each(|link| link.borrow_mut().stalled_until = now);
    }

    fn see_to_edges(&mut self) {
        let now = self.now;
        for at in 0..self.edges.len() {
            let Place::Up(edge) = &mut self.edges[at] else { continue };
            edge.gate.probe.store(self.rng.one_in(3), Ordering::Relaxed);
            if edge.draining.is_some_and(|since| edge.connections() == 0 || now > since + GRACE) {
                self.end_edge(at);
            }
        }
    }

    fn end_edge(&mut self, at: usize) {
        let back = self.now + self.rng.millis(10, 5000);
        let Place::Up(edge) = std::mem::replace(&mut self.edges[at], Place::Down(back)) else { return };
        for link in &self.links {
            let mut link = link.borrow_mut();
            if link.edge == at && link.edge_open {
                link.broken_by_fault = true;
                link.break_off();
                // Also those that no worker has taken over yet.
                link.edge_open = false;
            }
        }
        let Self { cluster, plan, rng, now, .. } = self;
        edge.die(cluster, plan, rng, *now);
    }

    fn some_edge(&mut self) -> usize {
        self.rng.below(self.edges.len())
    }

    fn kill_edge(&mut self) {
        let at = self.some_edge();
        if matches!(self.edges[at], Place::Up(_)) {
            self.end_edge(at);
        }
    }

    fn drain_edge(&mut self) {
        let at = self.some_edge();
        let Self { edges, rng, now, .. } = self;
        if let Place::Up(edge) = &mut edges[at]
            && edge.is_open()
        {
            edge.draining = Some(*now);
            let (rate, seed) = (rng.between(1, 50) as f64, rng.next());
            for worker in &mut edge.workers {
                worker.core.drain(rate, GRACE, seed);
                worker.wake_at = *now;
            }
        }
    }

    fn stall_follower(&mut self) {
        let (at, until) = (self.some_edge(), self.now + self.rng.millis(50, 8000));
        if let Place::Up(edge) = &mut self.edges[at] {
            edge.follower_stalled_until = until;
            self.excuse(|session_edge| session_edge == at, until);
        }
    }

    fn stall_worker(&mut self) {
        let (at, until) = (self.some_edge(), self.now + self.rng.millis(10, 1500));
        let worker = self.rng.below(self.plan.workers);
        if let Place::Up(edge) = &mut self.edges[at] {
            edge.workers[worker].stalled_until = until;
            self.excuse(|session_edge| session_edge == at, until);
        }
    }

    /// Sessions of these edges are excused until then.
    fn excuse(&mut self, edge: impl Fn(usize) -> bool, until: Duration) {
        for session in self.clients.iter_mut().filter_map(|client| client.session.as_mut()) {
            if edge(session.link.borrow().edge) {
                session.disturbed_until = session.disturbed_until.max(until);
            }
        }
    }

    fn stall_log(&mut self) {
        self.cluster.stalled_until = self.now + self.rng.millis(50, 25_000);
    }

    fn toggle_away(&mut self) {
        let at = self.some_edge();
        if let Place::Up(edge) = &mut self.edges[at] {
            edge.gate.away.fetch_xor(true, Ordering::Relaxed);
        }
    }

    /// A client that has a session.
    fn some_session(&mut self) -> Option<usize> {
        let open: Vec<usize> = (0..self.clients.len()).filter(|at| self.clients[*at].session.is_some()).collect();
        (!open.is_empty()).then(|| *self.rng.pick(&open))
    }

    fn break_link(&mut self) {
        let Some(session) = self.some_session().and_then(|at| self.clients[at].session.as_ref()) else { return };
        let mut link = session.link.borrow_mut();
        link.broken_by_fault = true;
        link.break_off();
    }

    fn stall_link(&mut self) {
        let Some(at) = self.some_session() else { return };
        let until = self.now + self.rng.millis(10, 14_000);
        let Some(session) = &mut self.clients[at].session else { return };
        session.link.borrow_mut().stalled_until = until;
        session.disturbed_until = session.disturbed_until.max(until);
    }

    fn freeze_client(&mut self) {
        let Some(at) = self.some_session() else { return };
        let until = self.now + self.rng.millis(50, 25_000);
        let Some(session) = &mut self.clients[at].session else { return };
        session.frozen_until = until;
        session.disturbed_until = session.disturbed_until.max(until);
    }

    fn trim(&mut self) {
        let partition = self.rng.below(self.plan.partitions as usize) as i32;
        let kept = self.cluster.log.offsets(partition);
        let offset = kept.start + self.rng.between(0, (kept.end - kept.start) as u64) as i64;
        self.cluster.trim(partition, offset);
    }

    fn grow(&mut self) {
        let more = self.cluster.partitions() + self.rng.between(1, 3) as i32;
        self.cluster.grow(more);
    }

    /// What no edge writes: not readable, without a room, in another partition than its room's, or another producer's.
    fn poison(&mut self) {
        let Self { rng, cluster, plan, now, .. } = self;
        let room = rng.pick(&plan.rooms).clone();
        let home = cluster.truth.partition_of(&room);
        let foreign = |rng: &mut Rng| {
            let uuid = (u128::from(rng.next()) << 64 | u128::from(rng.next())).to_be_bytes();
            encode(&Outgoing {
                uuid,
                room: &room,
                sender: "somebody else",
                content_type: "",
                headers: &[],
                body: b"from elsewhere",
                idempotency_key: "",
                origin: "",
            })
        };
        let (partition, key, value) = match rng.below(4) {
            0 => (home, room.clone(), Bytes::from_static(b"\x0a\x10not a message")),
            1 => (home, String::new(), foreign(rng)),
            2 => (rng.below(cluster.partitions() as usize) as i32, room.clone(), foreign(rng)),
            _ => (home, room.clone(), foreign(rng)),
        };
        cluster.append_foreign(NewRecord { partition, room: key.into(), value, trace: None }, *now);
    }

    fn lull(&mut self) {
        if !self.rng.one_in(5) {
            return;
        }
        let until = self.now + self.rng.millis(100_000, 200_000);
        self.clients.iter_mut().for_each(|client| client.next_at = until);
        self.next_fault = until;
    }
}
