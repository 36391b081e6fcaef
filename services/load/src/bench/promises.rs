//! No row is met by weakening a promise: a small `chat` runs beside the load, every message of it is checked, and where the
//! log is Kafka's its history is judged by what lies in the topic.

use std::{
    env,
    path::Path,
    process::{Command, Output, Stdio},
};

use super::{
    crowd::Tally,
    server::Server,
    stage::{EdgeLog, Stage},
};

/// What the chat is: few clients, all of them talking, with RECEIPTs and keys.
const CHAT: [&str; 10] =
    ["--connections", "40", "--rooms", "8", "--rate", "40", "--room-prefix", "promise-", "--threads", "1"];

/// What was seen.
pub(crate) struct Kept {
    /// Of the load.
    pub(crate) tally: Tally,
    /// The promise that broke.
    pub(crate) broken: Option<String>,
    /// What was checked, in words.
    pub(crate) checked: String,
}

/// Puts the load on the server, with a chat beside it.
///
/// # Errors
/// The chat, or `verify`, cannot run.
pub(crate) fn beside(
    stage: &Stage,
    server: &Server,
    log: &EdgeLog,
    load: impl FnOnce() -> Result<Tally, String>,
) -> Result<Kept, String> {
    let program = env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let history = stage.dir().join(format!("chat-{}.jsonl", server.pid()));
    let seconds = stage.round().as_secs().to_string();
    let mut chat = Command::new(&program);
    chat.args(["chat", "--json", "--keys", "--url", &server.target.url, "--seconds", &seconds]).args(CHAT);
    chat.arg("--record").arg(&history);
    // Its threads inherit our core.
    let chat = chat.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let chat = chat.map_err(|error| format!("chat: {error}"))?;
    let tally = load();
    let ended = chat.wait_with_output().map_err(|error| format!("chat: {error}"))?;
    let tally = tally?;
    let mut broken = verdict("chat", &ended)?;
    let mut checked = "promises checked by chat".to_owned();
    if let EdgeLog::Kafka { brokers, topic } = log {
        let judged = verify(&program, &history, brokers, topic)?;
        broken = broken.or(verdict("verify", &judged)?);
        checked.push_str(" and verify");
    }
    Ok(Kept { tally, broken, checked })
}

fn verify(program: &Path, history: &Path, brokers: &str, topic: &str) -> Result<Output, String> {
    let mut verify = Command::new(program);
    verify.arg("verify").arg("--history").arg(history).args(["--kafka", brokers, "--topic", topic, "--json"]);
    verify.stdin(Stdio::null()).output().map_err(|error| format!("verify: {error}"))
}

fn verdict(what: &str, ended: &Output) -> Result<Option<String>, String> {
    match ended.status.code() {
        Some(0) => Ok(None),
        Some(1) => Ok(Some(format!("{what}: a promise broke: {}", String::from_utf8_lossy(&ended.stdout).trim()))),
        _ => Err(format!("{what} could not run: {}", String::from_utf8_lossy(&ended.stderr).trim())),
    }
}
