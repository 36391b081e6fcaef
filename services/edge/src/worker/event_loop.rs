//! The thread around a worker's [`Core`]: a `mio` loop that owns the poll, the clock and the mailboxes.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};

use super::{Core, Mailboxes, Outlets, taken::Taken};
use crate::{context::Settings, log::Log, metrics::Metrics, moment::wall_ms, readiness::Heartbeat, upgrade::Socket};

/// The token of the mailboxes' bell.
pub const BELL: Token = Token(usize::MAX);

/// One worker.
pub struct Worker<L> {
    core: Core<TcpStream, Outlets<L>>,
    poll: Poll,
    mail: Arc<Mailboxes>,
    taken: Taken,
    origin: Instant,
}

/// Whether to let other threads run before falling asleep. Where the follower shares the worker's core, and the log answers
/// at once, a SEND's MESSAGE is there when the worker runs again: neither has to be woken. Elsewhere it brings nothing,
/// which is found out by trying.
#[derive(Default)]
struct Pause {
    /// How often it has paid lately.
    paid: u8,
    turns: u8,
}

impl Pause {
    const MOST: u8 = 8;

    /// Always where it pays, and now and then where it does not.
    fn is_due(&mut self) -> bool {
        self.turns = self.turns.wrapping_add(1);
        self.paid > 0 || self.turns == 0
    }

    fn note(&mut self, paid: bool) {
        self.paid = if paid { Self::MOST.min(self.paid + 2) } else { self.paid.saturating_sub(1) };
    }
}

impl<L: Log> Worker<L> {
    /// A worker without connections. `poll` is the one that `mail` rings.
    pub fn new(
        poll: Poll,
        mail: Arc<Mailboxes>,
        outlets: Outlets<L>,
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let core = Core::new(outlets.worker, outlets, settings, metrics);
        Self { core, poll, mail, taken: Taken::default(), origin: Instant::now() }
    }

    /// Runs until the process ends.
    pub fn run(mut self, heartbeat: &Heartbeat) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut mail_only = false;
        let mut pause = Pause::default();
        loop {
            if !events.is_empty() && pause.is_due() {
                thread::yield_now();
                pause.note(self.mail.has_rung());
            }
            let patience = self.core.patience(self.origin.elapsed());
            let may_sleep = self.mail.may_sleep();
            // Mail that came in the middle of a turn is looked at without a system call, but sockets wait for one such
            // turn at most.
            mail_only = !may_sleep && !mail_only;
            if mail_only {
                events.clear();
            } else {
                let patience = if may_sleep { patience } else { Duration::ZERO };
                match self.poll.poll(&mut events, Some(patience)) {
                    Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                    _ => {}
                }
            }
            heartbeat.beat(Instant::now());
            self.turn(&events, self.origin.elapsed());
            if self.core.is_sweeping() {
                // A large room is served without a pause: on a core of its own this costs nothing, and on a shared one
                // the follower would not get to the small rooms' messages before the scheduler's next tick.
                thread::yield_now();
            }
        }
    }

    fn turn(&mut self, events: &Events, now: Duration) {
        self.core.begin_turn(now);
        if self.mail.answer_bell() {
            self.take_mail();
        }
        for event in events {
            let Token(slot) = event.token();
            self.core.handle_readiness(slot, event.is_readable(), event.is_writable(), event.is_read_closed());
        }
        self.core.finish_turn();
        self.core.measure_delivery(|| (self.origin.elapsed(), wall_ms()));
        for mut socket in self.core.take_closed() {
            self.poll.registry().deregister(&mut socket).ok();
        }
    }

    fn take_mail(&mut self) {
        let Self { core, poll, mail, taken, .. } = self;
        taken.hand_over(mail, core, |core, socket| open(core, poll, socket));
    }
}

fn open<L: Log>(core: &mut Core<TcpStream, Outlets<L>>, poll: &Poll, socket: Socket) {
    let mut stream = TcpStream::from_std(socket.stream);
    let token = Token(core.next_slot());
    let interest = Interest::READABLE | Interest::WRITABLE;
    match poll.registry().register(&mut stream, token, interest) {
        Ok(()) => {
            let Socket { transport, credentials, guard, opening, read_ahead, .. } = socket;
            core.open(stream, transport, credentials, guard, &opening, &read_ahead);
        }
        Err(error) => {
            tracing::warn!(event = "register_failed", %error, "a connection could not be watched and is closed");
        }
    }
}
