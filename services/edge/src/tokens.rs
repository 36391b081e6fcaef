//! Where tokens are looked at: at once where that is cheap, else on a thread of its own, so that a storm of signatures
//! slows down CONNECT and nothing else.

use std::{
    sync::{
        Arc, OnceLock,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant, SystemTime},
};

use crate::{
    auth::{AuthError, Authenticator, Identity},
    chance,
    context::AuthJob,
    readiness::Heartbeat,
    worker::{Authenticated, Mailboxes},
};

/// Tokens that wait to be looked at; a client beyond that is told to come back.
const WAITING: usize = 4096;
/// A worker that takes no answer for this long is stuck, and with it the process.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a question.
#[derive(Debug)]
pub enum Checked {
    /// The answer.
    Now(Result<Identity, AuthError>),
    /// The answer will come to the worker's mailbox.
    Later,
    /// Too many wait already.
    Busy,
}

/// Takes the questions.
pub struct TokenDesk {
    authenticator: Authenticator,
    questions: SyncSender<(usize, AuthJob)>,
}

impl TokenDesk {
    /// The desk, and what its thread has to [`run`] on.
    pub fn new(authenticator: Authenticator) -> (Arc<Self>, Receiver<(usize, AuthJob)>) {
        let (questions, waiting) = sync_channel(WAITING);
        (Arc::new(Self { authenticator, questions }), waiting)
    }

    /// Looks at a token for a worker's connection.
    pub fn check(&self, worker: usize, job: AuthJob) -> Checked {
        if self.authenticator.is_instant() {
            return Checked::Now(self.look_at(&job));
        }
        match self.questions.try_send((worker, job)) {
            Ok(()) => Checked::Later,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Checked::Busy,
        }
    }

    fn look_at(&self, job: &AuthJob) -> Result<Identity, AuthError> {
        let mut headers = job.headers.iter();
        self.authenticator.authenticate(&job.credentials, &mut headers, &job.session, SystemTime::now())
    }
}

/// Answers questions until the desk is gone, or a worker takes no answers.
pub fn run(
    desk: &TokenDesk,
    waiting: &Receiver<(usize, AuthJob)>,
    workers: &OnceLock<Vec<Arc<Mailboxes>>>,
    heartbeat: &Heartbeat,
) {
    loop {
        heartbeat.beat(Instant::now());
        let (worker, job) = match waiting.recv_timeout(Duration::from_secs(1)) {
            Ok(question) => question,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => continue,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
        };
        let result = desk.look_at(&job);
        let Some(mail) = workers.get().and_then(|workers| workers.get(worker)) else { return };
        let answer = Authenticated { connection: job.connection, generation: job.generation, result };
        if mail.authenticated.push(answer, PATIENCE).is_err() {
            return tracing::error!(event = "worker_stuck", worker, "a worker takes no answers");
        }
    }
}

/// 128 bits from the system's cryptographic source, in hex.
pub fn random_hex() -> String {
    chance::octets::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}
