//! What every scenario is given: the settings, the cores, a directory for logs, and the ways to start servers.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::OnceLock,
    time::Duration,
};

use super::{
    kafka::Kafka,
    place::{Ahead, Cores, Place},
    row::Row,
    server::Server,
    settings::{BaselineKind, BenchSettings},
    targets::Goal,
};
use crate::{outcome::complain, stop::Stop};

/// By what factor a ratio of a quick run may miss its gate.
const SLACK: f64 = 1.35;

/// The run.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The flags.
    pub(crate) settings: BenchSettings,
    /// One minute in all, and only what is stable.
    pub(crate) quick: bool,
    /// Which cores there are.
    pub(crate) cores: Cores,
    /// Ctrl-C.
    pub(crate) stop: Stop,
    dir: PathBuf,
    _ahead: Ahead,
    edge: OnceLock<PathBuf>,
    kafka: OnceLock<Kafka>,
}

/// Which log an edge gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EdgeLog {
    /// Vectors in the process: the data path without Kafka.
    Memory,
    /// A topic of a Kafka.
    Kafka {
        /// Its bootstrap brokers.
        brokers: String,
        /// The topic; it is created.
        topic: String,
    },
}

impl Stage {
    /// Pins this thread to the generator's core and makes a directory.
    ///
    /// # Errors
    /// One of these cannot be done.
    pub(crate) fn new(settings: BenchSettings, quick: bool) -> Result<Stage, String> {
        let cores = Cores::of_this_thread().map_err(|error| format!("the cores: {error}"))?;
        cores.pin(Place::Generator).map_err(|error| format!("the generator cannot be pinned: {error}"))?;
        let stop = Stop::on_signals().map_err(|error| format!("signals cannot be handled: {error}"))?;
        let dir = env::temp_dir().join(format!("klatsch-bench-{}", process::id()));
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        if cores.count() < 2 {
            complain("one core only: server and generator share it, so ratios lie closer to 1 than they are");
        }
        Ok(Stage {
            settings,
            quick,
            cores,
            stop,
            dir,
            _ahead: Ahead::of_others(),
            edge: OnceLock::new(),
            kafka: OnceLock::new(),
        })
    }

    /// The Kafka of this run, warm: the settings' own, or one broker that is started at the first call.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn kafka(&self) -> Result<&Kafka, String> {
        if let Some(kafka) = self.kafka.get() {
            return Ok(kafka);
        }
        let kafka = Kafka::of(self, 1)?;
        kafka.warm(self)?;
        Ok(self.kafka.get_or_init(|| kafka))
    }

    /// Where logs and other files of this run go.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Rounds of a measurement.
    pub(crate) fn rounds(&self) -> usize {
        if self.quick { self.settings.rounds.min(3) } else { self.settings.rounds }
    }

    /// How long a round sends, where the scenario has no reason for anything else.
    pub(crate) fn round(&self) -> Duration {
        let scenario = if self.quick { 1 } else { 2 };
        Duration::from_secs(self.settings.seconds.unwrap_or(scenario))
    }

    /// A row as this run judges it: a quick one shares its cores with other tests, and looks for what is much worse only.
    pub(crate) fn lenient(&self, row: Row, goal: &Goal, value: f64) -> Row {
        if self.quick { row.slack(goal, value, SLACK) } else { row }
    }

    /// An edge on the server's core, ready. `args` come behind those of --edge-arg.
    ///
    /// # Errors
    /// It does not start: what it said last.
    pub(crate) fn edge(&self, log: &EdgeLog, args: &[&str]) -> Result<Server, String> {
        self.edge_at(Place::Server, log, args)
    }

    /// An edge elsewhere.
    ///
    /// # Errors
    /// As [`Stage::edge`].
    pub(crate) fn edge_at(&self, place: Place, log: &EdgeLog, args: &[&str]) -> Result<Server, String> {
        let given = self.settings.edge_arg.iter().map(String::as_str);
        let args: Vec<&str> = given.chain(args.iter().copied()).collect();
        self.at(place, || Server::edge(self.edge_program()?, log, &args, &self.dir))
    }

    /// A baseline on the server's core, ready.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn baseline(&self, kind: BaselineKind) -> Result<Server, String> {
        self.at(Place::Server, || Server::baseline(kind, &self.dir))
    }

    /// Does this in a thread on another core.
    ///
    /// # Errors
    /// What it says, or that no thread can be had there.
    pub(crate) fn at<T: Send>(
        &self,
        place: Place,
        what: impl FnOnce() -> Result<T, String> + Send,
    ) -> Result<T, String> {
        self.cores.at(place, what).map_err(|error| format!("pinning: {error}"))?
    }

    pub(crate) fn edge_program(&self) -> Result<&Path, String> {
        if let Some(path) = self.edge.get() {
            return Ok(path);
        }
        let beside = || Some(env::current_exe().ok()?.parent()?.join("klatsch-edge"));
        let path = self.settings.edge.clone().or_else(beside).unwrap_or_default();
        if !path.is_file() {
            return Err(format!(
                "no edge at {}: --edge PATH, or KLATSCH_EDGE; `make print-edge` builds it",
                path.display()
            ));
        }
        Ok(self.edge.get_or_init(|| path))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Its files are in our directory.
        drop(self.kafka.take());
        if self.settings.keep {
            complain(&format!("logs: {}", self.dir.display()));
        } else {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}
