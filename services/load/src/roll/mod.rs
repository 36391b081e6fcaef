//! `roll`: every edge of a cluster is replaced under load, as a Deployment would do it, and what the clients noticed of it.
//!
//! | file | what |
//! |---|---|
//! | `settings.rs` | the flags |
//! | `site.rs` | the cluster, through `deploy/local/cluster` |
//! | `crew.rs` | the load: `chat --record` through the balancer |
//! | `replace.rs` | a new edge, and an old one's end |
//! | `balancer.rs` | what HAProxy knows of the edges |
//! | `moves.rs` | where every client was, and when |
//! | `judge.rs` | the demands, and whether each was met |

mod balancer;
mod crew;
mod judge;
mod moves;
mod replace;
pub mod settings;
mod site;

use std::{
    collections::VecDeque,
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use crate::{
    chaos::{crowd, markdown, now, report::measured, row, row::Row, verdict},
    cli::Switch,
    outcome::{Outcome, complain, could_not_run},
    stop::Stop,
};
use crew::Crew;
use judge::{COLUMNS, Demand, Facts};
use moves::Moves;
use replace::Replaced;
use settings::RollSettings;
use site::Cluster;

/// How the crowd chats before the first edge goes.
const QUIET: Duration = Duration::from_secs(3);

/// Runs what the settings say.
pub fn run(settings: &RollSettings) -> Outcome {
    play(settings).unwrap_or_else(|why| could_not_run(&why))
}

fn play(settings: &RollSettings) -> Result<Outcome, String> {
    if settings.surge > settings.edges {
        return Err("--surge: at most as many as there are edges".to_owned());
    }
    let stop = Stop::on_signals().map_err(|error| format!("signals cannot be handled: {error}"))?;
    replace::adopt()?;
    let dir = directory(settings)?;
    complain(&format!("roll: histories and logs: {}", dir.display()));
    let rolled = roll(settings, &dir, &stop);
    let good = matches!(&rolled, Ok(demands) if !demands.iter().any(Demand::failed));
    if good && !settings.keep || stop.asked() {
        // What cannot be removed is only in the way.
        let _ = fs::remove_dir_all(&dir);
    } else {
        complain(&format!("roll: histories and logs are kept in {}", dir.display()));
    }
    let demands = rolled?;
    tell(settings, &demands)?;
    Ok(if good { Outcome::Held } else { Outcome::Broken })
}

/// The cluster is gone when this returns.
fn roll(settings: &RollSettings, dir: &Path, stop: &Stop) -> Result<Vec<Demand>, String> {
    let cluster = Cluster::up(settings, dir, stop)?;
    let mut crew = Crew::start(settings, &cluster, dir)?;
    crew.say(format!("{} sessions have joined", settings.sessions));
    crew.wait(QUIET)?;
    let replaced = replace_all(settings, &cluster, &mut crew)?;
    crew.say("all edges are new".to_owned());
    let wrong = crew.close()?;

    complain("roll: verify");
    let mut row = Row::default();
    let verdict = verdict::pass(&cluster.site, dir, 1, false, &mut row)?;
    row.misses.iter().chain(&wrong).for_each(|miss| complain(&format!("roll: {miss}")));
    let mut moves = Moves::default();
    moves.read(&crowd::history(dir, 0))?;
    keep_logs(dir);
    let (recovered, not) = moves.recovered;
    complain(&format!(
        "roll: {} notices, {recovered} resumptions ({not} not), {} attempts refused",
        moves.notices, moves.refused
    ));
    let (sessions, grace) = (settings.sessions, Duration::from_secs(settings.grace));
    let (verdict, moves, replaced) = (&verdict, &moves, &replaced[..]);
    let mut demands = Facts { sessions, grace, strict: !settings.any_time, verdict, moves, replaced }.judge();
    demands.extend(judge::others(&[row.misses, wrong].concat()));
    Ok(demands)
}

fn replace_all(settings: &RollSettings, cluster: &Cluster, crew: &mut Crew<'_>) -> Result<Vec<Replaced>, String> {
    let mut free: VecDeque<usize> = (settings.edges + 1..=cluster.slots).collect();
    let (mut started, mut replaced) = (0, Vec::new());
    for old in 1..=settings.edges {
        while started < settings.edges.min(old - 1 + settings.surge) {
            let slot = free.pop_front().ok_or("no place for a new edge")?;
            replace::start(cluster, crew, slot)?;
            started += 1;
        }
        replaced.push(replace::stop(cluster, crew, old, Duration::from_secs(settings.grace))?);
        free.push_back(old);
    }
    Ok(replaced)
}

fn tell(settings: &RollSettings, demands: &[Demand]) -> Result<(), String> {
    let rows: Vec<Vec<String>> = demands.iter().map(Demand::cells).collect();
    let stdout = |error: io::Error| format!("stdout: {error}");
    write!(io::stdout(), "{}", row::table(&COLUMNS, &rows)).map_err(stdout)?;
    let Some(file) = &settings.write else { return Ok(()) };
    let head: Vec<&str> = COLUMNS.into_iter().chain(["when"]).collect();
    let measured = measured();
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| [row, vec![measured.clone()]].concat()).collect();
    let section = if settings.notices == Switch::On { "roll" } else { "roll-1012" };
    markdown::write(file, section, &head, &rows)
}

/// The logs of the edges and of HAProxy; the rest of the cluster's state goes with the cluster.
fn keep_logs(dir: &Path) {
    let entries = fs::read_dir(dir.join("state/cluster")).into_iter().flatten().filter_map(Result::ok);
    for log in entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "log")) {
        if let Some(name) = log.file_name() {
            // The verdict matters more than a log that is gone.
            let _ = fs::copy(&log, dir.join(name));
        }
    }
}

fn directory(settings: &RollSettings) -> Result<PathBuf, String> {
    let unique = || env::temp_dir().join(format!("klatsch-roll-{}-{}", now() / 1_000_000, process::id()));
    let dir = settings.dir.clone().unwrap_or_else(unique);
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    dir.canonicalize().map_err(|error| format!("{}: {error}", dir.display()))
}
