//! A run of `chat`, in order: tokens, limits, a probe of each server, all clients, the timetable, the settling, the verdict.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
    task::JoinSet,
    time::{interval, sleep, timeout},
};

use crate::{
    checker::{Backlog, Checker},
    cli::ChatSettings,
    client::{self, Failure, Reason, Run, Transport},
    clock,
    counters::Counters,
    history::{self, Event, Recorder},
    latency::Shards,
    outcome::{Outcome, complain, could_not_run},
    progress,
    report::Report,
    timetable::Timetable,
};

/// How long a server may refuse connections before a run is given up.
const PROBE: Duration = Duration::from_secs(5);
/// How long the slowest client may take to join, after the last was started.
const JOINING: Duration = Duration::from_secs(30);
/// After the last SEND: without any movement for this long, what has not come is lost.
const STILL: Duration = Duration::from_secs(5);
/// An edge's, by default.
const SEND_TIMEOUT: Duration = Duration::from_secs(15);
/// The send time-out and two seconds (promise 5).
const ANSWER: Duration = Duration::from_secs(17);
/// For all goodbyes together.
const GOODBYE: Duration = Duration::from_secs(10);
/// Open files beside the connections.
const OTHER_FILES: u64 = 64;

/// Runs until the settings say so, or a signal.
pub fn run(settings: ChatSettings) -> Outcome {
    let tokens = match tokens(&settings) {
        Ok(tokens) => tokens,
        Err(why) => return could_not_run(&why),
    };
    if let Err(why) = allow_files(files(&settings)) {
        return could_not_run(&why);
    }
    let threads =
        settings.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get().min(2)));
    let runtime = runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(drive(settings, tokens, threads)).unwrap_or_else(|why| could_not_run(&why)),
        Err(error) => could_not_run(&format!("the threads cannot be started: {error}")),
    }
}

async fn drive(settings: ChatSettings, tokens: Vec<String>, threads: usize) -> Result<Outcome, String> {
    let cannot = |error: io::Error| format!("signals cannot be handled: {error}");
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut stop = std::pin::pin!(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    });

    let (end, ended) = watch::channel(false);
    let duration = Duration::from_secs(settings.seconds.into());
    let run = Arc::new(Run {
        id: getrandom::u32().map_err(|error| format!("no entropy: {error}"))?,
        timetable: Arc::new(Timetable::new(settings.rate, duration, settings.senders())),
        checker: Checker::new(settings.connections, settings.rooms, !settings.dialect.no_receipts),
        counters: Counters::default(),
        latency: Shards::new(2 * threads),
        recorder: settings.record.as_deref().map(recorder).transpose()?,
        end: ended,
        tokens,
        settings,
    });

    begin(&run);
    for url in 0..run.settings.url.len() {
        probe(&run, url).await?;
    }
    let mut clients = JoinSet::new();
    let (shown, done) = oneshot::channel();
    let shower = tokio::spawn(progress::show(Arc::clone(&run), done));
    tokio::select! {
        joined = join_all(&run, &mut clients) => joined?,
        () = &mut stop => return Err("ended before all clients had joined".to_owned()),
    }

    let begun = Instant::now();
    run.timetable.start().map_err(|error| format!("a thread cannot be started: {error}"))?;
    let stopped = tokio::select! {
        () = sleep(duration) => false,
        () = &mut stop => true,
    };
    let (seconds, due) = (begun.elapsed().as_secs_f64(), run.timetable.due_by(clock::now()));
    if stopped {
        run.timetable.stop();
        complain("\nstopped; waiting for what is on its way");
    } else {
        tokio::select! {
            () = settle(&run, due) => {}
            () = &mut stop => {}
        }
    }
    if stopped {
        settle(&run, 0).await;
    }
    run.timetable.stop();

    // Whatever comes too often still comes before the goodbye is confirmed.
    let _ = end.send(true);
    let _ = timeout(GOODBYE, async { while clients.join_next().await.is_some() {} }).await;
    clients.shutdown().await;
    let _ = shown.send(());
    let latency = shower.await.map_err(|error| format!("a task failed: {error}"))?;
    let overdue = clock::now().saturating_sub(ANSWER.as_nanos() as u64);
    let totals = run.checker.finish(overdue);
    let report = Report::new(&run, totals, &latency, seconds, due);
    print(&report, run.settings.json)?;
    if let Some(recorder) = Arc::into_inner(run).and_then(|run| run.recorder) {
        recorder.finish().map_err(|why| format!("the history is not whole: {why}"))?;
    }
    Ok(if report.held { Outcome::Held } else { Outcome::Broken })
}

fn recorder(path: &Path) -> Result<Recorder, String> {
    Recorder::create(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The history's first line.
fn begin(run: &Run) {
    let Some(recorder) = &run.recorder else { return };
    let settings = &run.settings;
    recorder.record(
        None,
        &Event::Run {
            run: run.id,
            pid: process::id(),
            version: history::VERSION,
            send_timeout_ms: SEND_TIMEOUT.as_millis() as u64,
            urls: settings.url.iter().map(|target| target.url.clone()).collect(),
            connections: settings.connections,
            rooms: settings.rooms,
            rate: settings.rate,
            receipts: !settings.dialect.no_receipts,
        },
    );
}

/// A first connection to each server, so that the common mistakes are named at once.
async fn probe(run: &Run, url: usize) -> Result<(), String> {
    let since = Instant::now();
    loop {
        let failure = match client::probe(run, url).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        let Failure { reason, text, .. } = &failure;
        // It may just be starting.
        let may_come = matches!(reason, Reason::Unreachable | Reason::Refused);
        if !may_come || since.elapsed() > PROBE {
            return Err(format!("{}: {text}\n  {}", run.settings.url[url].url, failure.advice()));
        }
        sleep(Duration::from_millis(250)).await;
    }
}

/// Starts all clients at the pace asked for, and waits until the last has joined.
async fn join_all(run: &Arc<Run>, clients: &mut JoinSet<()>) -> Result<(), String> {
    let wanted = run.settings.connections;
    let mut slices = interval(Duration::from_millis(20));
    let begun = Instant::now();
    let mut started = 0;
    while started < wanted {
        slices.tick().await;
        let by_now = (begun.elapsed().as_secs_f64() * f64::from(run.settings.ramp)).ceil();
        while started < wanted && f64::from(started) < by_now {
            clients.spawn(client::live(Arc::clone(run), started));
            started += 1;
        }
    }
    let since = Instant::now();
    loop {
        slices.tick().await;
        let joined = run.counters.joined.get();
        if joined >= wanted.into() {
            return Ok(());
        }
        if since.elapsed() > JOINING || clients.len() < wanted as usize {
            let counters = &run.counters;
            let (errors, reasons) = (counters.errors.first(), counters.reasons.first());
            let advice = match (&errors, &reasons) {
                (Some(_), _) => "see --destination-prefix, and what the token allows",
                (None, Some(_)) => "see --ramp, and the limits of the server (klatsch: --max-connections-per-address)",
                (None, None) => "a server that does not answer SUBSCRIBE with RECEIPT needs --no-barrier",
            };
            let why = errors.or(reasons).or(counters.closes.first()).unwrap_or_else(|| "no answer".to_owned());
            return Err(format!("only {joined} of {wanted} clients joined: {why}\n  {advice}"));
        }
        while clients.try_join_next().is_some() {}
    }
}

/// Waits until everything sent was answered and everything stored has reached everybody, or nothing moves any more.
async fn settle(run: &Run, due: u64) {
    let counters = &run.counters;
    let moved = || (counters.sent.get(), counters.receipted.get(), counters.refused.get(), counters.delivered.get());
    let mut ticks = interval(Duration::from_millis(50));
    let (mut last, mut since) = (moved(), Instant::now());
    let begun = Instant::now();
    loop {
        ticks.tick().await;
        let now = moved();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        let backlog = run.checker.backlog();
        if backlog == Backlog::default() && counters.sent.get() + counters.skipped.get() >= due {
            return;
        }
        // A SEND without answer has its own time.
        let answers = backlog.answers == 0 || begun.elapsed() > ANSWER;
        if since.elapsed() > STILL && answers {
            return;
        }
    }
}

/// Open files of a run: who reads over HTTP sends on a connection of its own.
fn files(settings: &ChatSettings) -> u64 {
    let by_post = settings.transport.iter().any(|transport| !matches!(transport, Transport::Stomp | Transport::Socket));
    u64::from(settings.connections) * if by_post { 2 } else { 1 } + OTHER_FILES
}

fn tokens(settings: &ChatSettings) -> Result<Vec<String>, String> {
    let Some(path) = &settings.token_file else { return Ok(settings.dialect.token.iter().cloned().collect()) };
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let tokens: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if tokens.is_empty() { Err(format!("{}: no token in it", path.display())) } else { Ok(tokens) }
}

/// Raises the limit of open files as far as it is needed.
fn allow_files(wanted: u64) -> Result<(), String> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if maximum.is_some_and(|maximum| maximum < wanted) {
        let maximum = maximum.unwrap_or_default();
        return Err(format!(
            "{wanted} open files are needed, {maximum} are allowed: raise `ulimit -Hn`, or split the run"
        ));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
        .map_err(|error| format!("{wanted} open files are needed: {error}"))
}

fn print(report: &Report, json: bool) -> Result<(), String> {
    let text = if json {
        serde_json::to_string(report).map_err(|error| format!("the result cannot be written: {error}"))?
    } else {
        report.to_string()
    };
    writeln!(io::stdout(), "{text}").map_err(|error| format!("the result cannot be written: {error}"))
}
