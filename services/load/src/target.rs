//! Where to connect: a URL as users write it.

use std::str::FromStr;

use tokio_tungstenite::tungstenite::http::Uri;

/// A WebSocket server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `ws://host:port/path?query`
    pub url: String,
    /// Name or address, without brackets.
    pub host: String,
    /// 80 if the URL names none.
    pub port: u16,
}

impl FromStr for Target {
    type Err = String;

    /// `http://` counts as `ws://`, and no path as `/ws`: so every URL that klatsch's commands print can be used.
    fn from_str(text: &str) -> Result<Target, String> {
        let uri: Uri = text.parse().map_err(|error| format!("{error}; it should look like ws://127.0.0.1:8080/ws"))?;
        match uri.scheme_str() {
            Some("ws" | "http") => {}
            Some("wss" | "https") => return Err("TLS is not spoken here; connect behind whatever ends it".to_owned()),
            _ => return Err("it must begin with ws://".to_owned()),
        }
        let Some(authority) = uri.authority() else { return Err("it names no host".to_owned()) };
        let path = match uri.path_and_query().map_or("/", |path| path.as_str()) {
            "/" => "/ws",
            path => path,
        };
        Ok(Target {
            url: format!("ws://{authority}{path}"),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn takes_what_people_write() {
        for (text, url, host, port) in [
            ("ws://127.0.0.1:8080/ws", "ws://127.0.0.1:8080/ws", "127.0.0.1", 8080),
            ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/ws", "127.0.0.1", 8080),
            ("ws://edge/stomp/websocket?token=x", "ws://edge/stomp/websocket?token=x", "edge", 80),
            ("ws://[::1]:9/ws", "ws://[::1]:9/ws", "::1", 9),
        ] {
            let target = Target { url: url.to_owned(), host: host.to_owned(), port };
            assert_eq!(text.parse(), Ok(target), "{text}");
        }
        for text in ["", "127.0.0.1:8080", "wss://edge/ws", "ftp://edge/", "/ws"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
