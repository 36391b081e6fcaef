//! Which core does what: the server under test has one for itself, generator and broker share the next.

use std::{io, thread};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A side of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first core that we may use: the server under test, alone.
    Server,
    /// The second one: the generator, and a broker.
    Generator,
    /// Any core, so that several workers can be judged.
    Anywhere,
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
        assert_eq!(now(Place::Anywhere), cores.numbers);
        assert_eq!(Cores::of_this_thread().unwrap().numbers, cores.numbers);
    }
}
