//! `chaos`: faults on a real cluster, under load, and what became of the promises.
//!
//! Outside the cluster's namespace one process starts the cluster and keeps the table; inside another one plays a round.
//! Neither does a fault itself: `deploy/local/fault` does.
//!
//! | file | what |
//! |---|---|
//! | `faults.rs` | what may happen because of each fault |
//! | `settings.rs` | the flags |
//! | `stage.rs`, `scripts.rs` | the cluster, and the scripts that own it |
//! | `round.rs`, `scene.rs` | a round: load, fault, recovery, verdict |
//! | `crowd.rs` | the load, which is `chat --record` |
//! | `seen.rs`, `probe.rs` | what clients saw, what edges said |
//! | `witness.rs` | the topic, read while a fault takes records away |
//! | `measure.rs`, `judge.rs`, `verdict.rs` | what was disturbed for how long; what should not have happened; what `verify` says |
//! | `random.rs` | a seed's faults |
//! | `row.rs`, `report.rs`, `markdown.rs` | the tables |

pub(crate) mod crowd;
mod faults;
mod judge;
pub(crate) mod markdown;
pub(crate) mod measure;
mod probe;
mod random;
pub(crate) mod report;
mod round;
pub(crate) mod row;
pub(crate) mod scene;
pub(crate) mod scripts;
pub(crate) mod seen;
pub mod settings;
mod stage;
pub(crate) mod verdict;
mod witness;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant, SystemTime},
};

use crate::{
    outcome::{Outcome, complain, could_not_run},
    stop::Stop,
};
use report::Report;
use settings::ChaosSettings;
use stage::Stage;

/// Runs what the settings say.
pub fn run(settings: &ChaosSettings) -> Outcome {
    let result = match &settings.round {
        Some(dir) => round::run(settings, dir).map(|()| Outcome::Held).inspect_err(|why| stage::write_why(dir, why)),
        None if settings.faults == ["list"] => report::list(settings).map(|()| Outcome::Held),
        None => play_all(settings),
    };
    result.unwrap_or_else(|why| could_not_run(&why))
}

fn play_all(settings: &ChaosSettings) -> Result<Outcome, String> {
    let wanted = wanted(settings)?;
    let stop = Stop::on_signals().map_err(|error| format!("signals cannot be handled: {error}"))?;
    let dir = directory(settings)?;
    complain(&format!("histories and logs: {}", dir.display()));
    let mut stage = Stage::new(settings, &dir, stop.clone())?;
    let mut report = Report::default();
    let played = match wanted {
        Wanted::Faults(faults) => play_faults(&faults, settings, &dir, &stop, &mut stage, &mut report),
        Wanted::Random(seed) => play_random(seed, settings, &dir, &stop, &mut stage, &mut report),
    };
    // What has been seen is told, whatever came then.
    let ended = stage.end();
    // A directory with anything in it is there because somebody should look.
    let _ = fs::remove_file(dir.join("cluster.log")).and_then(|()| fs::remove_dir(&dir));
    report.print()?;
    played.and(ended)?;
    if let Some(file) = &settings.write {
        report.write(file)?;
    }
    Ok(if report.is_good() { Outcome::Held } else { Outcome::Broken })
}

enum Wanted {
    Faults(Vec<faults::Fault>),
    Random(u64),
}

fn wanted(settings: &ChaosSettings) -> Result<Wanted, String> {
    let names: Vec<&str> = settings.faults.iter().map(String::as_str).collect();
    match names[..] {
        ["random"] => {
            let seed = || getrandom::u32().map(u64::from).map_err(|error| format!("no entropy: {error}"));
            Ok(Wanted::Random(settings.seed.map_or_else(seed, Ok)?))
        }
        // Those that need another cluster come last, so that it is made once.
        ["all"] => {
            let mut all: Vec<_> = faults::ALL.iter().map(|fault| round::find(fault.name)).collect::<Result<_, _>>()?;
            all.sort_by_key(|fault| fault.secure);
            Ok(Wanted::Faults(all))
        }
        _ => names.iter().map(|name| round::find(name)).collect::<Result<_, _>>().map(Wanted::Faults),
    }
}

fn play_faults(
    faults: &[faults::Fault],
    settings: &ChaosSettings,
    dir: &Path,
    stop: &Stop,
    stage: &mut Stage<'_>,
    report: &mut Report,
) -> Result<(), String> {
    for fault in faults {
        for run in 1..=settings.runs {
            if stop.asked() {
                return Ok(());
            }
            let dir = dir.join(format!("{}-{run}", fault.name));
            let row = stage.play(&[fault.name.to_owned()], fault.secure, settings.seed, &dir)?;
            if !stop.asked() {
                report.add(row);
            }
        }
    }
    Ok(())
}

fn play_random(
    seed: u64,
    settings: &ChaosSettings,
    dir: &Path,
    stop: &Stop,
    stage: &mut Stage<'_>,
    report: &mut Report,
) -> Result<(), String> {
    complain(&format!("the seed is {seed}"));
    let (begun, time) = (Instant::now(), Duration::from_secs(settings.minutes * 60));
    report.random(seed);
    for round in 1.. {
        if stop.asked() || begun.elapsed() >= time {
            break;
        }
        let dir = dir.join(format!("random-{seed}-{round}"));
        let row = stage.play(&["random".to_owned(), round.to_string()], false, Some(seed), &dir)?;
        report.add(row);
        report.lasted(begun.elapsed());
    }
    Ok(())
}

fn directory(settings: &ChaosSettings) -> Result<PathBuf, String> {
    let unique = || env::temp_dir().join(format!("klatsch-chaos-{}-{}", now() / 1_000_000, process::id()));
    let dir = settings.dir.clone().unwrap_or_else(unique);
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    dir.canonicalize().map_err(|error| format!("{}: {error}", dir.display()))
}

/// Microseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Brokers with Kafka's own time-outs: the variable that `kafka-local` reads.
fn kafka_defaults() -> bool {
    env::var_os("KAFKA_DEFAULTS").is_some_and(|value| !value.is_empty())
}
