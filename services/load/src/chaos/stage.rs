//! The cluster that the rounds are played on: started when it is needed, ended when it was ours, made anew when it broke.

use std::{
    env, fs, io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    round::row_file,
    row::Row,
    scripts::{Scripts, state_home},
    settings::ChaosSettings,
};
use crate::stop::Stop;

const STARTING: Duration = Duration::from_secs(240);
/// A round that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(1_800);
const WHY: &str = "why";
/// What is kept of one log.
const MUCH: u64 = 64 << 20;

/// The cluster.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    settings: &'a ChaosSettings,
    scripts: Scripts,
    stop: Stop,
    /// Somebody else's: it is left as it is.
    taken: bool,
    /// With passwords or not; `None`: ours does not run.
    running: Option<bool>,
}

impl<'a> Stage<'a> {
    /// Looks whether a cluster runs.
    ///
    /// # Errors
    /// The scripts are not there.
    pub(super) fn new(settings: &'a ChaosSettings, dir: &Path, stop: Stop) -> Result<Stage<'a>, String> {
        let mut scripts = Scripts::new(&settings.scripts, dir.join("cluster.log"))?;
        let beside = env::current_exe().map(|this| this.with_file_name("klatsch-edge"));
        if let (None, Ok(edge)) = (env::var_os("KLATSCH_EDGE"), beside) {
            scripts.set("KLATSCH_EDGE", &edge.display().to_string());
        }
        let taken = scripts.run("cluster", &["url"], STARTING).is_ok();
        if taken && super::kafka_defaults() {
            return Err(
                "a cluster runs already, and its brokers' settings are what they are; first: make down".to_owned()
            );
        }
        Ok(Stage { settings, scripts, stop, taken, running: None })
    }

    /// Plays a round; its files go to `dir`. A cluster that broke is ended.
    ///
    /// # Errors
    /// There is no cluster, and none can be started.
    pub(super) fn play(
        &mut self,
        words: &[String],
        secure: bool,
        seed: Option<u64>,
        dir: &Path,
    ) -> Result<Row, String> {
        self.set_up(secure)?;
        fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let played = self.round(words, seed, dir);
        let mut row = match played.and_then(|()| read_row(dir)) {
            Ok(row) => row,
            Err(why) => Row { name: words.join(" "), misses: vec![why], ..Row::default() },
        };
        if !row.is_good() || self.settings.keep {
            self.keep_logs(dir);
            row.kept = Some(dir.to_owned());
        } else {
            // What cannot be removed is only in the way.
            let _ = fs::remove_dir_all(dir);
        }
        if !row.is_good() && !self.stop.asked() {
            self.end()?;
        }
        Ok(row)
    }

    /// Ends the cluster if it is ours.
    ///
    /// # Errors
    /// It does not end.
    pub(super) fn end(&mut self) -> Result<(), String> {
        if self.running.take().is_some() {
            self.scripts.run("cluster", &["down"], STARTING)?;
        }
        Ok(())
    }

    fn set_up(&mut self, secure: bool) -> Result<(), String> {
        if self.taken || self.running == Some(secure) {
            return Ok(());
        }
        self.end()?;
        self.running = Some(secure);
        let args: &[&str] = if secure { &["up", "--netns", "--secure"] } else { &["up", "--netns"] };
        self.scripts.run("cluster", args, STARTING).map(|_| ())
    }

    fn round(&self, words: &[String], seed: Option<u64>, dir: &Path) -> Result<(), String> {
        let this = env::current_exe().map_err(|error| error.to_string())?;
        let settings = self.settings;
        let mut command = Command::new(settings.scripts.join("cluster"));
        command.arg("exec").arg(this).arg("chaos").args(words).arg("--round").arg(dir);
        command.arg("--scripts").arg(&settings.scripts).args(["--connections", &settings.connections.to_string()]);
        command.args(["--rooms", &settings.rooms.to_string(), "--rate", &settings.rate.to_string()]);
        if settings.any_time {
            command.arg("--any-time");
        }
        seed.iter().for_each(|seed| _ = command.args(["--seed", &seed.to_string()]));
        self.scripts.environment().for_each(|(name, value)| _ = command.env(name, value));
        // Ctrl-C is passed on, once.
        command.process_group(0).stdin(Stdio::null());
        let failed = |error: io::Error| format!("the round: {error}");
        let mut child = command.spawn().map_err(failed)?;
        let mut told = false;
        let patient = Stop::default();
        let status = patient.until(LONGEST, || {
            if self.stop.asked() && !std::mem::replace(&mut told, true) {
                kill_process(Pid::from_child(&child), Signal::INT).map_err(|error| failed(error.into()))?;
            }
            child.try_wait().map_err(failed)
        })?;
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(read_why(dir).unwrap_or_else(|| format!("the round ended with {status}"))),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                Err(format!("the round hung for {} s", LONGEST.as_secs()))
            }
        }
    }

    /// The logs of edges and brokers, as they are now.
    fn keep_logs(&self, dir: &Path) {
        let Some(state) = state_home() else { return };
        let edges =
            files(&state.join("cluster")).into_iter().filter(|log| log.extension().is_some_and(|end| end == "log"));
        let brokers = files(&state.join("kafka")).into_iter().flat_map(|node| [node.join("log.old"), node.join("log")]);
        for log in edges.chain(brokers) {
            let small = fs::metadata(&log).is_ok_and(|log| log.is_file() && log.len() <= MUCH);
            let (Some(name), true) = (log_name(&log), small) else { continue };
            // The row matters more than a log that is gone.
            let _ = fs::copy(&log, dir.join(name));
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// Every broker's log is called the same: with its directory's name it is not.
fn log_name(log: &Path) -> Option<String> {
    let (file, parent) = (log.file_name()?.to_str()?, log.parent()?.file_name()?.to_str()?);
    Some(format!("{parent}-{file}"))
}

/// A round says why it could not be played.
pub(super) fn write_why(dir: &Path, why: &str) {
    // It is printed, too.
    let _ = fs::write(dir.join(WHY), why);
}

fn read_why(dir: &Path) -> Option<String> {
    fs::read_to_string(dir.join(WHY)).ok()
}

fn read_row(dir: &Path) -> Result<Row, String> {
    let file = row_file(dir);
    let text = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", file.display()))
}
