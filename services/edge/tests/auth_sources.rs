//! Where tokens are looked for (DESIGN §9; stomp.md P18, P19, W23), and that none is ever shown.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, SystemTime};

use hyper::{HeaderMap, Uri, header::HeaderName};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use klatsch_edge::auth::{
    AuthError, Authenticator, CredentialSettings, UpgradeCredentials,
    jwt::{Jwt, JwtAlgorithm, JwtKey, JwtSettings},
    open::Open,
};

const SECRET: &[u8] = b"test-only secret of enough octets";

fn token(user: &str) -> String {
    let claims = serde_json::json!({"sub": user, "exp": 2_000_000_000});
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

fn credentials() -> CredentialSettings {
    CredentialSettings { headers: vec!["Authorization".into(), "X-AUTH-TOKEN".into()], cookie: Some("chat".into()) }
}

fn upgrade(headers: &[(&str, &str)], uri: &str, settings: &CredentialSettings) -> UpgradeCredentials {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    UpgradeCredentials::from_request(&map, uri.parse::<Uri>().unwrap().query(), settings)
}

/// Who the session is, from these CONNECT headers, upgrade headers and URL.
fn who(connect: &[(&str, &str)], headers: &[(&str, &str)], uri: &str) -> Result<String, AuthError> {
    who_with(&credentials(), connect, headers, uri)
}

fn who_with(
    settings: &CredentialSettings,
    connect: &[(&str, &str)],
    headers: &[(&str, &str)],
    uri: &str,
) -> Result<String, AuthError> {
    let key = JwtKey::read(JwtAlgorithm::Hs256, SECRET).unwrap();
    let jwt = JwtSettings { key, issuer: None, audience: None, open_rooms: false };
    let authenticator = Authenticator::Jwt(Jwt::new(jwt, settings.clone()).into());
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let upgrade = upgrade(headers, uri, settings);
    authenticator
        .authenticate(&upgrade, &mut connect.iter().copied(), "s", now)
        .map(|identity| identity.user.to_string())
}

#[test]
fn w23_each_source_alone_is_enough() {
    let a = token("alice");
    let (bearer, cookie, query) = (format!("Bearer {a}"), format!("x=1; chat={a}; y=2"), format!("/ws?x=1&token={a}"));
    let quoted = format!("chat=\"{a}\"");
    let spaced = format!("bEARER \t{a} ");
    for (connect, headers, uri) in [
        (vec![("Authorization", bearer.as_str())], vec![], "/ws"),
        (vec![("authorization", spaced.as_str())], vec![], "/ws"),
        (vec![("AUTHORIZATION", a.as_str())], vec![], "/ws"),
        (vec![("x-auth-token", a.as_str())], vec![], "/ws"),
        (vec![("login", "guest"), ("passcode", "guest"), ("X-Auth-Token", bearer.as_str())], vec![], "/ws"),
        (vec![], vec![("authorization", bearer.as_str())], "/ws"),
        (vec![], vec![("cookie", cookie.as_str())], "/ws"),
        (vec![], vec![("cookie", "a=b"), ("cookie", quoted.as_str())], "/ws"),
        (vec![], vec![], query.as_str()),
    ] {
        assert_eq!(who(&connect, &headers, uri).as_deref(), Ok("alice"), "{connect:?} {headers:?} {uri}");
    }
}

#[test]
fn w23_the_same_token_twice_is_one_and_two_tokens_are_none() {
    let (a, b) = (token("alice"), token("bob"));
    let (bearer_a, bearer_b) = (format!("Bearer {a}"), format!("Bearer {b}"));
    let (cookie_a, cookie_b) = (format!("chat={a}"), format!("chat={b}"));
    let (query_a, query_b) = (format!("/ws?token={a}"), format!("/ws?token={b}"));
    let all = who(
        &[("Authorization", &bearer_a), ("X-AUTH-TOKEN", &a)],
        &[("authorization", &bearer_a), ("cookie", &cookie_a)],
        &query_a,
    );
    assert_eq!(all.as_deref(), Ok("alice"));
    let both_in_query = format!("/ws?token={a}&token={b}");
    for (connect, headers, uri) in [
        (vec![("Authorization", bearer_a.as_str()), ("authorization", bearer_b.as_str())], vec![], "/ws"),
        (vec![("Authorization", bearer_a.as_str()), ("X-AUTH-TOKEN", b.as_str())], vec![], "/ws"),
        (vec![("Authorization", bearer_a.as_str())], vec![("authorization", bearer_b.as_str())], "/ws"),
        (vec![("Authorization", bearer_a.as_str())], vec![("cookie", cookie_b.as_str())], "/ws"),
        (vec![("Authorization", bearer_a.as_str())], vec![], query_b.as_str()),
        (vec![], vec![("authorization", bearer_a.as_str()), ("cookie", cookie_b.as_str())], "/ws"),
        (vec![], vec![("cookie", cookie_a.as_str())], query_b.as_str()),
        (vec![], vec![("cookie", cookie_a.as_str()), ("cookie", cookie_b.as_str())], "/ws"),
        (vec![], vec![], both_in_query.as_str()),
        (vec![("Authorization", "rubbish")], vec![("authorization", bearer_a.as_str())], "/ws"),
    ] {
        assert_eq!(who(&connect, &headers, uri), Err(AuthError::Conflicting), "{connect:?} {headers:?} {uri}");
    }
}

#[test]
fn other_places_are_not_looked_at() {
    let a = token("alice");
    let bearer = format!("Bearer {a}");
    let (cookie, query) =
        (format!("chatx={a}; xchat={a}; Chat={a}"), format!("/ws?Token={a}&access_token={a}#token={a}"));
    for (connect, headers, uri) in [
        (vec![], vec![], "/ws"),
        (vec![("passcode", a.as_str()), ("login", "alice"), ("token", a.as_str())], vec![], "/ws"),
        (
            vec![],
            vec![("cookie", cookie.as_str()), ("x-auth-token", a.as_str()), ("proxy-authorization", bearer.as_str())],
            "/ws",
        ),
        (vec![], vec![], query.as_str()),
        (
            vec![("Authorization", ""), ("X-AUTH-TOKEN", "Bearer ")],
            vec![("authorization", "Bearer"), ("cookie", "chat=")],
            "/ws?token=",
        ),
        // A proxy's own credentials are none of ours.
        (vec![], vec![("authorization", "Basic dXNlcjpwYXNz")], "/ws"),
        (vec![], vec![("authorization", "Bearerx")], "/ws"),
    ] {
        assert_eq!(who(&connect, &headers, uri), Err(AuthError::Missing), "{connect:?} {headers:?} {uri}");
    }
    let default = CredentialSettings::default();
    assert_eq!(
        who_with(&default, &[("X-AUTH-TOKEN", &a)], &[("cookie", &format!("chat={a}"))], "/ws"),
        Err(AuthError::Missing)
    );
    let passcode = CredentialSettings { headers: vec!["passcode".into()], cookie: None };
    assert_eq!(who_with(&passcode, &[("login", "x"), ("passcode", &a)], &[], "/ws").as_deref(), Ok("alice"));
    assert!(passcode.is_credential("PassCode") && !passcode.is_credential("Authorization"));
}

#[test]
fn e05_credentials_are_never_shown() {
    let a = token("alice");
    let kept = upgrade(
        &[("authorization", &format!("Bearer {a}")), ("cookie", &format!("chat={a}"))],
        &format!("/ws?token={a}"),
        &credentials(),
    );
    let shown = format!("{kept:?}");
    assert!(shown.contains("redacted") && !shown.contains(&a) && !shown.contains("eyJ"), "{shown}");
    for error in AuthError::ALL {
        assert_eq!(error.ending().facts().close, Some(4501), "{error:?}");
        assert!(!error.text().is_empty() && !error.text().chars().any(char::is_control));
        assert!(error.label().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    }
}

#[test]
fn open_takes_everybody_in_as_a_guest() {
    let open = Authenticator::Open(Open);
    let mut headers = [("Authorization", "Bearer whatever")].into_iter();
    let identity =
        open.authenticate(&UpgradeCredentials::default(), &mut headers, "0123456789abcdef", SystemTime::now()).unwrap();
    assert_eq!((&*identity.user, identity.expires_at), ("guest-01234567", None));
    assert!(open.is_instant() && identity.rights.may_send("a") && identity.rights.may_subscribe("b"));
}
