//! The thread around a worker's [`Core`]: a `mio` loop that owns the poll, the clock and the mailboxes.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};

use super::{Control, Core, Mailboxes, Outlets};
use crate::{context::Settings, log::Log, metrics::Metrics, readiness::Heartbeat, upgrade::Socket};

/// The token of the mailboxes' bell.
pub const BELL: Token = Token(usize::MAX);

/// One worker.
pub struct Worker<L> {
    core: Core<TcpStream, Outlets<L>>,
    poll: Poll,
    mail: Arc<Mailboxes>,
    origin: Instant,
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
        Self { core, poll, mail, origin: Instant::now() }
    }

    /// Runs until the process ends.
    pub fn run(mut self, heartbeat: &Heartbeat) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let patience = self.core.patience(self.origin.elapsed());
            match self.poll.poll(&mut events, Some(patience)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            heartbeat.beat(Instant::now());
            self.turn(&events, self.origin.elapsed());
        }
    }

    fn turn(&mut self, events: &Events, now: Duration) {
        // Before looking into the mailboxes: whoever writes from now on rings again.
        self.mail.answer_bell();
        self.core.begin_turn(now);
        self.take_mail();
        for event in events {
            let Token(slot) = event.token();
            self.core.handle_readiness(slot, event.is_readable(), event.is_writable(), event.is_read_closed());
        }
        self.core.finish_turn();
        for mut socket in self.core.take_closed() {
            self.poll.registry().deregister(&mut socket).ok();
        }
    }

    /// Takes every mailbox once, in the order that matters: room first, then what needs it.
    fn take_mail(&mut self) {
        let mail = self.mail.clone();
        let mut control = Vec::new();
        mail.control.take(&mut control);
        control.into_iter().for_each(|what| self.handle_control(what));
        let mut sockets = Vec::new();
        mail.sockets.take(&mut sockets);
        sockets.into_iter().for_each(|socket| self.open(socket));
        let mut authenticated = Vec::new();
        mail.authenticated.take(&mut authenticated);
        authenticated.into_iter().for_each(|answer| self.core.handle_authenticated(answer));
        let mut reports = Vec::new();
        mail.reports.take(&mut reports);
        reports.into_iter().for_each(|(ticket, outcome)| self.core.handle_outcome(ticket, outcome));
        let mut told = Vec::new();
        mail.follower.take(&mut told);
        told.into_iter().for_each(|what| self.core.handle_follower(what));
    }

    fn handle_control(&mut self, what: Control) {
        match what {
            Control::Drain { rate } => {
                let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
                self.core.drain(rate, seed as u64);
            }
            Control::CloseAll => self.core.close_all(),
        }
    }

    fn open(&mut self, socket: Socket) {
        let mut stream = TcpStream::from_std(socket.stream);
        let token = Token(self.core.next_slot());
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self.poll.registry().register(&mut stream, token, interest) {
            Ok(()) => self.core.open(stream, socket.credentials, socket.guard, &socket.read_ahead),
            Err(error) => {
                tracing::warn!(event = "register_failed", %error, "a connection could not be watched and is closed");
            }
        }
    }
}
