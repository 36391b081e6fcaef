//! The HTTP side over real TCP: a server on port 0, plain sockets as clients, a sink in place of the workers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bounds;
mod exhaustion;
mod gates;
mod handshake;
mod page;
mod polling;
mod probes;
mod shutdown;
mod support;
