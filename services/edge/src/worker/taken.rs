//! What was in a worker's mailboxes, on its way to the core.

use std::time::SystemTime;

use super::{Authenticated, Control, Core, Mailboxes, socket::ClientSocket};
use crate::{
    context::Shell,
    log::{Outcome, Ticket},
    message::FromFollower,
    upgrade::Socket,
};

/// What was in the mailboxes; empty between two turns, but not made anew for each.
#[derive(Default)]
pub(super) struct Taken {
    control: Vec<Control>,
    sockets: Vec<Socket>,
    authenticated: Vec<Authenticated>,
    reports: Vec<(Ticket, Outcome)>,
    told: Vec<FromFollower>,
}

impl Taken {
    /// Takes every mailbox once, in the order that matters: room first, then what needs it. `open` takes new sockets over.
    pub(super) fn hand_over<S: ClientSocket, O: Shell>(
        &mut self,
        mail: &Mailboxes,
        core: &mut Core<S, O>,
        mut open: impl FnMut(&mut Core<S, O>, Socket),
    ) {
        mail.control.take(&mut self.control);
        self.control.drain(..).for_each(|what| handle_control(core, what));
        mail.sockets.take(&mut self.sockets);
        self.sockets.drain(..).for_each(|socket| open(core, socket));
        mail.authenticated.take(&mut self.authenticated);
        self.authenticated.drain(..).for_each(|answer| core.handle_authenticated(answer));
        mail.reports.take(&mut self.reports);
        self.reports.drain(..).for_each(|(ticket, outcome)| core.handle_outcome(ticket, outcome));
        mail.follower.take(&mut self.told);
        self.told.drain(..).for_each(|what| core.handle_follower(what));
    }
}

fn handle_control<S: ClientSocket, O: Shell>(core: &mut Core<S, O>, what: Control) {
    match what {
        Control::Drain { rate, open, within } => {
            let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
            // Who has more of them closes more, so that no worker is late.
            let share = core.connections() as f64 / open.max(1) as f64;
            core.drain(rate * share.min(1.0), within, seed as u64);
        }
        Control::CloseAll => core.close_all(),
        Control::Cut => core.cut_all(),
    }
}
