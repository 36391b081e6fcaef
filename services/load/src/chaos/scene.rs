//! A crowd that chats, and everybody who watches it: what every round is made of.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    crowd::{self, Crowd, Plan},
    faults::Fault,
    judge::Facts,
    measure::{Normal, Outage, outages},
    now,
    probe::Watch,
    scripts::{Parts, Scripts},
    seen::{Histories, Seen},
};
use crate::{outcome::complain, stop::Stop};

/// How long the crowd may take to be there.
const JOINING: Duration = Duration::from_secs(90);
/// How long what is normal is measured.
const QUIET: Duration = Duration::from_secs(3);
/// How often that is tried again: brokers and producers that have just started are slow.
const TRIES: u32 = 10;
/// How long all may take to be as before, with the fault gone.
const RECOVERY: Duration = Duration::from_secs(90);
/// All is as before when it has been so for this long, in microseconds.
const STEADY: u64 = 2_000_000;
/// Histories are written this much later, in microseconds.
const WRITTEN: u64 = 200_000;
/// An older edge may have to be built.
const PREPARATION: Duration = Duration::from_secs(1_200);
/// A fault's end may have to wait for brokers, or for all edges to drain.
const INJECTION: Duration = Duration::from_secs(240);

/// A cluster, and the scripts that own it.
#[derive(Debug)]
pub(crate) struct Site {
    /// The scripts.
    pub(crate) scripts: Scripts,
    /// Where everything is.
    pub(crate) parts: Parts,
    /// Ctrl-C.
    pub(crate) stop: Stop,
}

/// A crowd on a site.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    site: &'a Site,
    name: String,
    crowd: Crowd,
    histories: Histories,
    watch: Watch,
    normal: Normal,
    shown: Instant,
}

impl<'a> Scene<'a> {
    /// Waits until all is well, then for the crowd, then for what is normal. Files lie in `dir`.
    ///
    /// # Errors
    /// Something is broken before any fault is; or Ctrl-C.
    pub(super) fn open(
        site: &'a Site,
        name: &str,
        fault: Option<&Fault>,
        plans: &[Plan],
        dir: &Path,
    ) -> Result<Scene<'a>, String> {
        site.scripts.run("fault", &["heal"], INJECTION)?;
        if let Some(fault) = fault {
            site.scripts.run("fault", &[fault.name, "prepare"], PREPARATION)?;
        }
        site.scripts.run("fault", &["settled"], INJECTION)?;
        let watch = Watch::start(&site.parts.admins).map_err(|error| format!("a thread cannot be started: {error}"))?;
        let crowd = Crowd::start(plans, dir)?;
        let histories =
            Histories::new(plans.iter().enumerate().map(|(n, plan)| (crowd::history(dir, n), plan.clone())));
        let normal = Normal { rate: 0.0, p99: 0 };
        let (name, shown) = (name.to_owned(), Instant::now());
        let mut scene = Scene { site, name, crowd, histories, watch, normal, shown };
        let joined = site.stop.until(JOINING, || {
            scene.look()?;
            Ok((scene.histories.seen.joined >= scene.crowd.connections).then_some(()))
        })?;
        if joined.is_none() {
            let (joined, all) = (scene.histories.seen.joined, scene.crowd.connections);
            return Err(if site.stop.asked() { stopped() } else { format!("only {joined} of {all} clients joined") });
        }
        for _ in 0..TRIES {
            let from = now();
            scene.wait(QUIET + Duration::from_micros(WRITTEN))?;
            if site.stop.asked() {
                return Err(stopped());
            }
            let answers = &scene.histories.seen.answers;
            scene.normal =
                Normal::of(answers, from, now() - WRITTEN).ok_or("no SEND was receipted before the fault")?;
            if scene.normal.is_calm() {
                return Ok(scene);
            }
        }
        let ms = scene.normal.p99 / 1_000;
        scene.say(&format!("the log is slow before any fault: {ms} ms from SEND to RECEIPT (p99)"));
        Ok(scene)
    }

    /// Begins a fault; when it was in force, in microseconds since 1970.
    ///
    /// # Errors
    /// It cannot be done.
    pub(super) fn begin(&mut self, fault: &str, args: &[String]) -> Result<u64, String> {
        self.inject(fault, "begin", args)
    }

    /// Ends a fault; when that was done.
    ///
    /// # Errors
    /// It cannot be done.
    pub(super) fn end(&mut self, fault: &str) -> Result<u64, String> {
        self.inject(fault, "end", &[])
    }

    fn inject(&mut self, fault: &str, what: &str, args: &[String]) -> Result<u64, String> {
        let words: Vec<&str> = [fault, what].into_iter().chain(args.iter().map(String::as_str)).collect();
        let mut running = self.site.scripts.start("fault", &words)?;
        while !running.has_ended()? {
            // Whatever goes wrong meanwhile, this must come to its end.
            if let Err(why) = self.look() {
                complain(&format!("{}: {why}", self.name));
            }
            thread::sleep(Duration::from_millis(20));
        }
        let text = running.finish(INJECTION)?;
        let ms = text.lines().next_back().and_then(|line| line.trim().parse::<u64>().ok());
        let at = ms.ok_or_else(|| format!("fault {fault} {what} did not say when"))? * 1_000;
        self.say(&words.join(" "));
        Ok(at)
    }

    /// Watches for this long, or until Ctrl-C.
    ///
    /// # Errors
    /// The load has ended by itself.
    pub(super) fn wait(&mut self, time: Duration) -> Result<(), String> {
        let stop = self.site.stop.clone();
        stop.until(time, || self.look().map(|()| None::<()>)).map(|_| ())
    }

    /// Watches until all is as before; false if that takes too long.
    ///
    /// # Errors
    /// The load has ended by itself.
    pub(super) fn recover(&mut self, begun: u64) -> Result<bool, String> {
        // Not even Ctrl-C ends it: who is still away then would look like somebody who has missed something.
        let from = now();
        let well = Stop::default().until(RECOVERY, || {
            self.look()?;
            let until = now() - WRITTEN;
            let steady = |since: u64| since + STEADY <= until;
            let seen = &self.histories.seen;
            let all_there = seen.joined >= self.crowd.connections && self.watch.ready_since().is_some_and(steady);
            let flows = || self.outages(begun).last().is_none_or(|outage| outage.until.is_some_and(steady));
            Ok((steady(from) && all_there && flows()).then_some(()))
        })?;
        Ok(well.is_some())
    }

    /// When RECEIPTs did not flow, since then.
    pub(super) fn outages(&self, begun: u64) -> Vec<Outage> {
        outages(&self.histories.seen.answers, &self.normal, begun, now() - WRITTEN)
    }

    /// What has been measured of faults that lasted from `begun` to `ended`.
    pub(super) fn facts(&self, begun: u64, ended: u64) -> Facts {
        Facts {
            begun,
            ended,
            changes: self.watch.changes(),
            ready_since: self.watch.ready_since(),
            outages: self.outages(begun),
            restarted: Vec::new(),
        }
    }

    /// Ends the load; what it saw in all, and what it has to complain about.
    ///
    /// # Errors
    /// It did not end as it should.
    pub(super) fn close(self) -> Result<(Seen, Vec<String>), String> {
        let Scene { crowd, mut histories, .. } = self;
        let wrong = crowd.end()?;
        histories.read()?;
        Ok((histories.seen, wrong))
    }

    /// A line about how it goes.
    pub(super) fn say(&self, what: &str) {
        complain(&format!("{}: {what}", self.name));
    }

    fn look(&mut self) -> Result<(), String> {
        self.histories.read()?;
        if self.shown.elapsed() >= Duration::from_secs(5) {
            self.shown = Instant::now();
            let (seen, second) = (&self.histories.seen, now() - 1_000_000 - WRITTEN);
            let late = seen.answers.iter().rev().take(10_000).filter(|answer| answer.at >= second);
            let unready: Vec<String> =
                self.watch.failing().into_iter().map(|(n, why)| format!("edge {n}: {why}")).collect();
            self.say(&format!(
                "{}/{} joined, {} answers in the last second; {}",
                seen.joined,
                self.crowd.connections,
                late.count(),
                if unready.is_empty() { "all edges ready".to_owned() } else { unready.join("; ") }
            ));
        }
        self.crowd.check()
    }
}

/// What Ctrl-C is called.
pub(crate) fn stopped() -> String {
    "stopped".to_owned()
}
