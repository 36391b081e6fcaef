//! What the tail does not hold: subscriptions that wait for a look into the log, and what becomes of them.
//!
//! All that wait for one partition are asked for together, a few partitions at a time. The answer covers everything up
//! to an offset that the tail held when it was asked for; if the tail still reaches back to it when the answer is
//! there, both parts join with nothing missing and nothing twice.

use std::time::Duration;

use chat_proto::{MessageId, partition_of};

use super::Follower;
use crate::{
    looker::{Answer, Asked, Excerpt, Found, LOOKERS, Past, Question, Recalled, Want},
    message::{Begin, Replay, Resumed, Subscriber},
};

/// How long a subscription waits for the log, and a token that is ahead for this edge to catch up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Subscriptions that may wait at once; one more is told no.
const MOST_WAITING: usize = 4096;
/// Subscriptions that are asked for in one look.
const MOST_AT_ONCE: usize = 1024;
/// A subscription whose beginning is not known yet.
pub(super) struct Waiting {
    pub(super) who: Subscriber,
    pub(super) want: Want,
    until: Duration,
}

/// A SUBSCRIBE whose token lies ahead of this edge: the edge before was a little faster, or it is of another log.
pub(super) struct Ahead {
    waiting: Waiting,
    token: MessageId,
    /// The log holds something there.
    confirmed: bool,
}

/// What is known of one partition's past.
#[derive(Default)]
struct Partition {
    /// To be asked for.
    waiting: Vec<Waiting>,
    /// Asked for, in the order of the question. Who has waited too long has been answered and is none any more.
    asked: Option<Vec<Option<Waiting>>>,
    /// The log has been asked where the partition ends.
    end_asked: bool,
}

/// Everybody who waits.
#[derive(Default)]
pub(super) struct Pasts {
    partitions: Vec<Partition>,
    ahead: Vec<Ahead>,
    /// Looks that are under way.
    looks: usize,
    count: usize,
    questions: Vec<Question>,
}

impl Pasts {
    fn of(&mut self, partition: i32) -> &mut Partition {
        let at = usize::try_from(partition).unwrap_or(0);
        if self.partitions.len() <= at {
            self.partitions.resize_with(at + 1, Partition::default);
        }
        &mut self.partitions[at]
    }

    fn is_full(&self) -> bool {
        self.count + self.ahead.len() >= MOST_WAITING
    }
}

impl Follower {
    /// The next question to the log. To be polled until `None` after every round.
    pub fn poll_question(&mut self) -> Option<Question> {
        self.pasts.questions.pop()
    }

    /// The answer to a question that nobody has room for.
    pub fn nobody_looks(&self, question: Question) -> Answer {
        question.unanswered(&self.metrics)
    }

    /// How many subscriptions wait for the log, or for this edge to catch up.
    pub(super) fn waiting(&self) -> usize {
        self.pasts.count + self.pasts.ahead.len()
    }

    /// The tail cannot tell: the log is to be asked.
    pub(super) fn ask_the_log(&mut self, who: Subscriber, want: Want, now: Duration) {
        if self.pasts.is_full() {
            return self.give_up(&Waiting { who, want, until: now });
        }
        let partition = partition_of(&want.room, self.partitions);
        self.pasts.count += 1;
        self.pasts.of(partition).waiting.push(Waiting { who, want, until: now + PATIENCE });
    }

    /// A token that lies ahead is waited for, but only if the log holds something there.
    pub(super) fn wait_for(&mut self, who: Subscriber, want: Want, token: MessageId, now: Duration) {
        let waiting = Waiting { who, want, until: now + PATIENCE };
        if self.pasts.is_full() {
            return self.give_up(&waiting);
        }
        self.pasts.ahead.push(Ahead { waiting, token, confirmed: false });
        let asked = &mut self.pasts.of(token.partition).end_asked;
        if !std::mem::replace(asked, true) {
            self.pasts.questions.push(Question { partition: token.partition, what: Asked::End });
        }
    }

    /// What the log says.
    pub(super) fn looked(&mut self, Answer { partition, found }: Answer, now: Duration) {
        match found {
            Found::End(end) => {
                self.pasts.of(partition).end_asked = false;
                for mut ahead in std::mem::take(&mut self.pasts.ahead) {
                    let held = ahead.token.partition != partition || ahead.confirmed;
                    if held || end.is_some_and(|end| ahead.token.offset < end) {
                        ahead.confirmed |= ahead.token.partition == partition;
                        self.pasts.ahead.push(ahead);
                    } else {
                        self.begin_again(ahead.waiting, now, true);
                    }
                }
            }
            Found::Past(Past { recalled, last }) => {
                let Some(asked) = self.pasts.of(partition).asked.take() else { return };
                self.pasts.looks -= 1;
                let same_log = last.is_none_or(|(offset, check)| {
                    self.tail.check_at(partition, offset).is_none_or(|held| held == check)
                });
                for (waiting, recalled) in asked.into_iter().zip(recalled) {
                    let Some(waiting) = waiting else { continue };
                    self.pasts.count -= 1;
                    match recalled {
                        Recalled::All { begin, end, messages } if same_log => {
                            let excerpt = |cut, most| Some(Excerpt::new(messages?, begin, cut, most));
                            self.join_past(waiting, (begin, end), excerpt, now);
                        }
                        Recalled::Again => self.ask_again(waiting, now),
                        Recalled::All { .. } | Recalled::No => self.give_up(&waiting),
                    }
                }
            }
        }
    }

    /// Both parts join: what was recalled up to `end`, and what the tail holds from there on. As much as possible is
    /// taken from the former, so that the tail may forget some while that is given out.
    fn join_past(
        &mut self,
        waiting: Waiting,
        (begin, end): (i64, i64),
        excerpt: impl FnOnce(i64, usize) -> Option<Excerpt>,
        now: Duration,
    ) {
        let Waiting { who, want, .. } = &waiting;
        let partition = partition_of(&want.room, self.partitions);
        let from = self.tail.kept_from(partition).unwrap_or(end);
        let moved_on = from > end;
        if let Begin::Last(most) = want.from {
            return self.join(*who, &want.room, |tail, room| {
                // What lies between is not known to be nothing; and the tail is sure of more than what was read alone.
                let joint = if moved_on || begin >= from { None } else { tail.place_at(partition, end) };
                let (behind, held) = tail.place_of_last(room, most, joint.unwrap_or(0));
                let left = (most - held) as usize;
                let past = joint.filter(|_| left > 0).and_then(|_| excerpt(end, left)).filter(|it| !it.is_empty());
                let count = held + past.as_ref().map_or(0, |past| past.len() as u32);
                Resumed::Replay(Replay { behind, count, past, looked: true })
            });
        }
        if moved_on {
            return self.ask_again(waiting, now);
        }
        self.join(*who, &want.room, |tail, room| match tail.place_at(partition, begin.max(end)) {
            Some(behind) if tail.holds_all_after(room, behind) => {
                let past = excerpt(end, usize::MAX).filter(|past| !past.is_empty());
                Resumed::Replay(Replay { behind, count: 0, past, looked: true })
            }
            _ => Resumed::NotRecovered,
        });
    }

    /// Once more, as long as there is time.
    fn ask_again(&mut self, waiting: Waiting, now: Duration) {
        if waiting.until <= now {
            return self.give_up(&waiting);
        }
        let partition = partition_of(&waiting.want.room, self.partitions);
        self.pasts.count += 1;
        self.pasts.of(partition).waiting.push(waiting);
    }

    /// Nothing is replayed; of history, what the tail holds is.
    fn give_up(&mut self, Waiting { who, want, .. }: &Waiting) {
        self.join(*who, &want.room, |tail, room| match want.from {
            Begin::Last(most) => {
                let (behind, count) = tail.place_of_last(room, most, 0);
                Resumed::Replay(Replay { behind, count, past: None, looked: true })
            }
            _ => Resumed::NotRecovered,
        });
    }

    /// At the end of a round: who has waited too long, whose token has been reached, and whom the log can be asked for.
    pub(super) fn look_at_waiting(&mut self, now: Duration) {
        for ahead in std::mem::take(&mut self.pasts.ahead) {
            let reached = ahead.token.offset < self.tail.end_of(ahead.token.partition);
            match reached || ahead.waiting.until <= now {
                true => self.begin_again(ahead.waiting, now, true),
                false => self.pasts.ahead.push(ahead),
            }
        }
        if self.pasts.count == 0 {
            return;
        }
        let mut late = Vec::new();
        for partition in &mut self.pasts.partitions {
            late.extend(partition.waiting.extract_if(.., |waiting| waiting.until <= now));
            let asked = partition.asked.iter_mut().flatten();
            late.extend(asked.filter_map(|waiting| waiting.take_if(|waiting| waiting.until <= now)));
        }
        self.pasts.count -= late.len();
        late.iter().for_each(|waiting| self.give_up(waiting));
        self.ask_for_waiting();
    }

    fn ask_for_waiting(&mut self) {
        for partition in 0..self.pasts.partitions.len() as i32 {
            let known = &self.pasts.partitions[partition as usize];
            if self.pasts.looks >= LOOKERS || known.waiting.is_empty() || known.asked.is_some() {
                continue;
            }
            let known = &mut self.pasts.partitions[partition as usize];
            let most = known.waiting.len().min(MOST_AT_ONCE);
            let asked: Vec<Waiting> = known.waiting.drain(..most).collect();
            let beyond = |waiting: &Waiting| match waiting.want.from {
                Begin::After(id) => id.offset + 1,
                _ => 0,
            };
            let end = self.tail.past_ends(partition).max(asked.iter().map(beyond).max().unwrap_or(0));
            let from = self.tail.kept_from(partition).unwrap_or(end);
            let wants = asked.iter().map(|waiting| waiting.want.clone()).collect();
            known.asked = Some(asked.into_iter().map(Some).collect());
            self.pasts.looks += 1;
            self.pasts.questions.push(Question { partition, what: Asked::Past { from, end, wants } });
        }
    }

    /// The token can be looked at now, or never; `last` time.
    fn begin_again(&mut self, waiting: Waiting, now: Duration, last: bool) {
        self.begin(waiting.who, waiting.want, now, last);
    }
}
