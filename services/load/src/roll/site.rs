//! The cluster that is rolled: its own, on ports that are free, gone when it is dropped.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use super::settings::RollSettings;
use crate::{
    chaos::{scene::Site, scripts::Scripts},
    outcome::complain,
    stop::Stop,
};

const STARTING: Duration = Duration::from_secs(240);
/// Ports from one place on, below those that the system gives out: the balancer, edges, their admin listeners, Kafka.
const PORTS: u16 = 200;
const KAFKA: u16 = 150;

/// It runs.
pub(super) struct Cluster {
    pub(super) site: Site,
    /// HAProxy's statistics.
    pub(super) stats: SocketAddr,
    /// Places for edges at the balancer.
    pub(super) slots: usize,
}

impl Cluster {
    /// Starts Kafka, the old edges, and the balancer, which knows the places of the new ones.
    ///
    /// # Errors
    /// What the script says.
    pub(super) fn up(settings: &RollSettings, dir: &Path, stop: &Stop) -> Result<Cluster, String> {
        let mut scripts = Scripts::new(&settings.scripts, dir.join("cluster.log"))?;
        let base = free_ports().ok_or("no 200 free ports in a row")?;
        scripts.set("KLATSCH_STATE", &dir.join("state").display().to_string());
        scripts.set("KLATSCH_KAFKA_STATE", &dir.join("state/kafka").display().to_string());
        scripts.set("KLATSCH_PORT", &base.to_string());
        scripts.set("KLATSCH_KAFKA_PORT", &(base + KAFKA).to_string());
        scripts.set("KLATSCH_EDGE", &old(settings)?.display().to_string());
        let slots = (2 * settings.edges).min(9);
        let grace = format!("{}s", settings.grace);
        let (edges, places, brokers) = (settings.edges.to_string(), slots.to_string(), settings.brokers.to_string());
        let up = ["up", "--edges", &edges, "--slots", &places, "--brokers", &brokers, "--", "--grace", &grace];
        complain(&format!("roll: starting {brokers} brokers, {edges} edges and HAProxy"));
        // Whatever comes now, what has been started is ended.
        let mut cluster = Cluster {
            site: Site { scripts, parts: Default::default(), stop: stop.clone() },
            stats: SocketAddr::from(([127, 0, 0, 1], base + 100)),
            slots,
        };
        let Site { scripts, parts, .. } = &mut cluster.site;
        scripts.run("cluster", &up, STARTING)?;
        *parts = scripts.parts()?;
        let stats = scripts.run("cluster", &["stats"], STARTING)?;
        cluster.stats = stats.trim().parse().map_err(|_| format!("cluster stats: {stats}"))?;
        // What is started from now on.
        cluster.site.scripts.set("KLATSCH_EDGE", &new(settings)?.display().to_string());
        Ok(cluster)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(why) = self.site.scripts.run("cluster", &["down"], STARTING) {
            complain(&format!("roll: {why}"));
        }
    }
}

fn old(settings: &RollSettings) -> Result<PathBuf, String> {
    let given = settings.from.clone().or_else(|| env::var_os("KLATSCH_EDGE").map(PathBuf::from));
    let beside = || env::current_exe().map(|this| this.with_file_name("klatsch-edge"));
    let edge = given.map_or_else(beside, Ok).map_err(|error| error.to_string())?;
    edge.canonicalize().map_err(|error| format!("{}: {error}; build it, or name one: --from", edge.display()))
}

fn new(settings: &RollSettings) -> Result<PathBuf, String> {
    let Some(to) = &settings.to else { return old(settings) };
    to.canonicalize().map_err(|error| format!("{}: {error}", to.display()))
}

fn free_ports() -> Option<u16> {
    let free = |base: &u16| (0..PORTS).all(|port| TcpListener::bind(("127.0.0.1", base + port)).is_ok());
    // Two at the same time begin to look at different places.
    let first = (std::process::id() % 80) as u16;
    (0..80).map(|n| 14_000 + (first + n) % 80 * PORTS).find(free)
}
