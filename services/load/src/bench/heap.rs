//! What a server asks the heap for: counted by a library that is preloaded into it (`deploy/local/allocations.c`).

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Octets of a thread's line in the file: thread, calls, octets, frees.
const LINE: usize = 32;

/// A program whose calls are counted.
#[derive(Debug)]
pub(crate) struct Heap {
    /// Starts the program, counted, with the arguments given; it keeps its process id.
    pub(crate) program: PathBuf,
    file: PathBuf,
}

/// How often the heap was asked for something so far, by thread id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Calls(BTreeMap<u64, u64>);

impl Heap {
    /// Compiles the library found in `scripts` into `dir`. The counts stand in `dir` too, so one server is counted at a time.
    ///
    /// # Errors
    /// There is no C compiler, or a file cannot be written.
    pub(crate) fn new(program: &Path, scripts: &Path, dir: &Path) -> Result<Heap, String> {
        let (library, file, wrapper) = (dir.join("allocations.so"), dir.join("allocations"), dir.join("counted-edge"));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(scripts.join("allocations.c"));
        let done = compiler.output().map_err(|error| format!("cc: {error}"))?;
        if !done.status.success() {
            return Err(format!("cc: {}", String::from_utf8_lossy(&done.stderr).trim()));
        }
        let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
        let (preload, counts, program) = (quoted(&library), quoted(&file), quoted(program));
        let script = format!("#!/bin/sh\nexec env LD_PRELOAD={preload} ALLOCATIONS_FILE={counts} {program} \"$@\"\n");
        let written = fs::write(&wrapper, script).and_then(|()| {
            fs::remove_file(&file)
                .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
            fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o700))
        });
        written.map_err(|error| format!("{}: {error}", wrapper.display()))?;
        Ok(Heap { program: wrapper, file })
    }

    /// The counts now.
    ///
    /// # Errors
    /// The program has not been started, or does not let itself be counted.
    pub(crate) fn read(&self) -> Result<Calls, String> {
        let octets = fs::read(&self.file).map_err(|error| format!("{}: {error}", self.file.display()))?;
        let mut calls = Calls::default();
        for line in octets.chunks_exact(LINE) {
            let (thread, count) = (number(line, 0), number(line, 1));
            if thread != 0 {
                *calls.0.entry(thread).or_default() += count;
            }
        }
        if calls.0.is_empty() {
            return Err("no allocation was counted: is the program linked statically?".to_owned());
        }
        Ok(calls)
    }
}

impl Calls {
    /// How many more than earlier, of all threads.
    pub(crate) fn since(&self, earlier: &Calls) -> u64 {
        self.by_thread(earlier).map(|(_, calls)| calls).sum()
    }

    /// The same by the names of the threads of this process.
    pub(crate) fn by_name(&self, earlier: &Calls, pid: u32) -> BTreeMap<String, u64> {
        let mut names: BTreeMap<String, u64> = BTreeMap::new();
        for (thread, calls) in self.by_thread(earlier).filter(|(_, calls)| *calls > 0) {
            let name = fs::read_to_string(format!("/proc/{pid}/task/{thread}/comm"));
            let name = name.map_or_else(|_| "(ended)".to_owned(), |name| name.trim_end().to_owned());
            *names.entry(name).or_default() += calls;
        }
        names
    }

    fn by_thread<'a>(&'a self, earlier: &'a Calls) -> impl Iterator<Item = (u64, u64)> + 'a {
        let before = |thread| earlier.0.get(thread).copied().unwrap_or(0);
        self.0.iter().map(move |(thread, calls)| (*thread, calls.saturating_sub(before(thread))))
    }
}

fn number(line: &[u8], index: usize) -> u64 {
    let octets = line[index * 8..].first_chunk::<8>();
    octets.map_or(0, |octets| u64::from_ne_bytes(*octets))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn row_19_every_call_of_a_program_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/local");
        let heap = Heap::new(Path::new("/bin/sh"), &scripts, dir.path()).unwrap();
        assert!(heap.read().is_err(), "nothing has run");
        let run = |script: &str| {
            let done = Command::new(&heap.program).args(["-c", script]).output().unwrap();
            assert!(done.status.success(), "{done:?}");
            let calls = heap.read().unwrap();
            fs::remove_file(&heap.file).unwrap();
            calls.since(&Calls::default())
        };
        let (few, many) = (run(":"), run("for i in 1 2 3 4 5 6 7 8 9; do x=$x$i; done"));
        assert!(few > 0 && many > few, "{few} {many}");
    }

    #[test]
    fn counts_are_subtracted_thread_by_thread() {
        let earlier = Calls([(1, 10), (2, 5)].into());
        let later = Calls([(1, 12), (2, 5), (3, 4)].into());
        assert_eq!(later.since(&earlier), 6);
        assert_eq!(later.by_name(&earlier, u32::MAX), [("(ended)".to_owned(), 6)].into());
    }
}
