//! How a command ends, as its exit code.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

/// The exit codes; scripts depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 0: it ran, and every promise held.
    Held,
    /// 1: it ran, and a promise broke.
    Broken,
    /// 2: it could not run; what to do about it has been printed.
    CouldNotRun,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        ExitCode::from(match outcome {
            Outcome::Held => 0,
            Outcome::Broken => 1,
            Outcome::CouldNotRun => 2,
        })
    }
}

/// Prints why a command cannot run, and what would help, to stderr.
pub fn could_not_run(why: &str) -> Outcome {
    complain(&format!("klatsch-load: {why}"));
    Outcome::CouldNotRun
}

/// A line to stderr.
pub fn complain(line: &str) {
    // Nobody is left to tell if this fails.
    let _ = writeln!(io::stderr(), "{line}");
}
