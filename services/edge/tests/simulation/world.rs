//! The scheduler: whoever has something to do gets its turn in an order that the seed decides, and every turn takes a
//! little time. When nobody has anything to do, time jumps to the next deadline.

use std::{collections::VecDeque, time::Duration};

use crate::{
    client::Client,
    edge::Edge,
    kafka::Cluster,
    link::{Link, Shared},
    plan::Plan,
    rng::Rng,
    session::Eyes,
};

/// More steps than any honest run needs: the simulation itself is stuck.
const MOST_STEPS: u64 = 3_000_000;

/// Who can take a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    Follower(usize),
    Worker(usize, usize),
    Looker(usize),
    Producer(usize),
    Start(usize),
    Link(usize),
    Client(usize),
    Chaos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Chaos,
    Settling,
    Quiet,
    Leaving,
    Over,
}

/// An edge, or when it starts again.
pub enum Place {
    Up(Box<Edge>),
    Down(Duration),
}

impl Place {
    pub fn connections(&self) -> usize {
        match self {
            Place::Up(edge) => edge.connections(),
            Place::Down(_) => 0,
        }
    }
}

pub struct World {
    pub plan: Plan,
    pub rng: Rng,
    pub now: Duration,
    pub cluster: Cluster,
    pub edges: Vec<Place>,
    pub clients: Vec<Client>,
    pub links: Vec<Shared>,
    pub next_fault: Duration,
    pub stage: Stage,
    pub stage_since: Duration,
    /// When something was still missing.
    pub unsettled_at: Duration,
    pub steps: u64,
    /// Depends on every step and on what it led to.
    pub trace: u64,
    /// What happened last, if somebody wants to read it.
    pub story: Option<VecDeque<String>>,
    /// How much of it is kept.
    shown: usize,
    due: Vec<Actor>,
}

impl World {
    pub fn new(seed: u64, shown: usize) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        let cluster = Cluster::new(plan.partitions);
        let edges = (0..plan.edges).map(|_| Place::Down(Duration::ZERO)).collect();
        let clients = (0..plan.clients).map(|number| Client::new(number, rng.fork())).collect();
        let mut world = Self {
            now: Duration::from_secs(1),
            next_fault: Duration::from_secs(1),
            cluster,
            edges,
            clients,
            links: Vec::new(),
            stage: Stage::Chaos,
            stage_since: Duration::ZERO,
            unsettled_at: Duration::ZERO,
            steps: 0,
            trace: seed,
            story: (shown > 0).then(VecDeque::new),
            shown,
            due: Vec::new(),
            plan,
            rng,
        };
        let plan = format!("{:?}", world.plan);
        world.tell(|| plan);
        world
    }

    /// Runs to the end, or to the first broken promise.
    pub fn run(&mut self) -> Result<(), String> {
        while self.stage != Stage::Over {
            self.step()?;
            if self.steps > MOST_STEPS {
                return Err("the simulation does not come to an end".to_owned());
            }
        }
        Ok(())
    }

    pub fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            if story.len() >= self.shown {
                story.remove(1);
            }
            story.push_back(format!("{:>12.6} {}", self.now.as_secs_f64(), what()));
        }
    }

    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        let mut due = std::mem::take(&mut self.due);
        due.clear();
        let mut earliest = Duration::MAX;
        self.for_each_due(|actor, at, now| {
            if at <= now {
                due.push(actor);
            }
            earliest = earliest.min(at);
        });
        if due.is_empty() {
            self.now = earliest;
            self.due = due;
            return self.change_stage();
        }
        let actor = *self.rng.pick(&due);
        self.due = due;
        self.trace =
            (self.trace ^ self.now.as_micros() as u64 ^ code(actor)).wrapping_mul(0x100_0000_01b3).rotate_left(17);
        self.act(actor)?;
        self.now += Duration::from_micros(self.rng.between(0, self.plan.step_us));
        if self.steps.is_multiple_of(16) {
            self.check()?;
        }
        self.change_stage()
    }

    fn for_each_due(&self, mut tell: impl FnMut(Actor, Duration, Duration)) {
        let now = self.now;
        for (at, place) in self.edges.iter().enumerate() {
            match place {
                Place::Down(until) => tell(Actor::Start(at), *until, now),
                Place::Up(edge) => {
                    tell(Actor::Follower(at), edge.follower_due(&self.cluster, now), now);
                    tell(Actor::Looker(at), edge.looker_due(&self.cluster, now), now);
                    tell(Actor::Producer(at), edge.producer_due(&self.cluster, now), now);
                    for worker in 0..edge.workers.len() {
                        tell(Actor::Worker(at, worker), edge.worker_due(worker, now), now);
                    }
                }
            }
        }
        for (at, link) in self.links.iter().enumerate() {
            let link = link.borrow();
            if link.is_moving() {
                tell(Actor::Link(at), link.stalled_until.max(now), now);
            }
        }
        for (at, client) in self.clients.iter().enumerate() {
            tell(Actor::Client(at), client.due(now), now);
        }
        tell(Actor::Chaos, self.next_fault, now);
    }

    fn act(&mut self, actor: Actor) -> Result<(), String> {
        if !matches!(actor, Actor::Client(_)) {
            self.tell(|| format!("{actor:?}"));
        }
        let Self { plan, rng, now, cluster, edges, .. } = self;
        match actor {
            Actor::Start(at) => edges[at] = Place::Up(Edge::start(at, plan, cluster, rng, *now).into()),
            Actor::Follower(at) => {
                if let Place::Up(edge) = &mut edges[at] {
                    edge.step_follower(cluster, rng, *now);
                }
            }
            Actor::Looker(at) => {
                if let Place::Up(edge) = &mut edges[at] {
                    edge.step_looker(*now);
                }
            }
            Actor::Producer(at) => {
                if let Place::Up(edge) = &mut edges[at] {
                    edge.step_producer(cluster, plan, rng, *now);
                }
            }
            Actor::Worker(at, worker) => {
                if let Place::Up(edge) = &mut edges[at] {
                    return edge.step_worker(worker, plan, rng, *now);
                }
            }
            Actor::Link(at) => {
                self.links[at].borrow_mut().carry(rng);
                self.links.retain(|link| !link.borrow().is_over());
            }
            Actor::Client(at) => return self.step_client(at),
            Actor::Chaos => self.disturb(),
        }
        Ok(())
    }

    fn step_client(&mut self, at: usize) -> Result<(), String> {
        if self.clients[at].session.is_none() {
            self.connect(at);
            return Ok(());
        }
        let Self { plan, now, cluster, clients, stage, trace, .. } = self;
        let calm = *stage != Stage::Chaos;
        let eyes = Eyes { now: *now, truth: &cluster.truth, log: &cluster.log, plan, calm };
        let client = &mut clients[at];
        let before = client.session.as_ref().map_or(0, |session| session.heard_hash);
        let tells = self.story.is_some();
        if let Some(session) = client.session.as_mut().filter(|_| tells) {
            session.notes.get_or_insert_default();
        }
        let result = client.step(&eyes);
        let mut notes = std::mem::take(&mut client.notes);
        notes.extend(client.session.as_mut().and_then(|session| session.notes.take()).unwrap_or_default());
        let heard = client.session.as_ref().map_or(0, |session| session.heard_hash);
        *trace = trace.wrapping_add(heard ^ before);
        if matches!(stage, Stage::Quiet | Stage::Leaving) {
            client.next_at = Duration::MAX;
        }
        let name = client.name.clone();
        notes.into_iter().for_each(|note| self.tell(|| format!("{name} {note}")));
        result
    }

    fn connect(&mut self, at: usize) {
        let open = |place: &Place| matches!(place, Place::Up(edge) if edge.is_open());
        let open: Vec<usize> = (0..self.edges.len()).filter(|edge| open(&self.edges[*edge])).collect();
        let Self { plan, rng, now, cluster, edges, clients, stage, links, .. } = self;
        let client = &mut clients[at];
        client.next_at = *now + rng.millis(1, 200);
        if *stage == Stage::Leaving {
            client.next_at = Duration::MAX;
            return;
        }
        if open.is_empty() {
            return;
        }
        let edge = *rng.pick(&open);
        let link = Link::new(edge, plan.socket_bytes);
        links.push(link.clone());
        if let Place::Up(it) = &mut edges[edge] {
            it.accept(link.clone(), rng);
        }
        let calm = *stage != Stage::Chaos;
        client.connect(link, &Eyes { now: *now, truth: &cluster.truth, log: &cluster.log, plan, calm });
        let name = client.name.clone();
        self.tell(|| format!("{name} connects to edge {edge}"));
    }
}

fn code(actor: Actor) -> u64 {
    match actor {
        Actor::Follower(at) => at as u64,
        Actor::Worker(at, worker) => 100 + 10 * at as u64 + worker as u64,
        Actor::Producer(at) => 200 + at as u64,
        Actor::Looker(at) => 600 + at as u64,
        Actor::Start(at) => 300 + at as u64,
        Actor::Link(at) => 1000 + at as u64,
        Actor::Client(at) => 400 + at as u64,
        Actor::Chaos => 500,
    }
}
