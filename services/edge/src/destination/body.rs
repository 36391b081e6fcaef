//! SEND to a fixed destination whose JSON body names the room (`stomp.md` §3.4, front-end family B).
//!
//! The body is looked through once, as it lies there: no tree of it is built, so that it costs no memory beside itself.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// More steps into a body than anybody needs; far less than what serde_json descends.
const MAX_STEPS: usize = 32;

/// `/pub/chat/message=/roomId`: what is sent there goes to the room that stands there in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyRule {
    pub(super) destination: Box<str>,
    pointer: Box<str>,
    steps: Box<[Box<str>]>,
}

impl BodyRule {
    /// Reads `DESTINATION=POINTER`, the latter a JSON pointer (RFC 6901). `None`: it is not of that form, the destination
    /// names a room by itself, or it lies in somebody's private place.
    pub fn parse(text: &str) -> Option<BodyRule> {
        let (destination, pointer) = text.split_once('=')?;
        let plain = |c: char| !(c.is_control() || c.is_whitespace() || c == '*');
        let shape_ok = destination.len() > 1 && destination.starts_with('/') && destination.chars().all(plain);
        let taken = destination.starts_with(super::TOPIC) || super::is_private(destination);
        let steps: Option<Box<[Box<str>]>> = pointer.strip_prefix('/')?.split('/').map(unescaped).collect();
        let steps = steps.filter(|steps| steps.len() <= MAX_STEPS)?;
        (shape_ok && !taken).then(|| BodyRule { destination: destination.into(), pointer: pointer.into(), steps })
    }

    /// The fixed destination.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    pub(super) fn pointer(&self) -> &str {
        &self.pointer
    }

    /// The text or the integer that the pointer leads to. Of a name that is there twice the last one counts, as it does
    /// for the pages that will read the body.
    pub(super) fn room(&self, body: &[u8]) -> Option<String> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let room = Steps(&self.steps).deserialize(&mut json).ok()??;
        json.end().ok()?;
        Some(room)
    }
}

impl fmt::Display for BodyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.destination, self.pointer)
    }
}

/// `~1` is a slash and `~0` a tilde (RFC 6901, section 4).
fn unescaped(step: &str) -> Option<Box<str>> {
    let mut pieces = step.split('~');
    let mut out = pieces.next()?.to_owned();
    for piece in pieces {
        let (sign, rest) = match piece.as_bytes().first()? {
            b'0' => ('~', &piece[1..]),
            b'1' => ('/', &piece[1..]),
            _ => return None,
        };
        out.push(sign);
        out += rest;
    }
    Some(out.into())
}

/// What is left of the way from here; what lies beside it is passed over.
struct Steps<'p>(&'p [Box<str>]);

impl Steps<'_> {
    fn found<E>(self, value: impl fmt::Display) -> Result<Option<String>, E> {
        Ok(self.0.is_empty().then(|| value.to_string()))
    }
}

impl<'de> DeserializeSeed<'de> for Steps<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<Self::Value, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Steps<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        self.found(text)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        self.found(number)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        self.found(number)
    }

    // A fraction is no name: 7.0 and 7 would be two rooms to some and one to others.
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (step, rest) = self.0.split_first().map_or((None, &[][..]), |(step, rest)| (Some(&**step), rest));
        let mut found = None;
        while let Some(is_on_the_way) = map.next_key_seed(Name(step))? {
            if is_on_the_way {
                found = map.next_value_seed(Steps(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let way = self.0.split_first().and_then(|(step, rest)| Some((index(step)?, rest)));
        let mut found = None;
        for at in 0usize.. {
            let there = match way {
                Some((wanted, rest)) if wanted == at => match list.next_element_seed(Steps(rest))? {
                    Some(value) => {
                        found = value;
                        true
                    }
                    None => false,
                },
                _ => list.next_element::<IgnoredAny>()?.is_some(),
            };
            if !there {
                break;
            }
        }
        Ok(found)
    }
}

/// Digits without a leading zero (RFC 6901, section 4).
fn index(step: &str) -> Option<usize> {
    let digits = step.bytes().all(|octet| octet.is_ascii_digit());
    (digits && (step == "0" || !step.starts_with('0'))).then(|| step.parse().ok()).flatten()
}

/// Compares a name without keeping it.
struct Name<'p>(Option<&'p str>);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<bool, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(self.0 == Some(name))
    }
}
