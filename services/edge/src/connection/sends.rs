//! The SENDs of one connection that have not met their outcome, in the order in which they came. Each meets exactly one
//! within the send time-out, also when nobody asked for a receipt (promise 5).
//!
//! A SEND without a key goes to the log at once. One with `x-idempotency-key` first asks the follower whether such a
//! message is there already, and what comes after it in the same session waits behind it, so that order holds.

use std::{
    collections::VecDeque,
    fmt,
    ops::{Deref, DerefMut},
    time::Duration,
};

use bytes::Bytes;
use stomp_proto::Text;

use crate::{log::NewRecord, message::Stored, spare::Spare, traces::SendSpan};

/// How long a keyed SEND waits for the follower's word: longer, and it is written (the log decides), or answered with
/// its own place.
pub(super) const KEYED_PATIENCE: Duration = Duration::from_secs(2);

/// How far a SEND has come.
pub(super) enum Stage {
    /// Not in the log yet.
    Held(Box<Held>),
    /// With the log.
    Published,
    /// In the log; its record is still to be read back, since it may turn out to be a repeat.
    Unread(Stored),
    /// To be answered so, once what came before it in its room has been. No place: nobody asked for it.
    Done(Option<Stored>),
}

/// What a SEND that is not in the log yet needs to get there.
pub(super) struct Held {
    pub(super) record: NewRecord,
    /// Whether it may go as soon as what stands before it has gone.
    pub(super) ready: bool,
    /// What it would repeat: it is answered with that, and not written.
    pub(super) first: Option<Stored>,
}

/// A SEND that is under way.
pub(super) struct Open {
    pub(super) number: u32,
    pub(super) since: Duration,
    pub(super) receipt: Option<Text>,
    pub(super) destination: Text,
    /// COMMIT's number, for a SEND of a transaction.
    pub(super) commit: Option<u32>,
    pub(super) check: u32,
    pub(super) uuid: [u8; 16],
    pub(super) room: Bytes,
    pub(super) keyed: bool,
    /// Ends with the log's answer.
    pub(super) trace: Option<Box<SendSpan>>,
    pub(super) stage: Stage,
}

impl Open {
    /// It is in the log, there: what its trace says of it ends.
    pub(super) fn end_trace(&mut self, place: Stored) {
        if let Some(mut span) = self.trace.take() {
            span.stored(place.id.partition, place.id.offset, place.id.to_string());
        }
    }

    /// Whether its answer names a place that only the follower knows.
    pub(super) fn waits_for_read_back(&self) -> bool {
        self.keyed && self.receipt.is_some()
    }
}

/// A COMMIT whose SENDs are under way. Their receipts are answered together with its own, when all are stored.
pub(super) struct Commit {
    pub(super) number: u32,
    pub(super) open: usize,
    pub(super) stored: Vec<(Text, Stored)>,
    pub(super) receipt: Option<Text>,
}

/// All of them, while there are any: an idle connection owns only the next number.
#[derive(Default)]
pub(super) struct Sends {
    pub(super) next: u32,
    under_way: Option<Box<UnderWay>>,
}

/// The SENDs of a connection that has some.
#[derive(Default)]
pub struct UnderWay {
    pub(super) open: VecDeque<Open>,
    pub(super) commits: Vec<Commit>,
    /// How many are held; they are the last ones.
    held: usize,
    /// Octets of the held records.
    held_bytes: usize,
    /// How many have a key: while there are any, RECEIPTs are kept in the order of their SENDs.
    keyed: usize,
    /// How many are done and not answered.
    done: usize,
    /// When those that wait to be read back have waited long enough; in order, some are answered already.
    unread: VecDeque<(u32, Duration)>,
}

/// More SENDs under way than this, and their memory is not kept for the next connection.
const KEPT_SENDS: usize = 16;

static NONE: UnderWay = UnderWay {
    open: VecDeque::new(),
    commits: Vec::new(),
    held: 0,
    held_bytes: 0,
    keyed: 0,
    done: 0,
    unread: VecDeque::new(),
};

impl fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnderWay").field("open", &self.open.len()).field("held", &self.held).finish_non_exhaustive()
    }
}

impl Deref for Sends {
    type Target = UnderWay;

    fn deref(&self) -> &UnderWay {
        self.under_way.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Sends {
    fn deref_mut(&mut self) -> &mut UnderWay {
        self.under_way.get_or_insert_default()
    }
}

impl Sends {
    pub(super) fn push(&mut self, send: Open, spare: &mut Spare<UnderWay>) {
        self.next = send.number.wrapping_add(1);
        let under_way = self.under_way.get_or_insert_with(|| spare.take());
        if let Stage::Held(held) = &send.stage {
            under_way.held += 1;
            under_way.held_bytes += held.record.value.len();
        }
        under_way.keyed += usize::from(send.keyed);
        under_way.open.push_back(send);
    }

    /// Gives the memory back once nothing is under way.
    pub(super) fn release_if_idle(&mut self, spare: &mut Spare<UnderWay>) {
        if self.open.is_empty()
            && let Some(mut idle) = self.under_way.take()
        {
            idle.commits.clear();
            idle.unread.clear();
            if idle.open.capacity() <= KEPT_SENDS && idle.unread.capacity() <= KEPT_SENDS {
                spare.give(idle);
            }
        }
    }
}

impl UnderWay {
    pub(super) fn in_flight(&self) -> usize {
        self.open.len()
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether a SEND that comes now has to wait behind others.
    pub(super) fn is_holding(&self) -> bool {
        self.held > 0
    }

    /// Whether RECEIPTs have to be kept in order by hand.
    pub(super) fn is_ordered(&self) -> bool {
        self.keyed > 0 || self.done > 0
    }

    /// A SEND is in the log; it is answered in its turn.
    pub(super) fn set_done(&mut self, at: usize, place: Option<Stored>) {
        if let Some(send) = self.open.get_mut(at) {
            self.done += usize::from(!matches!(send.stage, Stage::Done(_)));
            send.stage = Stage::Done(place);
        }
    }

    /// The first of those that are held.
    pub(super) fn first_held(&mut self) -> Option<&mut Open> {
        let at = self.open.len() - self.held;
        self.open.get_mut(at)
    }

    /// The first held SEND is about to be published; its record.
    pub(super) fn let_go(&mut self) -> Option<Box<Held>> {
        let before = std::mem::replace(&mut self.first_held()?.stage, Stage::Published);
        let Stage::Held(held) = before else { return None };
        self.held -= 1;
        self.held_bytes -= held.record.value.len();
        Some(held)
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<Open> {
        let send = self.open.remove(at)?;
        self.keyed -= usize::from(send.keyed);
        match &send.stage {
            Stage::Held(held) => {
                self.held -= 1;
                self.held_bytes -= held.record.value.len();
            }
            Stage::Done(_) => self.done -= 1,
            Stage::Published | Stage::Unread(_) => {}
        }
        Some(send)
    }

    /// The last held SEND of a transaction, or of any, taken out.
    pub(super) fn drop_held(&mut self, commit: Option<u32>) -> Option<Open> {
        let first = self.open.len() - self.held;
        let at = (first..self.open.len()).rev().find(|at| commit.is_none() || self.open[*at].commit == commit)?;
        self.remove(at)
    }

    /// The place of a SEND among the others.
    pub(super) fn find(&self, number: u32) -> Option<usize> {
        // Numbers wrap, but those under way lie close together and in order.
        let first = self.open.front()?.number;
        let at = self.open.partition_point(|send| send.number.wrapping_sub(first) < number.wrapping_sub(first));
        (self.open.get(at)?.number == number).then_some(at)
    }

    /// A SEND that is in the log waits to be read back.
    pub(super) fn wait_for_read_back(&mut self, number: u32, until: Duration) {
        self.unread.push_back((number, until));
    }

    /// The next SEND that has waited long enough to be read back.
    pub(super) fn next_overdue(&mut self, now: Duration) -> Option<(usize, Stored)> {
        while let Some(&(number, until)) = self.unread.front() {
            let found = self.find(number).and_then(|at| match self.open[at].stage {
                Stage::Unread(own) => Some((at, own)),
                _ => None,
            });
            if found.is_some() && until > now {
                return None;
            }
            self.unread.pop_front();
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The first moment at which a SEND has taken too long.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Duration> {
        let answer = self.open.front()?.since + patience;
        let asked = (self.held > 0).then(|| self.open[self.open.len() - self.held].since + KEYED_PATIENCE);
        let unread = self.unread.front().map(|(_, until)| *until);
        [Some(answer), asked, unread].into_iter().flatten().min()
    }

    /// Notes that a SEND of a transaction is stored; the whole transaction, if it was the last one.
    pub(super) fn committed(&mut self, number: u32, stored: Option<(Text, Stored)>) -> Option<Commit> {
        let at = self.commits.iter().position(|commit| commit.number == number)?;
        self.commits[at].stored.extend(stored);
        self.commits[at].open -= 1;
        (self.commits[at].open == 0).then(|| self.commits.swap_remove(at))
    }

    /// A transaction has failed as a whole.
    pub(super) fn forget_commit(&mut self, number: Option<u32>) {
        self.commits.retain(|commit| Some(commit.number) != number);
    }

    /// Whether a transaction is under way.
    pub(super) fn has_commit(&self, number: u32) -> bool {
        self.commits.iter().any(|commit| commit.number == number)
    }

    /// The numbers of those that the log has and has not answered for.
    pub(super) fn published(&self) -> impl Iterator<Item = u32> + '_ {
        self.open.iter().filter(|send| matches!(send.stage, Stage::Published)).map(|send| send.number)
    }
}
