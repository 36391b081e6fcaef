//! One edge takes another one's place.

use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, waitpid};

use super::{balancer, crew::Crew, site::Cluster};
use crate::chaos::now;

const STARTING: Duration = Duration::from_secs(90);
/// The balancer asks five times a second.
const FOUND: Duration = Duration::from_secs(20);
/// A process that has not ended this long after its grace is killed.
const PATIENCE: Duration = Duration::from_secs(15);

/// What became of an old edge. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replaced {
    /// Its name at the balancer.
    pub(super) edge: String,
    /// SIGTERM.
    pub(super) told: u64,
    /// Its end.
    pub(super) ended: u64,
    /// Its exit code; `None`: a signal ended it.
    pub(super) code: Option<i32>,
}

impl Replaced {
    /// From SIGTERM to the end, in seconds.
    pub(super) fn took(&self) -> f64 {
        (self.ended - self.told) as f64 / 1e6
    }
}

/// Whatever the scripts leave running becomes a child of this process, so that it can be asked how it ended.
///
/// # Errors
/// The system cannot do that.
pub(super) fn adopt() -> Result<(), String> {
    let us = rustix::process::getpid();
    set_child_subreaper(Some(us)).map_err(|error| format!("processes cannot be adopted: {error}"))
}

/// Starts an edge in this place, and waits until the balancer would give it connections.
///
/// # Errors
/// It does not become ready.
pub(super) fn start(cluster: &Cluster, crew: &mut Crew<'_>, slot: usize) -> Result<(), String> {
    crew.say(format!("edge {slot} starts"));
    let running = cluster.site.scripts.start("cluster", &["start", &slot.to_string()])?;
    crew.run(running, STARTING)?;
    let name = format!("edge{slot}");
    let up = |name: &str| Ok(balancer::servers(cluster.stats)?.get(name).filter(|server| server.up).cloned());
    let found = crew.until(FOUND, || up(&name))?;
    found.map(drop).ok_or_else(|| format!("HAProxy did not find edge {slot} ready"))
}

/// SIGTERM, and waits for the end.
///
/// # Errors
/// It does not run, or the load has ended.
pub(super) fn stop(cluster: &Cluster, crew: &mut Crew<'_>, slot: usize, grace: Duration) -> Result<Replaced, String> {
    let edge = format!("edge{slot}");
    let pid = cluster.site.scripts.pids()?.get(&edge).and_then(|pid| Pid::from_raw(i32::try_from(*pid).ok()?));
    let pid = pid.ok_or_else(|| format!("edge {slot} does not run"))?;
    let has = balancer::servers(cluster.stats)?.get(&edge).map_or(0, |server| server.sessions);
    crew.say(format!("edge {slot} drains {has} connections"));
    let failed = |error: rustix::io::Errno| format!("edge {slot}: {error}");
    let told = now();
    kill_process(pid, Signal::TERM).map_err(failed)?;
    let gone = || Ok(waitpid(Some(pid), WaitOptions::NOHANG).map_err(failed)?.map(|(_, status)| status.exit_status()));
    let code = match crew.until(grace + PATIENCE, gone)? {
        Some(code) => code,
        None => {
            kill_process(pid, Signal::KILL).map_err(failed)?;
            None
        }
    };
    let replaced = Replaced { edge, told, ended: now(), code };
    let how = code.map_or_else(|| "was killed".to_owned(), |code| format!("ended with {code}"));
    crew.say(format!("edge {slot} {how} after {:.1} s", replaced.took()));
    Ok(replaced)
}
