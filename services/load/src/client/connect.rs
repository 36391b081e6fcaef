//! From a URL to CONNECTED.

use std::time::Duration;

use stomp_proto::{Command, ServerFrame, Version, frame::client::encode};
use tokio::time::{sleep, timeout};

use super::{
    Run,
    failure::{Failure, Reason},
    wire::{Input, Wire},
};

/// For TCP, upgrade and CONNECT together.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection on which STOMP was agreed.
pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) version: Version,
    /// We send a beat this often.
    pub(super) beat: Option<Duration>,
    /// The server sends something this often.
    pub(super) pulse: Option<Duration>,
    /// As the server calls us.
    pub(super) user: Option<String>,
    /// What it calls itself.
    pub(super) server: Option<String>,
}

pub(super) async fn connect(run: &Run, number: u32, url: usize) -> Result<Connection, Failure> {
    let late = |_| Failure::new(Reason::Silent, format!("no CONNECTED within {PATIENCE:?}"));
    // Boxed: it is much larger than what a client needs later.
    timeout(PATIENCE, Box::pin(agree(run, number, url))).await.map_err(late)?
}

async fn agree(run: &Run, number: u32, url: usize) -> Result<Connection, Failure> {
    let settings = &run.settings;
    let target = &settings.url[url];
    let mut wire = Wire::open(target, &settings.dialect.subprotocols).await?;
    let (send, receive) = settings.dialect.heart_beat;
    let heart_beat = format!("{send},{receive}");
    let bearer = run.tokens.get(number as usize % run.tokens.len().max(1)).map(|token| format!("Bearer {token}"));
    let soft = settings.soft_errors.then(|| "soft".to_owned());
    let optional = [
        ("login", settings.dialect.login.as_ref()),
        ("passcode", settings.dialect.passcode.as_ref()),
        ("Authorization", bearer.as_ref()),
        ("x-errors", soft.as_ref()),
    ];
    let headers = [
        ("accept-version", "1.2,1.1"),
        ("host", settings.dialect.stomp_host.as_deref().unwrap_or(&target.host)),
        ("heart-beat", &heart_beat),
    ];
    let headers =
        headers.into_iter().chain(optional.into_iter().filter_map(|(name, value)| Some((name, value?.as_str()))));
    let dead = |text| Failure::new(Reason::Stomp, text);
    wire.send(encode(Command::Connect, headers, b"", Version::V1_2)).map_err(dead)?;
    loop {
        match wire.next().await {
            Input::Frame(frame) if frame.command == Command::Connected => {
                let version = frame.headers.get("version").and_then(Version::parse).unwrap_or(Version::V1_0);
                let (beat, pulse) = agreed(settings.dialect.heart_beat, &frame);
                let text = |name| frame.headers.get(name).map(str::to_owned);
                return Ok(Connection { wire, version, beat, pulse, user: text("user-name"), server: text("server") });
            }
            Input::Frame(frame) if frame.command == Command::Error => return Err(Failure::error(&frame)),
            Input::Frame(frame) => return Err(dead(format!("{} instead of CONNECTED", frame.command.as_str()))),
            Input::Life | Input::Drained => {}
            Input::Closed(Ok(code)) => {
                return Err(Failure { hopeless: code >= 4500, ..dead(format!("closed with {code} before CONNECTED")) });
            }
            Input::Closed(Err(why)) => return Err(dead(format!("{why} before CONNECTED"))),
        }
    }
}

/// How often we and the server send, from what both offered and want.
fn agreed((send, receive): (u32, u32), connected: &ServerFrame) -> (Option<Duration>, Option<Duration>) {
    let pair = connected.headers.get("heart-beat").and_then(|pair| pair.split_once(','));
    let number = |text: &str| text.trim().parse::<u32>().unwrap_or(0);
    let (theirs, wanted) = pair.map_or((0, 0), |(send, receive)| (number(send), number(receive)));
    let every =
        |can: u32, wants: u32| (can != 0 && wants != 0).then(|| Duration::from_millis(u64::from(can.max(wants))));
    (every(send, wanted), every(theirs, receive))
}

pub(super) async fn probe(run: &Run, url: usize) -> Result<(), Failure> {
    let mut connection = connect(run, 0, url).await?;
    let goodbye = encode(Command::Disconnect, [("receipt", "probe")], b"", connection.version);
    let dead = |text| Failure::new(Reason::Stomp, text);
    connection.wire.send(goodbye).map_err(dead)?;
    // Whether and how it answers is no matter of a probe's.
    let goodbye = async { while !matches!(connection.wire.next().await, Input::Frame(_) | Input::Closed(_)) {} };
    tokio::select! {
        () = goodbye => {}
        () = sleep(Duration::from_secs(2)) => {}
    }
    Ok(())
}
