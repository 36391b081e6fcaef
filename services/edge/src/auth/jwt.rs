//! `--auth jwt`: a signed JSON Web Token (RFC 7519, RFC 8725), one key, one pinned algorithm.
//!
//! The token's header chooses nothing: `alg` must be the pinned one, `kid`, `jku`, `jwk` and `x5u` are not read, and a
//! `crit` extension is refused. Times are compared with the `now` that is given, so tests need no clock.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, crypto::rust_crypto::DEFAULT_PROVIDER, errors::ErrorKind};
use serde::Deserialize;

use super::{AuthError, CredentialSettings, Identity, Rights, UpgradeCredentials};

/// How far clocks may differ.
pub const LEEWAY: Duration = Duration::from_secs(30);
/// The longest `sub`, in octets.
pub const SUBJECT_MAX: usize = 128;
/// The shortest HS256 secret, in octets (RFC 7518 §3.2).
pub const SECRET_MIN: usize = 32;

/// The algorithms that can be pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256; the key file is the secret.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256; the key file is a public key in PEM.
    Rs256,
    /// ECDSA on P-256 with SHA-256; the key file is a public key in PEM.
    Es256,
    /// Ed25519; the key file is a public key in PEM.
    EdDsa,
}

impl JwtAlgorithm {
    const fn algorithm(self) -> Algorithm {
        match self {
            JwtAlgorithm::Hs256 => Algorithm::HS256,
            JwtAlgorithm::Rs256 => Algorithm::RS256,
            JwtAlgorithm::Es256 => Algorithm::ES256,
            JwtAlgorithm::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// A key that has proved usable with its algorithm. Never shown by `Debug`.
#[derive(Clone)]
pub struct JwtKey {
    algorithm: JwtAlgorithm,
    key: DecodingKey,
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl JwtKey {
    /// Reads a key file's content. `Err` says what is wrong and what to do, without any of the content.
    pub fn read(algorithm: JwtAlgorithm, file: &[u8]) -> Result<Self, &'static str> {
        let is_pem_of = |kind: &str| String::from_utf8_lossy(file).contains(kind);
        let key = match algorithm {
            JwtAlgorithm::Hs256 => {
                if is_pem_of("-----BEGIN ") {
                    return Err("is a PEM file, but HS256 takes the raw secret; set --jwt-alg to the key's algorithm");
                }
                let secret = trim_newline(file);
                if secret.len() < SECRET_MIN {
                    return Err("is shorter than 32 octets; make a secret with: openssl rand -hex 32");
                }
                DecodingKey::from_secret(secret)
            }
            _ if is_pem_of("PRIVATE KEY-----") => {
                return Err("holds a private key; give the public one: openssl pkey -in FILE -pubout");
            }
            _ if is_pem_of("BEGIN CERTIFICATE-----") => {
                return Err("holds a certificate; give its public key: openssl x509 -in FILE -noout -pubkey");
            }
            JwtAlgorithm::Rs256 => rsa_key(file)?,
            JwtAlgorithm::Es256 => DecodingKey::from_ec_pem(file).map_err(|_| "is not an EC public key in PEM")?,
            JwtAlgorithm::EdDsa => DecodingKey::from_ed_pem(file).map_err(|_| "is not an Ed25519 public key in PEM")?,
        };
        let has_length = |octets| key.try_get_as_bytes().is_ok_and(|bytes| bytes.len() == octets);
        let usable = match algorithm {
            JwtAlgorithm::Hs256 | JwtAlgorithm::Rs256 => true,
            // An uncompressed point; P-384's is longer.
            JwtAlgorithm::Es256 => has_length(65),
            JwtAlgorithm::EdDsa => has_length(32),
        };
        if !usable || (DEFAULT_PROVIDER.verifier_factory)(&algorithm.algorithm(), &key).is_err() {
            return Err("is a key of another kind than --jwt-alg; ES256 needs P-256, EdDSA needs Ed25519");
        }
        Ok(JwtKey { algorithm, key })
    }
}

fn rsa_key(file: &[u8]) -> Result<DecodingKey, &'static str> {
    const NOT_RSA: &str = "is not an RSA public key in PEM";
    let key = DecodingKey::from_rsa_pem(file).map_err(|_| NOT_RSA)?;
    let der = key.try_get_as_bytes().map_err(|_| NOT_RSA)?;
    let (modulus, _) = (DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key)(der).map_err(|_| NOT_RSA)?;
    if modulus.iter().skip_while(|octet| **octet == 0).count() < 256 {
        return Err("is an RSA key of less than 2048 bits; make a longer one");
    }
    Ok(key)
}

fn trim_newline(file: &[u8]) -> &[u8] {
    let file = file.strip_suffix(b"\n").unwrap_or(file);
    file.strip_suffix(b"\r").unwrap_or(file)
}

/// What a token must be.
#[derive(Debug, Clone)]
pub struct JwtSettings {
    /// The key and its algorithm.
    pub key: JwtKey,
    /// `iss` must be this.
    pub issuer: Option<String>,
    /// `aud` must be or contain this.
    pub audience: Option<String>,
    /// A token with no `klatsch.…` claim at all may use every room.
    pub open_rooms: bool,
}

/// Checks tokens.
#[derive(Debug)]
pub struct Jwt {
    settings: JwtSettings,
    credentials: CredentialSettings,
    validation: Validation,
}

impl Jwt {
    /// A checker for one key.
    pub fn new(settings: JwtSettings, credentials: CredentialSettings) -> Self {
        // The library checks shape, algorithm and signature; the claims are compared below, each with its own error.
        let mut validation = Validation::new(settings.key.algorithm.algorithm());
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Jwt { settings, credentials, validation }
    }

    pub(super) fn authenticate<'a>(
        &self,
        upgrade: &UpgradeCredentials,
        connect: &mut dyn Iterator<Item = (&'a str, &'a str)>,
        now: SystemTime,
    ) -> Result<Identity, AuthError> {
        self.verify(upgrade.token(connect, &self.credentials)?, now)
    }

    fn verify(&self, token: &str, now: SystemTime) -> Result<Identity, AuthError> {
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.settings.key.key, &self.validation)
            .map_err(|error| classify(token, error.kind()))?;
        if decoded.header.crit.is_some() {
            return Err(AuthError::Malformed);
        }
        let claims = decoded.claims;
        let expires = instant(claims.exp.ok_or(AuthError::Malformed)?)?;
        let latest = expires.checked_add(LEEWAY).ok_or(AuthError::Malformed)?;
        if now >= latest {
            return Err(AuthError::Expired);
        }
        if let Some(not_before) = claims.nbf {
            let tolerant = now.checked_add(LEEWAY).ok_or(AuthError::Malformed)?;
            if tolerant < instant(not_before)? {
                return Err(AuthError::NotYetValid);
            }
        }
        if self.settings.issuer.is_some() && self.settings.issuer != claims.iss {
            return Err(AuthError::Issuer);
        }
        if let Some(wanted) = &self.settings.audience
            && !claims.aud.as_ref().is_some_and(|aud| aud.as_slice().contains(wanted))
        {
            return Err(AuthError::Audience);
        }
        let user = claims.sub.as_deref().filter(|sub| is_user(sub)).ok_or(AuthError::Subject)?;
        // Taken within the leeway after `exp`, a session ends with the leeway, not at once.
        let expires_at = if now < expires { expires } else { latest };
        Ok(Identity { user: Arc::from(user), rights: self.rights(&claims), expires_at: Some(expires_at) })
    }

    fn rights(&self, claims: &Claims) -> Rights {
        let nested = claims.klatsch.as_ref();
        let send = claims.send.as_ref().or(nested.and_then(|nested| nested.send.as_ref()));
        let subscribe = claims.subscribe.as_ref().or(nested.and_then(|nested| nested.subscribe.as_ref()));
        if send.is_none() && subscribe.is_none() && self.settings.open_rooms {
            return Rights::all();
        }
        let list = |claim: Option<&OneOrMany>| claim.map_or_else(Vec::new, |claim| claim.as_slice().to_vec());
        Rights::listed(&list(send), &list(subscribe))
    }
}

/// Only what is read. Other claims and other shapes of them do not matter.
#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iss: Option<String>,
    aud: Option<OneOrMany>,
    #[serde(rename = "klatsch.send")]
    send: Option<OneOrMany>,
    #[serde(rename = "klatsch.subscribe")]
    subscribe: Option<OneOrMany>,
    klatsch: Option<Nested>,
}

/// Identity providers that read a dot in a claim's name as nesting (Keycloak does) write this instead.
#[derive(Deserialize)]
struct Nested {
    send: Option<OneOrMany>,
    subscribe: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn as_slice(&self) -> &[String] {
        match self {
            OneOrMany::One(one) => std::slice::from_ref(one),
            OneOrMany::Many(many) => many,
        }
    }
}

fn instant(seconds: f64) -> Result<SystemTime, AuthError> {
    let since_epoch = Duration::try_from_secs_f64(seconds.max(0.0)).map_err(|_| AuthError::Malformed)?;
    SystemTime::UNIX_EPOCH.checked_add(since_epoch).ok_or(AuthError::Malformed)
}

/// It must survive as a header value at every STOMP version.
fn is_user(sub: &str) -> bool {
    (1..=SUBJECT_MAX).contains(&sub.len()) && !sub.chars().any(char::is_control) && sub.trim() == sub
}

fn classify(token: &str, error: &ErrorKind) -> AuthError {
    match error {
        ErrorKind::InvalidSignature => AuthError::BadSignature,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => AuthError::BadAlgorithm,
        // An algorithm that the library has no name for, `none` above all, does not even parse.
        ErrorKind::Json(_) | ErrorKind::InvalidAlgorithmName if names_unknown_algorithm(token) => {
            AuthError::BadAlgorithm
        }
        _ => AuthError::Malformed,
    }
}

fn names_unknown_algorithm(token: &str) -> bool {
    match jsonwebtoken::decode_header(token) {
        Err(error) => match error.kind() {
            ErrorKind::Json(json) => json.to_string().contains("unknown variant"),
            ErrorKind::InvalidAlgorithmName => true,
            _ => false,
        },
        Ok(_) => false,
    }
}
