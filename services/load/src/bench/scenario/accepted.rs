//! Row 17: what a STOMP session costs until it is subscribed, beside the raw baseline, and which step costs how much.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Scenario, check};
use crate::bench::{
    meter::{Meter, Spent},
    row::{Row, Spread, short},
    server::Server,
    sessions::Sessions,
    settings::BaselineKind,
    stage::{EdgeLog, Stage},
    targets,
};

pub(super) const ACCEPTED: Scenario = Scenario {
    name: "accepted",
    what: "CPU per session from TCP to the RECEIPT of SUBSCRIBE, step by step",
    rows: &["17"],
    quick: false,
    kafka: false,
    run: rows,
};

/// Sessions of a round: fewer than the edge allows to be between accept and upgrade.
const SESSIONS: usize = 1_500;
/// Until a server is taken to be done with what it was given.
const SETTLED: Duration = Duration::from_millis(300);

/// Row 17.
///
/// # Errors
/// A server does not start, or refuses a session.
pub(crate) fn rows(stage: &Stage) -> Result<Vec<Row>, String> {
    let edge = stage.edge(&EdgeLog::Memory, &[])?;
    let raw = stage.baseline(BaselineKind::Raw)?;
    // Code and heap are warm after the first.
    for server in [&edge, &raw] {
        opened(server)?;
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..stage.rounds().max(3) {
        check(stage)?;
        ours.push(opened(&edge)?);
        theirs.push(opened(&raw)?);
    }
    let steps = by_step(&edge)?;
    let ratios = Spread::of(ours.iter().zip(&theirs).map(|(edge, raw)| edge / raw));
    let (Some(us), Some(raw_us), Some(ratio)) = (Spread::of(ours), Spread::of(theirs), ratios) else {
        return Err("no round".to_owned());
    };
    let figure = format!("{} us ({}–{})", short(us.median), short(us.min), short(us.max));
    let row = Row::judged(&targets::SESSION_CPU, "memory log, --auth open", us.median);
    Ok(vec![row.measured(figure, format!("{} us", short(raw_us.median))).ratio(ratio).note(steps)])
}

/// Microseconds per session, all steps, a window of sessions after the other.
fn opened(server: &Server) -> Result<f64, String> {
    let mut sessions = Sessions::new(&server.target)?;
    let spent = spent(server.meter(), || sessions.open(SESSIONS, 0, |session| format!("own-{session}")))?;
    sessions.drop_all();
    thread::sleep(SETTLED);
    Ok(spent.cpu_us / SESSIONS as f64)
}

/// Each step for all sessions before the next step: in words, by the threads that do it.
fn by_step(server: &Server) -> Result<String, String> {
    let mut sessions = Sessions::new(&server.target)?;
    let (meter, all) = (server.meter(), 0..SESSIONS);
    let steps = [
        ("TCP", spent(meter, || sessions.connect(SESSIONS).map(drop))?),
        ("upgrade", spent(meter, || sessions.upgrade(all.clone()))?),
        ("CONNECT", spent(meter, || sessions.hello(all.clone(), 0))?),
        ("SUBSCRIBE", spent(meter, || sessions.subscribe(all.clone(), "sub-0", |session| format!("own-{session}")))?),
    ];
    let told = steps.map(|(step, spent)| {
        let each = |us: f64| us / SESSIONS as f64;
        let threads = spent.threads.iter().filter(|(_, us)| each(**us) >= 0.5);
        let threads: Vec<_> = threads.map(|(name, us)| format!("{name} {:.0}", each(*us))).collect();
        format!("{step} {:.0} us ({})", each(spent.cpu_us), threads.join(", "))
    });
    Ok(told.join("; "))
}

/// What a process spends on something, up to when it rests again.
fn spent<T>(meter: Meter, act: impl FnOnce() -> Result<T, String>) -> Result<Spent, String> {
    let read = || meter.read().map_err(|error| format!("CPU: {error}"));
    let before = read()?;
    act()?;
    let begin = Instant::now();
    let mut last = read()?;
    while begin.elapsed() < SETTLED {
        thread::sleep(Duration::from_millis(10));
        let now = read()?;
        if now.since(&last).cpu_us < 50.0 {
            return Ok(now.since(&before));
        }
        last = now;
    }
    Ok(last.since(&before))
}
