//! What one run is like, drawn from its seed: how many of everything, which faults, which habits. Each run has only some
//! of the faults, so that none hides behind another.

use std::{sync::Arc, time::Duration};

use klatsch_edge::{
    context::Settings,
    destination::Destinations,
    log::{Budget, Rewind, Start},
    looker::{Allowance, Looking},
    metrics::Metrics,
    repeats,
    tail::Bounds,
};

use crate::rng::Rng;

/// What may go wrong in a run.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// An edge process dies and comes back.
    pub kill: bool,
    /// An edge drains and comes back.
    pub drain: bool,
    /// A follower or a worker gets no processor for a while.
    pub stall: bool,
    /// Kafka takes and gives nothing for a while.
    pub log_stall: bool,
    /// An edge believes that Kafka is away.
    pub away: bool,
    /// Connections break, or carry nothing for a while.
    pub network: bool,
    /// Clients stop reading.
    pub slow: bool,
    /// Retention takes records away from under everybody.
    pub trim: bool,
    /// New partitions.
    pub grow: bool,
    /// Records of others that no edge would write.
    pub poison: bool,
    /// The producer's answers lie: this many of a hundred are not a plain "stored".
    pub lies: u64,
    /// Of a hundred, stored twice.
    pub doubles: u64,
    /// Some minutes pass without anything.
    pub lull: bool,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub edges: usize,
    pub workers: usize,
    pub partitions: i32,
    pub rooms: Vec<String>,
    pub clients: usize,
    /// What clients do before the faults end.
    pub actions: usize,
    /// Between two actions of a client, at most, in milliseconds.
    pub think_ms: u64,
    /// What a step takes at most, in microseconds.
    pub step_us: u64,
    /// Between two faults, at most, in milliseconds.
    pub calm_ms: u64,
    pub tail: (usize, Duration),
    pub outbound_bytes: usize,
    /// What a look into the log may read: records, octets.
    pub scan: (usize, usize),
    /// What was read for one session may wait in memory; for all.
    pub replay_bytes: (usize, usize),
    /// Members of a room that are served at once.
    pub slice: usize,
    /// What fits into a socket, each way.
    pub socket_bytes: usize,
    pub follower_inbox: usize,
    pub producer_queue: usize,
    pub largest_body: usize,
    /// One delivery report in this many comes late, maybe too late; 0: none.
    pub late: u64,
    /// SENDs carry idempotency keys, and what is unknown is sent again.
    pub keys: bool,
    pub browser_floor: bool,
    pub faults: Faults,
}

impl Plan {
    pub fn draw(rng: &mut Rng) -> Self {
        let some = |rng: &mut Rng| rng.percent(45);
        let mut faults = Faults {
            kill: some(rng),
            drain: some(rng),
            stall: some(rng),
            log_stall: some(rng),
            away: rng.percent(25),
            network: some(rng),
            slow: some(rng),
            trim: rng.percent(25),
            grow: rng.percent(20),
            poison: some(rng),
            lies: if some(rng) { rng.between(1, 15) } else { 0 },
            doubles: if some(rng) { rng.between(1, 15) } else { 0 },
            lull: rng.percent(25),
        };
        // Whoever has not read a record cannot know its repeat: what is trimmed early is shown again (DESIGN §7).
        let keys = !faults.trim && rng.percent(70);
        if faults.trim {
            faults.doubles = 0;
        }
        let partitions = *rng.pick(&[1, 1, 2, 3, 12]);
        let small_tail = rng.percent(35);
        Self {
            edges: rng.between(1, 4) as usize,
            workers: rng.between(1, 2) as usize,
            partitions,
            rooms: (0..rng.between(1, 5)).map(|n| format!("room-{n}")).collect(),
            clients: rng.between(2, 9) as usize,
            actions: rng.between(40, 250) as usize,
            think_ms: *rng.pick(&[20, 100, 500, 3000]),
            step_us: *rng.pick(&[50, 500, 2000]),
            calm_ms: *rng.pick(&[300, 1500, 6000]),
            tail: if small_tail {
                (rng.between(1000, 20_000) as usize, Duration::from_secs(rng.between(2, 600)))
            } else {
                (8 << 20, Duration::from_secs(3600))
            },
            outbound_bytes: *rng.pick(&[500, 3000, 65_536]),
            scan: (*rng.pick(&[20, 100_000]), *rng.pick(&[5_000, 8 << 20])),
            replay_bytes: (*rng.pick(&[3_000, 1 << 20]), *rng.pick(&[10_000, 16 << 20])),
            slice: *rng.pick(&[1, 3, 128]),
            socket_bytes: *rng.pick(&[300, 2000, 16_384]),
            follower_inbox: *rng.pick(&[1, 4, 1000]),
            producer_queue: *rng.pick(&[3, 50, 1000]),
            largest_body: *rng.pick(&[10, 200, 3000]),
            late: *rng.pick(&[0, 30, 100]),
            keys,
            browser_floor: rng.percent(70),
            faults,
        }
    }

    /// Nothing that an edge has read is ever forgotten.
    pub fn remembers_all(&self) -> bool {
        self.tail.0 > 1 << 20 && !self.faults.trim
    }

    pub fn bounds(&self) -> Bounds {
        Bounds { bytes: self.tail.0, age: self.tail.1 }
    }

    /// What an edge reads before it is ready, as `edge/start.rs` has it.
    pub fn start(&self) -> Start {
        let (window, span) = (repeats::WINDOW, repeats::SPAN);
        Start::Recent(Rewind { records: (self.tail.0 / 256).max(1) as i64, age: self.tail.1, window, span })
    }

    /// How lookers look into the log. Time stands still for them: their answers are late instead.
    pub fn looking(&self, metrics: &Arc<Metrics>) -> Looking {
        let (records, bytes) = self.scan;
        Looking {
            budget: Budget { records, bytes, time: Duration::from_secs(3600) },
            partitions: self.partitions,
            allowance: Allowance::new(self.replay_bytes.1, self.replay_bytes.0, metrics.clone()),
            metrics: metrics.clone(),
        }
    }

    pub fn settings(&self, edge: usize) -> Settings {
        let mut heart_beat = stomp_proto::HeartBeatPolicy::default();
        if !self.browser_floor {
            heart_beat.browser_floor = None;
        }
        let stomp = stomp_proto::Config { heart_beat, ..stomp_proto::Config::default() };
        Settings {
            stomp: Arc::new(stomp),
            stomp_frame_bytes: 81 * 1024,
            credentials: Default::default(),
            destinations: Destinations::default(),
            partitions: self.partitions,
            instance: format!("edge-{edge}"),
            max_receipts: 1024,
            send_rate: None,
            outbound_bytes: self.outbound_bytes,
            replay_bytes: self.replay_bytes.0,
            send_timeout: Duration::from_secs(15),
            ping_every: Duration::from_secs(25),
            frame_timeout: Duration::from_secs(300),
            stuck_timeout: Duration::from_secs(10),
        }
    }
}
