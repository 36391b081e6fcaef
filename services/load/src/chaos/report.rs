//! All rows together: what is printed at the end, and what goes into a document.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use super::{
    faults::ALL,
    judge::spread,
    kafka_defaults, markdown,
    row::{COLUMNS, Row, Spread, seconds, table},
    scripts::Scripts,
    settings::ChaosSettings,
};
use crate::outcome::complain;

const RUNS: [&str; 8] =
    ["fault", "runs", "violations", "detect p50", "detect max", "recover p50", "recover max", "measured"];
const RANDOM: [&str; 8] = ["seed", "minutes", "rounds", "violations", "SENDs", "MESSAGEs", "reconnects", "measured"];

/// What a whole run showed.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
    random: Option<(u64, Duration)>,
}

impl Report {
    /// The rows are rounds of random faults.
    pub(super) fn random(&mut self, seed: u64) {
        self.random = Some((seed, Duration::ZERO));
    }

    /// So long they have gone on.
    pub(super) fn lasted(&mut self, time: Duration) {
        if let Some((_, lasted)) = &mut self.random {
            *lasted = time;
        }
    }

    /// Another row, which is shown at once.
    pub(super) fn add(&mut self, row: Row) {
        let verdict = if row.is_good() { "ok" } else { "FAILED" };
        complain(&format!("{}: {verdict}: {}", row.name, row.cells()[1..].join(" | ")));
        row.notes().iter().for_each(|note| complain(note));
        self.rows.push(row);
    }

    /// Every row is.
    pub(super) fn is_good(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(Row::is_good)
    }

    /// All of it, on standard output.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn print(&self) -> Result<(), String> {
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.cells().to_vec()).collect();
        let mut text = table(&COLUMNS, &rows);
        let runs = self.runs("");
        if !runs.is_empty() {
            let _ = write!(text, "\n{}", table(&RUNS, &runs));
        }
        if let Some(random) = self.summary("") {
            let _ = write!(text, "\n{}", table(&RANDOM, &[random]));
        }
        self.rows.iter().flat_map(Row::notes).for_each(|note| _ = write!(text, "\n{note}"));
        writeln!(io::stdout(), "{}", text.trim_end()).map_err(|error| format!("stdout: {error}"))
    }

    /// Rows into a document: those of single faults, of repeated ones, of random ones.
    ///
    /// # Errors
    /// The document has no place for them, or cannot be written.
    pub(super) fn write(&self, file: &Path) -> Result<(), String> {
        let measured = measured();
        if let Some(random) = self.summary(&measured) {
            return markdown::write(file, "random", &RANDOM, &[random]);
        }
        let runs = self.runs(&measured);
        if !runs.is_empty() {
            return markdown::write(file, "runs", &RUNS, &runs);
        }
        let head: Vec<&str> = COLUMNS.into_iter().chain(["measured"]).collect();
        let rows: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.cells().into_iter().chain([measured.clone()]).collect()).collect();
        markdown::write(file, "faults", &head, &rows)
    }

    /// Distributions of the faults that were played more than once.
    fn runs(&self, measured: &str) -> Vec<Vec<String>> {
        if self.random.is_some() {
            return Vec::new();
        }
        let mut names: Vec<&str> = self.rows.iter().map(|row| row.name.as_str()).collect();
        names.dedup();
        let runs = names.into_iter().filter_map(|name| {
            let rows: Vec<&Row> = self.rows.iter().filter(|row| row.name == name).collect();
            (rows.len() > 1).then(|| {
                let detect = spread(rows.iter().filter_map(|row| row.detect).collect());
                let recover = spread(rows.iter().filter_map(|row| row.recover).collect());
                let figure = |spread: Option<Spread>, of: fn(Spread) -> u64| {
                    spread.map_or_else(|| "–".to_owned(), |spread| seconds(of(spread)))
                };
                let name = if kafka_defaults() { format!("{name}, Kafka's defaults") } else { name.to_owned() };
                vec![
                    name,
                    rows.len().to_string(),
                    rows.iter().map(|row| row.violations).sum::<u64>().to_string(),
                    figure(detect, |spread| spread.p50),
                    figure(detect, |spread| spread.max),
                    figure(recover, |spread| spread.p50),
                    figure(recover, |spread| spread.max),
                    measured.to_owned(),
                ]
            })
        });
        runs.collect()
    }

    fn summary(&self, measured: &str) -> Option<Vec<String>> {
        let (seed, lasted) = self.random?;
        let sum = |of: fn(&Row) -> u64| self.rows.iter().map(of).sum::<u64>().to_string();
        Some(vec![
            seed.to_string(),
            (lasted.as_secs() / 60).to_string(),
            self.rows.len().to_string(),
            sum(|row| row.violations),
            sum(|row| row.sends),
            sum(|row| row.messages),
            sum(|row| row.reconnects),
            measured.to_owned(),
        ])
    }
}

/// Every fault, what it does, and what may happen.
///
/// # Errors
/// The scripts are not there.
pub(super) fn list(settings: &ChaosSettings) -> Result<(), String> {
    let scripts = Scripts::new(&settings.scripts, std::env::temp_dir().join("klatsch-chaos-list.log"))?;
    let known = scripts.faults()?;
    let mut text = String::new();
    for fault in &ALL {
        let (hold, what) = known.get(fault.name).map_or((0, "?"), |(hold, what)| (hold.as_secs(), what.as_str()));
        let _ = writeln!(text, "{} ({hold} s)\n    {what}\n    expected: {}", fault.name, fault.expectation());
    }
    write!(io::stdout(), "{text}").map_err(|error| format!("stdout: {error}"))
}

/// When, on what, of what.
pub(crate) fn measured() -> String {
    let ask = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success());
        output.map_or_else(|| "?".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    let (date, commit) = (ask("date", &["-u", "+%F"]), ask("git", &["describe", "--always", "--dirty", "--exclude=*"]));
    format!("{date}, {commit}, {cores} cores")
}
