//! What a worker does with what it is told, in the order that matters: room first, then what needs it.

use std::time::SystemTime;

use super::{
    Authenticated, Control, Worker,
    drain::Drain,
    turn::{Count, offer},
};
use crate::{
    connection::Connection,
    context::Shell,
    log::Log,
    message::{FromFollower, ToFollower},
};

impl<L: Log> Worker<L> {
    /// Takes every mailbox once.
    pub(super) fn take_mail(&mut self) {
        self.mail.answer_bell();
        let mail = self.mail.clone();
        if !self.outlets.unasked.is_empty() && self.outlets.ask_again() {
            let waiting: Vec<usize> = self.slots.iter().map(|(slot, _)| slot).collect();
            waiting.into_iter().for_each(|slot| self.with(slot, Connection::advance));
        }
        let mut control = Vec::new();
        mail.control.take(&mut control);
        control.into_iter().for_each(|what| self.handle_control(what));
        let mut sockets = Vec::new();
        mail.sockets.take(&mut sockets);
        sockets.into_iter().for_each(|socket| self.open(socket));
        let mut authenticated = Vec::new();
        mail.authenticated.take(&mut authenticated);
        for Authenticated { connection, generation, result } in authenticated {
            self.with_tenant(connection, generation, |it, cx| it.handle_authenticated(result, cx));
        }
        let mut reports = Vec::new();
        mail.reports.take(&mut reports);
        for (ticket, outcome) in reports {
            if self.orphans.remove(&ticket) {
                self.metrics.orphan_settled(&outcome);
            }
            self.with_tenant(ticket.connection as usize, ticket.generation, |it, cx| {
                it.handle_outcome(ticket, outcome, cx);
            });
        }
        let mut told = Vec::new();
        mail.follower.take(&mut told);
        told.into_iter().for_each(|what| self.handle_follower(what));
    }

    fn handle_follower(&mut self, what: FromFollower) {
        match what {
            FromFollower::Batch(messages) => {
                let Self { hub, slots, touched, settings, metrics, .. } = self;
                let mut count = Count::default();
                for message in messages {
                    hub.deliver(message, &mut |member, message, frames| {
                        count.add(offer(slots, touched, settings.outbound_bytes, member, message, frames));
                    });
                }
                count.report(metrics);
            }
            FromFollower::Subscribed { who, room, after, position, resumed } => {
                if self.is_tenant(who.connection, who.generation) {
                    self.with(who.connection, |it, cx| it.handle_subscribed(who, (room, after), position, resumed, cx));
                } else {
                    self.outlets.ask(ToFollower::Leave { worker: self.index, room });
                }
            }
            FromFollower::Slice { who, messages, end, through } => {
                self.with_tenant(who.connection, who.generation, |it, cx| {
                    it.handle_slice(who, &messages, end, through, cx);
                });
            }
            FromFollower::Forgotten { who } => {
                self.with_tenant(who.connection, who.generation, |it, cx| it.handle_gap(who, cx));
            }
            FromFollower::Lost(rooms) => {
                for room in rooms {
                    for slot in self.hub.connections(room) {
                        self.with(slot, Connection::handle_lost_records);
                    }
                }
            }
            FromFollower::Claimed { ticket, first } => {
                self.with_tenant(ticket.connection as usize, ticket.generation, |it, cx| {
                    it.handle_claimed(ticket, first, cx);
                });
            }
            FromFollower::Located { ticket, place } => {
                self.with_tenant(ticket.connection as usize, ticket.generation, |it, cx| {
                    it.handle_located(ticket, place, cx);
                });
            }
        }
    }

    fn handle_control(&mut self, what: Control) {
        match what {
            Control::Drain { rate } => {
                self.draining = true;
                let all = self.slots.iter().map(|(slot, it)| (slot, it.connection.generation)).collect();
                let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
                self.drain = Some(Drain::new(all, rate, self.now, seed as u64));
            }
            Control::CloseAll => {
                let all: Vec<usize> = self.slots.iter().map(|(slot, _)| slot).collect();
                all.into_iter().for_each(|slot| self.with(slot, Connection::shut_down));
            }
        }
    }

    /// Closes those whose turn has come.
    pub(super) fn go_on_draining(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        let due = drain.due(self.now);
        if drain.is_over() {
            self.drain = None;
        }
        for (slot, generation) in due {
            if self.is_tenant(slot, generation) {
                // What it has sent already is still taken.
                self.read(slot);
            }
            self.with_tenant(slot, generation, Connection::drain);
        }
    }
}
