//! Users with names, for tests in which one of them comes back in another session: `--auth jwt` with a key of our own.

use std::time::{Duration, SystemTime};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

use super::edge::Edge;
use super::wire::Wire;

const SECRET: &str = "fedcba9876543210fedcba9876543210-a-secret-of-the-test";

/// The key file; lives as long as the edges that read it.
pub struct Users {
    key: tempfile::NamedTempFile,
}

impl Users {
    pub fn new() -> Self {
        let key = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(key.path(), SECRET).unwrap();
        Self { key }
    }

    /// What an edge needs to know them; every room is open to them.
    pub fn args(&self) -> Vec<&str> {
        let key = self.key.path().to_str().unwrap();
        vec!["--auth", "jwt", "--jwt-alg", "HS256", "--open-rooms", "--jwt-key", key]
    }

    /// A token for this name.
    pub fn token(name: &str) -> String {
        Self::token_with(name, &json!({}))
    }

    /// The same with more claims.
    pub fn token_with(name: &str, more: &serde_json::Value) -> String {
        let exp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_secs(600);
        let mut claims = json!({"sub": name, "exp": exp.as_secs()});
        claims.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
    }

    /// A session of this user.
    #[track_caller]
    pub fn connect(edge: &Edge, name: &str) -> Wire {
        let bearer = format!("Bearer {}", Self::token(name));
        Wire::connect_with(edge, &[("accept-version", "1.2"), ("Authorization", &bearer)])
    }
}
