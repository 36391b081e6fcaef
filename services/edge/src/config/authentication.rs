//! The settings that decide who may do what.

use std::{fs, net::SocketAddr};

use super::{
    AuthChoice,
    faults::{Collector, Wrong},
    flags::Flags,
    values,
};
use crate::auth::{
    CredentialSettings, OriginPolicy,
    jwt::{JwtAlgorithm, JwtKey, JwtSettings},
};

#[derive(Clone, Copy)]
enum Method {
    Open,
    Jwt,
}

/// `open` is the default only where nobody else can connect, at none of the addresses for clients, or where `--dev` asks
/// for it.
pub(super) fn choice(flags: &Flags, addresses: &[(&str, Option<SocketAddr>)], faults: &mut Collector) -> AuthChoice {
    let reachable = addresses.iter().find(|(_, address)| address.is_some_and(|address| !address.ip().is_loopback()));
    let jwt_flags = [
        ("jwt-alg", &flags.jwt_alg),
        ("jwt-key", &flags.jwt_key),
        ("jwt-issuer", &flags.jwt_issuer),
        ("jwt-audience", &flags.jwt_audience),
    ];
    let method = match (flags.auth.as_deref(), reachable) {
        (Some(text), _) => {
            let methods = [("open", Method::Open), ("jwt", Method::Jwt)];
            faults.take_some("auth", Some(text), |text| values::one_of(text, &methods))
        }
        (None, None) => Some(Method::Open),
        (None, Some(_)) if flags.dev => Some(Method::Open),
        (None, Some((address, _))) => {
            let problem = format!("missing, and {address} is reachable from other machines");
            faults.note(
                "auth",
                Wrong::new(
                    problem,
                    "write --auth jwt with --jwt-alg and --jwt-key, or --auth open if everybody may everything",
                ),
            );
            None
        }
    };
    match method {
        Some(Method::Jwt) => jwt(flags, faults).map_or(AuthChoice::Open, AuthChoice::Jwt),
        Some(Method::Open) => {
            for (flag, _) in jwt_flags.iter().filter(|(_, value)| value.is_some()) {
                faults.note(flag, Wrong::new("has no effect with --auth open", "write --auth jwt, or leave it out"));
            }
            AuthChoice::Open
        }
        None => AuthChoice::Open,
    }
}

fn jwt(flags: &Flags, faults: &mut Collector) -> Option<JwtSettings> {
    let algorithms = [
        ("HS256", JwtAlgorithm::Hs256),
        ("RS256", JwtAlgorithm::Rs256),
        ("ES256", JwtAlgorithm::Es256),
        ("EdDSA", JwtAlgorithm::EdDsa),
    ];
    for (flag, value, instead) in [
        ("jwt-alg", &flags.jwt_alg, "write the algorithm that the issuer signs with: HS256, RS256, ES256 or EdDSA"),
        ("jwt-key", &flags.jwt_key, "give the issuer's public key in PEM, or the secret for HS256"),
    ] {
        if value.is_none() {
            faults.note(flag, Wrong::new("missing, and --auth is jwt", instead));
        }
    }
    let algorithm = faults.take_some("jwt-alg", flags.jwt_alg.as_deref(), |text| values::one_of(text, &algorithms));
    let file = faults.take_some("jwt-key", flags.jwt_key.as_deref(), |path| {
        fs::read(path).map_err(|error| Wrong::new(format!("{path:?} cannot be read: {error}"), "give a readable file"))
    });
    let (algorithm, file) = algorithm.zip(file)?;
    let key = faults.take_some("jwt-key", flags.jwt_key.as_deref(), |path| {
        JwtKey::read(algorithm, &file).map_err(|problem| {
            let (problem, instead) = problem.split_once("; ").unwrap_or((problem, "give the key that fits --jwt-alg"));
            Wrong::new(format!("{path:?} {problem}"), instead)
        })
    })?;
    let (issuer, audience) = (flags.jwt_issuer.clone(), flags.jwt_audience.clone());
    Some(JwtSettings { key, issuer, audience, open_rooms: flags.open_rooms })
}

pub(super) fn credentials(flags: &Flags, faults: &mut Collector) -> CredentialSettings {
    let headers = flags.auth_header.iter().map(|name| faults.take("auth-header", name, values::token)).collect();
    let cookie = faults.take_some("auth-cookie", flags.auth_cookie.as_deref(), values::token);
    CredentialSettings { headers, cookie }
}

pub(super) fn origin(flags: &Flags, faults: &mut Collector) -> OriginPolicy {
    let policy = OriginPolicy::new(&flags.allow_origin, flags.require_origin).unwrap_or_else(|bad| {
        let instead = "write scheme://host[:port] and nothing behind it, such as https://chat.example, or *";
        faults.note("allow-origin", Wrong::new(format!("{bad:?} is not an origin"), instead));
        OriginPolicy::default()
    });
    if policy.is_any() && flags.auth_cookie.is_some() {
        let problem = "* with --auth-cookie lets every web page act as the user";
        faults.note("allow-origin", Wrong::new(problem, "list the origins that may connect"));
    }
    policy
}
