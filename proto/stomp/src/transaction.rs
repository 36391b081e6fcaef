//! Open transactions: SENDs, ACKs and NACKs held until COMMIT (family T).

use crate::{ErrorKind, Limits, ProtocolError, Text, frame::client::Send, subscription::Target};
use alloc::{format, vec::Vec};

/// An ACK or NACK; `receipt` is answered when it takes effect.
pub(crate) struct Settle {
    pub(crate) target: Target,
    pub(crate) nack: bool,
    pub(crate) receipt: Option<Text>,
}

pub(crate) struct Transaction {
    id: Text,
    bytes: usize,
    pub(crate) sends: Vec<Send>,
    pub(crate) settles: Vec<Settle>,
}

#[derive(Default)]
pub(crate) struct Transactions(Vec<Transaction>);

impl Transactions {
    pub(crate) fn begin(&mut self, id: &Text, limits: &Limits) -> Result<(), ProtocolError> {
        if self.0.iter().any(|open| open.id == *id) {
            let detail = "BEGIN names a transaction that is open";
            return Err(ProtocolError::new(ErrorKind::Conflict, "transaction is open", detail));
        }
        if self.0.len() >= limits.transactions {
            let detail = format!("a connection may have {} open transactions", limits.transactions);
            return Err(ProtocolError::new(ErrorKind::TooMany, "too many transactions", detail));
        }
        self.0.push(Transaction { id: id.detached(), bytes: 0, sends: Vec::new(), settles: Vec::new() });
        Ok(())
    }

    /// Closes a transaction and hands out what it held.
    pub(crate) fn end(&mut self, id: &str) -> Result<Transaction, ProtocolError> {
        let at = self.position(id)?;
        Ok(self.0.remove(at))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The SEND has been detached from what it was read with, so its frame is what it costs. Returns the destination of
    /// the transaction's first SEND if this one's is another.
    pub(crate) fn send(&mut self, id: &str, send: Send, limits: &Limits) -> Result<Option<Text>, ProtocolError> {
        let cost = size_of::<Send>() + send.headers.frame().len() + send.headers.len() * 16;
        let sends = &mut self.hold(id, cost, limits)?.sends;
        let first = sends.first().map(|first| &first.destination);
        let other = first.filter(|first| **first != send.destination).cloned();
        sends.push(send);
        Ok(other)
    }

    pub(crate) fn settle(&mut self, id: &str, mut settle: Settle, limits: &Limits) -> Result<(), ProtocolError> {
        settle.receipt = settle.receipt.map(|receipt| receipt.detached());
        let cost = size_of::<Settle>() + settle.receipt.as_ref().map_or(0, |receipt| receipt.len());
        self.hold(id, cost, limits)?.settles.push(settle);
        Ok(())
    }

    fn hold(&mut self, id: &str, cost: usize, limits: &Limits) -> Result<&mut Transaction, ProtocolError> {
        let at = self.position(id)?;
        let held: usize = self.0.iter().map(|open| open.bytes).sum();
        let open = &mut self.0[at];
        if open.sends.len() + open.settles.len() >= limits.transaction_actions {
            let detail = format!("a transaction may hold {} frames", limits.transaction_actions);
            return Err(ProtocolError::new(ErrorKind::TooMany, "transaction too long", detail));
        }
        if held + cost > limits.transaction_bytes {
            let detail = format!("the open transactions may hold {} octets", limits.transaction_bytes);
            return Err(ProtocolError::new(ErrorKind::TooLarge, "transactions too large", detail));
        }
        open.bytes += cost;
        Ok(open)
    }

    fn position(&self, id: &str) -> Result<usize, ProtocolError> {
        self.0.iter().position(|open| open.id == *id).ok_or_else(|| {
            let detail = "the transaction header names a transaction that is not open";
            ProtocolError::new(ErrorKind::Unknown, "unknown transaction", detail)
        })
    }
}
