//! One client: it connects, joins its room, sends when the timetable says so, tells the checker and the history everything,
//! and goes on where it was cut, at the next server.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | the life of a client, session after session |
//! | `session.rs` | from the connection to the end |
//! | `talk.rs` | one connection |
//! | `takeover.rs` | another connection before this one ends, because the server drains |
//! | `room.rs` | joining the room, its messages |
//! | `sends.rs` | SENDs: the first time, their answers, again |
//! | `link/` | how it is spoken to the server: one file for each transport |
//! | `outstanding.rs` | SENDs without answer |
//! | `back_off.rs`, `failure.rs` | when to come back, and what went wrong |

mod back_off;
mod failure;
mod link;
mod outstanding;
mod room;
mod sends;
mod session;
mod takeover;
mod talk;

pub use failure::{Failure, Reason};
pub use link::Transport;
pub(crate) use link::sse;
pub use room::is_secret;

use std::{future::poll_fn, sync::Arc, time::Duration};

use chat_proto::MessageId;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    checker::{Checker, Member},
    cli::ChatSettings,
    counters::Counters,
    history::{Event, Recorder},
    latency::Shards,
    timetable::Timetable,
};
use back_off::BackOff;
use link::{Heard, Opening};
use sends::Again;
use session::{End, Session};
use takeover::Overlap;

/// A session that lasted this long was a good one.
const SETTLED: Duration = Duration::from_secs(10);
/// The server closes down and another one takes over.
const RESTART: u16 = 1012;
/// How long a server may take to say goodbye to a probe.
const GOODBYE: Duration = Duration::from_secs(2);

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
    /// The history, if one is written.
    pub recorder: Option<Recorder>,
    /// True: say goodbye.
    pub end: watch::Receiver<bool>,
}

impl Run {
    /// A room's whole name.
    pub fn room(&self, number: u32) -> String {
        format!("{}{number}", self.settings.dialect.room_prefix)
    }
}

/// A client between and during its sessions.
struct Client {
    number: u32,
    member: Member,
    room: Arc<str>,
    /// Its next SEND in the timetable.
    turn: u64,
    /// SENDs written.
    sent: u64,
    /// Sessions begun.
    sessions: u32,
    /// Where it would go on: the last message-id, or the position at which it joined.
    token: Option<String>,
    /// As the server calls it.
    user: Option<String>,
    again: Again,
    /// What is sent again is known again.
    repeats: bool,
    back_off: BackOff,
    overlap: Overlap,
}

/// Connects, subscribes and leaves again, to hear whether a run can work at all.
///
/// # Errors
/// What went wrong.
pub async fn probe(run: &Run, url: usize) -> Result<(), Failure> {
    let room = run.room(run.checker.member(0).room).into();
    let mut link = link::open(Opening { run, number: 0, url, room, from: None }).await?.link;
    link.leave().map_err(|why| Failure::new(Reason::Stomp, why))?;
    // Whether and how it answers is no matter of a probe's.
    let over = async { while !matches!(poll_fn(|cx| link.poll_next(cx)).await, Heard::Goodbye | Heard::Closed(_)) {} };
    let _ = timeout(GOODBYE, over).await;
    Ok(())
}

/// The life of client `number`; ends when the run does.
pub async fn live(run: Arc<Run>, number: u32) {
    let mut client = Client::new(&run, number);
    let gone = client.sessions(&run).await;
    client.give_up(&run);
    if gone {
        run.checker.left(client.member);
    }
}

impl Client {
    fn new(run: &Run, number: u32) -> Client {
        let member = run.checker.member(number);
        Client {
            number,
            member,
            room: run.room(member.room).into(),
            turn: 0,
            sent: 0,
            sessions: 0,
            token: None,
            user: None,
            again: Again::default(),
            repeats: false,
            back_off: BackOff::new(run.settings.back_off(), run.settings.after_restart()),
            overlap: Overlap::default(),
        }
    }

    /// Session after session, until there is no point in another one (true) or the run ends.
    async fn sessions(&mut self, run: &Run) -> bool {
        let mut end = run.end.clone();
        for attempt in 0.. {
            let opening = self.open(run, attempt);
            let from = opening.from.clone();
            let opened = tokio::select! {
                opened = link::open(opening) => opened,
                _ = end.wait_for(|end| *end) => return false,
            };
            let pause = match opened {
                Err(failure) => {
                    self.refused(run, &failure);
                    if failure.hopeless {
                        return true;
                    }
                    self.back_off.next(failure.retry_after)
                }
                Ok(connection) => {
                    match Session::new(run, self, connection, from.as_deref(), attempt).live(end.clone()).await {
                        End::Asked => return false,
                        End::Cut { code, lasted, retry_after, hopeless } => {
                            // Who is cut again and again keeps backing off.
                            if lasted >= SETTLED {
                                self.back_off.reset();
                            }
                            if hopeless || run.settings.no_reconnect {
                                return true;
                            }
                            let storm = run.settings.reconnect_at_once && lasted >= SETTLED / 10;
                            match code {
                                _ if storm => retry_after.unwrap_or_default(),
                                RESTART => self.back_off.restart(retry_after),
                                _ => self.back_off.next(retry_after),
                            }
                        }
                    }
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                _ = end.wait_for(|end| *end) => return false,
            }
            self.skip(run);
        }
        false
    }

    /// Where it goes next.
    fn open<'a>(&self, run: &'a Run, attempt: usize) -> Opening<'a> {
        let url = run.settings.url_of(self.number, attempt);
        let opening = || Event::Opening { url: run.settings.url[url].url.as_str().into() };
        self.record(run, self.sessions + 1, opening);
        // Another server's message-ids say nothing about a place.
        let token = self.token.as_ref().filter(|token| token.parse::<MessageId>().is_ok());
        let from = token.filter(|_| !run.settings.no_resume).cloned();
        Opening { run, number: self.number, url, room: Arc::clone(&self.room), from }
    }

    fn refused(&self, run: &Run, failure: &Failure) {
        run.counters.failures.up();
        run.counters.reasons.up(&failure.text);
        self.record(run, self.sessions + 1, || Event::Refused {
            status: failure.status,
            why: failure.text.as_str().into(),
            retry_after: failure.retry_after.map(|pause| pause.as_secs()),
        });
    }

    /// Leaves out the SENDs that were due while it was away.
    fn skip(&mut self, run: &Run) {
        let now = crate::clock::now();
        while run.timetable.due(self.number, self.turn).is_some_and(|due| due <= now) {
            self.turn += 1;
            run.counters.skipped.up();
        }
    }

    /// A line of the history, of the session with this number.
    fn record<'e>(&self, run: &Run, session: u32, event: impl FnOnce() -> Event<'e>) {
        if let Some(recorder) = &run.recorder {
            recorder.record(Some((self.number, session)), &event());
        }
    }
}
