//! Where a token may stand, and in which order it is looked for (DESIGN §9, stomp.md P18, P19, W23):
//! CONNECT's credential headers, the upgrade's `Authorization: Bearer`, a cookie, `?token=`.
//!
//! Two different tokens are an error, wherever they stand: choosing one silently lets a page act under a cookie that
//! the caller never meant.

use std::fmt;

use hyper::{HeaderMap, header};

use super::AuthError;

/// The header that carries credentials unless the settings name others.
pub const AUTHORIZATION: &str = "Authorization";
/// The query parameter of the upgrade's URL.
const QUERY_PARAMETER: &str = "token";

/// Which places are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialSettings {
    /// CONNECT headers, matched without regard to ASCII case. None of them ever reaches a room.
    pub headers: Vec<String>,
    /// A cookie of the upgrade request.
    pub cookie: Option<String>,
}

impl Default for CredentialSettings {
    fn default() -> Self {
        CredentialSettings { headers: vec![AUTHORIZATION.to_owned()], cookie: None }
    }
}

impl CredentialSettings {
    /// Whether a STOMP header of this name carries credentials.
    pub fn is_credential(&self, header: &str) -> bool {
        self.headers.iter().any(|name| name.eq_ignore_ascii_case(header))
    }
}

/// What the upgrade request carried, kept until CONNECT. Never shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UpgradeCredentials {
    authorization: Option<Box<str>>,
    cookie: Option<Box<str>>,
    query: Option<Box<str>>,
    /// One source named two different tokens.
    conflicting: bool,
    /// The subprotocol that was agreed on with the request; CONNECT may ask for another version.
    protocol: Option<&'static str>,
    /// They came with a request that is a session of its own.
    passing: bool,
}

impl UpgradeCredentials {
    /// Collects what the settings allow; `query` is what follows the `?` of the path, undecoded. Schemes other than Bearer are somebody else's (a proxy's Basic, say).
    pub fn from_request(headers: &HeaderMap, query: Option<&str>, settings: &CredentialSettings) -> Self {
        let mut conflicting = false;
        let mut only = |tokens: &mut dyn Iterator<Item = &str>| -> Option<Box<str>> {
            let mut tokens = tokens.filter(|token| !token.is_empty());
            let first = tokens.next()?;
            conflicting |= tokens.any(|other| other != first);
            Some(first.into())
        };
        let text = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let authorization = only(&mut text(header::AUTHORIZATION).filter_map(bearer));
        let cookie = settings.cookie.as_deref().and_then(|wanted| {
            let pairs = text(header::COOKIE).flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
            only(&mut pairs.filter(|(name, _)| name.trim() == wanted).map(|(_, value)| unquoted(value.trim())))
        });
        let pairs = query.into_iter().flat_map(|query| query.split('&')).filter_map(|pair| pair.split_once('='));
        let query = only(&mut pairs.filter(|(name, _)| *name == QUERY_PARAMETER).map(|(_, value)| value));
        UpgradeCredentials { authorization, cookie, query, conflicting, protocol: None, passing: false }
    }

    /// The same, from a request that agreed on this subprotocol.
    pub fn beside(self, protocol: Option<&'static str>) -> Self {
        UpgradeCredentials { protocol, ..self }
    }

    /// The same, for a session that is over with its request.
    pub fn passing(self) -> Self {
        UpgradeCredentials { passing: true, ..self }
    }

    /// Whether their client comes back in another session each time it says something.
    pub(super) fn is_passing(&self) -> bool {
        self.passing
    }

    /// Whether the subprotocol names another version than the one that CONNECT agreed on (stomp.md W03).
    pub fn contradicts(&self, version: &str) -> bool {
        let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).collect::<Vec<u8>>();
        self.protocol.is_some_and(|protocol| digits(protocol) != digits(version))
    }

    /// The one token of this session.
    pub(super) fn token<'t, 'a: 't>(
        &'t self,
        connect: &mut dyn Iterator<Item = (&'a str, &'a str)>,
        settings: &CredentialSettings,
    ) -> Result<&'t str, AuthError> {
        let from_connect = connect
            .filter(|(name, _)| settings.is_credential(name))
            .map(|(_, value)| -> &'t str { bearer(value).unwrap_or(value.trim()) })
            .filter(|token| !token.is_empty());
        let from_upgrade = [&self.authorization, &self.cookie, &self.query].into_iter().filter_map(Option::as_deref);
        let mut tokens = from_connect.chain(from_upgrade);
        let first = tokens.next().ok_or(AuthError::Missing)?;
        if self.conflicting || tokens.any(|other| other != first) {
            return Err(AuthError::Conflicting);
        }
        Ok(first)
    }
}

impl fmt::Debug for UpgradeCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |token: &Option<Box<str>>| token.as_ref().map(|_| "redacted");
        f.debug_struct("UpgradeCredentials")
            .field("authorization", &shown(&self.authorization))
            .field("cookie", &shown(&self.cookie))
            .field("query", &shown(&self.query))
            .finish()
    }
}

/// The token behind `Bearer`, in any case, with any blanks; empty when there is none behind it.
fn bearer(value: &str) -> Option<&str> {
    let value = value.trim();
    let (scheme, rest) = value.split_at_checked(6)?;
    let separated = rest.is_empty() || rest.starts_with([' ', '\t']);
    (scheme.eq_ignore_ascii_case("bearer") && separated).then(|| rest.trim_start())
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value)
}
