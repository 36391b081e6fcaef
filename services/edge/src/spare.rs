//! What a connection owns only while it is busy, kept by the worker for the next one that is: an idle connection has
//! none of it, and a busy worker allocates none of it.

/// A few boxes that nobody uses just now.
#[derive(Debug)]
pub struct Spare<T> {
    kept: Vec<Box<T>>,
    most: usize,
}

impl<T: Default> Spare<T> {
    /// A place for at most `most`.
    pub fn new(most: usize) -> Self {
        Self { kept: Vec::new(), most }
    }

    /// A spare one, or a new one.
    pub fn take(&mut self) -> Box<T> {
        self.kept.pop().unwrap_or_default()
    }

    /// Keeps one that is empty again.
    pub fn give(&mut self, it: Box<T>) {
        if self.kept.len() < self.most {
            self.kept.push(it);
        }
    }
}
