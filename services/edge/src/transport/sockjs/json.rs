//! SockJS's strings: JSON, both ways (`stomp.md` J09, J10).

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

/// Not a JSON array of strings, nor one string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// What stands for a surrogate without its other half.
const REPLACEMENT: [u8; 3] = [0xef, 0xbf, 0xbd];

/// Appends `text` as a JSON string. Control characters and what some browsers change on their way are escaped (J10).
pub fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    for (at, character) in text.char_indices().filter(|(_, character)| is_escaped(*character)) {
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        plain = at + character.len_utf8();
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            // All of them are in the first plane, so that there is one escape for each.
            other => out.extend_from_slice(&hexadecimal(other as u16)),
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}

/// The strings of one message, each by itself; half of a surrogate pair is broken here.
pub(crate) fn each(message: &str) -> Result<Vec<String>, Broken> {
    if message.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(message).or_else(|_| serde_json::from_str(message).map(|one| vec![one])).map_err(|_| Broken)
}

fn is_escaped(character: char) -> bool {
    matches!(
        character,
        '"' | '\\'
            | '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{200c}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff0}'..='\u{ffff}'
    )
}

fn hexadecimal(unit: u16) -> [u8; 6] {
    let digit = |shift: u16| b"0123456789abcdef"[usize::from(unit >> shift & 0xf)];
    [b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]
}

/// Reads what a client sends. Old STOMP clients cut long frames into strings at any UTF-16 unit, so that the halves of a
/// surrogate pair may come in two strings, or in two messages: they are put together again (`stomp.md` W07, J10).
#[derive(Debug, Default)]
pub struct Decoder {
    /// The first half of a pair, as the surrogate that it is; 0 for none.
    half: u16,
}

impl Decoder {
    /// What the strings of one message hold, one behind the other, as UTF-8. A half that never gets its other half is
    /// U+FFFD. A message of blanks holds nothing.
    ///
    /// # Errors
    /// [`Broken`]; the message counts as not read.
    pub fn strings(&mut self, message: &str) -> Result<Vec<u8>, Broken> {
        let mut octets = Vec::new();
        if !message.trim_ascii().is_empty() {
            let mut json = serde_json::Deserializer::from_str(message);
            json.deserialize_bytes(Strings(&mut octets)).and_then(|()| json.end()).map_err(|_| Broken)?;
        }
        Ok(self.mend(octets))
    }

    /// Replaces encoded surrogates, which UTF-8 does not have, by what they stand for.
    fn mend(&mut self, octets: Vec<u8>) -> Vec<u8> {
        if octets.is_empty() || self.half == 0 && next_surrogate(&octets).is_none() {
            return octets;
        }
        let (mut mended, mut rest) = (Vec::with_capacity(octets.len() + 3), octets.as_slice());
        while !rest.is_empty() {
            let (plain, surrogate) = match next_surrogate(rest) {
                Some((at, unit)) => (at, Some(unit)),
                None => (rest.len(), None),
            };
            if plain > 0 {
                self.give_up(&mut mended);
            }
            mended.extend_from_slice(&rest[..plain]);
            rest = &rest[(plain + if surrogate.is_some() { 3 } else { 0 })..];
            match surrogate {
                Some(low @ 0xdc00..) => match char::decode_utf16([self.half, low]).next() {
                    Some(Ok(whole)) if self.half != 0 => {
                        mended.extend_from_slice(whole.encode_utf8(&mut [0; 4]).as_bytes());
                        self.half = 0;
                    }
                    _ => {
                        self.give_up(&mut mended);
                        mended.extend_from_slice(&REPLACEMENT);
                    }
                },
                Some(high) => {
                    self.give_up(&mut mended);
                    self.half = high;
                }
                None => {}
            }
        }
        mended
    }

    /// The other half has not come.
    fn give_up(&mut self, mended: &mut Vec<u8>) {
        if std::mem::take(&mut self.half) != 0 {
            mended.extend_from_slice(&REPLACEMENT);
        }
    }
}

/// The first encoded surrogate, and where it is.
fn next_surrogate(octets: &[u8]) -> Option<(usize, u16)> {
    let at = octets.windows(3).position(|three| three[0] == 0xed && three[1] >= 0xa0)?;
    let unit = 0xd000 | u16::from(octets[at + 1] & 0x3f) << 6 | u16::from(octets[at + 2] & 0x3f);
    Some((at, unit))
}

/// An array of strings, or one string.
struct Strings<'a>(&'a mut Vec<u8>);

/// One string.
struct Text<'a>(&'a mut Vec<u8>);

impl<'de> Visitor<'de> for Strings<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
        while all.next_element_seed(Text(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_bytes<E>(self, octets: &[u8]) -> Result<(), E> {
        self.0.extend_from_slice(octets);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Text<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, octets: &[u8]) -> Result<(), E> {
        self.0.extend_from_slice(octets);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    // Octets, because a `str` cannot hold half of a surrogate pair.
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(text: &str) -> String {
        let mut out = Vec::new();
        quote(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn read(message: &str) -> Result<String, Broken> {
        Decoder::default().strings(message).map(|octets| String::from_utf8(octets).unwrap())
    }

    #[test]
    fn j10_what_browsers_change_is_escaped() {
        assert_eq!(quoted("a\"\\\n\r\t\0\u{1f}\u{7f}\u{9f}"), r#""a\"\\\n\r\t\u0000\u001f\u007f\u009f""#);
        assert_eq!(quoted("\u{200c}\u{202f}\u{2060}\u{fff0}\u{ffff}"), r#""\u200c\u202f\u2060\ufff0\uffff""#);
        assert_eq!(quoted("안녕 🎉 \u{a0}\u{200b}\u{2070}\u{ffef}"), "\"안녕 🎉 \u{a0}\u{200b}\u{2070}\u{ffef}\"");
    }

    #[test]
    fn j09_j11_arrays_of_strings_and_single_strings_are_read() {
        for (message, holds) in [
            (r#"["a"]"#, "a"),
            (r#" [ "a" , "b" ] "#, "ab"),
            (r#""a""#, "a"),
            ("[]", ""),
            ("", ""),
            (" \n", ""),
            (r#"["",""]"#, ""),
            (r#"["\n\u0000\u00e9\/"]"#, "\n\0é/"),
            (r#"["\ud83c\udf89"]"#, "🎉"),
        ] {
            assert_eq!(read(message).as_deref(), Ok(holds), "{message}");
        }
        for broken in ["[\"a", "[\"a\"", "[\"a\"]]", "[1]", "[[\"a\"]]", "[null]", "{}", "a", "[\"a\"],", r#"["\x"]"#] {
            assert_eq!(read(broken), Err(Broken), "{broken}");
        }
    }

    /// W07: a frame cut within a surrogate pair is whole again.
    #[test]
    fn j10_w07_halves_of_a_character_meet_again() {
        assert_eq!(read(r#"["a\ud83c","\udf89b"]"#).as_deref(), Ok("a🎉b"));
        let mut decoder = Decoder::default();
        assert_eq!(decoder.strings(r#"["a\ud83c"]"#).unwrap(), b"a");
        assert_eq!(decoder.strings("[]").unwrap(), b"");
        assert_eq!(decoder.strings(r#"["\udf89b"]"#).unwrap(), "🎉b".as_bytes());
        for (message, holds) in [
            (r#"["\udf89"]"#, "\u{fffd}"),
            (r#"["\ud83cx"]"#, "\u{fffd}x"),
            (r#"["\ud83c\ud83c\udf89"]"#, "\u{fffd}🎉"),
            (r#"["\udf89\ud83c","x"]"#, "\u{fffd}\u{fffd}x"),
        ] {
            assert_eq!(read(message).as_deref(), Ok(holds), "{message}");
        }
        assert_eq!(decoder.strings(r#"["\ud83c"]"#).unwrap(), b"");
        assert_eq!(decoder.strings(r#"["x"]"#).unwrap(), "\u{fffd}x".as_bytes());
    }

    proptest! {
        /// What is quoted is read back, by this reader and by another one; and both agree on what is broken.
        #[test]
        fn j10_a_round_trip(texts in prop::collection::vec(any::<String>(), 0..4), cut in any::<prop::sample::Index>()) {
            let message = format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(","));
            let all = texts.concat();
            prop_assert_eq!(read(&message), Ok(all.clone()));
            let others: Vec<String> = serde_json::from_str(&message).unwrap();
            prop_assert_eq!(others, texts);
            let cut: String = message.chars().take(cut.index(message.chars().count())).collect();
            prop_assert_eq!(read(&cut).is_ok(), cut.is_empty());
        }
    }
}
