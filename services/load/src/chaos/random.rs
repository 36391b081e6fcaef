//! `F=random`: faults one after the other, sometimes two at once, with pauses, all of it decided by a seed.

use std::time::Duration;

use super::faults::{ALL, Args, Fault};

/// One round, after which everything is verified.
pub(super) const ROUND: Duration = Duration::from_secs(150);

/// A fault of a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Act {
    /// Which.
    pub(super) fault: &'static Fault,
    /// What is said with `begin`: an edge, a broker.
    pub(super) args: [Option<u8>; 2],
    /// How long it lasts.
    pub(super) hold: Duration,
}

/// What is done next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Nothing, for this long.
    pub(super) pause: Duration,
    /// Then this,
    pub(super) first: Act,
    /// and this, before the first has ended.
    pub(super) second: Option<Act>,
}

/// The steps of a round: the same for the same seed.
pub(super) fn steps(seed: u64, round: u64) -> Vec<Step> {
    let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(round));
    let faults: Vec<(&'static Fault, Args)> = ALL.iter().filter_map(|fault| Some((fault, fault.random?))).collect();
    let (mut steps, mut length) = (Vec::new(), Duration::ZERO);
    while length < ROUND {
        let pause = Duration::from_millis(dice.below(6_000));
        let first = act(&mut dice, &faults);
        let other = act(&mut dice, &faults);
        let second = (dice.below(3) == 0 && other.fault.on != first.fault.on).then_some(other);
        length += pause + first.hold + second.map_or(Duration::ZERO, |second| second.hold);
        steps.push(Step { pause, first, second });
    }
    steps
}

fn act(dice: &mut Dice, faults: &[(&'static Fault, Args)]) -> Act {
    let (fault, args) = faults[dice.below(faults.len() as u64) as usize];
    let edge = Some(dice.below(3) as u8 + 1);
    let broker = Some(dice.below(3) as u8 + 1).filter(|_| dice.below(2) == 0);
    let args = match args {
        Args::None => [None, None],
        Args::Edge => [edge, None],
        Args::EdgeAndBroker => [edge, broker],
    };
    Act { fault, args, hold: Duration::from_millis(500 + dice.below(14_500)) }
}

/// Sebastiano Vigna's SplitMix64: the same numbers everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

impl Act {
    /// As the script is told.
    pub(super) fn args(&self) -> Vec<String> {
        self.args.iter().map_while(|arg| arg.map(|arg| arg.to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_seed_decides_everything_and_rounds_differ() {
        let text = |seed, round| format!("{:?}", steps(seed, round));
        assert_eq!(text(7, 1), text(7, 1));
        assert_ne!(text(7, 1), text(7, 2));
        assert_ne!(text(7, 1), text(8, 1));
    }

    #[test]
    fn every_fault_that_may_come_comes_and_two_at_once_work_on_different_things() {
        let all: Vec<Step> = (0..50).flat_map(|round| steps(1, round)).collect();
        let seen: HashSet<&str> = all.iter().map(|step| step.first.fault.name).collect();
        assert_eq!(seen.len(), ALL.iter().filter(|fault| fault.random.is_some()).count());
        let pairs: Vec<_> = all.iter().filter_map(|step| Some((step.first, step.second?))).collect();
        assert!(pairs.len() > 20 && pairs.iter().all(|(first, second)| first.fault.on != second.fault.on));
        assert!(all.iter().all(|step| step.first.hold <= Duration::from_secs(15)));
    }
}
