//! The end of a stream that says nothing of it in its own terms: once all is written, only its end does.

/// How far that has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    #[default]
    Open,
    /// Nothing more will be said; what was, is still to be written.
    Due,
    Told,
}

impl End {
    /// Whether what comes in is still listened to. After the end a stream is read only so that unread octets do not turn
    /// the close into a reset.
    pub(super) fn is_open(self) -> bool {
        self == Self::Open
    }

    /// It is to end; whether that is new.
    pub(super) fn close(&mut self) -> bool {
        let is_new = self.is_open();
        if is_new {
            *self = Self::Due;
        }
        is_new
    }

    /// Whether the stream is to be ended now. Says so once.
    pub(super) fn take(&mut self) -> bool {
        let is_due = *self == Self::Due;
        if is_due {
            *self = Self::Told;
        }
        is_due
    }
}
