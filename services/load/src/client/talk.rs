//! One connection of a client, from CONNECTED to its end: what it owes and is owed. In the history it is a session.

use std::time::{Duration, Instant};

use super::{
    Client, Run,
    link::{Connection, Link},
    outstanding::Outstanding,
    session::Ended,
};
use crate::history::Event;

/// Silence of this many heart-beat intervals is the end.
const TOLERANCE: u32 = 3;

pub(super) struct Talk<'a> {
    pub(super) link: Box<dyn Link + 'a>,
    /// The session's number.
    pub(super) number: u32,
    /// SENDs can carry keys.
    pub(super) keys: bool,
    pub(super) outstanding: Outstanding,
    pub(super) since: Instant,
    pub(super) heard: Instant,
    beat: Option<Duration>,
    pulse: Option<Duration>,
}

impl<'a> Talk<'a> {
    /// CONNECTED; SUBSCRIBE is written, or it is over at once.
    pub(super) fn begin(
        run: &'a Run,
        client: &mut Client,
        connection: Connection<'a>,
        from: Option<&str>,
    ) -> (Talk<'a>, Option<Ended>) {
        let Connection { link, beat, pulse, user, server, edge, keys, repeats } = connection;
        client.sessions += 1;
        if client.sessions > 1 {
            run.counters.reconnects.up();
        }
        let (number, now) = (client.sessions, Instant::now());
        client.record(run, number, || Event::Connected {
            user: user.as_deref().map(Into::into),
            server: server.as_deref().map(Into::into),
            edge: edge.as_deref().map(Into::into),
        });
        // Under another name the same key is another message.
        if client.user != user {
            client.give_up(run);
            client.user = user;
        }
        client.repeats = repeats;
        let room = (*client.room).into();
        client.record(run, number, || Event::Subscribe { room, from: from.map(Into::into), history: None });
        let outstanding = Outstanding::default();
        let mut talk = Talk { link, number, keys, outstanding, since: now, heard: now, beat, pulse };
        let ended = talk.link.join().map_err(Ended::cut).err();
        (talk, ended)
    }

    /// How often something is to be looked after, if at all.
    pub(super) fn every(&self) -> Option<Duration> {
        self.beat.or(self.pulse)
    }

    /// Beats, and looks whether the server does.
    pub(super) fn tick(&mut self) -> Result<(), Ended> {
        if self.pulse.is_some_and(|pulse| self.heard.elapsed() > pulse * TOLERANCE) {
            return Err(Ended::cut("no heart-beat of the server".to_owned()));
        }
        if self.beat.is_some() { self.link.beat().map_err(Ended::cut) } else { Ok(()) }
    }

    /// The history's last line of it. What has no answer now is unknown.
    pub(super) fn close(&mut self, run: &Run, client: &mut Client, ended: &Ended) {
        let Ended { code, why, ref text } = *ended;
        let last = client.token.as_deref();
        let close = || Event::Close { code, why, text: text.as_str().into(), last: last.map(Into::into) };
        client.record(run, self.number, close);
        self.outstanding.drain().for_each(|send| client.unknown(run, send, None));
    }
}
