//! What is wrong with the settings, all of it at once.

use std::fmt;

/// One wrong setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The flag and its variable, or the property.
    pub setting: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub instead: String,
}

/// Every wrong setting; never empty. Exit code 64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub(super) Vec<Fault>);

impl Faults {
    /// The faults, in the order of `--help`.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.setting, self.problem, self.instead)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(f, "{line_end}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A value that does not parse: what is wrong, what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) String, pub(super) String);

impl Wrong {
    pub(super) fn new(problem: impl Into<String>, instead: impl Into<String>) -> Self {
        Wrong(problem.into(), instead.into())
    }
}

/// Collects faults while values are parsed.
#[derive(Debug, Default)]
pub(super) struct Collector {
    pub(super) faults: Vec<Fault>,
}

impl Collector {
    /// Notes a fault of the flag `--name`.
    pub(super) fn note(&mut self, flag: &str, wrong: Wrong) {
        let variable = flag.to_ascii_uppercase().replace('-', "_");
        self.note_as(format!("--{flag} (KLATSCH_{variable})"), wrong);
    }

    /// Notes a fault of something that is no flag.
    pub(super) fn note_as(&mut self, setting: String, Wrong(problem, instead): Wrong) {
        self.faults.push(Fault { setting, problem, instead });
    }

    /// Parses the value of `--name`. A fault yields the default value of the type, which nobody will see: with a fault
    /// there is no configuration.
    pub(super) fn take<T: Default>(
        &mut self,
        flag: &str,
        value: &str,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> T {
        parse(value).unwrap_or_else(|wrong| {
            self.note(flag, wrong);
            T::default()
        })
    }

    /// As [`Collector::take`] for a setting that may be absent.
    pub(super) fn take_some<T>(
        &mut self,
        flag: &str,
        value: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        parse(value?).map_err(|wrong| self.note(flag, wrong)).ok()
    }
}
