//! Broken histories: each rule finds what breaks it, and nothing else does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

mod coming_back;

const RUN: u32 = 1;
const SIZE: usize = 200;

/// Three clients in one room; records get offsets in partition 4.
struct History {
    checker: Checker,
    numbers: [u64; 3],
    payloads: Vec<Payload>,
}

impl History {
    fn new(joined: &[u32]) -> History {
        let history = History { checker: Checker::new(3, 1, true), numbers: [0; 3], payloads: Vec::new() };
        joined.iter().for_each(|client| history.checker.joined(seat(*client), false));
        history
    }

    /// A SEND; returns its index.
    fn send(&mut self, client: u32) -> usize {
        let number = self.numbers[client as usize];
        self.numbers[client as usize] += 1;
        let turn = self.checker.sent(seat(client), 1, number, 0);
        self.payloads.push(Payload { run: RUN, room: 0, turn, sender: client, number, due: 0, attempt: 1 });
        self.payloads.len() - 1
    }

    fn receipt(&self, send: usize, id: &str) {
        let payload = self.payloads[send];
        self.checker.receipted(seat(payload.sender), payload.turn, Some(id));
    }

    fn message(&self, client: u32, send: usize, id: &str) {
        self.checker.delivered(seat(client), &self.payloads[send], id, SIZE, SIZE);
    }

    /// A SEND as it should be: stored at `offset`, receipted, delivered to `to`.
    fn chat(&mut self, client: u32, offset: u64, to: &[u32]) -> usize {
        let (send, id) = (self.send(client), at(offset));
        self.receipt(send, &id);
        to.iter().for_each(|to| self.message(*to, send, &id));
        send
    }

    /// The only kind that broke, once, and its counter-example.
    #[track_caller]
    fn only(&self, kind: Kind) -> String {
        self.checker.finish(u64::MAX);
        let breaches = self.checker.breaches();
        for other in Kind::ALL {
            assert_eq!(breaches.count(other), u64::from(other == kind), "{}: {:?}", other.name(), breaches.first());
        }
        breaches.first()[0].to_string()
    }

    #[track_caller]
    fn holds(&self) -> Totals {
        let totals = self.checker.finish(u64::MAX);
        assert!(self.checker.breaches().none(), "{:?}", self.checker.breaches().first());
        totals
    }
}

fn seat(client: u32) -> Member {
    Member { room: 0, seat: client }
}

fn at(offset: u64) -> String {
    format!("4-{offset}-0000abcd")
}

#[test]
fn a_true_history_holds() {
    let mut history = History::new(&[0, 1, 2]);
    for offset in 0..1_000 {
        history.chat(offset as u32 % 3, 10 + 2 * offset, &[2, 0, 1]);
    }
    assert_eq!(history.checker.backlog(), Backlog::default());
    assert_eq!(history.holds(), Totals { expected: 3_000, got: 3_000, unseen: 0 });
}

#[test]
fn who_comes_late_or_leaves_is_owed_only_what_it_was_there_for() {
    let mut history = History::new(&[0, 1]);
    let before = history.send(0);
    history.checker.joined(seat(2), false);
    history.message(2, before, &at(1)); // stored after it had subscribed: may come, need not
    history.receipt(before, &at(1));
    [0, 1].iter().for_each(|client| history.message(*client, before, &at(1)));
    let cut = history.chat(1, 2, &[0, 2]);
    assert_eq!(history.checker.backlog().deliveries, 1);
    history.checker.left(seat(1));
    history.checker.joined(seat(1), false);
    history.message(1, cut, &at(2)); // another session: no duplicate, no debt
    history.chat(0, 3, &[0, 1, 2]);
    assert_eq!(history.holds(), Totals { expected: 7, got: 7, unseen: 0 });
}

#[test]
fn a_lost_message_is_found() {
    let mut history = History::new(&[0, 1, 2]);
    history.chat(0, 1, &[0, 1, 2]);
    history.chat(0, 2, &[0, 2]);
    history.chat(0, 3, &[0, 1, 2]);
    assert_eq!(history.checker.backlog().deliveries, 1);
    let example = history.only(Kind::Lost);
    assert!(example.contains("connection  1") && example.contains(&at(2)) && example.contains(&at(3)), "{example}");
}

#[test]
fn a_message_that_nobody_got_is_lost_to_all() {
    let mut history = History::new(&[0, 1, 2]);
    history.chat(0, 1, &[]);
    assert_eq!(history.checker.finish(u64::MAX).expected, 3);
    assert_eq!(history.checker.breaches().count(Kind::Lost), 3);
}

#[test]
fn a_duplicate_is_found_at_once_and_long_after() {
    let mut history = History::new(&[0, 1, 2]);
    let send = history.chat(0, 1, &[0, 1, 2]);
    history.message(1, send, &at(1));
    assert!(history.only(Kind::Duplicate).contains(&at(1)));

    let mut history = History::new(&[0, 1, 2]);
    let send = history.chat(0, 1, &[0, 1, 2]);
    (2..200).for_each(|offset| _ = history.chat(0, offset, &[0, 1, 2]));
    history.message(1, send, &at(1));
    assert!(history.only(Kind::Duplicate).contains(&at(199)));
}

#[test]
fn one_send_stored_twice_is_a_duplicate() {
    let mut history = History::new(&[0, 1, 2]);
    let send = history.chat(0, 1, &[0, 1, 2]);
    history.message(1, send, &at(2));
    let example = history.only(Kind::Duplicate);
    assert!(example.contains(&at(1)) && example.contains(&at(2)), "{example}");
}

#[test]
fn a_swapped_order_is_found_in_the_session_that_saw_it() {
    let mut history = History::new(&[0, 1, 2]);
    let first = history.chat(0, 1, &[0, 1]);
    let second = history.chat(1, 2, &[0, 1]);
    history.message(2, second, &at(2));
    history.message(2, first, &at(1));
    let example = history.only(Kind::OutOfOrder);
    assert!(example.contains("connection  2") && example.contains(&at(1)) && example.contains(&at(2)), "{example}");
}

#[test]
fn ids_without_offsets_are_compared_between_sessions() {
    let mut history = History::new(&[0, 1, 2]);
    let (first, second) = (history.send(0), history.send(1));
    for client in [0, 1] {
        history.message(client, first, "T_a@@1");
        history.message(client, second, "T_b@@1");
    }
    history.receipt(first, "T_a@@1");
    history.receipt(second, "T_b@@1");
    history.message(2, second, "T_b@@1");
    history.message(2, first, "T_a@@1");
    let example = history.only(Kind::OutOfOrder);
    assert!(example.contains("connection  2") && example.contains("T_a@@1"), "{example}");
}

#[test]
fn a_senders_order_is_checked() {
    for ids in [[at(2), at(1)], ["T_b".into(), "T_a".into()]] {
        let mut history = History::new(&[0, 1, 2]);
        let (first, second) = (history.send(0), history.send(0));
        for client in [0, 1, 2] {
            history.message(client, second, &ids[1]);
            history.message(client, first, &ids[0]);
        }
        history.receipt(first, &ids[0]);
        history.receipt(second, &ids[1]);
        let example = history.only(Kind::OutOfOrder);
        assert!(example.contains("connection  0") && example.contains(&ids[0]), "{example}");
    }
}

#[test]
fn a_room_in_two_partitions_has_no_order() {
    let mut history = History::new(&[0, 1, 2]);
    history.chat(0, 1, &[0, 1, 2]);
    let send = history.send(0);
    history.receipt(send, "5-7-0000abcd");
    history.message(2, send, "5-7-0000abcd");
    [0, 1].iter().for_each(|client| history.checker.left(seat(*client)));
    assert!(history.only(Kind::OutOfOrder).contains("partition"));
}

#[test]
fn a_receipt_with_another_id_is_found_whichever_comes_first() {
    for receipt_first in [true, false] {
        let mut history = History::new(&[0]);
        let send = history.send(0);
        if receipt_first {
            history.receipt(send, &at(1));
            history.message(0, send, &at(2));
        } else {
            history.message(0, send, &at(2));
            history.receipt(send, &at(1));
        }
        let example = history.only(Kind::WrongId);
        assert!(example.contains(&at(1)) && example.contains(&at(2)), "{example}");
    }
}

#[test]
fn two_sessions_must_see_one_id() {
    let mut history = History::new(&[0, 1]);
    let send = history.send(0);
    history.message(0, send, &at(1));
    history.message(1, send, &at(2));
    history.receipt(send, &at(1));
    assert!(history.only(Kind::WrongId).contains("connection  1"));
}

#[test]
fn what_was_refused_must_not_appear() {
    for refused_first in [true, false] {
        let mut history = History::new(&[0]);
        let send = history.send(0);
        let refuse = || history.checker.refused(seat(0), history.payloads[send].turn);
        if refused_first {
            refuse();
            history.message(0, send, &at(1));
        } else {
            history.message(0, send, &at(1));
            refuse();
        }
        history.only(Kind::RefusedYetDelivered);
    }
}

#[test]
fn an_unknown_send_may_appear_late_or_never_but_then_to_all() {
    let mut history = History::new(&[0, 1]);
    let (never, late) = (history.send(0), history.send(0));
    for send in [never, late] {
        history.checker.unknown(seat(0), history.payloads[send].turn, false);
    }
    history.chat(0, 1, &[0, 1]);
    history.message(0, late, &at(2));
    history.message(1, late, &at(2));
    assert_eq!(history.holds().expected, 4);

    let mut history = History::new(&[0, 1]);
    let late = history.send(0);
    history.checker.unknown(seat(0), history.payloads[late].turn, false);
    history.message(0, late, &at(1));
    assert!(history.only(Kind::Lost).contains("seen by others"));
}

#[test]
fn a_send_without_answer_is_found() {
    let mut history = History::new(&[]);
    history.send(0);
    assert_eq!(history.checker.backlog().answers, 1);
    assert!(history.only(Kind::Unanswered).contains("SEND 0"));
}

#[test]
fn wrong_rooms_and_damaged_bodies_are_found() {
    let mut history = History::new(&[0]);
    let send = history.chat(0, 1, &[0]);
    let elsewhere = Payload { room: 7, ..history.payloads[send] };
    history.checker.delivered(seat(0), &elsewhere, &at(2), SIZE, SIZE);
    assert!(history.only(Kind::Misdelivered).contains("room 7"));

    let mut history = History::new(&[0]);
    let send = history.chat(0, 1, &[0]);
    history.checker.delivered(seat(0), &history.payloads[send], &at(2), SIZE - 1, SIZE);
    assert!(history.only(Kind::Damaged).contains("199"));
}

#[test]
fn memory_is_bounded_and_what_is_pushed_out_is_judged() {
    let mut history = History::new(&[0, 1, 2]);
    let lost = history.chat(0, 0, &[0, 1]);
    for offset in 1..=room_limit(1) as u64 {
        history.chat(0, offset, &[0, 1, 2]);
    }
    assert_eq!(history.checker.breaches().count(Kind::Lost), 1, "SEND {lost} is too old to wait for");
    assert!(history.only(Kind::Lost).contains("4-0-0000abcd"));
}
