//! The properties file and the files it names (certificates, keys): read at the start, and again when one has changed.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    path::Path,
};

use super::{
    Faults,
    faults::{Collector, Wrong},
    kafka::{self, Properties, Source},
    values,
};

/// librdkafka properties, by name. `Debug` shows the names only: some values are passwords.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KafkaProperties {
    all: Vec<(String, String)>,
    source: Source,
    /// `--kafka`, which the file does not override.
    brokers: Option<String>,
    files: Vec<String>,
}

impl KafkaProperties {
    pub(super) fn new(given: Properties, source: Source, brokers: Option<String>) -> Self {
        let files = source.file.iter().map(String::as_str).chain(given.files()).map(str::to_owned).collect();
        Self { all: given.all, source, brokers, files }
    }

    /// Watches their files; `None` if there are none.
    pub fn watched(&self) -> Option<WatchedProperties> {
        let (source, brokers, files) = (self.source.clone(), self.brokers.clone(), self.files.clone());
        let seen = fingerprint(&files);
        (!files.is_empty()).then_some(WatchedProperties { source, brokers, files, seen, changing: None })
    }
}

impl std::ops::Deref for KafkaProperties {
    type Target = [(String, String)];

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl std::fmt::Debug for KafkaProperties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all.iter().map(|(name, _)| name)).finish()
    }
}

/// The files of [`KafkaProperties`], looked at by their content: however they are replaced (written over, renamed, a
/// link of Kubernetes' that points elsewhere), nothing is missed, and a touch alone is no change.
pub struct WatchedProperties {
    source: Source,
    brokers: Option<String>,
    files: Vec<String>,
    seen: u64,
    changing: Option<u64>,
}

/// What the files say after a change.
#[derive(Clone, PartialEq, Eq)]
pub struct NewProperties {
    /// `HOST:PORT,…`.
    pub brokers: String,
    /// librdkafka properties, as at the start.
    pub properties: Vec<(String, String)>,
}

impl WatchedProperties {
    /// To be asked about once a second. A change counts once two looks in a row have found the same: a file may be in the
    /// middle of being written.
    pub fn changed(&mut self) -> Option<Result<NewProperties, Faults>> {
        let now = fingerprint(&self.files);
        if now == self.seen {
            self.changing = None;
            return None;
        }
        if self.changing != Some(now) {
            self.changing = Some(now);
            return None;
        }
        (self.seen, self.changing) = (now, None);
        Some(self.read())
    }

    fn read(&mut self) -> Result<NewProperties, Faults> {
        let mut faults = Collector::default();
        let given = kafka::read(&self.source, &mut faults);
        let brokers = self.brokers.as_deref().or(given.brokers.as_deref());
        let brokers = faults.take_some("kafka", brokers, values::brokers);
        match brokers {
            Some(brokers) if faults.faults.is_empty() => {
                let files = self.source.file.iter().map(String::as_str).chain(given.files());
                self.files = files.map(str::to_owned).collect();
                self.seen = fingerprint(&self.files);
                Ok(NewProperties { brokers, properties: given.all })
            }
            _ => {
                if faults.faults.is_empty() {
                    faults.note("kafka", Wrong::new("missing", "write bootstrap.servers into the file again"));
                }
                Err(Faults(faults.faults))
            }
        }
    }
}

/// Of all that the files hold. Secrets go through it; nothing of them stays.
fn fingerprint(files: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        let path = Path::new(file);
        if path.is_dir() {
            let entries = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
            let mut entries: Vec<_> = entries.collect();
            entries.sort();
            entries.iter().for_each(|entry| (entry, fs::read(entry).ok()).hash(&mut hasher));
        } else {
            fs::read(path).ok().hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::{os::unix::fs::symlink, path::PathBuf};

    use super::*;
    use crate::config::{Command, Config, LogChoice};

    fn watched(file: &Path) -> WatchedProperties {
        let args = ["klatsch-edge", "--kafka", "k:1", "--kafka-properties", file.to_str().unwrap()];
        match Config::load(args.map(Into::into), []).unwrap() {
            Command::Run(config) => match &config.log {
                LogChoice::Kafka { properties, .. } => properties.watched().unwrap(),
                other => panic!("{other:?}"),
            },
            _ => panic!("no configuration"),
        }
    }

    fn dir(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("klatsch-watched-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn value(new: &NewProperties, key: &str) -> String {
        new.properties.iter().find(|(name, _)| name == key).unwrap().1.clone()
    }

    #[test]
    fn a_change_counts_when_it_is_whole() {
        let file = dir("whole").join("client.properties");
        fs::write(&file, "client.rack=a\n").unwrap();
        let mut watched = watched(&file);
        assert!(watched.changed().is_none());
        fs::write(&file, "client.rack=a\n").unwrap();
        assert!(watched.changed().is_none() && watched.changed().is_none(), "written, not changed");

        fs::write(&file, "client.ra").unwrap();
        assert!(watched.changed().is_none());
        fs::write(&file, "client.rack=b\n").unwrap();
        assert!(watched.changed().is_none(), "in the middle of being written");
        assert_eq!(value(&watched.changed().unwrap().ok().unwrap(), "client.rack"), "b");
        assert!(watched.changed().is_none());

        fs::write(&file, "no.such.thing=hunter2\n").unwrap();
        assert!(watched.changed().is_none());
        let faults = watched.changed().unwrap().err().unwrap().to_string();
        assert!(faults.contains("no.such.thing") && !faults.contains("hunter2"), "{faults}");
        assert!(watched.changed().is_none(), "said once");
        fs::remove_file(&file).unwrap();
        assert!(watched.changed().is_none());
        assert!(watched.changed().unwrap().is_err());
        fs::remove_dir_all(file.parent().unwrap()).unwrap();
    }

    /// Kubernetes mounts a Secret as links through `..data`, which is exchanged as a whole.
    #[test]
    fn a_link_that_points_elsewhere_is_a_change() {
        let dir = dir("links");
        for (version, rack) in [("..1", "a"), ("..2", "b")] {
            fs::create_dir_all(dir.join(version)).unwrap();
            let properties = format!("client.rack={rack}\nssl.ca.location={}\n", dir.join("ca.crt").display());
            fs::write(dir.join(version).join("client.properties"), properties).unwrap();
            fs::write(dir.join(version).join("ca.crt"), "the same").unwrap();
        }
        symlink("..1", dir.join("..data")).unwrap();
        symlink("..data/client.properties", dir.join("client.properties")).unwrap();
        symlink("..data/ca.crt", dir.join("ca.crt")).unwrap();
        let mut watched = watched(&dir.join("client.properties"));
        assert!(watched.changed().is_none());

        symlink("..2", dir.join("..new")).unwrap();
        fs::rename(dir.join("..new"), dir.join("..data")).unwrap();
        assert!(watched.changed().is_none());
        assert_eq!(value(&watched.changed().unwrap().ok().unwrap(), "client.rack"), "b");

        // A file that the properties name.
        fs::write(dir.join("..2/ca.crt"), "another").unwrap();
        assert!(watched.changed().is_none());
        assert!(watched.changed().unwrap().is_ok());
        fs::remove_dir_all(&dir).unwrap();
    }

    /// A Secret with nothing but the password, in a directory of its own; the properties beside it stay as they are.
    #[test]
    fn a_password_in_a_file_of_its_own_is_read_again() {
        let dir = dir("secret");
        let file = dir.join("client.properties");
        let text = "config.providers=directory\nsecurity.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.username=edge\n";
        fs::write(&file, format!("{text}sasl.password=${{directory:{}:password}}\n", dir.display())).unwrap();
        for (version, password) in [("..1", "old"), ("..2", "new"), ("..3", "newer")] {
            fs::create_dir_all(dir.join(version)).unwrap();
            fs::write(dir.join(version).join("password"), password).unwrap();
        }
        symlink("..1", dir.join("..data")).unwrap();
        symlink("..data/password", dir.join("password")).unwrap();
        let mut watched = watched(&file);
        assert!(watched.changed().is_none());
        for (version, password) in [("..2", "new"), ("..3", "newer")] {
            symlink(version, dir.join("..new")).unwrap();
            fs::rename(dir.join("..new"), dir.join("..data")).unwrap();
            assert!(watched.changed().is_none());
            assert_eq!(value(&watched.changed().unwrap().ok().unwrap(), "sasl.password"), password);
        }

        fs::remove_file(dir.join("..data")).unwrap();
        assert!(watched.changed().is_none());
        let faults = watched.changed().unwrap().err().unwrap().to_string();
        assert!(faults.contains("sasl.password") && faults.contains("/password"), "{faults}");
        symlink("..1", dir.join("..data")).unwrap();
        assert!(watched.changed().is_none());
        assert_eq!(value(&watched.changed().unwrap().ok().unwrap(), "sasl.password"), "old");
        fs::remove_dir_all(&dir).unwrap();
    }
}
