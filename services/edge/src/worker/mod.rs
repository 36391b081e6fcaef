//! A worker: one thread that owns connections. Workers share nothing; they are told things.
//!
//! | file | what |
//! |---|---|
//! | `event_loop.rs` | the thread: a `mio` loop with the poll, the clock, the mailboxes |
//! | `requests.rs`, `pipe.rs` | the same for sessions of HTTP requests: a task, and octets in memory instead of sockets |
//! | `core.rs` | the state: sockets are read, timers seen to |
//! | `mail.rs` | what follows from what the other threads say |
//! | `turn.rs` | one connection is handed something; at the end of the turn it gets its one write |
//! | `socket.rs` | what is needed of a socket |
//! | `mailboxes.rs`, `taken.rs`, `outlets.rs` | the ways in from the other threads, and out to them |
//! | `spares.rs` | what only busy connections own |
//! | `drain.rs` | everybody is sent to another edge: whose turn it is when |
//!
//! [`Core`] knows of no thread, clock or poll: `tests/simulation` drives many of them with sockets, mail and time of
//! its own.

mod core;
mod drain;
mod event_loop;
mod mail;
mod mailboxes;
mod outlets;
mod pipe;
mod requests;
mod socket;
mod spares;
mod taken;
mod turn;

pub use core::Core;
pub use event_loop::{BELL, Worker};
pub use mailboxes::{Authenticated, Control, Mailboxes, ReportsToWorkers};
pub use outlets::{Identities, LogGate, Outlets};
pub use pipe::{Over, PIPE_BYTES, Pipe, PipeSocket, Pipes};
pub use requests::{Reception, Requests};
pub use socket::ClientSocket;
pub use spares::Spares;

#[cfg(test)]
mod tests;
