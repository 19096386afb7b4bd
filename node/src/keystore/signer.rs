//! A program that holds keys: started by this node, asked over its standard input and output, one line at a time (SIGNER.md).
//!
//! Nothing that it says is believed: a signature is verified before it is given to anybody. A program that does not answer in
//! time, says something else or ends is stopped and started anew, with pauses that grow. Meanwhile there are no signatures:
//! the own log takes no entries and nothing is cosigned; look-ups and replication go on.

use hashpact_protocol::digest::{hex_array, hex_encode};
use hashpact_protocol::keys::{KeyRole, PublicKey, RemoteSigner, SIGNATURE_BYTES, Signature};
use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What both sides say first.
const GREETING: &str = "hashpact-signer/1";
/// Longest line that is read from it.
const LINE_MAX_BYTES: u64 = 1_024;
/// First pause after a failure; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Why the program gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignerFault {
    /// It cannot be started.
    #[error("the signer {program:?} cannot be started: {source}")]
    Start {
        /// The command's first word.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It did not answer in time.
    #[error("the signer did not answer {request:?} within {timeout_ms} ms")]
    Timeout {
        /// What it was asked, without the message.
        request: String,
        /// The time.
        timeout_ms: u128,
    },
    /// It ended.
    #[error("the signer ended when it was asked {request:?}")]
    Ended {
        /// What it was asked.
        request: String,
    },
    /// It refuses.
    #[error("the signer refused {request:?}: {reason}")]
    Refused {
        /// What it was asked.
        request: String,
        /// Its words.
        reason: String,
    },
    /// It says something else.
    #[error("the signer answered {request:?} with {answer:?}")]
    Answer {
        /// What it was asked.
        request: String,
        /// The beginning of what it said.
        answer: String,
    },
    /// The signature does not verify.
    #[error("the signer's signature for role {role} does not verify under {public}; it was thrown away")]
    Wrong {
        /// The role.
        role: &'static str,
        /// The key that it is to hold.
        public: PublicKey,
    },
    /// It failed a moment ago and is not started yet again.
    #[error("the signer failed a moment ago; it is started again in {wait_ms} ms")]
    Pause {
        /// How long it still rests.
        wait_ms: u128,
    },
}

/// The program and how it is doing.
pub struct SignerProgram {
    command: Vec<String>,
    timeout: Duration,
    state: Mutex<State>,
    failures: AtomicU64,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    failed: u32,
    rests_until: Option<Instant>,
}

struct Running {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Debug for SignerProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignerProgram").field("command", &self.command).finish_non_exhaustive()
    }
}

impl SignerProgram {
    /// One that is started when it is asked first.
    #[must_use]
    pub fn new(command: Vec<String>, timeout: Duration) -> Self {
        Self { command, timeout, state: Mutex::default(), failures: AtomicU64::new(0) }
    }

    /// How often it failed since the start.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// The public key that it holds for a role.
    ///
    /// # Errors
    /// [`SignerFault`].
    pub fn public(&self, role: KeyRole) -> Result<PublicKey, SignerFault> {
        self.ask(&format!("public {}", role.name()), "", |words| match words {
            ["public", named, key] if *named == role.name() => PublicKey::from_hex(key).ok(),
            _ => None,
        })
    }

    /// A signature for a role, verified.
    ///
    /// # Errors
    /// [`SignerFault`].
    pub fn sign(&self, role: KeyRole, public: &PublicKey, message: &[u8]) -> Result<Signature, SignerFault> {
        let request = format!("sign {}", role.name());
        let signature = self.ask(&request, &format!(" {}", hex_encode(message)), |words| match words {
            ["signature", named, digits] if *named == role.name() => {
                hex_array::<SIGNATURE_BYTES>(digits).ok().map(Signature)
            }
            _ => None,
        })?;
        if public.verify(message, &signature).is_err() {
            let mut state = self.lock();
            return Err(self.failed(&mut state, SignerFault::Wrong { role: role.name(), public: *public }));
        }
        Ok(signature)
    }

    /// Asks one question and reads one line; what fails stops the program.
    fn ask<T>(
        &self,
        request: &str,
        rest: &str,
        read: impl FnOnce(&[&str]) -> Option<T>,
    ) -> Result<T, SignerFault> {
        let mut state = self.lock();
        if let Some(wait) = state.rests_until.and_then(|until| until.checked_duration_since(Instant::now())) {
            return Err(SignerFault::Pause { wait_ms: wait.as_millis() });
        }
        let answered = self.exchange(&mut state, request, rest);
        let line = match answered {
            Ok(line) => line,
            Err(fault) => return Err(self.failed(&mut state, fault)),
        };
        if let Some(reason) = line.strip_prefix("error ") {
            // It works, and says no: stopping it would help nobody.
            self.failures.fetch_add(1, Ordering::Relaxed);
            let fault = SignerFault::Refused { request: request.to_owned(), reason: reason.to_owned() };
            tracing::error!(%fault, "no signature");
            return Err(fault);
        }
        match read(&line.split(' ').collect::<Vec<_>>()) {
            Some(answer) => {
                state.failed = 0;
                Ok(answer)
            }
            None => {
                let answer = line.chars().take(80).collect();
                Err(self.failed(&mut state, SignerFault::Answer { request: request.to_owned(), answer }))
            }
        }
    }

    fn exchange(&self, state: &mut State, request: &str, rest: &str) -> Result<String, SignerFault> {
        let running = match &mut state.running {
            Some(running) => running,
            none => none.insert(self.start()?),
        };
        running.exchange(request, rest, self.timeout)
    }

    fn start(&self) -> Result<Running, SignerFault> {
        let program = self.command.first().cloned().unwrap_or_default();
        let spawned = Command::new(&program)
            .args(self.command.iter().skip(1))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn();
        let mut child = spawned.map_err(|source| SignerFault::Start { program: program.clone(), source })?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            let source = std::io::Error::other("it has no standard input or output");
            return Err(SignerFault::Start { program, source });
        };
        let (tell, lines) = sync_channel(1);
        std::thread::spawn(move || read_lines(output, &tell));
        let mut running = Running { child, input, lines };
        let greeting = running.exchange(GREETING, "", self.timeout)?;
        if greeting != GREETING {
            let answer = greeting.chars().take(80).collect();
            return Err(SignerFault::Answer { request: GREETING.to_owned(), answer });
        }
        Ok(running)
    }

    /// Stops the program and lets it rest.
    fn failed(&self, state: &mut State, fault: SignerFault) -> SignerFault {
        state.running = None;
        state.failed = state.failed.saturating_add(1);
        let pause = PAUSE_MIN.saturating_mul(1 << (state.failed - 1).min(16)).min(PAUSE_MAX);
        state.rests_until = Some(Instant::now() + pause);
        self.failures.fetch_add(1, Ordering::Relaxed);
        tracing::error!(%fault, pause_ms = pause.as_millis(), "the signer was stopped and is started again after a pause");
        fault
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn exchange(&mut self, request: &str, rest: &str, timeout: Duration) -> Result<String, SignerFault> {
        let ended = || SignerFault::Ended { request: request.to_owned() };
        self.input.write_all(format!("{request}{rest}\n").as_bytes()).map_err(|_| ended())?;
        self.input.flush().map_err(|_| ended())?;
        self.lines.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                SignerFault::Timeout { request: request.to_owned(), timeout_ms: timeout.as_millis() }
            }
            RecvTimeoutError::Disconnected => ended(),
        })
    }
}

/// Hands its lines over until it ends or says too much at once.
fn read_lines(output: ChildStdout, tell: &std::sync::mpsc::SyncSender<String>) {
    let mut output = BufReader::new(output);
    loop {
        let mut line = Vec::new();
        match output.by_ref().take(LINE_MAX_BYTES).read_until(b'\n', &mut line) {
            Ok(read) if read > 0 && line.ends_with(b"\n") => {}
            _ => return,
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if tell.send(text).is_err() {
            return;
        }
    }
}

/// One key of the program.
pub(super) struct ProgramKey {
    pub(super) program: Arc<SignerProgram>,
    pub(super) role: KeyRole,
    pub(super) public: PublicKey,
}

impl RemoteSigner for ProgramKey {
    fn sign(&self, message: &[u8]) -> Option<Signature> {
        self.program.sign(self.role, &self.public, message).ok()
    }
}
