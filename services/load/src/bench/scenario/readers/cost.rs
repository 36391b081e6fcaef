//! Row 27: what a delivery costs the edge, by the way that it is read, in rooms of ten; what a SEND costs without any reader
//! is taken off.

use crate::{
    bench::{
        crowd::{Crowd, Load, Plan},
        readers::{Readers, Way, Writer},
        row::{Row, Spread, short},
        scenario::check,
        server::Server,
        stage::{EdgeLog, Stage},
        targets,
    },
    outcome::complain,
};

/// Readers of each way.
const READERS: u32 = 1_000;
const EACH_ROOM: u32 = 10;
/// SENDs a second: an edge is far from its limit, as edges are.
const RATE: f64 = 200.0;
const ROOMS: &str = "cost-";

/// Who reads.
enum Audience {
    /// STOMP over WebSocket.
    Stomp(Box<Crowd>),
    /// Over HTTP, or nobody.
    Http(Box<Readers>, Box<Writer>),
}

/// An edge with its readers, and what each round cost it: microseconds for each SEND.
struct Contender {
    edge: Server,
    audience: Audience,
    cost: Vec<f64>,
}

impl Contender {
    fn http(stage: &Stage, way: Option<Way>) -> Result<Contender, String> {
        let edge = edge(stage)?;
        let writer = Writer::new(&edge.target, ROOMS, (READERS / EACH_ROOM) as usize)?;
        let mut readers = Readers::new(&edge.target, ROOMS)?;
        if let Some(way) = way {
            readers.open(way, READERS as usize, &writer)?;
        }
        Ok(Contender { edge, audience: Audience::Http(Box::new(readers), Box::new(writer)), cost: Vec::new() })
    }

    fn stomp(stage: &Stage) -> Result<Contender, String> {
        let edge = edge(stage)?;
        let plan = Plan { publishers: 1, ..Plan::new(&edge.target, READERS, READERS / EACH_ROOM) };
        let audience = Audience::Stomp(Box::new(Crowd::open(&plan)?));
        Ok(Contender { edge, audience, cost: Vec::new() })
    }

    fn round(&mut self, load: &Load) -> Result<(), String> {
        let read = || self.edge.meter().read().map_err(|error| format!("the edge's CPU: {error}"));
        let before = read()?;
        let sends = match &mut self.audience {
            Audience::Stomp(crowd) => {
                let tally = crowd.drive(load)?;
                tally.broken().map_or(Ok(tally.events), Err)?
            }
            Audience::Http(readers, writer) => readers.drive(writer, load.rate, load.time)?.sent,
        };
        self.cost.push(read()?.since(&before).cpu_us / sends.max(1) as f64);
        Ok(())
    }
}

fn edge(stage: &Stage) -> Result<Server, String> {
    stage.edge(&EdgeLog::Memory, &["--workers", "1"])
}

/// Row 27, for streams and for long polls.
pub(super) fn rows(stage: &Stage) -> Result<Vec<Row>, String> {
    let [mut nobody, mut stomp] = [Contender::http(stage, None)?, Contender::stomp(stage)?];
    let [mut events, mut poll] =
        [Contender::http(stage, Some(Way::Events))?, Contender::http(stage, Some(Way::LongPoll))?];
    let load = Load::steady(RATE, stage.round());
    // The first round warms all of them.
    for round in 0..=stage.rounds() {
        check(stage)?;
        for contender in [&mut nobody, &mut stomp, &mut events, &mut poll] {
            contender.round(&load)?;
            if round == 0 {
                contender.cost.clear();
            }
        }
        let last = |contender: &Contender| contender.cost.last().map_or_else(String::new, |cost| short(*cost));
        let [a, b, c, d] = [&nobody, &stomp, &events, &poll].map(last);
        complain(&format!("  us a SEND: nobody {a} STOMP {b} events {c} long poll {d}"));
    }
    let own = |contender: &Contender| -> Vec<f64> {
        contender
            .cost
            .iter()
            .zip(&nobody.cost)
            .map(|(cost, nobody)| ((cost - nobody) / f64::from(EACH_ROOM)).max(0.1))
            .collect()
    };
    let (base, spoken) = (own(&stomp), Spread::of(nobody.cost.iter().copied()).ok_or("no round")?);
    let row = |goal, contender: &Contender| {
        let cost = own(contender);
        let ratio = Spread::of(cost.iter().zip(&base).map(|(own, base)| own / base)).ok_or("no round")?;
        let us = |costs: &[f64]| Spread::of(costs.iter().copied()).map_or_else(String::new, |us| short(us.median));
        let row = Row::judged(goal, &format!("rooms of {EACH_ROOM}, {RATE}/s"), ratio.median).ratio(ratio);
        let row = row.measured(format!("{} us", us(&cost)), format!("{} us STOMP", us(&base)));
        Ok::<_, String>(row.note(format!("a SEND alone {} us", short(spoken.median))))
    };
    Ok(vec![row(&targets::EVENTS_CPU, &events)?, row(&targets::POLL_CPU, &poll)?])
}
