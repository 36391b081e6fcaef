//! The checker's own tests (promises 1 to 8 and 10): what keeps the promises is accepted, and each broken one is found and
//! named, for many histories.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod histories;
mod kit;

use std::{env, fs, path::Path};

use histories::{Dice, World, mutations::MUTATIONS};
use kit::load;
use klatsch_load::{
    history::{Event, Why},
    verify::{Options, Rule},
};

/// `SEED=…` replays one.
fn seeds(count: u64) -> Vec<u64> {
    match env::var("SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..count).collect(),
    }
}

#[test]
fn histories_that_keep_every_promise_are_accepted() {
    let mut checked = [0; Rule::ALL.len()];
    for seed in seeds(2_000) {
        let report = World::new(seed).judge(Options::default());
        assert!(report.held, "SEED={seed}\n{report}");
        for (sum, row) in checked.iter_mut().zip(&report.rules) {
            *sum += row.checked;
        }
    }
    assert!(checked.iter().all(|checked| *checked > 100), "each promise was checked: {checked:?}");
}

/// Promises 1 to 8 and 10, each in every way that it can break.
#[test]
fn every_broken_promise_is_found_and_named() {
    for (name, rule, only, mutate) in MUTATIONS {
        let mut broken = 0;
        for seed in seeds(300) {
            let mut world = World::new(seed);
            if !mutate(&mut world, &mut Dice(seed)) {
                continue;
            }
            broken += 1;
            let report = world.judge(Options::default());
            assert!(report.violations(*rule) > 0, "SEED={seed}, {name}: {rule:?} is not found\n{report}");
            let others = report.rules.iter().filter(|row| row.rule != *rule && row.violations > 0);
            assert!(!only || others.count() == 0, "SEED={seed}, {name}: more than {rule:?} is found\n{report}");
            let story = report.stories.iter().find(|story| story.rule == *rule).unwrap();
            assert!(!story.what.is_empty() && story.scene.run == histories::RUN, "{story}");
        }
        assert!(broken > 30 || env::var_os("SEED").is_some(), "{name}: only {broken} histories could be broken");
    }
}

/// Writes the history and the dump of a world; returns their paths.
fn files(dir: &Path, world: &World) -> [String; 2] {
    let [history, dump] = ["history.jsonl", "dump.jsonl"].map(|name| dir.join(name));
    fs::write(&history, world.text()).unwrap();
    fs::write(&dump, world.rows(&world.log).map(|row| row + "\n").collect::<String>()).unwrap();
    [history, dump].map(|path| path.to_str().unwrap().to_owned())
}

#[test]
fn the_command_says_what_broke_and_shows_the_lines_around_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(3);
    let [history, dump] = files(dir.path(), &world);
    let ended = load(&["verify", "--history", &history, "--dump", &dump]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.ends_with("every promise held\n"), "{}", ended.stdout);

    let (_, _, _, drop) = MUTATIONS.iter().find(|(name, ..)| *name == "a message is missing in the middle").unwrap();
    assert!(drop(&mut world, &mut Dice(3)));
    files(dir.path(), &world);
    let ended = load(&["verify", "--history", &history, "--dump", &dump]);
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    for part in ["BROKEN, P3: no silent gap", "  history   {\"t\":", "  log       ", "A PROMISE BROKE"] {
        assert!(ended.stdout.contains(part), "{part:?} in {}", ended.stdout);
    }
    let ended = load(&["verify", "--json", "--history", &history, "--dump", &dump]);
    let report = ended.report();
    assert_eq!((ended.code, ended.number("violations")), (Some(1), 1), "{}", ended.stdout);
    assert_eq!(report["stories"][0]["rule"], "P3");
    assert_eq!(report["rules"][2]["violations"], 1);
    assert!(report["statistics"]["session_gap"]["p99_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_cannot_be_read_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let [history, dump] = files(dir.path(), &World::new(0));
    for (args, why) in [
        (vec!["--history", "/nonexistent", "--dump", &dump], "/nonexistent"),
        (vec!["--history", &dump, "--dump", &dump], "line 1 is none of a history"),
        (vec!["--history", &history, "--dump", &history], "history.jsonl"),
        (vec!["--history", &history], "--dump"),
        (vec!["--history", &history, "--kafka", "127.0.0.1:1"], "make kafka"),
    ] {
        let ended = load(&[&["verify"], &args[..]].concat());
        assert!(ended.code == Some(2) && ended.stderr.contains(why), "{args:?}: {}", ended.stderr);
    }
}

/// The history of a process that was killed is judged up to where it stops.
#[test]
fn half_a_history_is_judged_as_far_as_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let [history, dump] = files(dir.path(), &World::new(5));
    let whole = fs::read(&history).unwrap();
    for part in 2..20 {
        fs::write(&history, &whole[..whole.len() * part / 20]).unwrap();
        let ended = load(&["verify", "--history", &history, "--dump", &dump]);
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains("a history stops in the middle"), "{}", ended.stdout);
    }
}

/// Two processes, the same rooms: each sees what the other sent.
#[test]
fn histories_of_several_processes_are_one() {
    let dir = tempfile::tempdir().unwrap();
    for seed in 0..20 {
        let mut world = World::new(seed);
        let parts = world.split();
        let [_, dump] = files(dir.path(), &world);
        let names = ["one", "two"].map(|name| dir.path().join(name).to_str().unwrap().to_owned());
        for (name, part) in names.iter().zip(parts) {
            fs::write(name, part).unwrap();
        }
        let ended = load(&["verify", "--history", &names[0], "--history", &names[1], "--dump", &dump]);
        assert_eq!(ended.code, Some(0), "SEED={seed}: {}{}", ended.stdout, ended.stderr);
    }
}

/// What retention took away since is not held against the log; an earlier dump proves it after all.
#[test]
fn a_log_that_was_trimmed_needs_an_earlier_dump() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::new(8);
    let [history, early] = files(dir.path(), &world);
    let whole = fs::read_to_string(&early).unwrap();
    let first = world.log.len() as i64 / 4;
    world.log.retain(|record| record.offset >= first);
    let [_, late] = files(dir.path(), &world);
    let ended = load(&["verify", "--history", &history, "--dump", &late]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("lie before the dump's first record"), "{}", ended.stdout);
    let early = dir.path().join("early.jsonl");
    fs::write(&early, whole).unwrap();
    let ended = load(&["verify", "--history", &history, "--dump", early.to_str().unwrap(), "--dump", &late]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(!ended.stdout.contains("lie before the dump's first record"), "{}", ended.stdout);
}

/// A topic that was deleted and made anew: places mean something else then, and nobody may go on as if nothing had happened.
#[test]
fn a_replaced_topic_is_a_second_log() {
    for seed in seeds(100) {
        let mut world = World::new(seed);
        world.replaced_by(seed + 1);
        let report = world.judge(Options::default());
        assert!(report.held && report.records == world.log.len() + world.second.len(), "SEED={seed}\n{report}");

        // Somebody of the old log is given the new one's messages.
        let end = world.lines.iter().position(|(head, event)| head.c == Some(0) && is_goodbye(event)).unwrap();
        let Some(stranger) = world.second.iter().find(|record| !record.hidden && record.room == 0) else { continue };
        world.lines.insert(end, (world.lines[end].0, histories::message(stranger)));
        let seen = world.lines[..end].iter().any(|(head, event)| head.c == Some(0) && histories::is_message(event));
        let report = world.judge(Options::default());
        assert!(report.violations(Rule::P3) > 0 || !seen, "SEED={seed}\n{report}");
    }
}

#[test]
fn p10_no_session_may_end_where_that_is_asked() {
    for seed in 0..50 {
        let world = World::new(seed);
        let cut = |event: &Event<'_>| matches!(event, Event::Close { why, .. } if *why != Why::Asked);
        let cuts = world.lines.iter().filter(|(_, event)| cut(event)).count() as u64;
        let report = world.judge(Options { expect_no_close: true, ..Options::default() });
        assert_eq!(report.violations(Rule::P10), cuts, "{report}");
    }
}

fn is_goodbye(event: &Event<'_>) -> bool {
    matches!(event, Event::Close { why: Why::Asked, .. })
}
