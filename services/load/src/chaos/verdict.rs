//! What `verify` says of a round's histories and of the topic.

use std::{
    env,
    fs::File,
    path::Path,
    process::{Command, Stdio},
};

use serde::Deserialize;

use super::{crowd, row::Row, scene::Site};

/// The records that a witness read before they were taken away.
pub(crate) const BEFORE: &str = "before.jsonl";
/// `verify`'s words.
const STORY: &str = "verify.txt";
/// The topic in which a promise was broken: the next fault may delete it.
const TOPIC: &str = "topic.jsonl";

/// `verify`'s report, as far as it is read here.
#[derive(Debug, Deserialize)]
pub(crate) struct Verdict {
    /// In all.
    pub(crate) violations: u64,
    /// By promise.
    pub(crate) rules: Vec<Checked>,
    whole: bool,
    statistics: Statistics,
    stories: Vec<Story>,
}

/// One promise.
#[derive(Debug, Deserialize)]
pub(crate) struct Checked {
    /// Its name.
    pub(crate) rule: String,
    /// How often it could have broken.
    pub(crate) checked: u64,
    /// How often it did.
    pub(crate) violations: u64,
}

#[derive(Debug, Deserialize)]
struct Statistics {
    trimmed: u64,
}

#[derive(Debug, Deserialize)]
struct Story {
    rule: String,
    what: String,
}

/// Verifies the histories of `crowds` processes; broken promises go into the row.
///
/// # Errors
/// It could not be verified.
pub(crate) fn pass(
    site: &Site,
    dir: &Path,
    crowds: usize,
    late_answers: bool,
    row: &mut Row,
) -> Result<Verdict, String> {
    let mut kafka = vec!["--kafka".to_owned(), site.parts.boot.clone()];
    for (name, value) in site.scripts.kafka_properties() {
        kafka.extend(["--kafka-property".to_owned(), format!("{name}={value}")]);
    }
    let mut args = [&["verify".to_owned()], &kafka[..]].concat();
    for file in (0..crowds).map(|n| crowd::history(dir, n)) {
        args.extend(["--history".to_owned(), file.display().to_string()]);
    }
    if late_answers {
        args.push("--late-answers".to_owned());
    }
    if dir.join(BEFORE).exists() {
        args.extend(["--dump".to_owned(), dir.join(BEFORE).display().to_string()]);
    }
    let json = run(&[&args[..], &["--json".to_owned()]].concat(), Stdio::piped())?;
    let verdict: Verdict = serde_json::from_slice(&json).map_err(|error| format!("verify: {error}"))?;
    row.violations = verdict.violations;
    if verdict.violations > 0 {
        run(&args, create(dir, STORY)?)?;
        run(&[&["dump".to_owned()], &kafka[..]].concat(), create(dir, TOPIC)?)?;
        row.misses.extend(verdict.stories.iter().map(|Story { rule, what }| format!("{rule} broke: {what}")));
    }
    if !verdict.whole {
        row.misses.push("a history stops in the middle".to_owned());
    }
    if verdict.statistics.trimmed > 0 {
        let trimmed = verdict.statistics.trimmed;
        row.misses.push(format!("{trimmed} receipts and messages are of records that nobody has read"));
    }
    Ok(verdict)
}

fn create(dir: &Path, name: &str) -> Result<Stdio, String> {
    File::create(dir.join(name)).map(Stdio::from).map_err(|error| format!("{name}: {error}"))
}

/// Runs one of our own commands. Exit code 1 is a verdict, too.
fn run(args: &[String], out: Stdio) -> Result<Vec<u8>, String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let run = Command::new(this).args(args).stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).output();
    let (output, command) = (run.map_err(|error| error.to_string())?, &args[0]);
    match output.status.code() {
        Some(0 | 1) => Ok(output.stdout),
        _ => Err(format!("{command}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
