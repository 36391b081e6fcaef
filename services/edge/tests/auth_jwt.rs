//! Tokens (DESIGN §9 "auth", "rights"; stomp.md P20, V09): four algorithms, each pinned; every way to be refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    ffi::OsString,
    path::Path,
    time::{Duration, SystemTime},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use klatsch_edge::{
    auth::{
        AuthError, Authenticator, CredentialSettings, Identity, UpgradeCredentials,
        jwt::{Jwt, JwtAlgorithm, JwtKey, JwtSettings},
    },
    config::{Command, Config},
};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const SECRET: &str = "test-only secret of enough octets";
const ALGORITHMS: [(JwtAlgorithm, Algorithm, &str); 4] = [
    (JwtAlgorithm::Hs256, Algorithm::HS256, ""),
    (JwtAlgorithm::Rs256, Algorithm::RS256, "rsa"),
    (JwtAlgorithm::Es256, Algorithm::ES256, "p256"),
    (JwtAlgorithm::EdDsa, Algorithm::EdDSA, "ed25519"),
];

fn now() -> SystemTime {
    at(NOW)
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn data(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

fn path(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(format!("test-only-{name}.pem")).display().to_string()
}

fn key(algorithm: JwtAlgorithm, name: &str) -> JwtKey {
    let file = if name.is_empty() { SECRET.as_bytes().to_vec() } else { data(&format!("{name}.public")) };
    JwtKey::read(algorithm, &file).unwrap()
}

fn sign(header: &Header, claims: &Value, name: &str) -> String {
    let pem = || data(&format!("{name}.private"));
    let key = match header.alg {
        Algorithm::HS256 | Algorithm::HS384 => EncodingKey::from_secret(SECRET.as_bytes()),
        Algorithm::ES256 => EncodingKey::from_ec_pem(&pem()).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&pem()).unwrap(),
        _ => EncodingKey::from_rsa_pem(&pem()).unwrap(),
    };
    jsonwebtoken::encode(header, claims, &key).unwrap()
}

fn settings(key: JwtKey) -> JwtSettings {
    JwtSettings { key, issuer: None, audience: None, open_rooms: false }
}

fn check(settings: JwtSettings, token: &str, now: SystemTime) -> Result<Identity, AuthError> {
    let authenticator = Authenticator::Jwt(Jwt::new(settings, CredentialSettings::default()).into());
    assert!(!authenticator.is_instant());
    let bearer = format!("Bearer {token}");
    let mut headers = [("accept-version", "1.2"), ("Authorization", bearer.as_str())].into_iter();
    authenticator.authenticate(&UpgradeCredentials::default(), &mut headers, "0123456789ab", now)
}

/// A token with these claims, checked at `now` with an HS256 key.
fn hs256(claims: &Value) -> Result<Identity, AuthError> {
    hs256_at(claims, now())
}

fn hs256_at(claims: &Value, now: SystemTime) -> Result<Identity, AuthError> {
    let token = sign(&Header::new(Algorithm::HS256), claims, "");
    check(settings(key(JwtAlgorithm::Hs256, "")), &token, now)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let encode = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        let digit = move |index: usize| char::from(DIGITS[(bits >> (18 - 6 * index)) as usize & 63]);
        (0..=chunk.len()).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(encode).collect()
}

#[test]
fn every_algorithm_takes_its_own_tokens_and_no_others() {
    let claims = json!({"sub": "alice", "exp": NOW + 60});
    for (algorithm, alg, name) in ALGORITHMS {
        let mut header = Header::new(alg);
        header.kid = Some("a kid that nobody knows".to_owned());
        let token = sign(&header, &claims, name);
        let identity = check(settings(key(algorithm, name)), &token, now()).unwrap();
        assert_eq!((&*identity.user, identity.expires_at), ("alice", Some(at(NOW + 60))), "{algorithm:?}");

        let mallory = base64(json!({"sub": "mallory", "exp": NOW + 60}).to_string().as_bytes());
        let parts: Vec<&str> = token.split('.').collect();
        let forged = format!("{}.{mallory}.{}", parts[0], parts[2]);
        assert_eq!(
            check(settings(key(algorithm, name)), &forged, now()),
            Err(AuthError::BadSignature),
            "{algorithm:?}"
        );
        let unsigned = format!("{}.{}.", parts[0], parts[1]);
        assert_eq!(
            check(settings(key(algorithm, name)), &unsigned, now()),
            Err(AuthError::BadSignature),
            "{algorithm:?}"
        );

        let foreign = match name {
            "" => JwtKey::read(algorithm, b"another secret, just as long as needed").unwrap(),
            name => key(algorithm, &format!("{name}-foreign")),
        };
        assert_eq!(check(settings(foreign), &token, now()), Err(AuthError::BadSignature), "{algorithm:?}");
        for (other, _, other_name) in ALGORITHMS.into_iter().filter(|(other, ..)| *other != algorithm) {
            assert_eq!(check(settings(key(other, other_name)), &token, now()), Err(AuthError::BadAlgorithm));
        }
    }
}

#[test]
fn the_token_cannot_choose_its_algorithm() {
    let claims = json!({"sub": "mallory", "exp": NOW + 60});
    let rs256 = || settings(key(JwtAlgorithm::Rs256, "rsa"));
    // RS256's public key used as an HS256 secret: the classic confusion.
    let confused = EncodingKey::from_secret(&data("rsa.public"));
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &confused).unwrap();
    assert_eq!(check(rs256(), &token, now()), Err(AuthError::BadAlgorithm));
    for alg in [Algorithm::RS512, Algorithm::PS256] {
        assert_eq!(check(rs256(), &sign(&Header::new(alg), &claims, "rsa"), now()), Err(AuthError::BadAlgorithm));
    }
    for alg in ["none", "None", "HS1024", ""] {
        let header = base64(json!({"alg": alg, "typ": "JWT"}).to_string().as_bytes());
        let token = format!("{header}.{}.", base64(claims.to_string().as_bytes()));
        assert_eq!(check(rs256(), &token, now()), Err(AuthError::BadAlgorithm), "{alg}");
    }
    let mut header = Header::new(Algorithm::RS256);
    header.crit = Some(vec!["exp".to_owned()]);
    assert_eq!(check(rs256(), &sign(&header, &claims, "rsa"), now()), Err(AuthError::Malformed));
    // The attacker's own key inside the token is not looked at.
    let mut header = Header::new(Algorithm::RS256);
    header.jku = Some("https://mallory.example/keys".to_owned());
    assert_eq!(check(rs256(), &sign(&header, &claims, "rsa-foreign"), now()), Err(AuthError::BadSignature));
}

#[test]
fn what_is_no_token_is_malformed() {
    for token in
        ["x", "a.b.c", "..", "null", "undefined", "a.b", "a.b.c.d", "\u{1f600}.x.y", "eyJhbGciOiJIUzI1NiJ9.e30"]
    {
        assert_eq!(check(settings(key(JwtAlgorithm::Hs256, "")), token, now()), Err(AuthError::Malformed), "{token}");
    }
    for claims in [json!({"sub": 7, "exp": NOW + 60}), json!({"sub": "a", "exp": "soon"}), json!([1]), json!("x")] {
        assert_eq!(hs256(&claims), Err(AuthError::Malformed), "{claims}");
    }
}

#[test]
fn p20_times_are_kept_with_thirty_seconds_of_leeway() {
    let exp = |seconds: u64| json!({"sub": "a", "exp": seconds});
    assert_eq!(hs256(&json!({"sub": "a"})), Err(AuthError::Malformed), "exp is required");
    assert_eq!(hs256(&exp(NOW + 1)).unwrap().expires_at, Some(at(NOW + 1)));
    // Within the leeway a session is let in, and ends with the leeway.
    assert_eq!(hs256(&exp(NOW)).unwrap().expires_at, Some(at(NOW + 30)));
    assert_eq!(hs256(&exp(NOW - 29)).unwrap().expires_at, Some(at(NOW + 1)));
    for expired in [json!(NOW - 30), json!(NOW - 3_600), json!(0), json!(-5), json!(1.5)] {
        assert_eq!(hs256(&json!({"sub": "a", "exp": expired})), Err(AuthError::Expired), "{expired}");
    }
    assert_eq!(hs256(&json!({"sub": "a", "exp": 1e300})), Err(AuthError::Malformed));
    let half = hs256(&json!({"sub": "a", "exp": NOW as f64 + 0.5})).unwrap();
    assert_eq!(half.expires_at, Some(now() + Duration::from_millis(500)));
    let nbf = |seconds: u64| hs256(&json!({"sub": "a", "exp": NOW + 600, "nbf": seconds}));
    assert!(nbf(NOW - 1).is_ok() && nbf(NOW + 30).is_ok());
    assert_eq!(nbf(NOW + 31), Err(AuthError::NotYetValid));
    assert_eq!(hs256_at(&exp(NOW + 60), at(NOW + 90)), Err(AuthError::Expired));
}

#[test]
fn issuer_and_audience_are_compared_when_they_are_set() {
    let token = |claims: Value| sign(&Header::new(Algorithm::HS256), &claims, "");
    let with = |issuer: Option<&str>, audience: Option<&str>, mut claims: Value| {
        claims["sub"] = json!("a");
        claims["exp"] = json!(NOW + 60);
        let mut settings = settings(key(JwtAlgorithm::Hs256, ""));
        settings.issuer = issuer.map(str::to_owned);
        settings.audience = audience.map(str::to_owned);
        check(settings, &token(claims), now()).map(|_| ())
    };
    assert_eq!(with(None, None, json!({"iss": "x", "aud": "y"})), Ok(()));
    assert_eq!(with(Some("https://id.example"), None, json!({"iss": "https://id.example"})), Ok(()));
    for claims in [json!({}), json!({"iss": "https://id.example/"}), json!({"iss": ""})] {
        assert_eq!(with(Some("https://id.example"), None, claims), Err(AuthError::Issuer));
    }
    assert_eq!(with(None, Some("chat"), json!({"aud": "chat"})), Ok(()));
    assert_eq!(with(None, Some("chat"), json!({"aud": ["other", "chat"]})), Ok(()));
    for claims in [json!({}), json!({"aud": "chat2"}), json!({"aud": []}), json!({"aud": ["Chat"]})] {
        assert_eq!(with(None, Some("chat"), claims), Err(AuthError::Audience));
    }
}

#[test]
fn the_subject_must_be_fit_to_be_a_sender() {
    let user = |sub: &str| hs256(&json!({"sub": sub, "exp": NOW + 60})).map(|identity| identity.user.to_string());
    let longest = "x".repeat(128);
    for sub in ["a", "김철수", "auth0|5f7c", "a b", &longest] {
        assert_eq!(user(sub).as_deref(), Ok(sub));
    }
    let too_long = "x".repeat(129);
    for sub in ["", " a", "a ", "a\nb", "a\u{0}", "\u{7f}", "a\u{85}", &too_long] {
        assert_eq!(user(sub), Err(AuthError::Subject), "{sub:?}");
    }
    assert_eq!(hs256(&json!({"exp": NOW + 60})), Err(AuthError::Subject));
}

#[test]
fn rights_come_from_the_claims_and_are_none_without_them() {
    let rights = |open_rooms: bool, mut claims: Value| {
        claims["sub"] = json!("a");
        claims["exp"] = json!(NOW + 60);
        let mut settings = settings(key(JwtAlgorithm::Hs256, ""));
        settings.open_rooms = open_rooms;
        check(settings, &sign(&Header::new(Algorithm::HS256), &claims, ""), now()).unwrap().rights
    };
    let none = rights(false, json!({}));
    assert!(!none.may_send("a") && !none.may_subscribe("a"));
    let all = rights(true, json!({}));
    assert!(all.may_send("a") && all.may_subscribe("a"));
    for claims in [
        json!({"klatsch.send": ["a"], "klatsch.subscribe": ["a", "team-*"]}),
        json!({"klatsch": {"send": "a", "subscribe": ["a", "team-*"]}}),
        json!({"klatsch.send": "a", "klatsch": {"subscribe": ["a", "team-*"], "send": ["ignored"]}}),
    ] {
        let some = rights(true, claims);
        assert!(some.may_send("a") && !some.may_send("team-1") && !some.may_send("ignored"));
        assert!(some.may_subscribe("a") && some.may_subscribe("team-1") && !some.may_subscribe("b"));
    }
    // --open-rooms is for tokens that say nothing: one that says something is taken at its word.
    let read_only = rights(true, json!({"klatsch.subscribe": ["a"]}));
    assert!(read_only.may_subscribe("a") && !read_only.may_send("a"));
    assert!(!rights(true, json!({"klatsch.send": []})).may_subscribe("a"));
}

#[test]
fn unfit_keys_are_faults_of_check_config() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let write = |name: &str, content: &str| {
        std::fs::write(directory.join(name), content).unwrap();
        directory.join(name).display().to_string()
    };
    let (short, exact) =
        (write("short.secret", &"x".repeat(31)), write("exact.secret", &format!("{}\r\n", "x".repeat(32))));
    let trimmed = write("trimmed.secret", &format!("{}\n", "x".repeat(31)));
    let load = |alg: &str, key: &str| {
        let args = ["klatsch-edge", "check-config", "--dev", "--auth", "jwt", "--jwt-alg", alg, "--jwt-key", key];
        Config::load(args.map(OsString::from), []).map_err(|faults| faults.to_string())
    };
    for (alg, key, problem) in [
        ("HS256", &short, "openssl rand"),
        ("HS256", &trimmed, "openssl rand"),
        ("HS256", &path("rsa.public"), "set --jwt-alg"),
        ("RS256", &path("rsa.private"), "openssl pkey"),
        ("RS256", &path("rsa.certificate"), "openssl x509"),
        ("RS256", &path("rsa-short.public"), "2048 bits"),
        ("RS256", &path("p256.public"), "not an RSA public key"),
        ("RS256", &exact, "not an RSA public key"),
        ("ES256", &path("p384.public"), "P-256"),
        ("ES256", &path("rsa.public"), "not an EC public key"),
        ("EdDSA", &path("p256.public"), "not an Ed25519 public key"),
        ("EdDSA", &path("ed25519.private"), "openssl pkey"),
    ] {
        let faults = load(alg, key).unwrap_err();
        let ours = faults.starts_with("--jwt-key (KLATSCH_JWT_KEY): ") && faults.lines().count() == 1;
        assert!(ours && faults.contains(problem), "{alg} {key}: {faults}");
    }
    for (alg, key) in [
        ("HS256", &exact),
        ("RS256", &path("rsa.public")),
        ("ES256", &path("p256.public")),
        ("EdDSA", &path("ed25519.public")),
    ] {
        let Ok(Command::CheckConfig(config)) = load(alg, key) else { panic!("{alg}") };
        assert!(matches!(config.authenticator(), Authenticator::Jwt(_)));
        assert!(!format!("{config:?}").contains("xxxxxxxx"), "the key is shown");
    }
}
