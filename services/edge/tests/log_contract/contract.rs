//! What all three logs do alike.

use std::{sync::Arc, time::Duration};

use klatsch_edge::log::{Budget, Log, Outcome, ReadRecord, Reason, Reports, Rewind, ScanEnd, Start};

use crate::harness::{Check, Collected, Event, LIMIT, Reading, Twin, record, ticket};

/// Beyond every end.
const END: i64 = i64::MAX;
const AMPLE: Budget = Budget { records: 1_000_000, bytes: 1 << 30, time: LIMIT };

/// Every check, each on a log of its own.
pub(crate) fn keeps<T: Twin>(twin: &T) {
    let checks: [Check<T>; 9] = [
        ("order, octets and offsets", order_octets_offsets),
        ("the end of a partition, and what comes after", end_of_partition),
        ("giving up a wait loses nothing", cancelled_waits),
        ("rewinding by offset", rewinding),
        ("a full queue", full_queue),
        ("looking back", looking_back),
        ("offsets by append time", offsets_by_time),
        ("rewinding as an edge does", rewinding_as_an_edge),
        ("a gap when trimmed", gap_when_trimmed),
    ];
    for (name, check) in checks {
        println!("{}: {name}", std::any::type_name::<T::Log>());
        check(twin);
    }
}

fn open<T: Twin>(twin: &T, partitions: i32) -> (T::Log, Arc<Collected>) {
    let reports = Arc::new(Collected::default());
    (twin.open(partitions, Arc::clone(&reports) as Arc<dyn Reports>), reports)
}

fn ends(events: &[Event]) -> usize {
    events.iter().filter(|e| matches!(e, Event::End { .. })).count()
}

/// Promise 2: order within a partition is call order. Keys and values are exact, whatever octets they hold.
fn order_octets_offsets<T: Twin>(twin: &T) {
    let (log, reports) = open(twin, 3);
    let every: Vec<u8> = (0..=255).collect();
    let values: Vec<Vec<u8>> = (0..300_u32)
        .map(|i| match i {
            0 => Vec::new(),
            1 => every.clone(),
            i => i.to_be_bytes().repeat(i as usize % 40),
        })
        .collect();
    for (i, value) in values.iter().enumerate() {
        log.publish(record((i % 3) as i32, &every, value), ticket(i)).unwrap();
    }
    let outcomes = reports.wait_for(values.len());

    let mut reading = Reading::new(log.feed(Start::At(0)));
    reading.until("all records", |events| ends(events) == 3);
    assert_eq!(reading.events[0], Event::Partitions(3), "the first event of all");
    for partition in 0..3_usize {
        let read = reading.records(partition as i32);
        let written: Vec<_> = values.iter().skip(partition).step_by(3).cloned().collect();
        assert_eq!(read.iter().map(|(_, v)| v.clone()).collect::<Vec<_>>(), written, "partition {partition}");
        assert!(read.windows(2).all(|pair| pair[0].0 < pair[1].0), "offsets increase");
    }
    assert!(reading.events.iter().all(|e| !matches!(e, Event::Record { room, .. } if *room != every)));

    // Each ticket was answered once, and with the place where its record was read.
    let mut sends: Vec<_> = outcomes.iter().map(|(t, _)| t.send as usize).collect();
    sends.sort_unstable();
    assert_eq!(sends, (0..values.len()).collect::<Vec<_>>());
    for (ticket, outcome) in outcomes {
        let value = &values[ticket.send as usize];
        match outcome {
            Outcome::Stored { partition, offset, timestamp_ms } if T::PLACED => {
                let room = every.clone();
                let read = Event::Record { partition, offset, timestamp_ms, room, value: value.clone() };
                assert!(reading.events.contains(&read), "{read:?}");
            }
            Outcome::StoredUnplaced if !T::PLACED => {}
            other => panic!("{other:?}"),
        }
    }
    let health = log.health();
    assert!(health.connected && health.fault.is_none());
    assert_eq!((log.flush(LIMIT), log.health().in_flight, log.health().oldest_in_flight), (0, 0, None));
}

fn end_of_partition<T: Twin>(twin: &T) {
    let (log, reports) = open(twin, 2);
    let mut reading = Reading::new(log.feed(Start::Now));
    reading.until("the ends of empty partitions", |events| ends(events) == 2);
    for partition in 0..2 {
        assert!(reading.events.contains(&Event::End { partition, offset: 0 }));
    }
    log.publish(record(1, b"room", b"first"), ticket(0)).unwrap();
    reading.until("a record and the end after it", |events| events.contains(&Event::End { partition: 1, offset: 1 }));
    assert_eq!(reading.records(1), [(0, b"first".to_vec())]);
    reports.wait_for(1);

    // From now on: nothing that was there before.
    let mut later = Reading::new(log.feed(Start::Now));
    later.until("its ends", |events| ends(events) == 2);
    log.publish(record(1, b"room", b"second"), ticket(1)).unwrap();
    later.until("the second record", |events| events.iter().any(|e| e.value().is_some()));
    assert_eq!(later.records(1), [(1, b"second".to_vec())]);
}

fn cancelled_waits<T: Twin>(twin: &T) {
    let (log, reports) = open(twin, 1);
    let mut reading = Reading::new(log.feed(Start::Now));
    reading.until("the end", |events| ends(events) == 1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..200_usize {
                log.publish(record(0, b"room", &i.to_be_bytes()), ticket(i)).unwrap();
                if i % 10 == 0 {
                    reports.wait_for(i);
                }
            }
        });
        reading.impatiently(Duration::from_micros(200), 200);
    });
    let read: Vec<_> = reading.records(0).into_iter().map(|(_, value)| value).collect();
    assert_eq!(read, (0..200_usize).map(|i| i.to_be_bytes().to_vec()).collect::<Vec<_>>());
}

fn ten<T: Twin>(twin: &T) -> (T::Log, Arc<Collected>) {
    let (log, reports) = open(twin, 1);
    for i in 0..10_usize {
        log.publish(record(0, b"room", &[i as u8]), ticket(i)).unwrap();
    }
    reports.wait_for(10);
    (log, reports)
}

fn rewinding<T: Twin>(twin: &T) {
    let (log, _reports) = ten(twin);
    for (start, first) in [
        (Start::Rewind(3), 7),
        (Start::Rewind(10), 0),
        (Start::Rewind(1000), 0),
        (Start::Rewind(0), 10),
        (Start::At(4), 4),
        (Start::Now, 10),
    ] {
        let mut reading = Reading::new(log.feed(start));
        reading.until("the end", |events| ends(events) == 1);
        let offsets: Vec<_> = reading.records(0).into_iter().map(|(offset, _)| offset).collect();
        assert_eq!(offsets, (first..10).collect::<Vec<_>>(), "{start:?}");
        assert_eq!(reading.events.last(), Some(&Event::End { partition: 0, offset: 10 }));
    }
}

/// Immediate, and without a report; what was taken is stored.
fn full_queue<T: Twin>(twin: &T) {
    let reports = Arc::new(Collected::default());
    let log = twin.open_with_queue(10, Arc::clone(&reports) as Arc<dyn Reports>);
    let refused = (0..1000).map(|i| log.publish(record(0, b"room", b"v"), ticket(i))).position(|sent| {
        sent.is_err_and(|reason| {
            assert_eq!(reason, Reason::QueueFull);
            true
        })
    });
    let taken = refused.expect("the queue never filled");
    assert!(taken >= 10, "only {taken} were taken");
    assert!(log.health().in_flight > 0 && log.health().oldest_in_flight.is_some());
    twin.release(&log);
    let outcomes = reports.wait_for(taken);
    assert!(
        outcomes.iter().all(|(_, o)| matches!(o, Outcome::Stored { .. } | Outcome::StoredUnplaced)),
        "{outcomes:?}"
    );
    assert_eq!(log.flush(LIMIT), 0);
    assert_eq!(reports.count(), taken, "a refused record was reported");
}

fn looking_back<T: Twin>(twin: &T) {
    let (log, _reports) = ten(twin);
    let scan = |range, budget| {
        let mut found = Vec::new();
        let end =
            log.scan(0, range, budget, &mut |r: ReadRecord<'_>| found.push((r.offset, r.value.to_vec()))).unwrap();
        (end, found)
    };
    assert_eq!(log.retained(0, LIMIT).unwrap(), 0..10);
    let all: Vec<_> = (0..10).map(|i| (i, vec![i as u8])).collect();
    assert_eq!(scan(0..END, AMPLE), (ScanEnd::Complete, all.clone()));
    assert_eq!(scan(6..END, AMPLE), (ScanEnd::Complete, all[6..].to_vec()));
    assert_eq!(scan(10..END, AMPLE), (ScanEnd::Complete, Vec::new()));
    assert_eq!(scan(2..5, AMPLE), (ScanEnd::Complete, all[2..5].to_vec()), "the range's end is exclusive");
    assert_eq!(scan(8..11, AMPLE), (ScanEnd::Complete, all[8..].to_vec()), "clipped to what stands");
    assert_eq!(scan(5..5, AMPLE), (ScanEnd::Complete, Vec::new()));
    assert_eq!(scan(2..5, Budget { records: 3, ..AMPLE }), (ScanEnd::Complete, all[2..5].to_vec()));
    assert_eq!(scan(0..END, Budget { records: 4, ..AMPLE }), (ScanEnd::Incomplete, all[..4].to_vec()));
    assert_eq!(scan(6..END, Budget { records: 4, ..AMPLE }).0, ScanEnd::Complete);
    // A record here is 5 octets of key and value.
    assert_eq!(scan(0..END, Budget { bytes: 15, ..AMPLE }), (ScanEnd::Incomplete, all[..3].to_vec()));
    assert_eq!(scan(0..END, Budget { time: Duration::ZERO, ..AMPLE }), (ScanEnd::Incomplete, Vec::new()));
}

/// DESIGN §7: what is kept begins by count or by time, whichever is later; what is read begins earlier, by time and span.
fn rewinding_as_an_edge<T: Twin>(twin: &T) {
    let (log, reports) = open(twin, 2);
    for i in 0..12_usize {
        log.publish(record(0, b"room", &[i as u8]), ticket(i)).unwrap();
        reports.wait_for(i + 1);
        std::thread::sleep(Duration::from_millis(3));
    }
    let mut times = Vec::new();
    log.scan(0, 0..END, AMPLE, &mut |r| times.push(r.timestamp_ms)).unwrap();
    let far = Duration::from_secs(3600);
    // Exactly so old that the record is still within it.
    let age = |of: usize, at: usize| Duration::from_millis((times[of] - times[at]) as u64);
    let all = Rewind { records: 100, age: far, window: far, span: 100 };
    let here = Rewind { records: 1, age: far, window: Duration::ZERO, span: 0 };
    for (rewind, first, kept) in [
        (all, 0, 0),
        (Rewind { records: 4, ..all }, 0, 0),
        (Rewind { records: 4, span: 3, ..all }, 5, 8),
        (Rewind { records: 4, window: age(8, 6), ..all }, 6, 8),
        (Rewind { age: age(11, 7), window: age(7, 2), ..all }, 2, 7),
        (Rewind { age: age(11, 7), window: age(7, 2), span: 1, ..all }, 6, 7),
        (Rewind { records: 2, age: age(11, 7), window: age(10, 9), span: 5 }, 9, 10),
        (Rewind { records: 0, age: Duration::ZERO, ..here }, 11, 11),
        (Rewind { span: 100, ..here }, 11, 11),
    ] {
        let mut reading = Reading::new(log.feed(Start::Recent(rewind)));
        reading.until("the ends", |events| ends(events) == 2);
        let offsets: Vec<_> = reading.records(0).into_iter().map(|(offset, _)| offset).collect();
        let told = reading.events.iter().find_map(|e| match e {
            Event::Prelude { partition: 0, until } => Some(*until),
            _ => None,
        });
        // A log that knows no times reads more, and keeps more.
        if T::TIMED {
            assert_eq!((offsets[0], told.unwrap_or(first)), (first, kept), "{rewind:?} {times:?}");
        } else {
            assert!(offsets[0] <= first && told.unwrap_or(0) <= kept, "{rewind:?}");
        }
        assert_eq!(offsets, (offsets[0]..12).collect::<Vec<_>>());
        let before = reading.events.iter().position(|e| matches!(e, Event::Prelude { .. }));
        assert!(before < reading.events.iter().position(|e| e.value().is_some()), "the prelude is told first");
    }
}

/// The records of one partition, as they were appended: whatever time is asked for, nothing that late is left out, and
/// a log that keeps append times names the very record.
fn offsets_by_time<T: Twin>(twin: &T) {
    let (log, reports) = open(twin, 2);
    for i in 0..5_usize {
        log.publish(record(0, b"room", &[i as u8]), ticket(i)).unwrap();
        reports.wait_for(i + 1);
        // So that the next one is later by the log's clock.
        std::thread::sleep(Duration::from_millis(3));
    }
    let mut times = Vec::new();
    log.scan(0, 0..END, AMPLE, &mut |r| times.push(r.timestamp_ms)).unwrap();
    assert_eq!(times.len(), 5);
    for (offset, ms) in (0..).zip(times.iter().copied()) {
        let found = log.offset_at(0, ms, LIMIT).unwrap();
        assert!(
            found == offset || !T::TIMED && (0..offset).contains(&found),
            "{found} for {offset} at {ms} of {times:?}"
        );
    }
    let after = log.offset_at(0, times[4] + 1, LIMIT).unwrap();
    assert!(after == 5 || !T::TIMED, "{after} where nothing is that late");
    assert_eq!(log.offset_at(1, times[0], LIMIT).unwrap(), 0, "an empty partition");
    assert!(log.retained(2, Duration::from_secs(5)).is_err() && log.offset_at(2, 0, Duration::from_secs(5)).is_err());
}

/// Promise 3: what is lost is announced, never skipped.
fn gap_when_trimmed<T: Twin>(twin: &T) {
    let (log, reports) = ten(twin);
    let low = twin.trim(&log, &reports);
    let mut reading = Reading::new(log.feed(Start::At(0)));
    reading.until("the end", |events| ends(events) == 1);
    let gap = reading.events.iter().position(|e| *e == Event::Gap { partition: 0, resumed_at: low });
    let first = reading.events.iter().position(|e| e.value().is_some());
    assert!(gap.is_some() && gap < first, "no gap before the first record: {:?}", &reading.events[..2]);
    assert_eq!(reading.records(0)[0].0, low);

    let end = reading.records(0).last().unwrap().0 + 1;
    assert_eq!(log.retained(0, LIMIT).unwrap(), low..end);
    assert!(log.offset_at(0, 0, LIMIT).unwrap() <= low, "what is gone is not looked for");
    let mut found = 0;
    assert_eq!(log.scan(0, low - 1..END, AMPLE, &mut |_| found += 1).unwrap(), ScanEnd::Incomplete);
    assert_eq!(found, 0, "a partial look back");
    assert_eq!(log.scan(0, low..END, AMPLE, &mut |_| found += 1).unwrap(), ScanEnd::Complete);
    assert_eq!(found, reading.records(0).len());

    // Rewinding further than what is kept is no gap: nothing was asked for that is lost.
    let mut rewound = Reading::new(log.feed(Start::Rewind(1_000_000)));
    rewound.until("the end", |events| ends(events) == 1);
    assert!(!rewound.events.iter().any(|e| matches!(e, Event::Gap { .. })));
    assert_eq!(rewound.records(0).len(), found);
}
