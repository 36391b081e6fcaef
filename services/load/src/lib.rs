//! Load for a STOMP server over WebSocket, and the checks of what klatsch promises.
//!
//! One process, one clock: every SEND carries the time at which it was due, every client checks what it gets while it
//! gets it. Nothing here knows an edge from the inside; all it sees is the wire, or the topic.
//!
//! | to find | look in |
//! |---|---|
//! | commands and flags | [`cli`] |
//! | a run of `chat`, from the first connection to the verdict | [`chat`] |
//! | when which client sends (open loop) | [`timetable`] |
//! | one client: connecting, sending, receiving, coming back | [`client`] |
//! | what a SEND's body says | [`payload`] |
//! | what clients did and saw, as JSON lines | [`history`] |
//! | loss, duplicates, order, receipts | [`checker`] |
//! | what is counted and measured | [`counters`], [`latency`] |
//! | what is printed | [`progress`], [`report`] |
//! | `dump`: a topic as JSON lines | [`dump`] |
//! | `verify`: histories against the topic | [`mod@verify`] |
//! | `chaos`: faults on a cluster, and what became of the promises | [`chaos`] |
//! | `roll`: every edge replaced under load, and what clients noticed of it | [`roll`] |
//! | `bench`: what a delivery, a connection, a room costs, against baselines | [`mod@bench`] |

pub mod bench;
pub mod chaos;
pub mod chat;
pub mod checker;
pub mod cli;
pub mod client;
pub mod clock;
pub mod counters;
pub mod dialect;
pub mod dump;
pub mod history;
mod http;
pub mod latency;
pub mod outcome;
pub mod payload;
pub mod plot;
pub mod progress;
pub mod report;
pub mod roll;
mod stop;
pub mod target;
pub mod timetable;
pub mod verify;
