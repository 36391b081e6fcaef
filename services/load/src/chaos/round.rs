//! One round, inside the cluster's namespace: load, fault, recovery, verdict. Its row goes to `row.json`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    crowd::{self, Plan},
    faults::{Fault, Recovers, STORM, named},
    judge,
    random::{self, Act},
    row::Row,
    scene::{Scene, Site, stopped},
    scripts::Scripts,
    settings::ChaosSettings,
    verdict,
    witness::Witness,
};
use crate::{
    http::{get, metric},
    stop::Stop,
};

const TOPIC: &str = "chat.events.v1";
/// A witness needs this to catch up.
const READING: Duration = Duration::from_secs(3);

/// Where a round's row is.
pub(super) fn row_file(dir: &Path) -> PathBuf {
    dir.join("row.json")
}

/// What is to be played.
enum Play {
    Fault(Fault),
    Random { seed: u64, round: u64 },
}

/// Plays the round that the settings name, and writes its row.
///
/// # Errors
/// It could not be played.
pub(super) fn run(settings: &ChaosSettings, dir: &Path) -> Result<(), String> {
    let stop = Stop::on_signals().map_err(|error| format!("signals cannot be handled: {error}"))?;
    let scripts = Scripts::new(&settings.scripts, dir.join("scripts.log"))?;
    let parts = scripts.parts()?;
    let site = Site { scripts, parts, stop };
    let play = match &settings.faults[..] {
        [name, round] if name == "random" => {
            let round = round.parse().map_err(|_| format!("no round {round}"))?;
            Play::Random { seed: settings.seed.unwrap_or_default(), round }
        }
        [name] if settings.any_time => Play::Fault(Fault { recovers: Recovers::AfterEnd(3_600), ..find(name)? }),
        [name] => Play::Fault(find(name)?),
        _ => return Err("a round is of one fault".to_owned()),
    };
    let row = play.on(&site, settings, dir)?;
    let json = serde_json::to_vec_pretty(&row).map_err(|error| error.to_string())?;
    fs::write(row_file(dir), json).map_err(|error| format!("{}: {error}", dir.display()))
}

/// The fault of this name, as this cluster should stand it.
///
/// # Errors
/// There is none.
pub(super) fn find(name: &str) -> Result<Fault, String> {
    let fault = named(name).ok_or_else(|| format!("no fault {name}; `chaos list` names them"))?;
    Ok(if super::kafka_defaults() { fault.with_kafka_defaults() } else { *fault })
}

impl Play {
    fn name(&self) -> String {
        match self {
            Play::Fault(fault) => fault.name.to_owned(),
            Play::Random { seed, round } => format!("random {seed}/{round}"),
        }
    }

    fn plans(&self, site: &Site, settings: &ChaosSettings) -> Vec<Plan> {
        let ChaosSettings { connections, rooms, rate, .. } = *settings;
        match self {
            Play::Fault(fault) if fault.name == STORM => crowd::storm(&site.parts),
            Play::Fault(fault) => crowd::usual(&site.parts, connections, rooms, rate, fault.mixed),
            // Several faults of one round would have to expect the same of every transport.
            Play::Random { .. } => crowd::usual(&site.parts, connections, rooms, rate, false),
        }
    }

    fn late_answers(&self) -> bool {
        match self {
            Play::Fault(fault) => fault.late_answers,
            Play::Random { seed, round } => {
                let acts = random::steps(*seed, *round).into_iter().flat_map(|step| [Some(step.first), step.second]);
                acts.flatten().any(|act| act.fault.late_answers)
            }
        }
    }

    fn on(&self, site: &Site, settings: &ChaosSettings, dir: &Path) -> Result<Row, String> {
        let plans = self.plans(site, settings);
        let fault = match self {
            Play::Fault(fault) => Some(fault),
            Play::Random { .. } => None,
        };
        let mut scene = Scene::open(site, &self.name(), fault, &plans, dir)?;
        let (pids, resumed) = (site.scripts.pids()?, resumed(site));
        let (begun, ended) = match self {
            Play::Fault(fault) => hold(&mut scene, fault, site, dir)?,
            Play::Random { seed, round } => nemesis(&mut scene, *seed, *round, site)?,
        };
        let well = scene.recover(begun)?;
        let mut facts = scene.facts(begun, ended);
        facts.restarted = restarted(&pids, &site.scripts.pids()?, fault);
        let from_log = resumed_since(&resumed, site);
        let (seen, wrong) = scene.close()?;

        let mut row = judge::row(&self.name(), &seen, &facts);
        row.misses = match fault {
            Some(fault) => judge::misses(fault, &seen, &facts, &row),
            None => judge::general(&facts),
        };
        if !well && row.misses.is_empty() {
            row.misses.push("not all was as before in time".to_owned());
        }
        if fault.is_some_and(|fault| fault.name == STORM) && from_log > 0 {
            row.misses.push(format!("{from_log} sessions were not resumed from memory"));
        }
        // The clients themselves know of one log only.
        row.misses.extend(wrong.into_iter().filter(|_| !fault.is_some_and(|fault| fault.gaps)));
        let _ = verdict::pass(site, dir, plans.len(), self.late_answers(), &mut row)?;
        Ok(row)
    }
}

fn hold(scene: &mut Scene<'_>, fault: &Fault, site: &Site, dir: &Path) -> Result<(u64, u64), String> {
    let time = site.scripts.faults()?.get(fault.name).map(|(hold, _)| *hold);
    let time = time.ok_or_else(|| format!("deploy/local/fault does not know {}", fault.name))?;
    let witness = if fault.gaps {
        let properties = site.scripts.kafka_properties();
        let witness = Witness::start(&site.parts.boot, &properties, TOPIC, &dir.join(verdict::BEFORE))?;
        scene.wait(READING)?;
        Some(witness)
    } else {
        None
    };
    let begun = scene.begin(fault.name, &[])?;
    witness.map_or(Ok(()), Witness::end)?;
    // Whatever goes wrong, the cluster is mended first.
    let held = scene.wait(time);
    let ended = scene.end(fault.name)?;
    held.map(|()| (begun, ended))
}

fn nemesis(scene: &mut Scene<'_>, seed: u64, round: u64, site: &Site) -> Result<(u64, u64), String> {
    let (mut begun, mut ended) = (None, 0);
    for step in random::steps(seed, round) {
        scene.wait(step.pause)?;
        if site.stop.asked() {
            break;
        }
        let mut begin = |scene: &mut Scene<'_>, act: &Act| match scene.begin(act.fault.name, &act.args()) {
            Ok(at) => _ = begun.get_or_insert(at),
            // Of two at once the second may be impossible: nobody writes poison without a quorum.
            Err(why) => scene.say(&format!("{} did not begin: {why}", act.fault.name)),
        };
        begin(scene, &step.first);
        let mut held = scene.wait(step.first.hold / 2);
        if let Some(second) = &step.second {
            begin(scene, second);
        }
        held = held.and(scene.wait(step.first.hold / 2));
        // Whatever goes wrong, the cluster is mended; an edge that has to start needs Kafka.
        let mut acts: Vec<&Act> = [&step.first].into_iter().chain(&step.second).collect();
        acts.sort_by_key(|act| act.fault.edges_end);
        for (place, act) in acts.into_iter().enumerate() {
            if place > 0 {
                held = held.and_then(|()| scene.wait(act.hold));
            }
            ended = scene.end(act.fault.name)?;
        }
        held?;
    }
    Ok((begun.ok_or_else(stopped)?, ended))
}

/// Processes that are not what they were, though this fault does nothing to them. Under random faults nobody knows.
fn restarted(before: &BTreeMap<String, u32>, after: &BTreeMap<String, u32>, fault: Option<&Fault>) -> Vec<String> {
    use super::faults::On;
    let touched = |name: &str| match fault {
        None => true,
        Some(fault) => {
            name.starts_with("edge") && fault.edges_end || name.starts_with("broker") && fault.on == On::Brokers
        }
    };
    let changed = before.iter().filter(|(name, pid)| after.get(*name) != Some(pid) && !touched(name));
    changed.map(|(name, _)| name.clone()).collect()
}

/// SUBSCRIBEs that were not resumed from memory, by edge; 0 of one that does not answer.
fn resumed(site: &Site) -> Vec<f64> {
    let ask = |admin| get(admin, "/metrics").map(|(_, text)| not_from_memory(&text)).unwrap_or(0.0);
    site.parts.admins.iter().map(|admin| ask(*admin)).collect()
}

fn not_from_memory(text: &str) -> f64 {
    metric(text, "klatsch_resume_total", "") - metric(text, "klatsch_resume_total", "\"memory\"")
}

/// How many more there are now; an edge that has started again counts from 0.
fn resumed_since(before: &[f64], site: &Site) -> u64 {
    let more = before.iter().zip(resumed(site)).map(|(before, now)| if now >= *before { now - before } else { now });
    more.sum::<f64>() as u64
}
