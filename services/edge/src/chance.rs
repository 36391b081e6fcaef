//! Random octets of the system's cryptographic source, a block at a time: a call of it costs more than all else that a
//! message id needs.

use std::cell::RefCell;

const BLOCK_BYTES: usize = 512;

struct Block {
    octets: [u8; BLOCK_BYTES],
    used: usize,
}

thread_local! {
    static BLOCK: RefCell<Block> = const { RefCell::new(Block { octets: [0; BLOCK_BYTES], used: BLOCK_BYTES }) };
}

/// `N` octets that nobody has had before; at most 512.
pub fn octets<const N: usize>() -> [u8; N] {
    const { assert!(N <= BLOCK_BYTES) };
    BLOCK.with_borrow_mut(|block| {
        if block.used + N > BLOCK_BYTES {
            // The one source that ids may come from. Without it they would be guessable, so there is none then.
            if let Err(error) = getrandom::fill(&mut block.octets) {
                tracing::error!(event = "no_entropy", %error, "the system gives no random numbers");
                std::process::abort()
            }
            block.used = 0;
        }
        let from = block.used;
        block.used += N;
        let mut taken = [0; N];
        taken.copy_from_slice(&block.octets[from..from + N]);
        // Nor will anybody have them again.
        block.octets[from..from + N].fill(0);
        taken
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nobody_gets_the_same_octets() {
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            assert!(seen.insert(octets::<10>().to_vec()) && seen.insert(octets::<16>().to_vec()));
        }
        let other = std::thread::spawn(octets::<16>).join();
        assert!(other.is_ok_and(|octets| seen.insert(octets.to_vec())));
    }
}
