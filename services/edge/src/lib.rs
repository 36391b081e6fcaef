//! klatsch's edge: browsers speak STOMP over WebSocket to it, every message is a record in one Kafka topic, and every
//! edge reads the whole topic and delivers to the clients it holds. An edge keeps no state worth saving.
//!
//! The way of a SEND, file by file:
//!
//! | step | file |
//! |---|---|
//! | accept, HTTP, upgrade | [`server`], [`sockjs`], [`rooms`], [`upgrade`] |
//! | octets of a socket, one turn of a loop | [`worker`] |
//! | WebSocket, SockJS, or a bare stream → STOMP | [`transport`], then the crate `stomp-proto` |
//! | what the frame does; rights, room | [`connection`], [`auth`], [`destination`] |
//! | into the log, acknowledged → RECEIPT | [`log`], back in [`connection`] |
//! | out of the log: order, repeats, rooms, who wants it | [`follower_thread`], [`follower`], [`repeats`], [`tail`] |
//! | what the tail does not hold any more | [`looker`] |
//! | to everybody in the room: encoded once, queued | [`hub`], [`frames`] |
//! | one write per connection | [`outbound`] |
//!
//! Around it: [`config`] every setting, [`disconnect`] every ending, [`readiness`] and [`admin`] what probes see,
//! [`metrics`], [`shutdown`], [`page`], [`compare`]; [`spare`] and [`moment`] keep idle connections small, [`chance`] makes ids cheap.
//!
//! What it never does: join a consumer group, commit an offset, evaluate anything a client wrote, wait for a client,
//! queue without a bound, or hold a lock, a task, a channel or a timer per connection (a client that polls is no connection:
//! its requests have what hyper gives each of them, and a lock that nobody else wants).

pub mod admin;
pub mod auth;
pub mod chance;
pub mod compare;
pub mod config;
pub mod connection;
pub mod context;
mod cors;
pub mod destination;
pub mod disconnect;
pub mod edge;
pub mod follower;
pub mod follower_thread;
pub mod frames;
pub mod hub;
pub mod inbox;
pub mod index;
pub mod log;
pub mod logging;
pub mod looker;
pub mod message;
pub mod metrics;
pub mod moment;
pub mod outbound;
pub mod page;
pub mod problem;
pub mod readiness;
pub mod repeats;
mod ring;
pub mod rooms;
pub mod send_rate;
pub mod server;
pub mod shutdown;
pub mod sockjs;
pub mod spare;
pub mod tail;
pub mod timer;
pub mod tokens;
pub mod traces;
pub mod transport;
pub mod upgrade;
pub mod worker;

pub use edge::{Exit, run};
