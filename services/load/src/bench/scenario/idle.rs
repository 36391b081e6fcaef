//! S0 and row 7: what an idle session costs in processor time, with nothing but heart-beats both ways.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Scenario, check};
use crate::bench::{
    meter::{Reading, Spent},
    row::{Row, Spread, short},
    server::Server,
    sessions::Sessions,
    settings::BaselineKind,
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
    let period = Duration::from_secs(period);
    let edge = stage.edge(&EdgeLog::Memory, &[])?;
    let own = spend(stage, &edge, period)?;
    drop(edge);
    let least = spend(stage, &stage.baseline(BaselineKind::Beats)?, period)?;
    let (us, least_us) = (own.each(), least.each());
    // An edge that beats less often than was agreed would be cheap.
    let wanted = SESSIONS as f64 * own.spent.wall.div_duration_f64(period);
    let silent = (own.received as f64 <= wanted * 0.9)
        .then(|| format!("{} beats of the edge, {wanted:.0} agreed", own.received));
    let row = Row::judged(goal, &format!("{SESSIONS} sessions"), us).unless(silent.or(own.late).or(least.late));
    let row = row.measured(format!("{} us", short(us)), format!("{} us", short(least_us)));
    let ratio = us / least_us;
    let note = format!(
        "{} beats in, {} out in {} s; baseline: a read and a write for each, no protocol",
        own.sent,
        own.received,
        short(own.spent.wall.as_secs_f64())
    );
    Ok(row.ratio(Spread { median: ratio, min: ratio, max: ratio }).note(note))
}

/// What a server spent on beats.
struct Cost {
    spent: Spent,
    sent: usize,
    received: usize,
    /// Why it means nothing.
    late: Option<String>,
}

impl Cost {
    /// Microseconds per session and second.
    fn each(&self) -> f64 {
        self.spent.cpu_us / SESSIONS as f64 / self.spent.wall.as_secs_f64()
    }
}

/// Sessions with an edge, or mere connections with a baseline, and their beats.
fn spend(stage: &Stage, server: &Server, period: Duration) -> Result<Cost, String> {
    let mut sessions = Sessions::new(&server.target)?;
    let step = period.div_f64(SESSIONS as f64);
    // Opened evenly over one period, so that the beats of both sides lie evenly in it; after that all of them beat.
    let begin = Instant::now();
    let milliseconds = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    while sessions.len() < SESSIONS {
        check(stage)?;
        let due = (begin.elapsed().div_duration_f64(step) as usize).min(SESSIONS);
        match due.saturating_sub(sessions.len()) {
            0 => {}
            more if server.admin.is_some() => {
                sessions.open(more, milliseconds, |session| format!("own-{session}"))?;
            }
            more => {
                sessions.connect(more)?;
            }
        }
        thread::sleep(STEP);
    }
    sessions.stop_waiting()?;
    let mut beats = Beats { sessions, begin, step, next: SESSIONS, octets: 0, latest: 0 };
    // Those that were opened first have waited for a period: their beats are due at once.
    beats.go_on(period / 10, stage)?;
    let (before, sent, received) = (read(server)?, beats.next, beats.octets);
    beats.latest = 0;
    // They lie evenly, so half of them are as good as all.
    beats.go_on(stage.settings.seconds.map_or(period / 2, Duration::from_secs).max(period / 2), stage)?;
    let spent = read(server)?.since(&before);
    // Who reads many beats at a time is cheap, too.
    let late = beats.latest > SESSIONS / 50;
    let late = late.then(|| format!("the generator was up to {} beats late", beats.latest));
    Ok(Cost { spent, sent: beats.next - sent, received: (beats.octets - received) / 3, late })
}

fn read(server: &Server) -> Result<Reading, String> {
    server.meter().read().map_err(|error| format!("{}: CPU: {error}", server.name))
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
