//! The settings (DESIGN §9): every one has a flag, a variable, help, and all faults come together.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{ffi::OsString, time::Duration};

use klatsch_edge::config::{AuthChoice, Command, Config, Faults, LogChoice, LogFormat, Profile};
use klatsch_edge::destination::Aliases;

fn load_with(args: &[&str], environment: &[(&str, &str)]) -> Result<Command, Faults> {
    let args = std::iter::once("klatsch-edge").chain(args.iter().copied()).map(OsString::from);
    Config::load(args, environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
}

fn load(args: &[&str]) -> Result<Command, Faults> {
    load_with(args, &[])
}

fn config(args: &[&str]) -> Config {
    config_with(args, &[])
}

fn config_with(args: &[&str], environment: &[(&str, &str)]) -> Config {
    match load_with(args, environment) {
        Ok(Command::Run(config)) => *config,
        other => panic!("{other:?}"),
    }
}

fn faults(args: &[&str]) -> Vec<String> {
    faults_with(args, &[])
}

fn faults_with(args: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    load_with(args, environment).unwrap_err().to_string().lines().map(str::to_owned).collect()
}

fn one_fault(args: &[&str]) -> String {
    let mut all = faults(args);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

fn names(all: &[impl ToString]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

fn help() -> String {
    match load(&["--help"]) {
        Ok(Command::Print(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults_are_the_designs() {
    let c = config(&["--dev", "--instance", "edge-0"]);
    assert_eq!(c.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(c.admin.to_string(), "127.0.0.1:0");
    assert_eq!(c.ws_paths, ["/ws"]);
    assert_eq!(c.group_id(), "klatsch-edge-edge-0");
    assert!(c.page && c.log == LogChoice::Embedded && matches!(c.auth, AuthChoice::Open));
    assert_eq!((c.topic.name.as_str(), c.topic.partitions, c.topic.create), ("chat.events.v1", 12, false));
    assert_eq!([1, 2, 3, 9].map(|brokers| c.topic.replication_factor(brokers)), [1, 2, 3, 3]);
    assert_eq!([1, 2, 3].map(|copies| c.topic.min_isr(copies)), [1, 1, 2]);
    assert_eq!((c.limits.max_body, c.limits.max_headers), (65_536, 16_384));
    assert_eq!((c.max_frame(), c.max_record()), (65_536 + 16_384 + 1024, 65_536 + 16_384 + 4096));
    assert_eq!((c.limits.max_connections, c.limits.max_connections_per_address), (20_000, None));
    assert_eq!((c.limits.max_subscriptions, c.limits.max_receipts), (100, 1_024));
    assert_eq!((c.limits.tail_bytes, c.limits.tail_time), (64 << 20, Duration::from_secs(600)));
    assert!(c.limits.workers >= 1);
    assert_eq!((c.times.send, c.times.connect), (Duration::from_secs(15), Duration::from_secs(10)));
    assert_eq!((c.times.grace, c.limits.drain_rate, c.limits.admit_rate), (Duration::from_secs(30), 500, 1_000));
    assert_eq!((c.times.heart_beat_floor, c.times.heart_beat_cap), (Duration::from_secs(1), Duration::from_secs(25)));
    assert_eq!(c.profile, Profile::Spring);
    assert_eq!(c.aliases, Aliases::default());
    assert_eq!(names(&c.aliases.send), ["/app/", "/pub/", "/publish/"], "P02");
    assert_eq!(names(&c.aliases.subscribe), ["/sub/"]);
    assert!(c.aliases.by_body.is_empty());
    assert_eq!(
        (c.credentials.headers.as_slice(), c.credentials.cookie.as_deref()),
        (&["Authorization".to_owned()][..], None)
    );
    assert_eq!(c.log_filter, "info");
}

/// J20: sessions that poll need all their requests at one edge: where there is but one, or where `/info` names it.
#[test]
fn j20_sockjs_polls_where_its_requests_find_their_edge() {
    let xhr = |args: &[&str]| config(args).sockjs.xhr;
    let (kafka, url) = (["--kafka", "k:1"], ["--public-url", "https://edge-0.chat.example/chat"]);
    assert!(xhr(&["--dev"]) && !xhr(&kafka) && !xhr(&["--dev", "--kafka", "k:1"]));
    assert!(xhr(&[&kafka[..], &url].concat()) && xhr(&[&kafka[..], &["--sockjs-xhr", "on"]].concat()));
    assert!(!xhr(&["--dev", "--sockjs-xhr", "off"]) && !xhr(&[&kafka[..], &url, &["--sockjs-xhr", "off"]].concat()));
    let sockjs = config(&[&["--dev"], &url[..]].concat()).sockjs;
    assert_eq!((sockjs.public_url.as_deref(), sockjs.response_bytes), (Some(url[1]), 128 << 10));
    for wrong in
        ["edge-0", "ws://edge-0", "https://", "https://edge-0/", "https://a b", "https://edge-0?x", "https://:1"]
    {
        let fault = one_fault(&["--dev", "--public-url", wrong]);
        assert!(fault.starts_with("--public-url ") && fault.contains("https://edge-0.chat.example"), "{fault}");
    }
}

#[test]
fn the_host_names_the_instance() {
    assert!(!config(&["--dev"]).instance.is_empty());
}

/// The long names in `--help`, hidden ones excepted.
fn flags_in_help() -> Vec<String> {
    let text = help();
    let starts = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("--").or_else(|| line.trim_start().strip_prefix("-h, --")));
    let names = starts.map(|rest| rest.split([' ', '[', '=']).next().unwrap().to_owned());
    names.filter(|name| !matches!(name.as_str(), "help" | "version")).collect()
}

#[test]
fn every_flag_has_a_variable_named_after_it_and_a_text() {
    let lines = help();
    // Where lines break depends on the terminal.
    let text = lines.split_whitespace().collect::<Vec<_>>().join(" ");
    let names = flags_in_help();
    assert!(names.len() >= 45, "{names:?}");
    for name in &names {
        let variable = format!("KLATSCH_{}", name.to_ascii_uppercase().replace('-', "_"));
        assert!(text.contains(&format!("[env: {variable}]")), "--{name} has no {variable} in --help");
        // A Service called klatsch-… makes Kubernetes set KLATSCH_…_PORT and KLATSCH_…_SERVICE_HOST in every pod.
        assert!(!variable.ends_with("_PORT") && !variable.contains("_SERVICE"), "{variable}");
    }
    for heading in ["Addresses:", "Kafka:", "Who may do what:", "Limits:", "Times:", "STOMP:", "Logging:", "Examples:"]
    {
        assert!(lines.lines().any(|line| line == heading), "{heading}");
    }
    assert!(!text.contains("log-memory"));
    for shown in ["[default: 127.0.0.1:8080]", "[default: 64KiB]", "[default: 15s]", "[default: /app/ /pub/ /publish/]"]
    {
        assert!(text.contains(shown), "{shown}");
    }
}

#[test]
fn every_flag_works_from_its_variable() {
    for name in flags_in_help() {
        let variable = format!("KLATSCH_{}", name.to_ascii_uppercase().replace('-', "_"));
        // No setting takes this, so each must complain under its own name.
        let impossible = [(variable.as_str(), "\u{1}/=impossible")];
        let args = ["--dev", "--kafka", "k:1", "--auth", "jwt", "--instance", "i"].into_iter();
        let pairs: Vec<&str> = match name.as_str() {
            // Free texts, accepted as they are.
            "jwt-issuer" | "jwt-audience" => continue,
            "dev" => vec!["--kafka", "k:1"],
            "kafka" => vec!["--dev"],
            "auth" => vec!["--dev"],
            "instance" => vec!["--dev"],
            _ => args.collect(),
        };
        let all = faults_with(&pairs, &impossible);
        let named =
            |line: &String| line.starts_with(&format!("--{name} ({variable}): ")) || line.starts_with("Kafka property");
        assert!(all.iter().any(named), "--{name}: {all:#?}");
    }
}

#[test]
fn a_flag_wins_over_its_variable_and_an_empty_variable_is_unset() {
    let environment = [
        ("KLATSCH_LISTEN", "127.0.0.1:1111"),
        ("KLATSCH_ADMIN", "127.0.0.1:2222"),
        ("KLATSCH_DEV", "true"),
        ("KLATSCH_PAGE", "0"),
        ("KLATSCH_WS_PATH", "/a, /b"),
        ("KLATSCH_ALIAS_SEND", "/x/"),
        ("KLATSCH_TOPIC", ""),
        ("KLATSCH_SERVICE_HOST", "10.0.0.1"),
        ("KLATSCH_PORT", "tcp://10.0.0.1:80"),
    ];
    let c = config_with(&["--admin", "127.0.0.1:3333", "--ws-path", "/c"], &environment);
    assert_eq!((c.listen.port(), c.admin.port()), (1111, 3333));
    assert_eq!(
        (c.ws_paths, names(&c.aliases.send), c.topic.name.as_str()),
        (vec!["/c".to_owned()], vec!["/x/".to_owned()], "chat.events.v1")
    );
    assert_eq!(config_with(&[], &environment).ws_paths, ["/a", "/b"]);
}

#[test]
fn all_faults_are_reported_together_each_with_what_to_write() {
    let all = faults_with(
        &[
            "check-config",
            "--listen",
            ":8080",
            "--max-body",
            "64KB",
            "--send-timeout",
            "15",
            "--grace",
            "0s",
            "--profile",
            "lax",
            "--no-such-flag",
        ],
        &[("KLATSCH_PARTITIONS", "none"), ("KLATSCH_MAX_HEADERS", "2MiB"), ("KLATSCH_REQUIRE_ORIGIN", "maybe")],
    );
    let expected = [
        ("command line: ", "--no-such-flag"),
        ("--listen (KLATSCH_LISTEN): ", "0.0.0.0:8080"),
        ("--max-body (KLATSCH_MAX_BODY): ", "64KiB"),
        ("--max-headers (KLATSCH_MAX_HEADERS): ", "256 to 1MiB"),
        ("--send-timeout (KLATSCH_SEND_TIMEOUT): ", "15s"),
        ("--grace (KLATSCH_GRACE): ", "100ms to 1h"),
        ("--profile (KLATSCH_PROFILE): ", "spring or strict"),
        ("--partitions (KLATSCH_PARTITIONS): ", "1 to 10000"),
        ("--require-origin (KLATSCH_REQUIRE_ORIGIN): ", "true or false"),
        ("--kafka (KLATSCH_KAFKA): ", "--dev"),
    ];
    for (start, instead) in expected {
        let found = all.iter().find(|line| line.starts_with(start));
        assert!(found.is_some_and(|line| line.contains(instead)), "{start}{instead} not in {all:#?}");
    }
    assert_eq!(all.len(), expected.len(), "{all:#?}");
}

#[test]
fn what_the_command_line_gets_wrong_hides_no_other_fault() {
    let all = faults(&[
        "--bogus",
        "1",
        "--max-body",
        "5x",
        "--dev",
        "run",
        "--listn=3",
        "--page=yes",
        "--grace",
        "0s",
        "--topic",
    ]);
    for part in ["'--bogus'", "--max-body (", "'run'", "'--listn'", "'--page'", "--grace (", "--topic <NAME>"] {
        assert!(all.iter().any(|line| line.contains(part)), "{part}: {all:#?}");
    }
    assert_eq!(all.len(), 7, "{all:#?}");
    assert!(all.iter().any(|line| line.contains("'--listn'") && line.contains("'--listen'")), "a guess: {all:#?}");
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        let args = ["klatsch-edge".into(), "--dev".into(), "--topic".into(), OsString::from_vec(vec![b'a', 0xff])];
        let text = Config::load(args, []).unwrap_err().to_string();
        assert!(text.contains("is not UTF-8") && text.contains("--topic (KLATSCH_TOPIC)"), "{text}");
    }
    assert_eq!(
        config(&["--dev", "--listen", "127.0.0.1:1", "--listen", "127.0.0.1:2"]).listen.port(),
        2,
        "the last one wins"
    );
}

#[test]
fn commands_stand_anywhere() {
    for args in [&["check-config", "--dev"], &["--dev", "check-config"]] {
        assert!(matches!(load(args), Ok(Command::CheckConfig(_))), "{args:?}");
    }
    let probe = |args: &[&str]| match load(args) {
        Ok(Command::Healthcheck(address)) => address.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(probe(&["healthcheck", "--admin", "0.0.0.0:9090"]), "127.0.0.1:9090");
    assert_eq!(probe(&["healthcheck", "--admin", "[::]:9090"]), "[::1]:9090");
    assert_eq!(probe(&["--admin", "localhost:9090", "healthcheck"]), "127.0.0.1:9090");
    assert!(one_fault(&["healthcheck"]).contains("127.0.0.1:9090"));
    assert!(matches!(load(&["--version"]), Ok(Command::Print(text)) if text.starts_with("klatsch-edge 0.")));
}

/// Off unless asked for; three listeners cannot share an address, and an echo is not where clients connect.
#[test]
fn stomp_on_tcp_and_the_echo_are_off_by_default() {
    let c = config(&["--dev"]);
    assert_eq!((c.stomp_listen, c.ws_echo), (None, None));
    let c = config_with(&["--dev", "--ws-echo", "/echo"], &[("KLATSCH_STOMP_LISTEN", "localhost:61613")]);
    assert_eq!((c.stomp_listen.unwrap().to_string(), c.ws_echo.unwrap()), ("127.0.0.1:61613".into(), "/echo".into()));
    for other in ["--listen", "--admin"] {
        let fault = one_fault(&["--dev", "--stomp-listen", "127.0.0.1:7", other, "127.0.0.1:7"]);
        assert!(fault.starts_with("--stomp-listen") && fault.contains(other), "{fault}");
    }
    assert!(one_fault(&["--dev", "--ws-echo", "/ws"]).starts_with("--ws-echo"));
    assert!(!help().contains("ws-echo") && help().contains("--stomp-listen"));
}

#[test]
fn open_is_the_default_only_where_nobody_else_can_connect() {
    for listen in ["127.0.0.1:1", "[::1]:1", "localhost:1", "127.8.8.8:1"] {
        assert!(matches!(config(&["--log-memory", "--kafka", "k:1", "--listen", listen]).auth, AuthChoice::Open));
    }
    for listen in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"] {
        assert!(one_fault(&["--kafka", "k:1", "--listen", listen]).starts_with("--auth (KLATSCH_AUTH): missing"));
        assert!(matches!(config(&["--kafka", "k:1", "--listen", listen, "--auth", "open"]).auth, AuthChoice::Open));
    }
    let everywhere = ["--kafka", "k:1", "--stomp-listen", "0.0.0.0:61613"];
    let fault = one_fault(&everywhere);
    assert!(fault.starts_with("--auth (KLATSCH_AUTH): missing") && fault.contains("--stomp-listen"), "{fault}");
    assert!(matches!(config(&[&everywhere[..], &["--auth", "open"]].concat()).auth, AuthChoice::Open));
    assert!(matches!(config(&["--dev", "--listen", "0.0.0.0:1"]).auth, AuthChoice::Open));
    let all = faults(&["--dev", "--jwt-key", "x", "--jwt-issuer", "y"]);
    assert!(all.len() == 2 && all.iter().all(|line| line.contains("no effect with --auth open")), "{all:?}");
    let all = faults(&["--dev", "--auth", "jwt"]);
    assert!(all[0].starts_with("--jwt-alg") && all[1].starts_with("--jwt-key") && all.len() == 2, "{all:?}");
    assert!(
        one_fault(&["--dev", "--auth", "jwt", "--jwt-alg", "RS256", "--jwt-key", "/no/such"])
            .contains("cannot be read")
    );
    assert!(one_fault(&["--dev", "--auth-cookie", "t", "--allow-origin", "*"]).starts_with("--allow-origin"));
}

/// P02 and stomp.md §3.4: which names of rooms there are is a setting.
#[test]
fn p02_aliases_are_settings() {
    let args = ["--dev", "--alias-send", "/app/chat.{room}.send", "--alias-subscribe", "/sub/chat/room/"];
    let c = config_with(&args, &[("KLATSCH_SEND_BY_BODY", "/pub/chat/message=/roomId, /pub/x=/a/0")]);
    assert_eq!(names(&c.aliases.send), ["/app/chat.{room}.send"], "the defaults are given up");
    assert_eq!(names(&c.aliases.subscribe), ["/sub/chat/room/"]);
    assert_eq!(names(&c.aliases.by_body), ["/pub/chat/message=/roomId", "/pub/x=/a/0"]);
    for (flag, bad, instead) in [
        ("--alias-send", "app", "/app/{room}/send"),
        ("--alias-subscribe", "/user/", "/app/"),
        ("--send-by-body", "/pub/chat/message", "DEST=POINTER"),
        ("--send-by-body", "/pub/chat/message=roomId", "=/roomId"),
        ("--send-by-body", "/topic/a=/roomId", "not below /topic/"),
    ] {
        let fault = one_fault(&["--dev", flag, bad]);
        assert!(fault.starts_with(flag) && fault.contains(instead), "{fault}");
    }
    let twice = one_fault(&["--dev", "--send-by-body", "/a=/x", "--send-by-body", "/a=/y"]);
    assert!(twice.contains("two pointers"), "{twice}");
}

#[test]
fn what_must_agree_is_compared() {
    assert!(one_fault(&["--dev", "--listen", "127.0.0.1:1", "--admin", "127.0.0.1:1"]).starts_with("--admin"));
    assert!(one_fault(&["--dev", "--replication-factor", "1", "--min-isr", "2"]).starts_with("--min-isr"));
    assert!(one_fault(&["--dev", "--tail-bytes", "1MiB", "--max-body", "1MiB"]).starts_with("--tail-bytes"));
    assert!(one_fault(&["--dev", "--heart-beat-floor", "30s"]).starts_with("--heart-beat-floor"));
    assert!(one_fault(&["--dev", "--allow-origin", "chat.example"]).starts_with("--allow-origin"));
    assert_eq!(config(&["--dev", "--max-connections-per-address", "9"]).limits.max_connections_per_address, Some(9));
    assert_eq!(config(&["--dev", "--log", "text"]).log_format, LogFormat::Text);
}
