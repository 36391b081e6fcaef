//! Messages as lines of JSON (`application/x-ndjson`), in any pieces. What a line may be: an object with `body` or
//! `body_base64`, and with `content_type`, `idempotency_key` and `headers` if there are any.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, de};

/// A message that a line asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// As it will be in the room.
    pub body: Vec<u8>,
    /// What it is.
    pub content_type: Option<String>,
    /// What it is known by when it comes twice.
    pub idempotency_key: Option<String>,
    /// The sender's own headers, in their order.
    pub headers: Vec<(String, String)>,
}

/// Why a line is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is longer than any message can be.
    TooLong,
    /// It is not what a line may be.
    Malformed(&'static str),
}

/// Puts lines together. It holds one of them at most, and of that no more than the limit.
#[derive(Debug)]
pub struct Reader {
    line: Vec<u8>,
    limit: usize,
    too_long: bool,
}

impl Reader {
    /// For lines of at most so many octets.
    pub fn new(limit: usize) -> Self {
        Self { line: Vec::new(), limit, too_long: false }
    }

    /// Takes octets off the front, until a line is whole or there are none left. Blank lines are none.
    pub fn next(&mut self, octets: &mut &[u8]) -> Option<Result<Message, Fault>> {
        while let Some(at) = octets.iter().position(|octet| *octet == b'\n') {
            self.append(&octets[..at]);
            *octets = &octets[at + 1..];
            if let Some(line) = self.finish() {
                return Some(line);
            }
        }
        self.append(octets);
        *octets = &[];
        None
    }

    /// What stands behind the last line end.
    pub fn finish(&mut self) -> Option<Result<Message, Fault>> {
        let (line, too_long) = (std::mem::take(&mut self.line), std::mem::take(&mut self.too_long));
        if too_long {
            return Some(Err(Fault::TooLong));
        }
        let read = (!line.trim_ascii().is_empty()).then(|| read(&line));
        self.line = line;
        self.line.clear();
        read
    }

    fn append(&mut self, octets: &[u8]) {
        self.too_long |= self.line.len() + octets.len() > self.limit;
        if self.too_long {
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(octets);
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    body: Option<String>,
    body_base64: Option<String>,
    content_type: Option<String>,
    idempotency_key: Option<String>,
    #[serde(default, deserialize_with = "in_order")]
    headers: Vec<(String, String)>,
}

/// Reads one line.
fn read(line: &[u8]) -> Result<Message, Fault> {
    let form: Form = serde_json::from_slice(line).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Fault::Malformed(
            "a line has the members body or body_base64, content_type, idempotency_key and headers, no others: texts, \
             and headers an object of texts",
        ),
        _ => Fault::Malformed("a line has to be an object in JSON, in UTF-8"),
    })?;
    let Form { content_type, idempotency_key, headers, .. } = form;
    let body = match (form.body, form.body_base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(octets)) => {
            STANDARD.decode(octets).map_err(|_| Fault::Malformed("body_base64 has to be base64 with padding"))?
        }
        _ => return Err(Fault::Malformed("a line has either body or body_base64")),
    };
    Ok(Message { body, content_type, idempotency_key, headers })
}

/// The members of an object of texts, as they come; `null` is none.
fn in_order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    struct Members;
    impl<'de> de::Visitor<'de> for Members {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of texts")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    deserializer.deserialize_any(Members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, limit: usize) -> Vec<Result<Message, Fault>> {
        let (mut reader, mut octets) = (Reader::new(limit), text.as_bytes());
        let mut lines: Vec<_> = std::iter::from_fn(|| reader.next(&mut octets)).collect();
        lines.extend(reader.finish());
        lines
    }

    #[test]
    fn a_line_is_a_message() {
        let text = r#"{"body":"schön","content_type":"text/plain","idempotency_key":"k","headers":{"b":"1","a":"2"}}"#;
        let expected = Message {
            body: "schön".into(),
            content_type: Some("text/plain".into()),
            idempotency_key: Some("k".into()),
            headers: vec![("b".into(), "1".into()), ("a".into(), "2".into())],
        };
        assert_eq!(all(text, 200), [Ok(expected)]);
        let octets = Message { body: vec![0xff, 0], ..Message::default() };
        assert_eq!(all("\r\n {\"body_base64\":\"/wA=\",\"headers\":null}\r\n\n \n", 200), [Ok(octets)]);
    }

    #[test]
    fn what_is_no_message_does_not_stop_the_next() {
        let long = format!("{{\"body\":\"{}\"}}", "x".repeat(200));
        let wrong = [
            "{}",
            "[]",
            "null",
            "{\"body\":\"a\",\"body_base64\":\"\"}",
            "{\"body\":1}",
            "{\"body\":\"a\",\"sender\":\"eve\"}",
            "{\"body\":\"a\",\"headers\":{\"a\":1}}",
            "{\"body\":\"a\",\"headers\":[]}",
            "{\"body\":\"a\",\"body\":\"b\"}",
            "{\"body_base64\":\"/wA\"}",
            "{\"body\":\"a\"} x",
            "{\"body\":\"\\ud800\"}",
            "{",
            &long,
        ];
        let lines = all(&(wrong.join("\n") + "\n{\"body\":\"b\"}"), 100);
        assert_eq!(lines.len(), wrong.len() + 1);
        for (line, text) in lines.iter().zip(wrong) {
            assert!(line.is_err(), "{text}");
        }
        assert_eq!(lines[wrong.len() - 1], Err(Fault::TooLong));
        assert_eq!(lines[wrong.len()].as_ref().map(|it| &it.body[..]), Ok(&b"b"[..]));
    }
}
