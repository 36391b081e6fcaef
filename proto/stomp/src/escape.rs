//! Header escaping, per version (family H).

use crate::Version;
use alloc::vec::Vec;

/// How headers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escaping {
    /// 1.0, CONNECT and CONNECTED: no escapes; what cannot be said becomes a space, a colon in a name `_` (H06, H09).
    None,
    /// 1.1: no escape for CR, which becomes a space (H10).
    V1_1,
    /// 1.2.
    V1_2,
    /// Before a version is agreed: nothing that any version would escape (H12).
    Avoid,
}

impl From<Version> for Escaping {
    fn from(version: Version) -> Escaping {
        match version {
            Version::V1_0 => Escaping::None,
            Version::V1_1 => Escaping::V1_1,
            Version::V1_2 => Escaping::V1_2,
        }
    }
}

/// A header has two halves, and only 1.0 treats them differently.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Name,
    Value,
}

/// A table: each octet of each header is looked at.
static SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &[u8] = b"\\:\n\r\0";
    while let [first, others @ ..] = rest {
        table[*first as usize] = true;
        rest = others;
    }
    table
};

pub(crate) fn is_special(byte: u8) -> bool {
    SPECIAL[usize::from(byte)]
}

/// Appends `text` so that it can end neither its half of the header nor its line. NUL has no escape at any version.
pub(crate) fn escape(how: Escaping, half: Half, text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| is_special(byte)) {
        out.extend_from_slice(&rest[..at]);
        let escaped: &[u8] = match (how, rest[at]) {
            (Escaping::None, b'\\') => b"\\",
            (Escaping::None, b':') if half == Half::Value => b":",
            (Escaping::None, b':') => b"_",
            (Escaping::V1_1 | Escaping::V1_2, b'\\') => b"\\\\",
            (Escaping::V1_1 | Escaping::V1_2, b':') => b"\\c",
            (Escaping::V1_1 | Escaping::V1_2, b'\n') => b"\\n",
            (Escaping::V1_2, b'\r') => b"\\r",
            _ => b" ",
        };
        out.extend_from_slice(escaped);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Decodes in one pass from left to right (H07); false for a sequence that the version does not know (H02–H04).
pub(crate) fn unescape(version: Version, raw: &[u8], out: &mut Vec<u8>) -> bool {
    let mut octets = raw.iter().copied();
    while let Some(octet) = octets.next() {
        if octet != b'\\' {
            out.push(octet);
            continue;
        }
        match octets.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b'c') => out.push(b':'),
            Some(b'\\') => out.push(b'\\'),
            Some(b'r') if version == Version::V1_2 => out.push(b'\r'),
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use alloc::string::String;

    fn escaped(how: Escaping, half: Half, text: &str) -> String {
        let mut out = Vec::new();
        escape(how, half, text, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn unescaped(version: Version, raw: &str) -> Option<String> {
        let mut out = Vec::new();
        unescape(version, raw.as_bytes(), &mut out).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn h02_h03_h04_each_version_knows_its_own_sequences() {
        assert_eq!(unescaped(Version::V1_2, r"a\r\n\c\\").unwrap(), "a\r\n:\\");
        assert_eq!(unescaped(Version::V1_1, r"a\n\c\\").unwrap(), "a\n:\\");
        assert_eq!(unescaped(Version::V1_1, r"a\r"), None);
        for bad in [r"\t", r"\", r"a\\\", r"\N", r"\ "] {
            assert_eq!(unescaped(Version::V1_2, bad), None, "{bad}");
        }
    }

    #[test]
    fn h07_one_pass_from_left_to_right() {
        assert_eq!(unescaped(Version::V1_2, r"\\n").unwrap(), r"\n");
        assert_eq!(unescaped(Version::V1_2, r"\\\n").unwrap(), "\\\n");
        assert_eq!(unescaped(Version::V1_2, r"\\c\\r").unwrap(), r"\c\r");
    }

    #[test]
    fn h08_h09_h10_h12_what_each_receiver_gets() {
        let hard = "a:b\\c\nd\re\0f";
        assert_eq!(escaped(Escaping::V1_2, Half::Value, hard), r"a\cb\\c\nd\re f");
        assert_eq!(escaped(Escaping::V1_1, Half::Value, hard), r"a\cb\\c\nd e f");
        assert_eq!(escaped(Escaping::None, Half::Value, hard), "a:b\\c d e f");
        assert_eq!(escaped(Escaping::None, Half::Name, hard), "a_b\\c d e f");
        assert_eq!(escaped(Escaping::Avoid, Half::Value, hard), "a b c d e f");
    }
}
