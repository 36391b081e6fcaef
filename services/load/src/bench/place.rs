//! Which core does what: the server under test has one for itself, generator and broker share the next; and who goes first
//! where others use the same cores.

use std::{fs, io, thread};

use rustix::{
    process::setpriority_process,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// The niceness of a run: a tenth of a core is left to whoever competes.
const NICENESS: i32 = -10;
/// Linux shares cores between sessions first, and looks at niceness only inside of one.
const SESSION: &str = "/proc/self/autogroup";

/// A side of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first core that we may use: the server under test, alone.
    Server,
    /// The second one: the generator, and a broker.
    Generator,
}

/// The cores that this process could use when it began; asked before anything is pinned.
#[derive(Debug, Clone)]
pub(crate) struct Cores {
    all: CpuSet,
    numbers: Vec<usize>,
}

impl Cores {
    /// Those of the calling thread.
    ///
    /// # Errors
    /// The kernel does not say.
    pub(crate) fn of_this_thread() -> io::Result<Cores> {
        let all = sched_getaffinity(None)?;
        let numbers = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).collect();
        Ok(Cores { all, numbers })
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.numbers.len()
    }

    /// Pins the calling thread, and so all that it starts from now on. Where there is but one core nothing is pinned.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn pin(&self, place: Place) -> io::Result<()> {
        sched_setaffinity(None, &self.set(place))?;
        Ok(())
    }

    /// Does this in a thread that is pinned there: a process that it starts inherits the place.
    ///
    /// # Errors
    /// The kernel refuses, or no thread can be started.
    pub(crate) fn at<T: Send>(&self, place: Place, what: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let pinned = thread::Builder::new().spawn_scoped(scope, || {
                self.pin(place)?;
                Ok(what())
            })?;
            pinned.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn set(&self, place: Place) -> CpuSet {
        let core = match (place, self.numbers.as_slice()) {
            (Place::Server, [first, _, ..]) => *first,
            (Place::Generator, [_, second, ..]) => *second,
            _ => return self.all,
        };
        let mut set = CpuSet::new();
        set.set(core);
        set
    }
}

/// This process and its children go before others, as far as they may; undone for the session when dropped.
#[derive(Debug)]
pub(crate) struct Ahead {
    session: Option<String>,
}

impl Ahead {
    /// From now on. Without the right to it nothing changes, and the figures are as good as the machine is quiet.
    pub(crate) fn of_others() -> Ahead {
        let allowed = setpriority_process(None, NICENESS).is_ok();
        let before = fs::read_to_string(SESSION).ok();
        let session = before.filter(|_| allowed && fs::write(SESSION, NICENESS.to_string()).is_ok());
        Ahead { session: session.and_then(|text| Some(text.split_once("nice ")?.1.trim().to_owned())) }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(niceness) = &self.session {
            // It could be set, so it can be set again.
            let _ = fs::write(SESSION, niceness);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn server_and_generator_have_different_cores_where_there_are_two() {
        let cores = Cores::of_this_thread().unwrap();
        let now = |place| cores.at(place, || Cores::of_this_thread().unwrap().numbers).unwrap();
        if cores.count() > 1 {
            assert_eq!((now(Place::Server).len(), now(Place::Generator).len()), (1, 1));
            assert_ne!(now(Place::Server), now(Place::Generator));
        }
        assert_eq!(Cores::of_this_thread().unwrap().numbers, cores.numbers);
    }
}
