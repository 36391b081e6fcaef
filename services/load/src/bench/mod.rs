//! `bench`: what the machine allows, and how near klatsch comes to it. Every figure is held against a baseline of the same
//! run; the baselines are servers of this program.
//!
//! | file | what |
//! |---|---|
//! | `settings.rs` | the flags |
//! | `targets.rs`, `row.rs` | what is demanded; what came out |
//! | `stage.rs`, `server.rs`, `place.rs` | servers under test, and the cores they run on |
//! | `baseline/` | the raw loop; tungstenite as most use it, and at its best |
//! | `crowd.rs` | the clients |
//! | `sessions.rs` | clients that take one step at a time |
//! | `readers.rs` | clients that read over HTTP |
//! | `meter.rs` | CPU and memory of a process |
//! | `heap.rs` | calls of malloc of a server |
//! | `contest.rs` | servers under the same load in turn |
//! | `promises.rs` | a chat beside the load, judged as always |
//! | `outside.rs` | the load on a server that runs already |
//! | `kafka.rs`, `foreign.rs`, `fleet.rs` | brokers and what they cost; events of other edges; several edges at once |
//! | `fit.rs` | a law through measured points |
//! | `scenario/` | which load gives which row |

pub mod baseline;
mod contest;
mod crowd;
mod fit;
mod fleet;
mod foreign;
mod heap;
mod kafka;
mod meter;
mod outside;
mod place;
mod promises;
mod readers;
mod row;
mod scenario;
mod server;
mod sessions;
pub mod settings;
mod stage;
mod targets;

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    time::Instant,
};

use crate::outcome::{Outcome, complain, could_not_run};
use row::{Row, table};
use scenario::Scenario;
use settings::BenchSettings;
use stage::Stage;

/// Runs what the settings say.
pub fn run(settings: &BenchSettings) -> Outcome {
    let result = match (&settings.url, &settings.what[..]) {
        (Some(target), _) => outside::run(settings, target),
        (None, [word]) if word == "list" => list(),
        _ => measure(settings),
    };
    result.unwrap_or_else(|why| could_not_run(&why))
}

fn measure(settings: &BenchSettings) -> Result<Outcome, String> {
    let words = if settings.what.is_empty() { vec!["all".to_owned()] } else { settings.what.clone() };
    let wanted = scenario::wanted(&words)?;
    let stage = Stage::new(settings.clone(), words == ["quick"])?;
    let mut rows = Vec::new();
    let (begun, mut failed) = (Instant::now(), None);
    for scenario in wanted {
        complain(&format!("{} ({:.0} s): {}", scenario.name, begun.elapsed().as_secs_f64(), scenario.what));
        match (scenario.run)(&stage) {
            Ok(more) => rows.extend(more),
            Err(why) if stage.stop.asked() => return finish(settings, &rows, Some(why)),
            // The others are worth measuring all the same.
            Err(why) => {
                let why = format!("{}: {why}", scenario.name);
                complain(&why);
                failed = failed.or(Some(why));
            }
        }
    }
    if words == ["all"] {
        let measured = |number| scenario::ALL.iter().any(|scenario| scenario.rows.contains(&number));
        rows.extend(targets::ALL.iter().filter(|goal| !measured(goal.number)).map(|goal| Row::outside(goal)));
    }
    finish(settings, &rows, failed)
}

/// What has been measured is told, whatever came then.
fn finish(settings: &BenchSettings, rows: &[Row], failed: Option<String>) -> Result<Outcome, String> {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| targets::place(row.number));
    let rows: Vec<Row> = rows.into_iter().cloned().collect();
    print(&rows, settings.json)?;
    if let Some(file) = &settings.write {
        write(file, &rows)?;
    }
    match failed {
        Some(why) => Err(why),
        None if rows.iter().any(Row::fails) => Ok(Outcome::Broken),
        None => Ok(Outcome::Held),
    }
}

fn print(rows: &[Row], json: bool) -> Result<(), String> {
    let text = if json {
        serde_json::to_string_pretty(rows).map_err(|error| format!("the rows cannot be written: {error}"))?
    } else {
        table(rows)
    };
    writeln!(io::stdout(), "{}", text.trim_end()).map_err(|error| format!("the table cannot be written: {error}"))
}

/// The table as a file of its own, or the rows among those between `<!-- bench -->` and `<!-- end -->` of one that has these
/// lines.
fn write(file: &Path, rows: &[Row]) -> Result<(), String> {
    let known = fs::read_to_string(file).ok().and_then(|text| {
        let (old, _) = text.split_once("<!-- bench -->\n")?.1.split_once("<!-- end -->")?;
        replaced(&text, "bench", &row::merged(old, rows))
    });
    fs::write(file, known.unwrap_or_else(|| table(rows))).map_err(|error| format!("{}: {error}", file.display()))
}

/// The text with `content` between `<!-- SECTION -->` and the next `<!-- end -->`; `None` where there is no such section.
fn replaced(text: &str, section: &str, content: &str) -> Option<String> {
    let marker = format!("<!-- {section} -->\n");
    let (before, rest) = text.split_once(&marker)?;
    let (_, after) = rest.split_once("<!-- end -->")?;
    Some(format!("{before}{marker}{content}<!-- end -->{after}"))
}

/// What can be asked for, and what is demanded.
fn list() -> Result<Outcome, String> {
    let mut text = String::from("Scenarios:\n");
    for Scenario { name, what, rows, quick, kafka, .. } in scenario::ALL {
        let marks = match (quick, kafka) {
            (true, _) => " (quick)",
            (_, true) => " (Kafka)",
            _ => "",
        };
        text.push_str(&format!("  {name:<16} rows {:<12} {what}{marks}\n", rows.join(", ")));
    }
    text.push_str("\nRows:\n");
    let rows: Vec<Row> = targets::ALL.iter().map(|goal| Row::outside(goal)).collect();
    text.push_str(&row::demands(&rows));
    writeln!(io::stdout(), "{}", text.trim_end()).map_err(|error| error.to_string())?;
    Ok(Outcome::Held)
}
