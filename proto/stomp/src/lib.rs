//! STOMP 1.0, 1.1 and 1.2: the server's side of a connection, as plain state.
//!
//! This crate never does I/O, never reads a clock, never starts a thread and never blocks: bytes and the time come in as
//! arguments, events and bytes come out. `no_std` and a single dependency let the compiler vouch for that. It knows no
//! transport, no room, no log and no user either; what a frame *means* is its owner's business.
//!
//! | to find | look in |
//! |---|---|
//! | a connection from CONNECT to DISCONNECT | [`Session`], `session.rs`; every transition in `session/dispatch.rs` |
//! | what it reports | [`Event`], `event.rs`; its parts in `frame/client.rs` |
//! | grammar and limits of what comes in | `decode.rs`, `head.rs` |
//! | the form of what goes out | [`encode`], `escape.rs` |
//! | headers, and names that are never forwarded | [`Headers`], [`is_reserved`], `header.rs` |
//! | subscriptions, delivery windows, transactions | `subscription.rs`, `transaction.rs` |
//! | heart-beats | [`HeartBeatPolicy`], `heart_beat.rs` |
//! | faults | [`ProtocolError`], `error.rs` |
//! | the client's side, for tests and load | [`frame::client::encode`], [`frame::server::ServerDecoder`] |
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use stomp_proto::{Accept, Config, Event, Session};
//!
//! let now = Duration::ZERO;
//! let mut session = Session::new(Arc::new(Config::default()), now);
//! session.handle_input(b"CONNECT\naccept-version:1.2\n\n\0SEND\ndestination:/topic/tea\n\nhello\0", now)?;
//!
//! let Some(Event::Connect(connect)) = session.poll_event()? else { panic!("CONNECT comes first") };
//! assert_eq!(connect.version.as_str(), "1.2");
//! session.accept(Accept { session: "s1", user: None, headers: &[] }, now);
//! assert!(session.poll_transmit().is_some_and(|frame| frame.starts_with(b"CONNECTED\nversion:1.2\n")));
//!
//! let Some(Event::Send(send)) = session.poll_event()? else { panic!("then SEND") };
//! assert_eq!(send.destination, "/topic/tea");
//! assert_eq!(&send.body[..], b"hello");
//! # Ok::<(), stomp_proto::ProtocolError>(())
//! ```
#![no_std]

extern crate alloc;

mod config;
mod decode;
pub mod encode;
mod error;
mod escape;
mod event;
pub mod frame;
mod head;
mod header;
mod heart_beat;
mod session;
mod subscription;
mod text;
mod transaction;
mod version;

pub use config::{Config, Limits, Profile};
pub use error::{ErrorKind, ProtocolError};
pub use event::{Acked, Event};
pub use frame::{
    Command,
    client::{AckMode, Connect, Send, Subscribe},
    server::{Accept, ErrorFrame, MessageFrame, ServerDecoder, ServerFrame},
};
pub use header::{Headers, is_reserved};
pub use heart_beat::HeartBeatPolicy;
pub use session::{Session, Transmit};
pub use subscription::SubscriptionHandle;
pub use text::Text;
pub use version::Version;

/// The examples of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
