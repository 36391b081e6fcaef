//! One promise broken at a time, in a history that kept all of them.

use klatsch_load::{
    history::{Event, Outcome, Why},
    verify::Rule,
};

use super::{Dice, Line, Stored, World};
use sessions::{begin_earlier, come_early, come_twice, drop_at_seam, drop_one, show_repeat};

mod sessions;

/// Breaks it somewhere; false if there is nothing to break.
pub type Mutation = fn(&mut World, &mut Dice) -> bool;

/// What is broken, the promise, whether it is the only one that breaks thereby, and how.
#[rustfmt::skip]
pub const MUTATIONS: &[(&str, Rule, bool, Mutation)] = &[
    ("a receipted record is not in the log", Rule::P1, false, |world, dice| lose_record(world, dice, Why::Asked)),
    ("a receipt names another record", Rule::P1, false, |world, dice| receipt(world, dice, |_, id, other| *id = other)),
    ("a receipt names another check", Rule::P1, true, |world, dice| receipt(world, dice, |_, id, _| { id.truncate(id.len() - 8); id.push_str("feedbeef"); })),
    ("a receipt names nothing", Rule::P1, true, |world, dice| receipt(world, dice, |_, id, _| id.clear())),
    ("a receipt has another time", Rule::P1, true, |world, dice| receipt(world, dice, |ts, _, _| *ts += 1)),
    ("a receipted record lies there twice", Rule::P1, true, store_twice),
    ("two messages are swapped", Rule::P2, true, swap),
    ("two SENDs of a session are swapped in the log", Rule::P2, true, swap_sends),
    ("a message is not in the log", Rule::P2, false, |world, dice| messages(world, dice, |id, _, _| id.push('-')) ),
    ("a message is another SEND's", Rule::P2, true, |world, dice| messages(world, dice, |_, n, _| *n += 1_000)),
    ("a message is missing in the middle", Rule::P3, true, |world, dice| drop_one(world, dice, false)),
    ("a message is missing at the end", Rule::P3, true, |world, dice| drop_one(world, dice, true)),
    ("a subscription begins too early", Rule::P3, true, begin_earlier),
    ("a message comes from before the beginning", Rule::P3, true, come_early),
    ("a message comes twice", Rule::P4, true, come_twice),
    ("a repeat is shown", Rule::P4, true, show_repeat),
    ("a record has lost its key", Rule::P4, false, |world, dice| record(world, dice, |record| record.key.push('x'))),
    ("a SEND is never answered", Rule::P5, true, never_answer),
    ("a refused SEND is in the log", Rule::P5, true, refuse_stored),
    ("a message has another sender", Rule::P6, true, |world, dice| messages(world, dice, |_, _, sender| *sender = "eve".to_owned())),
    ("a record has another sender", Rule::P6, false, |world, dice| record(world, dice, |record| record.sender = "eve".to_owned())),
    ("a record carries credentials", Rule::P6, true, |world, dice| record(world, dice, |record| record.leaked = true)),
    ("a client was another user", Rule::P6, true, other_user),
    ("a message is missing where a session goes on", Rule::P7, true, drop_at_seam),
    ("a receipted record dies with its edge", Rule::P8, false, |world, dice| lose_record(world, dice, Why::Cut)),
    ("who sends nothing is closed", Rule::P10, true, close_silent),
];

type Key = (u32, u32);

fn key(line: &Line) -> Key {
    (line.0.c.unwrap(), line.0.s.unwrap())
}

fn where_<T>(world: &World, wanted: impl Fn(usize, &Line) -> Option<T>) -> Vec<T> {
    world.lines.iter().enumerate().filter_map(|(at, line)| wanted(at, line)).collect()
}

fn id_of(event: &Event<'_>) -> Option<String> {
    match event {
        Event::Message { id, .. } | Event::Foreign { id, .. } => Some(id.to_string()),
        _ => None,
    }
}

/// The places of a session's messages, in order.
fn messages_of(world: &World, session: Key) -> Vec<usize> {
    where_(world, |at, line| (key(line) == session && id_of(&line.1).is_some()).then_some(at))
}

fn sessions(world: &World) -> Vec<Key> {
    where_(world, |_, line| matches!(line.1, Event::Joined { .. }).then(|| key(line)))
}

fn ended_by(world: &World, session: Key) -> Option<(u16, Why)> {
    where_(world, |_, line| match line.1 {
        Event::Close { code, why, .. } if key(line) == session => Some((code, why)),
        _ => None,
    })
    .pop()
}

fn receipt(world: &mut World, dice: &mut Dice, change: fn(&mut i64, &mut String, String)) -> bool {
    // A receipt that is found missing in a session that was cut is promise 8's.
    let asked = |line: &Line| ended_by(world, key(line)).is_some_and(|(_, why)| why != Why::Cut);
    let first =
        |at: usize, line: &Line| (matches!(line.1, Event::Receipt { attempt: 1, .. }) && asked(line)).then_some(at);
    let Some(at) = dice.pick(&where_(world, first)) else { return false };
    let Event::Receipt { id: Some(old), .. } = &world.lines[at].1 else { return false };
    let old = old.to_string();
    let other = world.log.iter().map(Stored::id).find(|id| *id != old).unwrap_or_default();
    let Event::Receipt { id: Some(id), ts: Some(ts), .. } = &mut world.lines[at].1 else { return false };
    change(ts, id.to_mut(), other);
    true
}

fn messages(world: &mut World, dice: &mut Dice, change: fn(&mut String, &mut u64, &mut String)) -> bool {
    let Some(at) = dice.pick(&where_(world, |at, line| matches!(line.1, Event::Message { .. }).then_some(at))) else {
        return false;
    };
    let Event::Message { id, n, sender: Some(sender), .. } = &mut world.lines[at].1 else { return false };
    change(id.to_mut(), n, sender.to_mut());
    true
}

fn record(world: &mut World, dice: &mut Dice, change: fn(&mut Stored)) -> bool {
    let ours: Vec<_> = (0..world.log.len()).filter(|at| world.log[*at].load.is_some()).collect();
    dice.pick(&ours).map(|at| change(&mut world.log[at])).is_some()
}

fn lose_record(world: &mut World, dice: &mut Dice, why: Why) -> bool {
    let receipts = where_(world, |_, line| match &line.1 {
        Event::Receipt { id: Some(id), .. } if ended_by(world, key(line)).is_some_and(|(_, by)| by == why) => {
            Some(id.to_string())
        }
        _ => None,
    });
    let Some(id) = dice.pick(&receipts) else { return false };
    let before = world.log.len();
    world.log.retain(|record| record.id() != id || record.offset == 0);
    world.log.len() < before
}

fn store_twice(world: &mut World, dice: &mut Dice) -> bool {
    let receipts = where_(world, |_, line| match &line.1 {
        Event::Receipt { n, attempt, id: Some(id), .. } => Some((id.to_string(), Some((line.0.c?, *n, *attempt)))),
        _ => None,
    });
    // A copy's own receipt: that of a repeat may name one that was stored twice after a time-out.
    let own = |(id, load): &(String, _)| world.log.iter().find(|r| r.id() == *id && r.load == *load).cloned();
    let Some(twin) = dice.pick(&receipts.iter().filter_map(own).collect::<Vec<_>>()) else { return false };
    let offset = world.log.iter().filter(|record| record.partition == twin.partition).count() as i64;
    world.log.push(Stored { offset, ..twin });
    true
}

fn swap(world: &mut World, dice: &mut Dice) -> bool {
    let pairs: Vec<_> = sessions(world).into_iter().filter(|s| messages_of(world, *s).len() > 1).collect();
    let Some(session) = dice.pick(&pairs) else { return false };
    let messages = messages_of(world, session);
    let at = dice.below(messages.len() - 1);
    let (one, other) = (messages[at], messages[at + 1]);
    let event = world.lines[one].1.clone();
    world.lines[one].1 = std::mem::replace(&mut world.lines[other].1, event);
    true
}

/// The second lies where the first should, and all see it so.
fn swap_sends(world: &mut World, dice: &mut Dice) -> bool {
    let mut pairs = Vec::new();
    for session in sessions(world) {
        let receipts = where_(world, |_, line| match line.1 {
            Event::Receipt { n, attempt: 1, .. } if key(line) == session => Some(n),
            _ => None,
        });
        pairs.extend(receipts.windows(2).map(|pair| (session.0, pair[0], pair[1])));
    }
    let Some((client, one, other)) = dice.pick(&pairs) else { return false };
    let swapped = |n: u64| if n == one { other } else { if n == other { one } else { n } };
    for record in &mut world.log {
        if let Some((from, n, _)) = &mut record.load
            && *from == client
        {
            *n = swapped(*n);
            if !record.key.is_empty() {
                record.key = format!("{client}-{n}");
            }
        }
    }
    for (_, event) in &mut world.lines {
        match event {
            Event::Message { from, n, .. } if *from == client => *n = swapped(*n),
            _ => {}
        }
    }
    let of = |wanted: u64| {
        move |at: usize, line: &Line| match line.1 {
            Event::Receipt { n, .. } if line.0.c == Some(client) && n == wanted => Some(at),
            _ => None,
        }
    };
    let (one_at, other_at) = (where_(world, of(one))[0], where_(world, of(other))[0]);
    let place = |event: &Event<'static>| match event {
        Event::Receipt { id, ts, .. } => (id.clone(), *ts),
        _ => unreachable!("a receipt"),
    };
    let (first, second) = (place(&world.lines[one_at].1), place(&world.lines[other_at].1));
    for (at, place) in [(one_at, second), (other_at, first)] {
        if let Event::Receipt { id, ts, .. } = &mut world.lines[at].1 {
            (*id, *ts) = place;
        }
    }
    // Both were answered as first copies, or more than the order is broken.
    let tries = where_(world, |_, line| match line.1 {
        Event::Send { n, .. } if line.0.c == Some(client) && (n == one || n == other) => Some(()),
        _ => None,
    });
    tries.len() == 2
}

fn never_answer(world: &mut World, dice: &mut Dice) -> bool {
    let last = |line: &Line| ended_by(world, key(line)).is_some_and(|(_, why)| why == Why::Asked);
    let receipts = |at, line: &Line| (matches!(line.1, Event::Receipt { .. }) && last(line)).then_some(at);
    dice.pick(&where_(world, receipts)).map(|at| world.lines.remove(at)).is_some()
}

fn refuse_stored(world: &mut World, dice: &mut Dice) -> bool {
    let Some(at) = dice.pick(&where_(world, |at, line| matches!(line.1, Event::Receipt { .. }).then_some(at))) else {
        return false;
    };
    let Event::Receipt { n, attempt, .. } = world.lines[at].1 else { return false };
    let outcome = Outcome::Refused;
    world.lines[at].1 = Event::Failed { n, attempt, code: Some(503), outcome, soft: true, why: "full".into() };
    true
}

fn other_user(world: &mut World, dice: &mut Dice) -> bool {
    let stored = |line: &Line| world.lines.iter().any(|l| key(l) == key(line) && matches!(l.1, Event::Receipt { .. }));
    let connected = where_(world, |at, line| (matches!(line.1, Event::Connected { .. }) && stored(line)).then_some(at));
    let Some(at) = dice.pick(&connected) else { return false };
    world.lines[at].1 = Event::Connected { user: Some("eve".into()), server: None, edge: None };
    true
}

fn close_silent(world: &mut World, dice: &mut Dice) -> bool {
    let sends = |line: &Line| world.lines.iter().any(|l| key(l) == key(line) && matches!(l.1, Event::Send { .. }));
    let silent = where_(world, |at, line| match line.1 {
        Event::Close { why: Why::Server, .. } if !sends(line) => Some(at),
        _ => None,
    });
    let Some(at) = dice.pick(&silent) else { return false };
    let Event::Close { code, .. } = &mut world.lines[at].1 else { return false };
    *code = 4004;
    true
}
