//! [`Headers`] of a received frame: ranges into its bytes, looked up in a line (a frame has at most ~100), and the names
//! that are never forwarded.

use crate::Text;
use alloc::{collections::BTreeSet, vec::Vec};
use bytes::Bytes;
use core::{fmt, str};

/// So many headers are compared with each other; more are looked up.
const FEW: usize = 16;

/// Half of a header as a range. Below `head` it points into the frame, from there on into the decoded copies.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

#[derive(Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: Span,
    pub(crate) value: Span,
}

/// The headers of one frame, decoded, in the order in which they came. Of a repeated header the first one counts (F22).
#[derive(Clone, Default)]
pub struct Headers {
    frame: Bytes,
    decoded: Bytes,
    head: u32,
    fields: Vec<Field>,
}

impl Headers {
    pub(crate) fn new(frame: Bytes, decoded: Vec<u8>, head: u32, fields: Vec<Field>) -> Headers {
        Headers { frame, decoded: Bytes::from(decoded), head, fields }
    }

    /// The value of the first header of that name (case-sensitive, F06).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|field| self.str(field.value))
    }

    /// Like [`Headers::get`], sharing the frame's bytes.
    pub fn text(&self, name: &str) -> Option<Text> {
        self.find(name).map(|field| self.share(field.value))
    }

    /// All headers in order, repeated ones included.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|field| (self.str(field.name), self.str(field.value)))
    }

    /// How many there are, repeated ones included.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    fn find(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| self.octets(field.name) == name.as_bytes())
    }

    pub(crate) fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// A copy of the frame in an allocation of its own: a deferred SEND must not pin the whole read it came in.
    pub(crate) fn detach(&mut self) {
        self.frame = Bytes::copy_from_slice(&self.frame);
    }

    /// 1.0 trims blanks around values (F24); used where the version was not known while parsing.
    pub(crate) fn trim_values(&mut self) {
        let mut fields = core::mem::take(&mut self.fields);
        for field in &mut fields {
            field.value = trim(field.value, self.octets(field.value));
        }
        self.fields = fields;
    }

    /// Keeps the first occurrence of each name that `keep` wants; `keep` sees name and value.
    pub(crate) fn retain_first(&mut self, mut keep: impl FnMut(&Headers, &[u8], Span) -> bool) {
        let mut fields = core::mem::take(&mut self.fields);
        let (mut kept, mut seen) = (0, BTreeSet::new());
        for at in 0..fields.len() {
            let field = fields[at];
            let name = self.octets(field.name);
            let repeated = if fields.len() > FEW {
                !seen.insert(name)
            } else {
                fields[..kept].iter().any(|earlier| self.octets(earlier.name) == name)
            };
            if !repeated && keep(self, name, field.value) {
                fields[kept] = field;
                kept += 1;
            }
        }
        fields.truncate(kept);
        self.fields = fields;
    }

    pub(crate) fn octets(&self, span: Span) -> &[u8] {
        let (bytes, base) = if span.start < self.head { (&self.frame, 0) } else { (&self.decoded, self.head) };
        bytes.get((span.start - base) as usize..(span.end - base) as usize).unwrap_or_default()
    }

    pub(crate) fn share(&self, span: Span) -> Text {
        let (bytes, base) = if span.start < self.head { (&self.frame, 0) } else { (&self.decoded, self.head) };
        Text::from_utf8(bytes.slice((span.start - base) as usize..(span.end - base) as usize)).unwrap_or_default()
    }

    fn str(&self, span: Span) -> &str {
        str::from_utf8(self.octets(span)).unwrap_or_default()
    }
}

/// Names only: values may be credentials (E05).
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

pub(crate) fn trim(span: Span, octets: &[u8]) -> Span {
    let blank = |octet: &&u8| matches!(octet, b' ' | b'\t');
    let front = octets.iter().take_while(blank).count() as u32;
    let back = octets.iter().rev().take_while(blank).count() as u32;
    let start = (span.start + front).min(span.end);
    Span { start, end: (span.end - back).max(start) }
}

/// Whether a header of a SEND is kept from the room: frame mechanics, credentials, and the names that the server itself
/// writes (S03, S07, M07; `stomp.md` §7). Compared as the sloppiest receiver would read it: case and the blanks around
/// it do not count, because `@stomp/stompjs` trims names.
pub fn is_reserved(name: &str) -> bool {
    let name = name.trim_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}');
    if name.len() > LONGEST {
        return ends_with(name, "-cookie");
    }
    RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) || ends_with(name, "-cookie")
}

fn ends_with(name: &str, end: &str) -> bool {
    name.len() >= end.len() && name.as_bytes()[name.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
}

const LONGEST: usize = 19;

const RESERVED: &[&str] = &[
    // The mechanics of a frame.
    "destination",
    "content-type",
    "content-length",
    "receipt",
    "receipt-id",
    "transaction",
    "message-id",
    "subscription",
    "ack",
    // Credentials.
    "login",
    "passcode",
    "authorization",
    "proxy-authorization",
    "x-authorization",
    "cookie",
    "cookie2",
    "set-cookie",
    "set-cookie2",
    "access-token",
    "access_token",
    "x-access-token",
    "x-auth-token",
    "x-csrf-token",
    "x-xsrf-token",
    "x-api-key",
    // What the server says.
    "sender",
    "timestamp",
    "user-name",
    "session",
    "server",
    "version",
    "heart-beat",
    "retry-after",
    "prefetch-count",
    "x-errors",
    "x-error",
    "x-error-code",
    "x-event",
    "x-from",
    "x-history",
    "x-history-count",
    "x-idempotency-key",
    "x-position",
    "x-recovered",
    "x-replayed",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s03_reserved_names_in_every_disguise() {
        let disguises =
            ["Authorization", "SENDER", " sender", "sender\t", "\u{feff}x-replayed", "sender\r", "X-My-Cookie"];
        for name in disguises.iter().chain(RESERVED) {
            assert!(is_reserved(name), "{name:?}");
        }
        for name in ["x-mine", "sender-x", "cookies", "", "Ack!", "absender", "x-a-name-that-is-longer-than-any"] {
            assert!(!is_reserved(name), "{name:?}");
        }
        assert_eq!(RESERVED.iter().map(|name| name.len()).max(), Some(LONGEST));
    }
}
