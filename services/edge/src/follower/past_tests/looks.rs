//! What looks cost, and what happens around them.

use super::*;

/// While the log is asked, the tail moves on: a little is no matter, and what it has lost by then is asked for again.
#[test]
fn p3_the_tail_moves_on_while_the_log_is_asked() {
    for more in [1, 3, 20] {
        let log = log_of(&plain(50));
        let mut edge = Edge::new(&log, 1_500, Start::At(0), AMPLE);
        let partition = partition_of(b"a", PARTITIONS);
        let (records, _) = whole(&log, partition);
        assert!(edge.follower.tail.kept_from(partition).unwrap() > 30, "a small tail");
        let seen = edge.from("a", Begin::After(records[10].0), |edge| {
            for (number, put) in plain(more).iter().enumerate() {
                let (room, value) = (Bytes::from_static(b"a"), value(1000 + number, put));
                edge.log.publish(NewRecord { partition, room, value, trace: None }, Ticket::default()).unwrap();
            }
            edge.catch_up();
        });
        let offsets: Vec<i64> = seen.expect("recovered").iter().map(|seen| seen.id.offset).collect();
        assert_eq!(offsets, (11..50 + more as i64).collect::<Vec<_>>(), "{more} more");
    }
}

/// All that wait for one partition are asked for at once, and at most so many partitions.
#[test]
fn waiting_subscriptions_share_a_look() {
    let log = log_of(&plain(50));
    let mut edge = Edge::new(&log, 1_500, Start::At(0), AMPLE);
    let partition = partition_of(b"a", PARTITIONS);
    let (records, _) = whole(&log, partition);
    for (connection, token) in records[..20].iter().enumerate() {
        let subscription = SubscriptionHandle { index: 0, generation: 0 };
        let who = Subscriber { worker: 0, connection, generation: 0, subscription };
        let (room, from) = (Bytes::from_static(b"a"), Begin::After(token.0));
        edge.follower.handle_command(ToFollower::Subscribe { who, room, from }, Duration::ZERO);
    }
    edge.follower.handle_round(Duration::ZERO);
    let question = edge.follower.poll_question().expect("a question");
    assert!(edge.follower.poll_question().is_none());
    let answer = edge.looking.answer(&log, &question);
    edge.follower.handle_command(ToFollower::Looked(answer), Duration::ZERO);
    let told = edge.follower.poll_outbox(0).map(std::mem::take).unwrap();
    let recovered = told.iter().filter(|what| {
        matches!(what, FromFollower::Subscribed { resumed: Resumed::Replay(replay), .. } if replay.past.is_some())
    });
    assert_eq!(recovered.count(), 20);
    let held = edge.looking.metrics.delivery.replay_bytes.get();
    assert!(held > 0);
    drop(told);
    assert_eq!(edge.looking.metrics.delivery.replay_bytes.get(), 0, "given back when it has been given out");
}

/// Whoever wants more than a look may cost is told no, and the others are served; nobody is kept waiting for ever.
#[test]
fn p3_a_look_has_a_budget() {
    let log = log_of(&plain(500));
    let partition = partition_of(b"a", PARTITIONS);
    let (records, _) = whole(&log, partition);
    // A second apart, so two minutes before the token are 120 records.
    let mut edge = Edge::new(&log, 1_500, Start::At(0), Budget { records: 200, ..AMPLE });
    assert_eq!(edge.from("a", Begin::After(records[200].0), |_| ()), None);
    assert_eq!(edge.from("a", Begin::First, |_| ()), None);
    assert_eq!(edge.from("a", Begin::Since(records[10].1), |_| ()), None);
    assert_eq!(edge.from("a", Begin::After(records[450].0), |_| ()).expect("within it").len(), 49);
    let seen = edge.from("a", Begin::Last(1000), |_| ()).expect("history is what there is");
    assert!((60..200).contains(&seen.len()), "{}", seen.len());
    let mut edge = Edge::new(&log, 1_500, Start::At(0), Budget { bytes: 2_000, ..AMPLE });
    assert_eq!(edge.from("a", Begin::After(records[300].0), |_| ()), None);
    edge.follower.handle_tick(Duration::from_secs(2));
    assert_eq!(edge.follower.waiting(), 0);
    // Nobody answers: five seconds.
    let subscription = SubscriptionHandle { index: 0, generation: 0 };
    let who = Subscriber { worker: 0, connection: 0, generation: 0, subscription };
    let (room, from) = (Bytes::from_static(b"a"), Begin::First);
    edge.follower.handle_command(ToFollower::Subscribe { who, room, from }, Duration::ZERO);
    edge.follower.handle_round(Duration::ZERO);
    assert!(edge.follower.poll_question().is_some() && edge.follower.poll_outbox(0).is_none());
    edge.follower.handle_round(Duration::from_secs(5));
    let mut told = edge.follower.poll_outbox(0).map(std::mem::take).unwrap();
    assert!(
        matches!(told.make_contiguous(), [FromFollower::Subscribed { resumed: Resumed::NotRecovered, .. }]),
        "{told:?}"
    );
}

/// A token that is ahead is held if the log holds something there, and answered at once if not.
#[test]
fn p3_a_token_ahead_of_this_edge() {
    let log = log_of(&plain(10));
    let partition = partition_of(b"a", PARTITIONS);
    let mut edge = Edge::new(&log, usize::MAX, Start::At(0), AMPLE);
    for (number, put) in plain(3).iter().enumerate() {
        let (room, value) = (Bytes::from_static(b"a"), value(1000 + number, put));
        log.publish(NewRecord { partition, room, value, trace: None }, Ticket::default()).unwrap();
    }
    let (records, _) = whole(&log, partition);
    // The log has it: waits until it is read here.
    let seen = edge.from("a", Begin::After(records[11].0), Edge::catch_up);
    assert_eq!(seen.expect("recovered").len(), 1);
    // It never comes.
    let nowhere = MessageId { offset: 99, ..records[11].0 };
    assert_eq!(edge.from("a", Begin::After(nowhere), |_| ()), None);
    // It comes, and is another one.
    let other = MessageId { offset: 13, ..records[11].0 };
    log.publish(
        NewRecord { partition, room: Bytes::from_static(b"a"), value: value(2000, &plain(1)[0]), trace: None },
        Ticket::default(),
    )
    .unwrap();
    assert_eq!(edge.from("a", Begin::After(other), Edge::catch_up), None);
}

/// Another log stands in this one's place, and this edge has not noticed yet: nothing of both is joined.
#[test]
fn p3_a_replaced_log_is_not_joined_with_what_was_there() {
    let mut edge = Edge::new(&log_of(&plain(50)), 1_500, Start::At(0), AMPLE);
    let other = MemoryLog::new(PARTITIONS, 1 << 20, Arc::new(Nobody));
    for (number, put) in plain(60).iter().enumerate() {
        let (room, value) = (Bytes::from_static(b"a"), value(5000 + number, put));
        other
            .publish(
                NewRecord { partition: partition_of(b"a", PARTITIONS), room, value, trace: None },
                Ticket::default(),
            )
            .unwrap();
    }
    let (records, _) = whole(&other, partition_of(b"a", PARTITIONS));
    edge.log = other;
    assert_eq!(edge.from("a", Begin::After(records[5].0), |_| ()), None);
}

/// What retention has taken: no token leads there, `first` is what is left, and a moment before it is a gap.
#[test]
fn p3_what_the_log_has_lost() {
    let log = log_of(&plain(300));
    let partition = partition_of(b"a", PARTITIONS);
    let (records, _) = whole(&log, partition);
    let mut edge = Edge::new(&log, 1_500, Start::At(0), AMPLE);
    log.trim(partition, 150);
    assert_eq!(edge.from("a", Begin::After(records[140].0), |_| ()), None);
    assert_eq!(edge.from("a", Begin::After(records[149].0), |_| ()), None, "not to be verified any more");
    assert_eq!(edge.from("a", Begin::After(records[150].0), |_| ()).expect("it is there").len(), 149);
    assert_eq!(edge.from("a", Begin::First, |_| ()).expect("what is left").len(), 150);
    assert_eq!(edge.from("a", Begin::Since(records[100].1), |_| ()), None);
    assert_eq!(edge.from("a", Begin::Since(records[200].1), |_| ()).expect("all of it").len(), 100);
    let empty = MessageId { partition, offset: 149, check: 0 };
    assert_eq!(edge.from("a", Begin::After(empty), |_| ()).expect("the end of an empty partition").len(), 150);
}
