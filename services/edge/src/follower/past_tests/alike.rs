//! Every edge gives the same, and it is what the whole log says.

use proptest::prelude::*;

use super::*;

fn puts() -> impl Strategy<Value = Vec<Put>> {
    let kind = prop_oneof![
        12 => Just(Kind::Good), 2 => Just(Kind::Twice), 1 => Just(Kind::Broken), 1 => Just(Kind::NoKey),
        1 => Just(Kind::ElseWhere),
    ];
    let put = (0..ROOMS.len(), prop_oneof![5 => 0..2_000i64, 1 => 0..100_000i64], 0..6u8, kind);
    prop::collection::vec(put.prop_map(|(room, after_ms, key, kind)| Put { room, after_ms, key, kind }), 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever an edge holds in memory, however it began: every beginning gives what the whole log says.
    #[test]
    fn p3_p4_every_edge_replays_alike(puts in puts(), room in 0..ROOMS.len(), at in any::<prop::sample::Index>(),
                                      small in 1usize..3_000, rewound in 1i64..40) {
        let log = log_of(&puts);
        let partition = partition_of(ROOMS[room].as_bytes(), PARTITIONS);
        let (records, shown) = whole(&log, partition);
        let of_room: Vec<Seen> = shown.iter().filter(|(name, _)| name == ROOMS[room].as_bytes())
            .map(|(_, seen)| seen.clone()).collect();
        let begins = |offset: i64| Some(of_room.iter().filter(|seen| seen.id.offset >= offset).cloned().collect::<Vec<_>>());
        let mut edges = [
            Edge::new(&log, usize::MAX, Start::At(0), AMPLE),
            Edge::new(&log, small, Start::At(0), AMPLE),
            Edge::new(&log, usize::MAX, recent(rewound), AMPLE),
            Edge::new(&log, small, recent(rewound), AMPLE),
        ];
        let empty = MessageId { partition, offset: -1, check: 0 };
        let mut beginnings = vec![(Begin::First, begins(0)), (Begin::After(empty), begins(0)), (Begin::Since(0), begins(0))];
        if !records.is_empty() {
            let (id, ms) = records[at.index(records.len())];
            let since = records.iter().find(|(_, at)| *at >= ms).map_or(0, |(id, _)| id.offset);
            let wrong = MessageId { check: id.check ^ 1, ..id };
            beginnings.extend([
                (Begin::After(id), begins(id.offset + 1)),
                (Begin::Since(ms), begins(since)),
                (Begin::Since(ms + 1), begins(records.iter().find(|(_, at)| *at > ms).map_or(i64::MAX, |(id, _)| id.offset))),
                (Begin::After(wrong), None),
                (Begin::After(MessageId { partition: 1 - partition, ..id }), None),
                (Begin::After(MessageId { offset: records.len() as i64, ..id }), None),
            ]);
        }
        for (begin, expected) in beginnings {
            for (number, edge) in edges.iter_mut().enumerate() {
                let seen = edge.from(ROOMS[room], begin, |_| ());
                prop_assert_eq!(&seen, &expected, "edge {}, {:?}", number, begin);
            }
        }
        // Its own position leads any edge to the same end.
        for edge in &mut edges {
            let position = edge.follower.tail.position(partition);
            for other in 0..4 {
                let mut other = Edge::new(&log, [usize::MAX, small][other % 2], [Start::At(0), recent(rewound)][other / 2], AMPLE);
                prop_assert_eq!(other.from(ROOMS[room], Begin::After(position), |_| ()), Some(Vec::new()), "{}", position);
            }
        }
        // History: the last ones there are, at most so many; a suffix of what the whole log says, the same everywhere as
        // long as the first two minutes of the log, of which nobody knows what they repeat, are not among them.
        for most in [0u32, 1, 5, 1000] {
            let expected = of_room[of_room.len().saturating_sub(most as usize)..].to_vec();
            for (number, edge) in edges.iter_mut().enumerate() {
                let seen = edge.from(ROOMS[room], Begin::Last(most), |_| ());
                prop_assert_eq!(seen, Some(expected.clone()), "edge {}, the last {}", number, most);
            }
        }
    }
}
