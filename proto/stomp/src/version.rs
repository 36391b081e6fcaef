//! The three versions of STOMP and how one of them is agreed.

use core::fmt;

/// A version of STOMP. The agreed one decides escaping, ACK headers and line ends for the rest of a connection (V13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// STOMP 1.0: no escaping, no heart-beats.
    V1_0,
    /// STOMP 1.1: `\n`, `\c`, `\\`, heart-beats, NACK.
    V1_1,
    /// STOMP 1.2: `\r` too, CRLF line ends, ACK by `id`.
    V1_2,
}

impl Version {
    /// What an ERROR offers when there is no common version (V07).
    pub const SUPPORTED: &'static str = "1.0,1.1,1.2";

    /// The version as headers spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Version::V1_0 => "1.0",
            Version::V1_1 => "1.1",
            Version::V1_2 => "1.2",
        }
    }

    /// Reads `1.0`, `1.1` or `1.2`.
    pub fn parse(text: &str) -> Option<Version> {
        match text {
            "1.0" => Some(Version::V1_0),
            "1.1" => Some(Version::V1_1),
            "1.2" => Some(Version::V1_2),
            _ => None,
        }
    }

    /// The highest version common with `accept-version`; a client without that header speaks 1.0 (V05, V06).
    pub fn negotiate(accept_version: Option<&str>) -> Option<Version> {
        match accept_version {
            None => Some(Version::V1_0),
            Some(list) => list.split(',').filter_map(|entry| Version::parse(entry.trim())).max(),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn v06_the_highest_common_version_in_any_order() {
        assert_eq!(Version::negotiate(Some("1.0,1.1,1.2")), Some(Version::V1_2));
        assert_eq!(Version::negotiate(Some("1.2,9.9,1.0")), Some(Version::V1_2));
        assert_eq!(Version::negotiate(Some(" 1.1 , 1.0 ")), Some(Version::V1_1));
        assert_eq!(Version::negotiate(Some("9.9, 2.0")), None);
        assert_eq!(Version::negotiate(Some("")), None);
        assert_eq!(Version::negotiate(None), Some(Version::V1_0));
    }
}
