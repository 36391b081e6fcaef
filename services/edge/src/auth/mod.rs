//! Who a session is and what it may do (DESIGN §9 "auth", stomp.md V09, P18–P20, W22, W23).
//!
//! One file per method. A new one is a file here and a variant of [`Authenticator`]; the compiler asks for the rest.
//! Nothing in here writes a credential anywhere: errors carry fixed texts, and every `Debug` is redacted.

use std::{fmt, sync::Arc, time::SystemTime};

use crate::disconnect::Ending;

pub mod credentials;
pub mod jwt;
pub mod open;
pub mod origin;
pub mod rights;

pub use credentials::{CredentialSettings, UpgradeCredentials};
pub use origin::OriginPolicy;
pub use rights::Rights;

/// How sessions are authenticated, ready to use.
#[derive(Debug, Clone)]
pub enum Authenticator {
    /// Everybody is a guest and may everything.
    Open(open::Open),
    /// A signed token says who and what.
    Jwt(Arc<jwt::Jwt>),
}

/// An authenticated session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `sender` on this session's messages and `user-name` on CONNECTED: 1–128 octets, no control characters.
    pub user: Arc<str>,
    /// Which rooms it may use.
    pub rights: Rights,
    /// When the session ends (ERROR 401, close 4501); `None`: never.
    pub expires_at: Option<SystemTime>,
}

impl Authenticator {
    /// Decides about one CONNECT. `connect` gives its headers in frame order, `session` is the connection's random id.
    ///
    /// A signature check takes tens to hundreds of microseconds: not for a worker's thread.
    pub fn authenticate<'a>(
        &self,
        upgrade: &UpgradeCredentials,
        connect: &mut dyn Iterator<Item = (&'a str, &'a str)>,
        session: &str,
        now: SystemTime,
    ) -> Result<Identity, AuthError> {
        match self {
            Authenticator::Open(open) if upgrade.is_passing() => Ok(open.passer_by()),
            Authenticator::Open(open) => Ok(open.identity(session)),
            Authenticator::Jwt(jwt) => jwt.authenticate(upgrade, connect, now),
        }
    }

    /// Whether [`Authenticator::authenticate`] is cheap enough to be called anywhere.
    pub const fn is_instant(&self) -> bool {
        matches!(self, Authenticator::Open(_))
    }
}

/// Why a CONNECT was refused. All of them are ERROR 401, close 4501.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthError {
    /// No credentials anywhere.
    Missing,
    /// Two sources disagree.
    Conflicting,
    /// Not a token that can be read, or one without `exp`.
    Malformed,
    /// The signature is not by our key.
    BadSignature,
    /// Another algorithm than the pinned one, `none` included.
    BadAlgorithm,
    /// `exp` is over.
    Expired,
    /// `nbf` is still to come.
    NotYetValid,
    /// `iss` is another one.
    Issuer,
    /// `aud` does not name us.
    Audience,
    /// `sub` is missing or cannot be a user.
    Subject,
}

impl AuthError {
    /// Every variant, for metrics.
    pub const ALL: [AuthError; 10] = [
        AuthError::Missing,
        AuthError::Conflicting,
        AuthError::Malformed,
        AuthError::BadSignature,
        AuthError::BadAlgorithm,
        AuthError::Expired,
        AuthError::NotYetValid,
        AuthError::Issuer,
        AuthError::Audience,
        AuthError::Subject,
    ];

    /// How the connection ends (V09).
    pub const fn ending(self) -> Ending {
        match self {
            AuthError::Expired => Ending::CredentialsExpired,
            _ => Ending::BadCredentials,
        }
    }

    /// The metric's `result` label.
    pub const fn label(self) -> &'static str {
        match self {
            AuthError::Missing => "missing",
            AuthError::Conflicting => "conflicting",
            AuthError::Malformed => "malformed",
            AuthError::BadSignature => "bad_signature",
            AuthError::BadAlgorithm => "bad_algorithm",
            AuthError::Expired => "expired",
            AuthError::NotYetValid => "not_yet_valid",
            AuthError::Issuer => "issuer",
            AuthError::Audience => "audience",
            AuthError::Subject => "subject",
        }
    }

    /// A text for ERROR's body. It never repeats what the client sent.
    pub const fn text(self) -> &'static str {
        match self {
            AuthError::Missing => "no credentials; send a token in CONNECT's Authorization header",
            AuthError::Conflicting => "two different credentials; send one",
            AuthError::Malformed => "the token cannot be read, or lacks exp",
            AuthError::BadSignature => "the token's signature is not valid here",
            AuthError::BadAlgorithm => "the token is signed with another algorithm than this server takes",
            AuthError::Expired => "the token has expired",
            AuthError::NotYetValid => "the token is not valid yet",
            AuthError::Issuer => "the token's iss is not accepted here",
            AuthError::Audience => "the token's aud is not for this server",
            AuthError::Subject => "the token's sub is missing or cannot be a user name",
        }
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for AuthError {}
