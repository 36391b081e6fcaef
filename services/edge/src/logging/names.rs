//! How users, rooms and connections are named in logs: so that lines about one of them can be told to belong together, and
//! nobody can read who it was.

use std::{fmt, sync::OnceLock};

use sha2::{Digest as _, Sha256};

/// What the settings say of names.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Names {
    /// As hashes with a salt that ends with the process.
    #[default]
    Hashed,
    /// As hashes with this salt, the same on every edge that knows it.
    Salted(String),
    /// As they are.
    Plain,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Who knows the salt can find out names.
        f.write_str(match self {
            Names::Hashed => "Hashed",
            Names::Salted(_) => "Salted",
            Names::Plain => "Plain",
        })
    }
}

struct Salt {
    key: Vec<u8>,
    plain: bool,
}

static SALT: OnceLock<Salt> = OnceLock::new();

pub(super) fn init(names: &Names) {
    let key = match names {
        Names::Salted(salt) => salt.as_bytes().to_vec(),
        Names::Hashed | Names::Plain => crate::chance::octets::<16>().to_vec(),
    };
    // A second edge in one process, as in tests, keeps the first one's.
    let _ = SALT.set(Salt { key, plain: *names == Names::Plain });
}

/// The name of a user or a room, as it is written.
#[derive(Clone, Copy)]
pub struct Named<'a>(pub &'a str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SALT.get() {
            Some(salt) if salt.plain => f.write_str(self.0),
            salt => write!(f, "{:016x}", hash(salt.map_or(&[], |salt| &salt.key), self.0.as_bytes())),
        }
    }
}

/// A connection of this process, by its place and how often that was taken.
#[derive(Clone, Copy)]
pub struct Conn {
    /// The worker.
    pub worker: usize,
    /// Its slot there.
    pub slot: usize,
    /// The slot's generation.
    pub generation: u32,
}

impl fmt::Display for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worker, slot, generation } = self;
        let place = [*worker as u64, *slot as u64, u64::from(*generation)].map(u64::to_le_bytes).concat();
        let key: &[u8] = SALT.get().map_or(&[], |salt| &salt.key);
        write!(f, "{:016x}", hash(key, &place))
    }
}

/// With a key, so that nobody finds a name by trying all of them.
fn hash(key: &[u8], what: &[u8]) -> u64 {
    let whole = Sha256::new().chain_update((key.len() as u64).to_le_bytes()).chain_update(key).chain_update(what);
    whole.finalize().iter().take(8).fold(0, |hash, octet| hash << 8 | u64::from(*octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_hash_of_it_and_of_the_salt() {
        assert_eq!(hash(b"salt", b"ann"), hash(b"salt", b"ann"));
        assert_ne!(hash(b"salt", b"ann"), hash(b"salt", b"bob"));
        assert_ne!(hash(b"salt", b"ann"), hash(b"other", b"ann"));
        assert_eq!(Named("ann").to_string().len(), 16);
        let conn = |generation| Conn { worker: 1, slot: 2, generation }.to_string();
        assert_ne!(conn(1), conn(2));
    }
}
