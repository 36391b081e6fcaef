//! The start: addresses first, so that probes are answered while Kafka is waited for; then the threads.

use mio::Waker;

use super::*;
use crate::{
    compare::{self, Compare},
    log::{Budget, Rewind, Start},
    looker::{self, Allowance, Desk, LOOKERS, Looking},
    repeats,
    rooms::RequestBounds,
    send_rate::SendRate,
    sockjs::XhrSettings,
    upgrade::{Socket, Sockets},
};

/// Octets of a short message in the tail, with what is kept beside it.
const SMALL_RECORD: usize = 256;
/// How often it is looked how late the runtime of HTTP is.
const TICK: Duration = Duration::from_millis(500);
/// Descriptors that are not connections: brokers, logs, polls, the listeners.
const OTHER_FILES: usize = 512;

/// Lifts the soft limit of open files to the hard one; the limit that holds then.
pub fn raise_open_files() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    now.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

/// Binds, announces, and makes everything that needs no log.
pub(super) fn prepare(mut config: Config, shutdown: Shutdown) -> io::Result<(Edge, Vec<Poll>)> {
    let room = raise_open_files().saturating_sub(OTHER_FILES).max(16);
    if config.limits.max_connections > room {
        let asked = config.limits.max_connections;
        tracing::info!(event = "few_open_files", asked, room, "fewer connections than asked: raise `ulimit -n`");
        config.limits.max_connections = room;
    }
    let metrics = Arc::new(Metrics::new());
    metrics.connections.limit.set(i64::try_from(config.limits.max_connections).unwrap_or(i64::MAX));
    metrics.state.drain_limit.set(config.times.grace.as_secs_f64());
    let readiness = Readiness::new(|| announce("ready"));
    let mut polls = Vec::new();
    let mut mail = Vec::new();
    for _ in 0..config.limits.workers {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), worker::BELL)?;
        // Fails only when the worker's poll is gone, and with it the worker.
        mail.push(Arc::new(Mailboxes::new(move || waker.wake().unwrap_or_default(), 2 * IN_FLIGHT)));
        polls.push(poll);
    }
    let reception = Reception::new(config.limits.max_connections, 2 * IN_FLIGHT);
    let parts = server_parts(&config, &metrics, &readiness, &shutdown, &mail, &reception);
    mail.push(Arc::clone(&reception.mail));
    let server = Server::bind(server_settings(&config), parts)?;
    let (listen, admin, stomp) = (server.local_addr()?, server.admin_addr()?, server.stomp_addr()?);
    let handle = server.handle();
    let (supervisor, ends) = Supervisor::new();
    supervisor.supervise("http", move || {
        if let Err(error) = server.run() {
            tracing::error!(event = "http_failed", %error, "the HTTP side cannot go on");
        }
    })?;
    announce(&format!("listening on http://{listen}"));
    announce(&format!("admin on http://{admin}"));
    if let Some(stomp) = stomp {
        announce(&format!("stomp on tcp://{stomp}"));
    }
    let (unready, shown) = (readiness.clone(), metrics.clone());
    shutdown.on_drain(move || {
        unready.set(Check::Drain, Err("draining".to_owned()));
        shown.state.draining.set(1);
    });
    Ok((Edge { config, metrics, readiness, shutdown, supervisor, ends, mail, reception, server: handle }, polls))
}

/// A line for whoever started us; a closed stdout is their affair.
fn announce(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).ok();
}

impl Edge {
    /// Whether waiting for Kafka has become pointless.
    pub(super) fn cancelled(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let (shutdown, some_ended) = (self.shutdown.clone(), self.supervisor.some_ended());
        move || shutdown.is_draining() || some_ended()
    }

    pub(super) fn start_follower<L: Log>(&self, log: &Arc<L>) -> io::Result<Arc<FollowerInbox>> {
        let desk = Arc::new(Desk::default());
        let inbox = Arc::new(FollowerInbox::new(FOLLOWER_INBOX));
        let limits = &self.config.limits;
        let bounds = Bounds { bytes: limits.tail_bytes, age: limits.tail_time };
        let follower = Follower::new(self.mail.len(), self.config.topic.partitions, bounds, Arc::clone(&self.metrics));
        let feed = self.open_feed(&**log)?;
        let outboxes: Vec<_> = self.mail.iter().map(|mail| mail.follower.clone()).collect();
        let (readiness, heartbeat) = (Arc::clone(&self.readiness), self.readiness.heartbeat("follower", SILENT));
        let (mailbox, questions) = (inbox.clone(), desk.clone());
        self.supervisor.supervise("follower", move || {
            let end = follower_thread::run(feed, follower, &mailbox, &questions, &outboxes, &readiness, &heartbeat);
            if let Err(error) = end {
                tracing::error!(event = "follower_failed", %error, "the log cannot be followed any more");
            }
        })?;
        self.start_lookers(log, &desk, &inbox)?;
        Ok(inbox)
    }

    /// Brokers that have just answered may be gone again: they are waited for, as at the very beginning.
    fn open_feed<L: Log>(&self, log: &L) -> io::Result<L::Feed> {
        let cancelled = self.cancelled();
        loop {
            match log.feed(start_of(&self.config)) {
                Ok(feed) => return Ok(feed),
                Err(LogError(why)) if cancelled() => return Err(io::Error::other(why)),
                Err(LogError(why)) => tracing::warn!(event = "waiting_for_log", why, "the log cannot be read yet"),
            }
        }
    }

    fn start_lookers<L: Log>(&self, log: &Arc<L>, desk: &Arc<Desk>, inbox: &Arc<FollowerInbox>) -> io::Result<()> {
        let limits = &self.config.limits;
        let metrics = Arc::clone(&self.metrics);
        let looking = Looking {
            budget: Budget { records: limits.scan_records, bytes: limits.scan_bytes, time: self.config.times.scan },
            partitions: self.config.topic.partitions,
            allowance: Allowance::new(limits.replay_bytes_total, limits.replay_bytes, metrics.clone()),
            metrics,
        };
        for index in 0..LOOKERS {
            let name = format!("looker-{index}");
            let heartbeat = self.readiness.heartbeat(&name, SILENT);
            let (log, desk, inbox, looking) = (log.clone(), desk.clone(), inbox.clone(), looking.clone());
            self.supervisor.supervise(&name, move || looker::run(&*log, &desk, &looking, &inbox, &heartbeat))?;
        }
        Ok(())
    }

    pub(super) fn start_workers<L: Log>(
        &self,
        log: &Arc<L>,
        follower: &Arc<FollowerInbox>,
        gate: &Arc<LogGate>,
        polls: Vec<Poll>,
    ) -> io::Result<()> {
        let settings = Arc::new(connection_settings(&self.config));
        let (desk, waiting) = TokenDesk::new(self.config.authenticator());
        let outlets = |worker| Outlets {
            log: Arc::clone(log),
            follower: Arc::clone(follower),
            identities: Arc::clone(&desk),
            gate: Arc::clone(gate),
            worker,
            unasked: Default::default(),
        };
        let workers = polls.len();
        for (index, poll) in polls.into_iter().enumerate() {
            let outlets = outlets(index);
            let (mail, metrics) = (Arc::clone(&self.mail[index]), Arc::clone(&self.metrics));
            let worker = Worker::new(poll, mail, outlets, Arc::clone(&settings), metrics);
            let name = format!("worker-{index}");
            let heartbeat = self.readiness.heartbeat(&name, SILENT);
            self.supervisor.supervise(&name, move || {
                if let Err(error) = worker.run(&heartbeat) {
                    tracing::error!(event = "worker_failed", %error, "a worker cannot wait for its sockets any more");
                }
            })?;
        }
        let (reception, metrics) = (self.reception.clone(), Arc::clone(&self.metrics));
        let requests = Requests::new(reception, outlets(workers), Arc::clone(&settings), metrics);
        self.server.runtime().spawn(watch_ticks(Arc::clone(&self.metrics)));
        let heartbeat = self.readiness.heartbeat("requests", SILENT);
        self.server.runtime().spawn(self.supervisor.watch("requests", requests.run(heartbeat)));
        let (workers, heartbeat) = (OnceLock::from(self.mail.clone()), self.readiness.heartbeat("tokens", SILENT));
        self.supervisor.supervise("tokens", move || tokens::run(&desk, &waiting, &workers, &heartbeat))?;
        Ok(())
    }
}

/// What is read before the edge is ready: enough for the tail, and for knowing repeats as every other edge does.
fn start_of(config: &Config) -> Start {
    let partitions = usize::try_from(config.topic.partitions).unwrap_or(1).max(1);
    let records = config.limits.tail_bytes / SMALL_RECORD / partitions;
    Start::Recent(Rewind {
        records: i64::try_from(records).unwrap_or(i64::MAX),
        age: config.limits.tail_time,
        window: repeats::WINDOW,
        span: repeats::SPAN,
    })
}

fn server_settings(config: &Config) -> ServerSettings {
    ServerSettings {
        listen: config.listen,
        admin: config.admin,
        stomp: config.stomp_listen,
        echo_path: config.ws_echo.clone(),
        websocket_paths: config.ws_paths.clone(),
        xhr: config.sockjs.xhr.then(|| xhr_settings(config)),
        public_url: config.sockjs.public_url.clone(),
        http_api: config.http_api,
        requests: request_bounds(config),
        page: config.page,
        strict: config.profile == crate::config::Profile::Strict,
        max_connections: config.limits.max_connections,
        admit_rate: config.limits.admit_rate,
        grace: config.times.grace,
        max_per_address: config.limits.max_connections_per_address.unwrap_or(0),
        ..ServerSettings::default()
    }
}

fn xhr_settings(config: &Config) -> XhrSettings {
    let connect_frame = stomp_proto::Limits::default().connect_frame_bytes;
    XhrSettings { response_bytes: config.sockjs.response_bytes, frame_bytes: (connect_frame, config.max_frame()) }
}

/// How late the runtime of HTTP gets to what it has to do.
async fn watch_ticks(metrics: Arc<Metrics>) {
    loop {
        let due = tokio::time::Instant::now() + TICK;
        tokio::time::sleep_until(due).await;
        metrics.times.tick.of(Ticker::Http).observe(due.elapsed().as_secs_f64());
    }
}

/// Those of a SEND.
fn request_bounds(config: &Config) -> RequestBounds {
    let stomp = stomp_proto::Limits::default();
    RequestBounds {
        body_bytes: config.limits.max_body,
        head_bytes: config.limits.max_headers,
        line_bytes: stomp.header_line_bytes,
        headers: stomp.headers,
        body_timeout: config.times.frame,
    }
}

fn server_parts(
    config: &Config,
    metrics: &Arc<Metrics>,
    readiness: &Arc<Readiness>,
    shutdown: &Shutdown,
    mail: &[Arc<Mailboxes>],
    reception: &Reception,
) -> ServerParts {
    let everybody: Vec<_> = mail.iter().chain([&reception.mail]).cloned().collect();
    let (origin, text) = (config.origin.clone(), Arc::clone(metrics));
    ServerParts {
        readiness: Arc::clone(readiness),
        shutdown: shutdown.clone(),
        sockets: Arc::new(InTurn { mail: mail.to_vec(), next: Default::default() }),
        credentials: config.credentials.clone(),
        origin: Arc::new(move |origin_of, host| origin.allows(origin_of, host)),
        events: Arc::clone(metrics) as _,
        metrics: Arc::new(move |format| text.text(format)),
        compare: compare(config, metrics, everybody),
        requests: Arc::clone(&reception.pipes),
    }
}

fn compare(config: &Config, metrics: &Arc<Metrics>, mail: Vec<Arc<Mailboxes>>) -> Compare {
    let metrics = Arc::clone(metrics);
    // A mailbox that is full of orders belongs to a worker that has other troubles.
    let cut = move || mail.iter().for_each(|mail| mail.control.try_push(Control::Cut).unwrap_or_default());
    Compare { held: Arc::new(move || compare::held(&metrics.encode())), cut: config.cut.then(|| Arc::new(cut) as _) }
}

/// New connections go to the workers in turn.
struct InTurn {
    mail: Vec<Arc<Mailboxes>>,
    next: std::sync::atomic::AtomicUsize,
}

impl Sockets for InTurn {
    fn hand_over(&self, mut socket: Socket) -> Result<(), Socket> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for step in 0..self.mail.len() {
            match self.mail[(first + step) % self.mail.len()].sockets.try_push(socket) {
                Ok(()) => return Ok(()),
                Err(back) => socket = back,
            }
        }
        Err(socket)
    }
}

fn connection_settings(config: &Config) -> Settings {
    let limits = stomp_proto::Limits {
        headers: 100,
        header_block_bytes: config.limits.max_headers,
        body_bytes: config.limits.max_body,
        subscriptions: config.limits.max_subscriptions,
        ..stomp_proto::Limits::default()
    };
    let strict = config.profile == crate::config::Profile::Strict;
    let stomp = stomp_proto::Config {
        limits,
        heart_beat: stomp_proto::HeartBeatPolicy {
            floor: config.times.heart_beat_floor,
            cap: config.times.heart_beat_cap,
            ..stomp_proto::HeartBeatPolicy::default()
        },
        profile: if strict { stomp_proto::Profile::Strict } else { stomp_proto::Profile::Spring },
        connect_timeout: config.times.connect,
        ..stomp_proto::Config::default()
    };
    Settings {
        stomp: Arc::new(stomp),
        stomp_frame_bytes: config.max_frame(),
        credentials: config.credentials.clone(),
        destinations: Destinations::new(&config.aliases),
        partitions: config.topic.partitions,
        instance: config.instance.clone(),
        max_receipts: config.limits.max_receipts,
        send_rate: SendRate::new(config.limits.send_rate),
        replay_bytes: config.limits.replay_bytes,
        outbound_bytes: (64 * 1024).max(2 * config.max_frame()),
        send_timeout: config.times.send,
        ping_every: config.times.heart_beat_cap,
        frame_timeout: config.times.frame,
        stuck_timeout: Duration::from_secs(10),
    }
}
