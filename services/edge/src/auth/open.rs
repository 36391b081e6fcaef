//! `--auth open`: everybody is a guest and may everything. For development and closed networks.

use std::sync::Arc;

use super::{Identity, Rights};

/// Takes anybody in; credentials are not looked at.
#[derive(Debug, Clone, Copy)]
pub struct Open;

impl Open {
    /// `guest-` and the first eight characters of the session's random id.
    pub fn identity(self, session: &str) -> Identity {
        let short: String = session.chars().take(8).collect();
        Identity { user: Arc::from(format!("guest-{short}")), rights: Rights::all(), expires_at: None }
    }

    /// `guest`: who sends the same message again, because nobody knows what became of it, comes with another request, and
    /// has to be the same sender for its idempotency key to count.
    pub fn passer_by(self) -> Identity {
        Identity { user: Arc::from("guest"), rights: Rights::all(), expires_at: None }
    }
}
