//! Message-ids: klatsch's say where a record lies; another server's are only names.

use std::{fmt, sync::Arc};

use chat_proto::MessageId;

/// A message-id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Id {
    /// `{partition}-{offset}-{check}`
    Place(MessageId),
    /// Of a server that has its own.
    Name(Arc<str>),
}

impl Id {
    pub(super) fn new(text: &str) -> Id {
        text.parse().map_or_else(|_| Id::Name(text.into()), Id::Place)
    }

    pub(super) fn place(&self) -> Option<MessageId> {
        match self {
            Id::Place(place) => Some(*place),
            Id::Name(_) => None,
        }
    }
}

impl PartialEq<str> for Id {
    fn eq(&self, other: &str) -> bool {
        match self {
            // Equal ids are equal texts.
            Id::Place(place) => other.parse() == Ok(*place),
            Id::Name(name) => **name == *other,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Place(place) => place.fmt(f),
            Id::Name(name) => f.write_str(name),
        }
    }
}
