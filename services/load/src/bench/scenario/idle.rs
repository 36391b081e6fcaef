//! S0 and row 7: what an idle session costs in processor time, with nothing but heart-beats both ways.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Scenario, check};
use crate::bench::{
    meter::Reading,
    row::{Row, short},
    server::Server,
    sessions::Sessions,
    stage::{EdgeLog, Stage},
    targets::{self, Goal},
};

pub(super) const IDLE: Scenario = Scenario {
    name: "idle",
    what: "S0: CPU of 10,000 idle sessions with heart-beats",
    rows: &["7"],
    quick: false,
    kafka: false,
    run: rows,
};

const SESSIONS: usize = 10_000;
/// Beats that are due within this time are written together.
const STEP: Duration = Duration::from_millis(2);

/// Row 7, for both periods.
///
/// # Errors
/// The edge does not start, or ends a session.
pub(crate) fn rows(stage: &Stage) -> Result<Vec<Row>, String> {
    [(&targets::IDLE_CPU_25, 25), (&targets::IDLE_CPU_10, 10)]
        .map(|(goal, period)| row(stage, goal, period))
        .into_iter()
        .collect()
}

fn row(stage: &Stage, goal: &'static Goal, period: u64) -> Result<Row, String> {
    let edge = stage.edge(&EdgeLog::Memory, &[])?;
    let mut sessions = Sessions::new(&edge.target)?;
    let period = Duration::from_secs(period);
    let step = period.div_f64(SESSIONS as f64);
    // Opened evenly over one period, so that the beats of both sides lie evenly in it.
    let begin = Instant::now();
    let milliseconds = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    while sessions.len() < SESSIONS {
        check(stage)?;
        let due = (begin.elapsed().div_duration_f64(step) as usize).min(SESSIONS);
        if due > sessions.len() {
            sessions.open(due - sessions.len(), milliseconds, |session| format!("own-{session}"))?;
        }
        thread::sleep(STEP);
    }
    sessions.stop_waiting()?;
    let mut beats = Beats { sessions, begin, step, next: SESSIONS, octets: 0, latest: 0 };
    // The first period in which all beat: not measured.
    beats.go_on(period, stage)?;
    let (before, sent, received) = (read(&edge)?, beats.next, beats.octets);
    beats.latest = 0;
    beats.go_on(stage.settings.seconds.map_or(period, Duration::from_secs).max(period), stage)?;
    let spent = read(&edge)?.since(&before);
    let each = spent.cpu_us / SESSIONS as f64 / spent.wall.as_secs_f64();
    let (sent, received) = (beats.next - sent, (beats.octets - received) / 3);
    let wanted = SESSIONS as f64 * spent.wall.div_duration_f64(period);
    // An edge that beats less often than was agreed would be cheap, and so would one that reads many beats at a time.
    let silent = (received as f64 <= wanted * 0.9).then(|| format!("{received} beats of the edge, {wanted:.0} agreed"));
    let late = beats.latest > SESSIONS / 50;
    let late = late.then(|| format!("the generator was up to {} beats late", beats.latest));
    let threads: Vec<_> = spent.threads.iter().filter(|(_, us)| **us > spent.cpu_us / 100.0).collect();
    let threads: Vec<_> =
        threads.iter().map(|(name, us)| format!("{name} {:.0} %", **us * 100.0 / spent.cpu_us)).collect();
    let note =
        format!("{sent} beats in, {received} out in {} s; {}", short(spent.wall.as_secs_f64()), threads.join(", "));
    Ok(Row::judged(goal, &format!("{SESSIONS} sessions"), each).note(note).unless(silent.or(late)))
}

fn read(edge: &Server) -> Result<Reading, String> {
    edge.meter().read().map_err(|error| format!("the edge's CPU: {error}"))
}

/// The beats of all clients, one session after another for ever.
struct Beats {
    sessions: Sessions,
    begin: Instant,
    step: Duration,
    /// The number of the next beat, counted from the opening of the first session.
    next: usize,
    /// Octets that came from the server.
    octets: usize,
    /// How many beats were written at a time, at most.
    latest: usize,
}

impl Beats {
    /// Writes every beat when it is due, for so long.
    fn go_on(&mut self, time: Duration, stage: &Stage) -> Result<(), String> {
        let end = self.begin.elapsed() + time;
        while self.begin.elapsed() < end {
            check(stage)?;
            let due = self.begin.elapsed().div_duration_f64(self.step) as usize;
            self.latest = self.latest.max(due.saturating_sub(self.next));
            while self.next <= due {
                let session = self.next % SESSIONS;
                self.octets += self.sessions.drain(session)?;
                self.sessions.beat(session)?;
                self.next += 1;
            }
            thread::sleep(STEP);
        }
        Ok(())
    }
}
