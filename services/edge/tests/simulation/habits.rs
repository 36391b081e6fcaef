//! What a client does when its turn comes.

use std::time::Duration;

use stomp_proto::Command;

use super::*;
use crate::websocket;

impl Client {
    /// Reads, writes, and acts if its time has come.
    pub fn step(&mut self, eyes: &Eyes<'_>) -> Result<(), String> {
        let mut told = Vec::new();
        let Self { rng, session: Some(session), .. } = self else { return Ok(()) };
        session.look(eyes, rng, &mut told)?;
        let now = eyes.now;
        if session.connected
            && session.beats.0 > 0
            && now >= session.spoke_at + beat_gap(session)
            && session.close.is_none()
        {
            session.say(&websocket::message(b"\n", rng), now);
        }
        for what in told {
            self.learn(what, eyes);
        }
        if self.session.is_some() && now >= self.next_at {
            self.act(eyes);
            let think = if eyes.calm { 50 } else { eyes.plan.think_ms };
            self.next_at = now + self.rng.millis(1, think);
        }
        let Self { rng, session: Some(session), .. } = self else { return Ok(()) };
        let mut told = Vec::new();
        // What it has just said leaves.
        session.link.borrow_mut().client_writes(&mut session.out);
        session.look(eyes, rng, &mut told)?;
        told.into_iter().for_each(|what| self.learn(what, eyes));
        Ok(())
    }

    fn learn(&mut self, what: Told, eyes: &Eyes<'_>) {
        match what {
            Told::Connected => self.resume(eyes),
            Told::Stored { message, attempt } => {
                debug_assert!(self.messages[message].attempts.contains(&attempt));
                self.messages[message].state = State::Stored;
            }
            Told::Refused { message, attempt } => {
                self.refused.push(attempt);
                self.messages[message].state = State::Refused;
            }
            Told::Unknown { message } => self.messages[message].state = State::Unknown,
            Told::Place { room, token: Some(token) } => {
                self.places.insert(room, token);
            }
            Told::Place { room, token: None } => {
                self.places.remove(&room);
            }
            Told::Ended => {
                if let Some(mut session) = self.session.take() {
                    self.history.push(std::mem::take(&mut session.sent));
                    self.notes.extend(session.notes.take().unwrap_or_default());
                }
                self.next_at = eyes.now + self.rng.millis(1, if eyes.calm { 100 } else { 2000 });
            }
        }
    }

    fn act(&mut self, eyes: &Eyes<'_>) {
        let Some(session) = &mut self.session else { return };
        if !session.connected || session.leaving || session.close.is_some() {
            return;
        }
        if eyes.calm {
            return self.put_in_order(eyes);
        }
        self.acted += 1;
        match self.rng.below(20) {
            0..9 => self.say_something(eyes),
            9 | 10 => self.send_again(eyes),
            11..14 => self.want_a_room(eyes),
            14 => self.unsubscribe(eyes),
            15..19 => self.acknowledge(eyes),
            _ if self.rng.one_in(4) => self.leave(eyes.now),
            _ => {}
        }
    }

    /// No more faults: everything that is open is brought to its end.
    fn put_in_order(&mut self, eyes: &Eyes<'_>) {
        self.send_again(eyes);
        self.acknowledge(eyes);
        self.resume(eyes);
    }

    fn send_again(&mut self, eyes: &Eyes<'_>) {
        let again = |it: &Message| it.state == State::Unknown && !it.key.is_empty();
        if let Some(at) = self.messages.iter().position(again) {
            self.send(at, None, eyes);
        }
    }

    fn want_a_room(&mut self, eyes: &Eyes<'_>) {
        let room = self.rng.pick(&eyes.plan.rooms).clone();
        let id = self.rng.below(4).to_string();
        let mode = *self.rng.pick(&["auto", "auto", "client", "client-individual"]);
        let taken = self.session.iter().flat_map(|session| &session.subscriptions).any(|it| it.id == id);
        // One subscription to a room, so that there is one place to go on from.
        if taken || self.wishes.values().any(|(wanted, _)| *wanted == room) || self.wishes.contains_key(&id) {
            return;
        }
        self.wishes.insert(id.clone(), (room.clone(), mode));
        self.subscribe(&id, &room, mode, eyes);
    }

    /// Leaves in one of the ways there are.
    pub fn leave(&mut self, now: Duration) {
        let Self { rng, session: Some(session), .. } = self else { return };
        session.leaving = true;
        match rng.below(4) {
            0 => {
                session.write(Command::Disconnect, &[], "", rng, now);
                session.say(&websocket::close(rng), now);
            }
            1 => session.say(&websocket::close(rng), now),
            2 => session.link.borrow_mut().client_finishes(),
            _ => {
                let receipt = session.expect(Pending::Disconnect);
                session.write(Command::Disconnect, &[("receipt", &receipt)], "", rng, now);
            }
        }
    }
}
