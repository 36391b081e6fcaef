//! librdkafka's properties from flags, variables and a Java-style file.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{ffi::OsString, fs, path::PathBuf};

use klatsch_edge::config::{Command, Config, Faults, LogChoice};

fn load(args: &[&str], environment: &[(&str, &str)]) -> Result<Command, Faults> {
    let args = std::iter::once("klatsch-edge").chain(args.iter().copied()).map(OsString::from);
    Config::load(args, environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
}

fn config_with(args: &[&str], environment: &[(&str, &str)]) -> Config {
    match load(args, environment) {
        Ok(Command::Run(config)) => *config,
        other => panic!("{other:?}"),
    }
}

fn config(args: &[&str]) -> Config {
    config_with(args, &[])
}

fn faults(args: &[&str]) -> Vec<String> {
    load(args, &[]).unwrap_err().to_string().lines().map(str::to_owned).collect()
}

fn file(name: &str, content: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn kafka_properties_come_from_a_file_and_flags_win() {
    let path = file(
        "client.properties",
        concat!(
            "# as handed out by the platform team\n",
            "bootstrap.servers = broker-1:9093,broker-2:9093\n",
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n",
            "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n  username=\"chat\" password=\"s3cr\\\\\"et\";\n",
            "ssl.endpoint.identification.algorithm=\nkey.serializer=x.StringSerializer\nsocket.timeout.ms=5000\n",
        ),
    );
    let c = config(&["--kafka-properties", path.to_str().unwrap(), "--kafka-property", "socket.timeout.ms=7000"]);
    assert!(!format!("{c:?}").contains("s3cr"), "a password is shown");
    let LogChoice::Kafka { brokers, properties } = c.log else { panic!("{:?}", c.log) };
    assert_eq!(brokers, "broker-1:9093,broker-2:9093");
    let of = |key: &str| properties.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    assert_eq!((of("sasl.username"), of("sasl.password")), (Some("chat"), Some("s3cr\"et")));
    assert_eq!((of("socket.timeout.ms"), of("ssl.endpoint.identification.algorithm")), (Some("7000"), Some("none")));
    assert_eq!((of("sasl.jaas.config"), of("key.serializer"), of("bootstrap.servers")), (None, None, None));
    let over = config(&["--kafka", "other:9092", "--kafka-properties", path.to_str().unwrap()]);
    assert!(matches!(over.log, LogChoice::Kafka { brokers, .. } if brokers == "other:9092"));
    let by_lines = [("KLATSCH_KAFKA_PROPERTY", "debug=broker,topic\nclient.rack=a"), ("KLATSCH_KAFKA", "k:1")];
    assert!(matches!(config_with(&[], &by_lines).log, LogChoice::Kafka { properties, .. } if properties.len() == 2));
}

#[test]
fn kafka_faults_name_the_property_and_never_its_value() {
    let path = file(
        "bad.properties",
        concat!(
            "ssl.truststore.location=/x.jks\nssl.ca.location=/no/such.pem\nacks=1\nno.such=hunter2\nsocket.timeout.ms=hunter2\n",
            "security.protocol=sasl_ssl\nsasl.mechanism=PLAIN\nsasl.password=hunter2\n",
        ),
    );
    let all = faults(&["--kafka", "k", "--kafka-properties", path.to_str().unwrap(), "--kafka-property", "hunter2"]);
    for (start, part) in [
        ("--kafka-property", "key=value"),
        ("Kafka property \"ssl.truststore.location\"", "ssl.ca.location=FILE"),
        ("Kafka property \"ssl.ca.location\"", "cannot be read"),
        ("Kafka property \"acks\"", "RECEIPT"),
        ("Kafka property \"no.such\"", "no such property"),
        ("Kafka property \"socket.timeout.ms\"", "does not take this value"),
        ("Kafka property \"sasl.username\"", "missing"),
        ("--kafka (KLATSCH_KAFKA)", "\"k\" is not HOST:PORT"),
    ] {
        assert!(all.iter().any(|line| line.starts_with(start) && line.contains(part)), "{start} {part}: {all:#?}");
    }
    assert_eq!(all.len(), 8, "{all:#?}");
    assert!(!all.join("\n").contains("hunter2"));
    let mistaken = file("mistaken.properties", "0123456789abcdef0123456789abcdef\nMIIEvQIBADANBgkq+hunter2=\n");
    let all = faults(&["--kafka", "k:1", "--kafka-properties", mistaken.to_str().unwrap()]);
    assert!(all.len() == 2 && all.iter().all(|line| line.starts_with("Kafka property \"…\"")), "{all:?}");
    assert!(faults(&["--kafka", "k:1", "--kafka-properties", "/no/such"])[0].contains("cannot be read"));
    let broken = file("broken.properties", "a=b\nc=\\u12");
    assert!(faults(&["--kafka", "k:1", "--kafka-properties", broken.to_str().unwrap()])[0].contains("line 2"));
}
