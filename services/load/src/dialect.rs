//! How a STOMP server is spoken to: where rooms are, who we are, what it is asked to confirm.

use clap::Args;

/// What differs between STOMP servers; as flags, the same for every command that connects to one.
#[derive(Debug, Clone, Args)]
pub struct Dialect {
    /// A token, sent as `Authorization: Bearer …` with CONNECT
    #[arg(long, value_name = "TOKEN", help_heading = "Who")]
    pub token: Option<String>,
    /// CONNECT's login
    #[arg(long, value_name = "NAME", help_heading = "Who")]
    pub login: Option<String>,
    /// CONNECT's passcode
    #[arg(long, value_name = "TEXT", help_heading = "Who")]
    pub passcode: Option<String>,
    /// In front of a room's name in SUBSCRIBE and SEND
    #[arg(long, default_value = "/topic/", value_name = "PREFIX", help_heading = "STOMP")]
    pub destination_prefix: String,
    /// In front of a room's name in SEND, where that differs
    #[arg(long, value_name = "PREFIX", help_heading = "STOMP")]
    pub send_prefix: Option<String>,
    /// A room's name, before its number
    #[arg(long, default_value = "load-", value_name = "TEXT", help_heading = "STOMP")]
    pub room_prefix: String,
    /// SEND without asking for a RECEIPT: only what somebody got is known to be stored
    #[arg(long, help_heading = "STOMP")]
    pub no_receipts: bool,
    /// SUBSCRIBE without asking for a RECEIPT: a client counts as subscribed one second later
    #[arg(long, help_heading = "STOMP")]
    pub no_barrier: bool,
    /// What to offer and to want, in milliseconds; 0: none
    #[arg(long, default_value = "10000,10000", value_name = "SEND,RECEIVE", value_parser = heart_beat, help_heading = "STOMP")]
    pub heart_beat: (u32, u32),
    /// CONNECT's host [default: the URL's]
    #[arg(long, value_name = "NAME", help_heading = "STOMP")]
    pub stomp_host: Option<String>,
    /// WebSocket subprotocols to offer; empty: none
    #[arg(long, default_value = "v12.stomp, v11.stomp, v10.stomp", value_name = "LIST", help_heading = "STOMP")]
    pub subprotocols: String,
}

impl Dialect {
    /// klatsch's, without beats and without RECEIPTs for SENDs: for measuring nothing but messages.
    pub(crate) fn quiet() -> Dialect {
        Dialect {
            token: None,
            login: None,
            passcode: None,
            destination_prefix: "/topic/".to_owned(),
            send_prefix: None,
            room_prefix: "load-".to_owned(),
            no_receipts: true,
            no_barrier: false,
            // A server that is asked for a beat a day sends no pings instead.
            heart_beat: (0, 86_400_000),
            stomp_host: None,
            subprotocols: "v12.stomp".to_owned(),
        }
    }
}

fn heart_beat(text: &str) -> Result<(u32, u32), String> {
    let pair = text.split_once(',').and_then(|(send, receive)| Some((send.parse().ok()?, receive.parse().ok()?)));
    pair.ok_or_else(|| "two numbers of milliseconds, such as 10000,10000".to_owned())
}
