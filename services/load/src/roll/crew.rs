//! The crowd during a roll, and whoever looks after it.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{settings::RollSettings, site::Cluster};
use crate::{
    chaos::{
        crowd::{self, Crowd, Plan},
        now,
        scene::stopped,
        scripts::Running,
        seen::{Histories, What},
    },
    cli::Switch,
    client::Transport,
    outcome::complain,
};

/// Beside the ramp, for the slowest.
const JOINING: Duration = Duration::from_secs(60);
/// How long all may take to be in their rooms again.
const RETURN: Duration = Duration::from_secs(60);
/// And stay there, before it is over.
const STEADY: Duration = Duration::from_secs(3);
const SHOWN: Duration = Duration::from_secs(5);

/// Clients that chat, in one process.
pub(super) struct Crew<'a> {
    cluster: &'a Cluster,
    crowd: Crowd,
    histories: Histories,
    shown: Instant,
    what: String,
}

impl<'a> Crew<'a> {
    /// Starts it, and waits until everybody is in.
    ///
    /// # Errors
    /// Somebody does not come; or Ctrl-C.
    pub(super) fn start(settings: &RollSettings, cluster: &'a Cluster, dir: &Path) -> Result<Crew<'a>, String> {
        let notices = if settings.notices == Switch::On { "on" } else { "off" };
        let (ramp, restart) = (settings.ramp.to_string(), settings.after_restart.to_string());
        let habits = ["--ramp", &ramp, "--notices", notices, "--after-restart", &restart];
        let plan = Plan {
            urls: vec![cluster.site.parts.balancer.clone()],
            connections: settings.sessions,
            rooms: settings.rooms(),
            rate: settings.rate,
            senders: settings.sessions,
            soft: false,
            storm: false,
            habits: habits.map(str::to_owned).to_vec(),
            transports: vec![Transport::Stomp],
        };
        let histories = Histories::new([(crowd::history(dir, 0), plan.clone())]);
        let crowd = Crowd::start(&[plan], dir)?;
        let what = "everybody joins".to_owned();
        let mut crew = Crew { cluster, crowd, histories, shown: Instant::now(), what };
        let ramp = Duration::from_secs(u64::from(settings.sessions / settings.ramp.max(1)));
        let stop = cluster.site.stop.clone();
        let joined = stop.until(ramp + JOINING, || Ok(crew.look()?.then_some(())))?;
        match joined {
            Some(()) => Ok(crew),
            None if stop.asked() => Err(stopped()),
            None => {
                let (joined, all) = (crew.histories.seen.joined, crew.crowd.connections);
                Err(format!("only {joined} of {all} clients joined"))
            }
        }
    }

    /// What is being done, for the progress lines.
    pub(super) fn say(&mut self, what: String) {
        complain(&format!("roll: {what}"));
        self.what = what;
        self.shown = Instant::now();
    }

    /// Reads on; whether everybody is in a room.
    ///
    /// # Errors
    /// The load has ended by itself.
    pub(super) fn look(&mut self) -> Result<bool, String> {
        self.histories.read()?;
        self.crowd.check()?;
        let (seen, all) = (&self.histories.seen, self.crowd.connections);
        if self.shown.elapsed() >= SHOWN {
            self.shown = Instant::now();
            let second = now() - 1_000_000;
            let late = seen.answers.iter().rev().take(10_000).filter(|answer| answer.at >= second);
            let receipts = late.filter(|answer| answer.what == What::Receipt).count();
            let (joined, moved, what) = (seen.joined, seen.reconnects, &self.what);
            complain(&format!("roll: {joined}/{all} joined, {moved} moves, {receipts} RECEIPTs/s; {what}"));
        }
        Ok(seen.joined >= all)
    }

    /// Watches for this long.
    ///
    /// # Errors
    /// The load has ended by itself; or Ctrl-C.
    pub(super) fn wait(&mut self, time: Duration) -> Result<(), String> {
        let stop = self.cluster.site.stop.clone();
        stop.until(time, || self.look().map(|_| None::<()>))?;
        if stop.asked() { Err(stopped()) } else { Ok(()) }
    }

    /// Watches until a script has ended; its standard output.
    ///
    /// # Errors
    /// It failed.
    pub(super) fn run(&mut self, mut running: Running, within: Duration) -> Result<String, String> {
        while !running.has_ended()? {
            self.look()?;
            thread::sleep(Duration::from_millis(20));
        }
        running.finish(within)
    }

    /// Watches until there is an answer, which is asked for every 10 ms; `None` after this time.
    ///
    /// # Errors
    /// The load has ended by itself, what the question says; or Ctrl-C.
    pub(super) fn until<T>(
        &mut self,
        within: Duration,
        mut ask: impl FnMut() -> Result<Option<T>, String>,
    ) -> Result<Option<T>, String> {
        let begun = Instant::now();
        while begun.elapsed() < within {
            if let Some(answer) = ask()? {
                return Ok(Some(answer));
            }
            self.look()?;
            if self.cluster.site.stop.asked() {
                return Err(stopped());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(None)
    }

    /// Waits until all are in their rooms and stay there, and ends the load; what it has to complain about.
    ///
    /// # Errors
    /// It did not end as it should; or Ctrl-C.
    pub(super) fn close(mut self) -> Result<Vec<String>, String> {
        let mut since = Instant::now();
        let stop = self.cluster.site.stop.clone();
        let back = stop.until(RETURN, || {
            if !self.look()? {
                since = Instant::now();
            }
            Ok((since.elapsed() >= STEADY).then_some(()))
        })?;
        if stop.asked() {
            return Err(stopped());
        }
        let (joined, all) = (self.histories.seen.joined, self.crowd.connections);
        let mut wrong = self.crowd.end()?;
        if back.is_none() {
            wrong.push(format!("only {joined} of {all} clients were in their rooms a minute later"));
        }
        Ok(wrong)
    }
}
