//! The properties of the fuzz target, on its seeds and on what becomes of them by chance, for compilers without libFuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../fuzz/properties.rs"]
mod properties;

use proptest::prelude::*;
use std::{fs, path::Path};

fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/record");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn readers_agree_on_the_seeds_and_on_every_beginning_of_them() {
    for seed in seeds() {
        (0..=seed.len()).for_each(|end| properties::readers_agree(&seed[..end]));
    }
}

proptest! {
    #[test]
    fn readers_agree_on_seeds_with_changed_octets(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut seed = which.get(&seeds()).clone();
        for (at, octet) in changes {
            let at = at.index(seed.len());
            seed[at] = octet;
        }
        properties::readers_agree(&seed);
    }
}
