//! The Kafka of a run: one that was started for it, or one that the caller names; and what its brokers cost.

use std::{
    env, fs,
    net::TcpListener,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::Duration,
};

use crate::outcome::complain;

use super::{
    foreign::Foreign,
    meter::{Meter, Reading},
    place::Place,
    stage::{EdgeLog, Stage},
};

/// C2 too, as brokers run anywhere but here: the scripts' own setting is for a quick start.
const JIT: &str = "env _JAVA_OPTIONS=-XX:TieredStopAtLevel=4";
const HEAP: &str = "512m";
/// Ports that one node of ours takes, and the first that is tried.
const PORTS: u16 = 40;
const FIRST: u16 = 19_392;

/// Longer than the compiler takes for what every request runs through.
const WARM: Duration = Duration::from_secs(15);

/// Brokers on the generator's core.
#[derive(Debug)]
pub(crate) struct Kafka {
    /// Bootstrap brokers.
    pub(crate) brokers: String,
    meters: Vec<Meter>,
    topics: AtomicU32,
    /// In front of the topics' names.
    run: u32,
    _own: Option<Own>,
}

/// Ended when dropped.
#[derive(Debug)]
struct Own {
    script: PathBuf,
    state: PathBuf,
}

/// Processor time of all brokers at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Brokers(Vec<Reading>);

impl Kafka {
    /// The one that the settings name, or one of `nodes` that is started now.
    ///
    /// # Errors
    /// It cannot be started: what the script said last.
    pub(crate) fn of(stage: &Stage, nodes: u16) -> Result<Kafka, String> {
        let run = getrandom::u32().map_err(|error| format!("no entropy: {error}"))?;
        match &stage.settings.kafka {
            Some(brokers) => {
                Ok(Kafka { brokers: brokers.clone(), meters: Vec::new(), topics: AtomicU32::new(0), run, _own: None })
            }
            None => stage.at(Place::Generator, || Kafka::start(stage, nodes, run)),
        }
    }

    fn start(stage: &Stage, nodes: u16, run: u32) -> Result<Kafka, String> {
        let script = stage.settings.scripts.join("kafka-local");
        if !script.is_file() {
            let dir = stage.settings.scripts.display();
            return Err(format!("no kafka-local in {dir}: run this in the repository, or use --scripts or --kafka"));
        }
        let own = Own { script, state: stage.dir().join(format!("kafka-{nodes}")) };
        let port = match env::var("KLATSCH_KAFKA_PORT").ok().and_then(|port| port.parse().ok()) {
            Some(port) => port,
            None => free_base(nodes)?,
        };
        own.run(&["up", &nodes.to_string()], port)?;
        let brokers = own.run(&["boot"], port)?.trim().to_owned();
        let pid = |node| {
            let file = own.state.join(format!("n{node}/pid"));
            let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            text.trim().parse().map(Meter::new).map_err(|_| format!("{}: no pid", file.display()))
        };
        let meters = (1..=nodes).map(pid).collect::<Result<_, _>>()?;
        Ok(Kafka { brokers, meters, topics: AtomicU32::new(0), run, _own: Some(own) })
    }

    /// Puts a load on it until what it does has been compiled.
    ///
    /// # Errors
    /// No edge starts, or the brokers take nothing.
    pub(crate) fn warm(&self, stage: &Stage) -> Result<(), String> {
        complain("  warming up the broker");
        let log = self.log();
        let edge = stage.edge(&log, &["--instance", "bench-warm"])?;
        let (brokers, topic) = place_of(&log).ok_or("no topic")?;
        let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
        // Record by record, as edges write.
        let writing = Foreign { brokers, topic, partitions: 12, rooms: 1_000, rate: 2_000.0, linger: 0 }.start()?;
        thread::sleep(WARM);
        drop((writing, edge));
        Ok(())
    }

    /// A topic that is not there yet, as an edge is told it.
    pub(crate) fn log(&self) -> EdgeLog {
        let topic = format!("bench-{:08x}-{}", self.run, self.topics.fetch_add(1, Relaxed));
        EdgeLog::Kafka { brokers: self.brokers.clone(), topic }
    }

    /// What the brokers have used so far; `None` if they are not ours, so that their processes are not known.
    pub(crate) fn read(&self) -> Option<Brokers> {
        if self.meters.is_empty() {
            return None;
        }
        self.meters.iter().map(|meter| meter.read().ok()).collect::<Option<_>>().map(Brokers)
    }
}

impl Brokers {
    /// Microseconds since an earlier reading, of all brokers together.
    pub(crate) fn since(&self, earlier: &Brokers) -> f64 {
        self.0.iter().zip(&earlier.0).map(|(now, before)| now.since(before).cpu_us).sum()
    }
}

impl Own {
    fn run(&self, args: &[&str], port: u16) -> Result<String, String> {
        let mut command = Command::new(&self.script);
        command.args(args).stdin(Stdio::null());
        // The variables of the caller's own cluster must not reach it.
        for (variable, _) in env::vars_os().filter(|(name, _)| is_a_clusters(name)) {
            command.env_remove(variable);
        }
        command.env("KLATSCH_KAFKA_STATE", &self.state).env("KLATSCH_KAFKA_PORT", port.to_string());
        command.env("KLATSCH_KAFKA_HEAP", HEAP).env("KLATSCH_WITH", JIT);
        let what = format!("kafka-local {}", args.join(" "));
        let out = command.output().map_err(|error| format!("{what}: {error}"))?;
        if out.status.success() {
            return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&out.stderr);
        Err(format!("{what}: {}", said.lines().last().unwrap_or("it failed")))
    }
}

/// `KLATSCH_CACHE` stays: the jars are there.
fn is_a_clusters(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("KLATSCH_") && name != "KLATSCH_CACHE"
}

impl Drop for Own {
    fn drop(&mut self) {
        if self.state.exists() {
            // Nothing can be done about it, and the directory's end shows it.
            let _ = self.run(&["down"], 0);
        }
    }
}

/// Below the ports that the kernel gives to clients, so that none of them holds one of ours.
fn free_base(nodes: u16) -> Result<u16, String> {
    let free = |base: &u16| (0..10 * nodes).all(|port| TcpListener::bind(("127.0.0.1", base + port)).is_ok());
    let mut bases = (FIRST..32_000).step_by(PORTS.into());
    bases.find(free).ok_or_else(|| "no free ports for a Kafka".to_owned())
}

/// The broker's and the topic's name of a log in Kafka.
pub(crate) fn place_of(log: &EdgeLog) -> Option<(&str, &str)> {
    match log {
        EdgeLog::Kafka { brokers, topic } => Some((brokers, topic)),
        EdgeLog::Memory => None,
    }
}
