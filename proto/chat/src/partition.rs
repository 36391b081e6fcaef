//! The partition of a room: the same arithmetic as Java's default partitioner.

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// The partition of `room` among `partitions`, the count pinned in the settings (not what the topic has now, so that
/// adding partitions never moves a room by itself). A count below 1 is taken as 1.
pub fn partition_of(room: &[u8], partitions: i32) -> i32 {
    (murmur2(room) & 0x7fff_ffff) as i32 % partitions.max(1)
}

/// MurmurHash2, 32 bits, little-endian, with the seed that Kafka's Java client uses.
fn murmur2(data: &[u8]) -> u32 {
    let mut h = SEED ^ data.len() as u32;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (i, octet) in rest.iter().enumerate() {
            h ^= u32::from(*octet) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own unit test of `Utils.murmur2` (signed there), one for each length class.
    #[test]
    fn agrees_with_kafkas_java_client() {
        for (key, expected) in [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, expected, "{key}");
        }
    }

    #[test]
    fn stays_inside_the_partitions() {
        for n in [i32::MIN, -1, 0, 1] {
            assert_eq!(partition_of(b"room", n), 0);
        }
        for i in 0..1000 {
            let p = partition_of(format!("room {i}").as_bytes(), 12);
            assert!((0..12).contains(&p));
            // From N to 2N partitions a room stays or moves by exactly N.
            let moved = partition_of(format!("room {i}").as_bytes(), 24);
            assert!(moved == p || moved == p + 12);
        }
    }
}
