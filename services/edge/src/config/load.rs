//! From arguments and environment to [`Config`]: one line per setting, then what must agree.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::IsTerminal,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tracing_subscriber::EnvFilter;

use super::{
    Command, Config, Faults, KafkaProperties, Limits, LogChoice, LogFormat, Profile, Times, TopicSettings,
    authentication,
    command_line::{self, Parsed},
    faults::{Collector, Wrong},
    flags::{Action, Flags},
    kafka, sockjs,
    tuning::TuningFlags,
    values,
};
use crate::destination::{Alias, Aliases, BodyRule};
use crate::logging::names::Names;
use crate::traces::TraceSettings;

const KIB: u64 = 1024;
const MIB: u64 = KIB * KIB;
const GIB: u64 = KIB * MIB;

impl Config {
    /// Reads `args` (the program's name first) and `environment`. Files that settings name are read, nothing else.
    pub fn load(
        args: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Command, Faults> {
        let mut faults = Collector::default();
        let environment: BTreeMap<String, String> = environment
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let mut flags = match command_line::parse(args, &environment, &mut faults) {
            Parsed::Flags(flags) => flags,
            Parsed::Print(text) => return Ok(Command::Print(text)),
            Parsed::Nothing => return Err(Faults(faults.faults)),
        };
        // What collectors are found by everywhere else.
        let otlp_endpoint = || environment.get("OTEL_EXPORTER_OTLP_ENDPOINT").cloned();
        flags.tuning.otlp_endpoint = flags.tuning.otlp_endpoint.take().or_else(otlp_endpoint);
        let command = match flags.action {
            Some(Action::Healthcheck) => Command::Healthcheck(probed(&flags.admin, &mut faults)),
            Some(Action::CheckConfig) => Command::CheckConfig(Box::new(config(&flags, &mut faults))),
            None => Command::Run(Box::new(config(&flags, &mut faults))),
        };
        if faults.faults.is_empty() { Ok(command) } else { Err(Faults(faults.faults)) }
    }
}

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Where a probe on the same machine finds the admin listener.
fn probed(admin: &str, faults: &mut Collector) -> SocketAddr {
    let mut address = faults.take_some("admin", Some(admin), values::address).unwrap_or(NOWHERE);
    if address.port() == 0 && faults.faults.is_empty() {
        let problem = format!("{admin:?} has no port that could be asked");
        faults.note(
            "admin",
            Wrong::new(problem, "give the edge and its healthcheck the same port, such as 127.0.0.1:9090"),
        );
    }
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn config(flags: &Flags, faults: &mut Collector) -> Config {
    let tuning = &flags.tuning;
    let listen = faults.take_some("listen", Some(&flags.listen), values::address).unwrap_or(NOWHERE);
    let admin = faults.take_some("admin", Some(&flags.admin), values::address).unwrap_or(NOWHERE);
    let stomp_listen = faults.take_some("stomp-listen", flags.stomp_listen.as_deref(), values::address);
    for (flag, ours, other, theirs) in [
        ("admin", Some(admin), "--listen", listen),
        ("stomp-listen", stomp_listen, "--listen", listen),
        ("stomp-listen", stomp_listen, "--admin", admin),
    ] {
        if ours == Some(theirs) && theirs.port() != 0 {
            faults.note(flag, Wrong::new(format!("the same address as {other}"), "give it a port of its own"));
        }
    }
    let ws_paths: Vec<String> =
        flags.ws_path.iter().map(|path| faults.take("ws-path", path, values::ws_path)).collect();
    let ws_echo = faults.take_some("ws-echo", flags.ws_echo.as_deref(), values::ws_path);
    if let Some(path) = ws_echo.as_ref().filter(|path| ws_paths.contains(path)) {
        faults.note("ws-echo", Wrong::new(format!("{path:?} is a --ws-path"), "give it a path of its own"));
    }
    let instance = flags.instance.clone().unwrap_or_else(host_name);
    let instance = faults.take("instance", &instance, values::instance);
    let log = log_choice(flags, faults);
    let config = Config {
        listen,
        admin,
        stomp_listen,
        ws_paths,
        ws_echo,
        sockjs: sockjs::settings(&flags.sockjs, &log, faults),
        http_api: faults
            .take("http-api", &flags.http_api, |text| values::one_of(text, &[("on", true), ("off", false)])),
        instance,
        page: flags.page || flags.dev,
        cut: flags.dev,
        log,
        topic: topic(flags, faults),
        auth: authentication::choice(flags, &[("--listen", Some(listen)), ("--stomp-listen", stomp_listen)], faults),
        credentials: authentication::credentials(flags, faults),
        origin: authentication::origin(flags, faults),
        limits: limits(tuning, faults),
        times: times(tuning, faults),
        profile: faults.take("profile", &tuning.profile, |text| {
            values::one_of(text, &[("spring", Profile::Spring), ("strict", Profile::Strict)])
        }),
        aliases: aliases(tuning, faults),
        traces: traces(tuning, faults),
        log_format: log_format(tuning, faults),
        log_names: log_names(tuning, faults),
        log_filter: faults.take("log-filter", &tuning.log_filter, |text| match EnvFilter::try_new(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => {
                Err(Wrong::new(format!("{text:?} is not a log filter"), "write a level (info) or target=level,…"))
            }
        }),
    };
    // A tail that cannot hold a few of the largest records would never be full of anything.
    if faults.faults.is_empty() && config.limits.tail_bytes < 4 * config.max_record() {
        let problem = "holds less than four messages of --max-body";
        faults.note("tail-bytes", Wrong::new(problem, format!("write at least {}", 4 * config.max_record())));
    }
    config
}

fn aliases(flags: &TuningFlags, faults: &mut Collector) -> Aliases {
    let mut named = |flag: &str, all: &[String]| -> Vec<Alias> {
        all.iter().filter_map(|alias| faults.take_some(flag, Some(alias), values::alias)).collect()
    };
    let send = named("alias-send", &flags.alias_send);
    let subscribe = named("alias-subscribe", &flags.alias_subscribe);
    let mut by_body: Vec<BodyRule> = Vec::new();
    for text in &flags.send_by_body {
        let Some(rule) = faults.take_some("send-by-body", Some(text), values::by_body) else { continue };
        if by_body.iter().any(|known| known.destination() == rule.destination()) {
            let problem = format!("{:?} has two pointers", rule.destination());
            faults.note("send-by-body", Wrong::new(problem, "write each destination once"));
        }
        by_body.push(rule);
    }
    Aliases { send, subscribe, by_body }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn log_choice(flags: &Flags, faults: &mut Collector) -> LogChoice {
    let source = kafka::Source { file: flags.kafka_properties.clone(), over: flags.kafka_property.clone() };
    let given = kafka::read(&source, faults);
    let brokers = flags.kafka.clone().or_else(|| given.brokers.clone());
    let brokers = faults.take_some("kafka", brokers.as_deref(), values::brokers);
    if flags.log_memory {
        return LogChoice::Memory;
    }
    if let Some(brokers) = brokers {
        let properties = KafkaProperties::new(given, source, flags.kafka.clone());
        return LogChoice::Kafka { brokers, properties };
    }
    if flags.kafka.is_none() && !flags.dev {
        let instead = "write --kafka HOST:PORT,… or, to try klatsch without a Kafka, --dev";
        faults.note("kafka", Wrong::new("missing", instead));
    } else if flags.dev && !given.all.is_empty() {
        faults.note("kafka-property", Wrong::new("has no effect on --dev's own log", "write --kafka, or leave it out"));
    }
    LogChoice::Embedded
}

fn topic(flags: &Flags, faults: &mut Collector) -> TopicSettings {
    let mut count = |flag: &str, text: Option<&str>, most: u32| {
        let number = faults.take_some(flag, text, |text| values::number(text, 1..=most));
        number.and_then(|number| i32::try_from(number).ok())
    };
    let partitions = count("partitions", Some(&flags.partitions), 10_000).unwrap_or(1);
    let replication_factor = count("replication-factor", flags.replication_factor.as_deref(), 100);
    let min_isr = count("min-isr", flags.min_isr.as_deref(), 100);
    if let Some((copies, needed)) = replication_factor.zip(min_isr).filter(|(copies, needed)| needed > copies) {
        let problem = format!("{needed} copies are needed, but --replication-factor makes {copies}");
        faults.note("min-isr", Wrong::new(problem, format!("write at most {copies}")));
    }
    let name = faults.take("topic", &flags.topic, values::topic);
    TopicSettings { name, partitions, replication_factor, min_isr, create: flags.create_topic }
}

fn limits(flags: &TuningFlags, faults: &mut Collector) -> Limits {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut count = |flag: &str, text: &str, least: u32, most: u32| {
        let number = faults.take(flag, text, |text| values::number(text, least..=most));
        usize::try_from(number).unwrap_or(usize::MAX)
    };
    let max_connections = count("max-connections", &flags.max_connections, 1, 10_000_000);
    let per_address = count("max-connections-per-address", &flags.max_connections_per_address, 0, 10_000_000);
    let max_subscriptions = count("max-subscriptions", &flags.max_subscriptions, 1, 100_000);
    let max_receipts = count("max-receipts", &flags.max_receipts, 1, 1_000_000);
    let scan_records = count("scan-records", &flags.scan_records, 1, 10_000_000);
    let workers = flags.workers.as_deref().map_or(processors, |text| count("workers", text, 1, 1024));
    Limits {
        max_body: faults.take("max-body", &flags.max_body, |text| values::size(text, 1..=16 * MIB)),
        max_headers: faults.take("max-headers", &flags.max_headers, |text| values::size(text, 256..=MIB)),
        max_connections,
        max_connections_per_address: (per_address > 0).then_some(per_address),
        max_subscriptions,
        max_receipts,
        send_rate: faults.take("send-rate", &flags.send_rate, |text| values::number(text, 0..=1_000_000)),
        tail_bytes: faults.take("tail-bytes", &flags.tail_bytes, |text| values::size(text, 64 * KIB..=64 * GIB)),
        tail_time: time("tail-time", &flags.tail_time, 24 * 3600, faults),
        scan_records,
        scan_bytes: faults.take("scan-bytes", &flags.scan_bytes, |text| values::size(text, 64 * KIB..=GIB)),
        replay_bytes: faults.take("replay-bytes", &flags.replay_bytes, |text| values::size(text, 64 * KIB..=GIB)),
        replay_bytes_total: faults
            .take("replay-bytes-total", &flags.replay_bytes_total, |text| values::size(text, 64 * KIB..=64 * GIB)),
        admit_rate: faults.take("admit-rate", &flags.admit_rate, |text| values::number(text, 0..=1_000_000)),
        workers,
        drain_rate: faults.take("drain-rate", &flags.drain_rate, |text| values::number(text, 1..=1_000_000)),
    }
}

fn times(flags: &TuningFlags, faults: &mut Collector) -> Times {
    let times = Times {
        send: time("send-timeout", &flags.send_timeout, 300, faults),
        // Less than what the supervisor takes for a dead thread.
        scan: time("scan-time", &flags.scan_time, 4, faults),
        connect: time("connect-timeout", &flags.connect_timeout, 300, faults),
        frame: time("frame-timeout", &flags.frame_timeout, 3600, faults),
        grace: time("grace", &flags.grace, 3600, faults),
        heart_beat_floor: faults.take("heart-beat-floor", &flags.heart_beat_floor, |text| {
            values::time(text, Duration::from_millis(10)..=Duration::from_secs(60))
        }),
        heart_beat_cap: time("heart-beat-cap", &flags.heart_beat_cap, 300, faults),
    };
    if times.heart_beat_floor > times.heart_beat_cap && faults.faults.is_empty() {
        faults.note("heart-beat-floor", Wrong::new("above --heart-beat-cap", "write at most as much"));
    }
    times
}

/// At least 100 ms: less is a mistake, not a wish.
fn time(flag: &str, text: &str, most_seconds: u64, faults: &mut Collector) -> Duration {
    faults.take(flag, text, |text| values::time(text, Duration::from_millis(100)..=Duration::from_secs(most_seconds)))
}

fn traces(flags: &TuningFlags, faults: &mut Collector) -> Option<TraceSettings> {
    let sample = faults.take_some("trace-sample", Some(&flags.trace_sample), |text| match text.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err(Wrong::new(format!("{text:?} is no ratio"), "write a number from 0 to 1")),
    })?;
    let endpoint = faults.take_some("otlp-endpoint", flags.otlp_endpoint.as_deref(), |text| {
        let rest = text.strip_prefix("http://").filter(|rest| !rest.is_empty() && !rest.starts_with('/'));
        match rest.and_then(|_| text.parse::<hyper::Uri>().ok()) {
            Some(_) => Ok(format!("{}/v1/traces", text.trim_end_matches('/'))),
            None if sample == 0.0 && text.starts_with("https://") => Ok(String::new()),
            None => Err(Wrong::new(
                format!("{text:?} is no http:// URL"),
                "write one of a collector, such as http://otel:4318",
            )),
        }
    });
    match endpoint {
        _ if sample == 0.0 => None,
        Some(endpoint) => Some(TraceSettings { endpoint, sample }),
        None if flags.otlp_endpoint.is_some() => None,
        None => {
            faults.note("otlp-endpoint", Wrong::new("missing, and --trace-sample is set", "write the collector's URL"));
            None
        }
    }
}

fn log_names(flags: &TuningFlags, faults: &mut Collector) -> Names {
    let plain =
        faults.take("log-names", &flags.log_names, |text| values::one_of(text, &[("hashed", false), ("plain", true)]));
    let salt = faults.take_some("log-salt", flags.log_salt.as_deref(), |text| match text.len() {
        16.. => Ok(text.to_owned()),
        _ => Err(Wrong::new("shorter than 16 octets", "write one that nobody can guess")),
    });
    match salt {
        Some(_) if plain => {
            faults.note("log-salt", Wrong::new("has no effect on --log-names plain", "leave one of them out"));
            Names::Plain
        }
        Some(salt) => Names::Salted(salt),
        None if plain => Names::Plain,
        None => Names::Hashed,
    }
}

fn log_format(flags: &TuningFlags, faults: &mut Collector) -> LogFormat {
    let formats = [("json", LogFormat::Json), ("text", LogFormat::Text)];
    let chosen = faults.take_some("log", flags.log.as_deref(), |text| values::one_of(text, &formats));
    chosen.unwrap_or_else(|| if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json })
}
