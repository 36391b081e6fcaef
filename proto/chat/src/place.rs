//! A record's place in the log, and its one spelling: the message-id.

use std::{
    fmt,
    str::{self, FromStr},
};

/// A record's place and a check of what lies there: `{partition}-{offset}-{check}`, the check in 8 hex digits.
/// The same on every edge and at every redelivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId {
    /// Kafka partition, not negative in any id that was parsed. `i32` because that is Kafka's type.
    pub partition: i32,
    /// Offset inside the partition. `-1` only in the token "before the first record" of an empty log.
    pub offset: i64,
    /// [`check_of`](Self::check_of) the record's value: tells a replaced log from the one the id was made in.
    pub check: u32,
}

/// The text is not a message-id as an edge writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a message-id")]
pub struct PlaceError;

impl MessageId {
    /// The longest spelling, in octets.
    pub const MAX_LEN: usize = 11 + 1 + 20 + 1 + 8;

    /// The check of a record's value: CRC-32/ISO-HDLC (zlib's, PNG's).
    pub fn check_of(value: &[u8]) -> u32 {
        crc32fast::hash(value)
    }

    /// Appends the spelling to `out`; allocates only if `out` must grow.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.spelled(&mut [0; Self::MAX_LEN]).as_bytes());
    }

    /// The spelling, in a buffer. By hand: each message has one, and `fmt` costs a thousand instructions for it.
    pub fn spelled<'a>(&self, buffer: &'a mut [u8; Self::MAX_LEN]) -> &'a str {
        let mut at = Self::MAX_LEN;
        let mut put = |octet| {
            at -= 1;
            buffer[at] = octet;
        };
        (0..8).for_each(|digit| put(b"0123456789abcdef"[(self.check >> (4 * digit) & 15) as usize]));
        for number in [self.offset, self.partition.into()] {
            put(b'-');
            let mut rest = number.unsigned_abs();
            loop {
                put(b'0' + (rest % 10) as u8);
                rest /= 10;
                if rest == 0 {
                    break;
                }
            }
            if number < 0 {
                put(b'-');
            }
        }
        str::from_utf8(&buffer[at..]).unwrap_or_default()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spelled(&mut [0; Self::MAX_LEN]))
    }
}

impl FromStr for MessageId {
    type Err = PlaceError;

    /// Takes exactly what [`Display`](fmt::Display) writes, so that equal ids are equal texts. The one negative
    /// number allowed is the offset −1.
    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let (partition, rest) = text.split_once('-').ok_or(PlaceError)?;
        let (offset, check) = rest.rsplit_once('-').ok_or(PlaceError)?;
        let partition = number(partition)?.try_into().map_err(|_| PlaceError)?;
        let offset = if offset == "-1" { -1 } else { number(offset)? };
        if check.len() != 8 || !check.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(PlaceError);
        }
        let check = u32::from_str_radix(check, 16).map_err(|_| PlaceError)?;
        Ok(Self { partition, offset, check })
    }
}

/// Decimal digits alone, no sign, no leading zero except in `0`.
fn number(text: &str) -> Result<i64, PlaceError> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().map_err(|_| PlaceError) } else { Err(PlaceError) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_check_is_crc_32_iso_hdlc() {
        assert_eq!(MessageId::check_of(b"123456789"), 0xcbf4_3926);
        assert_eq!(MessageId::check_of(b""), 0);
    }

    #[test]
    fn has_one_spelling() {
        let id = MessageId { partition: 7, offset: 42, check: 0xab };
        assert_eq!(id.to_string(), "7-42-000000ab");
        assert_eq!("0-0-00000000".parse(), Ok(MessageId { partition: 0, offset: 0, check: 0 }));
        // The position of an empty log (DESIGN §7): low − 1.
        assert_eq!("3--1-00000000".parse(), Ok(MessageId { partition: 3, offset: -1, check: 0 }));
        for bad in [
            "",
            "-",
            "--",
            "7",
            "7-42",
            "7-42-",
            "7-42-ab",
            "7-42-000000AB",
            "7-42-0000000ab",
            "07-42-000000ab",
            "7-042-000000ab",
            "+7-42-000000ab",
            "-7-42-000000ab",
            "7-+42-000000ab",
            "7--2-000000ab",
            "7-42-+00000ab",
            " 7-42-000000ab",
            "7-42-000000ab ",
            "2147483648-0-00000000",
            "0-9223372036854775808-00000000",
            "7-42-000000ag",
            "7-4 2-000000ab",
            "7-42-0-000000ab",
            "٧-42-000000ab",
            "7-42-ü00000a",
        ] {
            assert_eq!(bad.parse::<MessageId>(), Err(PlaceError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(partition in 0..=i32::MAX, offset in -1..=i64::MAX, check: u32) {
            let id = MessageId { partition, offset, check };
            let mut text = Vec::new();
            id.write_to(&mut text);
            prop_assert!(text.len() <= MessageId::MAX_LEN);
            prop_assert!(text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-')));
            prop_assert_eq!(String::from_utf8(text).unwrap().parse(), Ok(id));
        }

        #[test]
        fn is_spelled_as_numbers_are(partition: i32, offset: i64, check: u32) {
            let id = MessageId { partition, offset, check };
            prop_assert_eq!(id.to_string(), format!("{partition}-{offset}-{check:08x}"));
        }

        #[test]
        fn what_parses_is_what_is_written(text in "[0-9a-f+-]{0,24}|.{0,12}") {
            if let Ok(id) = text.parse::<MessageId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
