//! From text to values, with bounds. A value is shown in a fault as Rust would quote it, so that no control character
//! reaches a terminal.

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use super::faults::Wrong;
use crate::destination::{Alias, BodyRule};

const KIB: u64 = 1024;

/// `65536`, `64KiB`, `1MiB`, `2GiB`.
pub(super) fn size(text: &str, bounds: RangeInclusive<u64>) -> Result<usize, Wrong> {
    let (digits, unit) = split_number(text);
    let factor = match unit {
        "" | "B" => Some(1),
        "KiB" => Some(KIB),
        "MiB" => Some(KIB * KIB),
        "GiB" => Some(KIB * KIB * KIB),
        _ => None,
    };
    let octets = digits.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    let range = format!("{} to {}", show_size(*bounds.start()), show_size(*bounds.end()));
    let Some(octets) = octets else {
        return Err(Wrong::new(format!("{text:?} is not a size"), format!("write {range}, such as 64KiB or 1MiB")));
    };
    let outside = || Wrong::new(format!("{text:?} is out of bounds"), format!("write {range}"));
    if !bounds.contains(&octets) {
        return Err(outside());
    }
    usize::try_from(octets).map_err(|_| outside())
}

/// `500ms`, `15s`, `2m`, `1h`.
pub(super) fn time(text: &str, bounds: RangeInclusive<Duration>) -> Result<Duration, Wrong> {
    let (digits, unit) = split_number(text);
    let factor = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let millis = digits.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    let range = format!("{} to {}", show_time(*bounds.start()), show_time(*bounds.end()));
    let Some(millis) = millis else {
        return Err(Wrong::new(format!("{text:?} is not a time"), format!("write {range}, such as 500ms, 15s or 2m")));
    };
    let time = Duration::from_millis(millis);
    if !bounds.contains(&time) {
        return Err(Wrong::new(format!("{text:?} is out of bounds"), format!("write {range}")));
    }
    Ok(time)
}

/// A plain number.
pub(super) fn number(text: &str, bounds: RangeInclusive<u32>) -> Result<u32, Wrong> {
    let range = format!("write a number from {} to {}", bounds.start(), bounds.end());
    match text.parse::<u32>() {
        Ok(number) if bounds.contains(&number) => Ok(number),
        Ok(_) => Err(Wrong::new(format!("{text:?} is out of bounds"), range)),
        Err(_) => Err(Wrong::new(format!("{text:?} is not a number"), range)),
    }
}

/// `HOST:PORT` where HOST is an address or `localhost`.
pub(super) fn address(text: &str) -> Result<SocketAddr, Wrong> {
    let localhost = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    if let Some(port) = localhost {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_| {
        let instead = match text.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()) {
            Some(port) => {
                format!("write 127.0.0.1:{port} for this machine only, 0.0.0.0:{port} or [::]:{port} for all")
            }
            None => "write ADDRESS:PORT, such as 127.0.0.1:8080 or 0.0.0.0:8080".to_owned(),
        };
        Wrong::new(format!("{text:?} is not an address with a port"), instead)
    })
}

/// `HOST:PORT,HOST:PORT`, each with a port.
pub(super) fn brokers(text: &str) -> Result<String, Wrong> {
    let is_broker = |broker: &str| {
        broker.rsplit_once(':').is_some_and(|(host, port)| {
            let host_ok = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c.is_control());
            host_ok && port.parse::<u16>().is_ok_and(|port| port != 0)
        })
    };
    let list: Vec<&str> = text.split(',').map(str::trim).collect();
    match list.iter().find(|broker| !is_broker(broker)) {
        Some(bad) => Err(Wrong::new(format!("{bad:?} is not HOST:PORT"), "write broker-1:9092,broker-2:9092")),
        None => Ok(list.join(",")),
    }
}

/// Kafka's rule for topics.
pub(super) fn topic(text: &str) -> Result<String, Wrong> {
    if name_is_plain(text, 249) && !matches!(text, "." | "..") {
        return Ok(text.to_owned());
    }
    let rule = "write 1 to 249 of A–Z a–z 0–9 . _ -, such as chat.events.v1";
    Err(Wrong::new(format!("{text:?} is not a Kafka topic"), rule))
}

/// A name that may stand in a group.id, a log line and a header.
pub(super) fn instance(text: &str) -> Result<String, Wrong> {
    if name_is_plain(text, 200) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("{text:?} cannot be an instance's name"),
        "write 1 to 200 of A–Z a–z 0–9 . _ -, such as edge-0",
    ))
}

/// An absolute path without anything that a URL would have to escape.
pub(super) fn ws_path(text: &str) -> Result<String, Wrong> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    let reserved = matches!(text, "/livez" | "/readyz" | "/startupz" | "/metrics");
    let shape_ok = text.len() > 1 && text.starts_with('/') && !text.ends_with('/') && !text.contains("//");
    if shape_ok && text.chars().all(plain) && !reserved {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("{text:?} is not a path for WebSockets"),
        "write an absolute path without a slash at its end, such as /ws",
    ))
}

/// Another name of rooms.
pub(super) fn alias(text: &str) -> Result<Alias, Wrong> {
    Alias::parse(text).ok_or_else(|| {
        let instead = "write a prefix with slashes at both ends, such as /app/, or a pattern such as /app/{room}/send";
        Wrong::new(format!("{text:?} cannot be another name of rooms"), instead)
    })
}

/// A destination whose room is in the body.
pub(super) fn by_body(text: &str) -> Result<BodyRule, Wrong> {
    BodyRule::parse(text).ok_or_else(|| {
        let instead = "write DEST=POINTER, not below /topic/ or /user/, such as /pub/chat/message=/roomId";
        Wrong::new(format!("{text:?} is not a destination with a JSON pointer"), instead)
    })
}

/// A header's or cookie's name (RFC 9110's token).
pub(super) fn token(text: &str) -> Result<String, Wrong> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !text.is_empty() && text.bytes().all(is_token) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("{text:?} cannot be a name here"), "write letters, digits and -, such as Authorization"))
}

/// One of a few words.
pub(super) fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, Wrong> {
    let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        Wrong::new(format!("{text:?} is not known"), format!("write {}", words.join(" or ")))
    })
}

/// How a switch is written in its variable.
pub(super) fn switch(text: &str) -> Result<bool, Wrong> {
    one_of(text, &[("true", true), ("false", false), ("1", true), ("0", false), ("yes", true), ("no", false)])
        .map_err(|Wrong(problem, _)| Wrong::new(problem, "write true or false"))
}

fn name_is_plain(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn split_number(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

fn show_size(octets: u64) -> String {
    show(octets, &[(KIB * KIB * KIB, "GiB"), (KIB * KIB, "MiB"), (KIB, "KiB"), (1, "")])
}

fn show_time(time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    show(millis, &[(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")])
}

/// In the largest unit that leaves nothing over.
fn show(value: u64, units: &[(u64, &str)]) -> String {
    let fits = |(factor, _): &&(u64, &str)| value.is_multiple_of(*factor) && (value > 0 || *factor == 1);
    units.iter().find(fits).map_or_else(|| value.to_string(), |(factor, unit)| format!("{}{unit}", value / factor))
}
