//! As much of STOMP as the crowd speaks.

/// A client's frame.
#[derive(Debug, PartialEq, Eq)]
enum Said<'a> {
    /// Answered with [`CONNECTED`].
    Connect,
    /// Answered with a [`receipt`].
    Subscribe {
        /// The room.
        destination: &'a str,
        /// What to answer with.
        receipt: Option<&'a str>,
    },
    /// Relayed as a [`message`].
    Send {
        /// The room.
        destination: &'a str,
        /// What to answer with.
        receipt: Option<&'a str>,
        /// What is said.
        body: &'a str,
    },
    /// A beat, or what nobody here understands.
    Other,
}

/// The answer to CONNECT.
const CONNECTED: &str = "CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0";

/// Reads a frame that came as one WebSocket message.
fn read(frame: &str) -> Said<'_> {
    let Some((head, rest)) = frame.split_once("\n\n") else { return Said::Other };
    let mut lines = head.lines();
    let command = lines.next().unwrap_or_default();
    let header = |name: &str| {
        let mut lines = lines.clone();
        lines.find_map(|line| line.split_once(':').filter(|(found, _)| *found == name).map(|(_, value)| value))
    };
    let (destination, receipt) = (header("destination").unwrap_or_default(), header("receipt"));
    match command {
        "CONNECT" | "STOMP" => Said::Connect,
        "SUBSCRIBE" => Said::Subscribe { destination, receipt },
        "SEND" => Said::Send { destination, receipt, body: rest.trim_end_matches('\0') },
        _ => Said::Other,
    }
}

/// What a client's frame is answered with. `join` and `relay` do in `rooms` what it asks for: with the destination, and with
/// the destination and the body.
pub(super) fn answer<R>(
    frame: &str,
    rooms: &mut R,
    join: impl FnOnce(&mut R, &str),
    relay: impl FnOnce(&mut R, &str, &str),
) -> Option<String> {
    match read(frame) {
        Said::Connect => Some(CONNECTED.to_owned()),
        Said::Subscribe { destination, receipt } => {
            join(rooms, destination);
            receipt.map(self::receipt)
        }
        Said::Send { destination, receipt, body } => {
            relay(rooms, destination, body);
            receipt.map(self::receipt)
        }
        Said::Other => None,
    }
}

/// A RECEIPT.
fn receipt(id: &str) -> String {
    format!("RECEIPT\nreceipt-id:{id}\n\n\0")
}

/// A MESSAGE of subscription 0.
pub(super) fn message(destination: &str, number: u64, body: &str) -> String {
    format!(
        "MESSAGE\nsubscription:0\nmessage-id:{number}\ndestination:{destination}\ncontent-type:text/plain\n\n{body}\0"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_crowd_says_is_understood() {
        assert_eq!(read("CONNECT\naccept-version:1.2\n\n\0"), Said::Connect);
        let subscribe = read("SUBSCRIBE\nid:0\ndestination:/topic/a\nreceipt:join\n\n\0");
        assert_eq!(subscribe, Said::Subscribe { destination: "/topic/a", receipt: Some("join") });
        let send = read("SEND\ndestination:/topic/a\ncontent-length:2\n\nhi\0");
        assert_eq!(send, Said::Send { destination: "/topic/a", receipt: None, body: "hi" });
        assert_eq!(read("\n"), Said::Other);
        assert!(message("/topic/a", 7, "hi").ends_with("\n\nhi\0"));
    }
}
