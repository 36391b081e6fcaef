//! SockJS 0.3.3 against a real edge: requests and WebSocket frames octet by octet (`stomp.md` J01–J21, P01, P20), and
//! the real client.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../kit/mod.rs"]
mod kit;

mod bounds;
mod client;
mod echo;
mod http;
mod polling;
mod streaming;
mod support;
mod websocket;
