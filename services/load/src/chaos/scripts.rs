//! The cluster, through the scripts that own it: `deploy/local/cluster` and `deploy/local/fault`.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a question may take.
const ASKED: Duration = Duration::from_secs(30);

/// Where the scripts are, and what they are told.
#[derive(Debug, Clone)]
pub(crate) struct Scripts {
    dir: PathBuf,
    environment: Vec<(String, String)>,
    log: PathBuf,
}

/// Where the parts of a cluster are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// The balancer's URL.
    pub(crate) balancer: String,
    /// Each edge's URL.
    pub(crate) edges: Vec<String>,
    /// Where each edge answers operators.
    pub(crate) admins: Vec<SocketAddr>,
    /// Kafka's bootstrap brokers.
    pub(crate) boot: String,
}

impl Scripts {
    /// Those in `dir`; what they say goes to the file `log` too.
    ///
    /// # Errors
    /// They are not there.
    pub(crate) fn new(dir: &Path, log: PathBuf) -> Result<Scripts, String> {
        let missing = ["cluster", "fault"].into_iter().find(|name| !dir.join(name).is_file());
        if let Some(name) = missing {
            return Err(format!("no {name} in {}: run this in the repository, or use --scripts", dir.display()));
        }
        Ok(Scripts { dir: dir.to_owned(), environment: Vec::new(), log })
    }

    /// Sets a variable for all scripts.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The variables.
    pub(crate) fn environment(&self) -> impl Iterator<Item = &(String, String)> {
        self.environment.iter()
    }

    /// Runs one to its end; its standard output.
    ///
    /// # Errors
    /// It failed, or did not end in time: what it said last.
    pub(crate) fn run(&self, name: &str, args: &[&str], within: Duration) -> Result<String, String> {
        self.start(name, args)?.finish(within)
    }

    /// Starts one.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(&self, name: &str, args: &[&str]) -> Result<Running, String> {
        let what = format!("{name} {}", args.join(" "));
        let failed = |error: std::io::Error| format!("{what}: {error}");
        let mut log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(failed)?;
        let logged = log.seek(SeekFrom::End(0)).map_err(failed)?;
        let mut command = Command::new(self.dir.join(name));
        command.args(args).envs(self.environment.iter().map(|(name, value)| (name, value)));
        // A Ctrl-C is for us: an injection that is cut short would leave the cluster in an unknown state.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let child = command.spawn().map_err(failed)?;
        Ok(Running { what, child, log: self.log.clone(), logged })
    }

    /// Where everything is.
    ///
    /// # Errors
    /// No cluster runs.
    pub(crate) fn parts(&self) -> Result<Parts, String> {
        let ask = |what| self.run("cluster", &[what], ASKED);
        Parts::parse(&ask("urls")?, &ask("admins")?, &ask("boot")?).ok_or_else(|| "cluster: no addresses".to_owned())
    }

    /// The faults: how long each is to be held, and what it does.
    ///
    /// # Errors
    /// The script fails.
    pub(crate) fn faults(&self) -> Result<BTreeMap<String, (Duration, String)>, String> {
        let text = self.run("fault", &["list"], ASKED)?;
        let fault = |line: &str| {
            let (name, rest) = line.split_once(' ')?;
            let (hold, what) = rest.trim_start().split_once(' ')?;
            Some((name.to_owned(), (Duration::from_secs(hold.parse().ok()?), what.trim().to_owned())))
        };
        Ok(text.lines().filter_map(fault).collect())
    }

    /// What librdkafka needs beside the addresses: nothing, or what a cluster with passwords asks for.
    pub(crate) fn kafka_properties(&self) -> Vec<(String, String)> {
        let home = self.environment.iter().find(|(name, _)| name == "KLATSCH_STATE").map(|(_, home)| home.into());
        let file = home.or_else(state_home).map(|home: PathBuf| home.join("kafka/clients/admin.librdkafka.properties"));
        let text = file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        let pair =
            |line: &str| line.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        text.lines().filter_map(pair).collect()
    }

    /// The processes that run, by name.
    ///
    /// # Errors
    /// No cluster runs.
    pub(crate) fn pids(&self) -> Result<BTreeMap<String, u32>, String> {
        let text = self.run("cluster", &["pids"], ASKED)?;
        let pid = |line: &str| {
            let (name, pid) = line.split_once(' ')?;
            Some((name.to_owned(), pid.parse().ok()?))
        };
        Ok(text.lines().filter_map(pid).collect())
    }
}

/// Where `deploy/local` keeps the cluster's state.
pub(crate) fn state_home() -> Option<PathBuf> {
    let given = env::var_os("KLATSCH_STATE").map(PathBuf::from);
    let xdg = || env::var_os("XDG_STATE_HOME").map(|home| PathBuf::from(home).join("klatsch"));
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state/klatsch"));
    given.or_else(xdg).or_else(home)
}

/// A script on its way.
#[derive(Debug)]
pub(crate) struct Running {
    what: String,
    child: Child,
    log: PathBuf,
    logged: u64,
}

impl Running {
    /// Whether it has.
    ///
    /// # Errors
    /// It cannot be asked.
    pub(crate) fn has_ended(&mut self) -> Result<bool, String> {
        let ended = self.child.try_wait().map_err(|error| format!("{}: {error}", self.what))?;
        Ok(ended.is_some())
    }

    /// Waits; its standard output.
    ///
    /// # Errors
    /// It failed, or did not end in time: what it said last.
    pub(crate) fn finish(mut self, within: Duration) -> Result<String, String> {
        let deadline = Instant::now() + within;
        // What they print is short: it fits into the pipe.
        while !self.has_ended()? {
            if Instant::now() >= deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return Err(format!("{}: no end after {} s", self.what, within.as_secs()));
            }
            thread::sleep(Duration::from_millis(10));
        }
        let output = self.child.wait_with_output().map_err(|error| format!("{}: {error}", self.what))?;
        if !output.status.success() {
            return Err(format!("{}: {}", self.what, said(&self.log, self.logged)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The end of what was logged since.
fn said(log: &Path, since: u64) -> String {
    let mut text = String::new();
    let read = File::open(log).and_then(|mut log| {
        log.seek(SeekFrom::Start(since))?;
        log.read_to_string(&mut text)
    });
    match read {
        Ok(_) if text.trim().is_empty() => "it failed and did not say why".to_owned(),
        Ok(_) => {
            let lines: Vec<&str> = text.trim().lines().collect();
            lines[lines.len().saturating_sub(5)..].join("\n  ")
        }
        Err(error) => format!("it failed, and {}: {error}", log.display()),
    }
}

impl Parts {
    fn parse(urls: &str, admins: &str, boot: &str) -> Option<Parts> {
        let mut urls = urls.lines().map(str::to_owned);
        let parts = Parts {
            balancer: urls.next()?,
            edges: urls.collect(),
            admins: admins.lines().map(|line| line.parse().ok()).collect::<Option<_>>()?,
            boot: boot.trim().to_owned(),
        };
        (!parts.edges.is_empty() && parts.edges.len() == parts.admins.len() && !parts.boot.is_empty()).then_some(parts)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_the_scripts_print_is_read() {
        let urls = "http://127.0.0.1:18100\nhttp://127.0.0.1:18101\nhttp://127.0.0.1:18102\n";
        let parts = Parts::parse(urls, "127.0.0.1:18201\n127.0.0.1:18202\n", "127.0.0.1:9092\n").unwrap();
        assert_eq!((parts.balancer.as_str(), parts.edges.len()), ("http://127.0.0.1:18100", 2));
        assert_eq!((parts.admins[1].port(), parts.boot.as_str()), (18_202, "127.0.0.1:9092"));
        assert_eq!(Parts::parse(urls, "127.0.0.1:18201\n", "127.0.0.1:9092\n"), None);
    }

    #[test]
    fn a_script_that_fails_is_quoted_and_one_that_hangs_is_ended() {
        let dir = std::env::temp_dir().join(format!("klatsch-scripts-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        for name in ["cluster", "fault"] {
            let text = "#!/bin/sh\n[ \"$1\" = hang ] && exec sleep 60\necho \"$WORD $1\"; echo bad >&2; exit 3\n";
            fs::write(dir.join(name), text).unwrap();
            fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut scripts = Scripts::new(&dir, dir.join("log")).unwrap();
        scripts.set("WORD", "hello");
        let why = scripts.run("fault", &["x", "begin"], Duration::from_secs(10)).unwrap_err();
        assert_eq!(why, "fault x begin: bad");
        let why = scripts.run("fault", &["hang"], Duration::from_millis(100)).unwrap_err();
        assert!(why.contains("no end after"), "{why}");
        assert!(scripts.parts().unwrap_err().contains("cluster urls: bad"));
        fs::remove_dir_all(&dir).unwrap();
        assert!(Scripts::new(&dir, dir.join("log")).is_err());
    }
}
