//! What a session reports to its owner.

use crate::{
    SubscriptionHandle, Text,
    frame::client::{Connect, Send, Subscribe},
};
use alloc::vec::Vec;

/// One frame of the client, or what became of it. BEGIN, ABORT, heart-beats and most of what
/// a transaction holds never surface.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Event {
    /// The first event of a session. Nothing more is parsed until [`Session::accept`](crate::Session::accept).
    Connect(Connect),
    /// A SEND outside of any transaction.
    Send(Send),
    /// A new subscription; answer its receipt.
    Subscribe(Subscribe),
    /// The end of a subscription; answer the receipt. `None`: an id that does not exist (U09).
    Unsubscribe {
        /// The subscription; it is gone already.
        handle: Option<SubscriptionHandle>,
        /// The receipt asked for.
        receipt: Option<Text>,
    },
    /// A delivery window opened; its RECEIPT is queued.
    Acked(Acked),
    /// A SEND in a transaction names another destination than the first one there. It is held like any other; the owner,
    /// who knows what is one room, may refuse it (T08).
    Held {
        /// Of the SEND.
        destination: Text,
        /// Of the transaction's first SEND.
        first: Text,
        /// The SEND's receipt.
        receipt: Option<Text>,
    },
    /// The end of a transaction. Each SEND carries its own receipt, to be answered only when all are stored (T07).
    Commit {
        /// In the order in which they came.
        sends: Vec<Send>,
        /// The windows that opened; the RECEIPTs of these ACKs are queued.
        acked: Vec<Acked>,
        /// The receipt of COMMIT.
        receipt: Option<Text>,
    },
    /// The last event: answer the receipt, flush, close (D01). Frames behind it are not read (D03).
    Disconnect {
        /// The receipt asked for.
        receipt: Option<Text>,
    },
}

/// Deliveries settled by an ACK or NACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    /// Whose window opened.
    pub handle: SubscriptionHandle,
    /// By how many.
    pub count: usize,
    /// NACK settles like ACK and is counted.
    pub nack: bool,
}
