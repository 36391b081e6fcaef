//! From the Java client's settings to librdkafka's, where they differ. What cannot be translated is a fault that names
//! librdkafka's own setting.

use super::faults::Wrong;

/// What becomes of one property.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Translated {
    /// These librdkafka properties; none when it means nothing here.
    As(Vec<(String, String)>),
    /// A fault.
    Not(Wrong),
}

/// Translates one property; `all` are the others beside it, as some depend on each other.
pub(super) fn translate(key: &str, value: &str, all: &[(String, String)]) -> Translated {
    let of = |name: &str| all.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let rename = |name: &str| Translated::As(vec![(name.to_owned(), value.to_owned())]);
    let drop = || Translated::As(Vec::new());
    let not = |problem: &str, instead: &str| Translated::Not(Wrong::new(problem, instead));
    let is_pem = |store: Option<&str>| store.is_some_and(|kind| kind.eq_ignore_ascii_case("PEM"));
    match key {
        "sasl.jaas.config" => match jaas(value) {
            Some((user, password)) => {
                Translated::As(vec![("sasl.username".to_owned(), user), ("sasl.password".to_owned(), password)])
            }
            None => not(
                "only PlainLoginModule and ScramLoginModule with username and password are understood",
                "write sasl.username and sasl.password, or for OAuth sasl.oauthbearer.method=oidc and its settings",
            ),
        },
        "ssl.truststore.location" if is_pem(of("ssl.truststore.type")) => rename("ssl.ca.location"),
        "ssl.truststore.location" => not(
            "librdkafka reads no Java trust store",
            "export the certificates as PEM (keytool -exportcert -rfc) and write ssl.ca.location=FILE",
        ),
        "ssl.truststore.certificates" => rename("ssl.ca.pem"),
        "ssl.truststore.type" | "ssl.truststore.password" => drop(),
        "ssl.keystore.type" if matches!(value.to_ascii_uppercase().as_str(), "PEM" | "PKCS12") => drop(),
        "ssl.keystore.type" => not("librdkafka reads no JKS key store", PKCS12),
        "ssl.keystore.location" if is_pem(of("ssl.keystore.type")) => Translated::As(vec![
            ("ssl.certificate.location".to_owned(), value.to_owned()),
            ("ssl.key.location".to_owned(), value.to_owned()),
        ]),
        "ssl.keystore.location" if value.to_ascii_lowercase().ends_with(".jks") => {
            not("librdkafka reads no JKS key store", PKCS12)
        }
        "ssl.keystore.certificate.chain" => rename("ssl.certificate.pem"),
        "ssl.keystore.key" => rename("ssl.key.pem"),
        "ssl.endpoint.identification.algorithm" if value.is_empty() => {
            Translated::As(vec![(key.to_owned(), "none".to_owned())])
        }
        "key.serializer" | "value.serializer" | "key.deserializer" | "value.deserializer" => drop(),
        "buffer.memory" => not("not a librdkafka property", "write queue.buffering.max.kbytes"),
        "send.buffer.bytes" => not("not a librdkafka property", "write socket.send.buffer.bytes"),
        "receive.buffer.bytes" => not("not a librdkafka property", "write socket.receive.buffer.bytes"),
        "fetch.max.wait.ms" => not("not a librdkafka property", "write fetch.wait.max.ms"),
        "max.block.ms" => not("not a librdkafka property", "leave it out; --send-timeout bounds a SEND"),
        "max.request.size" => not("not a librdkafka property", "leave it out; it follows --max-body and --max-headers"),
        "sasl.login.callback.handler.class" | "sasl.client.callback.handler.class" | "sasl.login.class" => {
            not("names a Java class", "leave it out; for OAuth write sasl.oauthbearer.method=oidc and its settings")
        }
        "ssl.protocol" | "ssl.enabled.protocols" | "ssl.provider" | "security.providers" => {
            not("means something to Java only", "leave it out; ssl.cipher.suites restricts the ciphers")
        }
        _ => Translated::As(vec![(key.to_owned(), value.to_owned())]),
    }
}

const PKCS12: &str = "convert it to PKCS#12 and write ssl.keystore.location=FILE.p12, or to PEM and write \
                      ssl.certificate.location and ssl.key.location";

/// `org.apache.kafka…ScramLoginModule required username="u" password="p";`
fn jaas(value: &str) -> Option<(String, String)> {
    let (module, rest) = value.trim().split_once(char::is_whitespace)?;
    if !matches!(module.rsplit('.').next()?, "PlainLoginModule" | "ScramLoginModule") {
        return None;
    }
    let (flag, mut rest) = rest.trim_start().split_once(char::is_whitespace)?;
    if !flag.eq_ignore_ascii_case("required") {
        return None;
    }
    let (mut user, mut password) = (None, None);
    loop {
        rest = rest.trim_start();
        if rest.starts_with(';') || rest.is_empty() {
            return user.zip(password);
        }
        let (option, after) = rest.split_once('=')?;
        let (text, after) = jaas_value(after.trim_start())?;
        rest = after;
        match option.trim() {
            "username" => user = Some(text),
            "password" => password = Some(text),
            "tokenauth" => return None,
            _ => {}
        }
    }
}

/// A quoted text with backslash escapes, or a bare word; and what follows it.
fn jaas_value(text: &str) -> Option<(String, &str)> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let end = text.find(|c: char| c.is_whitespace() || c == ';')?;
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut plain = String::new();
    let mut chars = text[1..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => plain.push(chars.next()?.1),
            c if c == quote => return Some((plain, &text[at + 2..])),
            c => plain.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn translated(key: &str, value: &str, all: &[(&str, &str)]) -> Vec<(String, String)> {
        let all: Vec<_> = all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        match translate(key, value, &all) {
            Translated::As(pairs) => pairs,
            Translated::Not(wrong) => panic!("{wrong:?}"),
        }
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn login_modules_with_a_password_become_librdkafkas_settings() {
        for module in ["scram.ScramLoginModule", "plain.PlainLoginModule"] {
            let value = format!(
                "org.apache.kafka.common.security.{module} required username=\"al ice\"  password='p\\'\\\\w;';"
            );
            let expected = pairs(&[("sasl.username", "al ice"), ("sasl.password", "p'\\w;")]);
            assert_eq!(translated("sasl.jaas.config", &value, &[]), expected);
        }
        let bare = "x.PlainLoginModule required serviceName=kafka username=u password=p;";
        assert_eq!(translated("sasl.jaas.config", bare, &[]), pairs(&[("sasl.username", "u"), ("sasl.password", "p")]));
    }

    #[test]
    fn other_login_modules_are_faults_that_name_the_setting() {
        for value in [
            "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true;",
            "x.OAuthBearerLoginModule required;",
            "x.PlainLoginModule required username=\"u\";",
            "x.PlainLoginModule required username=\"u\" password=\"open",
            "x.ScramLoginModule required tokenauth=true username=u password=p;",
            "",
        ] {
            let Translated::Not(Wrong(_, instead)) = translate("sasl.jaas.config", value, &[]) else {
                panic!("{value}")
            };
            assert!(instead.contains("sasl.username"), "{instead}");
        }
    }

    #[test]
    fn stores_are_renamed_when_pem_and_refused_when_jks() {
        let pem = [("ssl.truststore.type", "PEM"), ("ssl.keystore.type", "pem")];
        assert_eq!(translated("ssl.truststore.location", "ca.pem", &pem), pairs(&[("ssl.ca.location", "ca.pem")]));
        let both = pairs(&[("ssl.certificate.location", "k.pem"), ("ssl.key.location", "k.pem")]);
        assert_eq!(translated("ssl.keystore.location", "k.pem", &pem), both);
        let p12 = pairs(&[("ssl.keystore.location", "k.p12")]);
        assert_eq!(translated("ssl.keystore.location", "k.p12", &[("ssl.keystore.type", "PKCS12")]), p12);
        for (key, value) in
            [("ssl.truststore.location", "t.jks"), ("ssl.keystore.location", "K.JKS"), ("ssl.keystore.type", "JKS")]
        {
            assert!(matches!(translate(key, value, &[]), Translated::Not(_)), "{key}");
        }
    }
}
