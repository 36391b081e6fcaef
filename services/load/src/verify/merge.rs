//! The lines of several histories in the order of their times. One line of each is in memory at a time.

use std::io::BufRead;

use super::Source;
use crate::history::{Event, Head};

/// Lines longer than this are none of ours.
const LONGEST: usize = 1 << 20;

/// The histories, merged.
pub(super) struct Merge<'a> {
    files: Vec<File<'a>>,
    last: Option<usize>,
}

struct File<'a> {
    name: String,
    lines: Box<dyn BufRead + 'a>,
    line: Vec<u8>,
    number: u64,
    head: Head,
    over: bool,
}

/// A line, and where it stands.
pub(super) struct Line<'l> {
    pub(super) file: u32,
    pub(super) number: u64,
    pub(super) head: Head,
    pub(super) event: Event<'l>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(sources: Vec<Source<'a>>) -> Result<Merge<'a>, String> {
        let file = |Source { name, lines }| File {
            name,
            lines,
            line: Vec::new(),
            number: 0,
            head: Head::default(),
            over: false,
        };
        let mut merge = Merge { files: sources.into_iter().map(file).collect(), last: None };
        merge.files.iter_mut().try_for_each(File::step)?;
        Ok(merge)
    }

    /// The next line of all; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, String> {
        if let Some(last) = self.last.take() {
            self.files[last].step()?;
        }
        let open = self.files.iter().enumerate().filter(|(_, file)| !file.over);
        let Some(at) = open.min_by_key(|(_, file)| file.head.t).map(|(at, _)| at) else { return Ok(None) };
        self.last = Some(at);
        let file = &self.files[at];
        let event = serde_json::from_slice(&file.line).map_err(|error| file.unreadable(&error))?;
        Ok(Some(Line { file: at as u32, number: file.number, head: file.head, event }))
    }
}

impl File<'_> {
    fn step(&mut self) -> Result<(), String> {
        self.line.clear();
        let read = self.lines.read_until(b'\n', &mut self.line).map_err(|error| format!("{}: {error}", self.name))?;
        self.number += 1;
        // A process that was killed leaves half a line.
        self.over = read == 0 || self.line.last() != Some(&b'\n');
        if self.over {
            return Ok(());
        }
        if self.line.len() > LONGEST {
            return Err(format!("{}: line {} is too long", self.name, self.number));
        }
        self.head = serde_json::from_slice(&self.line).map_err(|error| self.unreadable(&error))?;
        Ok(())
    }

    fn unreadable(&self, error: &serde_json::Error) -> String {
        format!("{}: line {} is none of a history: {error}", self.name, self.number)
    }
}
