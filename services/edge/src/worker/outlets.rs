//! A worker's ways out, behind the seam that connections see.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use uuid::Builder;

use crate::{
    chance,
    context::{AuthJob, Shell},
    follower_thread::FollowerInbox,
    log::{Log, NewRecord, Reason, Ticket},
    message::ToFollower,
    tokens::{Checked, TokenDesk},
};

/// Whether SENDs are let through. Set by the main thread, which watches the log's health.
#[derive(Debug, Default)]
pub struct LogGate {
    /// The log is away.
    pub away: AtomicBool,
    /// While it is away: one SEND may try.
    pub probe: AtomicBool,
}

/// Who somebody is, and what things are called: tokens, session ids, message ids.
pub trait Identities {
    /// Looks at a token for a connection of `worker`.
    fn check(&self, worker: usize, job: AuthJob) -> Checked;
    /// See [`Shell::session_id`].
    fn session_id(&self) -> String;
    /// See [`Shell::message_uuid`].
    fn message_uuid(&self) -> [u8; 16];
}

impl Identities for TokenDesk {
    fn check(&self, worker: usize, job: AuthJob) -> Checked {
        self.check(worker, job)
    }

    fn session_id(&self) -> String {
        crate::tokens::random_hex()
    }

    fn message_uuid(&self) -> [u8; 16] {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Builder::from_unix_timestamp_millis(ms, &chance::octets()).into_uuid().into_bytes()
    }
}

/// The other threads, as a worker sees them.
pub struct Outlets<L, I = TokenDesk> {
    /// Where records go.
    pub log: Arc<L>,
    /// Where questions about rooms go.
    pub follower: Arc<FollowerInbox>,
    /// Where tokens are looked at, and what new things are called.
    pub identities: Arc<I>,
    /// Whether the log is away.
    pub gate: Arc<LogGate>,
    /// The worker's number.
    pub worker: usize,
    /// Questions that found the follower's mailbox full. While there are any, no client is read whose frames could add
    /// to them, so they are bounded by what the connections already hold.
    pub unasked: VecDeque<ToFollower>,
}

impl<L: Log, I: Identities> Shell for Outlets<L, I> {
    fn publish(&mut self, record: NewRecord, ticket: Ticket) -> Result<(), Reason> {
        self.log.publish(record, ticket)
    }

    fn ask(&mut self, what: ToFollower) {
        self.unasked.push_back(what);
        self.ask_again();
    }

    fn ask_again(&mut self) -> bool {
        while let Some(what) = self.unasked.pop_front() {
            if let Err(what) = self.follower.commands.try_push(what) {
                self.unasked.push_front(what);
                return false;
            }
        }
        true
    }

    fn is_congested(&self) -> bool {
        !self.unasked.is_empty()
    }

    fn authenticate(&mut self, job: AuthJob) -> Checked {
        self.identities.check(self.worker, job)
    }

    fn session_id(&mut self) -> String {
        self.identities.session_id()
    }

    fn message_uuid(&mut self) -> [u8; 16] {
        self.identities.message_uuid()
    }

    fn is_log_away(&mut self) -> bool {
        self.gate.away.load(Ordering::Relaxed) && !self.gate.probe.swap(false, Ordering::Relaxed)
    }
}
