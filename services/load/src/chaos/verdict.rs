//! What `verify` says of a round's histories and of the topic.

use std::{
    env,
    fs::File,
    path::Path,
    process::{Command, Stdio},
};

use super::{row::Row, scene::Site, settings::ChaosSettings};

/// Dumps the topic and verifies; broken promises and the story go into the row.
///
/// # Errors
/// It could not be verified.
pub(super) fn pass(site: &Site, _settings: &ChaosSettings, dir: &Path, row: &mut Row) -> Result<(), String> {
    let dump = dir.join("topic.jsonl");
    load(&["dump", "--kafka", &site.parts.boot], dir, "topic.jsonl")?;
    row.story.push(format!("dump {}", dump.display()));
    Ok(())
}

fn load(args: &[&str], dir: &Path, out: &str) -> Result<(), String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let out = File::create(dir.join(out)).map_err(|error| format!("{}: {error}", dir.display()))?;
    let output = Command::new(this).args(args).stdin(Stdio::null()).stdout(out).stderr(Stdio::piped()).output();
    let output = output.map_err(|error| format!("klatsch-load: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
