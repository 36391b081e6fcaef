//! What a worker does with what the rest of the edge tells it.

use std::{slice, sync::Arc, time::Duration};

use super::{
    Authenticated,
    core::Core,
    drain::{Drain, Leaver},
    socket::ClientSocket,
    turn::Connections,
};
use crate::{
    connection::Connection,
    context::Shell,
    log::{Outcome, Ticket},
    message::{FromFollower, Message, ToFollower},
};

impl<S: ClientSocket, O: Shell> Core<S, O> {
    /// Asks the follower what it had no room for; connections that waited for that go on.
    pub(super) fn ask_again(&mut self) {
        if self.outlets.is_congested() && self.outlets.ask_again() {
            let waiting: Vec<usize> = self.slots.iter().map(|(slot, _)| slot).collect();
            waiting.into_iter().for_each(|slot| self.with(slot, Connection::advance));
        }
    }

    /// The answer of a token check.
    pub fn handle_authenticated(&mut self, Authenticated { connection, generation, result }: Authenticated) {
        self.with_tenant(connection, generation, |it, cx| it.handle_authenticated(result, cx));
    }

    /// A delivery report.
    pub fn handle_outcome(&mut self, ticket: Ticket, outcome: Outcome) {
        if self.orphans.remove(&ticket) {
            self.metrics.orphan_settled(&outcome);
        }
        self.with_tenant(ticket.connection as usize, ticket.generation, |it, cx| {
            it.handle_outcome(ticket, outcome, cx);
        });
    }

    /// Messages and answers of the follower; they must be handed over in its order.
    pub fn handle_follower(&mut self, what: FromFollower) {
        match what {
            FromFollower::Batch(messages) => self.deliver(&messages),
            FromFollower::Message(message) => self.deliver(slice::from_ref(&message)),
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

    fn deliver(&mut self, messages: &[Arc<Message>]) {
        let Self { hub, metrics, .. } = self;
        for message in messages {
            let members = hub.members(message.room);
            metrics.times.recipients.observe(members as f64);
            message.trace.iter().for_each(|trace| trace.add(members));
        }
        let (hub, mut connections) = self.hub_and_connections();
        hub.deliver(messages, &mut connections);
        let Connections { count, oldest, .. } = connections;
        self.note_delivered(count, oldest);
    }

    /// Begins to send all connections away, `rate` a second and all of them `within` that time, in an order that `seed`
    /// decides. Who has not been let in goes at once; who has asked to be told is told when to go.
    pub fn drain(&mut self, rate: f64, within: Duration, seed: u64) {
        self.draining = true;
        let all = self.slots.iter().map(|(slot, it)| {
            let (generation, is_told) = (it.connection.generation, it.connection.hears_notices());
            (it.connection.is_let_in(), Leaver { slot, generation, is_told })
        });
        let (leavers, strangers): (Vec<_>, Vec<_>) = all.partition(|(is_let_in, _)| *is_let_in);
        strangers.into_iter().for_each(|(_, who)| self.with(who.slot, Connection::drain));
        let leavers = leavers.into_iter().map(|(_, who)| who).collect();
        let (drain, now) = (Drain::new(leavers, rate, within, self.now, seed), self.now);
        for turn in drain.told() {
            self.with(turn.who.slot, |it, cx| it.announce_drain(turn.moves - now, turn.closed - now, cx));
        }
        self.drain = Some(drain);
    }

    /// Closes what is left, at once.
    pub fn close_all(&mut self) {
        let all: Vec<usize> = self.slots.iter().map(|(slot, _)| slot).collect();
        all.into_iter().for_each(|slot| self.with(slot, Connection::shut_down));
    }

    /// Cuts every connection off without a word.
    pub fn cut_all(&mut self) {
        let all: Vec<usize> = self.slots.iter().map(|(slot, _)| slot).collect();
        all.into_iter().for_each(|slot| self.with(slot, Connection::cut));
    }

    /// Closes those whose turn has come.
    pub(super) fn go_on_draining(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        let due = drain.due(self.now);
        if drain.is_over() {
            self.drain = None;
        }
        for Leaver { slot, generation, .. } in due {
            if self.is_tenant(slot, generation) {
                // What it has sent already is still taken.
                self.read(slot);
            }
            self.with_tenant(slot, generation, Connection::drain);
        }
    }
}
