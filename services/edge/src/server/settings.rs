//! What the HTTP side is told.

use std::net::SocketAddr;
use std::time::Duration;

use crate::rooms::RequestBounds;
use crate::sockjs::XhrSettings;

/// What the HTTP side needs to know. All bounds hold for the public listener and the one for STOMP together.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Where browsers connect; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where probes and metrics are asked for.
    pub admin: SocketAddr,
    /// Where clients speak STOMP straight on TCP; `None`: nowhere.
    pub stomp: Option<SocketAddr>,
    /// The base paths: each upgrades to WebSocket, and has SockJS below it.
    pub websocket_paths: Vec<String>,
    /// What SockJS sessions over XHR are bound by; `None`: there are none.
    pub xhr: Option<XhrSettings>,
    /// Where clients reach this edge and no other.
    pub public_url: Option<String>,
    /// One more base path, whose clients get back what they send, for conformance suites.
    pub echo_path: Option<String>,
    /// Whether rooms are served over plain HTTP, as streams of events and on plain WebSockets.
    pub http_api: bool,
    /// What requests for rooms are bound by.
    pub requests: RequestBounds,
    /// Whether the pages are served: the chat at `/`, the four ways into a room at `/compare`.
    pub page: bool,
    /// Whether an upgrade is refused that offers subprotocols and none of ours (stomp.md W02).
    pub strict: bool,
    /// Open connections at most, upgraded or not.
    pub max_connections: usize,
    /// Open connections at most from one IPv4 address or one IPv6 /64 network; 0 means no such bound. The address is
    /// the TCP peer's: behind a proxy this is the proxy.
    pub max_per_address: usize,
    /// Connections at most that speak HTTP and that nobody has let in.
    pub max_half_open: usize,
    /// New sessions a second, after a burst of ten times as many; 0 means no such bound.
    pub admit_rate: u32,
    /// How long a drain may take.
    pub grace: Duration,
    /// A request's head must be complete within this time; an idle HTTP connection is closed after it.
    pub header_timeout: Duration,
    /// A connection must be upgraded, let in or done within this time.
    pub http_lifetime: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            stomp: None,
            websocket_paths: vec!["/ws".to_owned()],
            xhr: None,
            public_url: None,
            echo_path: None,
            http_api: true,
            requests: RequestBounds::default(),
            page: false,
            strict: false,
            max_connections: 50_000,
            max_per_address: 0,
            max_half_open: 2_048,
            admit_rate: 0,
            grace: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            http_lifetime: Duration::from_secs(60),
        }
    }
}
