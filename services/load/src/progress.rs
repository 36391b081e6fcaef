//! The line that shows how a run goes.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::oneshot,
    time::{MissedTickBehavior, interval},
};

use crate::{
    client::Run,
    latency::{Figures, Latency},
};

/// Prints a line to stderr, every second on a terminal and every five elsewhere, until `done`. Returns all latencies.
pub async fn show(run: Arc<Run>, mut done: oneshot::Receiver<()>) -> Latency {
    let terminal = io::stderr().is_terminal();
    let every = Duration::from_secs(if terminal { 1 } else { 5 });
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let begun = Instant::now();
    let (mut all, mut before) = (Latency::new(), Snapshot::of(&run));
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = &mut done => break,
        }
        let (mut latency, now) = (run.latency.take(), Snapshot::of(&run));
        let line = line(&run, begun.elapsed(), &before, &now, &latency);
        // On a terminal each line takes the place of the one before.
        let line = if terminal { format!("\r\x1b[2K{line}") } else { line + "\n" };
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(line.as_bytes()).and_then(|()| stderr.flush());
        all.absorb(&mut latency);
        before = now;
    }
    if terminal {
        let _ = writeln!(io::stderr());
    }
    all.absorb(&mut run.latency.take());
    all
}

struct Snapshot {
    at: Instant,
    sent: u64,
    receipted: u64,
    delivered: u64,
}

impl Snapshot {
    fn of(run: &Run) -> Snapshot {
        let counters = &run.counters;
        let delivered = counters.delivered.get() + counters.foreign.get();
        Snapshot { at: Instant::now(), sent: counters.sent.get(), receipted: counters.receipted.get(), delivered }
    }
}

fn line(run: &Run, elapsed: Duration, before: &Snapshot, now: &Snapshot, latency: &Latency) -> String {
    let seconds = (now.at - before.at).as_secs_f64().max(1e-3);
    let rate = |from: u64, to: u64| (to - from) as f64 / seconds;
    let mut line = format!(
        "{:>4} s  {}/{} connected  {:.0} SENDs/s  {:.0} RECEIPTs/s  {:.0} deliveries/s",
        elapsed.as_secs(),
        run.counters.joined.get(),
        run.settings.connections,
        rate(before.sent, now.sent),
        rate(before.receipted, now.receipted),
        rate(before.delivered, now.delivered),
    );
    for (name, histogram) in [("receipt", &latency.receipt), ("delivery", &latency.delivery)] {
        if let Some(Figures { p50_ms, p99_ms, .. }) = Figures::of(histogram) {
            // Writing into a String cannot fail.
            let _ = write!(line, "  {name} p50 {p50_ms:.1} p99 {p99_ms:.1} ms");
        }
    }
    let broken: u64 = crate::checker::Kind::ALL.iter().map(|kind| run.checker.breaches().count(*kind)).sum();
    if broken > 0 {
        let _ = write!(line, "  BROKEN {broken}");
    }
    line
}
