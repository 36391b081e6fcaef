//! What a connection may use while it handles something: time, settings, the hub, and the way out to the other threads.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use stomp_proto::Headers;

use crate::{
    auth::{CredentialSettings, UpgradeCredentials},
    destination::Destinations,
    hub::Hub,
    log::{NewRecord, Reason, Ticket},
    message::ToFollower,
    metrics::Metrics,
    send_rate::SendRate,
    tokens::Checked,
    worker::Spares,
};

/// What all connections of an edge have in common.
pub struct Settings {
    /// Limits, heart-beats and habits of the STOMP session.
    pub stomp: Arc<stomp_proto::Config>,
    /// The largest STOMP frame, in octets.
    pub stomp_frame_bytes: usize,
    /// Where tokens may stand: none of these headers ever reaches a room.
    pub credentials: CredentialSettings,
    /// Which destination is which room.
    pub destinations: Destinations,
    /// The pinned partition count.
    pub partitions: i32,
    /// This edge's name; every record says where it came from.
    pub instance: String,
    /// SENDs of one connection that may be under way at once.
    pub max_receipts: usize,
    /// How fast one user may send; `None`: as fast as it can.
    pub send_rate: Option<SendRate>,
    /// A client that takes nothing and has this much waiting gets nothing more queued.
    pub outbound_bytes: usize,
    /// What was read from the log for one session and has not been queued yet may hold this much.
    pub replay_bytes: usize,
    /// How long a SEND may take to meet its outcome.
    pub send_timeout: Duration,
    /// A frame that has begun must be complete after this long, however slowly it comes.
    pub frame_timeout: Duration,
    /// How often a client that asked for no heart-beats is pinged, so that proxies keep its connection (`stomp.md` B09).
    pub ping_every: Duration,
    /// How long a client may take nothing at all.
    pub stuck_timeout: Duration,
}

/// A token to be looked at, on a thread that may take its time.
#[derive(Debug)]
pub struct AuthJob {
    /// The connection's slot.
    pub connection: usize,
    /// The slot's generation.
    pub generation: u32,
    /// What the upgrade request carried.
    pub credentials: UpgradeCredentials,
    /// The id that the session will have.
    pub session: String,
    /// CONNECT's headers.
    pub headers: Headers,
}

/// The way out of the plain state: log, follower, token check, chance. The worker is one; a simulation can be another.
pub trait Shell {
    /// Queues a record; see [`crate::log::Log::publish`].
    fn publish(&mut self, record: NewRecord, ticket: Ticket) -> Result<(), Reason>;
    /// Asks the follower. Never lost: what has no room waits at the worker, see [`Shell::is_congested`].
    fn ask(&mut self, what: ToFollower);
    /// Asks what found no room before; whether nothing waits any more.
    fn ask_again(&mut self) -> bool;
    /// Questions wait for room at the follower: nothing that leads to more of them should be begun.
    fn is_congested(&self) -> bool;
    /// Looks at a token: at once where that is cheap, else later.
    fn authenticate(&mut self, job: AuthJob) -> Checked;
    /// An id for a session, from a cryptographic source.
    fn session_id(&mut self) -> String;
    /// An id for a message: UUIDv7.
    fn message_uuid(&mut self) -> [u8; 16];
    /// The log is away: a SEND is refused at once, but one a second is let through to find out.
    fn is_log_away(&mut self) -> bool;
}

/// Handed to a connection with everything that happens to it.
pub struct Context<'a> {
    /// Since the worker's origin.
    pub now: Duration,
    /// The worker's number.
    pub worker: usize,
    /// The connection's slot.
    pub slot: usize,
    /// What all connections have in common.
    pub settings: &'a Settings,
    /// The rooms of this worker.
    pub hub: &'a mut Hub,
    /// The way out.
    pub shell: &'a mut dyn Shell,
    /// What a busy connection borrows.
    pub spares: &'a mut Spares,
    /// Counters.
    pub metrics: &'a Metrics,
}

impl Context<'_> {
    /// A moment of the wall clock, on the worker's clock; a past one is now.
    pub fn on_clock(&self, at: SystemTime) -> Duration {
        self.now + at.duration_since(SystemTime::now()).unwrap_or_default()
    }
}
