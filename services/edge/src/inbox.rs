//! A bounded mailbox between threads: a vector behind a mutex that its one reader swaps out whole.
//!
//! `std::sync::mpsc` spins before it parks, which costs more than the work of a small batch; here the reader sleeps
//! in its own poll (epoll, a runtime) and is woken once for everything that came since it last looked.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Many writers, one reader, at most `capacity` messages.
pub struct Inbox<T> {
    queue: Mutex<Vec<T>>,
    room: Condvar,
    capacity: usize,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl<T> Inbox<T> {
    /// `wake` is called by a writer whose message is the first since the reader last looked.
    pub fn new(capacity: usize, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { queue: Mutex::new(Vec::new()), room: Condvar::new(), capacity, wake: Box::new(wake) }
    }

    /// Adds a message, or gives it back when the mailbox is full.
    pub fn try_push(&self, message: T) -> Result<(), T> {
        let queue = self.lock();
        if queue.len() >= self.capacity {
            return Err(message);
        }
        self.add(queue, message);
        Ok(())
    }

    /// Adds a message, waiting for room at most `patience`. Only for a thread that the reader never waits for.
    pub fn push(&self, message: T, patience: Duration) -> Result<(), T> {
        let deadline = Instant::now() + patience;
        let mut queue = self.lock();
        while queue.len() >= self.capacity {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(message);
            }
            queue = self.room.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.add(queue, message);
        Ok(())
    }

    /// Adds all messages, in order and under one lock as far as there is room; the rest waits as in [`Inbox::push`].
    /// Whether all of them found room; `from` keeps the others.
    pub fn push_all(&self, from: &mut VecDeque<T>, patience: Duration) -> bool {
        let mut queue = self.lock();
        let (was_empty, room) = (queue.is_empty(), self.capacity.saturating_sub(queue.len()));
        queue.extend(from.drain(..room.min(from.len())));
        let is_first = was_empty && !queue.is_empty();
        drop(queue);
        if is_first {
            (self.wake)();
        }
        while let Some(message) = from.pop_front() {
            if let Err(message) = self.push(message, patience) {
                from.push_front(message);
                return false;
            }
        }
        true
    }

    /// Takes everything that is there: `into`, which must be empty, is swapped with the queue.
    pub fn take(&self, into: &mut Vec<T>) {
        debug_assert!(into.is_empty());
        let mut queue = self.lock();
        let was_full = queue.len() >= self.capacity;
        std::mem::swap(&mut *queue, into);
        drop(queue);
        if was_full {
            self.room.notify_all();
        }
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wakes only after the lock is free: who is woken may run at once, on this very core, and would wait for it.
    fn add(&self, mut queue: MutexGuard<'_, Vec<T>>, message: T) {
        queue.push(message);
        let is_first = queue.len() == 1;
        drop(queue);
        if is_first {
            (self.wake)();
        }
    }

    // A panicking thread ends the process (see `shutdown`), so a poisoned queue is still whole.
    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[test]
    fn wakes_once_for_many_and_refuses_when_full() {
        let woken = Arc::new(AtomicUsize::new(0));
        let count = woken.clone();
        let inbox = Inbox::new(2, move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        inbox.try_push(1).unwrap();
        inbox.try_push(2).unwrap();
        assert_eq!(inbox.try_push(3), Err(3));
        assert_eq!(inbox.push(3, Duration::from_millis(1)), Err(3));
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        let mut taken = Vec::new();
        inbox.take(&mut taken);
        assert_eq!(taken, [1, 2]);
        inbox.try_push(3).unwrap();
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn many_at_once_wake_once_and_keep_their_order() {
        let woken = Arc::new(AtomicUsize::new(0));
        let count = woken.clone();
        let inbox = Inbox::new(3, move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert!(inbox.push_all(&mut VecDeque::new(), Duration::ZERO));
        assert_eq!(woken.load(Ordering::Relaxed), 0);
        let mut from = VecDeque::from([1, 2, 3, 4, 5]);
        assert!(!inbox.push_all(&mut from, Duration::ZERO));
        assert_eq!(from, [4, 5], "what found no room stays");
        let mut taken = Vec::new();
        inbox.take(&mut taken);
        assert_eq!(taken, [1, 2, 3]);
        assert!(inbox.push_all(&mut from, Duration::ZERO));
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_waiting_writer_goes_on_when_the_reader_has_taken() {
        let inbox = Arc::new(Inbox::new(1, || ()));
        inbox.try_push(1).unwrap();
        let writer = inbox.clone();
        let thread = std::thread::spawn(move || writer.push(2, Duration::from_secs(10)));
        let mut seen = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(10);
        while seen.len() < 2 && Instant::now() < deadline {
            let mut taken = Vec::new();
            inbox.take(&mut taken);
            seen.extend(taken);
        }
        thread.join().unwrap().unwrap();
        assert_eq!(seen, [1, 2]);
    }
}
