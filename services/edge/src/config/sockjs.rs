//! SockJS's settings: sessions over XHR, and how their requests find the edge that holds them.

use clap::Args;

use super::{
    LogChoice,
    faults::{Collector, Wrong},
    values,
};

const KIB: u64 = 1024;

#[derive(Debug, Args)]
pub(super) struct SockJsFlags {
    /// Let SockJS clients without WebSocket poll. All requests of a session must reach the same edge, so auto means on
    /// with a public URL or with a log of this process's own, else off
    #[arg(
        long,
        env = "KLATSCH_SOCKJS_XHR",
        value_name = "auto|on|off",
        default_value = "auto",
        help_heading = "Addresses"
    )]
    pub(super) sockjs_xhr: String,
    /// Where clients reach this edge and no other, such as https://edge-0.chat.example: SockJS clients that poll go there,
    /// past the balancer; allow the origin of their pages
    #[arg(long, env = "KLATSCH_PUBLIC_URL", value_name = "URL", help_heading = "Addresses")]
    pub(super) public_url: Option<String>,
    /// Frames that a streaming response of SockJS holds until the client asks for the next one
    #[arg(
        long,
        env = "KLATSCH_SOCKJS_RESPONSE_BYTES",
        value_name = "SIZE",
        default_value = "128KiB",
        help_heading = "Limits"
    )]
    pub(super) sockjs_response_bytes: String,
}

/// What SockJS offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SockJsSettings {
    /// Sessions over XHR.
    pub xhr: bool,
    /// Where clients reach this edge and no other: an origin, and a path without a slash at its end.
    pub public_url: Option<String>,
    /// Octets of frames in a streaming response.
    pub response_bytes: usize,
}

pub(super) fn settings(flags: &SockJsFlags, log: &LogChoice, faults: &mut Collector) -> SockJsSettings {
    let xhr = faults.take("sockjs-xhr", &flags.sockjs_xhr, |text| {
        values::one_of(text, &[("auto", None), ("on", Some(true)), ("off", Some(false))])
    });
    let public_url = faults.take_some("public-url", flags.public_url.as_deref(), public_url);
    // Nobody else reads such a log, so that there is one edge.
    let alone = !matches!(log, LogChoice::Kafka { .. });
    let response_bytes = faults
        .take("sockjs-response-bytes", &flags.sockjs_response_bytes, |text| values::size(text, 4 * KIB..=KIB * KIB));
    SockJsSettings { xhr: xhr.unwrap_or(alone || public_url.is_some()), public_url, response_bytes }
}

/// `scheme://host[:port][/path]`, of characters that need no escape in JSON.
fn public_url(text: &str) -> Result<String, Wrong> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:[]%".contains(&b);
    let has_host = |rest: &str| !rest.starts_with(['/', ':']) && rest.bytes().all(plain) && !rest.is_empty();
    if rest.is_some_and(|rest| has_host(rest) && !rest.ends_with('/')) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("{text:?} is not a URL of an edge"),
        "write http or https, a host, and no slash at the end, such as https://edge-0.chat.example",
    ))
}
