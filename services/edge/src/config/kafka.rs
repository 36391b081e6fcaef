//! Which librdkafka properties the user adds, checked one by one with librdkafka itself.

use std::{collections::BTreeMap, fs, path::Path};

use rdkafka::ClientConfig;

use super::{
    faults::{Collector, Wrong},
    java::{self, Translated},
    properties, references,
};

/// What klatsch's promises rest on (kafka.md §0), and the setting to use instead where there is one.
const RESERVED: [(&str, &str); 17] = [
    ("group.id", "leave it out; it follows --instance"),
    ("group.instance.id", "leave it out; nothing joins a group"),
    ("enable.auto.commit", "leave it out; nothing is committed"),
    ("enable.auto.offset.store", "leave it out; nothing is committed"),
    ("auto.offset.reset", "leave it out; the edge decides itself after a loss"),
    ("enable.partition.eof", "leave it out; the edge needs it"),
    ("enable.idempotence", "leave it out; a RECEIPT depends on it"),
    ("acks", "leave it out; a RECEIPT means all in-sync replicas"),
    ("request.required.acks", "leave it out; a RECEIPT means all in-sync replicas"),
    ("transactional.id", "leave it out; the edge uses no Kafka transactions"),
    ("partitioner", "leave it out; the edge chooses the partition"),
    ("message.max.bytes", "use --max-body and --max-headers"),
    ("max.in.flight", "leave it out; order depends on it"),
    ("max.in.flight.requests.per.connection", "leave it out; order depends on it"),
    ("partition.assignment.strategy", "leave it out; nothing joins a group"),
    ("allow.auto.create.topics", "use --create-topic"),
    ("test.mock.num.brokers", "use --dev"),
];

/// Properties that name a file to read.
const FILES: [&str; 5] =
    ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location", "ssl.crl.location"];

/// Where Debian and distroless keep the certificates of public authorities.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where the user's properties come from.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// `--kafka-properties`.
    pub(super) file: Option<String>,
    /// `--kafka-property`; wins.
    pub(super) over: Vec<String>,
}

/// The user's properties, and the brokers if only they name them.
pub(super) struct Properties {
    pub(super) all: Vec<(String, String)>,
    pub(super) brokers: Option<String>,
    /// The files that values were taken from.
    values: Vec<String>,
}

impl Properties {
    /// The files that they name.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        let named = self.all.iter().filter(|(key, _)| FILES.contains(&key.as_str())).map(|(_, path)| path);
        named.chain(&self.values).map(String::as_str)
    }
}

/// Reads the file, then the flags over it.
pub(super) fn read(source: &Source, faults: &mut Collector) -> Properties {
    let mut given = source.file.as_deref().map_or_else(Vec::new, |path| from_file(path, faults));
    for property in &source.over {
        match property.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => given.push((key.trim().to_owned(), value.to_owned())),
            _ => faults.note("kafka-property", Wrong::new("no = in it, or nothing before", "write key=value")),
        }
    }
    let values = resolve(&mut given, faults);
    let mut translated = BTreeMap::new();
    for (key, value) in &given {
        match java::translate(key, value, &given) {
            Translated::As(pairs) => translated.extend(pairs),
            Translated::Not(wrong) => note(faults, key, wrong),
        }
    }
    let brokers = translated.remove("bootstrap.servers").or_else(|| translated.remove("metadata.broker.list"));
    for (key, value) in &translated {
        check(key, value, faults);
    }
    check_sasl(&translated, faults);
    if cfg!(feature = "vendored") {
        trust(&mut translated, BUNDLE, faults);
    }
    Properties { all: translated.into_iter().collect(), brokers, values }
}

/// Puts in what values refer to; returns the files.
fn resolve(given: &mut Vec<(String, String)>, faults: &mut Collector) -> Vec<String> {
    let mut files = Vec::new();
    given.retain_mut(|(key, value)| match references::resolve(value) {
        _ if references::is_for_java(key) => false,
        Ok(resolved) => {
            *value = resolved.value;
            files.extend(resolved.files);
            true
        }
        Err(wrong) => {
            note(faults, key, wrong);
            false
        }
    });
    files
}

fn from_file(path: &str, faults: &mut Collector) -> Vec<(String, String)> {
    let parsed = fs::read_to_string(path)
        .map_err(|error| Wrong::new(format!("{path:?} cannot be read: {error}"), "give a readable UTF-8 file"))
        .and_then(|text| {
            properties::parse(&text)
                .map_err(|(line, problem)| Wrong::new(format!("{path:?} line {line}: {problem}"), "correct that line"))
        });
    parsed.unwrap_or_else(|wrong| {
        faults.note("kafka-properties", wrong);
        Vec::new()
    })
}

/// Values may be secrets: they are never repeated, librdkafka's own texts included where they quote one.
fn check(key: &str, value: &str, faults: &mut Collector) {
    if let Some((_, instead)) = RESERVED.iter().find(|(reserved, _)| *reserved == key) {
        return note(faults, key, Wrong::new("belongs to the edge", *instead));
    }
    let mut alone = ClientConfig::new();
    alone.set(key, value);
    if let Err(error) = alone.create_native_config() {
        let unknown = error.to_string().contains("No such configuration property");
        let wrong = if unknown {
            Wrong::new("librdkafka has no such property", "see librdkafka's CONFIGURATION.md for its name")
        } else {
            Wrong::new("librdkafka does not take this value", "see librdkafka's CONFIGURATION.md for its values")
        };
        return note(faults, key, wrong);
    }
    if FILES.contains(&key) && value != "probe" && !readable(Path::new(value)) {
        note(faults, key, Wrong::new(format!("{value:?} cannot be read"), "give a readable file"));
    }
}

/// librdkafka's default mechanism is Kerberos, which is not built in; without this, the fault would be a riddle.
fn check_sasl(properties: &BTreeMap<String, String>, faults: &mut Collector) {
    let of = |key: &str| properties.get(key).map(String::as_str);
    if !of("security.protocol").is_some_and(|protocol| protocol.to_ascii_lowercase().starts_with("sasl_")) {
        return;
    }
    match of("sasl.mechanism").or(of("sasl.mechanisms")) {
        None | Some("GSSAPI") => {
            let wrong =
                Wrong::new("Kerberos is not built in", "write SCRAM-SHA-512, SCRAM-SHA-256, PLAIN or OAUTHBEARER");
            note(faults, "sasl.mechanism", wrong);
        }
        Some("PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512") => {
            for key in ["sasl.username", "sasl.password"] {
                if of(key).is_none() {
                    note(faults, key, Wrong::new("missing", "write it, or sasl.jaas.config with both"));
                }
            }
        }
        Some(_) => {}
    }
}

/// An OpenSSL that was compiled in looks for authorities where no distribution keeps them, finds none, and every broker is
/// an unknown one; so it is told where they are.
fn trust(properties: &mut BTreeMap<String, String>, bundle: &str, faults: &mut Collector) {
    let of = |key: &str| properties.get(key).map(|value| value.to_ascii_lowercase());
    let tls = of("security.protocol").is_some_and(|protocol| matches!(protocol.as_str(), "ssl" | "sasl_ssl"));
    let told = ["ssl.ca.location", "ssl.ca.pem"].iter().any(|key| properties.contains_key(*key));
    let unchecked =
        of("enable.ssl.certificate.verification").is_some_and(|value| matches!(&*value, "false" | "0" | "f"));
    if !tls || told || unchecked {
        return;
    }
    if readable(Path::new(bundle)) {
        properties.insert("ssl.ca.location".to_owned(), bundle.to_owned());
    } else {
        let problem = format!("missing, and {bundle:?} cannot be read");
        note(faults, "ssl.ca.location", Wrong::new(problem, "name the file with the authority of the brokers, as PEM"));
    }
}

pub(super) fn readable(path: &Path) -> bool {
    if path.is_dir() { fs::read_dir(path).is_ok() } else { fs::File::open(path).is_ok() }
}

/// A file given by mistake may be a secret whole, so only what looks like a property's name is repeated.
fn note(faults: &mut Collector, key: &str, wrong: Wrong) {
    let plain = |c: char| c.is_ascii_lowercase() || matches!(c, '.' | '_');
    let shown = if key.contains('.') && key.chars().all(plain) || key == "acks" { key } else { "…" };
    faults.note_as(format!("Kafka property {shown:?}"), wrong);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    /// The authority that these properties lead to, and the fault.
    fn trusted(properties: &[(&str, &str)], bundle: &str) -> (Option<String>, Option<String>) {
        let mut all = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut faults = Collector::default();
        trust(&mut all, bundle, &mut faults);
        (all.remove("ssl.ca.location"), faults.faults.first().map(ToString::to_string))
    }

    #[test]
    fn an_openssl_of_our_own_is_told_whom_to_trust() {
        let bundle = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for protocol in ["SSL", "sasl_ssl"] {
            let tls = ("security.protocol", protocol);
            assert_eq!(trusted(&[tls], bundle), (Some(bundle.to_owned()), None));
            let (location, fault) = trusted(&[tls], "/no/such.crt");
            assert_eq!(location, None);
            let fault = fault.unwrap();
            assert!(fault.contains("ssl.ca.location") && fault.contains("/no/such.crt"), "{fault}");
            for mine in
                [("ssl.ca.location", "probe"), ("ssl.ca.pem", "-----BEGIN"), ("ssl.ca.location", "/etc/klatsch/ca.crt")]
            {
                let own = (mine.0 == "ssl.ca.location").then(|| mine.1.to_owned());
                assert_eq!(trusted(&[tls, mine], "/no/such.crt"), (own, None));
            }
            let unchecked = ("enable.ssl.certificate.verification", "False");
            assert_eq!(trusted(&[tls, unchecked], "/no/such.crt"), (None, None));
        }
        for plain in [&[][..], &[("security.protocol", "plaintext")], &[("security.protocol", "SASL_PLAINTEXT")]] {
            assert_eq!(trusted(plain, bundle), (None, None));
        }
    }
}
