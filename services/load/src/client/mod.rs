//! One client: it connects, joins its room, sends when the timetable says so, tells the checker everything, and comes back
//! when it was cut.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the life of a client, session after session |
//! | `connect.rs` | from a URL to CONNECTED |
//! | `session.rs` | SUBSCRIBE, SEND, MESSAGE, RECEIPT, ERROR, until the end |
//! | `wire.rs` | frames over a WebSocket |
//! | `outstanding.rs` | SENDs without answer |
//! | `back_off.rs`, `failure.rs` | when to come back, and what went wrong |

mod back_off;
mod connect;
mod failure;
mod outstanding;
mod session;
mod wire;

pub use failure::{Failure, Reason};

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use crate::{
    checker::{Checker, Member},
    cli::ChatSettings,
    counters::Counters,
    latency::Shards,
    timetable::Timetable,
};
use back_off::BackOff;
use session::{End, Session};

/// A session that lasted this long was a good one.
const SETTLED: Duration = Duration::from_secs(10);

/// What the clients of a run share.
pub struct Run {
    /// The settings.
    pub settings: ChatSettings,
    /// Tells this run's messages from others.
    pub id: u32,
    /// Handed round the clients; empty: none.
    pub tokens: Vec<String>,
    /// When to send.
    pub timetable: Arc<Timetable>,
    /// The checks.
    pub checker: Checker,
    /// The counts.
    pub counters: Counters,
    /// The latencies.
    pub latency: Shards,
    /// True: say goodbye.
    pub end: watch::Receiver<bool>,
}

/// A client between and during its sessions.
struct Client {
    number: u32,
    member: Member,
    /// Its next SEND in the timetable.
    turn: u64,
    /// SENDs written.
    sent: u64,
    /// Sessions begun.
    sessions: u32,
}

/// Connects, subscribes and leaves again, to hear whether a run can work at all.
///
/// # Errors
/// What went wrong.
pub async fn probe(run: &Run, url: usize) -> Result<(), Failure> {
    connect::probe(run, url).await
}

/// The life of client `number`; ends when the run does.
pub async fn live(run: Arc<Run>, number: u32) {
    let mut client = Client { number, member: run.checker.member(number), turn: 0, sent: 0, sessions: 0 };
    let mut back_off = BackOff::default();
    let mut end = run.end.clone();
    for attempt in 0.. {
        let url = (number as usize + attempt) % run.settings.url.len();
        let opened = tokio::select! {
            opened = connect::connect(&run, number, url) => opened,
            _ = end.wait_for(|end| *end) => return,
        };
        let pause = match opened {
            Err(failure) => {
                run.counters.failures.up();
                run.counters.reasons.up(&failure.text);
                if failure.hopeless {
                    return;
                }
                back_off.next(failure.retry_after)
            }
            Ok(connection) => {
                client.sessions += 1;
                if client.sessions > 1 {
                    run.counters.reconnects.up();
                }
                match Session::new(&run, &mut client, connection).live(end.clone()).await {
                    End::Asked => return,
                    End::Cut { lasted, retry_after, hopeless } => {
                        // Who is cut again and again keeps backing off.
                        if lasted >= SETTLED {
                            back_off.reset();
                        }
                        if hopeless || run.settings.no_reconnect {
                            return;
                        }
                        back_off.next(retry_after)
                    }
                }
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            _ = end.wait_for(|end| *end) => return,
        }
        client.skip(&run);
    }
}

impl Client {
    /// Leaves out the SENDs that were due while it was away.
    fn skip(&mut self, run: &Run) {
        let now = crate::clock::now();
        while run.timetable.due(self.number, self.turn).is_some_and(|due| due <= now) {
            self.turn += 1;
            run.counters.skipped.up();
        }
    }
}
