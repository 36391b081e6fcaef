//! What a session gets: too little, too much, too early.

use klatsch_load::history::{Event, Why};

use super::{
    super::{Dice, Stored, World, message},
    Key, Line, ended_by, id_of, key, messages_of, sessions, where_,
};

pub fn drop_one(world: &mut World, dice: &mut Dice, last: bool) -> bool {
    let mut fitting = Vec::new();
    for session in sessions(world) {
        let messages = messages_of(world, session);
        let by = ended_by(world, session);
        match messages.split_last() {
            // What is known of it by others, or by a receipt, is owed.
            Some((at, _)) if last && by.is_some_and(|(_, why)| why == Why::Asked) => {
                let id = id_of(&world.lines[*at].1);
                let known = where_(world, |other, line| match &line.1 {
                    Event::Receipt { id: named, .. } => (named.as_deref() == id.as_deref()).then_some(()),
                    event => (other != *at && id_of(event) == id).then_some(()),
                });
                fitting.extend((!known.is_empty()).then_some(*at));
            }
            Some((_, rest)) if !last && !resumed(world, session) => fitting.extend(rest),
            _ => {}
        }
    }
    dice.pick(&fitting).map(|at| world.lines.remove(at)).is_some()
}

fn resumed(world: &World, session: Key) -> bool {
    let recovered = |line: &Line| matches!(line.1, Event::Joined { recovered: Some(true), .. });
    world.lines.iter().any(|line| key(line) == session && recovered(line))
}

pub fn drop_at_seam(world: &mut World, dice: &mut Dice) -> bool {
    let mut fitting = Vec::new();
    for session in sessions(world).into_iter().filter(|session| resumed(world, *session)) {
        let code = ended_by(world, (session.0, session.1 - 1)).map_or(0, |(code, _)| code);
        let behind = where_(world, |_, line| match &line.1 {
            Event::Joined { position: Some(id), .. } if key(line) == session => offset(id),
            _ => None,
        });
        let messages = messages_of(world, session);
        if [4002, 4003, 1012].contains(&code) && messages.len() > 1 {
            let first = id_of(&world.lines[messages[0]].1).unwrap();
            fitting.extend((offset(&first) <= behind.first().copied()).then_some(messages[0]));
        }
    }
    dice.pick(&fitting).map(|at| world.lines.remove(at)).is_some()
}

fn offset(id: &str) -> Option<i64> {
    id.split_once('-')?.1.rsplit_once('-')?.0.parse().ok()
}

/// Where subscriptions of a new beginning are, with client and position.
fn beginnings(world: &World) -> Vec<(usize, u32, String)> {
    where_(world, |at, line| match &line.1 {
        Event::Joined { position: Some(id), recovered, .. } if *recovered != Some(true) => {
            Some((at, line.0.c?, id.to_string()))
        }
        _ => None,
    })
}

/// The shown records of the room up to a place, for a session that gets something later.
fn before(world: &World, client: u32, at: usize, position: &str) -> Vec<Stored> {
    let session = key(&world.lines[at]);
    let Event::Joined { room, .. } = &world.lines[at].1 else { return Vec::new() };
    let (partition, place) = position.split_once('-').unwrap();
    let place: i64 = place.rsplit_once('-').unwrap().0.parse().unwrap();
    if messages_of(world, session).is_empty() || client != session.0 {
        return Vec::new();
    }
    let here = |record: &&Stored| {
        format!("room-{}", record.room) == **room
            && record.partition.to_string() == partition
            && record.offset <= place
            && !record.hidden
    };
    world.log.iter().filter(here).cloned().collect()
}

pub fn begin_earlier(world: &mut World, dice: &mut Dice) -> bool {
    let mut fitting = Vec::new();
    for (at, client, position) in beginnings(world) {
        if let [.., one, _] = &before(world, client, at, &position)[..] {
            fitting.push((at, one.id()));
        }
    }
    let Some((at, earlier)) = dice.pick(&fitting) else { return false };
    let Event::Joined { position, .. } = &mut world.lines[at].1 else { return false };
    *position = Some(earlier.into());
    true
}

pub fn come_early(world: &mut World, dice: &mut Dice) -> bool {
    let mut fitting = Vec::new();
    for (at, client, position) in beginnings(world) {
        fitting.extend(before(world, client, at, &position).last().map(|record| (at, message(record))));
    }
    let Some((at, event)) = dice.pick(&fitting) else { return false };
    let head = world.lines[at].0;
    world.lines.insert(at + 1, (head, event));
    true
}

pub fn come_twice(world: &mut World, dice: &mut Dice) -> bool {
    let all = where_(world, |at, line| id_of(&line.1).map(|_| at));
    let Some(at) = dice.pick(&all) else { return false };
    let again = world.lines[at].clone();
    world.lines.insert(at + 1, again);
    true
}

pub fn show_repeat(world: &mut World, dice: &mut Dice) -> bool {
    let hidden: Vec<_> = world.log.iter().filter(|record| record.hidden).cloned().collect();
    let Some(record) = dice.pick(&hidden) else { return false };
    let room = format!("room-{}", record.room);
    let ends = where_(world, |at, line| match &line.1 {
        Event::Close { why: Why::Asked, .. } => Some((at, key(line))),
        _ => None,
    });
    let in_room = |session: Key| {
        world
            .lines
            .iter()
            .any(|line| key(line) == session && matches!(&line.1, Event::Joined { room: r, .. } if *r == room))
    };
    let Some((at, _)) = ends.into_iter().find(|(_, session)| in_room(*session)) else { return false };
    let head = world.lines[at].0;
    world.lines.insert(at, (head, message(&record)));
    true
}
