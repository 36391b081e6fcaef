//! Real Kafka brokers for one test, through `deploy/local/kafka-local`.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{eventually, guard};

/// Nodes are counted from 1, and a node's number is its broker id.
pub struct Kafka {
    dir: tempfile::TempDir,
    port: u16,
    nodes: u16,
    secure: bool,
    /// One cluster at a time on the whole machine: two would starve each other. Dropped last.
    _turn: File,
}

impl Kafka {
    /// Waits for its turn, then starts `nodes` (1 or 3) combined nodes on free ports; returns when all are ready.
    pub fn start(nodes: u16) -> Self {
        Self::up(nodes, false)
    }

    /// One node that takes SASL_SSL only, with users `admin`, `edge` (without a right) and `stranger`.
    pub fn start_secure() -> Self {
        Self::up(1, true)
    }

    fn up(nodes: u16, secure: bool) -> Self {
        let turn = turn();
        for attempt in 1.. {
            let dir = tempfile::Builder::new().prefix("klatsch-kafka-").tempdir().unwrap();
            let kafka = Self { dir, port: free_base(ports(nodes)), nodes, secure, _turn: turn.try_clone().unwrap() };
            guard::kafka_started(&kafka.state());
            let nodes = nodes.to_string();
            let args = ["up", &nodes, "--secure"];
            match kafka.run(if secure { &args } else { &args[..2] }) {
                Ok(_) => return kafka,
                // Somebody else took a port since we looked.
                Err(why) => assert!(why.contains("in use") && attempt < 5, "{why}"),
            }
        }
        unreachable!("the loop returns or panics");
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn run(&self, args: &[&str]) -> Result<String, String> {
        let out = Command::new(super::root().join("deploy/local/kafka-local"))
            .args(args)
            .env("KLATSCH_KAFKA_STATE", self.state())
            .env("KLATSCH_KAFKA_PORT", self.port.to_string())
            .output()
            .unwrap();
        if out.status.success() {
            Ok(String::from_utf8_lossy(&out.stdout).into_owned())
        } else {
            Err(format!("kafka-local {args:?}: {}", String::from_utf8_lossy(&out.stderr)))
        }
    }

    #[track_caller]
    fn node(&self, command: &str, node: u16) {
        self.run(&[command, &node.to_string()]).unwrap_or_else(|why| panic!("{why}"));
    }

    /// SIGKILL.
    #[track_caller]
    pub fn kill(&self, node: u16) {
        self.node("kill", node);
    }

    /// Starts a dead node; returns when it is ready (not: in sync).
    #[track_caller]
    pub fn start_node(&self, node: u16) {
        self.node("start", node);
    }

    /// SIGSTOP.
    #[track_caller]
    pub fn pause(&self, node: u16) {
        self.node("pause", node);
    }

    /// SIGCONT.
    #[track_caller]
    pub fn resume(&self, node: u16) {
        self.node("resume", node);
    }

    /// `host:port[,host:port…]`
    pub fn bootstrap(&self) -> String {
        (0..self.nodes).map(|n| format!("127.0.0.1:{}", self.port + 10 * n)).collect::<Vec<_>>().join(",")
    }

    /// The Java client's properties file of a user of a secure cluster.
    pub fn properties_of(&self, user: &str) -> String {
        self.state().join(format!("clients/{user}.properties")).to_str().unwrap().to_owned()
    }

    /// Grants user `edge` of a secure cluster what an edge needs, no more.
    #[track_caller]
    pub fn grant_edge(&self, topic: &str) {
        self.run(&["edge-acls", topic, "klatsch-edge-"]).unwrap_or_else(|why| panic!("{why}"));
    }

    /// `--add`s or `--remove`s user `edge`'s right to an operation on a topic of a secure cluster.
    #[track_caller]
    pub fn acl(&self, what: &str, operation: &str, topic: &str) {
        let args = ["tool", "acls", what, "--allow-principal", "User:edge", "--operation", operation, "--topic", topic];
        let force: &[&str] = if what == "--remove" { &["--force"] } else { &[] };
        self.run(&[&args, force].concat()).unwrap_or_else(|why| panic!("{why}"));
    }

    /// Gives a user of a secure cluster another password; connections that stand go on.
    #[track_caller]
    pub fn set_password(&self, user: &str, password: &str) {
        let set = format!("SCRAM-SHA-512=[password={password}]");
        let args =
            ["tool", "configs", "--alter", "--entity-type", "users", "--entity-name", user, "--add-config", &set];
        self.run(&args).unwrap_or_else(|why| panic!("{why}"));
    }

    /// A librdkafka configuration that knows the brokers.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap()).set("topic.metadata.refresh.interval.ms", "1000");
        if self.secure {
            let admin = std::fs::read_to_string(self.state().join("clients/admin.librdkafka.properties")).unwrap();
            for (name, value) in admin.lines().filter_map(|line| line.split_once('=')) {
                config.set(name, value);
            }
        }
        config
    }

    /// The node that leads this partition now.
    #[track_caller]
    pub fn leader_of(&self, topic: &str, partition: i32) -> u16 {
        let client: BaseConsumer = self.client().create().unwrap();
        eventually("a leader", Duration::from_secs(30), || {
            let metadata = client.fetch_metadata(Some(topic), Duration::from_secs(5)).ok()?;
            let partition = metadata.topics().first()?.partitions().iter().find(|p| p.id() == partition)?;
            u16::try_from(partition.leader()).ok()
        })
    }

    /// Returns when every replica of every partition of the topic is in sync.
    #[track_caller]
    pub fn wait_in_sync(&self, topic: &str) {
        let client: BaseConsumer = self.client().create().unwrap();
        eventually("all replicas in sync", Duration::from_secs(60), || {
            let metadata = client.fetch_metadata(Some(topic), Duration::from_secs(5)).ok()?;
            let partitions = metadata.topics().first()?.partitions();
            (!partitions.is_empty() && partitions.iter().all(|p| p.isr().len() == p.replicas().len())).then_some(())
        });
    }

    /// Creates a topic behind the edges' back, with these settings.
    #[track_caller]
    pub fn create_topic(&self, topic: &str, partitions: i32, settings: &HashMap<&str, &str>) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let replicas = TopicReplication::Fixed(i32::from(self.nodes));
        let mut new = NewTopic::new(topic, partitions, replicas);
        for (name, value) in settings {
            new = new.set(name, value);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        for created in runtime.block_on(admin.create_topics([&new], &options)).unwrap() {
            created.unwrap();
        }
        // The controller has it; a broker that an edge asks may not know it yet.
        let client: BaseConsumer = self.client().create().unwrap();
        eventually("the new topic", Duration::from_secs(20), || {
            let metadata = client.fetch_metadata(Some(topic), Duration::from_secs(5)).ok()?;
            let found = metadata.topics().first()?.partitions();
            (found.len() == usize::try_from(partitions).ok()? && found.iter().all(|p| p.leader() >= 0)).then_some(())
        });
    }

    /// The topic's settings as the brokers tell them.
    #[track_caller]
    pub fn topic_settings(&self, topic: &str) -> HashMap<String, String> {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let what = [ResourceSpecifier::Topic(topic)];
        let mut told = runtime.block_on(admin.describe_configs(&what, &AdminOptions::new())).unwrap();
        let entries = told.remove(0).unwrap().entries;
        entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        match self.run(&["down"]) {
            Ok(_) => guard::kafka_ended(&self.state()),
            Err(why) => eprintln!("{why}"), // the guard tries again
        }
    }
}

/// Waits until no other test, of this run or another, has brokers; the file is the right to have some.
pub fn turn() -> File {
    let turn = File::create(std::env::temp_dir().join("klatsch-kafka-tests.lock")).unwrap();
    eventually("another test's brokers end", Duration::from_secs(600), || match turn.try_lock() {
        Ok(()) => Some(()),
        Err(TryLockError::WouldBlock) => None,
        Err(TryLockError::Error(error)) => panic!("{error}"),
    });
    turn
}

/// What `kafka-local` uses, relative to its first port.
pub fn ports(nodes: u16) -> impl Iterator<Item = u16> + Clone {
    (0..nodes).flat_map(|node| (0..3).map(move |port| 10 * node + port))
}

/// A base such that all these ports above it are free, below the ephemeral range: there an outgoing connection of anybody
/// could hold one by the time a killed node wants it back.
pub fn free_base(ports: impl Iterator<Item = u16> + Clone) -> u16 {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_micros();
    let bases = 20_000..32_000_u16;
    (0..200_u16)
        .map(|more| bases.start + (u16::try_from(seed % 397).unwrap() + more) * 30 % (bases.end - bases.start))
        .find(|base| ports.clone().all(|port| TcpListener::bind(("127.0.0.1", base + port)).is_ok()))
        .expect("a free range of ports")
}
