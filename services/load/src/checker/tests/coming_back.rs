//! Who is cut goes on where it was; what may be lost is sent again.

use super::*;

#[test]
fn who_goes_on_where_it_was_is_owed_what_it_missed_and_gets_nothing_again() {
    let mut history = History::new(&[0, 1]);
    history.chat(0, 1, &[0, 1]);
    history.checker.cut(seat(1));
    let missed = history.chat(0, 2, &[0]);
    assert_eq!(history.checker.backlog().deliveries, 1);
    history.checker.joined(seat(1), true);
    history.message(1, missed, &at(2));
    history.chat(0, 3, &[0, 1]);
    assert_eq!(history.holds(), Totals { expected: 6, got: 6, unseen: 0 });

    let mut history = History::new(&[0, 1]);
    let before = history.chat(0, 1, &[0, 1]);
    history.checker.cut(seat(1));
    history.chat(0, 2, &[0]);
    history.checker.joined(seat(1), true);
    history.message(1, before, &at(1));
    history.checker.finish(u64::MAX);
    let breaches = history.checker.breaches();
    assert_eq!((breaches.count(Kind::Lost), breaches.count(Kind::Duplicate)), (1, 1), "{:?}", breaches.first());
}

#[test]
fn who_was_told_of_a_gap_or_stays_away_is_owed_nothing_of_it() {
    for back in [true, false] {
        let mut history = History::new(&[0, 1]);
        history.checker.cut(seat(1));
        history.chat(0, 1, &[0]);
        if back {
            history.checker.joined(seat(1), false);
            history.chat(0, 2, &[0, 1]);
        }
        assert_eq!(history.holds().expected, if back { 3 } else { 1 });
    }
}

#[test]
fn what_is_sent_again_comes_once_with_the_id_it_is_shown_with() {
    let mut history = History::new(&[0, 1]);
    let send = history.send(0);
    let turn = history.payloads[send].turn;
    history.checker.unknown(seat(0), turn, true);
    assert_eq!(history.checker.backlog().answers, 1);
    history.chat(0, 5, &[0, 1]);
    history.checker.again(seat(0), turn, 0);
    // The first copy lies at 6, the second at 7.
    history.receipt(send, &at(7));
    [0, 1].iter().for_each(|client| history.message(*client, send, &at(6)));
    assert_eq!(history.holds().got, 4);

    let mut history = History::new(&[0, 1]);
    let send = history.send(0);
    history.checker.again(seat(0), history.payloads[send].turn, 0);
    history.receipt(send, &at(7));
    history.message(0, send, &at(6));
    history.message(1, send, &at(7));
    assert!(history.only(Kind::WrongId).contains("connection  1"));
}

#[test]
fn who_is_away_for_too_long_is_owed_nothing() {
    let mut history = History::new(&[0, 1]);
    let first = history.chat(0, 0, &[0, 1]);
    history.checker.cut(seat(1));
    for offset in 1..=room_limit(1) as u64 + 1 {
        history.chat(0, offset, &[0]);
    }
    history.checker.joined(seat(1), true);
    history.message(1, first + 1, &at(1));
    history.holds();
}
