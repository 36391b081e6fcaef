//! klatsch's edge: browsers speak STOMP over WebSocket to it, every message is a record in Kafka.

pub mod admin;
pub mod auth;
pub mod config;
pub mod connection;
pub mod destination;
pub mod disconnect;
pub mod follower;
pub mod hub;
pub mod log;
pub mod metrics;
pub mod outbound;
pub mod page;
pub mod readiness;
pub mod server;
pub mod shutdown;
pub mod tail;
pub mod transport;
pub mod upgrade;
pub mod worker;
